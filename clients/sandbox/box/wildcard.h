/*
 * wildcard: patterns of paths, as shells and ignore files write them.
 *
 *     *  any characters but a slash     **  any at all; between slashes: any folders, none too
 *     ?  one character but a slash      [a-z] [!a-z]  one of these, one of the others
 *
 * A backslash takes the meaning from what follows. All ways through a pattern are followed side by
 * side: a match costs at most the length of the path times that of the pattern.
 */
#ifndef CLIENTS_SANDBOX_BOX_WILDCARD_H
#define CLIENTS_SANDBOX_BOX_WILDCARD_H

#include "service/base/arena.h"

enum {
    WILDCARD_BYTES_MAX = 1024,
    WILDCARD_WAYS_MAX = 64, /* That braces may stand for. */
};

struct wildcard;

/* INVALID_ARGUMENT: it is too long. A bracket that is not closed stands for itself. The pattern
 * lives as long as the arena, and needs its text no more. */
status wildcard_read(str text, struct arena *arena, struct wildcard **ret);
/* All of the path, not a part of it. */
bool wildcard_matches(const struct wildcard *wildcard, str path);
/* Writes braces out: "a.{c,h}" gives two texts. INVALID_ARGUMENT: they stand for too many; braces
 * that are not closed stand for themselves. */
status wildcard_ways(str text, struct arena *arena, str **ret, size_t *ret_count);

#endif
