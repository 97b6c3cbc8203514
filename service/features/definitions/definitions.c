#include "service/features/definitions/definitions.h"

#include <stdlib.h>

#include "service/features/queues/queues.h"
#include "service/partition/state.h"

enum {
    DEFINITIONS_MAX = 10000, /* Distinct ones in memory. */
    DEFINITION_AGENT = 1, /* Kinds in the keys of STORE_DEFINITION_NAMES. */
};

struct definitions {
    struct partition *partition;
    struct definition *list;
    size_t count;
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

static void unlink_newest(struct definitions *definitions, str id)
{
    for (struct definition *d = definitions->list; d != NULL; d = d->next) {
        if (d->is_newest && str_equal(d->agent.id, id)) {
            d->is_newest = false;
        }
    }
}

static struct definition *find_hash(const struct definitions *definitions, const uint8_t hash[16])
{
    for (struct definition *d = definitions->list; d != NULL; d = d->next) {
        if (memcmp(d->hash, hash, sizeof(d->hash)) == 0) {
            return d;
        }
    }
    return NULL;
}

static status remember(struct definitions *definitions, const uint8_t hash[16], str encoded,
                       struct definition **ret)
{
    if (definitions->count >= DEFINITIONS_MAX) {
        return status_make(CODE_RESOURCE_EXHAUSTED, "too many agent definitions are in use");
    }
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
    assert(find_hash(definitions, hash) == NULL); /* Each is kept once. */
    assert((definitions->list == NULL) == (definitions->count == 0));
    definition->next = definitions->list;
    definitions->list = definition;
    definitions->count++;
    *ret = definition;
    return STATUS_OK;
}

status definition_put(struct partition *partition, const struct agent_definition *agent,
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
        return STATUS_OK;
    }
    if (definition == NULL) {
        TRY(remember(definitions_of(partition), ret_hash, encoded, &definition));
        store_batch_put(&partition->batch, STORE_DEFINITIONS, key_hash(key, space, ret_hash),
                        encoded);
    }
    assert(definition != NULL && !definition->is_newest);
    unlink_newest(definitions_of(partition), definition->agent.id);
    definition->is_newest = true;
    store_batch_put(&partition->batch, STORE_DEFINITION_NAMES,
                    key_definition_name(key, space, DEFINITION_AGENT, definition->agent.id),
                    str_make(ret_hash, DEFINITION_HASH_BYTES));
    return STATUS_OK;
}

status definition_by_hash(struct partition *partition, const uint8_t hash[16],
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
        TRY(definition_by_hash(partition, (const uint8_t *)hash.ptr, &room->definition));
    }
    assert(room->definition != NULL);
    *ret = room->definition;
    return STATUS_OK;
}

status definition_newest(struct partition *partition, str id, struct definition **ret)
{
    for (struct definition *d = definitions_of(partition)->list; d != NULL; d = d->next) {
        if (d->is_newest && str_equal(d->agent.id, id)) {
            *ret = d;
            return STATUS_OK;
        }
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
    (*ret)->is_newest = true;
    return STATUS_OK;
}

static void handle_register(struct partition *partition, struct request *request)
{
    struct register_request *asked = register_request(request);
    struct failure failure;
    if (!queues_name_queue(partition, asked->definition->queue, &failure)) {
        request_answer(partition, request, &failure);
        return;
    }
    status put = definition_put(partition, asked->definition, asked->ret_hash);
    if (!status_is_ok(put)) {
        request_fail(partition, request, put.code, REASON_DEFINITIONS_EXHAUSTED, put.why);
        return;
    }
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
    return definitions;
}

static void forget_all(struct definitions *definitions)
{
    while (definitions->list != NULL) {
        struct definition *next = definitions->list->next;
        arena_fini(&definitions->list->arena);
        free(definitions->list);
        definitions->list = next;
        assert(definitions->count > 0);
        definitions->count--;
    }
    assert(definitions->count == 0);
}

/* What was registered in the round that failed may not exist. */
static void failed(void *self)
{
    struct definitions *definitions = self;
    struct partition *partition = definitions->partition;
    forget_all(definitions);
    assert(definitions->list == NULL && definitions->count == 0);
    for (struct live_run *run = runs_first(partition); run != NULL;
         run = runs_next(partition, run)) {
        struct room *room = partition_room(partition, run, &definitions_feature);
        room->definition = NULL;
    }
}

static void stop(void *self)
{
    forget_all(self);
    free(self);
}

static const struct feature *const uses[] = {&queues_feature, NULL};

const struct feature definitions_feature = {
    .name = "definitions",
    .uses = uses,
    .run_bytes = sizeof(struct room),
    .start = start,
    .at = {[ROUND_FAILED] = failed},
    .stop = stop,
};
