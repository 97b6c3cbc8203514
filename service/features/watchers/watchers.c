/*
 * watchers: those who follow a run: facts from the journal first, then live.
 *
 * A watcher reads the journal in chunks until it has caught up, and from then on is pushed what
 * happens. One that is slow is not queued for: it falls back to reading the journal, where
 * everything is that is not mere text.
 */
#include "service/features/watchers/watchers.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/table.h"
#include "service/features/reports/reports.h"
#include "service/partition/state.h"

enum {
    CHUNK_RECORDS = 256, /* Replayed per watcher and round. */
    TEXT_BYTES_MAX = 4 << 20, /* Kept of one call for late watchers. */
};

/* The text a model call has shown so far, for watchers who come late. */
struct model_text {
    struct buf bytes;
    struct {
        unsigned kind;
        size_t end;
    } * parts;
    size_t part_count;
    size_t part_capacity;
};

/* In each run. */
struct room {
    struct model_text text;
};

/* A run that somebody watches. */
struct watched {
    struct table_link by_run;
    uuid run;
    struct watcher *watchers;
    size_t count;
};

struct watch_todo {
    uuid run;
    struct watcher *watcher; /* NULL: it has left. */
};

struct watchers {
    struct partition *partition;
    struct table by_run;
    struct watch_todo *todo; /* Watchers that go on reading next round. */
    size_t todo_count;
    size_t todo_capacity;
};

static_assert(offsetof(struct watch_request, request) == 0, "a request begins its struct");

struct pushing {
    struct partition *partition;
    struct watcher *watchers; /* All of the run, or the only one. */
    uint32_t seq;
};

static struct watchers *watchers_of(const struct partition *partition)
{
    return partition_self(partition, &watchers_feature);
}

static struct model_text *text_of(const struct partition *partition, const struct live_run *run)
{
    struct room *room = partition_room(partition, run, &watchers_feature);
    return &room->text;
}

static bool is_of(const struct table_link *link, const void *run)
{
    return uuid_equal(container_of(link, const struct watched, by_run)->run, *(const uuid *)run);
}

/* NULL: nobody watches it. */
static struct watched *watched_find(const struct watchers *watchers, uuid run)
{
    if (watchers->by_run.count == 0) {
        return NULL;
    }
    struct table_link *link = table_find(&watchers->by_run, uuid_hash(run), &run);
    return link == NULL ? NULL : container_of(link, struct watched, by_run);
}

static struct watcher *watchers_on(const struct partition *partition, uuid run)
{
    const struct watched *watched = watched_find(watchers_of(partition), run);
    return watched == NULL ? NULL : watched->watchers;
}

static void attach(struct watchers *watchers, struct watcher *watcher)
{
    assert(!watcher->is_live && !watcher->is_stalled);
    struct watched *watched = watched_find(watchers, watcher->run);
    if (watched == NULL) {
        watched = xcalloc(1, sizeof(*watched));
        watched->run = watcher->run;
        table_add(&watchers->by_run, &watched->by_run, uuid_hash(watcher->run));
    }
    assert((watched->count == 0) == (watched->watchers == NULL));
    watcher->next = watched->watchers;
    watched->watchers = watcher;
    watched->count++;
}

/* Nobody watches it any more. */
static void forget(struct watchers *watchers, struct watched *watched)
{
    assert(watched->count == 0 && watched->watchers == NULL);
    table_remove(&watchers->by_run, &watched->by_run);
    free(watched);
}

static void detach(struct watchers *watchers, uuid run, const struct watcher *watcher)
{
    struct watched *watched = watched_find(watchers, run);
    struct watcher **link = watched == NULL ? NULL : &watched->watchers;
    while (link != NULL && *link != NULL && *link != watcher) {
        link = &(*link)->next;
    }
    if (link == NULL || *link == NULL) {
        return;
    }
    assert(watched->count > 0);
    *link = watcher->next;
    watched->count--;
    assert((watched->count == 0) == (watched->watchers == NULL));
    if (watched->watchers == NULL) {
        forget(watchers, watched);
    }
}

static void todo_add(struct watchers *watchers, struct watcher *watcher)
{
    assert(!watcher->is_live && !watcher->is_stalled);
    watchers->todo = array_reserve(watchers->todo, &watchers->todo_capacity,
                                   watchers->todo_count + 1, sizeof(watchers->todo[0]));
    watchers->todo[watchers->todo_count++] = (struct watch_todo){watcher->run, watcher};
}

