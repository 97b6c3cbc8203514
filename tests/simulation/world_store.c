/*
 * The store as the partition sees it: the memory store, with faults and deaths around commits.
 */
#include "service/codec/index.h"
#include "service/partition/state.h"
#include "service/partition/unread.h"
#include "storage/keys.h"
#include "storage/memory_store.h"
#include "tests/simulation/world.h"

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

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
    world->counts.large_batches += batch->bytes.len > 8u << 20;
    return committed;
}

/* What is read anew after a failed commit fails too, perhaps. */
static void trouble_reads(struct world *world)
{
    struct sim_disk *disk = &world->disk_now;
    uint64_t what = draw_below(&world->disk, 4);
    if (what == 0) {
        disk->reads_left = draw_below(&world->disk, 8);
    } else if (what == 1) {
        disk->fails_until_ms = world->time_ms + draw_below(&world->disk, 1200);
        disk->percent = 20 + (unsigned)draw_below(&world->disk, 81);
    }
}

static void note_trouble(struct world *world)
{
    world->upsets++;
    world->trouble_ms = later(world->trouble_ms, world->time_ms);
}

/* No space is left. */
static status refuse_commit(struct world *world, const struct store_batch *batch)
{
    note_trouble(world);
    memory_store_fault(&world->store, MEMORY_STORE_FAULT_REFUSE);
    world->counts.store_faults++;
    return store_commit(&world->store, batch);
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
    world->quiet.deeds++;
    if (world->is_dead) {
        return status_make(CODE_UNAVAILABLE, "the process is dead");
    }
    struct sim_disk *disk = &world->disk_now;
    if (!world->calm && world->time_ms < disk->full_until_ms) {
        return refuse_commit(world, batch);
    }
    if (accident(world, is_clockwork(batch) ? 8 : 2) || disk->is_failing_next) {
        size_t which = world_below(world, COUNT_OF(faults));
        note_trouble(world);
        world_say(world, "store: the next commit is %s", faults[which].name);
        memory_store_fault(&world->store, faults[which].fault);
        status outcome = store_commit(&world->store, batch);
        if (faults[which].fault == MEMORY_STORE_FAULT_UNKNOWN) {
            world->is_unsaid = true;
            laws_take(world, batch);
            world->is_unsaid = false;
        }
        world->counts.store_faults++; /* What was taken just now is doubted afterwards. */
        trouble_reads(world);
        if (disk->is_failing_next) {
            disk->is_failing_next = false;
            disk->fails_until_ms = world->time_ms + draw_below(&world->disk, 1200);
            disk->percent = 100;
        }
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

/* ---- Reads that fail: one, or some of them for a while. ---- */

enum {
    SPELLS_APART_MS = 9000,
    SPELL_MS = 1500,
    LOW_MS = 8000,
    BEGUN_AGAIN_MS = 11000, /* The same of what space was missing for. */
    TRIED_AGAIN_MS = 1000, /* After which whatever a failed read was for was tried again. */
};

/* Little space is left for a while, in the end perhaps none. */
static void run_low(struct world *world)
{
    struct sim_disk *disk = &world->disk_now;
    uint64_t low_ms = 500 + draw_below(&world->disk, LOW_MS);
    disk->low_until_ms = world->time_ms + low_ms;
    if (draw_below(&world->disk, 2) == 0) {
        disk->full_until_ms = world->time_ms + draw_below(&world->disk, low_ms / 3);
    }
    world_say(world, "store: low on space for %llu ms", (unsigned long long)low_ms);
}

static void begin_spell(struct world *world, void *context, uint64_t number)
{
    (void)context, (void)number;
    struct sim_disk *disk = &world->disk_now;
    if (world->calm) {
        return;
    }
    world_at(world, 500 + draw_below(&world->disk, SPELLS_APART_MS), begin_spell, NULL, 0);
    uint64_t what = draw_below(&world->disk, 5);
    if (what == 0) {
        run_low(world);
        return;
    }
    if (what < 3) {
        disk->reads_left = draw_below(&world->disk, 200);
        return;
    }
    disk->fails_until_ms = world->time_ms + draw_below(&world->disk, SPELL_MS);
    disk->percent =
        draw_below(&world->disk, 2) == 0 ? 100 : 5 + (unsigned)draw_below(&world->disk, 60);
    world_say(world, "store: %u in 100 reads fail for %llu ms", disk->percent,
              (unsigned long long)(disk->fails_until_ms - world->time_ms));
}

void world_store_fail_next(struct world *world)
{
    world->disk_now.is_failing_next = !world->calm;
}

void world_store_begin(struct world *world)
{
    world->disk_now = (struct sim_disk){.reads_left = UINT64_MAX};
    world_at(world, 2000 + draw_below(&world->disk, SPELLS_APART_MS), begin_spell, NULL, 0);
}

bool world_store_is_low(const struct world *world)
{
    return !world->calm && world->time_ms < world->disk_now.low_until_ms;
}

bool world_store_was_low(const struct world *world)
{
    return world_wall_ms(world) < world->disk_now.low_wall_ms + BEGUN_AGAIN_MS;
}

bool world_store_is_doubtful(const struct world *world)
{
    const struct partition *partition = world->partition;
    bool is_doubted = partition != NULL &&
                      (partition->runs.doubt_ms != 0 || unread_due_ms(partition->runs.unread) != 0);
    return is_doubted || world_wall_ms(world) < world->disk_now.failed_wall_ms + TRIED_AGAIN_MS;
}

static void note_unread(struct world *world, str key)
{
    uuid id;
    struct sim_run *run = key_read_run(key, &id) ? world_find_run(world, id) : NULL;
    if (run != NULL) {
        run->was_unread = true;
    }
}

static bool read_fails(struct world *world, str key)
{
    struct sim_disk *disk = &world->disk_now;
    if (world->calm || world->is_dead) {
        return false;
    }
    bool is_it = disk->reads_left == 0;
    disk->reads_left -= disk->reads_left != UINT64_MAX;
    is_it |= world->time_ms < disk->fails_until_ms && draw_chance(&world->disk, disk->percent);
    if (is_it) {
        disk->failed_wall_ms = later(disk->failed_wall_ms, world_wall_ms(world));
        world->trouble_ms = later(world->trouble_ms, world->time_ms);
        world->counts.reads_failed++;
        world->upsets++; /* The round may be spoilt. */
        note_unread(world, key);
    }
    return is_it;
}

static status failed_read(void)
{
    return status_make(CODE_UNAVAILABLE, "the disk failed a read");
}

static status get(void *self, enum store_table table, str key, struct arena *arena, str *ret)
{
    struct world *world = self;
    if (read_fails(world, key)) {
        return failed_read();
    }
    status got = store_get(&world->store, table, key, arena, ret);
    if (status_is_ok(got) && is_damaged(world, table, key)) {
        *ret = STR("\xff\xff");
    }
    return got;
}

struct sim_scan {
    struct world *world;
    enum store_table table;
    store_visit *visit;
    void *context;
    uint64_t rows_left; /* Until it fails; UINT64_MAX: it does not. */
};

static bool visit(void *context, str key, str value)
{
    struct sim_scan *scan = context;
    if (scan->rows_left == 0) {
        return false;
    }
    scan->rows_left -= scan->rows_left != UINT64_MAX;
    return scan->visit(scan->context, key,
                       is_damaged(scan->world, scan->table, key) ? STR("\xff\xff") : value);
}

static status scan(void *self, enum store_table table, str prefix, str from, bool reverse,
                   size_t limit, store_visit *each, void *context)
{
    struct world *world = self;
    struct sim_scan it = {world, table, each, context, UINT64_MAX};
    bool fails = read_fails(world, prefix);
    if (fails) {
        it.rows_left = draw_below(&world->disk, 4);
    }
    status scanned = store_scan(&world->store, table, prefix, from, reverse, limit, visit, &it);
    return fails ? failed_read() : scanned;
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
    ret->is_low_on_space = world_store_is_low(world);
    if (ret->is_low_on_space) {
        world->disk_now.low_wall_ms = later(world->disk_now.low_wall_ms, world_wall_ms(world));
    }
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
