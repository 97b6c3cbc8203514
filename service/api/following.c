#include "service/api/following.h"

#include "service/api/api.h"
#include "service/api/reading.h"

void following_push(struct following *following, struct payload *payload)
{
    struct api_call *call = following->stream.call;
    assert(call != NULL);
    call->vtable->send(call, payload);
}

bool following_stalls(struct following *following)
{
    struct api_call *call = following->stream.call;
    return atomic_load(&following->is_closed) || call->vtable->stalls(call);
}

void following_end(struct following *following, const struct failure *failure)
{
    exchange_stream_finish(&following->stream, failure);
}

static void copy_failure(struct arena *arena, const struct failure *from, struct failure *ret)
{
    *ret = *from;
    ret->field = arena_copy(arena, from->field);
    ret->message = arena_copy(arena, from->message);
}

void following_joins(struct following *following, struct read *read, uint64_t number, bool is_full,
                     bool has_all, const struct failure *failure)
{
    struct request *request =
        exchange_new(following->stream.call, &follow_join_operation, exchange_ignore);
    struct follow_join_request *join = follow_join_request(request);
    join->follow.follower = following->follower;
    join->number = number;
    join->is_full = is_full;
    join->has_all = has_all;
    if (failure_happened(failure)) {
        copy_failure(&request->arena, failure, &join->failure);
    }
    reading_end(read);
    exchange_post_always(request);
}

/* Where it was refused at once, nobody knows the follower. */
static void post(struct following *following, const struct operation *operation,
                 exchange_done *done)
{
    if (following->stream.is_posted) {
        struct request *request = exchange_new(following->stream.call, operation, done);
        follow_request(request)->follower = following->follower;
        exchange_post_always(request);
    }
}

static void left(struct request *request, const struct failure *failure)
{
    struct follower *follower = follow_request(request)->follower;
    struct following *following = follower->own;
    (void)failure;
    exchange_stream_left(&following->stream, request);
}

void following_writable(struct following *following)
{
    post(following, &follow_more_operation, exchange_ignore);
}

void following_closed(struct following *following)
{
    atomic_store(&following->is_closed, true);
    post(following, &follow_end_operation, left);
}
