/* The rows of versions: when each was registered; what is left of one that was deleted. */
#include "service/base/sys.h"
#include "service/features/definitions/definition_state.h"

static str index_key(const struct definitions *definitions, char ret[KEY_BYTES_MAX],
                     enum index_kind kind, str tail)
{
    return key_index(ret, definitions->partition->options.space, (uint8_t)kind, tail);
}

static str hash_str(const uint8_t hash[DEFINITION_HASH_BYTES])
{
    return str_make(hash, DEFINITION_HASH_BYTES);
}

static void put_rows(struct definitions *definitions, const struct version_row *row)
{
    struct store_batch *batch = &definitions->partition->batch;
    char key[KEY_BYTES_MAX];
    char tail[VERSION_TAIL_BYTES_MAX];
    char value[VERSION_NUMBER_BYTES];
    assert(row->id.len > 0);
    store_batch_put(batch, STORE_INDEX,
                    index_key(definitions, key, INDEX_VERSION, version_row_tail(tail, row)),
                    STR_EMPTY);
    store_batch_put(batch, STORE_INDEX,
                    index_key(definitions, key, INDEX_VERSION_TIME, hash_str(row->hash)),
                    version_number_encode(value, row->registered_ms));
}

static status read_time(struct definitions *definitions, const uint8_t hash[DEFINITION_HASH_BYTES],
                        uint64_t *ret_ms)
{
    struct partition *partition = definitions->partition;
    char key[KEY_BYTES_MAX];
    str value;
    TRY(store_get(&partition->store, STORE_INDEX,
                  index_key(definitions, key, INDEX_VERSION_TIME, hash_str(hash)),
                  &partition->round_arena, &value));
    return version_number_decode(value, ret_ms);
}

/* An older release has written it, which kept no time. */
static bool is_older(struct definitions *definitions, const uint8_t hash[DEFINITION_HASH_BYTES])
{
    struct partition *partition = definitions->partition;
    char key[KEY_BYTES_MAX];
    str encoded;
    if (definitions->is_built) {
        return false;
    }
    status found =
        store_get(&partition->store, STORE_DEFINITIONS,
                  key_hash(key, partition->options.space, hash), &partition->round_arena, &encoded);
    if (!status_is_ok(found) && store_may_pass(found)) {
        round_spoil(partition, found);
    }
    return found.code != CODE_NOT_FOUND;
}

void version_put(struct definitions *definitions, str id, const uint8_t hash[DEFINITION_HASH_BYTES])
{
    char key[KEY_BYTES_MAX];
    uint64_t registered_ms;
    assert(name_is_valid(id));
    status read = read_time(definitions, hash, &registered_ms);
    if (!status_is_ok(read) && store_may_pass(read)) {
        round_spoil(definitions->partition, read);
    }
    if (status_is_ok(read)) {
        return; /* It was registered before. */
    }
    struct version_row row = {.id = id, .registered_ms = definitions->partition->now_ms};
    row.registered_ms = is_older(definitions, hash) ? 0 : row.registered_ms;
    memcpy(row.hash, hash, sizeof(row.hash));
    put_rows(definitions, &row);
    store_batch_delete(&definitions->partition->batch, STORE_INDEX,
                       index_key(definitions, key, INDEX_VERSION_DELETED, hash_str(hash)));
}

status version_find(struct definitions *definitions, str id,
                    const uint8_t hash[DEFINITION_HASH_BYTES], struct version_row *ret)
{
    struct partition *partition = definitions->partition;
    char key[KEY_BYTES_MAX];
    char tail[VERSION_TAIL_BYTES_MAX];
    str nothing;
    assert(id.len > 0);
    *ret = (struct version_row){.id = id};
    memcpy(ret->hash, hash, sizeof(ret->hash));
    TRY(read_time(definitions, hash, &ret->registered_ms));
    return store_get(&partition->store, STORE_INDEX,
                     index_key(definitions, key, INDEX_VERSION, version_row_tail(tail, ret)),
                     &partition->round_arena, &nothing);
}

