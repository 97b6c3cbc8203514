/*
 * start_options: what every start shares, in the record of a run's start.
 *
 * Only events_run.c and schedule_row.c use it.
 */
#ifndef SERVICE_CODEC_START_OPTIONS_H
#define SERVICE_CODEC_START_OPTIONS_H

#include "polos/journal/v1/journal.pb-c.h"
#include "service/base/start_options.h"

/* What is set in the body borrows from the options. */
void start_options_pack(const struct start_options *options, Polos__Journal__V1__RunStarted *ret);
/* What is set borrows from the body. */
void start_options_unpack(const Polos__Journal__V1__RunStarted *body, struct start_options *ret);

#endif
