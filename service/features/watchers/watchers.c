/*
 * watchers: those who follow a run: facts from the journal first, then live.
 *
 * What a watcher has not seen is read for it beside the partition; see partition/follow.h. Text of
 * a model's call is kept here while the call lasts, and shown to those who join meanwhile.
 */
#include "service/features/watchers/watchers.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/features/reports/reports.h"
#include "service/partition/state.h"

enum {
    TEXT_BYTES_MAX = 4 << 20, /* Kept of one call for late watchers. */
    KEPT_BYTES_MAX = 256 << 10, /* Of the facts that come while somebody is read for. */
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

struct watchers {
    struct partition *partition;
    struct follow follow;
};

static_assert(offsetof(struct watch_request, request) == 0, "a request begins its struct");

static struct watchers *watchers_of(const struct partition *partition)
{
    return partition_self(partition, &watchers_feature);
}

static struct model_text *text_of(const struct partition *partition, const struct live_run *run)
{
    struct room *room = partition_room(partition, run, &watchers_feature);
    return &room->text;
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
    watcher->follower.push(&watcher->follower, delta->payload);
    if (delta->offset > 0) {
        watcher->effect = delta->effect;
        watcher->attempt = delta->attempt;
        watcher->offset = delta->offset;
    }
}

static void push_live(struct follow *follow, uuid run, const struct delta *delta)
{
    struct follower *next;
    for (struct follower *it = follow_first(follow, run); it != NULL; it = next) {
        next = it->next;
        if (it->place != FOLLOWER_LIVE || !watcher_of(it)->deltas) {
            continue;
        }
        if (it->stalls(it)) {
            follow_stall(follow, it);
            continue;
        }
        payload_ref(delta->payload);
        push_delta(watcher_of(it), delta);
    }
    payload_unref(delta->payload);
}

struct showing {
    struct follow *follow;
    uuid run;
    uint32_t seq;
};

static void show_each(void *context, struct payload *payload)
{
    const struct showing *showing = context;
    follow_show(showing->follow, showing->run, showing->seq, STR_EMPTY, payload);
}

static status show_record(struct partition *partition, struct showing *showing, str record)
{
    size_t cursor = 0;
    for (;;) {
        struct codec_entry entry;
        bool at_end;
        TRY(codec_next(record, &cursor, &entry, &at_end));
        if (at_end) {
            return STATUS_OK;
        }
        struct event event;
        TRY(codec_decode(&entry, &partition->scratch, &event));
        showing->seq = entry.seq;
        partition->options.format->fact(&entry, &event, show_each, showing);
    }
}

static void perform_show(struct partition *partition, const struct act *act)
{
    const str *record = act->data;
    assert(record != NULL && record->len > 0);
    struct showing showing = {.follow = &watchers_of(partition)->follow, .run = act->run_id};
    if (follow_is_followed(showing.follow, act->run_id)) {
        status shown = show_record(partition, &showing, *record);
        assert(status_is_ok(shown)); /* We wrote it a moment ago. */
    }
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
    struct follow *follow = &watchers_of(partition)->follow;
    if (!follow_is_followed(follow, run->state.id)) {
        return;
    }
    assert(run->durable_seq > 0); /* The call's order is on disk. */
    struct delta delta = {
        .effect = effect,
        .attempt = attempt,
        .offset = is_model ? shown->bytes.len : 0,
    };
    delta.payload = partition->options.format->delta(
        run->durable_seq, effect, attempt, delta.offset, run->state.turns + 1, kind, text);
    push_live(follow, run->state.id, &delta);
}

void watch_forget_text(struct partition *partition, struct live_run *run)
{
    struct model_text *text = text_of(partition, run);
    buf_reset(&text->bytes);
    text->part_count = 0;
}

static const struct effect *model_effect(const struct live_run *run)
{
    if (run->state.phase != PHASE_MODEL || run->state.effect_count == 0) {
        return NULL;
    }
    assert(run->state.effects[0].kind == EFFECT_MODEL);
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

/* It was shown all facts: those who are told of the text that comes next. */
static void joined(void *context, struct follower *follower)
{
    struct partition *partition = context;
    struct watcher *watcher = watcher_of(follower);
    struct live_run *run = runs_find(partition, watcher->run);
    assert(follower->place == FOLLOWER_LIVE && follower->number <= UINT32_MAX);
    if (!watcher->caught_up_said) {
        watcher->caught_up_said = true;
        follower->push(follower, partition->options.format->caught_up((uint32_t)follower->number));
    }
    if (run != NULL) {
        assert(run->state.seq == follower->number);
        push_text(partition, run, watcher);
    }
}

static void show_end(struct partition *partition, struct live_run *run)
{
    assert(engine_is_terminal(&run->state));
    struct watcher *chain = NULL;
    struct follower *next;
    for (struct follower *it = follow_end(&watchers_of(partition)->follow, run->state.id);
         it != NULL; it = next) {
        next = it->next;
        assert(it->place == FOLLOWER_NOWHERE && it->number == run->state.seq);
        watcher_of(it)->next = chain;
        chain = watcher_of(it);
    }
    if (chain != NULL) {
        struct run_report report;
        report_run(partition, run, &partition->scratch, &report);
        partition->options.format->ended(&report, chain);
    }
}

static void all_shown(void *context, struct follower *follower)
{
    const struct partition *partition = context;
    struct watcher *watcher = watcher_of(follower);
    assert(follower->place == FOLLOWER_NOWHERE);
    watcher->next = NULL;
    partition->options.format->ended(NULL, watcher);
}

/* Nothing is read for it here: not even whether there is such a run. */
static void handle_watch(struct partition *partition, struct request *request)
{
    struct follow *follow = &watchers_of(partition)->follow;
    struct watcher *watcher = watch_request(request)->watcher;
    struct failure failure;
    assert(watcher->follower.read != NULL && watcher->follower.end != NULL);
    if (!follow_may_add(follow, request->run, &failure)) {
        request_answer(partition, request, &failure);
        return;
    }
    watcher->run = request->run;
    follow_add(follow, request->run, &watcher->follower, false);
    request_answer(partition, request, NULL);
}

const struct operation watch_operation = {
    .name = "watch",
    .request_bytes = sizeof(struct watch_request),
    .is_read = true,
    .handle = handle_watch,
};
static void perform_end(struct partition *partition, const struct act *act)
{
    show_end(partition, act->run);
}

static const struct act_kind show_act = {.name = "show", .perform = perform_show};
static const struct act_kind end_act = {.name = "show_end", .perform = perform_end};

static void *start(struct partition *partition)
{
    struct watchers *watchers = xcalloc(1, sizeof(*watchers));
    const struct partition_options *options = &partition->options;
    watchers->partition = partition;
    follow_init(
        &watchers->follow,
        &(struct follow_options){
            .followers_max = options->watchers_in_all_max,
            .each_max = options->watchers_max,
            .kept_bytes = options->kept_bytes_max == 0 ? KEPT_BYTES_MAX : options->kept_bytes_max,
            .joined = joined,
            .all_shown = all_shown,
            .context = partition,
        });
    return watchers;
}

static void record_put(void *self, struct live_run *run, str record)
{
    const struct watchers *watchers = self;
    struct arena *arena = &watchers->partition->round_arena;
    assert(run->is_touched && record.len > 0);
    if (follow_is_followed(&watchers->follow, run->state.id)) {
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

static void settle(void *self)
{
    struct watchers *watchers = self;
    follow_settle(&watchers->follow);
}

/* What the commit whose outcome was unknown did write was not shown. */
static void reread(void *self, struct live_run *run)
{
    struct watchers *watchers = self;
    follow_doubt(&watchers->follow, run->state.id, run->state.seq);
    if (engine_is_terminal(&run->state)) {
        show_end(watchers->partition, run);
    }
}

static void unreadable(void *self, uuid run, const struct failure *failure)
{
    struct watchers *watchers = self;
    follow_drop(&watchers->follow, run, failure);
}

static void perform_gone(struct partition *partition, const struct act *act)
{
    struct failure failure = failure_make(CODE_NOT_FOUND, REASON_RUN_NOT_FOUND,
                                          STR("the run was deleted while it was watched"));
    failure.field = STR("run_id");
    follow_drop(&watchers_of(partition)->follow, act->run_id, &failure);
}

static void run_deleted(void *self, uuid run, const struct run_spec *spec,
                        const struct run_row *row)
{
    static const struct act_kind kind = {.name = "watchers_gone", .perform = perform_gone};
    const struct watchers *watchers = self;
    (void)spec, (void)row;
    if (follow_is_followed(&watchers->follow, run)) {
        act_add(watchers->partition, &kind, NULL)->run_id = run;
    }
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
    return follow_is_unsettled(&watchers->follow) ? watchers->partition->now_ms : 0;
}

static void stop(void *self)
{
    struct watchers *watchers = self;
    struct failure failure =
        failure_make(CODE_UNAVAILABLE, REASON_SHUTTING_DOWN,
                     STR("the server is shutting down; take the stream up again in a moment"));
    follow_fini(&watchers->follow, &failure);
    free(watchers);
}

static const struct feature *const uses[] = {&reports_feature, NULL};

const struct feature watchers_feature = {
    .name = "watchers",
    .uses = uses,
    .run_bytes = sizeof(struct room),
    .start = start,
    .at = {[ROUND_COMMITTED] = settle},
    .record_put = record_put,
    .after_decision = after_decision,
    .reread = reread,
    .unreadable = unreadable,
    .run_leaves = run_leaves,
    .run_deleted = run_deleted,
    .next_due_ms = next_due_ms,
    .stop = stop,
};
