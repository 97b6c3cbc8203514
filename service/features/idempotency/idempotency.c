#include "service/features/idempotency/idempotency.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/hash.h"
#include "service/partition/state.h"

static_assert((int)IDEMPOTENCY_HASH_BYTES == (int)HASH_BYTES, "a key is kept by its hash");

struct fresh_key {
    uint8_t key[IDEMPOTENCY_HASH_BYTES];
    struct idempotency_row row;
};

struct idempotency {
    struct fresh_key *fresh; /* Of this round: not in the store yet. */
    size_t count;
    size_t capacity;
};

/* NOT_FOUND: the key is new. Also those of this very round. */
static status find(struct partition *partition, const uint8_t key[IDEMPOTENCY_HASH_BYTES],
                   struct idempotency_row *ret)
{
    const struct idempotency *idempotency = partition_self(partition, &idempotency_feature);
    for (size_t i = 0; i < idempotency->count; i++) {
        if (memcmp(idempotency->fresh[i].key, key, IDEMPOTENCY_HASH_BYTES) == 0) {
            *ret = idempotency->fresh[i].row;
            return STATUS_OK;
        }
    }
    char bytes[KEY_BYTES_MAX];
    str value;
    status found =
        store_get(&partition->store, STORE_IDEMPOTENCY,
                  key_hash(bytes, partition->options.space, key), &partition->scratch, &value);
    found = status_is_ok(found) ? codec_decode_idempotency(value, ret) : found;
    arena_reset(&partition->scratch);
    return found;
}

static void put(struct partition *partition, const uint8_t key[IDEMPOTENCY_HASH_BYTES],
                const struct idempotency_row *row)
{
    struct idempotency *idempotency = partition_self(partition, &idempotency_feature);
    char bytes[KEY_BYTES_MAX];
    char value[64];
    idempotency->fresh = array_reserve(idempotency->fresh, &idempotency->capacity,
                                       idempotency->count + 1, sizeof(idempotency->fresh[0]));
    struct fresh_key *fresh = &idempotency->fresh[idempotency->count++];
    memcpy(fresh->key, key, sizeof(fresh->key));
    fresh->row = *row;
    assert(!uuid_is_zero(row->run));
    assert(idempotency->count <= idempotency->capacity);
    size_t len = codec_encode_idempotency(row, value, sizeof(value));
    assert(len > 0 && len <= sizeof(value));
    store_batch_put(&partition->batch, STORE_IDEMPOTENCY,
                    key_hash(bytes, partition->options.space, key), str_make(value, len));
}

static struct failure refusal(enum code code, enum reason reason, const char *field, str message)
{
    struct failure ret = failure_make(code, reason, message);
    assert(field != NULL);
    ret.field = str_of(field);
    return ret;
}

bool idempotency_ask(struct partition *partition, str key, const uint8_t digest[16],
                     const char *field, struct idempotency_row *ret, struct failure *ret_failure)
{
    uint8_t hash[IDEMPOTENCY_HASH_BYTES];
    assert(key.len > 0);
    hash128(key, hash);
    *ret_failure = (struct failure){.code = CODE_OK};
    status found = find(partition, hash, ret);
    if (found.code == CODE_NOT_FOUND) {
        return false;
    }
    if (!status_is_ok(found)) {
        *ret_failure =
            refusal(found.code, store_may_pass(found) ? REASON_STORE_REFUSED : REASON_STORE_DAMAGED,
                    field, str_of(found.why));
        return true;
    }
    assert(!uuid_is_zero(ret->run));
    if (memcmp(ret->digest, digest, sizeof(ret->digest)) != 0) {
        *ret_failure =
            refusal(CODE_ALREADY_EXISTS, REASON_IDEMPOTENCY_KEY_REUSED, field,
                    STR("this idempotency key has started a run with another request; use a "
                        "new key for a new request"));
    } else if (!runs_exist(partition, ret->run)) {
        *ret_failure = refusal(CODE_FAILED_PRECONDITION, REASON_RUN_DELETED, field,
                               STR("this idempotency key has started a run that was deleted; use "
                                   "a new key to start another"));
    }
    return true;
}

void idempotency_note(struct partition *partition, str key, const uint8_t digest[16], uuid run)
{
    uint8_t hash[IDEMPOTENCY_HASH_BYTES];
    struct idempotency_row row = {.run = run};
    assert(key.len > 0);
    hash128(key, hash);
    memcpy(row.digest, digest, sizeof(row.digest));
    put(partition, hash, &row);
}

static void *start(struct partition *partition)
{
    (void)partition;
    return xcalloc(1, sizeof(struct idempotency));
}

static void forget_round(void *self)
{
    struct idempotency *idempotency = self;
    idempotency->count = 0;
}

static void stop(void *self)
{
    struct idempotency *idempotency = self;
    free(idempotency->fresh);
    free(idempotency);
}

const struct feature idempotency_feature = {
    .name = "idempotency",
    .start = start,
    .at = {[ROUND_OVER] = forget_round},
    .stop = stop,
};
