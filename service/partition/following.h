/*
 * following: what those say who follow something, whatever it is; see follow.h.
 *
 * Each kind of thing has an operation of its own that begins it.
 */
#ifndef SERVICE_PARTITION_FOLLOWING_H
#define SERVICE_PARTITION_FOLLOWING_H

#include "service/partition/follow.h"
#include "service/partition/request.h"

struct follow_request {
    struct request request;
    struct follower *follower; /* It may be NOWHERE. */
};
extern const struct operation follow_more_operation; /* It can take more. */
extern const struct operation follow_end_operation; /* Its caller is gone. */

/* The read that its `read` has begun is over. */
struct follow_join_request {
    struct follow_request follow;
    uint64_t number; /* What has a number up to here was shown. */
    bool is_full; /* There is more, but its peer has to take some first. */
    bool has_all; /* That was all that there will ever be. */
    struct failure failure; /* OK: it was read. */
};
extern const struct operation follow_join_operation;

static inline struct follow_request *follow_request(struct request *request)
{
    assert(request->operation == &follow_more_operation ||
           request->operation == &follow_end_operation ||
           request->operation == &follow_join_operation);
    return container_of(request, struct follow_request, request);
}

static inline struct follow_join_request *follow_join_request(struct request *request)
{
    assert(request->operation == &follow_join_operation);
    return container_of(request, struct follow_join_request, follow.request);
}

#endif
