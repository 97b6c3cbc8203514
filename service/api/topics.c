/*
 * topics: events published, and streams that follow a topic.
 *
 *   start --&subscribe_operation--> followed --end()--> finished
 *                                  |  ^
 *                           closed |  | writable --&subscribe_more_operation
 *                                  v
 *                           &subscribe_end_operation --done()--> finished
 */
#include "service/features/topics/topics.h"

#include <stdlib.h>

#include "polos/v1/workflows.pb-c.h"
#include "service/api/api.h"
#include "service/api/check.h"
#include "service/api/exchange.h"
#include "service/api/methods.h"
#include "service/api/text.h"
#include "service/base/failure.h"
#include "service/base/hash.h"
#include "service/features/publications/publications.h"
#include "service/partition/request.h"

enum {
    PUBLISH_EVENTS_MAX = 1000,
};

static void published(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    size_t count = publish_request(request)->count;
    assert(count > 0 && count <= PUBLISH_EVENTS_MAX);
    Polos__V1__WorkflowServicePublishResponse response =
        POLOS__V1__WORKFLOW_SERVICE_PUBLISH_RESPONSE__INIT;
    response.existed = publish_request(request)->ret_existed;
    response.n_sequences = count;
    response.sequences = arena_alloc(&request->arena, count * sizeof(*response.sequences));
    for (size_t i = 0; i < count; i++) {
        response.sequences[i] = (int64_t)(publish_request(request)->ret_first + i);
    }
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static bool take_event(struct check *check, size_t index, const Polos__V1__TopicEvent *proto,
                       struct topic_event *ret)
{
    const char *type = check_path(check, "events[%zu].event_type", index);
    const char *data = check_path(check, "events[%zu].data_json", index);
    ret->type = check_copy(check, proto->event_type);
    return check_bytes(check, type, ret->type, CHECK_EVENT_TYPE_BYTES_MAX) &&
           check_value_or_null(check, data, str_of(proto->data_json), &ret->data);
}

static void digest(struct request *request)
{
    assert(publish_request(request)->count > 0);
    struct buf buf = {0};
    for (size_t i = 0; i < publish_request(request)->count; i++) {
        const struct topic_event *event = &publish_request(request)->events[i];
        buf_put_counted(&buf, event->type);
        buf_put_counted(&buf, event->data);
    }
    hash128(buf_str(&buf), publish_request(request)->digest);
    buf_fini(&buf);
}

static bool take_key(struct check *check, const char *key, struct request *request)
{
    publish_request(request)->key = check_copy(check, key);
    if (!check_bytes(check, "idempotency_key", publish_request(request)->key,
                     CHECK_LABEL_BYTES_MAX)) {
        return false;
    }
    if (publish_request(request)->key.len > 0) {
        digest(request);
    }
    return true;
}

static bool take_events(struct check *check, const Polos__V1__WorkflowServicePublishRequest *proto,
                        struct request *request)
{
    str topic = check_copy(check, proto->topic);
    if (!check_some(check, "topic", topic, CHECK_TOPIC_BYTES_MAX) ||
        !check_range(check, "events", (int64_t)proto->n_events, 1, PUBLISH_EVENTS_MAX)) {
        return false;
    }
    struct topic_event *events = arena_zalloc(check->arena, proto->n_events * sizeof(*events));
    for (size_t i = 0; i < proto->n_events; i++) {
        events[i].topic = topic;
        if (!take_event(check, i, proto->events[i], &events[i])) {
            return false;
        }
    }
    publish_request(request)->events = events;
    publish_request(request)->count = proto->n_events;
    return true;
}

static void publish(struct api_call *call, const ProtobufCMessage *message)
{
    const struct api *api = call->service;
    struct request *request = exchange_new(call, &publish_operation, published);
    struct check check = {.arena = &request->arena, .json_bytes_max = api->input_bytes_max};
    const Polos__V1__WorkflowServicePublishRequest *proto = (const void *)message;
    bool is_fine =
        take_events(&check, proto, request) && take_key(&check, proto->idempotency_key, request);
    exchange_post_checked(request, is_fine, &check);
}

/* call->user. Lives until `released`; the partition lets go of the subscriber before the call is
 * finished, and a call is never released before that. */
struct subscription {
    struct subscriber subscriber; /* The partition thread's, once posted. */
    struct exchange_stream stream;
    char *topic; /* Constant; subscriber.topic. */
};

static struct subscription *subscription_of(struct subscriber *subscriber)
{
    return container_of(subscriber, struct subscription, subscriber);
}

static void push(struct subscriber *subscriber, const struct topic_event *event)
{
    struct subscription *subscription = subscription_of(subscriber);
    assert(!subscription->stream.is_finished);
    assert(event->sequence > 0);
    struct arena arena;
    arena_init(&arena, 0);
    Polos__V1__TopicEvent shown = POLOS__V1__TOPIC_EVENT__INIT;
    shown.sequence = (int64_t)event->sequence;
    shown.topic = text_of(&arena, event->topic);
    shown.event_type = text_of(&arena, event->type);
    shown.data_json = text_of(&arena, event->data);
    shown.created_at_ms = (int64_t)event->created_ms;
    if (!uuid_is_zero(event->run)) {
        shown.run_id = text_of_uuid(&arena, event->run);
    }
    Polos__V1__WorkflowServiceSubscribeResponse response =
        POLOS__V1__WORKFLOW_SERVICE_SUBSCRIBE_RESPONSE__INIT;
    response.event = &shown;
    api_call_send(subscription->stream.call, &response.base);
    arena_fini(&arena);
}

static bool stalls(struct subscriber *subscriber)
{
    struct api_call *call = subscription_of(subscriber)->stream.call;
    return call->vtable->stalls(call);
}

static void ended(struct subscriber *subscriber, const struct failure *failure)
{
    exchange_stream_finish(&subscription_of(subscriber)->stream, failure);
}

static void subscribed(struct request *request, const struct failure *failure)
{
    exchange_stream_begun(&subscription_of(subscribe_request(request)->subscriber)->stream, request,
                          failure);
}

static void left(struct request *request, const struct failure *failure)
{
    (void)failure;
    exchange_stream_left(&subscription_of(subscribe_request(request)->subscriber)->stream, request);
}

static struct subscription *subscription_new(struct api_call *call, str topic)
{
    struct subscription *subscription = xcalloc(1, sizeof(*subscription));
    subscription->stream.call = call;
    subscription->topic = xstrndup(topic.ptr, topic.len);
    subscription->subscriber.push = push;
    subscription->subscriber.stalls = stalls;
    subscription->subscriber.end = ended;
    return subscription;
}

static struct request *request_of(struct api_call *call, const struct operation *operation,
                                  exchange_done *done)
{
    struct subscription *subscription = call->user;
    assert(subscription != NULL && subscription->stream.call == call);
    struct request *request = exchange_new(call, operation, done);
    subscribe_request(request)->subscriber = &subscription->subscriber;
    subscribe_request(request)->topic = arena_copy(&request->arena, str_of(subscription->topic));
    return request;
}

static void subscribe(struct api_call *call, const ProtobufCMessage *message)
{
    assert(call->user == NULL);
    const Polos__V1__WorkflowServiceSubscribeRequest *proto = (const void *)message;
    struct subscription *subscription = subscription_new(call, str_of(proto->topic));
    call->user = subscription;
    subscription->subscriber.follows = proto->follow;
    subscription->subscriber.sequence =
        proto->after_sequence < 0 ? UINT64_MAX : (uint64_t)proto->after_sequence;
    struct request *request = request_of(call, &subscribe_operation, subscribed);
    struct check check = {.arena = &request->arena};
    bool is_fine =
        check_some(&check, "topic", subscribe_request(request)->topic, CHECK_TOPIC_BYTES_MAX);
    subscription->stream.is_posted = exchange_post_checked(request, is_fine, &check);
}

static void post(struct api_call *call, const struct operation *operation, exchange_done *done)
{
    const struct subscription *subscription = call->user;
    if (!subscription->stream.is_posted) {
        return; /* Refused at once: nobody knows the subscriber. */
    }
    exchange_post_always(request_of(call, operation, done));
}

static void subscriber_writable(struct api_call *call)
{
    post(call, &subscribe_more_operation, exchange_ignore);
}

static void subscriber_closed(struct api_call *call)
{
    post(call, &subscribe_end_operation, left);
}

static void subscriber_released(struct api_call *call)
{
    struct subscription *subscription = call->user;
    assert(subscription != NULL && subscription->stream.call == call);
    free(subscription->topic);
    free(subscription);
}

const struct api_method topics_methods[] = {
    {
        .path = "/polos.v1.WorkflowService/Publish",
        .request = &polos__v1__workflow_service_publish_request__descriptor,
        .response = &polos__v1__workflow_service_publish_response__descriptor,
        .start = publish,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.WorkflowService/Subscribe",
        .is_read = true,
        .kind = API_SERVER_STREAM,
        .request = &polos__v1__workflow_service_subscribe_request__descriptor,
        .response = &polos__v1__workflow_service_subscribe_response__descriptor,
        .start = subscribe,
        .writable = subscriber_writable,
        .closed = subscriber_closed,
        .released = subscriber_released,
    },
    {.path = NULL},
};
