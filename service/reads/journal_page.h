/*
 * journal_page: one page of a run's journal, forwards or backwards.
 *
 * A page is at most page_bytes or page_rows records, and at least one, however large.
 */
#ifndef SERVICE_READS_JOURNAL_PAGE_H
#define SERVICE_READS_JOURNAL_PAGE_H

#include "service/codec/codec.h"
#include "service/reads/reads.h"

/* A record and the seq of its first event; its bytes are borrowed for the call. *ret_enough true:
 * no more are wanted. */
typedef status journal_page_visit(void *context, uint32_t seq, str record, bool *ret_enough);

/* From the record that begins at `seq` (or after it; backwards: or before it). *ret_next is where
 * the next page begins; 0: nothing follows, or enough was had. */
status journal_page(const struct reads_source *source, uuid run, uint32_t seq, bool backwards,
                    journal_page_visit *each, void *context, uint32_t *ret_next);
/* The seq at which the record begins that holds the event `seq`. */
status journal_record_start(const struct reads_source *source, uuid run, uint32_t seq,
                            uint32_t *ret);

#endif
