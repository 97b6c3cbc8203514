#include "service/base/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum {
    GROUP_BYTES = 3,
    GROUP_CHARS = 4,
    DIGIT_BITS = 6,
    DIGIT_MASK = 63,
};

void base64_encode(str bytes, struct buf *ret)
{
    for (size_t at = 0; at < bytes.len; at += GROUP_BYTES) {
        size_t count = bytes.len - at < GROUP_BYTES ? bytes.len - at : GROUP_BYTES;
        uint32_t group = 0;
        for (size_t i = 0; i < GROUP_BYTES; i++) {
            group = group << 8 | (i < count ? (unsigned char)bytes.ptr[at + i] : 0);
        }
        for (size_t i = 0; i < GROUP_CHARS; i++) {
            uint32_t digit = group >> (DIGIT_BITS * (GROUP_CHARS - 1 - i)) & DIGIT_MASK;
            buf_put_char(ret, i <= count ? digits[digit] : '=');
        }
    }
}

/* -1: it is no digit. */
static int digit_of(char byte)
{
    const char *found = byte == '\0' ? NULL : strchr(digits, byte);
    return found == NULL ? -1 : (int)(found - digits);
}

/* Four characters, of which the last `padding` are '='. */
static bool decode_group(const char *text, size_t padding, struct buf *ret)
{
    uint32_t group = 0;
    assert(padding < GROUP_BYTES);
    for (size_t i = 0; i < GROUP_CHARS; i++) {
        int digit = i < GROUP_CHARS - padding ? digit_of(text[i]) : 0;
        if (digit < 0) {
            return false;
        }
        group = group << DIGIT_BITS | (uint32_t)digit;
    }
    if ((group & ((1U << (8 * padding)) - 1)) != 0) {
        return false;
    }
    for (size_t i = 0; ret != NULL && i < GROUP_BYTES - padding; i++) {
        buf_put_char(ret, (char)(group >> (8 * (GROUP_BYTES - 1 - i)) & 0xff));
    }
    return true;
}

bool base64_decode(str text, struct buf *ret)
{
    if (text.len % GROUP_CHARS != 0) {
        return false;
    }
    for (size_t at = 0; at < text.len; at += GROUP_CHARS) {
        const char *group = text.ptr + at;
        bool is_last = at + GROUP_CHARS == text.len;
        size_t padding = !is_last || group[3] != '=' ? 0 : group[2] != '=' ? 1 : 2;
        if (!decode_group(group, padding, ret)) {
            return false;
        }
    }
    return true;
}
