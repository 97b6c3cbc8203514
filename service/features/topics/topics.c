/*
 * topics: events by topic: numbered, kept, awaited, followed.
 *
 * An event is a row under its topic and sequence. Who awaits a topic, or the events of one type in
 * it, is an index row that says from which sequence on, so a wake-up is never a fact that could be
 * lost: it follows from the rows, and after a restart every row is looked at once. An event is
 * looked at only for those who await its topic or its type there, and they look at it first.
 */
#include "service/features/topics/topics.h"

#include <stdlib.h>

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
    PASSED_MANY = 256, /* Events that a wait has passed, for its row to be moved behind them. */
};

static_assert(sizeof(((struct topic *)0)->hash) == KEY_HASH_BYTES, "a topic's hash is its key");
static_assert(offsetof(struct subscribe_request, request) == 0, "a request begins its struct");

struct topics {
    struct partition *partition;
    void (*news)(void *context, const uint8_t topic[16]); /* NULL: nobody listens. */
    void *news_context;
    struct topic_table table;
    struct topic_table types; /* The events of one type in a topic: who awaits them, no more. */
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
    return STATUS_OK;
}

static struct topic *type_find(struct partition *partition, const uint8_t hash[16])
{
    struct topic_table *types = &topics_of(partition)->types;
    struct topic *type = topic_table_find(types, hash);
    if (type == NULL) {
        type = topic_table_add(types, hash);
        type->is_type = true;
    }
    return type;
}

static void settle(struct partition *partition, struct topic *topic)
{
    struct topics *topics = topics_of(partition);
    topic_table_settle(topic->is_type ? &topics->types : &topics->table, topic);
}

/* From that sequence on, there is something in it that nobody was woken for. */
static void look_at(struct partition *partition, struct topic *topic, uint64_t from)
{
    topic->is_new = true;
    topic->new_from = from < topic->new_from ? from : topic->new_from;
    topics_of(partition)->any_new = true;
    settle(partition, topic);
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

/* The row of who awaits the topic, or a type of its events. */
static str await_key(const struct partition *partition, char ret[KEY_BYTES_MAX],
                     const struct live_wait *wait, uuid run)
{
    bool is_type = wait->event_type.len > 0;
    uint8_t type[16];
    if (is_type) {
        topic_type_hash(wait->topic, wait->event_type, type);
    }
    struct index_tail tail = await_row_tail(is_type ? type : wait->topic, run, wait->effect);
    return key_index(ret, partition->options.space, is_type ? INDEX_AWAIT_TYPE : INDEX_AWAIT,
                     index_tail_str(&tail));
}

/* It sees what is published after that sequence. */
static void put_await(struct partition *partition, const struct live_wait *wait, uuid run,
                      uint64_t after)
{
    char key[KEY_BYTES_MAX];
    struct buf value = {0};
    await_row_encode(&(struct await_row){.after = after}, &value);
    store_batch_put(&partition->batch, STORE_INDEX, await_key(partition, key, wait, run),
                    buf_str(&value));
    buf_fini(&value);
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
        look_at(partition, topic, topic->last);
        if (event.type.len > 0) {
            uint8_t type[16];
            topic_type_hash(hash, event.type, type);
            look_at(partition, type_find(partition, type), topic->last);
        }
        store_batch_put(&partition->batch, STORE_TOPICS,
                        key_topic(key, partition->options.space, hash, topic->last),
                        buf_str(&partition->packed));
        if (i == 0) {
            *ret_first = topic->last;
        }
    }
    return STATUS_OK;
}

struct match {
    struct arena *arena;
    str type; /* Empty: any. */
    str json; /* The event; empty: none was found. */
    uint64_t seen; /* The sequence of the last that was looked at. */
    size_t passed; /* Events. */
};

