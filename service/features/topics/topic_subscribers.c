/*
 * Those who follow a topic.
 */
#include "service/features/topics/topic_state.h"

enum {
    CHUNK_EVENTS = 256, /* Looked at for a subscriber per round. */
};

static_assert(offsetof(struct subscribe_request, request) == 0, "a request begins its struct");

static void detach(struct partition *partition, struct subscriber *subscriber)
{
    struct topic *topic = subscriber->at;
    assert(topic != NULL);
    struct subscriber **link = &topic->subscribers;
    while (*link != subscriber) {
        assert(*link != NULL);
        link = &(*link)->next;
    }
    *link = subscriber->next;
    subscriber->at = NULL;
    topic_table_settle(&topics_of(partition)->table, topic);
}

struct feeding {
    struct subscriber *subscriber;
    status status;
};

static bool visit_feed(void *context, str key, str value)
{
    struct feeding *feeding = context;
    struct subscriber *subscriber = feeding->subscriber;
    struct topic_event event;
    uint64_t sequence;
    if (!key_read_topic_sequence(key, &sequence)) {
        return true;
    }
    feeding->status = topic_event_decode(value, sequence, &event);
    if (!status_is_ok(feeding->status)) {
        return false;
    }
    assert(subscriber->at != NULL && sequence > subscriber->sequence);
    subscriber->sequence = sequence;
    if (subscriber->type.len > 0 && !str_equal(subscriber->type, event.type)) {
        return true;
    }
    subscriber->push(subscriber, &event);
    return !subscriber->stalls(subscriber);
}

void topic_feed(struct partition *partition, struct subscriber *subscriber)
{
    const struct topic *topic = subscriber->at;
    assert(topic != NULL);
    char prefix_bytes[KEY_BYTES_MAX];
    char from_bytes[KEY_BYTES_MAX];
    struct feeding feeding = {.subscriber = subscriber};
    if (subscriber->sequence + 1 < topic->row.first) { /* The others are dropped. */
        subscriber->sequence = topic->row.first - 1;
    }
    str from =
        key_topic(from_bytes, partition->options.space, topic->hash, subscriber->sequence + 1);
    str prefix = key_hash(prefix_bytes, partition->options.space, topic->hash);
    status read = STATUS_OK;
    if (subscriber->sequence < topic->row.last) {
        read = store_scan(&partition->store, STORE_TOPICS, prefix, from, false, CHUNK_EVENTS,
                          visit_feed, &feeding);
        read = status_is_ok(read) ? feeding.status : read;
    }
    if (status_is_ok(read) && subscriber->sequence >= topic->row.last &&
        !subscriber->has_caught_up) {
        subscriber->has_caught_up = true;
        subscriber->caught_up(subscriber);
    }
    bool is_done = subscriber->sequence >= topic->row.last && !subscriber->follows;
    if (is_done || !status_is_ok(read)) {
        struct failure failure = {
            .code = read.code, .reason = REASON_STORE_DAMAGED, .message = str_of(read.why)};
        detach(partition, subscriber);
        subscriber->end(subscriber, status_is_ok(read) ? NULL : &failure);
        return;
    }
    subscriber->is_stalled = subscriber->stalls(subscriber);
    topics_of(partition)->any_behind |=
        !subscriber->is_stalled && subscriber->sequence < topic->row.last;
}

/* When the event was published. */
static status read_time(struct partition *partition, const struct topic *topic, uint64_t sequence,
                        uint64_t *ret_ms)
{
    char key[KEY_BYTES_MAX];
    str value;
    struct topic_event event;
    status read = store_get(&partition->store, STORE_TOPICS,
                            key_topic(key, partition->options.space, topic->hash, sequence),
                            &partition->scratch, &value);
    read = status_is_ok(read) ? topic_event_decode(value, sequence, &event) : read;
    *ret_ms = status_is_ok(read) ? event.created_ms : 0;
    arena_reset(&partition->scratch);
    return read;
}

/* The last event up to that time, found by halving. */
static status find_time(struct partition *partition, const struct topic *topic, uint64_t time_ms,
                        uint64_t *ret)
{
    assert(time_ms > 0 && topic->row.first > 0);
    uint64_t low = topic->row.first - 1; /* Up to that time, ... */
    uint64_t high = topic->row.last + 1; /* ... and after it. */
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        uint64_t created_ms;
        TRY(read_time(partition, topic, middle, &created_ms));
        *(created_ms <= time_ms ? &low : &high) = middle;
    }
    assert(low <= topic->row.last);
    *ret = low;
    return STATUS_OK;
}

static status find_start(struct partition *partition, const struct topic *topic,
                         struct subscriber *subscriber)
{
    if (subscriber->sequence == UINT64_MAX) {
        subscriber->sequence = topic->row.last;
    }
    return subscriber->after_ms == 0
               ? STATUS_OK
               : find_time(partition, topic, subscriber->after_ms, &subscriber->sequence);
}

static void handle_subscribe(struct partition *partition, struct request *request)
{
    struct subscribe_request *subscribe = subscribe_request(request);
    struct subscriber *subscriber = subscribe->subscriber;
    uint8_t hash[16];
    struct topic *topic;
    assert(subscriber->at == NULL);
    topic_hash(subscribe->topic, hash);
    status found = topic_find(partition, hash, &topic);
    found = status_is_ok(found) ? find_start(partition, topic, subscriber) : found;
    if (!status_is_ok(found)) {
        request_fail(partition, request, found.code, REASON_STORE_DAMAGED, found.why);
        return;
    }
    subscriber->at = topic;
    subscriber->next = topic->subscribers;
    topic->subscribers = subscriber;
    topic_table_settle(&topics_of(partition)->table, topic);
    request_answer(partition, request, NULL);
    topic_feed(partition, subscriber);
}

static void handle_more(struct partition *partition, struct request *request)
{
    struct subscriber *subscriber = subscribe_request(request)->subscriber;
    if (subscriber->at != NULL) {
        topic_feed(partition, subscriber);
    }
    request_answer(partition, request, NULL);
}

static void handle_end(struct partition *partition, struct request *request)
{
    struct subscriber *subscriber = subscribe_request(request)->subscriber;
    if (subscriber->at != NULL) {
        detach(partition, subscriber);
    }
    request_answer(partition, request, NULL);
}

const struct operation subscribe_operation = {
    .name = "subscribe",
    .request_bytes = sizeof(struct subscribe_request),
    .is_read = true,
    .handle = handle_subscribe,
};
const struct operation subscribe_more_operation = {
    .name = "subscribe_more",
    .request_bytes = sizeof(struct subscribe_request),
    .is_read = true,
    .handle = handle_more,
};
const struct operation subscribe_end_operation = {
    .name = "subscribe_end",
    .request_bytes = sizeof(struct subscribe_request),
    .is_read = true,
    .handle = handle_end,
};

void topic_end_subscribers(struct topic *topic)
{
    struct failure failure =
        failure_make(CODE_UNAVAILABLE, REASON_SHUTTING_DOWN,
                     STR("the server is shutting down; subscribe again in a moment"));
    while (topic->subscribers != NULL) {
        struct subscriber *subscriber = topic->subscribers;
        assert(subscriber->at == topic);
        topic->subscribers = subscriber->next;
        subscriber->at = NULL;
        subscriber->end(subscriber, &failure);
    }
}
