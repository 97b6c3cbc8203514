/*
 * runs: the runs in memory: found by id, dropped when nobody needs them.
 */
#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/sys.h"
#include "service/partition/alarms.h"
#include "service/partition/state.h"
#include "service/partition/timers.h"
#include "service/partition/unread.h"

enum {
    LOOKED_AT_MAX = 1024, /* Runs at work that are looked at per round. */
    IDLE_MS = 2000, /* A run nobody used that long leaves memory, if it may. */
    LEFT_MANY = 4096, /* Worth returning their memory to the system. */
};

static bool has_id(const struct table_link *link, const void *id)
{
    return uuid_equal(container_of(link, const struct live_run, by_id)->state.id,
                      *(const uuid *)id);
}

void runs_init(struct partition *partition)
{
    table_init(&partition->runs.by_id, has_id);
    partition->runs.unread = unread_new();
    partition->runs.is_starting = true;
}

struct live_run *runs_find(const struct partition *partition, uuid id)
{
    struct table_link *link = table_find(&partition->runs.by_id, uuid_hash(id), &id);
    return link == NULL ? NULL : container_of(link, struct live_run, by_id);
}

static void list_remove(struct partition *partition, struct live_run *run)
{
    struct run_list *list = run->is_resting ? &partition->runs.resting : &partition->runs.at_work;
    *(run->older != NULL ? &run->older->newer : &list->oldest) = run->newer;
    *(run->newer != NULL ? &run->newer->older : &list->newest) = run->older;
    assert(list->count > 0);
    list->count--;
    assert((list->count == 0) == (list->oldest == NULL));
}

static void list_add(struct partition *partition, struct live_run *run, bool rests)
{
    struct run_list *list = rests ? &partition->runs.resting : &partition->runs.at_work;
    run->is_resting = rests;
    run->used_ms = partition->now_ms;
    run->older = list->newest;
    run->newer = NULL;
    *(list->newest != NULL ? &list->newest->newer : &list->oldest) = run;
    list->newest = run;
    list->count++;
    assert(list->oldest != NULL && list->newest->newer == NULL);
}

static void list_move(struct partition *partition, struct live_run *run, bool rests)
{
    assert(!rests || !run->is_touched);
    list_remove(partition, run);
    list_add(partition, run, rests);
}

size_t runs_count(const struct partition *partition)
{
    return partition->runs.at_work.count + partition->runs.resting.count;
}

struct live_run *runs_first(const struct partition *partition)
{
    return partition->runs.at_work.oldest != NULL ? partition->runs.at_work.oldest
                                                  : partition->runs.resting.oldest;
}

struct live_run *runs_next(const struct partition *partition, const struct live_run *run)
{
    return run->newer != NULL || run->is_resting ? run->newer : partition->runs.resting.oldest;
}

struct live_run *runs_insert(struct partition *partition, uuid id)
{
    assert(runs_find(partition, id) == NULL);
    struct live_run *run = xcalloc(1, sizeof(*run) + partition->runs.room_bytes);
    engine_init(&run->state);
    run->state.id = id;
    table_add(&partition->runs.by_id, &run->by_id, uuid_hash(id));
    list_add(partition, run, false);
    run->used_round = partition->stats.rounds;
    return run;
}

void runs_touch(struct partition *partition, struct live_run *run)
{
    if (!run->is_touched) {
        assert(run->touched_next == NULL);
        list_move(partition, run, false);
        run->used_round = partition->stats.rounds;
        run->is_touched = true;
        run->touched_next = partition->runs.touched;
        partition->runs.touched = run;
    }
}

void runs_keep_record(struct live_run *run, str record)
{
    assert(record.len > 0);
    run->records = array_reserve(run->records, &run->record_capacity, run->record_count + 1,
                                 sizeof(run->records[0]));
    char *copy = xmalloc(record.len);
    memcpy(copy, record.ptr, record.len);
    run->records[run->record_count++] = str_make(copy, record.len);
}

void runs_keep_first(struct live_run *run)
{
    assert(run->state.kind != RUN_KIND_AGENT); /* Its next call needs them all. */
    for (size_t i = 1; i < run->record_count; i++) {
        free((char *)run->records[i].ptr);
    }
    run->record_count = run->record_count > 0 ? 1 : 0;
}

void runs_begun(struct partition *partition, struct live_run *run, const struct run_spec *spec)
{
    size_t len = spec->name.len < CODEC_NAME_MAX ? spec->name.len : CODEC_NAME_MAX;
    memcpy(run->name, spec->name.ptr, len);
    features_tell(partition, run_begun, run, spec);
}

status runs_started(const struct live_run *run, struct arena *arena, struct event *ret)
{
    return codec_decode_start(run->record_count == 0 ? STR_EMPTY : run->records[0], arena, ret);
}

static void run_free(struct partition *partition, struct live_run *run)
{
    features_tell(partition, run_leaves, run);
    for (size_t i = 0; i < run->record_count; i++) {
        free((char *)run->records[i].ptr);
    }
    free(run->records);
    free(run);
}

void runs_drop(struct partition *partition, struct live_run *run)
{
    assert(!run->is_touched);
    table_remove(&partition->runs.by_id, &run->by_id);
    list_remove(partition, run);
    run_free(partition, run);
}

