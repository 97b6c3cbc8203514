/* How many runs that have not ended are pinned to each version. */
#include "service/base/endian.h"
#include "service/base/sys.h"
#include "service/features/definitions/definition_state.h"

static uint64_t hash_number(const uint8_t hash[DEFINITION_HASH_BYTES])
{
    return endian_get_le(hash, sizeof(uint64_t));
}

static bool is_of(const struct table_link *link, const void *hash)
{
    const struct pin *pin = container_of(link, const struct pin, by_hash);
    return memcmp(pin->hash, hash, sizeof(pin->hash)) == 0;
}

void pins_init(struct definitions *definitions)
{
    assert(definitions->pins == NULL);
    table_init(&definitions->pins_by_hash, is_of);
}

void pins_fini(struct definitions *definitions)
{
    assert(definitions->pins == NULL && definitions->pins_by_hash.count == 0);
    table_fini(&definitions->pins_by_hash);
}

static struct pin *find(const struct definitions *definitions,
                        const uint8_t hash[DEFINITION_HASH_BYTES])
{
    struct table_link *link = table_find(&definitions->pins_by_hash, hash_number(hash), hash);
    return link == NULL ? NULL : container_of(link, struct pin, by_hash);
}

void pin_change(struct definitions *definitions, str id, const uint8_t hash[DEFINITION_HASH_BYTES],
                int64_t change)
{
    struct arena *arena = &definitions->partition->round_arena;
    struct pin *pin = find(definitions, hash);
    assert(change == 1 || change == -1);
    if (pin == NULL) {
        pin = arena_zalloc(arena, sizeof(*pin));
        pin->id = arena_copy(arena, id);
        memcpy(pin->hash, hash, sizeof(pin->hash));
        pin->next = definitions->pins;
        definitions->pins = pin;
        table_add(&definitions->pins_by_hash, &pin->by_hash, hash_number(hash));
    }
    assert(str_equal(pin->id, id));
    pin->change += change;
}

void pins_forget(struct definitions *definitions)
{
    for (struct pin *pin = definitions->pins; pin != NULL; pin = pin->next) {
        table_remove(&definitions->pins_by_hash, &pin->by_hash);
    }
    definitions->pins = NULL;
    assert(definitions->pins_by_hash.count == 0);
}

static str key_of(const struct definitions *definitions, char ret[KEY_BYTES_MAX],
                  const struct pin *pin)
{
    char tail[VERSION_TAIL_BYTES_MAX];
    return key_index(ret, definitions->partition->options.space, INDEX_VERSION_RUNS,
                     version_runs_row_tail(tail, pin->id, pin->hash));
}

static status seal(struct definitions *definitions, const struct pin *pin)
{
    struct partition *partition = definitions->partition;
    char key[KEY_BYTES_MAX];
    char value[VERSION_NUMBER_BYTES];
    str row;
    uint64_t before = 0;
    assert(pin->change != 0 && pin->id.len > 0);
    str at = key_of(definitions, key, pin);
    status found = store_get(&partition->store, STORE_INDEX, at, &partition->round_arena, &row);
    if (status_is_ok(found)) {
        TRY(version_number_decode(row, &before));
    } else if (found.code != CODE_NOT_FOUND) {
        return found;
    }
    int64_t runs = (int64_t)before + pin->change;
    if (runs < 0) {
        log_line(LOG_ERROR, "version_miscounted", "agent=" STR_FMT " runs=%lld", STR_ARG(pin->id),
                 (long long)runs);
    }
    if (runs <= 0) {
        store_batch_delete(&partition->batch, STORE_INDEX, at);
        return STATUS_OK;
    }
    store_batch_put(&partition->batch, STORE_INDEX, at,
                    version_number_encode(value, (uint64_t)runs));
    return STATUS_OK;
}

void pins_seal(struct definitions *definitions)
{
    if (!definitions->is_built_next) {
        return; /* Those there are will be counted. */
    }
    for (const struct pin *pin = definitions->pins; pin != NULL; pin = pin->next) {
        status sealed = pin->change == 0 ? STATUS_OK : seal(definitions, pin);
        if (!status_is_ok(sealed)) {
            log_line(LOG_ERROR, "version_not_counted", "agent=" STR_FMT " why=\"%s\"",
                     STR_ARG(pin->id), sealed.why);
        }
        if (!status_is_ok(sealed) && store_may_pass(sealed)) {
            round_spoil(definitions->partition, sealed);
        }
    }
}

static bool note_any(void *context, str key, str value)
{
    (void)key;
    (void)value;
    bool *any = context;
    assert(!*any); /* One is enough. */
    *any = true;
    return false;
}

static bool any_begun(const struct definitions *definitions, str id, const uint8_t *hash)
{
    assert(id.len > 0);
    for (const struct pin *pin = definitions->pins; pin != NULL; pin = pin->next) {
        bool is_it =
            hash == NULL ? str_equal(pin->id, id) : memcmp(pin->hash, hash, sizeof(pin->hash)) == 0;
        if (is_it && pin->change > 0) {
            return true;
        }
    }
    return false;
}

status pins_ask(struct definitions *definitions, str id, const uint8_t *hash, bool *ret)
{
    struct partition *partition = definitions->partition;
    char key[KEY_BYTES_MAX];
    char tail[VERSION_TAIL_BYTES_MAX];
    str rows = hash == NULL ? version_rows_of(tail, id) : version_runs_row_tail(tail, id, hash);
    assert(definitions->is_built_next); /* Else not all are counted. */
    *ret = any_begun(definitions, id, hash);
    if (*ret) {
        return STATUS_OK;
    }
    return store_scan(&partition->store, STORE_INDEX,
                      key_index(key, partition->options.space, INDEX_VERSION_RUNS, rows), STR_EMPTY,
                      false, 1, note_any, ret);
}
