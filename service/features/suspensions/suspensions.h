/*
 * suspensions: runs that wait for an answer from outside: looked at, answered.
 */
#ifndef SERVICE_FEATURES_SUSPENSIONS_SUSPENSIONS_H
#define SERVICE_FEATURES_SUSPENSIONS_SUSPENSIONS_H

#include "service/engine/engine.h"
#include "service/partition/feature.h"
#include "service/partition/request.h"

extern const struct feature suspensions_feature;

enum suspension_state {
    SUSPENSION_OPEN,
    SUSPENSION_ANSWERED,
    SUSPENSION_EXPIRED,
    SUSPENSION_WITHDRAWN, /* Its run has ended, or no longer asks. */
};

/* A suspension as it is answered. */
struct suspension {
    uuid run;
    uint32_t effect; /* With the run its id. */
    uuid root;
    str name; /* The run's. */
    str step_key;
    str data; /* JSON text. */
    str answer_schema; /* Empty: any JSON answers it. */
    uint64_t since_ms;
    uint64_t deadline_ms; /* 0: none. */
    enum suspension_state state;
    /* Where it was answered: who, with what, as JSON text, and when. */
    str by;
    str answer;
    uint64_t answered_ms;
};

/* By its effect, or else by the key of its step: then `run` may also be the root of its tree. */
struct resume_request {
    struct request request;
    uint32_t effect; /* 0: by key. */
    str key;
    str workflow; /* What the run, or its root, is said to be a run of; empty: not said. */
    str data; /* JSON text. */
    str by;
    bool ret_accepted;
    bool ret_kept; /* It has not been asked for yet; not accepted: another was kept before. */
    const struct suspension *ret_over; /* What is not to be answered any more; valid in `done`. */
};
extern const struct operation resume_operation;

/* By its effect, or else by the key of its step, as resume_request. */
struct suspension_request {
    struct request request;
    uint32_t effect; /* 0: by key. */
    str step_key;
    const struct suspension *ret; /* Valid during `done`. */
};
extern const struct operation get_suspension_operation;

/* Whether the run waits for an answer, of this round too; or, of a root, one below it. DATA_LOSS:
 * rows are damaged. */
status suspensions_are_open(struct partition *partition, const struct live_run *run, bool *ret);

/* Into the batch: rows of the keys of a run that is deleted, and of those below it where it was a
 * root; takes 1 from *budget for each. *ret_more: some are left, for a later round. */
status suspensions_erase(struct partition *partition, uuid run, size_t *budget, bool *ret_more);

static inline struct resume_request *resume_request(struct request *request)
{
    assert(request->operation == &resume_operation);
    return container_of(request, struct resume_request, request);
}

static inline struct suspension_request *suspension_request(struct request *request)
{
    assert(request->operation == &get_suspension_operation);
    return container_of(request, struct suspension_request, request);
}

#endif