static bool match_type(void *context, const struct topic_event *event)
{
    struct match *match = context;
    assert(match->json.len == 0); /* The first that matches is the last that is looked at. */
    bool matches = match->type.len == 0 || str_equal(match->type, event->type);
    match->seen = event->sequence;
    if (matches) {
        match->json = topic_render(event, match->arena);
    } else {
        match->passed++;
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

/* A row from before types had their own: among those of the topic, though it awaits a type. The
 * run may have ended its wait without it, too. */
static bool is_misplaced(const struct topic *topic, const struct live_wait *wait)
{
    return !topic->is_type && wait->event_type.len > 0;
}

static void delete_await(struct partition *partition, const struct await_row *awaiting)
{
    char key[KEY_BYTES_MAX];
    struct index_tail tail = await_row_tail(awaiting->topic, awaiting->run, awaiting->effect);
    store_batch_delete(
        &partition->batch, STORE_INDEX,
        key_index(key, partition->options.space, INDEX_AWAIT, index_tail_str(&tail)));
}

static void move_to_type(struct partition *partition, const struct live_wait *wait,
                         const struct await_row *awaiting)
{
    uint8_t hash[16];
    delete_await(partition, awaiting);
    put_await(partition, wait, awaiting->run, awaiting->after);
    topic_type_hash(wait->topic, wait->event_type, hash);
    struct topic *type = type_find(partition, hash);
    note_await(type, awaiting->run, awaiting->effect);
    look_at(partition, type, 0);
}

/* The first event that it awaits, if there is one; those before `topic->wake_from` it has seen. */
static status find_event(struct partition *partition, const struct topic *topic,
                         const struct live_wait *wait, const struct await_row *awaiting,
                         struct match *ret)
{
    uint64_t after = awaiting->after;
    after = after + 1 < topic->wake_from ? topic->wake_from - 1 : after;
    *ret = (struct match){.arena = &partition->round_arena, .type = wait->event_type};
    TRY(topic_visit(partition, wait->topic, after, match_type, ret));
    if (ret->json.len == 0 && ret->passed >= PASSED_MANY) {
        put_await(partition, wait, awaiting->run, ret->seen);
    }
    return STATUS_OK;
}

static status wake(struct partition *partition, const struct topic *topic,
                   const struct await_row *awaiting, bool *ret_woken)
{
    *ret_woken = false;
    struct live_run *run;
    const struct live_wait *wait;
    status found = runs_get(partition, awaiting->run, &run);
    if (found.code == CODE_DATA_LOSS) {
        return STATUS_OK; /* It is set apart, and rests; the others that await it do not. */
    }
    TRY(found);
    if (engine_effect(&run->state, awaiting->effect) == NULL) {
        if (!topic->is_type) {
            delete_await(partition, awaiting); /* Its wait may have looked for it elsewhere. */
        }
        return STATUS_OK;
    }
    TRY(wait_find(partition, run, awaiting->effect, &wait));
    assert(wait->effect == awaiting->effect);
    if (is_misplaced(topic, wait)) {
        move_to_type(partition, wait, awaiting);
        return STATUS_OK;
    }
    struct match match;
    TRY(find_event(partition, topic, wait, awaiting, &match));
    if (match.json.len == 0) {
        return STATUS_OK;
    }
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
    enum index_kind kind = topic->is_type ? INDEX_AWAIT_TYPE : INDEX_AWAIT;
    struct index_tail tail = await_rows_of(topic->hash);
    wakes.count = 0;
    assert(topic->is_busy);
    TRY(store_scan(&partition->store, STORE_INDEX,
                   key_index(prefix, space, kind, index_tail_str(&tail)),
                   key_index(from, space, kind, index_tail_str(&topic->wake_at)), false, SIZE_MAX,
                   visit_await, &wakes));
    for (size_t i = 0; i < wakes.count; i++) {
        bool is_woken;
        TRY(wake(partition, topic, &wakes.list[i], &is_woken));
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
        topic->wake_from = topic->new_from;
        topic->awaits_from = awaits_end(topic->hash);
        topic->new_from = UINT64_MAX;
        topic->is_new = false;
    }
    status woken = wake_chunk(partition, topic);
    if (!status_is_ok(woken)) {
        topic->awaits_from = await_rows_of(topic->hash);
        topic->new_from = 0;
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
    if (topic->is_new && !topic->is_waking && !topic->is_type) {
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
    settle(partition, topic);
}

static void work_on_all(struct partition *partition, struct topic_table *table)
{
    struct topic *next;
    for (struct topic *topic = table->busy.oldest; topic != NULL; topic = next) {
        next = topic->newer;
        work_on(partition, topic);
    }
}

/* Before this round's requests: everything published so far is committed. */
static void begin_round(void *self)
{
    struct topics *topics = self;
    topic_table_trim(&topics->table);
    topic_table_trim(&topics->types);
    if (!topics->any_new && !topics->any_behind) {
        return;
    }
    topics->any_new = false;
    topics->any_behind = false;
    work_on_all(topics->partition, &topics->types); /* First: a row that moves there is not
                                                         committed yet. */
    work_on_all(topics->partition, &topics->table);
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
    if (!topic->is_type) {
        status read = read_last(partition, topic->hash, &topic->last);
        (void)read; /* The next publication meets the same damage, and says so. */
    }
    look_at(partition, topic, 0); /* Whoever was woken in that round was not. */
}

static void doubt_all(struct partition *partition, struct topic_table *table)
{
    for (struct topic *topic = table->busy.oldest; topic != NULL; topic = topic->newer) {
        doubt(partition, topic);
    }
    while (table->idle.oldest != NULL) {
        struct topic *topic = table->idle.oldest;
        doubt(partition, topic);
        assert(topic->is_busy); /* So the loop ends. */
    }
}

static void failed(void *self)
{
    struct topics *topics = self;
    doubt_all(topics->partition, &topics->table);
    doubt_all(topics->partition, &topics->types);
}

static bool visit_topic_of_await(void *context, str key, str value)
{
    (void)value;
    struct partition *partition = context;
    str tail;
    struct topic *topic;
    if (key_read_index(key, &tail) && tail.len >= 16 &&
        status_is_ok(topic_find(partition, (const uint8_t *)tail.ptr, &topic))) {
        look_at(partition, topic, 0);
    }
    return true;
}

static bool visit_type_of_await(void *context, str key, str value)
{
    (void)value;
    struct partition *partition = context;
    str tail;
    if (key_read_index(key, &tail) && tail.len >= 16) {
        look_at(partition, type_find(partition, (const uint8_t *)tail.ptr), 0);
    }
    return true;
}

static status load(void *self)
{
    char key[KEY_BYTES_MAX];
    struct partition *partition = ((struct topics *)self)->partition;
    struct key_space space = partition->options.space;
    TRY(store_scan(&partition->store, STORE_INDEX, key_index(key, space, INDEX_AWAIT, STR_EMPTY),
                   STR_EMPTY, false, SIZE_MAX, visit_topic_of_await, partition));
    return store_scan(&partition->store, STORE_INDEX,
                      key_index(key, space, INDEX_AWAIT_TYPE, STR_EMPTY), STR_EMPTY, false,
                      SIZE_MAX, visit_type_of_await, partition);
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
    step->command.step_request.due_ms = step->due_ms;
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
    uint64_t last = 0;
    struct topic *topic;
    status found = topic_find(partition, wait->topic, &topic);
    assert(status_is_ok(found) || found.code == CODE_DATA_LOSS);
    if (status_is_ok(found)) {
        last = topic->last;
        uint8_t type[16];
        topic_type_hash(wait->topic, wait->event_type, type);
        topic = wait->event_type.len > 0 ? type_find(partition, type) : topic;
        note_await(topic, run->state.id, wait->effect);
    }
    put_await(partition, wait, run->state.id, last);
}

static void delete_row(struct partition *partition, struct live_run *run,
                       const struct effect *effect)
{
    const struct live_wait *wait;
    assert(effect->kind == EFFECT_EVENT);
    if (status_is_ok(wait_find(partition, run, effect->id, &wait))) {
        char key[KEY_BYTES_MAX];
        store_batch_delete(&partition->batch, STORE_INDEX,
                           await_key(partition, key, wait, run->state.id));
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
    topic_table_init(&topics->types);
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
    topic_table_fini(&topics->types);
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
