#include "service/rpc/wire_field.h"

enum {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_FIXED32 = 5,
};

static bool read_varint(str *rest, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && rest->len > 0; shift += 7) {
        uint8_t byte = (uint8_t)*rest->ptr;
        rest->ptr++;
        rest->len--;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool skip(str *rest, uint64_t bytes)
{
    if (bytes > rest->len) {
        return false;
    }
    rest->ptr += bytes;
    rest->len -= bytes;
    return true;
}

bool wire_field_take(str *rest, struct wire_field *ret)
{
    uint64_t tag;
    uint64_t value;
    if (!read_varint(rest, &tag)) {
        return false;
    }
    *ret = (struct wire_field){.number = (uint32_t)(tag >> 3)};
    switch (tag & 7) {
    case WIRE_VARINT:
        return read_varint(rest, &value);
    case WIRE_FIXED64:
        return skip(rest, 8);
    case WIRE_FIXED32:
        return skip(rest, 4);
    case WIRE_BYTES:
        if (!read_varint(rest, &value)) {
            return false;
        }
        ret->is_bytes = true;
        ret->bytes = str_make(rest->ptr, (size_t)value);
        return skip(rest, value);
    default:
        return false;
    }
}
