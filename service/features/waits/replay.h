/*
 * replay: what a task's code has settled so far, read from its run's journal.
 */
#ifndef SERVICE_FEATURES_WAITS_REPLAY_H
#define SERVICE_FEATURES_WAITS_REPLAY_H

#include "service/base/uuid.h"
#include "service/engine/engine.h"
#include "service/hosts/host.h"

struct live_run;
struct partition;

struct replay {
    struct settled_step *steps; /* Of one task, in order. */
    size_t count;
    uint32_t settled_count; /* Those that are no step requests. */
    str state; /* JSON text; empty: none. */
    str cancel_cause; /* Empty: nobody asked for it. */
};

/* Reads the run's journal: the settled steps and step requests of a task (0: none of them), its
 * state. In the arena. DATA_LOSS: the journal is damaged. RESOURCE_EXHAUSTED: it is more than a
 * host can be given. */
status replay_read(struct partition *partition, uuid run, uint32_t task, struct arena *arena,
                   struct replay *ret);
/* Of a wait for children: [{"run_id","status","result","error"}] of those the effect counted, or
 * that they are too large. `since` is its WAIT_SET's seq: nothing before it is read. */
status replay_children(struct partition *partition, uuid run, uint32_t effect, uint32_t since,
                       struct arena *arena, struct outcome *ret);
/* The text of an agent's last reply, as a JSON string; raw where the answer has a schema and is
 * JSON. */
str replay_answer(const struct live_run *run, bool is_structured, struct arena *arena);

#endif
