/*
 * runs: the runs in memory: found by id, dropped when nobody needs them.
 */
#include <stdlib.h>

#include "service/runtime/internal.h"

static struct live_run **bucket_of(const struct runtime *runtime, uuid id)
{
    uint64_t tail;
    memcpy(&tail, id.bytes + 8, sizeof(tail));
    tail *= 0x9E3779B97F4A7C15u;
    return &runtime->buckets[(tail >> 20) & runtime->bucket_mask];
}

struct live_run *runs_find(const struct runtime *runtime, uuid id)
{
    struct live_run *run = *bucket_of(runtime, id);
    while (run != NULL && !uuid_equal(run->state.id, id)) {
        run = run->hash_next;
    }
    return run;
}

static void order_remove(struct runtime *runtime, struct live_run *run)
{
    *(run->older != NULL ? &run->older->newer : &runtime->oldest) = run->newer;
    *(run->newer != NULL ? &run->newer->older : &runtime->newest) = run->older;
    run->older = run->newer = NULL;
}

static void order_add(struct runtime *runtime, struct live_run *run)
{
    run->older = runtime->newest;
    run->newer = NULL;
    *(runtime->newest != NULL ? &runtime->newest->newer : &runtime->oldest) = run;
    runtime->newest = run;
}

struct live_run *runs_insert(struct runtime *runtime, uuid id)
{
    assert(runs_find(runtime, id) == NULL);
    struct live_run *run = xcalloc(1, sizeof(*run));
    engine_init(&run->state);
    run->state.id = id;
    struct live_run **bucket = bucket_of(runtime, id);
    run->hash_next = *bucket;
    *bucket = run;
    order_add(runtime, run);
    run->used_ms = runtime->now_ms;
    runtime->run_count++;
    return run;
}

void runs_touch(struct runtime *runtime, struct live_run *run)
{
    if (run->used_ms != runtime->now_ms || run != runtime->newest) {
        order_remove(runtime, run);
        order_add(runtime, run);
        run->used_ms = runtime->now_ms;
    }
    if (!run->is_touched) {
        run->is_touched = true;
        run->touched_next = runtime->touched;
        runtime->touched = run;
    }
}

void runs_keep_record(struct live_run *run, str record)
{
    if (run->record_count == run->record_capacity) {
        run->record_capacity = run->record_capacity == 0 ? 4 : run->record_capacity * 2;
        run->records = xrealloc(run->records, run->record_capacity * sizeof(run->records[0]));
    }
    char *copy = xmalloc(record.len);
    memcpy(copy, record.ptr, record.len);
    run->records[run->record_count++] = str_make(copy, record.len);
}

void runs_keep_first(struct live_run *run)
{
    for (size_t i = 1; i < run->record_count; i++) {
        free((char *)run->records[i].ptr);
    }
    run->record_count = run->record_count > 0 ? 1 : 0;
}

void runs_note_start(struct live_run *run, const struct run_spec *spec)
{
    size_t len = spec->name.len < NAME_BYTES_MAX ? spec->name.len : NAME_BYTES_MAX;
    memcpy(run->name, spec->name.ptr, len);
    queueing_seat(run, spec);
}

status runs_started(const struct live_run *run, struct arena *arena, struct event *ret)
{
    size_t cursor = 0;
    struct codec_entry entry;
    bool at_end = true;
    if (run->record_count > 0) {
        TRY(codec_next(run->records[0], &cursor, &entry, &at_end));
    }
    if (at_end || entry.kind != EVENT_RUN_STARTED) {
        return status_make(CODE_DATA_LOSS, "the run's journal does not begin with its start");
    }
    return codec_decode(&entry, arena, ret);
}

static void run_free(struct live_run *run)
{
    assert(run->watchers == NULL);
    assert(run->waits == NULL);
    for (size_t i = 0; i < run->record_count; i++) {
        free((char *)run->records[i].ptr);
    }
    free(run->records);
    free(run->seat);
    waits_free(run);
    buf_fini(&run->model_text.bytes);
    free(run->model_text.parts);
    free(run);
}

void runs_drop(struct runtime *runtime, struct live_run *run)
{
    assert(!run->is_touched);
    struct live_run **link = bucket_of(runtime, run->state.id);
    while (*link != run) {
        assert(*link != NULL);
        link = &(*link)->hash_next;
    }
    *link = run->hash_next;
    order_remove(runtime, run);
    runtime->run_count--;
    run_free(run);
}

bool runs_may_leave(const struct live_run *run)
{
    if (run->watchers != NULL || run->waits != NULL || run->is_touched || run->needs_recovery) {
        return false;
    }
    return engine_is_terminal(&run->state) || engine_is_waiting(&run->state);
}

void runs_recover_later(struct runtime *runtime, struct live_run *run, uint64_t at_ms)
{
    runtime->recover_at_ms = at_ms;
    if (run->needs_recovery) {
        return;
    }
    run->needs_recovery = true;
    if (runtime->recovering_count == runtime->recovering_capacity) {
        size_t capacity = runtime->recovering_capacity;
        runtime->recovering_capacity = capacity == 0 ? 64 : capacity * 2;
        runtime->recovering = xrealloc(runtime->recovering, runtime->recovering_capacity *
                                                                sizeof(runtime->recovering[0]));
    }
    runtime->recovering[runtime->recovering_count++] = run->state.id;
}

