#include "clients/sandbox/box/kept.h"

#include <inttypes.h>

#include "service/base/utf8.h"

static const str replacement = {"\xef\xbf\xbd", 3};

void kept_init(struct kept *kept, uint64_t chars_max)
{
    assert(chars_max > 0);
    assert(chars_max <= KEPT_CHARS_MAX);
    *kept = (struct kept){.head_chars_max = chars_max / 5};
    kept->tail_chars_max = chars_max - kept->head_chars_max;
}

void kept_fini(struct kept *kept)
{
    buf_fini(&kept->head);
    buf_fini(&kept->tail);
}

/* Where the last so many characters of a well-formed text begin. */
static size_t last_chars(str text, uint64_t chars)
{
    size_t at = text.len;
    while (at > 0 && chars > 0) {
        at--;
        chars -= ((uint8_t)text.ptr[at] & 0xc0) != 0x80;
    }
    return at;
}

static void drop_from_tail(struct kept *kept)
{
    size_t begin = last_chars(buf_str(&kept->tail), kept->tail_chars_max);
    memmove(kept->tail.ptr, kept->tail.ptr + begin, kept->tail.len - begin);
    kept->tail.len -= begin;
    kept->tail_chars = kept->tail_chars_max;
}

/* One well-formed character. */
static void keep_character(struct kept *kept, str character)
{
    kept->chars++;
    if (kept->head_chars < kept->head_chars_max) {
        kept->head_chars++;
        buf_put(&kept->head, character);
        return;
    }
    kept->tail_chars++;
    buf_put(&kept->tail, character);
    if (kept->tail_chars >= 2 * kept->tail_chars_max) {
        drop_from_tail(kept);
    }
    assert(kept->tail_chars < 2 * kept->tail_chars_max);
}

static bool is_between(char byte, char first, char last)
{
    return byte >= first && byte <= last;
}

/* The length of what begins with ESC and colours text or moves the cursor; 0: it is no such thing;
 * more than text.len: it may become one. */
static size_t control_len(str text)
{
    assert(text.ptr[0] == '\x1b');
    if (text.len == 1) {
        return 2;
    }
    if (text.ptr[1] != '[') {
        return 0;
    }
    size_t at = 2;
    while (at < text.len && is_between(text.ptr[at], ' ', '?')) {
        at++;
    }
    if (at >= KEPT_PENDING_BYTES_MAX) {
        return 0;
    }
    if (at == text.len) {
        return at + 1;
    }
    return is_between(text.ptr[at], '@', '~') ? at + 1 : 0;
}

/* Takes what begins the text; 0: there is too little of it yet, and more may come. */
static size_t take(struct kept *kept, str text, bool is_all, struct buf *shown)
{
    if (text.ptr[0] == '\x1b') {
        size_t len = control_len(text);
        if (len > 0 && len <= text.len) {
            return len;
        }
        if (len > text.len && !is_all) {
            return 0;
        }
    }
    size_t len = utf8_len(text, 0);
    if (len == 0 && !is_all && text.len < 4 && utf8_tail_len(text) == text.len) {
        return 0;
    }
    str character = len > 0 ? str_make(text.ptr, len) : replacement;
    keep_character(kept, character);
    if (shown != NULL) {
        buf_put(shown, character);
    }
    return len > 0 ? len : 1;
}

/* Returns how much of it was taken. */
static size_t take_all(struct kept *kept, str text, bool is_all, struct buf *shown)
{
    size_t at = 0;
    while (at < text.len) {
        size_t len = take(kept, str_make(text.ptr + at, text.len - at), is_all, shown);
        if (len == 0) {
            break;
        }
        at += len;
    }
    return at;
}

void kept_add(struct kept *kept, str bytes, struct buf *shown)
{
    struct buf joined = {0};
    str text = bytes;
    if (kept->pending_len > 0) {
        buf_put(&joined, str_make(kept->pending, kept->pending_len));
        buf_put(&joined, bytes);
        text = buf_str(&joined);
    }
    size_t taken = take_all(kept, text, false, shown);
    kept->pending_len = text.len - taken;
    assert(kept->pending_len <= sizeof kept->pending);
    if (kept->pending_len > 0) {
        memcpy(kept->pending, text.ptr + taken, kept->pending_len);
    }
    buf_fini(&joined);
}

void kept_end(struct kept *kept)
{
    size_t taken = take_all(kept, str_make(kept->pending, kept->pending_len), true, NULL);
    assert(taken == kept->pending_len);
    kept->pending_len -= taken;
}

bool kept_is_cut(const struct kept *kept)
{
    return kept->chars > kept->head_chars_max + kept->tail_chars_max;
}

str kept_text(const struct kept *kept, struct arena *arena)
{
    assert(kept->pending_len == 0);
    struct buf text = {0};
    str tail = buf_str(&kept->tail);
    buf_put(&text, buf_str(&kept->head));
    if (kept_is_cut(kept)) {
        uint64_t omitted = kept->chars - kept->head_chars_max - kept->tail_chars_max;
        size_t begin = last_chars(tail, kept->tail_chars_max);
        buf_printf(&text, "\n\n--- truncated %" PRIu64 " characters ---\n\n", omitted);
        tail = str_make(tail.ptr + begin, tail.len - begin);
    }
    buf_put(&text, tail);
    return buf_finish(&text, arena);
}
