/*
 * watch: those who follow a run: facts from the journal first, then live.
 *
 * A watcher reads the journal in chunks until it has caught up, and from then on is pushed what
 * happens. One that is slow is not queued for: it falls back to reading the journal, where
 * everything is that is not mere text.
 */
#include <stdlib.h>

#include "service/base/array.h"
#include "service/partition/internal.h"

enum {
    HIGH_WATER_BYTES = 256 * 1024, /* Queued at the peer: no more until it says so. */
};

struct pushing {
    struct partition *partition;
    struct live_run *run;
    struct watcher *watcher; /* NULL: all live ones. */
    uint32_t seq;
};

static void detach(struct live_run *run, struct watcher *watcher)
{
    struct watcher **link = &run->watchers;
    while (*link != NULL && *link != watcher) {
        link = &(*link)->next;
    }
    if (*link == watcher) {
        *link = watcher->next;
        run->watcher_count--;
    }
}

static void todo_add(struct partition *partition, struct watcher *watcher)
{
    partition->todo = array_reserve(partition->todo, &partition->todo_capacity, partition->todo_count + 1,
                                  sizeof(partition->todo[0]));
    partition->todo[partition->todo_count++] = (struct watch_todo){watcher->run, watcher};
}

static void todo_remove(struct partition *partition, const struct watcher *watcher)
{
    for (size_t i = 0; i < partition->todo_count; i++) {
        if (partition->todo[i].watcher == watcher) {
            partition->todo[i].watcher = NULL;
        }
    }
}

static void stall(struct watcher *watcher)
{
    watcher->is_live = false;
    watcher->is_stalled = true;
}

static bool is_full(struct watcher *watcher)
{
    return watcher->queued_bytes(watcher) >= HIGH_WATER_BYTES;
}

struct delta {
    struct payload *payload;
    uint32_t effect;
    uint32_t attempt;
    uint64_t offset; /* Behind its text; 0: it is progress, not a model's text. */
};

static void push_delta(struct watcher *watcher, const struct delta *delta)
{
    watcher->push(watcher, delta->payload);
    if (delta->offset > 0) {
        watcher->effect = delta->effect;
        watcher->attempt = delta->attempt;
        watcher->offset = delta->offset;
    }
}

