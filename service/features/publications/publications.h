/*
 * publications: what callers publish, once for each idempotency key.
 */
#ifndef SERVICE_FEATURES_PUBLICATIONS_PUBLICATIONS_H
#define SERVICE_FEATURES_PUBLICATIONS_PUBLICATIONS_H

#include "service/features/topics/topics.h"

extern const struct feature publications_feature;

struct publish_request {
    struct request request;
    const struct topic_event *events; /* Topic, type, data. */
    size_t count;
    str key; /* Idempotency key, of the topic; empty: none. Then one topic for all. */
    uint8_t digest[16]; /* Of the events, for idempotency. */
    uint64_t ret_first; /* Sequence of the first; the others follow. */
    bool ret_existed; /* The key found them. */
};
extern const struct operation publish_operation;

static inline struct publish_request *publish_request(struct request *request)
{
    assert(request->operation == &publish_operation);
    return container_of(request, struct publish_request, request);
}

#endif
