/*
 * Those who follow a topic: what lies behind is read for them beside the partition, what is
 * published is shown to them after its commit; see partition/follow.h.
 */
#include "service/features/topics/topic_state.h"

enum {
    KEPT_BYTES_MAX = 256 << 10, /* Of the events that come while somebody is read for. */
};

static_assert(offsetof(struct subscribe_request, request) == 0, "a request begins its struct");

/* An event of this round, as it is in the batch. */
struct published {
    uint8_t topic[16];
    uint64_t sequence;
    str bytes;
};

static void perform_show(struct partition *partition, const struct act *act)
{
    const struct published *published = act->data;
    struct follow *follow = &topics_of(partition)->follow;
    uuid id = topic_id(published->topic);
    struct topic *topic;
    struct topic_event event;
    if (!follow_is_followed(follow, id)) {
        return;
    }
    status found = topic_find(partition, published->topic, &topic);
    if (status_is_ok(found) && published->sequence < topic->row.first) {
        follow_forget(follow, id, published->sequence); /* Dropped in the same round. */
        return;
    }
    status decoded = topic_event_decode(published->bytes, published->sequence, &event);
    assert(status_is_ok(decoded)); /* We wrote it a moment ago. */
    follow_show(follow, id, published->sequence, event.type,
                partition->options.topic_format->event(&event));
}

void topic_show(struct partition *partition, const uint8_t hash[16], uint64_t sequence, str bytes)
{
    static const struct act_kind kind = {.name = "show_event", .perform = perform_show};
    struct arena *arena = &partition->round_arena;
    assert(sequence > 0 && bytes.len > 0);
    if (follow_is_followed(&topics_of(partition)->follow, topic_id(hash))) {
        struct published *published = arena_alloc(arena, sizeof(*published));
        memcpy(published->topic, hash, sizeof(published->topic));
        published->sequence = sequence;
        published->bytes = arena_copy(arena, bytes);
        act_add(partition, &kind, NULL)->data = published;
    }
}

static void perform_forget(struct partition *partition, const struct act *act)
{
    const struct published *last = act->data;
    follow_forget(&topics_of(partition)->follow, topic_id(last->topic), last->sequence);
}

void topic_show_dropped(struct partition *partition, const uint8_t hash[16], uint64_t up_to)
{
    static const struct act_kind kind = {.name = "forget_events", .perform = perform_forget};
    struct published *last = arena_zalloc(&partition->round_arena, sizeof(*last));
    memcpy(last->topic, hash, sizeof(last->topic));
    last->sequence = up_to;
    act_add(partition, &kind, NULL)->data = last;
}

/* It has seen all events there are. */
static void joined(void *context, struct follower *follower)
{
    struct partition *partition = context;
    struct subscriber *subscriber = subscriber_of(follower);
    assert(follower->place == FOLLOWER_LIVE);
    if (!subscriber->caught_up_said) {
        subscriber->caught_up_said = true;
        follower->push(follower, partition->options.topic_format->caught_up(follower->number));
    }
    if (!subscriber->follows) {
        follow_remove(follower->set, follower);
        follower->end(follower, NULL);
    }
}

static void handle_subscribe(struct partition *partition, struct request *request)
{
    struct follow *follow = &topics_of(partition)->follow;
    struct subscribe_request *subscribe = subscribe_request(request);
    struct follower *follower = &subscribe->subscriber->follower;
    uint8_t hash[16];
    struct topic *topic;
    struct failure failure;
    topic_hash(subscribe->topic, hash);
    status found = topic_find(partition, hash, &topic);
    if (!status_is_ok(found)) {
        request_fail(partition, request, found.code, REASON_STORE_DAMAGED, found.why);
        return;
    }
    if (!follow_may_add(follow, topic_id(hash), &failure)) {
        request_answer(partition, request, &failure);
        return;
    }
    bool is_live = follower->number == UINT64_MAX;
    follower->number = is_live ? topic->row.last : follower->number;
    request_answer(partition, request, NULL);
    follow_add(follow, topic_id(hash), follower, is_live);
    if (is_live) {
        joined(partition, follower);
    }
}

const struct operation subscribe_operation = {
    .name = "subscribe",
    .request_bytes = sizeof(struct subscribe_request),
    .is_read = true,
    .handle = handle_subscribe,
};

void topic_subscribers_init(struct topics *topics)
{
    const struct partition_options *options = &topics->partition->options;
    follow_init(
        &topics->follow,
        &(struct follow_options){
            .followers_max = options->watchers_in_all_max,
            .each_max = options->watchers_max,
            .kept_bytes = options->kept_bytes_max == 0 ? KEPT_BYTES_MAX : options->kept_bytes_max,
            .joined = joined,
            .context = topics->partition,
        });
}

void topic_subscribers_fini(struct topics *topics)
{
    struct failure failure =
        failure_make(CODE_UNAVAILABLE, REASON_SHUTTING_DOWN,
                     STR("the server is shutting down; subscribe again in a moment"));
    follow_fini(&topics->follow, &failure);
}
