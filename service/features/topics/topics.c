/*
 * topics: events by topic: numbered, kept, awaited, followed.
 *
 * An event is a row under its topic and sequence. Who awaits a topic is an index row that says from
 * which sequence on, so a wake-up is never a fact that could be lost: it follows from the rows, and
 * after a restart every row is looked at once.
 */
#include "service/features/topics/topics.h"

#include <stdlib.h>

#include "service/base/hash.h"
#include "service/base/json.h"
#include "service/base/json_writer.h"
#include "service/base/sys.h"
#include "service/codec/topic_rows.h"
#include "service/codec/wait_rows.h"
#include "service/features/topics/topic_table.h"
#include "service/features/waits/wait_kind.h"
#include "service/partition/commands.h"
#include "service/partition/state.h"

enum {
    WAKES_MAX = 1024, /* Waits of one topic looked at per round. */
    CHUNK_EVENTS = 256, /* Pushed to a subscriber per round. */
};

static_assert(sizeof(((struct topic *)0)->hash) == KEY_HASH_BYTES, "a topic's hash is its key");
static_assert(offsetof(struct subscribe_request, request) == 0, "a request begins its struct");

struct topics {
    struct partition *partition;
    void (*news)(void *context, const uint8_t topic[16]); /* NULL: nobody listens. */
    void *news_context;
    struct topic_table table;
    bool any_new;
    bool any_behind; /* A subscriber has more to read. */
};

static struct topics *topics_of(const struct partition *partition)
{
    return partition_self(partition, &topics_feature);
}

void topics_listen(struct partition *partition,
                   void (*news)(void *context, const uint8_t topic[16]), void *context)
{
    struct topics *topics = topics_of(partition);
    assert(topics->news == NULL && news != NULL);
    topics->news = news;
    topics->news_context = context;
}

void topic_hash(str topic, uint8_t ret[16])
{
    hash128(topic, ret);
}

static bool visit_last(void *context, str key, str value)
{
    (void)value;
    return key_read_topic_sequence(key, context) && false;
}

static status read_last(struct partition *partition, const uint8_t hash[16], uint64_t *ret)
{
    char key[KEY_BYTES_MAX];
    str prefix = key_topic(key, partition->options.space, hash, 0);
    prefix.len -= 8;
    *ret = 0;
    return store_scan(&partition->store, STORE_TOPICS, prefix, STR_EMPTY, true, 1, visit_last, ret);
}

static status topic_find(struct partition *partition, const uint8_t hash[16], struct topic **ret)
{
    struct topic_table *table = &topics_of(partition)->table;
    uint64_t last;
    *ret = topic_table_find(table, hash);
    if (*ret != NULL) {
        return STATUS_OK;
    }
    TRY(read_last(partition, hash, &last));
    *ret = topic_table_add(table, hash);
    (*ret)->last = last;
    (*ret)->awaits_from = await_rows_of(hash);
    return STATUS_OK;
}

/* There is something in it that nobody was woken for. */
static void look_at(struct partition *partition, struct topic *topic)
{
    topic->is_new = true;
    topics_of(partition)->any_new = true;
    topic_table_settle(&topics_of(partition)->table, topic);
    assert(topic->is_busy);
}

status topic_last(struct partition *partition, str name, uint64_t *ret)
{
    uint8_t hash[16];
    struct topic *topic;
    topic_hash(name, hash);
    TRY(topic_find(partition, hash, &topic));
    *ret = topic->last;
    return STATUS_OK;
}

static void note_await(struct topic *topic, uuid run, uint32_t effect)
{
    struct index_tail row = await_row_tail(topic->hash, run, effect);
    assert(row.len >= topic->awaits_from.len && topic->awaits_from.len > 0);
    if (memcmp(row.bytes, topic->awaits_from.bytes, topic->awaits_from.len) < 0) {
        topic->awaits_from = row;
    }
}

static status topic_await(struct partition *partition, const uint8_t hash[16], uuid run,
                          uint32_t effect, uint64_t *ret_last)
{
    struct topic *topic;
    TRY(topic_find(partition, hash, &topic));
    note_await(topic, run, effect);
    *ret_last = topic->last;
    return STATUS_OK;
}

