#include "service/codec/schedule_row.h"

#include "service/base/endian.h"

enum {
    FORMAT = 1,
    HEADER_BYTES = 1 + 4 * 8 + 16 + 1 + 16 + 4,
};

void schedule_row_encode(const struct schedule_row *row, struct buf *ret)
{
    size_t start = ret->len;
    assert(row->cron.len > 0 && row->cron.len <= SCHEDULE_CRON_BYTES_MAX);
    assert(row->zone.len > 0 && row->zone.len <= SCHEDULE_ZONE_BYTES_MAX);
    buf_put_char(ret, FORMAT);
    buf_put_u64_le(ret, row->created_ms);
    buf_put_u64_le(ret, row->base_ms);
    buf_put_u64_le(ret, row->last_tick_ms);
    buf_put_u64_le(ret, row->skipped);
    buf_put(ret, str_make(row->run.bytes, sizeof(row->run.bytes)));
    buf_put_char(ret, row->has_input ? 1 : 0);
    buf_put(ret, str_make(row->input_hash, sizeof(row->input_hash)));
    buf_put_u32_le(ret, (uint32_t)row->cron.len);
    assert(ret->len - start == HEADER_BYTES);
    buf_put(ret, row->cron);
    buf_put(ret, row->zone);
}

status schedule_row_decode(str bytes, struct schedule_row *ret)
{
    struct endian_reader reader = {.rest = bytes};
    struct schedule_row row = {0};
    uint64_t format = endian_take_le(&reader, 1);
    row.created_ms = endian_take_le(&reader, 8);
    row.base_ms = endian_take_le(&reader, 8);
    row.last_tick_ms = endian_take_le(&reader, 8);
    row.skipped = endian_take_le(&reader, 8);
    endian_take_bytes(&reader, row.run.bytes, sizeof(row.run.bytes));
    row.has_input = endian_take_le(&reader, 1) != 0;
    endian_take_bytes(&reader, row.input_hash, sizeof(row.input_hash));
    size_t cron_bytes = (size_t)endian_take_le(&reader, 4);
    row.cron = endian_take_text(&reader, cron_bytes);
    row.zone = reader.rest;
    if (reader.is_short || format != FORMAT || row.cron.len == 0 ||
        row.cron.len > SCHEDULE_CRON_BYTES_MAX || row.zone.len == 0 ||
        row.zone.len > SCHEDULE_ZONE_BYTES_MAX) {
        return status_make(CODE_DATA_LOSS, "row of a schedule: damaged");
    }
    *ret = row;
    return STATUS_OK;
}
