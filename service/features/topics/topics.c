/*
 * topics: events by topic: numbered, kept, awaited, followed.
 *
 * An event is a row under its topic and sequence. Who awaits a topic, or the events of one type in
 * it, is an index row that says from which sequence on, so a wake-up is never a fact that could be
 * lost: it follows from the rows, and after a restart every row is looked at once. An event is
 * looked at only for those who await its topic or its type there, and they look at it first. How
 * far all have looked is noted now and then, so that a start finds little left to look at.
 */
#include "service/features/topics/topics.h"

#include <stdlib.h>

#include "service/base/sys.h"
#include "service/codec/wait_rows.h"
#include "service/features/owed/owed.h"
#include "service/features/topics/topic_state.h"
#include "service/partition/commands.h"
#include "service/partition/round.h"

enum {
    WAKES_MAX = 1024, /* Waits of one topic looked at per round. */
    LOOKS_MAX = 16 * 1024, /* Events looked at per round for those who await. */
    LOOKED_MANY = 256, /* Events, for a note that they were looked at. */
};

static_assert(sizeof(((struct topic *)0)->hash) == KEY_HASH_BYTES, "a topic's hash is its key");

struct topics *topics_of(const struct partition *partition)
{
    return partition_self(partition, &topics_feature);
}

void topics_listen(struct partition *partition, const struct topic_listener *listener,
                   void *context)
{
    struct topics *topics = topics_of(partition);
    assert(topics->listener == NULL && listener != NULL);
    topics->listener = listener;
    topics->listener_context = context;
}

status topic_find(struct partition *partition, const uint8_t hash[16], struct topic **ret)
{
    struct topic_table *table = &topics_of(partition)->table;
    struct topic_row row;
    *ret = topic_table_find(table, hash);
    if (*ret != NULL) {
        return STATUS_OK;
    }
    TRY(topic_read(partition, hash, &row));
    *ret = topic_table_add(table, hash);
    (*ret)->row = row;
    return STATUS_OK;
}

struct topic *topic_type_find(struct partition *partition, const uint8_t hash[16])
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
    *ret = topic->row.last;
    return STATUS_OK;
}

void topic_note_await(struct topic *topic, uuid run, uint32_t effect)
{
    struct index_tail row = await_row_tail(topic->hash, run, effect);
    assert(row.len >= topic->awaits_from.len && topic->awaits_from.len > 0);
    if (memcmp(row.bytes, topic->awaits_from.bytes, topic->awaits_from.len) < 0) {
        topic->awaits_from = row;
    }
}

