/*
 * watchers: those who follow a run or a tree: facts from the journal first, then live.
 *
 * What a watcher has not seen is read for it beside the partition; see partition/follow.h. Text of
 * a model's call is kept here while the call lasts, and shown to those who join meanwhile.
 */
#include "service/features/watchers/watchers.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/features/reports/reports.h"
#include "service/features/trees/trees.h"
#include "service/partition/round.h"
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
    uint64_t shown; /* Bytes of all that came, those that are not kept too. */
};

/* In each run. */
struct room {
    struct model_text text;
    struct live_run *run; /* While it has text: whose it is, and its place among those. */
    struct room *before;
    struct room *next;
};

struct watchers {
    struct partition *partition;
    struct follow runs;
    struct follow trees; /* By their roots. */
    struct room *first_text; /* Of the calls in flight. */
};

static_assert(offsetof(struct watch_request, request) == 0, "a request begins its struct");

static struct watchers *watchers_of(const struct partition *partition)
{
    return partition_self(partition, &watchers_feature);
}

static struct room *room_of(const struct partition *partition, const struct live_run *run)
{
    return partition_room(partition, run, &watchers_feature);
}

static uuid root_of(const struct partition *partition, const struct live_run *run)
{
    return tree_place(partition, run)->root;
}

static struct tree_point point_of(const struct live_run *run, uuid root, uint64_t number)
{
    struct tree_point point = {.number = number};
    assert(!uuid_is_zero(root));
    if (!uuid_equal(run->state.id, root)) {
        point.run = run->state.id;
    }
    return point;
}

/* ---- How far texts were shown. ---- */

void watcher_fini(struct watcher *watcher)
{
    free(watcher->texts);
    watcher->texts = NULL;
    watcher->text_count = 0;
    watcher->text_capacity = 0;
}

static struct text_mark *mark_of(struct watcher *watcher, uuid run)
{
    if (!watcher->is_tree) {
        return &watcher->text;
    }
    for (size_t i = 0; i < watcher->text_count; i++) {
        if (uuid_equal(watcher->texts[i].run, run)) {
            return &watcher->texts[i];
        }
    }
    watcher->texts = array_reserve(watcher->texts, &watcher->text_capacity, watcher->text_count + 1,
                                   sizeof(watcher->texts[0]));
    watcher->texts[watcher->text_count] = (struct text_mark){.run = run};
    return &watcher->texts[watcher->text_count++];
}

static void forget_mark(struct watcher *watcher, uuid run)
{
    for (size_t i = 0; i < watcher->text_count; i++) {
        if (uuid_equal(watcher->texts[i].run, run)) {
            watcher->texts[i] = watcher->texts[--watcher->text_count];
            return;
        }
    }
}

static void push_delta(struct watcher *watcher, uuid run, const struct watch_delta *delta,
                       struct payload *payload)
{
    assert(payload != NULL);
    watcher->follower.push(&watcher->follower, payload);
    if (delta->offset > 0) {
        struct text_mark *mark = mark_of(watcher, run);
        mark->effect = delta->effect;
        mark->attempt = delta->attempt;
        mark->offset = delta->offset;
    }
}

/* ---- What happens. ---- */

/* Packed once for all who stand at the same fact. */
struct packing {
    const struct watch_format *format;
    const struct watch_delta *delta;
    struct tree_point at;
    struct payload *payload; /* NULL: not yet. */
};

static struct payload *pack_for(struct packing *packing, const struct watcher *watcher)
{
    bool is_other = watcher->is_tree && packing->at.number != watcher->follower.number;
    if (packing->payload == NULL || is_other) {
        payload_unref(packing->payload);
        packing->at.number = watcher->follower.number;
        packing->payload =
            packing->format->delta(watcher->is_tree ? &packing->at : NULL, packing->delta);
    }
    payload_ref(packing->payload);
    return packing->payload;
}

static void push_live(struct follow *follow, uuid followed, const struct live_run *run,
                      struct packing *packing)
{
    struct follower *next;
    for (struct follower *it = follow_first(follow, followed); it != NULL; it = next) {
        struct watcher *watcher = watcher_of(it);
        next = it->next;
        if (it->place != FOLLOWER_LIVE || !watcher->deltas) {
            continue;
        }
        if (it->stalls(it)) {
            follow_stall(follow, it);
            continue;
        }
        push_delta(watcher, run->state.id, packing->delta, pack_for(packing, watcher));
    }
    payload_unref(packing->payload);
}