/* Of bytes that cannot be read there is nothing to say. */
static status read_left(struct partition *partition, const uint8_t hash[DEFINITION_HASH_BYTES],
                        struct version_deleted_row *ret)
{
    char key[KEY_BYTES_MAX];
    str encoded;
    struct agent_definition agent;
    *ret = (struct version_deleted_row){.is_structured = false};
    status read =
        store_get(&partition->store, STORE_DEFINITIONS,
                  key_hash(key, partition->options.space, hash), &partition->round_arena, &encoded);
    if (status_is_ok(read)) {
        read = agent_definition_decode(encoded, &partition->round_arena, &agent);
    }
    if (status_is_ok(read)) {
        ret->is_structured = agent.output_schema_json.len > 0;
        ret->model = agent.model;
    }
    bool is_damaged = read.code == CODE_DATA_LOSS || read.code == CODE_NOT_FOUND;
    return is_damaged ? STATUS_OK : read;
}

status version_delete(struct definitions *definitions, const struct version_row *row)
{
    struct partition *partition = definitions->partition;
    struct store_batch *batch = &partition->batch;
    char key[KEY_BYTES_MAX];
    char tail[VERSION_TAIL_BYTES_MAX];
    struct version_deleted_row left;
    str hash = hash_str(row->hash);
    assert(row->id.len > 0 && definitions->is_built_next);
    TRY(read_left(partition, row->hash, &left));
    buf_reset(&partition->packed);
    version_deleted_row_encode(&left, &partition->packed);
    store_batch_put(batch, STORE_INDEX, index_key(definitions, key, INDEX_VERSION_DELETED, hash),
                    buf_str(&partition->packed));
    store_batch_delete(batch, STORE_INDEX,
                       index_key(definitions, key, INDEX_VERSION, version_row_tail(tail, row)));
    store_batch_delete(batch, STORE_INDEX, index_key(definitions, key, INDEX_VERSION_TIME, hash));
    store_batch_delete(batch, STORE_DEFINITIONS,
                       key_hash(key, partition->options.space, row->hash));
    struct definition *definition = definition_find(definitions, row->hash);
    if (definition != NULL) {
        definition_drop(definitions, definition);
    }
    return STATUS_OK;
}

bool version_was_structured(struct definitions *definitions,
                            const uint8_t hash[DEFINITION_HASH_BYTES])
{
    struct partition *partition = definitions->partition;
    struct version_deleted_row left = {.is_structured = false};
    char key[KEY_BYTES_MAX];
    str value;
    status read = store_get(&partition->store, STORE_INDEX,
                            index_key(definitions, key, INDEX_VERSION_DELETED, hash_str(hash)),
                            &partition->round_arena, &value);
    if (status_is_ok(read)) {
        read = version_deleted_row_decode(value, &left);
    }
    return status_is_ok(read) && left.is_structured;
}

struct oldest {
    str id;
    const uint8_t *but;
    size_t count_max;
    struct version_row *ret;
    size_t count;
    status status;
};

static bool visit_oldest(void *context, str key, str value)
{
    (void)value;
    struct oldest *oldest = context;
    struct version_row row;
    str tail;
    oldest->status = key_read_index(key, &tail)
                         ? version_row_decode(tail, &row)
                         : status_make(CODE_DATA_LOSS, "row of a version of an agent: damaged");
    if (!status_is_ok(oldest->status)) {
        return false;
    }
    if (memcmp(row.hash, oldest->but, sizeof(row.hash)) != 0) {
        row.id = oldest->id;
        oldest->ret[oldest->count++] = row;
    }
    assert(oldest->count <= oldest->count_max);
    return oldest->count < oldest->count_max;
}

status versions_oldest(struct definitions *definitions, str id,
                       const uint8_t but[DEFINITION_HASH_BYTES], size_t count_max,
                       struct version_row *ret, size_t *ret_count)
{
    char key[KEY_BYTES_MAX];
    char tail[VERSION_TAIL_BYTES_MAX];
    struct oldest oldest = {.id = id, .but = but, .count_max = count_max, .ret = ret};
    assert(count_max > 0);
    TRY(store_scan(&definitions->partition->store, STORE_INDEX,
                   index_key(definitions, key, INDEX_VERSION, version_rows_of(tail, id)), STR_EMPTY,
                   false, SIZE_MAX, visit_oldest, &oldest));
    *ret_count = oldest.count;
    return oldest.status;
}

/* ---- What an older release has not written. ---- */

