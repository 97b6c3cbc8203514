/*
 * grants: tasks on their way to hosts: leases granted, given, lost.
 */
#ifndef SERVICE_FEATURES_TASKS_GRANTS_H
#define SERVICE_FEATURES_TASKS_GRANTS_H

#include "service/engine/engine.h"
#include "service/hosts/leases.h"

struct live_run;
struct partition;

/* Grants a ready task to a host that is free, unless its run has to be admitted first; else it
 * stands among the ready ones. What is not ready is passed over. */
void task_grant(struct partition *partition, struct live_run *run, uint32_t effect);
/* As grant, though the run needs an admission: it is admitted. False: no host is free. */
bool task_give(struct partition *partition, struct live_run *run, uint32_t effect);
/* A lease is over without an answer: dealt with in this round, or the next. */
void task_note_loss(struct partition *partition, const struct host_loss *loss);
/* After the commit: no host took it, so it stands among the ready ones. */
void task_stand_ready(struct partition *partition, struct live_run *run, uint32_t effect);

/* For hosts_options.read_facts. A task whose facts can't be read is lost; its host must know. */
bool task_read_facts(struct partition *partition, struct facts_cursor *cursor,
                     struct host_facts *ret);

#endif
