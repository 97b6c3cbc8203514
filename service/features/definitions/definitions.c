#include <stdlib.h>

#include "service/agents/transcript.h"
#include "service/base/endian.h"
#include "service/base/sys.h"
#include "service/base/table.h"
#include "service/features/definitions/definition_state.h"
#include "service/features/queues/queues.h"

enum {
    DEFINITION_BYTES_MAX = 64 << 20, /* Of those that no run in memory uses. */
};

/* In each run. */
struct room {
    struct definition *definition; /* NULL: not looked up yet, or no agent. */
};

static_assert((int)DEFINITION_HASH_BYTES == (int)KEY_HASH_BYTES, "a hash is a key on disk");

struct definitions *definitions_of(const struct partition *partition)
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

static void free_definition(struct definition *definition)
{
    assert(definition->run_count == 0);
    arena_fini(&definition->arena);
    free(definition);
}

static void forget(struct definitions *definitions, struct definition *definition)
{
    unlist(definitions, definition);
    table_remove(&definitions->by_hash, &definition->by_hash);
    if (definition->is_newest) {
        table_remove(&definitions->newest_by_id, &definition->by_id);
    }
    free_definition(definition);
}

struct definition *definition_find(const struct definitions *definitions,
                                   const uint8_t hash[DEFINITION_HASH_BYTES])
{
    struct table_link *link = table_find(&definitions->by_hash, hash_number(hash), hash);
    return link == NULL ? NULL : container_of(link, struct definition, by_hash);
}

void definition_drop(struct definitions *definitions, struct definition *definition)
{
    assert(!definition->is_dropped);
    if (definition->run_count == 0) {
        forget(definitions, definition);
        return;
    }
    table_remove(&definitions->by_hash, &definition->by_hash);
    if (definition->is_newest) {
        table_remove(&definitions->newest_by_id, &definition->by_id);
    }
    definition->is_newest = false;
    definition->is_dropped = true; /* It goes with the last run that holds it. */
}

