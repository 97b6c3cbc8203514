/*
 * When all is over some trees are deleted, while commits fail and the process dies: nothing is left
 * of them in the store, and nothing else is missing.
 */
#include "service/features/deletions/deletions.h"
#include "storage/keys.h"
#include "tests/simulation/world.h"

enum {
    AGAIN_MS = 400,
    ALL_AT_ONCE_MS = 300,
};

struct sim_deletion {
    struct sim_ask base;
    struct sim_run *root;
    bool is_repeated; /* It may have been done before. */
};

/* An entry of the store when the first deletion began. */
struct sim_entry {
    enum store_table table;
    str key;
    str value;
};

static struct sim_entry *entries;
static size_t entry_count;
static size_t entry_capacity;
static size_t open_deletions;

/* ---- The store. ---- */

static bool holds(str key, uuid id)
{
    return memmem(key.ptr, key.len, id.bytes, sizeof(id.bytes)) != NULL;
}

/* A run that goes on for one that has failed may lead to children of the old one. */
static bool is_successors(struct world *world, const struct sim_entry *entry)
{
    str tail;
    uuid parent;
    if (entry->table != STORE_INDEX || !key_read_index(entry->key, &tail) ||
        (uint8_t)tail.ptr[-1] != INDEX_CHILD) {
        return false;
    }
    memcpy(parent.bytes, tail.ptr, sizeof(parent.bytes));
    const struct sim_run *run = world_find_run(world, parent);
    return run != NULL && !run->is_doomed;
}

static bool is_of_doomed(struct world *world, const struct sim_entry *entry)
{
    for (size_t i = 0; i < world->run_count; i++) {
        if (world->runs[i]->is_doomed && holds(entry->key, world->runs[i]->id)) {
            return true;
        }
    }
    return false;
}

/* What nobody changes once all runs have ended. */
static bool is_lasting(const struct sim_entry *entry)
{
    str tail;
    if (entry->table != STORE_INDEX) {
        return entry->table != STORE_META && entry->table != STORE_TOPICS &&
               entry->table != STORE_ACTIVE && entry->table != STORE_DEFINITION_NAMES;
    }
    uint8_t kind = key_read_index(entry->key, &tail) ? (uint8_t)tail.ptr[-1] : 0;
    return kind == INDEX_CHILD || kind == INDEX_RUN || kind == INDEX_STEP_KEY;
}

typedef void entry_visit(struct world *world, const struct sim_entry *entry);

struct walk {
    struct world *world;
    enum store_table table;
    entry_visit *each;
};

static bool visit(void *context, str key, str value)
{
    const struct walk *walk = context;
    walk->each(walk->world, &(struct sim_entry){walk->table, key, value});
    return world_is_well(walk->world);
}

static void each_entry(struct world *world, entry_visit *each)
{
    for (unsigned i = 0; i < STORE_TABLE_COUNT; i++) {
        char prefix[KEY_BYTES_MAX];
        struct walk walk = {world, (enum store_table)i, each};
        status scanned =
            store_scan(&world->store, walk.table, key_prefix_space(prefix, world->options.space),
                       STR_EMPTY, false, SIZE_MAX, visit, &walk);
        world_expect(world, status_is_ok(scanned), "the-store-can-be-read");
    }
}

static void keep_entry(struct world *world, const struct sim_entry *entry)
{
    if (entry_count == entry_capacity) {
        struct sim_entry *old = entries;
        entry_capacity = entry_capacity == 0 ? 256 : entry_capacity * 2;
        entries = arena_alloc(&world->arena, entry_capacity * sizeof(entries[0]));
        if (old) {
            memcpy(entries, old, entry_count * sizeof(entries[0]));
        }
    }
    entries[entry_count++] = (struct sim_entry){entry->table, arena_copy(&world->arena, entry->key),
                                                arena_copy(&world->arena, entry->value)};
}

static void check_entry(struct world *world, const struct sim_entry *entry)
{
    world_expect(world, !is_of_doomed(world, entry) || is_successors(world, entry),
                 "nothing-is-left-of-a-deleted-run");
    if (!world_is_well(world)) {
        world_detail(world, "table %u, %zu bytes, kind %u", entry->table, entry->key.len,
                     entry->table == STORE_INDEX ? (uint8_t)entry->key.ptr[KEY_SPACE_BYTES] : 0);
    }
}

/* ---- Deleting. ---- */

static void ask(struct world *world, void *context, uint64_t is_repeated);

static void deleted(struct request *request, const struct failure *failure)
{
    struct sim_ask *base = request->context;
    struct sim_deletion *it = world_answered(request);
    struct sim_deletion *asked = (struct sim_deletion *)base;
    struct world *world = base->world;
    bool is_over = it != NULL && failure == NULL;
    if (it != NULL && failure != NULL) {
        bool is_gone = failure->code == CODE_NOT_FOUND && it->is_repeated && it->root->is_gone;
        world_fail_law(world, failure, is_gone, "ended-runs-can-be-deleted");
        is_over = is_gone;
    }
    if (is_over) {
        world_expect(world, asked->root->is_gone, "acknowledged-deletions-are-durable");
        world->counts.deletions++;
        open_deletions--;
    } else {
        world_at(world, 1 + draw_below(&world->pages, AGAIN_MS), ask, asked->root, 1);
    }
    request_free(request);
}

static void ask(struct world *world, void *context, uint64_t is_repeated)
{
    struct sim_deletion *it = arena_zalloc(&world->arena, sizeof(*it));
    struct request *request = request_new(&delete_operation);
    it->base.world = world;
    it->root = context;
    it->is_repeated = is_repeated != 0;
    request->run = it->root->id;
    if (!world_ask(&it->base, request, deleted)) {
        world_at(world, 1 + draw_below(&world->pages, AGAIN_MS), ask, context, is_repeated);
    }
}

static void doom(struct world *world, uuid root)
{
    for (size_t i = 0; i < world->run_count; i++) {
        world->runs[i]->is_doomed |= uuid_equal(world->runs[i]->root, root);
    }
}

void world_deletions_begin(struct world *world)
{
    entry_count = entry_capacity = 0;
    entries = NULL;
    open_deletions = 0;
    world->is_deleting = true;
    each_entry(world, keep_entry);
    uint64_t within_ms = 1 + draw_below(&world->pages, 2) * ALL_AT_ONCE_MS;
    for (size_t i = 0; i < world->run_count; i++) {
        struct sim_run *run = world->runs[i];
        if (uuid_is_zero(run->parent) && draw_below(&world->pages, 2) == 0) {
            doom(world, run->id);
            open_deletions++;
            world_at(world, draw_below(&world->pages, within_ms), ask, run, 0);
        }
    }
}

bool world_deletions_are_done(const struct world *world)
{
    return open_deletions == 0 && world->owed_count == 0 && world->open_requests == 0;
}

void world_deletions_check(struct world *world)
{
    world_expect(world, open_deletions == 0, "deletions-are-answered");
    world_expect(world, world->owed_count == 0, "nothing-stays-owed");
    each_entry(world, check_entry);
    for (size_t i = 0; i < entry_count && world_is_well(world); i++) {
        str value;
        if (!is_lasting(&entries[i]) || is_of_doomed(world, &entries[i])) {
            continue;
        }
        status got =
            store_get(&world->store, entries[i].table, entries[i].key, &world->arena, &value);
        world_expect(world, status_is_ok(got) && str_equal(value, entries[i].value),
                     "nothing-but-deleted-runs-is-missing");
        if (!world_is_well(world)) {
            world_detail(world, "table %u, %zu bytes", entries[i].table, entries[i].key.len);
        }
    }
}
