#include "service/base/endian.h"

uint64_t endian_get_be(const void *bytes, size_t len)
{
    const uint8_t *at = (const uint8_t *)bytes;
    uint64_t value = 0;
    assert(len <= sizeof(value));
    for (size_t i = 0; i < len; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

void endian_put_be(void *ret, uint64_t value, size_t len)
{
    uint8_t *at = (uint8_t *)ret;
    assert(len <= sizeof(value) && endian_fits(value, len));
    for (size_t i = 0; i < len; i++) {
        at[len - 1 - i] = (uint8_t)(value >> (8 * i));
    }
}

str endian_take_text(struct endian_reader *reader, size_t len)
{
    if (len > reader->rest.len) {
        *reader = (struct endian_reader){.rest = STR_EMPTY, .is_short = true};
        return STR_EMPTY;
    }
    str taken = str_make(reader->rest.ptr, len);
    reader->rest = str_make(reader->rest.ptr + len, reader->rest.len - len);
    return taken;
}

uint64_t endian_take_le(struct endian_reader *reader, size_t len)
{
    str taken = endian_take_text(reader, len);
    return taken.len == 0 ? 0 : endian_get_le(taken.ptr, taken.len);
}

void endian_take_bytes(struct endian_reader *reader, void *ret, size_t len)
{
    str taken = endian_take_text(reader, len);
    memset(ret, 0, len);
    if (taken.len > 0) {
        memcpy(ret, taken.ptr, taken.len);
    }
}
