#include "service/features/definitions/definitions.h"

#include <stdlib.h>

#include "service/base/endian.h"
#include "service/base/table.h"
#include "service/features/queues/queues.h"
#include "service/partition/state.h"

enum {
    DEFINITION_BYTES_MAX = 64 << 20, /* Of those that no run in memory uses. */
};

struct definitions {
    struct partition *partition;
    struct table by_hash;
    struct table newest_by_id; /* Those in memory that are the newest of their id. */
    struct definition *oldest; /* Those that no run uses, in the order of their last use. */
    struct definition *newest;
    size_t unused_bytes;
};

/* In each run. */
struct room {
    struct definition *definition; /* NULL: not looked up yet, or no agent. */
};

static_assert((int)DEFINITION_HASH_BYTES == (int)KEY_HASH_BYTES, "a hash is a key on disk");

static struct definitions *definitions_of(const struct partition *partition)
{
    return partition_self(partition, &definitions_feature);
}

static uint64_t hash_number(const uint8_t hash[16])
{
    return endian_get_le(hash, sizeof(uint64_t));
}

static bool has_hash(const struct table_link *link, const void *key)
{
    const struct definition *definition = container_of(link, const struct definition, by_hash);
    return memcmp(definition->hash, key, sizeof(definition->hash)) == 0;
}

static bool has_id(const struct table_link *link, const void *key)
{
    const struct definition *definition = container_of(link, const struct definition, by_id);
    return str_equal(definition->agent.id, *(const str *)key);
}

/* ---- Those that no run uses, in the order of their last use. ---- */

static void unlist(struct definitions *definitions, struct definition *definition)
{
    assert(definition->run_count == 0 && definitions->unused_bytes >= definition->bytes);
    if (definition->newer != NULL) {
        definition->newer->older = definition->older;
    } else {
        definitions->newest = definition->older;
    }
    if (definition->older != NULL) {
        definition->older->newer = definition->newer;
    } else {
        definitions->oldest = definition->newer;
    }
    definitions->unused_bytes -= definition->bytes;
}

static void list(struct definitions *definitions, struct definition *definition)
{
    assert(definition->run_count == 0);
    definition->older = definitions->newest;
    definition->newer = NULL;
    if (definitions->newest != NULL) {
        definitions->newest->newer = definition;
    } else {
        definitions->oldest = definition;
    }
    definitions->newest = definition;
    definitions->unused_bytes += definition->bytes;
}

/* ---- In memory. ---- */

static void set_newest(struct definitions *definitions, struct definition *definition)
{
    uint64_t hash = str_hash(definition->agent.id);
    struct table_link *before = table_find(&definitions->newest_by_id, hash, &definition->agent.id);
    if (before != NULL) {
        table_remove(&definitions->newest_by_id, before);
        container_of(before, struct definition, by_id)->is_newest = false;
    }
    table_add(&definitions->newest_by_id, &definition->by_id, hash);
    definition->is_newest = true;
}

static void forget(struct definitions *definitions, struct definition *definition)
{
    unlist(definitions, definition);
    table_remove(&definitions->by_hash, &definition->by_hash);
    if (definition->is_newest) {
        table_remove(&definitions->newest_by_id, &definition->by_id);
    }
    arena_fini(&definition->arena);
    free(definition);
}

static struct definition *find_hash(struct definitions *definitions, const uint8_t hash[16])
{
    struct table_link *link = table_find(&definitions->by_hash, hash_number(hash), hash);
    if (link == NULL) {
        return NULL;
    }
    struct definition *definition = container_of(link, struct definition, by_hash);
    if (definition->run_count == 0) {
        unlist(definitions, definition);
        list(definitions, definition);
    }
    return definition;
}

static status remember(struct definitions *definitions, const uint8_t hash[16], str encoded,
                       struct definition **ret)
{
    struct definition *definition = xcalloc(1, sizeof(*definition));
    arena_init(&definition->arena, 0);
    memcpy(definition->hash, hash, sizeof(definition->hash));
    status decoded = agent_definition_decode(arena_copy(&definition->arena, encoded),
                                             &definition->arena, &definition->agent);
    if (!status_is_ok(decoded)) {
        arena_fini(&definition->arena);
        free(definition);
        return decoded;
    }
    definition->bytes = sizeof(*definition) + definition->arena.bytes;
    table_add(&definitions->by_hash, &definition->by_hash, hash_number(hash));
    list(definitions, definition);
    *ret = definition;
    return STATUS_OK;
}

