#include "clients/sandbox/box/ignore.h"

#include "clients/sandbox/box/wildcard.h"

enum {
    RULES_MAX = 1000,
};

struct rule {
    struct wildcard *wildcard;
    bool is_exception;
    bool is_for_folders;
    bool is_whole; /* About the path from the file's folder, not about a name anywhere. */
};

struct ignore {
    struct ignore *outer;
    str folder;
    struct rule *rules;
    size_t count;
};

/* Blanks at the end do not count, but for one behind a backslash. */
static str trim_end(str line)
{
    while (line.len > 0 && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    while (line.len > 0 && line.ptr[line.len - 1] == ' ' &&
           !(line.len > 1 && line.ptr[line.len - 2] == '\\')) {
        line.len--;
    }
    return line;
}

/* False: the line says nothing. */
static bool read_rule(str line, struct rule *rule, struct arena *arena)
{
    *rule = (struct rule){0};
    line = trim_end(line);
    if (line.len > 0 && line.ptr[0] == '#') {
        return false;
    }
    if (line.len > 0 && line.ptr[0] == '!') {
        rule->is_exception = true;
        line = str_make(line.ptr + 1, line.len - 1);
    }
    if (line.len > 0 && line.ptr[line.len - 1] == '/') {
        rule->is_for_folders = true;
        line.len--;
    }
    rule->is_whole = line.len > 0 && memchr(line.ptr, '/', line.len) != NULL;
    if (line.len > 0 && line.ptr[0] == '/') {
        line = str_make(line.ptr + 1, line.len - 1);
    }
    return line.len > 0 && status_is_ok(wildcard_read(line, arena, &rule->wildcard));
}

static size_t count_lines(str text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.len && count < RULES_MAX; i++) {
        count += text.ptr[i] == '\n';
    }
    return count;
}

struct ignore *ignore_read(str text, str folder, struct ignore *outer, struct arena *arena)
{
    struct ignore *ignore = arena_zalloc(arena, sizeof *ignore);
    size_t lines = count_lines(text);
    ignore->outer = outer;
    ignore->folder = arena_copy(arena, folder);
    ignore->rules = arena_alloc(arena, lines * sizeof ignore->rules[0]);
    for (size_t i = 0; i < lines; i++) {
        const char *end = text.len == 0 ? NULL : memchr(text.ptr, '\n', text.len);
        size_t len = end == NULL ? text.len : (size_t)(end - text.ptr);
        if (read_rule(str_make(text.ptr, len), &ignore->rules[ignore->count], arena)) {
            ignore->count++;
        }
        text = end == NULL ? STR_EMPTY : str_make(end + 1, text.len - len - 1);
    }
    assert(ignore->count <= lines);
    return ignore;
}

static str last_name(str path)
{
    const char *slash = path.len == 0 ? NULL : memrchr(path.ptr, '/', path.len);
    size_t begin = slash == NULL ? 0 : (size_t)(slash - path.ptr) + 1;
    return str_make(path.ptr + begin, path.len - begin);
}

static bool fits(const struct ignore *ignore, const struct rule *rule, str path, bool is_folder)
{
    if (rule->is_for_folders && !is_folder) {
        return false;
    }
    if (!rule->is_whole) {
        return wildcard_matches(rule->wildcard, last_name(path));
    }
    size_t skip = ignore->folder.len == 0 ? 0 : ignore->folder.len + 1;
    assert(skip <= path.len);
    return wildcard_matches(rule->wildcard, str_make(path.ptr + skip, path.len - skip));
}

bool ignore_has(const struct ignore *ignore, str path, bool is_folder)
{
    for (; ignore != NULL; ignore = ignore->outer) {
        for (size_t i = ignore->count; i > 0; i--) {
            if (fits(ignore, &ignore->rules[i - 1], path, is_folder)) {
                return !ignore->rules[i - 1].is_exception;
            }
        }
    }
    return false;
}
