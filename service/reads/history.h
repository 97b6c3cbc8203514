/*
 * history: the events of a run as they were written, a page of them.
 */
#ifndef SERVICE_READS_HISTORY_H
#define SERVICE_READS_HISTORY_H

#include "service/reads/reads.h"

struct history_read {
    struct read read;
    uint32_t from_seq; /* The first wanted; at least 1. Backwards: the newest wanted. */
    uint32_t after_seq; /* Backwards: those after this one. */
    bool backwards; /* From the newest on. */
    size_t limit; /* Events; at least 1. */
    /* Every record that holds some of those events, in order (backwards: the newest first), up to a
     * page of them; of the first and the last one some events may be outside. */
    const str *ret_records;
    size_t ret_count;
    uint32_t ret_next; /* Forwards: the first event of the next record; 0: there is none. */
};
extern const struct read_kind history_kind;

static inline struct history_read *history_read(struct read *read)
{
    assert(read->kind == &history_kind);
    return container_of(read, struct history_read, read);
}

#endif