status topic_publish(struct partition *partition, const struct topic_event *events, size_t count,
                     uint64_t *ret_first)
{
    assert(count > 0);
    for (size_t i = 0; i < count; i++) {
        uint8_t hash[16];
        struct topic *topic;
        char key[KEY_BYTES_MAX];
        topic_hash(events[i].topic, hash);
        TRY(topic_find(partition, hash, &topic));
        struct topic_event event = events[i];
        event.created_ms = partition->now_ms;
        buf_reset(&partition->packed);
        topic_event_encode(&event, &partition->packed);
        topic->last++;
        look_at(partition, topic);
        store_batch_put(&partition->batch, STORE_TOPICS,
                        key_topic(key, partition->options.space, hash, topic->last),
                        buf_str(&partition->packed));
        if (i == 0) {
            *ret_first = topic->last;
        }
    }
    return STATUS_OK;
}

str topic_render(const struct topic_event *event, struct arena *arena)
{
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    json_begin_object(&writer, NULL);
    json_put_u64(&writer, "sequence", event->sequence);
    json_put_string(&writer, "topic", event->topic);
    json_put_string(&writer, "event_type", event->type);
    json_put_raw(&writer, "data", event->data);
    json_put_u64(&writer, "created_at_ms", event->created_ms);
    if (uuid_is_zero(event->run)) {
        json_put_string(&writer, "run_id", STR_EMPTY);
    } else {
        json_put_uuid(&writer, "run_id", event->run);
    }
    json_end_object(&writer);
    return buf_finish(&text, arena);
}

struct visiting {
    bool (*each)(void *context, const struct topic_event *event);
    void *context;
    status status;
};

static bool visit_one(void *context, str key, str value)
{
    struct visiting *visiting = context;
    struct topic_event event;
    uint64_t sequence;
    if (!key_read_topic_sequence(key, &sequence)) {
        return true;
    }
    visiting->status = topic_event_decode(value, sequence, &event);
    return status_is_ok(visiting->status) && visiting->each(visiting->context, &event);
}

status topic_visit(struct partition *partition, const uint8_t hash[16], uint64_t after,
                   bool (*each)(void *context, const struct topic_event *event), void *context)
{
    assert(each != NULL);
    char prefix_bytes[KEY_BYTES_MAX];
    char from_bytes[KEY_BYTES_MAX];
    struct visiting visiting = {.each = each, .context = context};
    str from = key_topic(from_bytes, partition->options.space, hash, after + 1);
    str prefix = key_topic(prefix_bytes, partition->options.space, hash, 0);
    prefix.len -= 8;
    TRY(store_scan(&partition->store, STORE_TOPICS, prefix, from, false, SIZE_MAX, visit_one,
                   &visiting));
    return visiting.status;
}

struct match {
    struct arena *arena;
    str type; /* Empty: any. */
    str json; /* The event; empty: none was found. */
};

static bool match_type(void *context, const struct topic_event *event)
{
    struct match *match = context;
    assert(match->json.len == 0); /* The first that matches is the last that is looked at. */
    bool matches = match->type.len == 0 || str_equal(match->type, event->type);
    if (matches) {
        match->json = topic_render(event, match->arena);
    }
    return !matches;
}

struct wakes {
    struct await_row list[WAKES_MAX];
    size_t count;
};

static bool visit_await(void *context, str key, str value)
{
    struct wakes *wakes = context;
    assert(wakes->count <= WAKES_MAX);
    if (wakes->count == WAKES_MAX) {
        return false;
    }
    str tail;
    if (key_read_index(key, &tail) &&
        status_is_ok(await_row_decode(tail, value, &wakes->list[wakes->count]))) {
        wakes->count++;
    }
    return true;
}

static struct index_tail awaits_end(const uint8_t hash[16])
{
    uuid last;
    memset(last.bytes, 0xff, sizeof(last.bytes));
    return await_row_tail(hash, last, UINT32_MAX);
}

