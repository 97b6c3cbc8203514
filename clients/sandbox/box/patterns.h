/*
 * patterns: several patterns of paths, of which one has to fit.
 */
#ifndef CLIENTS_SANDBOX_BOX_PATTERNS_H
#define CLIENTS_SANDBOX_BOX_PATTERNS_H

#include "clients/sandbox/box/place.h"

struct pattern_way;

struct patterns {
    struct pattern_way *ways;
    size_t count;
    size_t capacity;
};

/* Adds one, braces written out. One with a slash is about the path from the folder it is searched
 * in (or, when it is absolute, from the root); another is about the name alone. */
status patterns_add(struct patterns *patterns, const struct place *place, str folder, str text,
                    struct arena *arena);
/* `path` is from the root. */
bool patterns_fit(const struct patterns *patterns, str path);
/* As patterns_fit(), of any folder the file is in as well: what leaves out "build" leaves out what
 * is in it. */
bool patterns_fit_some_part(const struct patterns *patterns, str path);

#endif
