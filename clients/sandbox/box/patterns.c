#include "clients/sandbox/box/patterns.h"

#include "clients/sandbox/box/wildcard.h"
#include "service/base/array.h"

struct pattern_way {
    struct wildcard *wildcard;
    bool is_whole; /* About the path, not about a name. */
    size_t skip; /* Bytes of the path from the root that lead to the folder. */
};

static str without_first(str text, size_t len)
{
    return str_make(text.ptr + len, text.len - len);
}

static str last_name(str path)
{
    const char *slash = path.len == 0 ? NULL : memrchr(path.ptr, '/', path.len);
    return slash == NULL ? path : without_first(path, (size_t)(slash - path.ptr) + 1);
}

static status add_way(struct patterns *patterns, const struct place *place, str folder, str text,
                      struct arena *arena)
{
    struct pattern_way way = {.skip = folder.len == 0 ? 0 : folder.len + 1};
    if (str_starts_with(text, STR("/"))) {
        way.skip = 0;
        way.is_whole = true;
        TRY(place_path(place, text, arena, &text));
    }
    while (str_starts_with(text, STR("./"))) {
        text = without_first(text, 2);
        way.is_whole = true;
    }
    while (text.len > 0 && text.ptr[text.len - 1] == '/') {
        text.len--;
    }
    if (text.len == 0) {
        return status_make(CODE_INVALID_ARGUMENT, "A pattern of paths is empty.");
    }
    way.is_whole = way.is_whole || memchr(text.ptr, '/', text.len) != NULL;
    TRY(wildcard_read(text, arena, &way.wildcard));
    patterns->ways = array_reserve_in(arena, patterns->ways, &patterns->capacity,
                                      patterns->count + 1, sizeof patterns->ways[0]);
    patterns->ways[patterns->count++] = way;
    return STATUS_OK;
}

status patterns_add(struct patterns *patterns, const struct place *place, str folder, str text,
                    struct arena *arena)
{
    str *texts;
    size_t count;
    TRY(wildcard_ways(text, arena, &texts, &count));
    for (size_t i = 0; i < count; i++) {
        TRY(add_way(patterns, place, folder, texts[i], arena));
    }
    return STATUS_OK;
}

bool patterns_fit(const struct patterns *patterns, str path)
{
    for (size_t i = 0; i < patterns->count; i++) {
        const struct pattern_way *way = &patterns->ways[i];
        if (way->skip > path.len) {
            continue;
        }
        str judged = way->is_whole ? without_first(path, way->skip) : last_name(path);
        if (wildcard_matches(way->wildcard, judged)) {
            return true;
        }
    }
    return false;
}

bool patterns_fit_some_part(const struct patterns *patterns, str path)
{
    for (size_t len = 0; len < path.len && patterns->count > 0; len++) {
        if (path.ptr[len] == '/' && patterns_fit(patterns, str_make(path.ptr, len))) {
            return true;
        }
    }
    return patterns_fit(patterns, path);
}
