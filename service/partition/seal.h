/*
 * seal: the index row of a run, written at the end of each round that changed it.
 */
#ifndef SERVICE_PARTITION_SEAL_H
#define SERVICE_PARTITION_SEAL_H

#include "service/codec/codec.h"

struct live_run;
struct partition;

/* What the run's state and its features say. */
void seal_row(struct partition *partition, struct live_run *run, struct run_row *ret);
/* After the last command of the round: the rows of the touched runs go into the batch. */
void seal_touched(struct partition *partition);

#endif
