#include "service/net/http_header.h"

#include <strings.h>
#include <time.h>

static bool same_word(str a, str b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

/* Takes the first line of `lines`, without its end. */
static str take_line(str *lines)
{
    const char *feed = (const char *)memchr(lines->ptr, '\n', lines->len);
    size_t len = feed == NULL ? lines->len : (size_t)(feed - lines->ptr);
    size_t taken = feed == NULL ? len : len + 1;
    str line = str_make(lines->ptr, len);
    assert(len <= taken && taken <= lines->len);
    *lines = str_make(lines->ptr + taken, lines->len - taken);
    return line;
}

bool http_header_get(str lines, str name, str *ret_value)
{
    bool found = false;
    assert(name.len > 0);
    while (lines.len > 0) {
        str line = take_line(&lines);
        const char *colon = line.len == 0 ? NULL : (const char *)memchr(line.ptr, ':', line.len);
        if (colon == NULL) {
            continue;
        }
        size_t name_len = (size_t)(colon - line.ptr);
        if (same_word(str_make(line.ptr, name_len), name)) {
            *ret_value = str_trim(str_make(colon + 1, line.len - name_len - 1));
            found = true;
        }
    }
    return found;
}

bool http_content_type_is(str lines, str type)
{
    str value;
    assert(type.len > 0);
    if (!http_header_get(lines, STR("content-type"), &value) || value.len == 0) {
        return false;
    }
    const char *semicolon = (const char *)memchr(value.ptr, ';', value.len);
    if (semicolon != NULL) {
        value.len = (size_t)(semicolon - value.ptr);
    }
    return same_word(str_trim(value), type);
}

bool http_date_parse(str text, uint64_t *ret_ms)
{
    char copy[64];
    struct tm broken_down = {0};
    if (text.len == 0 || text.len >= sizeof(copy)) {
        return false;
    }
    assert(text.ptr != NULL);
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    const char *rest = strptime(copy, "%a, %d %b %Y %H:%M:%S GMT", &broken_down);
    if (rest == NULL || *rest != '\0') {
        return false;
    }
    time_t seconds = timegm(&broken_down);
    if (seconds < 0) {
        return false;
    }
    *ret_ms = (uint64_t)seconds * 1000;
    return true;
}
