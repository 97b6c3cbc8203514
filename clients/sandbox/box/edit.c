#include "clients/sandbox/box/edit.h"

#include "service/base/buf.h"

/* How often it stands there; from two on whoever asks needs to know no more than a line each. */
static size_t find_all(str content, str text, size_t *ret_first)
{
    size_t count = 0;
    size_t at = 0;
    while (at < content.len) {
        const char *found = memmem(content.ptr + at, content.len - at, text.ptr, text.len);
        if (found == NULL) {
            break;
        }
        size_t place = (size_t)(found - content.ptr);
        if (count == 0) {
            *ret_first = place;
        }
        count++;
        at = place + 1;
    }
    return count;
}

status edit_text(str content, str old_text, str new_text, str path, struct arena *arena, str *ret)
{
    size_t place = 0;
    if (old_text.len == 0) {
        return status_make(CODE_INVALID_ARGUMENT,
                           "old_text is empty: it has to be a text that stands in the file.");
    }
    size_t count = find_all(content, old_text, &place);
    if (count == 0) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "old_text not found in " STR_FMT ". Make sure the text matches exactly, "
                          "including whitespace and indentation.",
                          STR_ARG(path));
    }
    if (count > 1) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "old_text stands %zu times in " STR_FMT ". Give more of the text around "
                          "it, so that it stands there once.",
                          count, STR_ARG(path));
    }
    struct buf edited = {0};
    size_t behind = place + old_text.len;
    buf_put(&edited, str_make(content.ptr, place));
    buf_put(&edited, new_text);
    buf_put(&edited, str_make(content.ptr + behind, content.len - behind));
    *ret = buf_finish(&edited, arena);
    return STATUS_OK;
}
