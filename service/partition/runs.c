/*
 * runs: the runs in memory: found by id, dropped when nobody needs them.
 */
#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/sys.h"
#include "service/partition/internal.h"

enum {
    LOOKED_AT_MAX = 1024, /* Runs at work that are looked at per turn. */
    LEFT_MANY = 4096, /* Worth returning their memory to the system. */
};

static bool has_id(const struct table_link *link, const void *id)
{
    return uuid_equal(container_of(link, const struct live_run, by_id)->state.id,
                      *(const uuid *)id);
}

void runs_init(struct partition *partition)
{
    table_init(&partition->runs, has_id);
}

struct live_run *runs_find(const struct partition *partition, uuid id)
{
    struct table_link *link = table_find(&partition->runs, uuid_hash(id), &id);
    return link == NULL ? NULL : container_of(link, struct live_run, by_id);
}

static void list_remove(struct partition *partition, struct live_run *run)
{
    struct run_list *list = run->is_resting ? &partition->resting : &partition->at_work;
    *(run->older != NULL ? &run->older->newer : &list->oldest) = run->newer;
    *(run->newer != NULL ? &run->newer->older : &list->newest) = run->older;
    list->count--;
}

static void list_add(struct partition *partition, struct live_run *run, bool rests)
{
    struct run_list *list = rests ? &partition->resting : &partition->at_work;
    run->is_resting = rests;
    run->used_ms = partition->now_ms;
    run->older = list->newest;
    run->newer = NULL;
    *(list->newest != NULL ? &list->newest->newer : &list->oldest) = run;
    list->newest = run;
    list->count++;
}

static void list_move(struct partition *partition, struct live_run *run, bool rests)
{
    list_remove(partition, run);
    list_add(partition, run, rests);
}

size_t runs_count(const struct partition *partition)
{
    return partition->at_work.count + partition->resting.count;
}

struct live_run *runs_first(const struct partition *partition)
{
    return partition->at_work.oldest != NULL ? partition->at_work.oldest : partition->resting.oldest;
}

struct live_run *runs_next(const struct partition *partition, const struct live_run *run)
{
    return run->newer != NULL || run->is_resting ? run->newer : partition->resting.oldest;
}

struct live_run *runs_insert(struct partition *partition, uuid id)
{
    assert(runs_find(partition, id) == NULL);
    struct live_run *run = xcalloc(1, sizeof(*run));
    engine_init(&run->state);
    run->state.id = id;
    table_add(&partition->runs, &run->by_id, uuid_hash(id));
    list_add(partition, run, false);
    run->used_round = partition->stats.rounds;
    return run;
}

void runs_touch(struct partition *partition, struct live_run *run)
{
    if (!run->is_touched) {
        list_move(partition, run, false);
        run->used_round = partition->stats.rounds;
        run->is_touched = true;
        run->touched_next = partition->touched;
        partition->touched = run;
    }
}

