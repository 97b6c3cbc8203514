/*
 * subscribe: a stream that follows a topic.
 *
 * It begins with &subscribe_operation, and goes on as following.h says.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "polos/v1/topics.pb-c.h"
#include "service/api/api.h"
#include "service/api/check.h"
#include "service/api/following.h"
#include "service/api/methods.h"
#include "service/api/reading.h"
#include "service/api/text.h"
#include "service/api/times.h"
#include "service/features/topics/topics.h"
#include "service/reads/topic_replay.h"

enum {
    POSITION_DIGITS_MAX = 20, /* Of a sequence. */
};

/* call->user. Lives until `released`; the partition lets go of the subscriber before the call is
 * finished, and a call is never released before that. */
struct subscription {
    struct subscriber subscriber; /* The partition thread's, once posted. */
    struct following following;
    char *topic; /* Constant. */
    char *type; /* Constant; the follower's label. */
    uint64_t after_ms; /* Of the next read; 0: whenever. */
};

static struct subscription *subscription_of(struct follower *follower)
{
    return container_of(subscriber_of(follower), struct subscription, subscriber);
}

/* ---- What is shown. ---- */

/* Its position is the last sequence that was seen. */
static struct payload *pack(uint64_t sequence, Polos__V1__TopicEvent *event)
{
    char position[POSITION_DIGITS_MAX + 1];
    Polos__V1__TopicServiceSubscribeResponse response =
        POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_RESPONSE__INIT;
    snprintf(position, sizeof(position), "%" PRIu64, sequence);
    response.position = position;
    response.event = event;
    return api_pack(&response.base);
}

static struct payload *pack_event(const struct topic_event *event)
{
    struct arena arena;
    assert(event->sequence > 0);
    arena_init(&arena, 0);
    Polos__V1__TopicEvent shown = POLOS__V1__TOPIC_EVENT__INIT;
    shown.sequence = (int64_t)event->sequence;
    shown.topic = text_of(&arena, event->topic);
    shown.event_type = text_of(&arena, event->type);
    shown.data_json = text_of(&arena, event->data);
    shown.created_at = times_instant(&arena, event->created_ms);
    if (!uuid_is_zero(event->run)) {
        shown.run_id = text_of_uuid(&arena, event->run);
    }
    struct payload *ret = pack(event->sequence, &shown);
    arena_fini(&arena);
    return ret;
}

static struct payload *pack_caught_up(uint64_t sequence)
{
    return pack(sequence, NULL);
}

const struct topic_format *api_topic_format(void)
{
    static const struct topic_format format = {.event = pack_event, .caught_up = pack_caught_up};
    return &format;
}

static void push(struct follower *follower, struct payload *payload)
{
    following_push(&subscription_of(follower)->following, payload);
}

static bool stalls(struct follower *follower)
{
    return following_stalls(&subscription_of(follower)->following);
}

static void ended(struct follower *follower, const struct failure *failure)
{
    following_end(&subscription_of(follower)->following, failure);
}

/* ---- What lies behind. ---- */

/* On a thread of the reads. */
static bool show(struct topic_replay *replay, const struct topic_event *event)
{
    struct subscription *subscription = *reading_own(&replay->read);
    following_push(&subscription->following, pack_event(event));
    return !following_stalls(&subscription->following);
}

static void replayed(struct read *read, const struct failure *failure)
{
    struct subscription *subscription = *reading_own(read);
    const struct topic_replay *replay = topic_replay(read);
    subscription->after_ms = replay->after_ms;
    following_joins(&subscription->following, read, replay->sequence, replay->ret_full, false,
                    failure);
}

static void replay(struct follower *follower)
{
    struct subscription *subscription = subscription_of(follower);
    struct read *read =
        reading_new(subscription->following.stream.call, &topic_replay_kind, replayed);
    *reading_own(read) = subscription;
    topic_hash(str_of(subscription->topic), topic_replay(read)->topic);
    topic_replay(read)->type = follower->label;
    topic_replay(read)->after_ms = subscription->after_ms;
    topic_replay(read)->sequence = follower->number;
    topic_replay(read)->show = show;
    reading_post_always(read);
}

/* ---- The call. ---- */

