/*
 * words: a command line as the words a shell would make of it, if it would do no more than that.
 *
 * Quotes are understood and taken off. Everything else that means something to a shell (pipes,
 * substitutions, patterns, redirections, assignments) is found and named, not understood: then
 * there are no words. What has words can be run without a shell and does the same.
 */
#ifndef CLIENTS_SANDBOX_HOST_WORDS_H
#define CLIENTS_SANDBOX_HOST_WORDS_H

#include "service/base/arena.h"

enum {
    WORDS_COUNT_MAX = 256,
    WORDS_BYTES_MAX = 64 << 10,
};

struct words {
    str *items; /* At least one; none holds a NUL. */
    size_t count;
};

/* FAILED_PRECONDITION: it takes a shell, with the reason. Words live in the arena. */
status words_split(str command, struct arena *arena, struct words *ret);

#endif
