#include "service/codec/definition_rows.h"

#include "service/base/endian.h"

enum {
    TIME_BYTES = 8,
    ID_END = '/',
};

str version_rows_of(char ret[VERSION_TAIL_BYTES_MAX], str id)
{
    assert(id.len > 0 && id.len <= VERSION_ID_BYTES_MAX);
    assert(memchr(id.ptr, ID_END, id.len) == NULL);
    memcpy(ret, id.ptr, id.len);
    ret[id.len] = ID_END;
    return str_make(ret, id.len + 1);
}

str version_row_tail(char ret[VERSION_TAIL_BYTES_MAX], const struct version_row *row)
{
    size_t len = version_rows_of(ret, row->id).len;
    endian_put_be(ret + len, row->registered_ms, TIME_BYTES);
    memcpy(ret + len + TIME_BYTES, row->hash, VERSION_HASH_BYTES);
    assert(len + TIME_BYTES + VERSION_HASH_BYTES <= VERSION_TAIL_BYTES_MAX);
    return str_make(ret, len + TIME_BYTES + VERSION_HASH_BYTES);
}

status version_row_decode(str tail, struct version_row *ret)
{
    const size_t rest = 1 + TIME_BYTES + VERSION_HASH_BYTES;
    if (tail.len <= rest || tail.len > VERSION_TAIL_BYTES_MAX ||
        tail.ptr[tail.len - rest] != ID_END) {
        return status_make(CODE_DATA_LOSS, "row of a version of an agent: damaged");
    }
    ret->id = str_make(tail.ptr, tail.len - rest);
    ret->registered_ms = endian_get_be(ret->id.ptr + ret->id.len + 1, TIME_BYTES);
    memcpy(ret->hash, tail.ptr + tail.len - VERSION_HASH_BYTES, VERSION_HASH_BYTES);
    return STATUS_OK;
}

str version_runs_row_tail(char ret[VERSION_TAIL_BYTES_MAX], str id,
                          const uint8_t hash[VERSION_HASH_BYTES])
{
    size_t len = version_rows_of(ret, id).len;
    memcpy(ret + len, hash, VERSION_HASH_BYTES);
    assert(len + VERSION_HASH_BYTES <= VERSION_TAIL_BYTES_MAX);
    return str_make(ret, len + VERSION_HASH_BYTES);
}

str version_number_encode(char ret[VERSION_NUMBER_BYTES], uint64_t number)
{
    endian_put_le(ret, number, VERSION_NUMBER_BYTES);
    return str_make(ret, VERSION_NUMBER_BYTES);
}

status version_number_decode(str value, uint64_t *ret)
{
    if (value.len != VERSION_NUMBER_BYTES) {
        return status_make(CODE_DATA_LOSS, "number of a version of an agent: damaged");
    }
    *ret = endian_get_le(value.ptr, VERSION_NUMBER_BYTES);
    return STATUS_OK;
}

void version_deleted_row_encode(const struct version_deleted_row *row, struct buf *ret)
{
    buf_put_char(ret, row->is_structured ? 1 : 0);
    buf_put(ret, row->model);
}

status version_deleted_row_decode(str value, struct version_deleted_row *ret)
{
    if (value.len == 0 || (uint8_t)value.ptr[0] > 1) {
        return status_make(CODE_DATA_LOSS, "row of a deleted version of an agent: damaged");
    }
    ret->is_structured = value.ptr[0] == 1;
    ret->model = str_make(value.ptr + 1, value.len - 1);
    return STATUS_OK;
}
