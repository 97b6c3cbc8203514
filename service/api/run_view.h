/*
 * run_view: a run as callers see it, folded from what the store and the partition tell of it.
 *
 * The state gives status, counts and what is waited for; the records give what was said: input,
 * turns, results. Both come from the journal, so the same run always looks the same.
 *
 * No answer is larger than a stock client takes: what has no room is left out and named.
 */
#ifndef SERVICE_API_RUN_VIEW_H
#define SERVICE_API_RUN_VIEW_H

#include "polos/v1/common.pb-c.h"
#include "service/features/reports/reports.h"
#include "service/reads/list.h"
#include "service/reads/run_read.h"

enum {
    RUN_VIEW_BYTES_MAX = (4 << 20) - (64 << 10), /* What is left of 4 MiB is for the envelope. */
    RUN_VIEW_SENTENCE_BYTES_MAX = 2000, /* Of what a sentence cites. */
};

/* The whole run. report: what the partition says, of the state in `facts`; NULL: it was not asked,
 * since the run has ended. Fails as codec_next() and codec_decode() do; `why` in the arena. */
status run_view(const struct run_facts *facts, const struct run_report *report, struct arena *arena,
                Polos__V1__Run **ret);
/* What is known of a run that cannot be read: why, and what its row says, if that is whole. */
Polos__V1__Run *run_view_unreadable(const struct run_line *line, struct arena *arena);
/* Only what the state says: for a run whose records cannot be read. */
Polos__V1__Run *run_view_state(const struct run_facts *facts, struct arena *arena);
/* Leaves out what RUN_VIEW_BASIC does not hold, and names it. */
void run_view_shorten(Polos__V1__Run *run);
/* One line of a list. */
Polos__V1__Run *run_view_line(const struct run_line *line, struct arena *arena);

#endif