static void push_live(struct live_run *run, const struct delta *delta)
{
    for (struct watcher *watcher = run->watchers; watcher != NULL; watcher = watcher->next) {
        if (!watcher->is_live || !watcher->deltas) {
            continue;
        }
        if (is_full(watcher)) {
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
    struct live_run *run = pushing->run;
    for (struct watcher *watcher = run->watchers; watcher != NULL; watcher = watcher->next) {
        if (!watcher->is_live || watcher->seq >= pushing->seq) {
            continue; /* One that came in this turn has read it from the store. */
        }
        assert(watcher->seq + 1 == pushing->seq);
        if (is_full(watcher)) {
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
    pushing->watcher->push(pushing->watcher, payload);
    pushing->watcher->seq = pushing->seq;
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

void watch_publish(struct partition *partition, struct live_run *run, str record)
{
    struct pushing pushing = {.partition = partition, .run = run};
    status shown = show_record(partition, &pushing, record, 0, each_live);
    assert(status_is_ok(shown)); /* We wrote it a moment ago. */
}

static void text_add(struct model_text *text, unsigned kind, str bytes)
{
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

void watch_delta(struct partition *partition, struct live_run *run, uint32_t effect, uint32_t attempt,
                 unsigned kind, str text)
{
    const struct effect *open = engine_effect(&run->state, effect);
    if (open == NULL || open->attempt != attempt || text.len == 0) {
        return;
    }
    bool is_model = open->kind == EFFECT_MODEL;
    if (is_model && run->model_text.bytes.len + text.len <= MODEL_TEXT_BYTES_MAX) {
        text_add(&run->model_text, kind, text);
    }
    if (run->watchers == NULL) {
        return;
    }
    struct delta delta = {
        .effect = effect,
        .attempt = attempt,
        .offset = is_model ? run->model_text.bytes.len : 0,
    };
    delta.payload = partition->options.format->delta(run->durable_seq, effect, attempt, delta.offset,
                                                   run->state.turns + 1, kind, text);
    push_live(run, &delta);
}

static const struct effect *model_effect(const struct live_run *run)
{
    if (run->state.state != RUN_THINKING || run->state.effect_count == 0) {
        return NULL;
    }
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
    for (size_t i = 0; i < run->model_text.part_count; i++) {
        size_t end = run->model_text.parts[i].end;
        size_t begin = start > from ? start : from;
        if (begin < end) {
            str text = str_make(run->model_text.bytes.ptr + begin, end - begin);
            struct delta delta = {.effect = effect->id, .attempt = effect->attempt, .offset = end};
            delta.payload = partition->options.format->delta(
                run->state.seq, effect->id, effect->attempt, end, run->state.turns + 1,
                run->model_text.parts[i].kind, text);
            push_delta(watcher, &delta);
        }
        start = end;
    }
}

static void finish(struct partition *partition, struct live_run *run, struct watcher *watcher)
{
    struct run_report report;
    status built = query_report(partition, run, &partition->scratch, &report);
    detach(run, watcher);
    todo_remove(partition, watcher);
    if (!status_is_ok(built)) {
        struct failure failure = failure_make(built.code, "STORE_DAMAGED", str_of(built.why));
        watcher->end(watcher, &failure);
        return;
    }
    watcher->push(watcher, partition->options.format->ended(&report));
    watcher->end(watcher, NULL);
}

/* Ends are the same bytes for everybody. */
void watch_ended(struct partition *partition, struct live_run *run)
{
    bool any = false;
    for (struct watcher *watcher = run->watchers; watcher != NULL; watcher = watcher->next) {
        any |= watcher->is_live;
    }
    struct run_report report;
    if (!any || !status_is_ok(query_report(partition, run, &partition->scratch, &report))) {
        return;
    }
    struct payload *payload = partition->options.format->ended(&report);
    struct watcher *next;
    for (struct watcher *watcher = run->watchers; watcher != NULL; watcher = next) {
        next = watcher->next;
        if (!watcher->is_live) {
            continue;
        }
        detach(run, watcher);
        payload_ref(payload);
        watcher->push(watcher, payload);
        watcher->end(watcher, NULL);
    }
    payload_unref(payload);
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
    struct watcher *watcher = chunk->pushing.watcher;
    chunk->status = show_record(chunk->partition, &chunk->pushing, value, watcher->seq, each_one);
    arena_reset(&chunk->partition->scratch);
    return status_is_ok(chunk->status) && !is_full(watcher);
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
    struct chunk chunk = {
        .partition = partition,
        .pushing = {.partition = partition, .run = run, .watcher = watcher},
    };
    TRY(store_scan(&partition->store, STORE_JOURNAL, prefix,
                   key_journal(from_bytes, space, run->state.id, start), false, WATCH_CHUNK_RECORDS,
                   visit_chunk, &chunk));
    return chunk.status;
}

static void catch_up(struct partition *partition, struct live_run *run, struct watcher *watcher)
{
    uint32_t before = watcher->seq;
    if (watcher->seq < run->state.seq) {
        status read = read_chunk(partition, run, watcher);
        if (!status_is_ok(read)) {
            struct failure failure = failure_make(read.code, "STORE_DAMAGED", str_of(read.why));
            detach(run, watcher);
            watcher->end(watcher, &failure);
            return;
        }
    }
    if (is_full(watcher)) {
        stall(watcher);
        return;
    }
    if (watcher->seq < run->state.seq) {
        assert(watcher->seq > before);
        todo_add(partition, watcher);
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

void watch_begin(struct partition *partition, struct request *request)
{
    struct watcher *watcher = request->watch.watcher;
    struct live_run *run;
    status found = runs_get(partition, request->run, &run);
    if (!status_is_ok(found)) {
        request_fail_run(partition, request, found);
        return;
    }
    if (run->watcher_count >= partition->options.watchers_max) {
        request_fail(partition, request, CODE_RESOURCE_EXHAUSTED, "TOO_MANY_WATCHERS",
                     "the run has as many watchers as this server allows");
        return;
    }
    if (watcher->seq > run->state.seq) {
        struct failure failure =
            failure_make(CODE_OUT_OF_RANGE, "POSITION_AHEAD",
                         STR("the position lies after the run's last event; it is another run's"));
        failure.field = STR("from_position");
        request_answer(partition, request, &failure);
        return;
    }
    watcher->run = request->run;
    watcher->next = run->watchers;
    run->watchers = watcher;
    run->watcher_count++;
    request_answer(partition, request, NULL);
    catch_up(partition, run, watcher);
}

void watch_more(struct partition *partition, struct request *request)
{
    struct watcher *watcher = request->watch.watcher;
    struct live_run *run = runs_find(partition, request->run);
    for (struct watcher *known = run == NULL ? NULL : run->watchers; known != NULL;
         known = known->next) {
        if (known == watcher && watcher->is_stalled) {
            watcher->is_stalled = false;
            catch_up(partition, run, watcher);
            break;
        }
    }
    request_answer(partition, request, NULL);
}

void watch_end(struct partition *partition, struct request *request)
{
    struct live_run *run = runs_find(partition, request->run);
    if (run != NULL) {
        detach(run, request->watch.watcher);
    }
    todo_remove(partition, request->watch.watcher);
    request_answer(partition, request, NULL);
}

void watch_reread(struct partition *partition, struct live_run *run)
{
    for (struct watcher *watcher = run->watchers; watcher != NULL; watcher = watcher->next) {
        if (watcher->is_live && watcher->seq < run->state.seq) {
            watcher->is_live = false;
            todo_add(partition, watcher);
        }
    }
}

/* One more chunk for each watcher that has not caught up. */
void watch_work(struct partition *partition)
{
    size_t count = partition->todo_count;
    if (count == 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct watch_todo todo = partition->todo[i];
        struct live_run *run = runs_find(partition, todo.run);
        if (todo.watcher != NULL) {
            assert(run != NULL); /* Watched runs stay in memory. */
            catch_up(partition, run, todo.watcher);
        }
    }
    partition->todo_count -= count;
    memmove(partition->todo, partition->todo + count, partition->todo_count * sizeof(partition->todo[0]));
}

void watch_drop_all(struct partition *partition, struct live_run *run, const struct failure *failure)
{
    while (run->watchers != NULL) {
        struct watcher *watcher = run->watchers;
        detach(run, watcher);
        todo_remove(partition, watcher);
        watcher->end(watcher, failure);
    }
}
