#include "service/base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "service/base/endian.h"

enum {
    BUF_BYTES_MIN = 64,
};

void buf_fini(struct buf *buf)
{
    free(buf->ptr);
    *buf = (struct buf){NULL, 0, 0};
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
}

str buf_finish(struct buf *buf, struct arena *arena)
{
    str written = arena_copy(arena, buf_str(buf));
    buf_fini(buf);
    return written;
}

void buf_reserve(struct buf *buf, size_t more)
{
    assert(buf->len <= buf->cap);
    assert(more <= SIZE_MAX / 4 && buf->len <= SIZE_MAX / 4);
    size_t need = buf->len + more;
    if (need <= buf->cap) {
        return;
    }
    size_t cap = buf->cap < BUF_BYTES_MIN ? BUF_BYTES_MIN : buf->cap * 2;
    buf->cap = cap < need ? need : cap;
    buf->ptr = xrealloc(buf->ptr, buf->cap);
}

void buf_put(struct buf *buf, str bytes)
{
    if (bytes.len == 0) {
        return;
    }
    buf_reserve(buf, bytes.len);
    memcpy(buf->ptr + buf->len, bytes.ptr, bytes.len);
    buf->len += bytes.len;
}

void buf_put_char(struct buf *buf, char byte)
{
    buf_reserve(buf, 1);
    buf->ptr[buf->len++] = byte;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_list again;
    assert(format != NULL);
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);
    buf_reserve(buf, (size_t)len + 1);
    vsnprintf(buf->ptr + buf->len, (size_t)len + 1, format, again);
    va_end(again);
    buf->len += (size_t)len;
}

static bool is_continuation(str text, size_t at)
{
    return at < text.len && ((uint8_t)text.ptr[at] & 0xc0) == 0x80;
}

/* The length of the well-formed UTF-8 sequence at `at`, or 0. */
static size_t utf8_len(str text, size_t at)
{
    uint8_t first = (uint8_t)text.ptr[at];
    uint8_t second = at + 1 < text.len ? (uint8_t)text.ptr[at + 1] : 0;
    if (first < 0x80) {
        return 1;
    }
    if (first < 0xc2 || first > 0xf4 || !is_continuation(text, at + 1)) {
        return 0;
    }
    if (first < 0xe0) {
        return 2;
    }
    /* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
        return 0;
    }
    if (!is_continuation(text, at + 2)) {
        return 0;
    }
    if (first < 0xf0) {
        return 3;
    }
    return is_continuation(text, at + 3) ? 4 : 0;
}

/* The letter after the backslash for bytes that have a short escape, or 0. */
static char short_escape(char byte)
{
    switch (byte) {
    case '"':
    case '\\':
        return byte;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return '\0';
    }
}

static bool is_plain(char byte)
{
    uint8_t value = (uint8_t)byte;
    return value >= 0x20 && value < 0x80 && value != '"' && value != '\\';
}

static size_t put_json_special(struct buf *buf, str text, size_t at)
{
    size_t len = utf8_len(text, at);
    char escape = short_escape(text.ptr[at]);
    if (len == 0) {
        buf_put(buf, STR("\xef\xbf\xbd"));
        return 1;
    }
    if (len > 1) {
        buf_put(buf, (str){text.ptr + at, len});
        return len;
    }
    if (escape != '\0') {
        buf_put_char(buf, '\\');
        buf_put_char(buf, escape);
        return 1;
    }
    buf_printf(buf, "\\u%04x", (unsigned)(uint8_t)text.ptr[at]);
    return 1;
}

void buf_put_json_string(struct buf *buf, str text)
{
    size_t at = 0;
    buf_reserve(buf, text.len + 2);
    buf_put_char(buf, '"');
    while (at < text.len) {
        size_t start = at;
        while (at < text.len && is_plain(text.ptr[at])) {
            at++;
        }
        buf_put(buf, (str){text.ptr + start, at - start});
        if (at < text.len) {
            at += put_json_special(buf, text, at);
        }
    }
    buf_put_char(buf, '"');
    assert(at == text.len);
}

static void put_le(struct buf *buf, uint64_t value, size_t bytes)
{
    buf_reserve(buf, bytes);
    endian_put_le(buf->ptr + buf->len, value, bytes);
    buf->len += bytes;
}

void buf_put_u16_le(struct buf *buf, uint16_t value)
{
    put_le(buf, value, sizeof(value));
}

void buf_put_u32_le(struct buf *buf, uint32_t value)
{
    put_le(buf, value, sizeof(value));
}

void buf_put_u64_le(struct buf *buf, uint64_t value)
{
    put_le(buf, value, sizeof(value));
}

void buf_put_counted(struct buf *buf, str text)
{
    buf_put_u64_le(buf, text.len);
    buf_put(buf, text);
}