void runs_forget(struct partition *partition, uuid id)
{
    struct runs *runs = &partition->runs;
    struct live_run *run = runs_find(partition, id);
    if (run != NULL) {
        assert(!run->is_touched && engine_is_terminal(&run->state));
        run->is_forgotten = true;
    }
    runs->forgotten = array_reserve(runs->forgotten, &runs->forgotten_capacity,
                                    runs->forgotten_count + 1, sizeof(runs->forgotten[0]));
    runs->forgotten[runs->forgotten_count++] = id;
}

static bool is_forgotten(const struct partition *partition, uuid id)
{
    const struct runs *runs = &partition->runs;
    for (size_t i = 0; i < runs->forgotten_count; i++) {
        if (uuid_equal(runs->forgotten[i], id)) {
            return true;
        }
    }
    return false;
}

bool runs_exist(struct partition *partition, uuid id)
{
    char key[KEY_BYTES_MAX];
    str row;
    if (is_forgotten(partition, id)) {
        return false;
    }
    if (runs_find(partition, id) != NULL) {
        return true;
    }
    status found =
        store_get(&partition->store, STORE_RUNS, key_run(key, partition->options.space, id),
                  &partition->round_arena, &row);
    return found.code != CODE_NOT_FOUND;
}

void runs_drop_forgotten(struct partition *partition, bool is_committed)
{
    struct runs *runs = &partition->runs;
    for (size_t i = 0; i < runs->forgotten_count; i++) {
        struct live_run *run = runs_find(partition, runs->forgotten[i]);
        if (run != NULL) {
            assert(run->is_forgotten);
            runs_drop(partition, run);
        }
        if (is_committed) {
            timers_arm(partition->timers, runs->forgotten[i], 0);
            apart_remove(partition->apart, runs->forgotten[i]);
        }
    }
    runs->forgotten_count = 0;
}

static bool is_kept(const struct partition *partition, const struct live_run *run)
{
    features_each (partition, slot) {
        if (slot->feature->keeps != NULL && slot->feature->keeps(slot->self, run)) {
            return true;
        }
    }
    return false;
}

bool runs_may_leave(const struct partition *partition, const struct live_run *run)
{
    if (run->is_touched || run->needs_recovery) {
        return false;
    }
    bool is_idle = engine_is_terminal(&run->state) || engine_is_waiting(&run->state);
    return is_idle && !is_kept(partition, run);
}

void runs_recover_later(struct partition *partition, struct live_run *run, uint64_t at_ms)
{
    partition->runs.recover_at_ms = at_ms;
    if (run->needs_recovery) {
        return;
    }
    assert(run->was_unread || !engine_is_terminal(&run->state));
    run->needs_recovery = true;
    partition->runs.recovering =
        array_reserve(partition->runs.recovering, &partition->runs.recovering_capacity,
                      partition->runs.recovering_count + 1, sizeof(partition->runs.recovering[0]));
    partition->runs.recovering[partition->runs.recovering_count++] = run->state.id;
}

static bool is_idle(const struct partition *partition, const struct live_run *run)
{
    return run->used_ms + IDLE_MS <= partition->now_ms;
}

/* Who came into memory or did something in this round and only waits now. */
static void rest_used(struct partition *partition)
{
    struct live_run *run = partition->runs.at_work.newest;
    while (run != NULL && run->used_round == partition->stats.rounds) {
        struct live_run *older = run->older;
        if (runs_may_leave(partition, run)) {
            list_move(partition, run, true);
        }
        run = older;
    }
}

/* Who was kept by something else than work, such as a watcher, and is no more. */
static void rest_idle(struct partition *partition)
{
    struct live_run *run = partition->runs.at_work.oldest;
    for (size_t i = 0; run != NULL && i < LOOKED_AT_MAX && is_idle(partition, run); i++) {
        struct live_run *newer = run->newer;
        list_move(partition, run, runs_may_leave(partition, run));
        run = newer;
    }
}

void runs_evict(struct partition *partition)
{
    rest_used(partition);
    rest_idle(partition);
    struct live_run *run = partition->runs.resting.oldest;
    while (run != NULL && (partition->runs.resting.count > partition->options.waiting_runs_max ||
                           is_idle(partition, run))) {
        struct live_run *newer = run->newer;
        if (runs_may_leave(partition, run)) {
            alarm_leave(partition, run);
            runs_drop(partition, run);
            partition->runs.left_count++;
        } else { /* Somebody came to watch it. */
            list_move(partition, run, false);
        }
        run = newer;
    }
    if (run == NULL && partition->runs.left_count >= LEFT_MANY) { /* Quiet after a while of work. */
        sys_return_memory();
        partition->runs.left_count = 0;
    }
}

static uint64_t idle_at_ms(const struct live_run *run)
{
    return run == NULL ? 0 : run->used_ms + IDLE_MS;
}

uint64_t runs_next_eviction_ms(const struct partition *partition)
{
    uint64_t at_work = idle_at_ms(partition->runs.at_work.oldest);
    uint64_t resting = idle_at_ms(partition->runs.resting.oldest);
    return resting == 0 || (at_work != 0 && at_work < resting) ? at_work : resting;
}

void runs_fini(struct partition *partition)
{
    struct live_run *run;
    while ((run = runs_first(partition)) != NULL) {
        run->is_touched = false;
        runs_drop(partition, run);
    }
    table_fini(&partition->runs.by_id);
    unread_free(partition->runs.unread);
    free(partition->runs.recovering);
    free(partition->runs.forgotten);
}