void definition_put(struct partition *partition, const struct agent_definition *agent,
                    uint8_t ret_hash[16])
{
    char key[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    buf_reset(&partition->packed);
    agent_definition_encode(agent, &partition->packed);
    str encoded = buf_str(&partition->packed);
    agent_definition_hash(encoded, ret_hash);
    struct definition *definition = find_hash(definitions_of(partition), ret_hash);
    if (definition != NULL && definition->is_newest) {
        return;
    }
    if (definition == NULL) {
        status kept = remember(definitions_of(partition), ret_hash, encoded, &definition);
        assert(status_is_ok(kept)); /* It was encoded here. */
        (void)kept;
        store_batch_put(&partition->batch, STORE_DEFINITIONS, key_hash(key, space, ret_hash),
                        encoded);
    }
    assert(definition != NULL && !definition->is_newest);
    set_newest(definitions_of(partition), definition);
    store_batch_put(&partition->batch, STORE_DEFINITION_NAMES,
                    key_definition_name(key, space, DEFINITION_AGENT, definition->agent.id),
                    str_make(ret_hash, DEFINITION_HASH_BYTES));
}

static status definition_by_hash(struct partition *partition, const uint8_t hash[16],
                                 struct definition **ret)
{
    *ret = find_hash(definitions_of(partition), hash);
    if (*ret != NULL) {
        return STATUS_OK;
    }
    char key[KEY_BYTES_MAX];
    str encoded;
    TRY(store_get(&partition->store, STORE_DEFINITIONS,
                  key_hash(key, partition->options.space, hash), &partition->round_arena,
                  &encoded));
    return remember(definitions_of(partition), hash, encoded, ret);
}

/* It stays in memory as long as the run does. */
static void use(struct definitions *definitions, struct room *room, struct definition *definition)
{
    assert(room->definition == NULL);
    if (definition->run_count == 0) {
        unlist(definitions, definition);
    }
    definition->run_count++;
    room->definition = definition;
}

static void run_leaves(void *self, struct live_run *run)
{
    struct definitions *definitions = self;
    struct room *room = partition_room(definitions->partition, run, &definitions_feature);
    if (room->definition == NULL) {
        return;
    }
    struct definition *definition = room->definition;
    assert(definition->run_count > 0);
    room->definition = NULL;
    definition->run_count--;
    if (definition->run_count == 0) {
        list(definitions, definition);
    }
}

status definition_of(struct partition *partition, struct live_run *run, struct definition **ret)
{
    struct room *room = partition_room(partition, run, &definitions_feature);
    if (room->definition == NULL) {
        struct event started;
        TRY(runs_started(run, &partition->round_arena, &started));
        str hash = started.run_started.spec.definition_hash;
        if (hash.len != DEFINITION_HASH_BYTES) {
            return status_make(CODE_DATA_LOSS, "the run's start names no definition");
        }
        struct definition *definition;
        TRY(definition_by_hash(partition, (const uint8_t *)hash.ptr, &definition));
        use(definitions_of(partition), room, definition);
    }
    assert(room->definition != NULL);
    *ret = room->definition;
    return STATUS_OK;
}

status definition_newest(struct partition *partition, str id, struct definition **ret)
{
    struct definitions *definitions = definitions_of(partition);
    const struct table_link *link = table_find(&definitions->newest_by_id, str_hash(id), &id);
    if (link != NULL) {
        *ret = find_hash(definitions, container_of(link, const struct definition, by_id)->hash);
        return STATUS_OK;
    }
    char key[KEY_BYTES_MAX];
    str hash;
    TRY(store_get(&partition->store, STORE_DEFINITION_NAMES,
                  key_definition_name(key, partition->options.space, DEFINITION_AGENT, id),
                  &partition->round_arena, &hash));
    if (hash.len != DEFINITION_HASH_BYTES) {
        return status_make(CODE_DATA_LOSS, "an agent definition's hash is damaged");
    }
    TRY(definition_by_hash(partition, (const uint8_t *)hash.ptr, ret));
    set_newest(definitions, *ret);
    return STATUS_OK;
}

size_t definitions_count(const struct partition *partition)
{
    return definitions_of(partition)->by_hash.count;
}

static void handle_register(struct partition *partition, struct request *request)
{
    struct register_request *asked = register_request(request);
    struct failure failure;
    if (!queues_name_queue(partition, asked->definition->queue, &failure)) {
        request_answer(partition, request, &failure);
        return;
    }
    definition_put(partition, asked->definition, asked->ret_hash);
    request_answer_later(partition, request);
}

const struct operation register_operation = {
    .name = "register",
    .request_bytes = sizeof(struct register_request),
    .handle = handle_register,
};

static void *start(struct partition *partition)
{
    struct definitions *definitions = xcalloc(1, sizeof(*definitions));
    definitions->partition = partition;
    table_init(&definitions->by_hash, has_hash);
    table_init(&definitions->newest_by_id, has_id);
    return definitions;
}

/* The least used leave memory, now that nobody who borrowed them is at work. */
static void over(void *self)
{
    struct definitions *definitions = self;
    size_t bytes_max = definitions->partition->options.definition_bytes_max;
    bytes_max = bytes_max == 0 ? DEFINITION_BYTES_MAX : bytes_max;
    while (definitions->unused_bytes > bytes_max) {
        assert(definitions->oldest != NULL);
        forget(definitions, definitions->oldest);
    }
}

static void forget_all(struct definitions *definitions)
{
    while (definitions->oldest != NULL) {
        forget(definitions, definitions->oldest);
    }
    assert(definitions->unused_bytes == 0);
    assert(definitions->by_hash.count == 0 && definitions->newest_by_id.count == 0);
}

/* What was registered in the round that failed may not exist. */
static void failed(void *self)
{
    struct definitions *definitions = self;
    struct partition *partition = definitions->partition;
    for (struct live_run *run = runs_first(partition); run != NULL;
         run = runs_next(partition, run)) {
        run_leaves(definitions, run);
    }
    forget_all(definitions);
}

static void stop(void *self)
{
    struct definitions *definitions = self;
    forget_all(definitions); /* Runs are gone already. */
    table_fini(&definitions->by_hash);
    table_fini(&definitions->newest_by_id);
    free(definitions);
}

static const struct feature *const uses[] = {&queues_feature, NULL};

const struct feature definitions_feature = {
    .name = "definitions",
    .uses = uses,
    .run_bytes = sizeof(struct room),
    .start = start,
    .at = {[ROUND_FAILED] = failed, [ROUND_OVER] = over},
    .run_leaves = run_leaves,
    .stop = stop,
};
