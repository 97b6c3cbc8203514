/*
 * step_requests: what a task's code wants that outlives it: to wait, to start runs, to publish, to
 * answer.
 */
#ifndef SERVICE_FEATURES_WAITS_STEP_REQUESTS_H
#define SERVICE_FEATURES_WAITS_STEP_REQUESTS_H

#include "service/engine/engine.h"
#include "service/hosts/host.h"

struct act;
struct live_run;
struct partition;

/* Carries it out, unless it stands already: then its outcome is on its way or is sent again. What
 * it allocates is in the arena. */
enum verdict step_request_submit(struct partition *partition, struct live_run *run,
                                 const struct host_message *message, struct arena *arena);
/* Whether something else comes before it; then it is to be submitted in a later round. */
bool step_request_must_wait(struct partition *partition, const struct live_run *run,
                            const struct host_message *message);
/* Reads what it needs. UNAVAILABLE, RESOURCE_EXHAUSTED: not now; it is to be asked for again. */
status step_request_read(struct partition *partition, const struct host_message *message);
/* Sends the outcomes of all settled step requests of a task once more. */
void step_request_resend(struct partition *partition, struct task_ref task);
/* An outcome of a step request, on its way to the host that has the task. */
struct told {
    uint32_t wait; /* The effect. */
    enum effect_kind kind;
    uint32_t since; /* The seq of its WAIT_SET. */
    enum settled_kind settled; /* What hosts call it. */
    str key; /* The step's. */
    struct outcome outcome; /* Of children without a value: it is read when it is told. */
    uint32_t steps_before; /* Facts of the task that hosts told before it. */
};

/* After the commit. Copies what it is given. */
void step_request_tell(struct partition *partition, struct live_run *run, uint32_t task,
                       const struct told *told);
/* Tells the task's host, if it has one, that the run is being cancelled, and how long it may take.
 */
void step_request_interrupt(struct partition *partition, struct task_ref task);

#endif
