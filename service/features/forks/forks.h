/*
 * forks: a new run that begins with the facts of another.
 *
 * The new run is there, under its id, when the fork is answered. Its history is copied as owed
 * work, some in each round; until it is whole, the run is_copying: nothing is done for it, requests
 * about it wait, and it is shown as one that waits for that. Its cancellation ends the copy where
 * it is. What is there so far is durable: a restart goes on from it.
 */
#ifndef SERVICE_FEATURES_FORKS_FORKS_H
#define SERVICE_FEATURES_FORKS_FORKS_H

#include "service/features/reports/reports.h"

extern const struct feature forks_feature;

/* Of both operations. `run` names the source, and afterwards the run that is answered: the new one,
 * or the one that the key found. */
struct fork_request {
    struct report_request report;
    uint32_t after_seq; /* Of a fork: the last event to keep; at least 1. Of a retry: 0. */
    str idempotency_key; /* Empty: none. */
    uint8_t digest[16]; /* Of what is asked, for idempotency. */
    bool ret_existed; /* The key found it. */
};
extern const struct operation fork_operation;
/* Of a failed run, from its last good fact. */
extern const struct operation retry_operation;

/* Whether some run's history is still being copied from this one's. */
bool forks_copy_from(const struct partition *partition, uuid source);

static inline struct fork_request *fork_request(struct request *request)
{
    assert(request->operation == &fork_operation || request->operation == &retry_operation);
    return container_of(request, struct fork_request, report.request);
}

#endif
