#include "service/base/utf8.h"

static bool is_continuation(str text, size_t at)
{
    return at < text.len && ((uint8_t)text.ptr[at] & 0xc0) == 0x80;
}

/* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
static bool is_forbidden_pair(uint8_t first, uint8_t second)
{
    return (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
           (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
}

/* What the first byte promises; 0 for a byte that begins nothing. */
static size_t promised_len(uint8_t first)
{
    if (first < 0x80) {
        return 1;
    }
    if (first < 0xc2 || first > 0xf4) {
        return 0;
    }
    if (first < 0xe0) {
        return 2;
    }
    return first < 0xf0 ? 3 : 4;
}

size_t utf8_len(str text, size_t at)
{
    assert(at < text.len);
    uint8_t first = (uint8_t)text.ptr[at];
    size_t len = promised_len(first);
    for (size_t i = 1; i < len; i++) {
        if (!is_continuation(text, at + i)) {
            return 0;
        }
    }
    if (len > 1 && is_forbidden_pair(first, (uint8_t)text.ptr[at + 1])) {
        return 0;
    }
    return len;
}

/* Where the next eight bytes are not all ASCII, or there are no eight. */
static size_t skip_ascii(str text, size_t at)
{
    uint64_t eight;
    while (at + sizeof(eight) <= text.len) {
        memcpy(&eight, text.ptr + at, sizeof(eight));
        if ((eight & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
        at += sizeof(eight);
    }
    return at;
}

bool utf8_is_valid(str text)
{
    size_t at = skip_ascii(text, 0);
    while (at < text.len) {
        size_t len = utf8_len(text, at);
        if (len == 0) {
            return false;
        }
        at = skip_ascii(text, at + len);
    }
    return true;
}

size_t utf8_tail_len(str text)
{
    for (size_t back = 1; back <= 3 && back <= text.len; back++) {
        uint8_t first = (uint8_t)text.ptr[text.len - back];
        if ((first & 0xc0) == 0x80) {
            continue;
        }
        bool cut = promised_len(first) > back;
        bool hopeless =
            back > 1 && is_forbidden_pair(first, (uint8_t)text.ptr[text.len - back + 1]);
        return cut && !hopeless ? back : 0;
    }
    return 0;
}

size_t utf8_encode(uint32_t character, char ret[4])
{
    assert(ret != NULL);
    if (character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff)) {
        character = 0xfffd;
    }
    if (character < 0x80) {
        ret[0] = (char)character;
        return 1;
    }
    if (character < 0x800) {
        ret[0] = (char)(0xc0 | character >> 6);
        ret[1] = (char)(0x80 | (character & 0x3f));
        return 2;
    }
    if (character < 0x10000) {
        ret[0] = (char)(0xe0 | character >> 12);
        ret[1] = (char)(0x80 | (character >> 6 & 0x3f));
        ret[2] = (char)(0x80 | (character & 0x3f));
        return 3;
    }
    ret[0] = (char)(0xf0 | character >> 18);
    ret[1] = (char)(0x80 | (character >> 12 & 0x3f));
    ret[2] = (char)(0x80 | (character >> 6 & 0x3f));
    ret[3] = (char)(0x80 | (character & 0x3f));
    return 4;
}
