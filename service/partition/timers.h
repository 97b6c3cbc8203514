/*
 * timers: when each run in memory wants to be told the time; one entry a run.
 *
 * An entry is derived from the run's state, so this may be dropped at any moment and rebuilt.
 *
 * Order:     (due_ms, run), so that a replayed world wakes runs in the same order.
 * Threading: owned by one partition thread.
 */
#ifndef SERVICE_PARTITION_TIMERS_H
#define SERVICE_PARTITION_TIMERS_H

#include "service/base/base.h"
#include "service/base/uuid.h"

struct timers;

/* Empty. */
struct timers *timers_new(void);
void timers_free(struct timers *timers); /* Accepts NULL. */

/* Replaces the run's entry; due_ms 0 removes it. */
void timers_arm(struct timers *timers, uuid run, uint64_t due_ms);
/* Removes and returns the earliest entry that is due. */
bool timers_pop_due(struct timers *timers, uint64_t now_ms, uuid *ret);
uint64_t timers_next_ms(const struct timers *timers); /* 0: none. */
size_t timers_count(const struct timers *timers);

#endif
