/*
 * replay: what a task's code has settled so far, read from its run's journal.
 */
#ifndef SERVICE_FEATURES_WAITS_REPLAY_H
#define SERVICE_FEATURES_WAITS_REPLAY_H

#include "service/base/uuid.h"
#include "service/engine/engine.h"
#include "service/hosts/facts.h"
#include "service/hosts/host.h"

struct live_run;
struct partition;

struct replay {
    struct settled_step *steps; /* Of one task, in order. */
    size_t count;
    uint32_t settled_count; /* Those that are no step requests. */
    struct kept_state state;
    str cancel_cause; /* Empty: nobody asked for it, or it is cut. */
    bool is_cut; /* There is more than one page of it; then nothing of it is here. */
};

/* Of all that the task has settled. */
struct facts_cursor replay_cursor(uuid run, uint32_t task);
/* Reads the run's journal: the settled steps and step requests of a task, its state, when they are
 * no more than a page. In the arena. DATA_LOSS: the journal is damaged. */
status replay_read(struct partition *partition, uuid run, uint32_t task, struct arena *arena,
                   struct replay *ret);
/* [{"run_id","status","result","error"}] of the children that the cursor's wait counted; it starts
 * with the WAIT_SET. *ret_is_cut: there is more than one page of it; then it is not read. */
status replay_children(struct partition *partition, const struct facts_cursor *cursor,
                       struct arena *arena, str *ret, bool *ret_is_cut);
/* The text of an agent's last reply, as a JSON string; raw where the answer has a schema and is
 * JSON. */
str replay_answer(const struct live_run *run, bool is_structured, struct arena *arena);

#endif