static status build_version(struct definitions *definitions, str key, str encoded)
{
    struct partition *partition = definitions->partition;
    struct agent_definition agent;
    struct version_row row = {.registered_ms = 0};
    if (!key_read_hash(key, row.hash)) {
        return status_make(CODE_DATA_LOSS, "key of a definition: damaged");
    }
    status known = read_time(definitions, row.hash, &row.registered_ms);
    if (known.code != CODE_NOT_FOUND) { /* It has its rows, or nobody can say. */
        return status_is_ok(known) || !store_may_pass(known) ? STATUS_OK : known;
    }
    TRY(agent_definition_decode(encoded, &partition->scratch, &agent));
    if (!name_is_valid(agent.id)) {
        return status_make(CODE_DATA_LOSS, "definition of an agent: its id is damaged");
    }
    row.id = agent.id;
    put_rows(definitions, &row);
    return STATUS_OK;
}

static bool visit_version(void *context, str key, str value)
{
    struct definitions *definitions = context;
    status built = build_version(definitions, key, value);
    if (!status_is_ok(built)) {
        log_line(LOG_ERROR, "version_not_listed", "why=\"%s\"", built.why);
    }
    if (!status_is_ok(built) && store_may_pass(built)) {
        round_spoil(definitions->partition, built);
    }
    arena_reset(&definitions->partition->scratch);
    return true;
}

static status build_run(struct definitions *definitions, uuid run)
{
    struct partition *partition = definitions->partition;
    char key[KEY_BYTES_MAX];
    struct event event;
    str record;
    TRY(store_get(&partition->store, STORE_JOURNAL,
                  key_journal(key, partition->options.space, run, 1), &partition->scratch,
                  &record));
    TRY(codec_decode_start(record, &partition->scratch, &event));
    const struct run_spec *spec = &event.run_started.spec;
    if (spec->definition_hash.len != DEFINITION_HASH_BYTES || !name_is_valid(spec->name)) {
        return status_make(CODE_DATA_LOSS, "the start of a run names no definition");
    }
    pin_change(definitions, spec->name, (const uint8_t *)spec->definition_hash.ptr, 1);
    return STATUS_OK;
}

struct building {
    struct definitions *definitions;
    status status;
};

/* One that cannot be read may be of any version: then none is known to be unused. */
static bool visit_run(void *context, str key, str value)
{
    struct building *building = context;
    assert(status_is_ok(building->status));
    struct run_row row;
    uuid run;
    if (!key_read_run(key, &run)) {
        return true; /* It is none. */
    }
    building->status = codec_decode_row(value, &row);
    if (status_is_ok(building->status) && row.kind == RUN_KIND_AGENT) {
        building->status = build_run(building->definitions, run);
        arena_reset(&building->definitions->partition->scratch);
    }
    return status_is_ok(building->status);
}

static status build(struct definitions *definitions)
{
    struct partition *partition = definitions->partition;
    char prefix[KEY_BYTES_MAX];
    struct building building = {.definitions = definitions};
    str space = key_prefix_space(prefix, partition->options.space);
    TRY(store_scan(&partition->store, STORE_ACTIVE, space, STR_EMPTY, false, SIZE_MAX, visit_run,
                   &building));
    TRY(building.status);
    return store_scan(&partition->store, STORE_DEFINITIONS, space, STR_EMPTY, false, SIZE_MAX,
                      visit_version, definitions);
}

void versions_build(struct definitions *definitions)
{
    char key[KEY_BYTES_MAX];
    if (definitions->is_built || definitions->is_given_up) {
        return;
    }
    assert(!definitions->is_built_next);
    status built = build(definitions);
    if (!status_is_ok(built) && store_may_pass(built)) { /* Once more, in the next round. */
        round_spoil(definitions->partition, built);
        return;
    }
    if (!status_is_ok(built)) {
        log_line(LOG_ERROR, "versions_unreadable", "why=\"%s\"; none can be deleted", built.why);
        definitions->is_given_up = true;
        return;
    }
    store_batch_put(&definitions->partition->batch, STORE_INDEX,
                    index_key(definitions, key, INDEX_VERSIONS_BUILT, STR_EMPTY), STR_EMPTY);
    definitions->is_built_next = true;
}

status versions_read_built(struct definitions *definitions)
{
    struct partition *partition = definitions->partition;
    char key[KEY_BYTES_MAX];
    str value;
    status found = store_get(&partition->store, STORE_INDEX,
                             index_key(definitions, key, INDEX_VERSIONS_BUILT, STR_EMPTY),
                             &partition->round_arena, &value);
    definitions->is_built = status_is_ok(found);
    definitions->is_built_next = definitions->is_built;
    return found.code == CODE_NOT_FOUND ? STATUS_OK : found;
}
