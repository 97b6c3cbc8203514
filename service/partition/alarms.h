/*
 * alarms: when runs that are not in memory want to be told the time.
 *
 * Threading: owned by the partition thread.
 */
#ifndef SERVICE_PARTITION_ALARMS_H
#define SERVICE_PARTITION_ALARMS_H

#include "service/codec/codec.h"

struct alarms;
struct live_run;
struct partition;

/* Looks at the rows in the first round. */
struct alarms *alarms_new(void);
void alarms_free(struct alarms *alarms); /* Accepts NULL. */

/* When the row among the alarms of a run with this row is to be due; 0: it has none. */
uint64_t alarm_of(const struct run_row *row);
/* Into the batch: moves the run's row. */
void alarm_put(struct partition *partition, struct live_run *run, uint64_t due_ms);
/* The run is about to leave memory: from now on its row wakes it. */
void alarm_leave(struct partition *partition, const struct live_run *run);
/* Makes timers of the alarms that are due. */
void alarms_work(struct partition *partition);
uint64_t alarms_next_due_ms(const struct partition *partition); /* 0: never. */

#endif
