#include "service/codec/key_row.h"

#include "service/base/endian.h"

enum {
    VERSION = 1,
};

str key_row_tail(char ret[KEY_ROW_TAIL_BYTES], uint32_t number)
{
    endian_put_be(ret, number, KEY_ROW_TAIL_BYTES);
    return str_make(ret, KEY_ROW_TAIL_BYTES);
}

status key_row_read_tail(str tail, uint32_t *ret)
{
    if (tail.len != KEY_ROW_TAIL_BYTES) {
        return status_make(CODE_DATA_LOSS, "row of a key: its key is damaged");
    }
    *ret = (uint32_t)endian_get_be(tail.ptr, KEY_ROW_TAIL_BYTES);
    return STATUS_OK;
}

static void put_text(struct buf *ret, str text)
{
    assert(text.len <= UINT16_MAX);
    buf_put_u16_le(ret, (uint16_t)text.len);
    buf_put(ret, text);
}

void key_row_encode(const struct key_row *row, struct buf *ret)
{
    assert(row->offer_count <= UINT16_MAX);
    buf_put_char(ret, VERSION);
    buf_put_u32_le(ret, row->rights);
    buf_put_u64_le(ret, row->created_ms);
    buf_put_u64_le(ret, row->expires_ms);
    buf_put_u64_le(ret, row->revoked_ms);
    buf_put(ret, str_make(row->digest, KEY_ROW_DIGEST_BYTES));
    put_text(ret, row->name);
    buf_put_u16_le(ret, (uint16_t)row->offer_count);
    for (size_t i = 0; i < row->offer_count; i++) {
        put_text(ret, row->offers[i]);
    }
}

static str take_text(struct endian_reader *reader)
{
    return endian_take_text(reader, (size_t)endian_take_le(reader, 2));
}

status key_row_decode(str value, struct arena *arena, struct key_row *ret)
{
    struct endian_reader reader = {.rest = value};
    bool is_known = endian_take_le(&reader, 1) == VERSION;
    ret->rights = (uint32_t)endian_take_le(&reader, 4);
    ret->created_ms = endian_take_le(&reader, 8);
    ret->expires_ms = endian_take_le(&reader, 8);
    ret->revoked_ms = endian_take_le(&reader, 8);
    endian_take_bytes(&reader, ret->digest, KEY_ROW_DIGEST_BYTES);
    ret->name = take_text(&reader);
    ret->offer_count = (size_t)endian_take_le(&reader, 2);
    str *offers = arena_alloc(arena, (ret->offer_count + 1) * sizeof(offers[0]));
    for (size_t i = 0; i < ret->offer_count; i++) {
        offers[i] = take_text(&reader);
    }
    ret->offers = offers;
    if (!is_known || reader.is_short || reader.rest.len > 0) {
        return status_make(CODE_DATA_LOSS, "row of a key: damaged");
    }
    return STATUS_OK;
}
