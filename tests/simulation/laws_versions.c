/*
 * The laws of the versions of the world's agent: which there are, how many runs work with each, and
 * that none goes while it is used.
 */
#include "service/base/endian.h"
#include "service/codec/definition_rows.h"
#include "service/hosts/roster.h"
#include "service/partition/state.h"
#include "tests/simulation/world.h"

static struct sim_version *version_of(struct world *world, str hash)
{
    for (size_t i = 0; i < world->definition_count; i++) {
        if (str_hash(hash) == world->definitions[i]) {
            return &world->versions[i];
        }
    }
    return NULL;
}

static void take_definition(struct world *world, const struct store_entry *entry)
{
    uint8_t hash[KEY_HASH_BYTES];
    struct sim_version *version = NULL;
    if (key_read_hash(entry->key, hash)) {
        version = version_of(world, str_make(hash, sizeof(hash)));
    }
    world_expect(world, version != NULL, "only-what-was-registered-is-a-version");
    if (version == NULL) {
        return;
    }
    world_expect(world, !entry->is_delete || version->is_there, "a-version-is-deleted-once");
    version->is_there = !entry->is_delete;
    version->is_deleted_now = entry->is_delete;
    version->deletions += entry->is_delete;
}

static void take_name(struct world *world, const struct store_entry *entry)
{
    world->is_agent_there = !entry->is_delete;
    if (entry->is_delete) {
        world->agent_deletions++;
        world->registered = 0;
        world_register(world, 0);
    }
}

static void take_runs(struct world *world, str tail, const struct store_entry *entry)
{
    str hash = str_make(tail.ptr + tail.len - VERSION_HASH_BYTES, VERSION_HASH_BYTES);
    struct sim_version *version = version_of(world, hash);
    uint64_t runs = 0;
    bool is_fine = entry->is_delete || status_is_ok(version_number_decode(entry->value, &runs));
    world_expect(world, is_fine && version != NULL, "rows-are-readable");
    if (version != NULL) {
        version->runs = runs;
    }
}

void laws_versions_take(struct world *world, const struct store_entry *entry)
{
    str tail;
    if (entry->table == STORE_DEFINITIONS) {
        take_definition(world, entry);
    } else if (entry->table == STORE_DEFINITION_NAMES) {
        take_name(world, entry);
    } else if (entry->table == STORE_INDEX && key_read_index(entry->key, &tail)) {
        uint8_t kind = (uint8_t)tail.ptr[-1];
        if (kind == INDEX_VERSION_RUNS) {
            take_runs(world, tail, entry);
        }
        world->are_versions_built |= kind == INDEX_VERSIONS_BUILT;
    }
}

static uint64_t count_live(const struct world *world, uint64_t definition)
{
    uint64_t count = 0;
    for (size_t i = 0; i < world->live_count; i++) {
        count += world->live[i]->definition == definition;
    }
    return count;
}

void laws_versions_check_commit(struct world *world)
{
    for (size_t i = 0; i < world->definition_count; i++) {
        struct sim_version *version = &world->versions[i];
        uint64_t live = count_live(world, world->definitions[i]);
        bool is_defined = world->partition != NULL &&
                          hosts_defining_version(world->partition->hosts, version->hash) > 0;
        world_expect(world, live == 0 || version->is_there, "a-run-has-its-version");
        world_expect(world, !version->is_deleted_now || (live == 0 && !is_defined),
                     "a-version-in-use-is-not-deleted");
        world_expect(world, !world->are_versions_built || version->runs == live,
                     "the-runs-of-a-version-are-counted");
        if (!world_is_well(world)) {
            world_detail(world, "version %zu: %llu runs by its row, %llu live", i,
                         (unsigned long long)version->runs, (unsigned long long)live);
            return;
        }
        version->is_deleted_now = false;
    }
}