static void todo_remove(struct watchers *watchers, const struct watcher *watcher)
{
    for (size_t i = 0; i < watchers->todo_count; i++) {
        if (watchers->todo[i].watcher == watcher) {
            watchers->todo[i].watcher = NULL;
        }
    }
}

static void stall(struct watcher *watcher)
{
    watcher->is_live = false;
    watcher->is_stalled = true;
}

struct delta {
    struct payload *payload;
    uint32_t effect;
    uint32_t attempt;
    uint64_t offset; /* Behind its text; 0: it is progress, not a model's text. */
};

static void push_delta(struct watcher *watcher, const struct delta *delta)
{
    assert(delta->payload != NULL);
    watcher->push(watcher, delta->payload);
    if (delta->offset > 0) {
        watcher->effect = delta->effect;
        watcher->attempt = delta->attempt;
        watcher->offset = delta->offset;
    }
}

static void push_live(struct watcher *watchers, const struct delta *delta)
{
    for (struct watcher *watcher = watchers; watcher != NULL; watcher = watcher->next) {
        if (!watcher->is_live || !watcher->deltas) {
            continue;
        }
        if (watcher->stalls(watcher)) {
            stall(watcher);
            continue;
        }
        payload_ref(delta->payload);
        push_delta(watcher, delta);
    }
    payload_unref(delta->payload);
}

static void each_live(void *context, struct payload *payload)
{
    const struct pushing *pushing = context;
    for (struct watcher *watcher = pushing->watchers; watcher != NULL; watcher = watcher->next) {
        if (!watcher->is_live || watcher->seq >= pushing->seq) {
            continue; /* One that came in this round has read it from the store. */
        }
        assert(watcher->seq + 1 == pushing->seq);
        if (watcher->stalls(watcher)) {
            stall(watcher);
            continue;
        }
        payload_ref(payload);
        watcher->push(watcher, payload);
        watcher->seq = pushing->seq;
    }
    payload_unref(payload);
}

static void each_one(void *context, struct payload *payload)
{
    const struct pushing *pushing = context;
    assert(!pushing->watchers->is_live);
    pushing->watchers->push(pushing->watchers, payload);
    pushing->watchers->seq = pushing->seq;
}

/* Shows each event of a record, from `after` on, through `each`. */
static status show_record(struct partition *partition, struct pushing *pushing, str record,
                          uint32_t after, void (*each)(void *context, struct payload *payload))
{
    size_t cursor = 0;
    for (;;) {
        struct codec_entry entry;
        bool at_end;
        TRY(codec_next(record, &cursor, &entry, &at_end));
        if (at_end) {
            return STATUS_OK;
        }
        if (entry.seq <= after) {
            continue;
        }
        struct event event;
        TRY(codec_decode(&entry, &partition->scratch, &event));
        pushing->seq = entry.seq;
        partition->options.format->fact(&entry, &event, each, pushing);
    }
}

static void perform_show(struct partition *partition, const struct act *act)
{
    const str *record = act->data;
    assert(record != NULL && record->len > 0);
    struct pushing pushing = {
        .partition = partition,
        .watchers = watchers_on(partition, act->run_id),
    };
    status shown = show_record(partition, &pushing, *record, 0, each_live);
    assert(status_is_ok(shown)); /* We wrote it a moment ago. */
}

static void text_add(struct model_text *text, unsigned kind, str bytes)
{
    assert(bytes.len > 0 && text->part_count <= text->part_capacity);
    buf_put(&text->bytes, bytes);
    if (text->part_count > 0 && text->parts[text->part_count - 1].kind == kind) {
        text->parts[text->part_count - 1].end = text->bytes.len;
        return;
    }
    text->parts = array_reserve(text->parts, &text->part_capacity, text->part_count + 1,
                                sizeof(text->parts[0]));
    text->parts[text->part_count].kind = kind;
    text->parts[text->part_count++].end = text->bytes.len;
}

void watch_delta(struct partition *partition, struct live_run *run, uint32_t effect,
                 uint32_t attempt, unsigned kind, str text)
{
    const struct effect *open = engine_effect(&run->state, effect);
    if (open == NULL || open->attempt != attempt || text.len == 0) {
        return;
    }
    bool is_model = open->kind == EFFECT_MODEL;
    struct model_text *shown = text_of(partition, run);
    if (is_model && shown->bytes.len + text.len <= TEXT_BYTES_MAX) {
        text_add(shown, kind, text);
        assert(shown->bytes.len <= TEXT_BYTES_MAX);
    }
    struct watcher *watchers = watchers_on(partition, run->state.id);
    if (watchers == NULL) {
        return;
    }
    struct delta delta = {
        .effect = effect,
        .attempt = attempt,
        .offset = is_model ? shown->bytes.len : 0,
    };
    delta.payload = partition->options.format->delta(
        run->durable_seq, effect, attempt, delta.offset, run->state.turns + 1, kind, text);
    push_live(watchers, &delta);
}

