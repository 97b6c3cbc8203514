/*
 * wait_kind: what the code of a task may ask of the server, as rows that features fill in.
 *
 * A row is a kind of step request: the waits (a sleep, a suspension, an event, children) and those
 * that settle at once (a start nobody waits for, a publication, an answer).
 */
#ifndef SERVICE_FEATURES_WAITS_WAIT_KIND_H
#define SERVICE_FEATURES_WAITS_WAIT_KIND_H

#include "service/engine/engine.h"
#include "service/features/waits/waits.h"
#include "service/hosts/host.h"

/* A step request on its way to be a command. */
struct step_request {
    struct partition *partition;
    struct live_run *run;
    const struct host_message *message;
    struct arena *arena; /* Of the request. */
    uint64_t due_ms; /* When its time is up, by the server's clock; 0: never. */
    struct command command; /* A COMMAND_STEP_REQUEST with its key; filled in by `prepare`. */
    void *own; /* Of the kind, from `prepare` to `carry_out`. */
};

struct wait_kind {
    enum step_request_kind request; /* What a host asks for. */
    enum effect_kind kind; /* EFFECT_AT_ONCE: it settles at once. */
    enum settled_kind settled; /* Of a wait: what hosts call it. */
    /* Whether something else comes before it in a later round; NULL: nothing ever does. */
    bool (*must_wait)(struct partition *partition, const struct live_run *run);
    /* Reads what it needs of the store; NULL: nothing. Where that fails for now, the step has not
     * failed: it is asked for again. Another failure is heard once more by `prepare`. */
    status (*read)(struct partition *partition, const struct host_step_request *wanted);
    /* Fills in the command; may settle it. What can be done at once is done in this batch. */
    void (*prepare)(struct step_request *step);
    /* After every check, before the command is submitted; NULL: nothing. */
    void (*carry_out)(struct step_request *step);
    /* The wait's index rows, as it is set and when it is over; NULL: it has none. */
    void (*set)(struct partition *partition, struct live_run *run, const struct live_wait *wait,
                const struct event *event);
    void (*over)(struct partition *partition, struct live_run *run, const struct effect *effect);
};

/* The row of an effect of this kind; NULL: none has one, as what settles at once. */
const struct wait_kind *wait_kind_of(const struct partition *partition, enum effect_kind kind);
/* What hosts call a step request of this kind, once it has settled. */
enum settled_kind wait_kind_settled(const struct partition *partition, enum effect_kind kind);
/* It is settled in the batch that records it. */
void step_request_settle(struct step_request *step, struct outcome outcome);
/* It can't be carried out: it settles as failed, and the code is told. */
void step_request_refuse(struct step_request *step, const char *type, str message);

#endif