static struct definition *find_hash(struct definitions *definitions, const uint8_t hash[16])
{
    struct definition *definition = definition_find(definitions, hash);
    if (definition != NULL && definition->run_count == 0) {
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
        definition->put_round = partition->stats.rounds;
        return;
    }
    if (definition == NULL) {
        status kept = remember(definitions_of(partition), ret_hash, encoded, &definition);
        assert(status_is_ok(kept)); /* It was encoded here. */
        (void)kept;
        store_batch_put(&partition->batch, STORE_DEFINITIONS, key_hash(key, space, ret_hash),
                        encoded);
        version_put(definitions_of(partition), definition->agent.id, ret_hash);
    }
    assert(definition != NULL && !definition->is_newest);
    set_newest(definitions_of(partition), definition);
    definition->put_round = partition->stats.rounds;
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
    if (definition->run_count > 0) {
        return;
    }
    if (definition->is_dropped) {
        free_definition(definition);
    } else {
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

bool definition_is_structured(struct partition *partition, struct live_run *run)
{
    struct definition *definition;
    struct event started;
    status found = definition_of(partition, run, &definition);
    if (status_is_ok(found)) {
        return definition->agent.output_schema_json.len > 0;
    }
    if (store_may_pass(found)) { /* An answer of another shape would be told for ever. */
        round_spoil(partition, found);
    }
    if (found.code != CODE_NOT_FOUND ||
        !status_is_ok(runs_started(run, &partition->round_arena, &started))) {
        return false;
    }
    const struct run_spec *spec = &started.run_started.spec;
    assert(spec->definition_hash.len == DEFINITION_HASH_BYTES);
    return version_was_structured(definitions_of(partition),
                                  (const uint8_t *)spec->definition_hash.ptr);
}

size_t definitions_count(const struct partition *partition)
{
    return definitions_of(partition)->by_hash.count;
}

bool definition_judge_model(struct partition *partition, const struct agent_definition *agent,
                            struct arena *arena, enum model_reach *ret, struct failure *failure)
{
    const struct model_request request = transcript_bare_request(agent, agent->options_json);
    status found = model_client_check(&partition->options.models, &request, arena);
    *ret = status_is_ok(found) ? MODEL_CALLABLE : MODEL_NO_KEY;
    if (status_is_ok(found) || found.code == CODE_FAILED_PRECONDITION) {
        return true;
    }
    assert(found.why != NULL);
    *failure =
        failure_make(found.code, REASON_INVALID_PROVIDER,
                     arena_printf(arena, "agent '" STR_FMT "': %s", STR_ARG(agent->id), found.why));
    failure->field = STR("agent.models[0].provider");
    return false;
}

static void handle_register(struct partition *partition, struct request *request)
{
    struct register_request *asked = register_request(request);
    struct failure failure;
    if (!definition_judge_model(partition, asked->definition, &request->arena, &asked->ret_reach,
                                &failure)) {
        request_answer(partition, request, &failure);
        return;
    }
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

/* ---- Runs that are pinned to a version. ---- */

static void pin(struct definitions *definitions, const struct run_spec *spec, int64_t change)
{
    if (spec->kind == RUN_KIND_AGENT && spec->definition_hash.len == DEFINITION_HASH_BYTES) {
        pin_change(definitions, spec->name, (const uint8_t *)spec->definition_hash.ptr, change);
    }
}

static void pin_by_start(struct definitions *definitions, const struct live_run *run,
                         int64_t change)
{
    struct event started;
    status read = runs_started(run, &definitions->partition->round_arena, &started);
    if (status_is_ok(read)) {
        assert(started.kind == EVENT_RUN_STARTED);
        pin(definitions, &started.run_started.spec, change);
    }
}

static void before_event(void *self, struct live_run *run, const struct event *event,
                         enum command_kind command)
{
    (void)command;
    struct definitions *definitions = self;
    if (event->kind == EVENT_RUN_STARTED) {
        pin(definitions, &event->run_started.spec, 1);
    } else if (event_traits(event->kind)->ends_run && run->state.kind == RUN_KIND_AGENT) {
        pin_by_start(definitions, run, -1);
    }
}

static void event_copied(void *self, struct live_run *run, const struct event *event)
{
    assert(run->is_copying);
    if (event->kind == EVENT_RUN_STARTED) {
        pin(self, &event->run_started.spec, 1);
    }
}

static void seal(void *self)
{
    struct definitions *definitions = self;
    if (definitions->has_begun) {
        versions_build(definitions);
    }
    pins_seal(definitions);
    deletions_seal(definitions);
}

static void begin(void *self)
{
    struct definitions *definitions = self;
    assert(definitions->deletions == NULL);
    definitions->has_begun = true;
}

static void committed(void *self)
{
    struct definitions *definitions = self;
    assert(!definitions->is_built || definitions->is_built_next);
    definitions->is_built = definitions->is_built_next;
}

static status load(void *self)
{
    return versions_read_built(self);
}

static void *start(struct partition *partition)
{
    struct definitions *definitions = xcalloc(1, sizeof(*definitions));
    definitions->partition = partition;
    definitions->last_deletion = &definitions->deletions;
    pins_init(definitions);
    table_init(&definitions->by_hash, has_hash);
    table_init(&definitions->newest_by_id, has_id);
    return definitions;
}

/* The least used leave memory, now that nobody who borrowed them is at work. */
static void over(void *self)
{
    struct definitions *definitions = self;
    size_t bytes_max = definitions->partition->options.definition_bytes_max;
    pins_forget(definitions);
    definitions->deletions = NULL;
    definitions->last_deletion = &definitions->deletions;
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
    if (!definitions->is_built) { /* It may have been, by the commit that failed. */
        status read = versions_read_built(definitions);
        if (!status_is_ok(read)) {
            log_line(LOG_ERROR, "versions_unreadable", "why=\"%s\"", read.why);
            if (store_may_pass(read)) {
                round_doubt(partition, read);
            }
        }
    }
}

static void stop(void *self)
{
    struct definitions *definitions = self;
    forget_all(definitions); /* Runs are gone already. */
    pins_fini(definitions);
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
    .load = load,
    .at = {[ROUND_BEGINS] = begin,
           [ROUND_SEALS] = seal,
           [ROUND_COMMITTED] = committed,
           [ROUND_FAILED] = failed,
           [ROUND_OVER] = over},
    .before_event = before_event,
    .event_copied = event_copied,
    .run_leaves = run_leaves,
    .stop = stop,
};
