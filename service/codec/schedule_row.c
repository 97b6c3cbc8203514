#include "service/codec/schedule_row.h"

#include "service/base/endian.h"
#include "service/codec/body.h"
#include "service/codec/start_options.h"

enum {
    FORMAT = 1,
    TERMS_FORMAT = 1,
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

void schedule_terms_encode(const struct schedule_terms *terms, struct buf *ret)
{
    Polos__Journal__V1__RunStarted options = POLOS__JOURNAL__V1__RUN_STARTED__INIT;
    assert(terms->kind == RUN_KIND_WORKFLOW || terms->kind == RUN_KIND_AGENT);
    start_options_pack(&terms->options, &options);
    options.options = body_bytes(terms->provider_options);
    buf_put_char(ret, TERMS_FORMAT);
    buf_put_char(ret, (char)terms->kind);
    buf_put_u32_le(ret, (uint32_t)terms->options.max_retries);
    buf_put_u64_le(ret, terms->options.timeout_ms);
    body_pack(&options.base, ret);
}

status schedule_terms_decode(str bytes, struct arena *arena, struct schedule_terms *ret)
{
    struct endian_reader reader = {.rest = bytes};
    struct schedule_terms terms = {0};
    uint64_t format = endian_take_le(&reader, 1);
    uint64_t kind = endian_take_le(&reader, 1);
    uint32_t retries = (uint32_t)endian_take_le(&reader, 4);
    uint64_t timeout_ms = endian_take_le(&reader, 8);
    bool is_sound = !reader.is_short && format == TERMS_FORMAT &&
                    (kind == RUN_KIND_WORKFLOW || kind == RUN_KIND_AGENT);
    const Polos__Journal__V1__RunStarted *options =
        !is_sound ? NULL
                  : body_unpack(&polos__journal__v1__run_started__descriptor, reader.rest, arena);
    if (options == NULL) {
        return status_make(CODE_DATA_LOSS, "terms of a schedule: damaged");
    }
    start_options_unpack(options, &terms.options);
    terms.provider_options = body_str(options->options);
    terms.kind = (enum run_kind)kind;
    terms.options.max_retries = (int32_t)retries;
    terms.options.timeout_ms = timeout_ms;
    *ret = terms;
    return STATUS_OK;
}
