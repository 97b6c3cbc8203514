#include "service/partition/following.h"

static_assert(offsetof(struct follow_request, request) == 0, "a request begins its struct");
static_assert(offsetof(struct follow_join_request, follow.request) == 0,
              "a request begins its struct");

static void handle_more(struct partition *partition, struct request *request)
{
    struct follower *follower = follow_request(request)->follower;
    if (follower->at != NULL) {
        follow_more(follower->set, follower);
    }
    request_answer(partition, request, NULL);
}

static void handle_end(struct partition *partition, struct request *request)
{
    struct follower *follower = follow_request(request)->follower;
    if (follower->at != NULL) {
        follow_remove(follower->set, follower);
    }
    assert(follower->place == FOLLOWER_NOWHERE);
    request_answer(partition, request, NULL);
}

static void handle_join(struct partition *partition, struct request *request)
{
    const struct follow_join_request *join = follow_join_request(request);
    struct follower *follower = join->follow.follower;
    assert(!(join->is_full && join->has_all));
    if (follower->at == NULL) {
        request_answer(partition, request, NULL); /* It left meanwhile. */
        return;
    }
    if (failure_happened(&join->failure)) {
        follow_remove(follower->set, follower);
        follower->end(follower, &join->failure);
    } else if (join->has_all) {
        follow_has_all(follower->set, follower);
    } else {
        follow_joins(follower->set, follower, join->number, join->is_full);
    }
    request_answer(partition, request, NULL);
}

const struct operation follow_more_operation = {
    .name = "follow_more",
    .request_bytes = sizeof(struct follow_request),
    .is_read = true,
    .handle = handle_more,
};
const struct operation follow_end_operation = {
    .name = "follow_end",
    .request_bytes = sizeof(struct follow_request),
    .is_read = true,
    .handle = handle_end,
};
const struct operation follow_join_operation = {
    .name = "follow_join",
    .request_bytes = sizeof(struct follow_join_request),
    .is_read = true,
    .handle = handle_join,
};