void runs_keep_record(struct live_run *run, str record)
{
    run->records = array_reserve(run->records, &run->record_capacity, run->record_count + 1,
                                 sizeof(run->records[0]));
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

void runs_drop(struct partition *partition, struct live_run *run)
{
    assert(!run->is_touched);
    table_remove(&partition->runs, &run->by_id);
    list_remove(partition, run);
    run_free(run);
}

bool runs_may_leave(const struct live_run *run)
{
    if (run->watchers != NULL || run->waits != NULL || run->is_touched || run->needs_recovery) {
        return false;
    }
    return engine_is_terminal(&run->state) || engine_is_waiting(&run->state);
}

void runs_recover_later(struct partition *partition, struct live_run *run, uint64_t at_ms)
{
    partition->recover_at_ms = at_ms;
    if (run->needs_recovery) {
        return;
    }
    run->needs_recovery = true;
    partition->recovering =
        array_reserve(partition->recovering, &partition->recovering_capacity,
                      partition->recovering_count + 1, sizeof(partition->recovering[0]));
    partition->recovering[partition->recovering_count++] = run->state.id;
}

static bool is_idle(const struct partition *partition, const struct live_run *run)
{
    return run->used_ms + IDLE_MS <= partition->now_ms;
}

/* Who came into memory or did something in this turn and only waits now. */
static void rest_used(struct partition *partition)
{
    struct live_run *run = partition->at_work.newest;
    while (run != NULL && run->used_round == partition->stats.rounds) {
        struct live_run *older = run->older;
        if (runs_may_leave(run)) {
            list_move(partition, run, true);
        }
        run = older;
    }
}

/* Who was kept by something else than work, such as a watcher, and is no more. */
static void rest_idle(struct partition *partition)
{
    struct live_run *run = partition->at_work.oldest;
    for (size_t i = 0; run != NULL && i < LOOKED_AT_MAX && is_idle(partition, run); i++) {
        struct live_run *newer = run->newer;
        list_move(partition, run, runs_may_leave(run));
        run = newer;
    }
}

void runs_evict(struct partition *partition)
{
    rest_used(partition);
    rest_idle(partition);
    struct live_run *run = partition->resting.oldest;
    while (run != NULL &&
           (partition->resting.count > partition->options.waiting_runs_max || is_idle(partition, run))) {
        struct live_run *newer = run->newer;
        if (runs_may_leave(run)) {
            alarm_leave(partition, run);
            runs_drop(partition, run);
            partition->left_count++;
        } else { /* Somebody came to watch it. */
            list_move(partition, run, false);
        }
        run = newer;
    }
    if (run == NULL && partition->left_count >= LEFT_MANY) { /* Quiet after a while of work. */
        sys_return_memory();
        partition->left_count = 0;
    }
}

static uint64_t idle_at_ms(const struct live_run *run)
{
    return run == NULL ? 0 : run->used_ms + IDLE_MS;
}

uint64_t runs_next_eviction_ms(const struct partition *partition)
{
    uint64_t at_work = idle_at_ms(partition->at_work.oldest);
    uint64_t resting = idle_at_ms(partition->resting.oldest);
    return resting == 0 || (at_work != 0 && at_work < resting) ? at_work : resting;
}

void runs_free_all(struct partition *partition)
{
    struct live_run *run;
    while ((run = runs_first(partition)) != NULL) {
        run->watchers = NULL;
        run->waits = NULL;
        run->is_touched = false;
        runs_drop(partition, run);
    }
    table_fini(&partition->runs);
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
static status load_run(struct partition *partition, struct live_run *run)
{
    char key[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    uuid id = run->state.id;
    struct load load = {.run = run, .arena = &partition->scratch};
    str prefix = key_run(key, space, id);
    TRY(store_scan(&partition->store, STORE_JOURNAL, prefix, STR_EMPTY, false, 1, load_visit, &load));
    TRY(load.status);
    if (!load.found) {
        return status_make(CODE_NOT_FOUND, "there is no such run");
    }
    if (run->state.kind != RUN_KIND_AGENT) {
        str snapshot;
        status found =
            store_get(&partition->store, STORE_SNAPSHOTS, prefix, &partition->scratch, &snapshot);
        struct run state;
        if (status_is_ok(found) && status_is_ok(codec_decode_run(snapshot, &state)) &&
            uuid_equal(state.id, id)) {
            run->state = state; /* A damaged one is passed over: the journal has it all. */
            run->snapshot_seq = state.seq;
        } else if (!status_is_ok(found) && found.code != CODE_NOT_FOUND) {
            return found;
        }
    }
    arena_reset(&partition->scratch);
    str start = key_journal(from, space, id, run->state.seq + 1);
    TRY(store_scan(&partition->store, STORE_JOURNAL, prefix, start, false, SIZE_MAX, load_visit,
                   &load));
    TRY(load.status);
    return uuid_equal(run->state.id, id)
               ? STATUS_OK
               : status_make(CODE_DATA_LOSS, "the run's journal is another run's");
}

status runs_get(struct partition *partition, uuid id, struct live_run **ret)
{
    struct live_run *run = runs_find(partition, id);
    if (run == NULL) {
        run = runs_insert(partition, id);
        status loaded = load_run(partition, run);
        arena_reset(&partition->scratch);
        if (!status_is_ok(loaded)) {
            run->state.id = id; /* Whatever the bytes said. */
            runs_drop(partition, run);
            return loaded;
        }
        command_row(partition, run, &run->row);
        run->row_written = true;
        run->alarm_ms = alarm_of(&run->row);
        run->may_have_state = true; /* Who knows. */
        run->durable_seq = run->state.seq;
        timers_arm(partition->timers, id, engine_next_deadline(&run->state));
    }
    *ret = run;
    return STATUS_OK;
}