str topic_await_key(const struct partition *partition, char ret[KEY_BYTES_MAX],
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

void topic_put_await(struct partition *partition, const struct live_wait *wait, uuid run,
                     uint64_t after)
{
    char key[KEY_BYTES_MAX];
    struct buf value = {0};
    await_row_encode(&(struct await_row){.after = after}, &value);
    store_batch_put(&partition->batch, STORE_INDEX, topic_await_key(partition, key, wait, run),
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
        topic_list(partition, topic, event.topic);
        buf_reset(&partition->packed);
        topic_event_encode(&event, &partition->packed);
        topic->row.last++;
        look_at(partition, topic, topic->row.last);
        if (event.type.len > 0) {
            uint8_t type[16];
            topic_type_hash(hash, event.type, type);
            look_at(partition, topic_type_find(partition, type), topic->row.last);
        }
        store_batch_put(&partition->batch, STORE_TOPICS,
                        key_topic(key, partition->options.space, hash, topic->row.last),
                        buf_str(&partition->packed));
        topic_show(partition, hash, topic->row.last, buf_str(&partition->packed));
        if (i == 0) {
            *ret_first = topic->row.last;
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
    size_t passed_max;
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
    return !matches && match->passed < match->passed_max;
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
    topic_put_await(partition, wait, awaiting->run, awaiting->after);
    topic_type_hash(wait->topic, wait->event_type, hash);
    struct topic *type = topic_type_find(partition, hash);
    topic_note_await(type, awaiting->run, awaiting->effect);
    look_at(partition, type, 0);
}

/* Up to which event of the topic all have looked. */
static status read_looked(struct partition *partition, const uint8_t hash[16], uint64_t *ret)
{
    char key[KEY_BYTES_MAX];
    str value;
    str tail = str_make((const char *)hash, 16);
    status found = store_get(&partition->store, STORE_INDEX,
                             key_index(key, partition->options.space, INDEX_LOOKED, tail),
                             &partition->round_arena, &value);
    *ret = status_is_ok(found) ? looked_row_up_to(value) : 0;
    return found.code == CODE_NOT_FOUND ? STATUS_OK : found;
}

/* All who await the topic, or a type of its events, have looked at what is in it. */
static void note_looked(struct partition *partition, struct topic *topic)
{
    char key[KEY_BYTES_MAX];
    char value[LOOKED_VALUE_BYTES];
    if (topic->row.last < topic->looked + LOOKED_MANY) {
        return;
    }
    assert(!topic->is_type && !topic->is_new && !topic->is_waking);
    topic->looked = topic->row.last;
    looked_row_value(topic->looked, value);
    str tail = str_make((const char *)topic->hash, sizeof(topic->hash));
    store_batch_put(&partition->batch, STORE_INDEX,
                    key_index(key, partition->options.space, INDEX_LOOKED, tail),
                    str_make(value, sizeof(value)));
}

/* The first event that it awaits, if there is one; those before `topic->wake_from` it has seen.
 * When no look is left, there may be more. */
static status find_event(struct partition *partition, const struct topic *topic,
                         const struct live_wait *wait, const struct await_row *awaiting,
                         struct match *ret)
{
    size_t *left = &topics_of(partition)->looks_left;
    uint64_t seen = topic->wake_from == 0 ? 0 : topic->wake_from - 1;
    assert(*left > 0);
    if (topic->wake_from == 0) {
        TRY(read_looked(partition, wait->topic, &seen));
    }
    seen = awaiting->after > seen ? awaiting->after : seen;
    *ret = (struct match){
        .arena = &partition->round_arena, .type = wait->event_type, .passed_max = *left};
    TRY(topic_visit(partition, wait->topic, seen, match_type, ret));
    *left -= ret->passed;
    if (ret->json.len == 0 && (*left == 0 || ret->passed >= LOOKED_MANY)) {
        topic_put_await(partition, wait, awaiting->run, ret->seen);
    }
    return STATUS_OK;
}

enum look {
    LOOK_VAIN,
    LOOK_WOKE,
    LOOK_GOES_ON, /* In the next round: there is more than could be looked at. */
};

static status wake(struct partition *partition, const struct topic *topic,
                   const struct await_row *awaiting, enum look *ret)
{
    *ret = LOOK_VAIN;
    struct live_run *run;
    const struct live_wait *wait;
    status found = runs_get(partition, awaiting->run, &run);
    if (found.code == CODE_DATA_LOSS) {
        topics_of(partition)->is_unsure = true;
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
        *ret = topics_of(partition)->looks_left == 0 ? LOOK_GOES_ON : LOOK_VAIN;
        return STATUS_OK;
    }
    struct command command = {
        .kind = COMMAND_WAIT_DONE,
        .effect = awaiting->effect,
        .wait_done = {.outcome = {.value = match.json}},
    };
    bool is_woken = command_submit(partition, run, &command) == VERDICT_OK;
    *ret = is_woken ? LOOK_WOKE : LOOK_VAIN; /* It may have timed out in this very round. */
    return STATUS_OK;
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
    enum look look = LOOK_VAIN;
    size_t i = 0;
    for (; i < wakes.count && topics_of(partition)->looks_left > 0; i++) {
        TRY(wake(partition, topic, &wakes.list[i], &look));
        if (look != LOOK_WOKE) {
            topic_note_await(topic, wakes.list[i].run, wakes.list[i].effect);
        }
    }
    topic->is_waking = i == WAKES_MAX || i < wakes.count || look == LOOK_GOES_ON;
    if (topic->is_waking) {
        const struct await_row *last = &wakes.list[i - 1];
        uint32_t next = last->effect + (look == LOOK_GOES_ON ? 0 : 1);
        topic->wake_at = await_row_tail(topic->hash, last->run, next);
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
        bool may_pass = woken.code != CODE_DATA_LOSS && woken.code != CODE_FAILED_PRECONDITION;
        topic->awaits_from = await_rows_of(topic->hash);
        topic->new_from = 0;
        topic->is_waking = false;
        topic->is_new = may_pass; /* Else the next event is the next try. */
        if (may_pass) {
            topics_of(partition)->read_again_ms = partition->now_ms + READ_AGAIN_MS;
        } else {
            topics_of(partition)->is_unsure = true;
        }
        log_line(LOG_ERROR, "topic_unreadable", "why=\"%s\"", woken.why);
    }
}

static void work_on(struct partition *partition, struct topic *topic)
{
    struct topics *topics = topics_of(partition);
    if (topic->is_new && !topic->is_waking && !topic->is_type && topics->listener != NULL) {
        topics->listener->news(topics->listener_context, topic->hash);
    }
    bool has_work = topic->is_new || topic->is_waking;
    if (has_work && topics->looks_left > 0) {
        assert(topic->is_busy);
        wake_topic(partition, topic);
    }
    topics->any_new |= topic->is_new || topic->is_waking;
    if (has_work && !topic->is_type && !topics->any_new && !topics->is_unsure) {
        note_looked(partition, topic); /* Of its types, too: they came first. */
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
    topics_name_old(topics);
    topics->is_waking_on = false;
    bool rests = topics->partition->now_ms < topics->read_again_ms;
    if (rests || !topics->any_new) {
        topics->is_waking_on = rests && topics->any_new;
        return;
    }
    topics->read_again_ms = 0;
    topics->any_new = false;
    topics->looks_left = LOOKS_MAX;
    work_on_all(topics->partition, &topics->types); /* First: a row that moves there is not
                                                         committed yet. */
    work_on_all(topics->partition, &topics->table);
    topics->is_waking_on = topics->any_new;
}

size_t topics_count(const struct partition *partition)
{
    return topic_table_count(&topics_of(partition)->table);
}

static uint64_t next_due_ms(void *self)
{
    const struct topics *topics = self;
    uint64_t now_ms = topics->partition->now_ms;
    uint64_t name_ms = topics->name_again_ms > now_ms ? topics->name_again_ms : now_ms;
    uint64_t read_ms = topics->read_again_ms != 0 ? topics->read_again_ms : now_ms;
    if (follow_is_unsettled(&topics->follow)) {
        return now_ms;
    }
    if (!topics_are_unnamed(topics)) {
        return topics->any_new ? read_ms : 0;
    }
    return topics->any_new && read_ms < name_ms ? read_ms : name_ms;
}

/* What the commit whose outcome was unknown did write was not shown. */
static void doubt_subscribers(struct partition *partition, struct topic *topic)
{
    struct follow *follow = &topics_of(partition)->follow;
    status read = topic_read(partition, topic->hash, &topic->row);
    if (status_is_ok(read)) {
        follow_doubt(follow, topic_id(topic->hash), topic->row.last);
        return;
    }
    if (store_may_pass(read)) {
        round_doubt(partition, read);
        return;
    }
    struct failure failure = failure_make(read.code, REASON_STORE_DAMAGED, str_of(read.why));
    follow_drop(follow, topic_id(topic->hash), &failure);
}

static void doubt(struct partition *partition, struct topic *topic)
{
    topic->is_waking = false;
    topic->looked = 0;
    topic->awaits_from = await_rows_of(topic->hash);
    if (!topic->is_type) {
        doubt_subscribers(partition, topic);
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

static void committed(void *self)
{
    struct topics *topics = self;
    topics->named = topics->named_next;
    follow_settle(&topics->follow);
}

static void failed(void *self)
{
    struct topics *topics = self;
    topics->named_next = topics->named;
    doubt_all(topics->partition, &topics->table);
    doubt_all(topics->partition, &topics->types);
}

struct loading {
    struct partition *partition;
    status status;
};

static bool visit_topic_of_await(void *context, str key, str value)
{
    (void)value;
    struct loading *loading = context;
    str tail;
    struct topic *topic;
    if (!key_read_index(key, &tail) || tail.len < 16) {
        return true;
    }
    status found = topic_find(loading->partition, (const uint8_t *)tail.ptr, &topic);
    if (status_is_ok(found)) {
        look_at(loading->partition, topic, 0);
    } else if (store_may_pass(found)) {
        loading->status = found;
    }
    return status_is_ok(loading->status);
}

static bool visit_type_of_await(void *context, str key, str value)
{
    (void)value;
    struct partition *partition = context;
    str tail;
    if (key_read_index(key, &tail) && tail.len >= 16) {
        look_at(partition, topic_type_find(partition, (const uint8_t *)tail.ptr), 0);
    }
    return true;
}

static status load(void *self)
{
    char key[KEY_BYTES_MAX];
    struct partition *partition = ((struct topics *)self)->partition;
    struct loading loading = {.partition = partition};
    TRY(topics_read_named(self));
    struct key_space space = partition->options.space;
    TRY(store_scan(&partition->store, STORE_INDEX, key_index(key, space, INDEX_AWAIT, STR_EMPTY),
                   STR_EMPTY, false, SIZE_MAX, visit_topic_of_await, &loading));
    TRY(loading.status);
    return store_scan(&partition->store, STORE_INDEX,
                      key_index(key, space, INDEX_AWAIT_TYPE, STR_EMPTY), STR_EMPTY, false,
                      SIZE_MAX, visit_type_of_await, partition);
}

static void *start(struct partition *partition)
{
    struct topics *topics = xcalloc(1, sizeof(*topics));
    topics->partition = partition;
    topic_table_init(&topics->table);
    topic_table_init(&topics->types);
    topic_subscribers_init(topics);
    return topics;
}

static void stop(void *self)
{
    struct topics *topics = self;
    topic_subscribers_fini(topics);
    topic_table_fini(&topics->table);
    topic_table_fini(&topics->types);
    free(topics);
}

static const struct feature *const uses[] = {&owed_feature, &waits_feature, NULL};

const struct feature topics_feature = {
    .name = "topics",
    .uses = uses,
    .wait_kinds = topic_wait_kinds,
    .owed_kinds = topic_owed_kinds,
    .start = start,
    .load = load,
    .at =
        {
            [ROUND_BEGINS] = begin_round,
            [ROUND_COMMITTED] = committed,
            [ROUND_FAILED] = failed,
        },
    .next_due_ms = next_due_ms,
    .stop = stop,
};
