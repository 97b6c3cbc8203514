/*
 * forks: a new run that begins with the facts of another.
 */
#ifndef SERVICE_FEATURES_FORKS_FORKS_H
#define SERVICE_FEATURES_FORKS_FORKS_H

#include "service/features/reports/reports.h"

extern const struct feature forks_feature;

struct fork_request {
    struct request request;
    uint32_t after_seq; /* The last event to keep; at least 1. */
    uuid ret_run;
};
extern const struct operation fork_operation;

/* A struct report_request: `run` names the failed run, and afterwards the one that is answered: its
 * successor. */
extern const struct operation retry_operation;

static inline struct fork_request *fork_request(struct request *request)
{
    assert(request->operation == &fork_operation);
    return container_of(request, struct fork_request, request);
}

#endif
