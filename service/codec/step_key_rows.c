#include "service/codec/step_key_rows.h"

#include "service/base/endian.h"

enum {
    PLACE_TAIL_BYTES = 16 + 1,
    KEY_TAIL_BYTES = PLACE_TAIL_BYTES + 8,
    OPEN_TAIL_BYTES = KEY_TAIL_BYTES + 16 + 4,
};
static_assert((int)OPEN_TAIL_BYTES <= (int)INDEX_TAIL_BYTES_MAX, "it fits");

struct index_tail step_key_rows_in(uuid scope)
{
    struct index_tail tail = {.len = 0};
    index_tail_put(&tail, scope.bytes, sizeof(scope.bytes));
    return tail;
}

struct index_tail step_key_rows_of(uuid scope, enum step_key_place place)
{
    struct index_tail tail = step_key_rows_in(scope);
    index_tail_put_number(&tail, (uint64_t)place, 1);
    assert(tail.len == PLACE_TAIL_BYTES);
    return tail;
}

struct index_tail step_key_row_tail(uuid scope, enum step_key_place place, uint64_t key)
{
    struct index_tail tail = step_key_rows_of(scope, place);
    index_tail_put_number(&tail, key, 8);
    assert(tail.len == KEY_TAIL_BYTES);
    return tail;
}

struct index_tail step_key_open_tail(uuid root, uint64_t key, struct suspension_id id)
{
    struct index_tail tail = step_key_row_tail(root, STEP_KEY_OPEN_BELOW, key);
    index_tail_put(&tail, id.run.bytes, sizeof(id.run.bytes));
    index_tail_put_number(&tail, id.effect, 4);
    assert(tail.len == OPEN_TAIL_BYTES);
    return tail;
}

status step_key_open_decode(str tail, struct suspension_id *ret)
{
    if (tail.len != OPEN_TAIL_BYTES) {
        return status_make(CODE_DATA_LOSS, "row of a suspension's key: damaged");
    }
    memcpy(ret->run.bytes, tail.ptr + KEY_TAIL_BYTES, sizeof(ret->run.bytes));
    ret->effect = (uint32_t)endian_get_be(tail.ptr + KEY_TAIL_BYTES + 16, 4);
    return STATUS_OK;
}

void suspension_id_encode(struct suspension_id id, char ret[SUSPENSION_ID_BYTES])
{
    memcpy(ret, id.run.bytes, sizeof(id.run.bytes));
    endian_put_le(ret + 16, id.effect, 4);
}

status suspension_id_decode(str value, struct suspension_id *ret)
{
    if (value.len != SUSPENSION_ID_BYTES) {
        return status_make(CODE_DATA_LOSS, "row of a suspension that is over: damaged");
    }
    memcpy(ret->run.bytes, value.ptr, sizeof(ret->run.bytes));
    ret->effect = (uint32_t)endian_get_le(value.ptr + 16, 4);
    return STATUS_OK;
}

void step_key_seq_encode(uint32_t seq, char ret[STEP_KEY_SEQ_BYTES])
{
    assert(seq > 0);
    endian_put_le(ret, seq, STEP_KEY_SEQ_BYTES);
}

status step_key_seq_decode(str value, uint32_t *ret)
{
    if (value.len != STEP_KEY_SEQ_BYTES) {
        return status_make(CODE_DATA_LOSS, "row of where a suspension stands: damaged");
    }
    *ret = (uint32_t)endian_get_le(value.ptr, STEP_KEY_SEQ_BYTES);
    return STATUS_OK;
}