static struct subscription *subscription_new(struct api_call *call, str topic, str type)
{
    struct subscription *subscription = xcalloc(1, sizeof(*subscription));
    struct follower *follower = &subscription->subscriber.follower;
    subscription->following.stream.call = call;
    subscription->following.follower = follower;
    subscription->topic = xstrndup(topic.ptr, topic.len);
    subscription->type = xstrndup(type.ptr, type.len);
    follower->own = &subscription->following;
    follower->label = str_of(subscription->type);
    follower->push = push;
    follower->stalls = stalls;
    follower->read = replay;
    follower->end = ended;
    return subscription;
}

static void subscribed(struct request *request, const struct failure *failure)
{
    struct follower *follower = &subscribe_request(request)->subscriber->follower;
    exchange_stream_begun(&subscription_of(follower)->following.stream, request, failure);
}

static bool take_position(struct check *check, str text, uint64_t *ret)
{
    uint64_t value = 0;
    bool is_sound =
        text.len > 0 && text.len < POSITION_DIGITS_MAX && (text.ptr[0] != '0' || text.len == 1);
    for (size_t i = 0; is_sound && i < text.len; i++) {
        is_sound = text.ptr[i] >= '0' && text.ptr[i] <= '9';
        value = 10 * value + (uint64_t)(text.ptr[i] - '0');
    }
    *ret = value;
    return is_sound || check_fault(check, "position", "pass position of an answer of this call");
}

static bool take_start(struct check *check, const Polos__V1__TopicServiceSubscribeRequest *proto,
                       struct subscription *ret)
{
    switch (proto->start_case) {
    case POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__START_POSITION:
        return take_position(check, str_of(proto->position), &ret->subscriber.follower.number);
    case POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__START_AFTER_SEQUENCE:
        ret->subscriber.follower.number = (uint64_t)proto->after_sequence;
        return check_range(check, "after_sequence", proto->after_sequence, 0, INT64_MAX);
    case POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__START_AFTER_TIME:
        return check_instant(check, "after_time", proto->after_time, &ret->after_ms);
    case POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__START_ONLY_NEW:
        ret->subscriber.follower.number = proto->only_new ? UINT64_MAX : 0;
        return true;
    case POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__START__NOT_SET:
    case _POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__START__CASE_IS_INT_SIZE:
        break;
    }
    return true;
}

static void subscribe(struct api_call *call, const ProtobufCMessage *message)
{
    assert(call->user == NULL);
    const Polos__V1__TopicServiceSubscribeRequest *proto = (const void *)message;
    struct subscription *subscription =
        subscription_new(call, str_of(proto->topic), str_of(proto->event_type));
    call->user = subscription;
    subscription->subscriber.follows = proto->follow;
    struct request *request = exchange_new(call, &subscribe_operation, subscribed);
    struct check check = {.arena = &request->arena};
    subscribe_request(request)->subscriber = &subscription->subscriber;
    subscribe_request(request)->topic = check_copy(&check, proto->topic);
    bool is_fine =
        check_some(&check, "topic", subscribe_request(request)->topic, CHECK_TOPIC_BYTES_MAX) &&
        check_bytes(&check, "event_type", str_of(subscription->type), CHECK_EVENT_TYPE_BYTES_MAX) &&
        take_start(&check, proto, subscription);
    subscription->following.stream.is_posted = exchange_post_checked(request, is_fine, &check);
}

static void subscriber_writable(struct api_call *call)
{
    struct subscription *subscription = call->user;
    following_writable(&subscription->following);
}

static void subscriber_closed(struct api_call *call)
{
    struct subscription *subscription = call->user;
    following_closed(&subscription->following);
}

static void subscriber_released(struct api_call *call)
{
    struct subscription *subscription = call->user;
    assert(subscription != NULL && subscription->following.stream.call == call);
    free(subscription->topic);
    free(subscription->type);
    free(subscription);
}

const struct api_method subscribe_methods[] = {
    {
        .path = "/polos.v1.TopicService/Subscribe",
        .is_read = true,
        .kind = API_SERVER_STREAM,
        .request = &polos__v1__topic_service_subscribe_request__descriptor,
        .response = &polos__v1__topic_service_subscribe_response__descriptor,
        .start = subscribe,
        .writable = subscriber_writable,
        .closed = subscriber_closed,
        .released = subscriber_released,
    },
    {.path = NULL},
};
