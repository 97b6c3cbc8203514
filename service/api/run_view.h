/*
 * run_view: a run as callers see it, folded from its state and its records.
 *
 * The state gives status, counts and what is waited for; the records give what was said: input,
 * turns, results. Both come from the journal, so the same run always looks the same.
 */
#ifndef SERVICE_API_RUN_VIEW_H
#define SERVICE_API_RUN_VIEW_H

#include "polos/v1/common.pb-c.h"
#include "service/features/reports/reports.h"

/* The whole run. Fails as codec_next() and codec_decode() do; `why` in the arena. */
status run_view(const struct run_report *report, struct arena *arena, Polos__V1__Run **ret);
/* Only what the state says: for a run whose records cannot be read. */
Polos__V1__Run *run_view_state(const struct run_report *report, struct arena *arena);
/* One line of a list. */
Polos__V1__Run *run_view_line(const struct run_line *line, struct arena *arena);

#endif