void watch_forget_text(struct partition *partition, struct live_run *run)
{
    struct model_text *text = text_of(partition, run);
    buf_reset(&text->bytes);
    text->part_count = 0;
}

static const struct effect *model_effect(const struct live_run *run)
{
    if (run->state.state != RUN_THINKING || run->state.effect_count == 0) {
        return NULL;
    }
    assert(run->state.effects[0].kind == EFFECT_MODEL); /* It thinks. */
    return engine_effect(&run->state, run->state.effects[0].id);
}

/* What the call in flight has shown so far, to one who came late. */
static void push_text(struct partition *partition, struct live_run *run, struct watcher *watcher)
{
    const struct effect *effect = model_effect(run);
    if (effect == NULL || !watcher->deltas) {
        return;
    }
    bool is_same = watcher->effect == effect->id && watcher->attempt == effect->attempt;
    size_t from = is_same ? watcher->offset : 0;
    size_t start = 0;
    const struct model_text *shown = text_of(partition, run);
    for (size_t i = 0; i < shown->part_count; i++) {
        size_t end = shown->parts[i].end;
        size_t begin = start > from ? start : from;
        if (begin < end) {
            str text = str_make(shown->bytes.ptr + begin, end - begin);
            struct delta delta = {.effect = effect->id, .attempt = effect->attempt, .offset = end};
            delta.payload =
                partition->options.format->delta(run->state.seq, effect->id, effect->attempt, end,
                                                 run->state.turns + 1, shown->parts[i].kind, text);
            push_delta(watcher, &delta);
        }
        start = end;
    }
    assert(start == shown->bytes.len); /* The parts are all of the text. */
}

static void finish(struct partition *partition, struct live_run *run, struct watcher *watcher)
{
    assert(engine_is_terminal(&run->state));
    struct run_report report;
    report_run(partition, run, &partition->scratch, &report);
    detach(watchers_of(partition), run->state.id, watcher);
    todo_remove(watchers_of(partition), watcher);
    watcher->next = NULL;
    partition->options.format->ended(&report, watcher);
}

/* Takes the live watchers of the run from it, as a chain. */
static struct watcher *take_live(struct watchers *watchers, uuid run)
{
    struct watcher *taken = NULL;
    struct watcher *next;
    for (struct watcher *watcher = watchers_on(watchers->partition, run); watcher != NULL;
         watcher = next) {
        next = watcher->next;
        if (watcher->is_live) {
            detach(watchers, run, watcher);
            watcher->next = taken;
            taken = watcher;
        }
    }
    return taken;
}

static void show_end(struct partition *partition, struct live_run *run)
{
    assert(engine_is_terminal(&run->state));
    struct run_report report;
    struct watcher *watchers = take_live(watchers_of(partition), run->state.id);
    if (watchers != NULL) {
        report_run(partition, run, &partition->scratch, &report);
        partition->options.format->ended(&report, watchers);
    }
}

struct chunk {
    struct partition *partition;
    struct pushing pushing;
    status status;
};

static bool visit_chunk(void *context, str key, str value)
{
    (void)key;
    struct chunk *chunk = context;
    struct watcher *watcher = chunk->pushing.watchers;
    chunk->status = show_record(chunk->partition, &chunk->pushing, value, watcher->seq, each_one);
    arena_reset(&chunk->partition->scratch);
    return status_is_ok(chunk->status) && !watcher->stalls(watcher);
}

/* A record is stored under its first seq: the one that holds `seq` may begin before it. */
static bool visit_start(void *context, str key, str value)
{
    (void)value;
    return !key_read_journal_seq(key, context);
}

