#include "service/runtime/schedule_row.h"

#include <stdio.h>
#include <time.h>

#include "service/base/endian.h"

enum {
    FORMAT = 1,
    HEADER_BYTES = 1 + 4 * 8 + 16 + 1 + 16 + 4,
};

void schedule_row_encode(const struct schedule_row *row, struct buf *ret)
{
    size_t before = ret->len;
    buf_put_char(ret, FORMAT);
    buf_put_u64_le(ret, row->created_ms);
    buf_put_u64_le(ret, row->base_ms);
    buf_put_u64_le(ret, row->last_tick_ms);
    buf_put_u64_le(ret, row->skipped);
    buf_put(ret, str_make(row->run.bytes, sizeof(row->run.bytes)));
    buf_put_char(ret, row->has_input ? 1 : 0);
    buf_put(ret, str_make(row->input_hash, sizeof(row->input_hash)));
    buf_put_u32_le(ret, (uint32_t)row->cron.len);
    assert(ret->len - before == HEADER_BYTES);
    buf_put(ret, row->cron);
    buf_put(ret, row->zone);
}

bool schedule_row_decode(str bytes, struct schedule_row *ret)
{
    if (bytes.len < HEADER_BYTES || bytes.ptr[0] != FORMAT) {
        return false;
    }
    struct endian_reader reader = {.rest = bytes};
    memset(ret, 0, sizeof(*ret));
    (void)endian_take_le(&reader, 1);
    ret->created_ms = endian_take_le(&reader, 8);
    ret->base_ms = endian_take_le(&reader, 8);
    ret->last_tick_ms = endian_take_le(&reader, 8);
    ret->skipped = endian_take_le(&reader, 8);
    endian_take_bytes(&reader, ret->run.bytes, sizeof(ret->run.bytes));
    ret->has_input = endian_take_le(&reader, 1) != 0;
    endian_take_bytes(&reader, ret->input_hash, sizeof(ret->input_hash));
    size_t cron_bytes = (size_t)endian_take_le(&reader, 4);
    ret->cron = endian_take_text(&reader, cron_bytes);
    ret->zone = reader.rest;
    return !reader.is_short && cron_bytes > 0 && cron_bytes <= CRON_BYTES_MAX &&
           ret->zone.len > 0 && ret->zone.len <= ZONE_NAME_BYTES_MAX;
}

void schedule_time(uint64_t unix_ms, char ret[SCHEDULE_TIME_BYTES])
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm parts;
    size_t len = 0;
    ret[0] = '\0';
    if (gmtime_r(&seconds, &parts) != NULL) {
        len = strftime(ret, SCHEDULE_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
    }
    unsigned ms = (unsigned)(unix_ms % 1000);
    if (ms != 0) {
        snprintf(ret + len, SCHEDULE_TIME_BYTES - len, ".%03uZ", ms);
        return;
    }
    snprintf(ret + len, SCHEDULE_TIME_BYTES - len, "Z");
}
