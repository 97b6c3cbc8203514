/*
 * inputs: what is said to an agent's run while it is at work.
 */
#ifndef SERVICE_FEATURES_INPUTS_INPUTS_H
#define SERVICE_FEATURES_INPUTS_INPUTS_H

#include "service/partition/feature.h"
#include "service/partition/request.h"

extern const struct feature inputs_feature;

/* To the run of the request. Answered when it is durable. */
struct send_request {
    struct request request;
    str data; /* JSON text, as the input of a start. */
    str key; /* Under which it is sent once; empty: each time. */
    uint32_t ret_number; /* Of the input, from 1. */
    bool ret_existed; /* The key found it. */
};
extern const struct operation send_operation;

static inline struct send_request *send_request(struct request *request)
{
    assert(request->operation == &send_operation);
    return container_of(request, struct send_request, request);
}

#endif
