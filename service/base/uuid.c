#include "service/base/uuid.h"

#include "service/base/endian.h"

/* Where the dashes stand in the text form. */
static bool is_dash_at(size_t index)
{
    return index == 8 || index == 13 || index == 18 || index == 23;
}

uuid uuid_v7(uint64_t now_ms, const uint8_t random[10])
{
    assert(now_ms < (uint64_t)1 << 48);
    uuid id;
    endian_put_be(id.bytes, now_ms, 6);
    memcpy(id.bytes + 6, random, 10);
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x70);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
    assert(uuid_time_ms(id) == now_ms);
    return id;
}

void uuid_format(uuid id, char ret[UUID_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    size_t byte = 0;
    for (size_t i = 0; i < UUID_TEXT_BYTES - 1;) {
        if (is_dash_at(i)) {
            ret[i++] = '-';
            continue;
        }
        ret[i++] = digits[id.bytes[byte] >> 4];
        ret[i++] = digits[id.bytes[byte] & 15];
        byte++;
    }
    assert(byte == sizeof(id.bytes));
    ret[UUID_TEXT_BYTES - 1] = '\0';
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

bool uuid_parse(str text, uuid *ret)
{
    uuid id;
    size_t byte = 0;
    if (text.len != UUID_TEXT_BYTES - 1) {
        return false;
    }
    for (size_t i = 0; i < text.len;) {
        if (is_dash_at(i)) {
            if (text.ptr[i++] != '-') {
                return false;
            }
            continue;
        }
        int high = hex_value(text.ptr[i]);
        int low = hex_value(text.ptr[i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        id.bytes[byte++] = (uint8_t)(high << 4 | low);
        i += 2;
    }
    assert(byte == sizeof(id.bytes));
    *ret = id;
    return true;
}

uint64_t uuid_time_ms(uuid id)
{
    return endian_get_be(id.bytes, 6);
}
