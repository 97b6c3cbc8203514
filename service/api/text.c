#include "service/api/text.h"

#include <time.h>

#include "service/base/buf.h"
#include "service/base/utf8.h"

static bool is_clean(str text)
{
    return text.len == 0 || (memchr(text.ptr, '\0', text.len) == NULL && utf8_is_valid(text));
}

static char *replaced(struct arena *arena, str text)
{
    struct buf buf = {0};
    for (size_t at = 0; at < text.len;) {
        size_t len = utf8_len(text, at);
        if (len == 0 || text.ptr[at] == '\0') {
            buf_put(&buf, STR("\xEF\xBF\xBD"));
            at++;
            continue;
        }
        buf_put(&buf, str_make(text.ptr + at, len));
        at += len;
    }
    char *ret = arena_cstr(arena, buf_str(&buf));
    buf_fini(&buf);
    return ret;
}

char *text_of(struct arena *arena, str text)
{
    assert(text.ptr != NULL || text.len == 0);
    return is_clean(text) ? arena_cstr(arena, text) : replaced(arena, text);
}

str text_cut(struct arena *arena, str text, size_t bytes_max)
{
    if (text.len <= bytes_max) {
        return text;
    }
    str front = str_make(text.ptr, bytes_max);
    front.len -= utf8_tail_len(front);
    return arena_printf(arena, STR_FMT "...", STR_ARG(front));
}

char *text_of_uuid(struct arena *arena, uuid id)
{
    char *ret = arena_alloc(arena, UUID_TEXT_BYTES);
    uuid_format(id, ret);
    return ret;
}

char *text_of_time(struct arena *arena, uint64_t unix_ms)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm parts;
    char text[32] = "";
    if (gmtime_r(&seconds, &parts) != NULL) {
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    }
    return (char *)arena_printf(arena, "%s.%03uZ", text, (unsigned)(unix_ms % 1000)).ptr;
}

char *text_of_hash(struct arena *arena, str hash)
{
    static const char digits[] = "0123456789abcdef";
    char *ret = arena_zalloc(arena, 2 * hash.len + 1);
    for (size_t i = 0; i < hash.len; i++) {
        ret[2 * i] = digits[(uint8_t)hash.ptr[i] >> 4];
        ret[2 * i + 1] = digits[(uint8_t)hash.ptr[i] & 15];
    }
    return ret;
}
