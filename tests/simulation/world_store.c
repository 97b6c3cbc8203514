/*
 * The store as the partition sees it: the memory store, with faults and deaths around commits.
 */
#include "service/codec/index.h"
#include "storage/keys.h"
#include "storage/memory_store.h"
#include "tests/simulation/world.h"

/* Also when all is over and only trees are deleted. */
static bool accident(struct world *world, unsigned percent)
{
    return world_fault(world, percent) ||
           (world->is_deleting && draw_below(&world->pages, 100) < 4 * percent);
}

static void draw_death(struct world *world)
{
    if (accident(world, 2)) {
        world->acts_until_death = world_below(world, 4) == 0 ? 0 : world_below(world, 30);
    }
}

/* Wakes somebody, or moves what starts by itself: it must come to the same when it comes again. */
static bool is_clockwork(const struct store_batch *batch)
{
    size_t cursor = 0;
    struct store_entry entry;
    str tail;
    while (store_batch_next(batch, &cursor, &entry)) {
        if (entry.table != STORE_INDEX || !key_read_index(entry.key, &tail)) {
            continue;
        }
        uint8_t kind = (uint8_t)tail.ptr[-1];
        if (kind == INDEX_TRIGGER || kind == INDEX_SCHEDULE ||
            ((kind == INDEX_AWAIT || kind == INDEX_AWAIT_TYPE) && entry.is_delete)) {
            return true;
        }
    }
    return false;
}

static status commit_for_real(struct world *world, const struct store_batch *batch)
{
    status committed = store_commit(&world->store, batch);
    laws_take(world, batch);
    world->counts.commits++;
    return committed;
}

static status commit(void *self, const struct store_batch *batch)
{
    struct world *world = self;
    static const struct {
        enum memory_store_fault fault;
        const char *name;
    } faults[] = {
        {MEMORY_STORE_FAULT_REFUSE, "refused"},
        {MEMORY_STORE_FAULT_LOST, "lost"},
        {MEMORY_STORE_FAULT_UNKNOWN, "unknown"}, /* It happens, and nobody says so. */
        {MEMORY_STORE_FAULT_UNKNOWN, "unknown"},
    };
    world_expect(world, batch->count > 0, "no-empty-commits");
    if (world->is_dead) {
        return status_make(CODE_UNAVAILABLE, "the process is dead");
    }
    if (accident(world, is_clockwork(batch) ? 8 : 2)) {
        size_t which = world_below(world, COUNT_OF(faults));
        world->upsets++;
        world->trouble_ms = world->time_ms > world->trouble_ms ? world->time_ms : world->trouble_ms;
        world_say(world, "store: the next commit is %s", faults[which].name);
        memory_store_fault(&world->store, faults[which].fault);
        status outcome = store_commit(&world->store, batch);
        if (faults[which].fault == MEMORY_STORE_FAULT_UNKNOWN) {
            laws_take(world, batch);
        }
        world->counts.store_faults++; /* What was taken just now is doubted afterwards. */
        return outcome;
    }
    if (accident(world, 1)) {
        world_say(world, "store: died before the commit");
        world->is_dead = true;
        return status_make(CODE_UNAVAILABLE, "the process is dead");
    }
    draw_death(world);
    return commit_for_real(world, batch);
}

/* ---- Damage: one run's bytes come back as others than were written, until the process ends. ----
 */

static bool is_damaged(const struct world *world, enum store_table table, str key)
{
    uuid run;
    bool may_be =
        world->damaged != NULL && table == (world->is_row_damaged ? STORE_ACTIVE : STORE_JOURNAL);
    return may_be && key_read_run(key, &run) && uuid_equal(run, world->damaged->id);
}

static bool awaits_event(const struct sim_run *run)
{
    for (size_t i = 0; i < run->wait_count; i++) {
        if (run->waits[i].is_open && run->waits[i].kind == EFFECT_EVENT) {
            return true;
        }
    }
    return false;
}

/* Half of the time one that awaits an event, where there is any: others may await the same. */
static struct sim_run *draw_damaged(struct world *world)
{
    size_t first = draw_below(&world->pages, world->live_count);
    bool is_any = draw_below(&world->pages, 2) == 0;
    for (size_t i = 0; i < world->live_count && !is_any; i++) {
        struct sim_run *run = world->live[(first + i) % world->live_count];
        if (awaits_event(run)) {
            return run;
        }
    }
    return world->live[first];
}

void world_store_damage(struct world *world)
{
    struct sim_run *run;
    if (world->damaged != NULL) {
        world->damaged->is_damaged = false;
        world->damaged = NULL;
    }
    if (world->calm || world->live_count == 0 || draw_below(&world->pages, 4) != 0) {
        return;
    }
    run = draw_damaged(world);
    world->is_row_damaged = draw_below(&world->pages, 2) == 0;
    if (run->queue != WORLD_QUEUES) {
        return; /* The place it holds in its queue would be another's meanwhile. */
    }
    run->is_damaged = run->was_damaged = true;
    world->damaged = run;
    world->counts.damaged++;
    world_say(world, "store: run %.6s.. cannot be read", run->marker.ptr);
}

static status get(void *self, enum store_table table, str key, struct arena *arena, str *ret)
{
    struct world *world = self;
    status got = store_get(&world->store, table, key, arena, ret);
    if (status_is_ok(got) && is_damaged(world, table, key)) {
        *ret = STR("\xff\xff");
    }
    return got;
}

struct damaged_scan {
    struct world *world;
    enum store_table table;
    store_visit *visit;
    void *context;
};

static bool visit(void *context, str key, str value)
{
    const struct damaged_scan *scan = context;
    return scan->visit(scan->context, key,
                       is_damaged(scan->world, scan->table, key) ? STR("\xff\xff") : value);
}

static status scan(void *self, enum store_table table, str prefix, str from, bool reverse,
                   size_t limit, store_visit *each, void *context)
{
    struct world *world = self;
    struct damaged_scan damaged = {world, table, each, context};
    return store_scan(&world->store, table, prefix, from, reverse, limit, visit, &damaged);
}

static status checkpoint(void *self, const char *path)
{
    struct world *world = self;
    return store_checkpoint(&world->store, path);
}

static void stats(void *self, struct store_stats *ret)
{
    struct world *world = self;
    store_stats(&world->store, ret);
}

static void close_nothing(void *self)
{
    (void)self; /* It survives the process. */
}

struct store world_store(struct world *world)
{
    static const struct store_vtable vtable = {
        .commit = commit,
        .get = get,
        .scan = scan,
        .checkpoint = checkpoint,
        .stats = stats,
        .close = close_nothing,
    };
    return (struct store){.vtable = &vtable, .self = world};
}
