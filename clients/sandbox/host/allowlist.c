#include "clients/sandbox/host/allowlist.h"

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* Takes the next word; empty: there is none. */
static str take(str *pattern)
{
    while (pattern->len > 0 && is_blank(pattern->ptr[0])) {
        *pattern = str_make(pattern->ptr + 1, pattern->len - 1);
    }
    str word = str_make(pattern->ptr, 0);
    while (word.len < pattern->len && !is_blank(pattern->ptr[word.len])) {
        word.len++;
    }
    *pattern = str_make(pattern->ptr + word.len, pattern->len - word.len);
    return word;
}

/* Only stars mean something. Goes back to the last star only, which is enough. */
static bool word_fits(str pattern, str word)
{
    size_t at = 0;
    size_t next = 0;
    size_t star = SIZE_MAX;
    size_t begun = 0; /* Where what the star stands for ends. */
    while (at < word.len) {
        if (next < pattern.len && pattern.ptr[next] == '*') {
            star = next++;
            begun = at;
        } else if (next < pattern.len && pattern.ptr[next] == word.ptr[at]) {
            next++;
            at++;
        } else if (star != SIZE_MAX) {
            next = star + 1;
            at = ++begun;
        } else {
            return false;
        }
    }
    while (next < pattern.len && pattern.ptr[next] == '*') {
        next++;
    }
    return next == pattern.len;
}

static bool pattern_fits(str pattern, const struct words *words)
{
    str last = STR_EMPTY;
    size_t i = 0;
    for (str word = take(&pattern); word.len > 0; word = take(&pattern)) {
        if (i == words->count || !word_fits(word, words->items[i])) {
            return false;
        }
        last = word;
        i++;
    }
    return i > 0 && (i == words->count || str_is(last, "*"));
}

bool allowlist_has(const str *patterns, size_t count, const struct words *words)
{
    assert(words->count > 0);
    for (size_t i = 0; i < count; i++) {
        if (pattern_fits(patterns[i], words)) {
            return true;
        }
    }
    return false;
}