static status read_chunk(struct partition *partition, struct live_run *run, struct watcher *watcher)
{
    char prefix_bytes[KEY_BYTES_MAX];
    char from_bytes[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    str prefix = key_run(prefix_bytes, space, run->state.id);
    uint32_t start = watcher->seq + 1;
    TRY(store_scan(&partition->store, STORE_JOURNAL, prefix,
                   key_journal(from_bytes, space, run->state.id, start), true, 1, visit_start,
                   &start));
    assert(start <= watcher->seq + 1);
    struct chunk chunk = {
        .partition = partition,
        .pushing = {.partition = partition, .watchers = watcher},
    };
    TRY(store_scan(&partition->store, STORE_JOURNAL, prefix,
                   key_journal(from_bytes, space, run->state.id, start), false, CHUNK_RECORDS,
                   visit_chunk, &chunk));
    return chunk.status;
}

static void catch_up(struct partition *partition, struct live_run *run, struct watcher *watcher)
{
    uint32_t before = watcher->seq;
    assert(!watcher->is_live && !watcher->is_stalled);
    if (watcher->seq < run->state.seq) {
        status read = read_chunk(partition, run, watcher);
        if (!status_is_ok(read)) {
            struct failure failure =
                failure_make(read.code, REASON_STORE_DAMAGED, str_of(read.why));
            detach(watchers_of(partition), run->state.id, watcher);
            watcher->end(watcher, &failure);
            return;
        }
    }
    if (watcher->stalls(watcher)) {
        stall(watcher);
        return;
    }
    if (watcher->seq < run->state.seq) {
        assert(watcher->seq > before);
        todo_add(watchers_of(partition), watcher);
        return;
    }
    if (engine_is_terminal(&run->state)) {
        finish(partition, run, watcher);
        return;
    }
    if (!watcher->caught_up_said) {
        watcher->caught_up_said = true;
        watcher->push(watcher, partition->options.format->caught_up(run->state.seq));
    }
    push_text(partition, run, watcher);
    watcher->is_live = true;
}

static bool may_watch(struct partition *partition, const struct live_run *run,
                      const struct watcher *watcher, struct failure *ret)
{
    const struct watched *watched = watched_find(watchers_of(partition), run->state.id);
    if (watched != NULL && watched->count >= partition->options.watchers_max) {
        *ret = failure_make(CODE_RESOURCE_EXHAUSTED, REASON_TOO_MANY_WATCHERS,
                            STR("the run has as many watchers as this server allows"));
        return false;
    }
    if (watcher->seq > run->state.seq) {
        *ret =
            failure_make(CODE_OUT_OF_RANGE, REASON_POSITION_AHEAD,
                         STR("the position lies after the run's last event; it is another run's"));
        ret->field = STR("from_position");
        return false;
    }
    return true;
}

static void handle_watch(struct partition *partition, struct request *request)
{
    struct watcher *watcher = watch_request(request)->watcher;
    struct live_run *run;
    struct failure failure;
    status found = runs_get(partition, request->run, &run);
    if (!status_is_ok(found)) {
        request_fail_run(partition, request, found);
        return;
    }
    if (!may_watch(partition, run, watcher, &failure)) {
        request_answer(partition, request, &failure);
        return;
    }
    watcher->run = request->run;
    attach(watchers_of(partition), watcher);
    request_answer(partition, request, NULL);
    catch_up(partition, run, watcher);
}

static void handle_more(struct partition *partition, struct request *request)
{
    struct watcher *watcher = watch_request(request)->watcher;
    struct live_run *run = runs_find(partition, request->run);
    for (struct watcher *known = run == NULL ? NULL : watchers_on(partition, request->run);
         known != NULL; known = known->next) {
        if (known == watcher && watcher->is_stalled) {
            watcher->is_stalled = false;
            catch_up(partition, run, watcher);
            break;
        }
    }
    request_answer(partition, request, NULL);
}

static void handle_end(struct partition *partition, struct request *request)
{
    struct watchers *watchers = watchers_of(partition);
    const struct watcher *watcher = watch_request(request)->watcher;
    detach(watchers, request->run, watcher);
    todo_remove(watchers, watcher);
    request_answer(partition, request, NULL);
}

const struct operation watch_operation = {
    .name = "watch",
    .request_bytes = sizeof(struct watch_request),
    .is_read = true,
    .handle = handle_watch,
};
const struct operation watch_more_operation = {
    .name = "watch_more",
    .request_bytes = sizeof(struct watch_request),
    .is_read = true,
    .handle = handle_more,
};
const struct operation watch_end_operation = {
    .name = "watch_end",
    .request_bytes = sizeof(struct watch_request),
    .is_read = true,
    .handle = handle_end,
};

/* One more chunk for each watcher that has not caught up. */
static void read_on(void *self)
{
    struct watchers *watchers = self;
    size_t count = watchers->todo_count;
    if (count == 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct watch_todo todo = watchers->todo[i];
        struct live_run *run = runs_find(watchers->partition, todo.run);
        if (todo.watcher != NULL) {
            assert(run != NULL); /* Watched runs stay in memory. */
            catch_up(watchers->partition, run, todo.watcher);
        }
    }
    watchers->todo_count -= count;
    memmove(watchers->todo, watchers->todo + count,
            watchers->todo_count * sizeof(watchers->todo[0]));
}

static void drop_all(struct watchers *watchers, uuid run, const struct failure *failure)
{
    assert(failure != NULL); /* Without one, they would be told that it has ended. */
    struct watched *watched;
    while ((watched = watched_find(watchers, run)) != NULL) {
        struct watcher *watcher = watched->watchers;
        detach(watchers, run, watcher);
        todo_remove(watchers, watcher);
        watcher->end(watcher, failure);
    }
}

static void perform_end(struct partition *partition, const struct act *act)
{
    show_end(partition, act->run);
}

static const struct act_kind show_act = {.name = "show", .perform = perform_show};
static const struct act_kind end_act = {.name = "show_end", .perform = perform_end};

static void *start(struct partition *partition)
{
    struct watchers *watchers = xcalloc(1, sizeof(*watchers));
    watchers->partition = partition;
    table_init(&watchers->by_run, is_of);
    return watchers;
}

static void record_put(void *self, struct live_run *run, str record)
{
    const struct watchers *watchers = self;
    struct arena *arena = &watchers->partition->round_arena;
    if (watched_find(watchers, run->state.id) != NULL) {
        str *copy = arena_alloc(arena, sizeof(*copy));
        *copy = arena_copy(arena, record);
        act_add(watchers->partition, &show_act, run)->data = copy;
    }
}

static void after_decision(void *self, struct live_run *run, const struct event *events,
                           size_t count)
{
    (void)events;
    (void)count;
    const struct watchers *watchers = self;
    if (engine_is_terminal(&run->state)) {
        act_add(watchers->partition, &end_act, run);
    }
}

/* Live watchers go on from the journal where facts were not shown. */
static void reread(void *self, struct live_run *run)
{
    struct watchers *watchers = self;
    struct watched *watched = watched_find(watchers, run->state.id);
    for (struct watcher *watcher = watched == NULL ? NULL : watched->watchers; watcher != NULL;
         watcher = watcher->next) {
        if (watcher->is_live && watcher->seq < run->state.seq) {
            watcher->is_live = false;
            todo_add(watchers, watcher);
        }
    }
    if (engine_is_terminal(&run->state)) { /* The commit whose outcome was unknown did happen. */
        show_end(watchers->partition, run);
    }
}

static void unreadable(void *self, uuid run, const struct failure *failure)
{
    drop_all(self, run, failure);
}

static bool keeps(void *self, const struct live_run *run)
{
    return watched_find(self, run->state.id) != NULL;
}

static void run_leaves(void *self, struct live_run *run)
{
    const struct watchers *watchers = self;
    struct model_text *text = text_of(watchers->partition, run);
    buf_fini(&text->bytes);
    free(text->parts);
}

static uint64_t next_due_ms(void *self)
{
    const struct watchers *watchers = self;
    return watchers->todo_count > 0 ? watchers->partition->now_ms : 0;
}

static void run_ends_here(void *self, uuid run)
{
    struct failure failure =
        failure_make(CODE_UNAVAILABLE, REASON_SHUTTING_DOWN,
                     STR("the server is shutting down; take the stream up again in a moment"));
    drop_all(self, run, &failure);
}

static void stop(void *self)
{
    struct watchers *watchers = self;
    assert(watchers->by_run.count == 0); /* Who watches keeps the run in memory. */
    table_fini(&watchers->by_run);
    free(watchers->todo);
    free(watchers);
}

static const struct feature *const uses[] = {&reports_feature, NULL};

const struct feature watchers_feature = {
    .name = "watchers",
    .uses = uses,
    .run_bytes = sizeof(struct room),
    .start = start,
    .at = {[ROUND_COMMITTED] = read_on},
    .record_put = record_put,
    .after_decision = after_decision,
    .reread = reread,
    .unreadable = unreadable,
    .keeps = keeps,
    .run_ends_here = run_ends_here,
    .run_leaves = run_leaves,
    .next_due_ms = next_due_ms,
    .stop = stop,
};
