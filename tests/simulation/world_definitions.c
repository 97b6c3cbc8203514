/*
 * Those who delete the world's agent, and versions of it, beside its runs. The store may be one of
 * a release that kept no rows of versions.
 */
#include "service/base/failure.h"
#include "service/codec/definition_rows.h"
#include "service/features/definitions/definitions.h"
#include "service/partition/request.h"
#include "tests/simulation/world.h"

struct version_ask {
    struct sim_ask base;
    const struct sim_version *version; /* NULL: the whole agent. */
    bool was_there;
    uint64_t deletions; /* When it was asked. */
};

static uint64_t deletions_of(const struct world *world, const struct version_ask *ask)
{
    return ask->version == NULL ? world->agent_deletions : ask->version->deletions;
}

static bool is_there(const struct world *world, const struct version_ask *ask)
{
    return ask->version == NULL ? world->is_agent_there : ask->version->is_there;
}

static void judge_deleted(struct world *world, const struct version_ask *ask)
{
    uint64_t *answered = ask->version == NULL
                             ? &world->agent_deletions_answered
                             : &world->versions[ask->version - world->versions].answered;
    world_expect(world, deletions_of(world, ask) > ask->deletions,
                 "acknowledged-deletions-are-durable");
    world_expect(world, ++*answered <= deletions_of(world, ask), "a-deletion-is-answered-once");
    world->counts.undefined++;
}

static void delete_done(struct request *request, const struct failure *failure)
{
    const struct version_ask *ask = world_answered(request);
    if (ask != NULL && failure == NULL) {
        judge_deleted(ask->base.world, ask);
    } else if (ask != NULL) {
        struct world *world = ask->base.world;
        bool is_missing = failure->reason == REASON_AGENT_NOT_FOUND &&
                          (!ask->was_there || !is_there(world, ask) ||
                           deletions_of(world, ask) != ask->deletions);
        bool is_uncounted = failure->reason == REASON_STORE_DAMAGED && !world->are_versions_built;
        world_fail_law(world, failure,
                       is_missing || is_uncounted || failure->reason == REASON_DEFINITION_IN_USE,
                       "what-nobody-uses-can-be-deleted");
    }
    request_free(request);
}

static void ask_delete(struct world *world, const struct sim_version *version)
{
    struct version_ask *ask = arena_zalloc(&world->arena, sizeof(*ask));
    struct request *request = request_new(&delete_definition_operation);
    ask->base.world = world;
    ask->version = version;
    ask->was_there = is_there(world, ask);
    ask->deletions = deletions_of(world, ask);
    delete_definition_request(request)->id = STR("helper");
    if (version != NULL) {
        delete_definition_request(request)->hash =
            str_make((const char *)version->hash, sizeof(version->hash));
    }
    world_ask(&ask->base, request, delete_done);
}

static void do_command(struct world *world, void *context, uint64_t number)
{
    (void)context, (void)number;
    if (world->calm) {
        return;
    }
    world_at(world, 300 + draw_below(&world->pages, 15000), do_command, NULL, 0);
    uint64_t which = draw_below(&world->pages, 5);
    const struct sim_version *version = which < 3 ? &world->versions[which] : NULL;
    size_t times = draw_below(&world->pages, 6) == 0 ? 2 : 1; /* At once, in the same batch. */
    for (size_t i = 0; i < times; i++) {
        ask_delete(world, version);
    }
}

void world_definitions_begin(struct world *world)
{
    memset(world->versions, 0, sizeof(world->versions));
    world->is_agent_there = false;
    world->are_versions_built = false;
    world->agent_deletions = 0;
    world->agent_deletions_answered = 0;
    for (unsigned i = 0; i < world->definition_count; i++) {
        struct buf encoded = {0};
        agent_definition_encode(world_definition(world, i), &encoded);
        agent_definition_hash(buf_str(&encoded), world->versions[i].hash);
        buf_fini(&encoded);
    }
    world_at(world, 2000 + draw_below(&world->pages, 20000), do_command, NULL, 0);
}

static bool forget_row(void *context, str key, str value)
{
    (void)value;
    uint8_t kind;
    if (key_read_index_kind(key, &kind) &&
        (kind == INDEX_VERSION || kind == INDEX_VERSION_TIME || kind == INDEX_VERSION_RUNS ||
         kind == INDEX_VERSIONS_BUILT)) {
        store_batch_delete(context, STORE_INDEX, key);
    }
    return true;
}

void world_definitions_age(struct world *world)
{
    struct store_batch batch = {.count = 0};
    if (world->damaged != NULL || draw_below(&world->pages, 8) != 0) {
        return; /* A run that cannot be read could not be counted. */
    }
    status scanned = store_scan(&world->store, STORE_INDEX, STR_EMPTY, STR_EMPTY, false, SIZE_MAX,
                                forget_row, &batch);
    world_expect(world, status_is_ok(scanned), "the-store-can-be-read");
    status committed = store_commit(&world->store, &batch);
    world_expect(world, status_is_ok(committed), "the-store-can-be-written");
    store_batch_fini(&batch);
    world->are_versions_built = false;
    for (size_t i = 0; i < world->definition_count; i++) {
        world->versions[i].runs = 0;
    }
}
