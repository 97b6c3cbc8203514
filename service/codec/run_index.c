#include "service/codec/run_index.h"

#include "polos/journal/v1/records.pb.h"
#include "service/base/hash.h"
#include "service/codec/pack.h"

enum {
    TAIL_BYTES = 1 + HASH_BYTES + 16,
};
static_assert((int)TAIL_BYTES <= (int)INDEX_TAIL_BYTES_MAX, "a tail has room");

enum index_kind run_index_built_kind(enum run_index_set set)
{
    assert(set < RUN_INDEX_SETS);
    return set == RUN_INDEX_FIRST ? INDEX_RUN_BUILT : INDEX_RUN_TREES_BUILT;
}

struct index_tail run_index_prefix(enum run_by by, str value)
{
    struct index_tail tail = {.len = 0};
    uint8_t hash[HASH_BYTES];
    hash128(value, hash);
    index_tail_put_number(&tail, by, 1);
    index_tail_put(&tail, hash, sizeof(hash));
    return tail;
}

struct index_tail run_index_tail(enum run_by by, str value, uuid run)
{
    struct index_tail tail = run_index_prefix(by, value);
    index_tail_put(&tail, run.bytes, sizeof(run.bytes));
    assert(tail.len == TAIL_BYTES);
    return tail;
}

status run_index_decode(str tail, uuid *ret)
{
    if (tail.len != TAIL_BYTES) {
        return status_make(CODE_DATA_LOSS, "row of the index of runs: damaged");
    }
    memcpy(ret->bytes, tail.ptr + TAIL_BYTES - sizeof(ret->bytes), sizeof(ret->bytes));
    return STATUS_OK;
}

size_t run_index_built_encode(const struct run_index_built *built, char *ret, size_t bytes_max)
{
    polos_journal_v1_RunIndexBuilt body = {.is_complete = built->is_complete};
    static_assert(sizeof(body.last) == sizeof(built->last.bytes), "records.options");
    memcpy(body.last, built->last.bytes, sizeof(body.last));
    return pack_message(polos_journal_v1_RunIndexBuilt_fields, &body, ret, bytes_max);
}

status run_index_built_decode(str bytes, struct run_index_built *ret)
{
    polos_journal_v1_RunIndexBuilt body = polos_journal_v1_RunIndexBuilt_init_zero;
    if (!unpack_message(polos_journal_v1_RunIndexBuilt_fields, bytes, &body)) {
        return status_make(CODE_DATA_LOSS, "row of what is built of the index of runs: damaged");
    }
    ret->is_complete = body.is_complete;
    memcpy(ret->last.bytes, body.last, sizeof(ret->last.bytes));
    return STATUS_OK;
}