static status wake(struct partition *partition, const uint8_t hash[16],
                   const struct await_row *awaiting, bool *ret_woken)
{
    *ret_woken = false;
    struct live_run *run;
    const struct live_wait *wait;
    TRY(runs_get(partition, awaiting->run, &run));
    if (engine_effect(&run->state, awaiting->effect) == NULL) {
        return STATUS_OK;
    }
    TRY(wait_find(partition, run, awaiting->effect, &wait));
    struct match match = {.arena = &partition->round_arena, .type = wait->event_type};
    TRY(topic_visit(partition, hash, awaiting->after, match_type, &match));
    if (match.json.len == 0) {
        return STATUS_OK;
    }
    assert(wait->effect == awaiting->effect);
    struct command command = {
        .kind = COMMAND_WAIT_DONE,
        .effect = awaiting->effect,
        .wait_done = {.outcome = {.value = match.json}},
    };
    *ret_woken = command_submit(partition, run, &command) == VERDICT_OK;
    return STATUS_OK; /* It may have ended by its timeout, in this very round. */
}

static status wake_chunk(struct partition *partition, struct topic *topic)
{
    static struct wakes wakes;
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    struct index_tail tail = await_rows_of(topic->hash);
    wakes.count = 0;
    assert(topic->is_busy);
    TRY(store_scan(&partition->store, STORE_INDEX,
                   key_index(prefix, space, INDEX_AWAIT, index_tail_str(&tail)),
                   key_index(from, space, INDEX_AWAIT, index_tail_str(&topic->wake_at)), false,
                   SIZE_MAX, visit_await, &wakes));
    for (size_t i = 0; i < wakes.count; i++) {
        bool is_woken;
        TRY(wake(partition, topic->hash, &wakes.list[i], &is_woken));
        if (!is_woken) {
            note_await(topic, wakes.list[i].run, wakes.list[i].effect);
        }
    }
    topic->is_waking = wakes.count == WAKES_MAX;
    if (topic->is_waking) {
        const struct await_row *last = &wakes.list[WAKES_MAX - 1];
        topic->wake_at = await_row_tail(topic->hash, last->run, last->effect + 1);
    }
    return STATUS_OK;
}

/* Every wait of the topic is looked at once, some of them a round; what was woken is deleted with
 * the round's batch. Rows of waits that are over are costly to pass until the store has dropped
 * them. Events that come meanwhile are looked at when all have had their look. */
static void wake_topic(struct partition *partition, struct topic *topic)
{
    if (!topic->is_waking) {
        topic->wake_at = topic->awaits_from;
        topic->awaits_from = awaits_end(topic->hash);
        topic->is_new = false;
    }
    status woken = wake_chunk(partition, topic);
    if (!status_is_ok(woken)) {
        topic->awaits_from = await_rows_of(topic->hash);
        topic->is_waking = false;
        log_line(LOG_ERROR, "topic_unreadable", "why=\"%s\"", woken.why);
    }
}

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
    subscriber->push(subscriber, &event);
    subscriber->sequence = sequence;
    return !subscriber->stalls(subscriber);
}

/* A chunk of what the subscriber has not seen. */
static void feed(struct partition *partition, struct subscriber *subscriber)
{
    const struct topic *topic = subscriber->at;
    assert(topic != NULL);
    char prefix_bytes[KEY_BYTES_MAX];
    char from_bytes[KEY_BYTES_MAX];
    struct feeding feeding = {.subscriber = subscriber};
    str from =
        key_topic(from_bytes, partition->options.space, topic->hash, subscriber->sequence + 1);
    str prefix = key_topic(prefix_bytes, partition->options.space, topic->hash, 0);
    prefix.len -= 8;
    status read = STATUS_OK;
    if (subscriber->sequence < topic->last) {
        read = store_scan(&partition->store, STORE_TOPICS, prefix, from, false, CHUNK_EVENTS,
                          visit_feed, &feeding);
        read = status_is_ok(read) ? feeding.status : read;
    }
    bool is_done = subscriber->sequence >= topic->last && !subscriber->follows;
    if (is_done || !status_is_ok(read)) {
        struct failure failure = {
            .code = read.code, .reason = REASON_STORE_DAMAGED, .message = str_of(read.why)};
        detach(partition, subscriber);
        subscriber->end(subscriber, status_is_ok(read) ? NULL : &failure);
        return;
    }
    subscriber->is_stalled = subscriber->stalls(subscriber);
    topics_of(partition)->any_behind |=
        !subscriber->is_stalled && subscriber->sequence < topic->last;
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
    if (!status_is_ok(found)) {
        request_fail(partition, request, found.code, REASON_STORE_DAMAGED, found.why);
        return;
    }
    if (subscriber->sequence == UINT64_MAX) {
        subscriber->sequence = topic->last;
    }
    subscriber->at = topic;
    subscriber->next = topic->subscribers;
    topic->subscribers = subscriber;
    topic_table_settle(&topics_of(partition)->table, topic);
    request_answer(partition, request, NULL);
    feed(partition, subscriber);
}

