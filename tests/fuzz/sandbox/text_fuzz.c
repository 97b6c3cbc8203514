/*
 * Goal:   patterns, ignore files, edits and outputs of any bytes do what they are to do.
 * Method: the first zero byte parts two texts. A pattern is compared with one that is matched the
 *         plain way, an edit with its own undoing, an output in pieces with itself in one.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "clients/sandbox/box/edit.h"
#include "clients/sandbox/box/ignore.h"
#include "clients/sandbox/box/kept.h"
#include "clients/sandbox/box/wildcard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact, const char *what)
{
    if (!fact) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static str behind(str text, size_t len)
{
    return str_make(text.ptr + len, text.len - len);
}

/* Whether it fits, by trying every way; of patterns of stars and plain bytes only. */
static bool fits_plainly(str pattern, str path)
{
    while (pattern.len > 0 && pattern.ptr[0] != '*') {
        if (path.len == 0 || path.ptr[0] != pattern.ptr[0]) {
            return false;
        }
        pattern = behind(pattern, 1);
        path = behind(path, 1);
    }
    if (pattern.len == 0) {
        return path.len == 0;
    }
    for (size_t len = 0; len <= path.len; len++) {
        if (fits_plainly(behind(pattern, 1), behind(path, len))) {
            return true;
        }
        if (len < path.len && path.ptr[len] == '/') {
            break;
        }
    }
    return false;
}

static bool is_plain(str pattern)
{
    for (size_t i = 0; i < pattern.len; i++) {
        if (strchr("?[\\", pattern.ptr[i]) != NULL || (uint8_t)pattern.ptr[i] >= 0x80) {
            return false;
        }
    }
    return pattern.len <= 12 && memmem(pattern.ptr, pattern.len, "**", 2) == NULL;
}

static void match(str pattern, str path, struct arena *arena)
{
    struct wildcard *wildcard;
    if (!status_is_ok(wildcard_read(pattern, arena, &wildcard))) {
        require(pattern.len > WILDCARD_BYTES_MAX, "only length is refused");
        return;
    }
    bool fits = wildcard_matches(wildcard, path);
    if (pattern.len > 0 && is_plain(pattern) && path.len <= 64) {
        require(fits == fits_plainly(pattern, path), "a pattern is matched as it would be plainly");
    }
}

static void write_braces_out(str pattern, struct arena *arena)
{
    str *ways;
    size_t count;
    if (status_is_ok(wildcard_ways(pattern, arena, &ways, &count))) {
        require(count >= 1 && count <= WILDCARD_WAYS_MAX, "ways have a limit");
    }
}

/* Rules of the root: they may say anything, but the same of the same path. */
static void ignore(str rules, str path, struct arena *arena)
{
    const struct ignore *list = ignore_read(rules, STR_EMPTY, NULL, arena);
    require(ignore_has(list, path, true) == ignore_has(list, path, true), "rules decide");
}

static void edit(str content, str text, struct arena *arena)
{
    static const str other = {"\x01<other>\x02", 9};
    str edited;
    str back;
    if (content.len > 0 && memmem(content.ptr, content.len, other.ptr, 2) != NULL) {
        return;
    }
    if (!status_is_ok(edit_text(content, text, other, STR("f"), arena, &edited))) {
        return;
    }
    require(status_is_ok(edit_text(edited, other, text, STR("f"), arena, &back)), "it is undone");
    require(str_equal(back, content), "and all is as before");
}

static str keep(str text, size_t piece, struct arena *arena)
{
    struct kept kept;
    kept_init(&kept, 50);
    for (size_t at = 0; at < text.len; at += piece) {
        size_t len = text.len - at < piece ? text.len - at : piece;
        kept_add(&kept, str_make(text.ptr + at, len), NULL);
    }
    kept_end(&kept);
    str said = kept_text(&kept, arena);
    kept_fini(&kept);
    return said;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const uint8_t *zero = size == 0 ? NULL : memchr(data, 0, size);
    size_t len = zero == NULL ? size : (size_t)(zero - data);
    str first = str_make(data, len);
    str second = zero == NULL ? str_make("", 0) : str_make(zero + 1, size - len - 1);
    if (size > 4096) {
        return 0;
    }
    arena_init(&arena, 0);
    match(first, second, &arena);
    write_braces_out(first, &arena);
    ignore(first, second, &arena);
    edit(second, first, &arena);
    require(str_equal(keep(second, 1, &arena), keep(second, 4096, &arena)), "pieces make no odds");
    arena_fini(&arena);
    return 0;
}
