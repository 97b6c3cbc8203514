#include "service/codec/queue_rows.h"

#include "service/base/endian.h"

enum {
    QUEUE_VALUE_BYTES = 3 * 4 + 8,
    START_VALUE_BYTES = 2 * 8,
    SLOT_BYTES = 4,
};

void queue_row_encode(const struct queue_row *row, struct buf *ret)
{
    assert((row->rate == 0) == (row->rate_period_ms == 0));
    buf_put_u32_le(ret, row->concurrency);
    buf_put_u32_le(ret, row->per_key);
    buf_put_u32_le(ret, row->rate);
    buf_put_u64_le(ret, row->rate_period_ms);
}

status queue_row_decode(str name, str value, struct queue_row *ret)
{
    struct endian_reader reader = {.rest = value};
    if (name.len > QUEUE_NAME_BYTES_MAX || value.len != QUEUE_VALUE_BYTES) {
        return status_make(CODE_DATA_LOSS, "row of a queue: damaged");
    }
    struct queue_row row = {
        .concurrency = (uint32_t)endian_take_le(&reader, 4),
        .per_key = (uint32_t)endian_take_le(&reader, 4),
        .rate = (uint32_t)endian_take_le(&reader, 4),
        .rate_period_ms = endian_take_le(&reader, 8),
    };
    if ((row.rate == 0) != (row.rate_period_ms == 0)) {
        return status_make(CODE_DATA_LOSS, "row of a queue: a rate without its period");
    }
    *ret = row;
    return STATUS_OK;
}

status queue_default_row_decode(str value, str *ret_queue)
{
    if (value.len == 0 || value.len > QUEUE_NAME_BYTES_MAX) {
        return status_make(CODE_DATA_LOSS, "row of a workflow's queue: damaged");
    }
    *ret_queue = value;
    return STATUS_OK;
}

void queue_start_row_put_tail(str queue, uint32_t slot, struct buf *ret)
{
    assert(queue.len > 0 && queue.len <= QUEUE_NAME_BYTES_MAX);
    buf_put(ret, queue);
    buf_put_u32_le(ret, slot);
}

bool queue_start_row_is_of(str tail, str queue)
{
    return tail.len == queue.len + SLOT_BYTES && str_starts_with(tail, queue);
}

void queue_start_row_encode(const struct queue_start_row *row, struct buf *ret)
{
    buf_put_u64_le(ret, row->number);
    buf_put_u64_le(ret, row->start_ms);
}

status queue_start_row_decode(str tail, str value, struct queue_start_row *ret)
{
    if (tail.len <= SLOT_BYTES || value.len != START_VALUE_BYTES) {
        return status_make(CODE_DATA_LOSS, "row of a queue's start: damaged");
    }
    *ret = (struct queue_start_row){
        .queue = str_make(tail.ptr, tail.len - SLOT_BYTES),
        .slot = (uint32_t)endian_get_le(tail.ptr + tail.len - SLOT_BYTES, SLOT_BYTES),
        .number = endian_get_le(value.ptr, 8),
        .start_ms = endian_get_le(value.ptr + 8, 8),
    };
    return STATUS_OK;
}