/* A record that goes into the batch. */
struct record_act {
    str record;
    uuid root;
    uint64_t number; /* In the tree's order, of its last fact. */
    uint32_t last_seq;
};

struct showing {
    struct follow *follow;
    uuid id;
    uint64_t number;
};

static void show_each(void *context, struct payload *payload)
{
    const struct showing *showing = context;
    follow_show(showing->follow, showing->id, showing->number, STR_EMPTY, payload);
}

/* at NULL: the run is followed by itself. */
static status show_record(struct partition *partition, struct showing *showing,
                          const struct record_act *act, struct tree_point *at)
{
    size_t cursor = 0;
    for (;;) {
        struct codec_entry entry;
        bool at_end;
        TRY(codec_next(act->record, &cursor, &entry, &at_end));
        if (at_end) {
            return STATUS_OK;
        }
        struct event event;
        TRY(codec_decode(&entry, &partition->scratch, &event));
        showing->number = entry.seq;
        if (at != NULL) {
            showing->number = act->number - (act->last_seq - entry.seq);
            at->number = showing->number;
        }
        partition->options.format->fact(at, &entry, &event, show_each, showing);
    }
}

static void perform_show(struct partition *partition, const struct act *act)
{
    const struct record_act *record = act->data;
    struct watchers *watchers = watchers_of(partition);
    struct showing showing = {.follow = &watchers->runs, .id = act->run_id};
    assert(record != NULL && record->record.len > 0);
    if (follow_is_followed(showing.follow, showing.id)) {
        status shown = show_record(partition, &showing, record, NULL);
        assert(status_is_ok(shown)); /* We wrote it a moment ago. */
    }
    showing = (struct showing){.follow = &watchers->trees, .id = record->root};
    if (record->number > 0 && follow_is_followed(showing.follow, showing.id)) {
        struct tree_point at = {.run = act->run_id};
        at.run = uuid_equal(at.run, record->root) ? (uuid){{0}} : at.run;
        status shown = show_record(partition, &showing, record, &at);
        assert(status_is_ok(shown));
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

/* Among the calls in flight; or no more among them. */
static void list_text(struct watchers *watchers, struct room *room, struct live_run *run)
{
    assert(room->run == NULL);
    room->run = run;
    room->before = NULL;
    room->next = watchers->first_text;
    if (room->next != NULL) {
        room->next->before = room;
    }
    watchers->first_text = room;
}

static void unlist_text(struct watchers *watchers, struct room *room)
{
    if (room->run == NULL) {
        return;
    }
    *(room->before == NULL ? &watchers->first_text : &room->before->next) = room->next;
    if (room->next != NULL) {
        room->next->before = room->before;
    }
    room->run = NULL;
}

static void keep_text(struct watchers *watchers, struct live_run *run, unsigned kind, str text)
{
    struct room *room = room_of(watchers->partition, run);
    room->text.shown += text.len;
    if (room->text.bytes.len + text.len > TEXT_BYTES_MAX) {
        return;
    }
    text_add(&room->text, kind, text);
    if (room->run == NULL) {
        list_text(watchers, room, run);
    }
    assert(room->text.bytes.len <= TEXT_BYTES_MAX);
}

void watch_delta(struct partition *partition, struct live_run *run, uint32_t effect,
                 uint32_t attempt, unsigned kind, str text)
{
    struct watchers *watchers = watchers_of(partition);
    const struct effect *open = engine_effect(&run->state, effect);
    if (open == NULL || open->attempt != attempt || text.len == 0) {
        return;
    }
    bool is_model = open->kind == EFFECT_MODEL;
    uuid root = root_of(partition, run);
    if (is_model) {
        keep_text(watchers, run, kind, text);
    }
    assert(run->durable_seq > 0); /* The call's order is on disk. */
    struct watch_delta delta = {
        .seq = run->durable_seq,
        .effect = effect,
        .attempt = attempt,
        .turn = run->state.turns + 1,
        .offset = is_model ? room_of(partition, run)->text.shown : 0,
        .kind = kind,
        .text = text,
    };
    struct packing alone = {.format = partition->options.format, .delta = &delta};
    struct packing below = {.format = partition->options.format, .delta = &delta};
    below.at = point_of(run, root, 0);
    push_live(&watchers->runs, run->state.id, run, &alone);
    push_live(&watchers->trees, root, run, &below);
}

void watch_forget_text(struct partition *partition, struct live_run *run)
{
    struct watchers *watchers = watchers_of(partition);
    struct room *room = room_of(partition, run);
    buf_reset(&room->text.bytes);
    room->text.part_count = 0;
    room->text.shown = 0;
    unlist_text(watchers, room);
    for (struct follower *it = follow_first(&watchers->trees, root_of(partition, run)); it != NULL;
         it = it->next) {
        forget_mark(watcher_of(it), run->state.id);
    }
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
    const struct text_mark *mark = mark_of(watcher, run->state.id);
    bool is_same = mark->effect == effect->id && mark->attempt == effect->attempt;
    size_t from = is_same ? mark->offset : 0;
    size_t start = 0;
    const struct model_text *shown = &room_of(partition, run)->text;
    struct tree_point at = point_of(run, root_of(partition, run), watcher->follower.number);
    for (size_t i = 0; i < shown->part_count; i++) {
        size_t end = shown->parts[i].end;
        size_t begin = start > from ? start : from;
        if (begin < end) {
            struct watch_delta delta = {
                .seq = run->state.seq,
                .effect = effect->id,
                .attempt = effect->attempt,
                .turn = run->state.turns + 1,
                .offset = end,
                .kind = shown->parts[i].kind,
                .text = str_make(shown->bytes.ptr + begin, end - begin),
            };
            push_delta(watcher, run->state.id, &delta,
                       partition->options.format->delta(watcher->is_tree ? &at : NULL, &delta));
        }
        start = end;
    }
    assert(start == shown->bytes.len); /* The parts are all of the text. */
}

/* Of all calls in flight below the root. Where it stalls, the rest comes when it joins again. */
static void push_texts(struct watchers *watchers, struct watcher *watcher)
{
    struct follower *follower = &watcher->follower;
    assert(watcher->is_tree && follower->place == FOLLOWER_LIVE);
    for (const struct room *it = watchers->first_text; it != NULL; it = it->next) {
        if (!uuid_equal(root_of(watchers->partition, it->run), watcher->run)) {
            continue;
        }
        if (follower->stalls(follower)) {
            follow_stall(&watchers->trees, follower);
            return;
        }
        push_text(watchers->partition, it->run, watcher);
    }
}

/* It was shown all facts: those who are told of the text that comes next. */
static void joined(void *context, struct follower *follower)
{
    struct partition *partition = context;
    struct watcher *watcher = watcher_of(follower);
    assert(follower->place == FOLLOWER_LIVE);
    if (!watcher->caught_up_said) {
        watcher->caught_up_said = true;
        follower->push(follower,
                       partition->options.format->caught_up(watcher->is_tree, follower->number));
    }
    if (watcher->is_tree) {
        push_texts(watchers_of(partition), watcher);
        return;
    }
    struct live_run *run = runs_find(partition, watcher->run);
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
    for (struct follower *it = follow_end(&watchers_of(partition)->runs, run->state.id); it != NULL;
         it = next) {
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
    struct watchers *watchers = watchers_of(partition);
    struct watcher *watcher = watch_request(request)->watcher;
    struct follow *follow = watcher->is_tree ? &watchers->trees : &watchers->runs;
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

/* ---- The feature. ---- */

static void perform_end(struct partition *partition, const struct act *act)
{
    show_end(partition, act->run);
}

/* Those who follow it are read for, and so find that nothing comes any more. */
static void perform_tree_end(struct partition *partition, const struct act *act)
{
    follow_read_again(&watchers_of(partition)->trees, act->run_id);
}

static const struct act_kind show_act = {.name = "show", .perform = perform_show};
static const struct act_kind end_act = {.name = "show_end", .perform = perform_end};
static const struct act_kind tree_end_act = {.name = "tree_end", .perform = perform_tree_end};

static void *start(struct partition *partition)
{
    struct watchers *watchers = xcalloc(1, sizeof(*watchers));
    const struct partition_options *options = &partition->options;
    struct follow_options follow = {
        .followers_max = options->watchers_in_all_max,
        .each_max = options->watchers_max,
        .kept_bytes = options->kept_bytes_max == 0 ? KEPT_BYTES_MAX : options->kept_bytes_max,
        .joined = joined,
        .all_shown = all_shown,
        .context = partition,
    };
    watchers->partition = partition;
    follow.with = &watchers->trees;
    follow_init(&watchers->runs, &follow);
    follow.with = &watchers->runs;
    follow_init(&watchers->trees, &follow);
    return watchers;
}

static void record_put(void *self, struct live_run *run, str record, uint32_t count)
{
    const struct watchers *watchers = self;
    struct arena *arena = &watchers->partition->round_arena;
    const struct tree_place *place = tree_place(watchers->partition, run);
    assert(run->is_touched && record.len > 0);
    if (!follow_is_followed(&watchers->runs, run->state.id) &&
        !follow_is_followed(&watchers->trees, place->root)) {
        return;
    }
    struct record_act *act = arena_alloc(arena, sizeof(*act));
    *act = (struct record_act){
        .record = arena_copy(arena, record),
        .root = place->root,
        .number = place->number,
        .last_seq = run->state.seq + count,
    };
    act_add(watchers->partition, &show_act, run)->data = act;
}

/* Of a run that is not in memory, by its row. */
static bool root_has_ended(struct partition *partition, uuid root)
{
    char key[KEY_BYTES_MAX];
    str bytes;
    struct run_row row = {.status = RUN_STATUS_WAITING};
    const struct live_run *run = runs_find(partition, root);
    if (run != NULL) {
        return engine_is_terminal(&run->state);
    }
    status read =
        store_get(&partition->store, STORE_RUNS, key_run(key, partition->options.space, root),
                  &partition->round_arena, &bytes);
    read = status_is_ok(read) ? codec_decode_row(bytes, &row) : read;
    if (!status_is_ok(read) && store_may_pass(read)) {
        round_spoil(partition, read);
    }
    return row.status > RUN_STATUS_WAITING;
}

static void after_decision(void *self, struct live_run *run, const struct event *events,
                           size_t count)
{
    (void)events;
    (void)count;
    const struct watchers *watchers = self;
    struct partition *partition = watchers->partition;
    uuid root = root_of(partition, run);
    if (!engine_is_terminal(&run->state)) {
        return;
    }
    act_add(partition, &end_act, run);
    if (follow_is_followed(&watchers->trees, root) && tree_live(partition, root) == 0 &&
        root_has_ended(partition, root)) {
        act_add(partition, &tree_end_act, NULL)->run_id = root;
    }
}

static void settle(void *self)
{
    struct watchers *watchers = self;
    follow_settle(&watchers->runs);
    follow_settle(&watchers->trees);
}

/* What the commit whose outcome was unknown did write was not shown. */
static void reread(void *self, struct live_run *run)
{
    struct watchers *watchers = self;
    follow_doubt(&watchers->runs, run->state.id, run->state.seq);
    follow_read_again(&watchers->trees, root_of(watchers->partition, run));
    if (engine_is_terminal(&run->state)) {
        show_end(watchers->partition, run);
    }
}

static void unreadable(void *self, uuid run, const struct failure *failure)
{
    struct watchers *watchers = self;
    follow_drop(&watchers->runs, run, failure);
    follow_drop(&watchers->trees, run, failure);
}

static void perform_gone(struct partition *partition, const struct act *act)
{
    struct failure failure = failure_make(CODE_NOT_FOUND, REASON_RUN_NOT_FOUND,
                                          STR("the run was deleted while it was watched"));
    failure.field = STR("run_id");
    follow_drop(&watchers_of(partition)->runs, act->run_id, &failure);
    follow_drop(&watchers_of(partition)->trees, act->run_id, &failure);
}

static void run_deleted(void *self, uuid run, const struct run_spec *spec,
                        const struct run_row *row)
{
    static const struct act_kind kind = {.name = "watchers_gone", .perform = perform_gone};
    const struct watchers *watchers = self;
    (void)spec, (void)row;
    if (follow_is_followed(&watchers->runs, run) || follow_is_followed(&watchers->trees, run)) {
        act_add(watchers->partition, &kind, NULL)->run_id = run;
    }
}

static void run_leaves(void *self, struct live_run *run)
{
    struct watchers *watchers = self;
    struct room *room = room_of(watchers->partition, run);
    unlist_text(watchers, room);
    buf_fini(&room->text.bytes);
    free(room->text.parts);
}

static uint64_t next_due_ms(void *self)
{
    const struct watchers *watchers = self;
    bool is_unsettled =
        follow_is_unsettled(&watchers->runs) || follow_is_unsettled(&watchers->trees);
    return is_unsettled ? watchers->partition->now_ms : 0;
}

static void stop(void *self)
{
    struct watchers *watchers = self;
    struct failure failure =
        failure_make(CODE_UNAVAILABLE, REASON_SHUTTING_DOWN,
                     STR("the server is shutting down; take the stream up again in a moment"));
    follow_fini(&watchers->runs, &failure);
    follow_fini(&watchers->trees, &failure);
    free(watchers);
}

static const struct feature *const uses[] = {&reports_feature, &trees_feature, NULL};

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