static void handle_more(struct partition *partition, struct request *request)
{
    struct subscriber *subscriber = subscribe_request(request)->subscriber;
    if (subscriber->at != NULL) {
        feed(partition, subscriber);
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

static void work_on(struct partition *partition, struct topic *topic)
{
    if (topic->is_new && !topic->is_waking) {
        struct topics *topics = topics_of(partition);
        if (topics->news != NULL) {
            topics->news(topics->news_context, topic->hash);
        }
    }
    if (topic->is_new || topic->is_waking) {
        assert(topic->is_busy);
        wake_topic(partition, topic);
    }
    topics_of(partition)->any_new |= topic->is_new || topic->is_waking;
    struct subscriber *next;
    for (struct subscriber *s = topic->subscribers; s != NULL; s = next) {
        next = s->next;
        if (!s->is_stalled) {
            feed(partition, s);
        }
    }
    topic_table_settle(&topics_of(partition)->table, topic);
}

/* Before this round's requests: everything published so far is committed. */
static void begin_round(void *self)
{
    struct topics *topics = self;
    topic_table_trim(&topics->table);
    if (!topics->any_new && !topics->any_behind) {
        return;
    }
    topics->any_new = false;
    topics->any_behind = false;
    struct topic *next;
    for (struct topic *topic = topics->table.busy.oldest; topic != NULL; topic = next) {
        next = topic->newer;
        work_on(topics->partition, topic);
    }
}

size_t topics_count(const struct partition *partition)
{
    return topic_table_count(&topics_of(partition)->table);
}

static uint64_t next_due_ms(void *self)
{
    const struct topics *topics = self;
    return topics->any_new || topics->any_behind ? topics->partition->now_ms : 0;
}

static void doubt(struct partition *partition, struct topic *topic)
{
    topic->is_waking = false;
    topic->awaits_from = await_rows_of(topic->hash);
    status read = read_last(partition, topic->hash, &topic->last);
    (void)read; /* The next publication meets the same damage, and says so. */
    look_at(partition, topic); /* Whoever was woken in that round was not. */
}

static void failed(void *self)
{
    struct topics *topics = self;
    struct partition *partition = topics->partition;
    struct topic_table *table = &topics->table;
    for (struct topic *topic = table->busy.oldest; topic != NULL; topic = topic->newer) {
        doubt(partition, topic);
    }
    while (table->idle.oldest != NULL) {
        struct topic *topic = table->idle.oldest;
        doubt(partition, topic);
        assert(topic->is_busy); /* So the loop ends. */
    }
}

static bool visit_topic_of_await(void *context, str key, str value)
{
    (void)value;
    struct partition *partition = context;
    str tail;
    struct topic *topic;
    if (key_read_index(key, &tail) && tail.len >= 16 &&
        status_is_ok(topic_find(partition, (const uint8_t *)tail.ptr, &topic))) {
        look_at(partition, topic);
    }
    return true;
}

static status load(void *self)
{
    char key[KEY_BYTES_MAX];
    struct partition *partition = ((struct topics *)self)->partition;
    return store_scan(&partition->store, STORE_INDEX,
                      key_index(key, partition->options.space, INDEX_AWAIT, STR_EMPTY), STR_EMPTY,
                      false, SIZE_MAX, visit_topic_of_await, partition);
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

/* ---- What the code of a task asks for. ---- */

static void prepare_await(struct step_request *step)
{
    const struct host_step_request *wanted = &step->message->step_request;
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "topic", wanted->topic);
    json_put_string(&writer, "event_type", wanted->event_type);
    json_end_object(&writer);
    assert(wanted->kind == STEP_REQUEST_EVENT);
    step->command.step_request.kind = EFFECT_EVENT;
    step->command.step_request.data = buf_finish(&text, step->arena);
    step->command.step_request.due_ms = wanted->due_ms;
}

static void prepare_publish(struct step_request *step)
{
    const struct host_step_request *wanted = &step->message->step_request;
    assert(wanted->kind == STEP_REQUEST_PUBLISH);
    struct topic_event event = {
        .topic = wanted->topic,
        .type = wanted->event_type,
        .data = wanted->data,
        .run = step->run->state.id,
    };
    uint64_t sequence = 0;
    status published = topic_publish(step->partition, &event, 1, &sequence);
    if (!status_is_ok(published)) {
        step_request_refuse(step, reason_name(REASON_STORE_DAMAGED), str_of(published.why));
        return;
    }
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    json_begin_object(&writer, NULL);
    json_put_u64(&writer, "sequence", sequence);
    json_end_object(&writer);
    step_request_settle(step, (struct outcome){.value = buf_finish(&text, step->arena)});
}

/* A wait for an event sees what is published after it began. */
static void put_row(struct partition *partition, struct live_run *run, const struct live_wait *wait,
                    const struct event *event)
{
    assert(event->wait_set.kind == EFFECT_EVENT && event->effect == wait->effect);
    char key[KEY_BYTES_MAX];
    struct buf value = {0};
    struct await_row row = {0};
    struct index_tail tail = await_row_tail(wait->topic, run->state.id, wait->effect);
    status found = topic_await(partition, wait->topic, run->state.id, wait->effect, &row.after);
    assert(status_is_ok(found) || found.code == CODE_DATA_LOSS);
    await_row_encode(&row, &value);
    store_batch_put(&partition->batch, STORE_INDEX,
                    key_index(key, partition->options.space, INDEX_AWAIT, index_tail_str(&tail)),
                    buf_str(&value));
    buf_fini(&value);
}

static void delete_row(struct partition *partition, struct live_run *run,
                       const struct effect *effect)
{
    const struct live_wait *wait;
    assert(effect->kind == EFFECT_EVENT);
    if (status_is_ok(wait_find(partition, run, effect->id, &wait))) {
        char key[KEY_BYTES_MAX];
        struct index_tail tail = await_row_tail(wait->topic, run->state.id, effect->id);
        store_batch_delete(
            &partition->batch, STORE_INDEX,
            key_index(key, partition->options.space, INDEX_AWAIT, index_tail_str(&tail)));
    }
}

static const struct wait_kind await_kind = {
    .request = STEP_REQUEST_EVENT,
    .kind = EFFECT_EVENT,
    .prepare = prepare_await,
    .set = put_row,
    .over = delete_row,
};
static const struct wait_kind publish_kind = {
    .request = STEP_REQUEST_PUBLISH, .kind = EFFECT_AT_ONCE, .prepare = prepare_publish};

static void *start(struct partition *partition)
{
    struct topics *topics = xcalloc(1, sizeof(*topics));
    topics->partition = partition;
    topic_table_init(&topics->table);
    return topics;
}

static void end_subscribers(struct topic *topic)
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

static void stop(void *self)
{
    struct topics *topics = self;
    for (struct topic *it = topics->table.busy.oldest; it != NULL; it = it->newer) {
        end_subscribers(it);
    }
    topic_table_fini(&topics->table);
    free(topics);
}

static const struct wait_kind *const kinds[] = {&await_kind, &publish_kind, NULL};
static const struct feature *const uses[] = {&waits_feature, NULL};

const struct feature topics_feature = {
    .name = "topics",
    .uses = uses,
    .wait_kinds = kinds,
    .start = start,
    .load = load,
    .at = {[ROUND_BEGINS] = begin_round, [ROUND_FAILED] = failed},
    .next_due_ms = next_due_ms,
    .stop = stop,
};
