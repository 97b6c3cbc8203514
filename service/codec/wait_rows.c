#include "service/codec/wait_rows.h"

#include "service/base/endian.h"

enum {
    SUSPENSION_TAIL_BYTES = 8 + 16 + 4,
    AWAIT_TAIL_BYTES = 16 + 16 + 4,
    AWAIT_VALUE_BYTES = 8,
    ALARM_TAIL_BYTES = 8 + 16,
};

struct index_tail suspension_row_tail(uint64_t since_ms, uuid run, uint32_t effect)
{
    struct index_tail tail = {.len = 0};
    index_tail_put_number(&tail, since_ms, 8);
    index_tail_put(&tail, run.bytes, sizeof(run.bytes));
    index_tail_put_number(&tail, effect, 4);
    assert(tail.len == SUSPENSION_TAIL_BYTES);
    return tail;
}

status suspension_row_decode(str tail, struct suspension_row *ret)
{
    if (tail.len != SUSPENSION_TAIL_BYTES) {
        return status_make(CODE_DATA_LOSS, "row of a suspension: damaged");
    }
    ret->since_ms = endian_get_be(tail.ptr, 8);
    memcpy(ret->run.bytes, tail.ptr + 8, sizeof(ret->run.bytes));
    ret->effect = (uint32_t)endian_get_be(tail.ptr + 24, 4);
    return STATUS_OK;
}

void suspension_row_value(uint32_t seq, char ret[SUSPENSION_VALUE_BYTES])
{
    assert(seq > 0);
    endian_put_le(ret, seq, SUSPENSION_VALUE_BYTES);
}

uint32_t suspension_row_seq(str value)
{
    return value.len == SUSPENSION_VALUE_BYTES
               ? (uint32_t)endian_get_le(value.ptr, SUSPENSION_VALUE_BYTES)
               : UINT32_MAX;
}

struct index_tail await_rows_of(const uint8_t topic[16])
{
    struct index_tail tail = {.len = 0};
    index_tail_put(&tail, topic, 16);
    return tail;
}

struct index_tail await_row_tail(const uint8_t topic[16], uuid run, uint32_t effect)
{
    struct index_tail tail = await_rows_of(topic);
    index_tail_put(&tail, run.bytes, sizeof(run.bytes));
    index_tail_put_number(&tail, effect, 4);
    assert(tail.len == AWAIT_TAIL_BYTES);
    return tail;
}

void await_row_encode(const struct await_row *row, struct buf *ret)
{
    buf_put_u64_le(ret, row->after);
}

status await_row_decode(str tail, str value, struct await_row *ret)
{
    if (tail.len != AWAIT_TAIL_BYTES || value.len != AWAIT_VALUE_BYTES) {
        return status_make(CODE_DATA_LOSS, "row of who awaits a topic: damaged");
    }
    memcpy(ret->topic, tail.ptr, sizeof(ret->topic));
    memcpy(ret->run.bytes, tail.ptr + 16, sizeof(ret->run.bytes));
    ret->effect = (uint32_t)endian_get_be(tail.ptr + 32, 4);
    ret->after = endian_get_le(value.ptr, 8);
    return STATUS_OK;
}

void looked_row_value(uint64_t up_to, char ret[LOOKED_VALUE_BYTES])
{
    assert(up_to > 0);
    endian_put_le(ret, up_to, LOOKED_VALUE_BYTES);
}

uint64_t looked_row_up_to(str value)
{
    return value.len == LOOKED_VALUE_BYTES ? endian_get_le(value.ptr, LOOKED_VALUE_BYTES) : 0;
}

struct index_tail alarm_row_tail(uint64_t due_ms, uuid run)
{
    struct index_tail tail = {.len = 0};
    index_tail_put_number(&tail, due_ms, 8);
    index_tail_put(&tail, run.bytes, sizeof(run.bytes));
    assert(tail.len == ALARM_TAIL_BYTES);
    return tail;
}

status alarm_row_decode(str tail, struct alarm_row *ret)
{
    if (tail.len != ALARM_TAIL_BYTES) {
        return status_make(CODE_DATA_LOSS, "row of an alarm: damaged");
    }
    ret->due_ms = endian_get_be(tail.ptr, 8);
    memcpy(ret->run.bytes, tail.ptr + 8, sizeof(ret->run.bytes));
    return STATUS_OK;
}

uint64_t alarm_tail_due_ms(const struct index_tail *tail)
{
    assert(tail->len == 0 || tail->len >= ALARM_TAIL_BYTES);
    return tail->len == 0 ? 0 : endian_get_be(tail->bytes, 8);
}