/* Terminal runs leave at once, waiting ones when they were left alone for a while or memory is
 * short; runs at work stay. */
void runs_evict(struct runtime *runtime)
{
    struct live_run *run = runtime->oldest;
    for (size_t looked_at = 0; run != NULL && looked_at < 1024; looked_at++) {
        struct live_run *next = run->newer;
        bool is_idle = run->used_ms + IDLE_MS <= runtime->now_ms;
        if (!is_idle && runtime->run_count <= runtime->options.runs_max) {
            break;
        }
        if (runs_may_leave(run)) {
            if (run->alarm_ms != 0 && !alarm_is_near(runtime, run->alarm_ms)) {
                timers_arm(runtime->timers, run->state.id, 0);
            }
            runs_drop(runtime, run);
        } else {
            order_remove(runtime, run);
            order_add(runtime, run);
            run->used_ms = runtime->now_ms;
        }
        run = next;
    }
}

uint64_t runs_next_eviction_ms(const struct runtime *runtime)
{
    return runtime->oldest == NULL ? 0 : runtime->oldest->used_ms + IDLE_MS;
}

void runs_free_all(struct runtime *runtime)
{
    while (runtime->oldest != NULL) {
        struct live_run *run = runtime->oldest;
        run->watchers = NULL;
        run->waits = NULL;
        run->is_touched = false;
        runs_drop(runtime, run);
    }
}

struct load {
    struct live_run *run;
    struct arena *arena;
    status status;
    bool found;
};

static status load_record(struct load *load, str record)
{
    struct run *state = &load->run->state;
    size_t cursor = 0;
    for (;;) {
        struct codec_entry entry;
        bool at_end;
        TRY(codec_next(record, &cursor, &entry, &at_end));
        if (at_end) {
            return STATUS_OK;
        }
        if (entry.seq != state->seq + 1) {
            return status_make(CODE_DATA_LOSS, "the run's journal has a gap");
        }
        struct event event;
        TRY(codec_decode(&entry, load->arena, &event));
        if (engine_is_terminal(state)) {
            return status_make(CODE_DATA_LOSS, "the run's journal goes on after its end");
        }
        engine_apply(state, &event);
        if (event.kind == EVENT_RUN_STARTED) {
            runs_note_start(load->run, &event.run_started.spec);
        }
    }
}

static bool load_visit(void *context, str key, str value)
{
    (void)key;
    struct load *load = context;
    bool keeps = load->run->record_count == 0 || load->run->state.kind == RUN_KIND_AGENT ||
                 load->run->state.seq == 0;
    load->found = true;
    load->status = load_record(load, value);
    if (keeps && status_is_ok(load->status)) {
        runs_keep_record(load->run, value);
    }
    arena_reset(load->arena);
    return status_is_ok(load->status);
}

/* Snapshot and tail; an agent's whole journal, since its next model call needs all of it. */
static status load_run(struct runtime *runtime, struct live_run *run)
{
    char key[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    struct key_space space = runtime->options.space;
    uuid id = run->state.id;
    struct load load = {.run = run, .arena = &runtime->scratch};
    str prefix = key_run(key, space, id);
    TRY(store_scan(&runtime->store, STORE_JOURNAL, prefix, STR_EMPTY, false, 1, load_visit, &load));
    TRY(load.status);
    if (!load.found) {
        return status_make(CODE_NOT_FOUND, "there is no such run");
    }
    if (run->state.kind != RUN_KIND_AGENT) {
        str snapshot;
        status found =
            store_get(&runtime->store, STORE_SNAPSHOTS, prefix, &runtime->scratch, &snapshot);
        struct run state;
        if (status_is_ok(found) && status_is_ok(codec_decode_run(snapshot, &state)) &&
            uuid_equal(state.id, id)) {
            run->state = state; /* A damaged one is passed over: the journal has it all. */
            run->snapshot_seq = state.seq;
        } else if (!status_is_ok(found) && found.code != CODE_NOT_FOUND) {
            return found;
        }
    }
    arena_reset(&runtime->scratch);
    str start = key_journal(from, space, id, run->state.seq + 1);
    TRY(store_scan(&runtime->store, STORE_JOURNAL, prefix, start, false, SIZE_MAX, load_visit,
                   &load));
    TRY(load.status);
    return uuid_equal(run->state.id, id)
               ? STATUS_OK
               : status_make(CODE_DATA_LOSS, "the run's journal is another run's");
}

status runs_get(struct runtime *runtime, uuid id, struct live_run **ret)
{
    struct live_run *run = runs_find(runtime, id);
    if (run == NULL) {
        run = runs_insert(runtime, id);
        status loaded = load_run(runtime, run);
        arena_reset(&runtime->scratch);
        if (!status_is_ok(loaded)) {
            run->state.id = id; /* Whatever the bytes said. */
            runs_drop(runtime, run);
            return loaded;
        }
        command_row(runtime, run, &run->row);
        run->row_written = true;
        run->alarm_ms = alarm_of(&run->row);
        run->may_have_state = true; /* Who knows. */
        run->durable_seq = run->state.seq;
        timers_arm(runtime->timers, id, engine_next_deadline(&run->state));
    }
    *ret = run;
    return STATUS_OK;
}
