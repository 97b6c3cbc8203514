/*
 * task_order: what an open task of a run was ordered with.
 */
#ifndef SERVICE_PARTITION_TASK_ORDER_H
#define SERVICE_PARTITION_TASK_ORDER_H

#include "service/engine/engine.h"
#include "service/hosts/host.h"

struct arena;
struct live_run;

/* The TASK_REQUESTED event of an open task. DATA_LOSS when the journal in memory lacks it. */
status task_order_find(const struct live_run *run, uint32_t effect, struct arena *arena,
                       struct event *ret);
/* Under which name hosts offer what it was ordered with. In the arena. */
str task_order_offer(const struct live_run *run, const struct event *order, struct arena *arena);
/* What a host has to offer for it. */
enum task_kind task_order_kind(const struct live_run *run, const struct effect *effect);

#endif
