/*
 * suspensions: runs that wait for an answer from outside: listed, looked at, answered.
 */
#ifndef SERVICE_FEATURES_SUSPENSIONS_SUSPENSIONS_H
#define SERVICE_FEATURES_SUSPENSIONS_SUSPENSIONS_H

#include "service/engine/engine.h"
#include "service/partition/feature.h"
#include "service/partition/request.h"

extern const struct feature suspensions_feature;

/* A suspension as it is answered. */
struct suspension {
    uuid run;
    uuid root;
    str name; /* The run's. */
    str step_key;
    str data; /* JSON text. */
    uint64_t since_ms;
    uint64_t deadline_ms; /* 0: none. */
    bool is_open;
    str by;
    str answer; /* JSON text; empty: none, or it timed out. */
    uint64_t resumed_ms;
    uint32_t effect; /* With since_ms and run its place in the list. */
};

struct resume_request {
    struct request request;
    str key;
    str data; /* JSON text. */
    str by;
    bool ret_accepted;
    bool ret_kept;
};
extern const struct operation resume_operation;

struct suspensions_request {
    struct request request; /* List: run zero: of all runs. */
    str step_key; /* Of get_suspension_operation. */
    size_t limit;
    uint64_t after_ms; /* List: after this since_ms, run and effect; 0: from the first. */
    uuid after_run;
    uint32_t after_effect;
    const struct suspension *ret; /* In the request's arena. */
    size_t ret_count;
    bool ret_more;
};
extern const struct operation list_suspensions_operation;
extern const struct operation get_suspension_operation;

static inline struct resume_request *resume_request(struct request *request)
{
    assert(request->operation == &resume_operation);
    return container_of(request, struct resume_request, request);
}

static inline struct suspensions_request *suspensions_request(struct request *request)
{
    assert(request->operation == &list_suspensions_operation ||
           request->operation == &get_suspension_operation);
    return container_of(request, struct suspensions_request, request);
}

#endif
