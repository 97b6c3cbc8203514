/*
 * topics: events published; topics listed and deleted.
 */
#include "service/features/topics/topics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "polos/v1/topics.pb-c.h"
#include "service/api/api.h"
#include "service/api/check.h"
#include "service/api/exchange.h"
#include "service/api/methods.h"
#include "service/api/page_token.h"
#include "service/api/reading.h"
#include "service/api/text.h"
#include "service/api/times.h"
#include "service/base/failure.h"
#include "service/base/hash.h"
#include "service/features/publications/publications.h"
#include "service/partition/request.h"
#include "service/reads/topics.h"

enum {
    PUBLISH_EVENTS_MAX = 1000,
    TOPICS_PAGE = 100,
    TOPICS_PAGE_MAX = 1000,
};
static_assert((int)TOPICS_PAGE <= (int)TOPICS_PAGE_MAX);
static_assert((int)CHECK_TOPIC_BYTES_MAX <= (int)KEY_NAME_BYTES_MAX, "a topic's name is a key");

static void published(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    size_t count = publish_request(request)->count;
    assert(count > 0 && count <= PUBLISH_EVENTS_MAX);
    Polos__V1__TopicServicePublishResponse response =
        POLOS__V1__TOPIC_SERVICE_PUBLISH_RESPONSE__INIT;
    response.existed = publish_request(request)->ret_existed;
    response.n_sequences = count;
    response.sequences = arena_alloc(&request->arena, count * sizeof(*response.sequences));
    for (size_t i = 0; i < count; i++) {
        response.sequences[i] = (int64_t)(publish_request(request)->ret_first + i);
    }
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static bool take_event(struct check *check, size_t index, const Polos__V1__NewEvent *proto,
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

static bool take_events(struct check *check, const Polos__V1__TopicServicePublishRequest *proto,
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
    const Polos__V1__TopicServicePublishRequest *proto = (const void *)message;
    bool is_fine =
        take_events(&check, proto, request) && take_key(&check, proto->idempotency_key, request);
    exchange_post_checked(request, is_fine, &check);
}

/* ---- Topics. ---- */

static void deleted(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    Polos__V1__TopicServiceDeleteResponse response = POLOS__V1__TOPIC_SERVICE_DELETE_RESPONSE__INIT;
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void delete_topic(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__TopicServiceDeleteRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &delete_topic_operation, deleted);
    struct delete_topic_request *wanted = delete_topic_request(request);
    struct check check = {.arena = &request->arena};
    wanted->topic = check_copy(&check, proto->topic);
    wanted->up_to = (uint64_t)proto->up_to_sequence;
    bool is_fine = check_some(&check, "topic", wanted->topic, CHECK_TOPIC_BYTES_MAX) &&
                   check_range(&check, "up_to_sequence", proto->up_to_sequence, 0, INT64_MAX);
    exchange_post_checked(request, is_fine, &check);
}

static Polos__V1__Topic *view(const struct topic_line *from, struct arena *arena)
{
    Polos__V1__Topic *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__topic__init(ret);
    ret->name = text_of(arena, from->name);
    ret->first_sequence = (int64_t)from->first;
    ret->last_sequence = (int64_t)from->last;
    ret->last_published_at = times_instant(arena, from->last_ms);
    return ret;
}

static void listed(struct read *read, const struct failure *failure)
{
    if (reading_failed(read, failure)) {
        return;
    }
    struct arena *arena = &read->arena;
    const struct topics_read *list = topics_read(read);
    Polos__V1__TopicServiceListResponse response = POLOS__V1__TOPIC_SERVICE_LIST_RESPONSE__INIT;
    assert(list->ret_count <= list->limit);
    assert(list->ret_count > 0 || !list->ret_more);
    response.n_topics = list->ret_count;
    response.topics = arena_alloc(arena, list->ret_count * sizeof(*response.topics));
    for (size_t i = 0; i < list->ret_count; i++) {
        response.topics[i] = view(&list->ret[i], arena);
    }
    if (list->ret_more) {
        response.next_page_token = page_token_format(arena, list->ret[list->ret_count - 1].name);
    }
    api_call_reply(reading_call(read), &response.base);
    reading_end(read);
}

static void list_topics(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__TopicServiceListRequest *proto = (const void *)message;
    struct read *read = reading_new(call, &topics_kind, listed);
    struct topics_read *list = topics_read(read);
    struct check check = {.arena = &read->arena};
    list->prefix = check_copy(&check, proto->prefix);
    bool is_fine =
        check_page_size(&check, proto->page_size, TOPICS_PAGE, TOPICS_PAGE_MAX, &list->limit) &&
        check_bytes(&check, "prefix", list->prefix, CHECK_TOPIC_BYTES_MAX) &&
        check_page_token(&check, proto->page_token, list->prefix, CHECK_TOPIC_BYTES_MAX,
                         &list->after);
    reading_post_checked(read, is_fine, &check);
}

const struct api_method topics_methods[] = {
    {
        .path = "/polos.v1.TopicService/Publish",
        .request = &polos__v1__topic_service_publish_request__descriptor,
        .response = &polos__v1__topic_service_publish_response__descriptor,
        .start = publish,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.TopicService/List",
        .is_read = true,
        .request = &polos__v1__topic_service_list_request__descriptor,
        .response = &polos__v1__topic_service_list_response__descriptor,
        .start = list_topics,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.TopicService/Delete",
        .request = &polos__v1__topic_service_delete_request__descriptor,
        .response = &polos__v1__topic_service_delete_response__descriptor,
        .start = delete_topic,
        .closed = exchange_closed,
    },
    {.path = NULL},
};
