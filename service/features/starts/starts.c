/*
 * starts: definitions and new runs.
 */
#include <math.h>
#include <stdlib.h>

#include "service/agents/transcript.h"
#include "service/base/array.h"
#include "service/base/hash.h"
#include "service/partition/internal.h"

enum {
    DEFINITION_AGENT = 1, /* Kinds in the keys of STORE_DEFINITION_NAMES. */
    KEY_HASH_BYTES_EACH = 16,
};

static void unlink_newest(struct partition *partition, str id)
{
    for (struct definition *d = partition->definitions; d != NULL; d = d->next) {
        if (d->is_newest && str_equal(d->agent.id, id)) {
            d->is_newest = false;
        }
    }
}

static struct definition *find_hash(struct partition *partition, const uint8_t hash[16])
{
    for (struct definition *d = partition->definitions; d != NULL; d = d->next) {
        if (memcmp(d->hash, hash, sizeof(d->hash)) == 0) {
            return d;
        }
    }
    return NULL;
}

static status remember(struct partition *partition, const uint8_t hash[16], str encoded,
                       struct definition **ret)
{
    if (partition->definition_count >= DEFINITIONS_MAX) {
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
    definition->next = partition->definitions;
    partition->definitions = definition;
    partition->definition_count++;
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
    struct definition *definition = find_hash(partition, ret_hash);
    if (definition != NULL && definition->is_newest) {
        return STATUS_OK;
    }
    if (definition == NULL) {
        TRY(remember(partition, ret_hash, encoded, &definition));
        store_batch_put(&partition->batch, STORE_DEFINITIONS, key_hash(key, space, ret_hash),
                        encoded);
    }
    unlink_newest(partition, definition->agent.id);
    definition->is_newest = true;
    store_batch_put(&partition->batch, STORE_DEFINITION_NAMES,
                    key_definition_name(key, space, DEFINITION_AGENT, definition->agent.id),
                    str_make(ret_hash, KEY_HASH_BYTES_EACH));
    return STATUS_OK;
}

status definition_by_hash(struct partition *partition, const uint8_t hash[16], struct definition **ret)
{
    *ret = find_hash(partition, hash);
    if (*ret != NULL) {
        return STATUS_OK;
    }
    char key[KEY_BYTES_MAX];
    str encoded;
    TRY(store_get(&partition->store, STORE_DEFINITIONS, key_hash(key, partition->options.space, hash),
                  &partition->round_arena, &encoded));
    return remember(partition, hash, encoded, ret);
}

status definition_of(struct partition *partition, struct live_run *run)
{
    if (run->definition != NULL) {
        return STATUS_OK;
    }
    struct event started;
    TRY(runs_started(run, &partition->round_arena, &started));
    str hash = started.run_started.spec.definition_hash;
    if (hash.len != KEY_HASH_BYTES_EACH) {
        return status_make(CODE_DATA_LOSS, "the run's start names no definition");
    }
    return definition_by_hash(partition, (const uint8_t *)hash.ptr, &run->definition);
}

static status definition_newest(struct partition *partition, str id, struct definition **ret)
{
    for (struct definition *d = partition->definitions; d != NULL; d = d->next) {
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
    if (hash.len != KEY_HASH_BYTES_EACH) {
        return status_make(CODE_DATA_LOSS, "an agent definition's hash is damaged");
    }
    TRY(definition_by_hash(partition, (const uint8_t *)hash.ptr, ret));
    (*ret)->is_newest = true;
    return STATUS_OK;
}

void definitions_free(struct partition *partition)
{
    while (partition->definitions != NULL) {
        struct definition *next = partition->definitions->next;
        arena_fini(&partition->definitions->arena);
        free(partition->definitions);
        partition->definitions = next;
    }
    partition->definition_count = 0;
}

void handle_register(struct partition *partition, struct request *request)
{
    struct failure failure;
    if (!queueing_name_queue(partition, request->define.definition->queue, &failure)) {
        request_answer(partition, request, &failure);
        return;
    }
    status put = definition_put(partition, request->define.definition, request->define.ret_hash);
    if (!status_is_ok(put)) {
        request_fail(partition, request, put.code, "DEFINITIONS_EXHAUSTED", put.why);
        return;
    }
    request_answer_later(partition, request);
}

static bool find_key(struct partition *partition, const uint8_t key[16], struct idempotency_row *ret)
{
    for (size_t i = 0; i < partition->key_count; i++) {
        if (memcmp(partition->keys[i].key, key, sizeof(partition->keys[i].key)) == 0) {
            *ret = partition->keys[i].row;
            return true;
        }
    }
    char bytes[KEY_BYTES_MAX];
    str value;
    status found =
        store_get(&partition->store, STORE_IDEMPOTENCY, key_hash(bytes, partition->options.space, key),
                  &partition->scratch, &value);
    bool ok = status_is_ok(found) && status_is_ok(codec_decode_idempotency(value, ret));
    arena_reset(&partition->scratch);
    return ok;
}

static void put_key(struct partition *partition, const uint8_t key[16], struct idempotency_row row)
{
    char bytes[KEY_BYTES_MAX];
    char value[64];
    partition->keys = array_reserve(partition->keys, &partition->key_capacity, partition->key_count + 1,
                                  sizeof(partition->keys[0]));
    memcpy(partition->keys[partition->key_count].key, key, KEY_HASH_BYTES_EACH);
    partition->keys[partition->key_count++].row = row;
    size_t len = codec_encode_idempotency(&row, value, sizeof(value));
    store_batch_put(&partition->batch, STORE_IDEMPOTENCY,
                    key_hash(bytes, partition->options.space, key), str_make(value, len));
}

/* True when the key has been used: the request is answered. */
static bool answer_repeated(struct partition *partition, struct request *request, const uint8_t key[16])
{
    struct idempotency_row row;
    if (request->start.spec.idempotency_key.len == 0 || !find_key(partition, key, &row)) {
        return false;
    }
    if (memcmp(row.digest, request->start.digest, sizeof(row.digest)) != 0) {
        struct failure failure =
            failure_make(CODE_ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED",
                         STR("this idempotency key has started a run with another request; use a "
                             "new key for a new request"));
        failure.field = STR("options.idempotency_key");
        request_fail_later(partition, request, &failure);
        return true;
    }
    request->start.ret_run = row.run;
    request->start.ret_existed = true;
    request_answer_later(partition, request); /* Its start may be in this very batch. */
    return true;
}

static void check_request(const struct definition *definition, const struct run_spec *spec,
                          struct model_request *ret)
{
    *ret = (struct model_request){
        .provider = definition->agent.provider,
        .model = definition->agent.model,
        .base_url = definition->agent.base_url,
        .temperature = NAN,
        .options_json = spec->options.len > 0 ? spec->options : definition->agent.options_json,
        .attempt = 1,
    };
}

static bool refuse_start(struct failure *ret, enum code code, const char *reason, const char *field,
                         str message)
{
    *ret = failure_make(code, reason, message);
    ret->field = str_of(field);
    return false;
}

/* Fills in what the definition says and refuses what could never work. */
static bool prepare_agent(struct partition *partition, struct run_spec *spec, struct arena *arena,
                          struct failure *ret)
{
    struct definition *definition;
    status found = definition_newest(partition, spec->name, &definition);
    if (!status_is_ok(found)) {
        const char *reason = found.code == CODE_NOT_FOUND ? "AGENT_NOT_FOUND" : "STORE_DAMAGED";
        str message = arena_printf(arena,
                                   "no agent '" STR_FMT
                                   "' is registered; connect a host that defines it, or call "
                                   "AgentService.Register",
                                   STR_ARG(spec->name));
        return refuse_start(ret, found.code, reason, "agent_id", message);
    }
    found = transcript_check_input(spec->input, arena);
    if (!status_is_ok(found)) {
        return refuse_start(ret, found.code, "INVALID_FIELD", "input_json", str_of(found.why));
    }
    struct model_request model;
    check_request(definition, spec, &model);
    found = model_client_check(&partition->options.models, &model, arena);
    if (!status_is_ok(found)) {
        bool is_key = found.code == CODE_FAILED_PRECONDITION;
        return refuse_start(ret, found.code, is_key ? "PROVIDER_KEY_MISSING" : "INVALID_PROVIDER",
                            "agent.provider", str_of(found.why));
    }
    uint32_t steps = definition->agent.max_steps;
    spec->turns_max = steps == 0 ? AGENT_STEPS_DEFAULT : steps;
    spec->tokens_max = definition->agent.max_total_tokens;
    spec->queue = spec->queue.len > 0 ? spec->queue : definition->agent.queue;
    spec->definition_hash = arena_copy(arena, str_make(definition->hash, KEY_HASH_BYTES_EACH));
    return true;
}

static bool may_start(struct partition *partition, struct request *request)
{
    if (partition->is_draining) {
        request_fail(partition, request, CODE_UNAVAILABLE, "DRAINING",
                     "the server is shutting down; try again in a moment");
        return false;
    }
    if (queueing_is_full(partition)) {
        request_fail(partition, request, CODE_RESOURCE_EXHAUSTED, "QUEUES_FULL",
                     "4000000 runs are in queues, the most there may be; try again when some "
                     "have ended");
        return false;
    }
    struct store_stats stats;
    store_stats(&partition->store, &stats);
    if (stats.is_low_on_space) {
        struct failure failure = failure_make(
            CODE_RESOURCE_EXHAUSTED, "LOW_DISK",
            STR("the server's disk is nearly full, so no new run is started; runs under way go "
                "on. Free some space and try again"));
        failure.retry_after_ms = 5000;
        request_answer(partition, request, &failure);
        return false;
    }
    return true;
}

/* Ids sort in the order of their starts, within one millisecond too: a counter from a random start
 * takes the 12 bits after the time. */
uuid start_new_id(struct partition *partition)
{
    uint8_t random[10];
    partition->options.random(partition->options.context, random, sizeof(random));
    uint32_t drawn = ((uint32_t)random[0] << 8 | random[1]) & 0x3ff;
    bool is_later = partition->now_ms > partition->id_ms;
    partition->id_count = is_later ? drawn : partition->id_count + 1;
    partition->id_ms = is_later ? partition->now_ms : partition->id_ms;
    if (partition->id_count > 0xfff) {
        partition->id_ms++;
        partition->id_count = drawn;
    }
    random[0] = (uint8_t)(partition->id_count >> 8);
    random[1] = (uint8_t)partition->id_count;
    return uuid_v7(partition->id_ms, random);
}

bool start_check(struct partition *partition, struct run_spec *spec, struct arena *arena,
                 struct failure *ret_failure)
{
    return (spec->kind != RUN_KIND_AGENT || prepare_agent(partition, spec, arena, ret_failure)) &&
           queueing_check(partition, spec, arena, ret_failure);
}

void start_note_child(struct partition *partition, uuid parent, uuid child)
{
    char key[KEY_BYTES_MAX];
    if (uuid_is_zero(parent)) {
        return;
    }
    struct index_tail tail = child_row_tail(parent, child);
    store_batch_put(&partition->batch, STORE_INDEX,
                    key_index(key, partition->options.space, INDEX_CHILD, index_tail_str(&tail)),
                    STR_EMPTY);
    partition->born = array_reserve(partition->born, &partition->born_capacity, partition->born_count + 1,
                                  sizeof(partition->born[0]));
    partition->born[partition->born_count].parent = parent;
    partition->born[partition->born_count++].child = child;
}

static uint32_t retries_of(const struct run_spec *spec, int32_t max_retries)
{
    if (spec->kind != RUN_KIND_WORKFLOW || max_retries < 0) {
        return 0;
    }
    return max_retries == 0 ? RUN_RETRIES_DEFAULT : (uint32_t)max_retries;
}

bool start_run(struct partition *partition, struct run_spec *spec, uint64_t timeout_ms,
               int32_t max_retries, struct arena *arena, struct failure *ret_failure, uuid *ret_id)
{
    if (!start_check(partition, spec, arena, ret_failure)) {
        return false;
    }
    timeout_ms = timeout_ms == 0 ? partition->options.run_timeout_ms : timeout_ms;
    spec->deadline_ms = partition->now_ms + timeout_ms;
    spec->retries_max = retries_of(spec, max_retries);
    struct command start = {.kind = COMMAND_START, .start = {.id = start_new_id(partition)}};
    spec->root = uuid_is_zero(spec->root) ? start.start.id : spec->root;
    start.start.spec = *spec;
    struct live_run *run = runs_insert(partition, start.start.id);
    assert(spec->name.len <= NAME_BYTES_MAX);
    run->order_keys.is_complete = true;
    runs_note_start(run, spec);
    if (spec->kind == RUN_KIND_AGENT) {
        run->state.kind = RUN_KIND_AGENT; /* So that its records are kept; the event says it too. */
        status found = definition_by_hash(partition, (const uint8_t *)spec->definition_hash.ptr,
                                          &run->definition);
        assert(status_is_ok(found));
    }
    enum verdict verdict = command_submit(partition, run, &start);
    assert(verdict == VERDICT_OK);
    start_note_child(partition, spec->parent, start.start.id);
    *ret_id = start.start.id;
    return true;
}

void handle_start(struct partition *partition, struct request *request)
{
    struct run_spec *spec = &request->start.spec;
    uint8_t key[KEY_HASH_BYTES_EACH];
    hash128(spec->idempotency_key, key);
    if (answer_repeated(partition, request, key) || !may_start(partition, request)) {
        return;
    }
    struct failure failure;
    if (!start_run(partition, spec, request->start.timeout_ms, request->start.max_retries,
                   &request->arena, &failure, &request->start.ret_run)) {
        request_answer(partition, request, &failure);
        return;
    }
    if (spec->idempotency_key.len > 0) {
        struct idempotency_row row = {.run = request->start.ret_run};
        memcpy(row.digest, request->start.digest, sizeof(row.digest));
        put_key(partition, key, row);
    }
    request->start.ret_existed = false;
    request_answer_later(partition, request);
}
