/*
 * arena: memory that lives as long as one step, reset at its end.
 *
 * Nothing is freed piecemeal. A request over the arena's limit is a bug, since sizes are
 * limited at the edges, and aborts. Where they are not, as in what a store holds, the arena is
 * bounded: it gives what is asked for, and says that it is over its limit to whoever asks between
 * two pieces of work.
 */
#ifndef SERVICE_BASE_ARENA_H
#define SERVICE_BASE_ARENA_H

#include "service/base/base.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* Newest first. */
    char *cursor;
    char *end;
    size_t bytes; /* Held in blocks. */
    size_t bytes_max; /* 0: ARENA_BYTES_MAX. */
    bool is_bounded; /* Passing the limit is no bug: see arena_check(). */
    bool is_small; /* See arena_init_small(). */
};

enum {
    ARENA_BLOCK_BYTES = 8192,
    ARENA_SMALL_BLOCK_BYTES = 1024,
};
#define ARENA_BYTES_MAX ((size_t)256 << 20)

/* Of at most bytes_max bytes; 0: ARENA_BYTES_MAX. What needs more aborts. */
void arena_init(struct arena *arena, size_t bytes_max);
/* One whose limit may be passed. bytes_max: not 0. */
void arena_init_bounded(struct arena *arena, size_t bytes_max);
/* As arena_init(), for one of very many, most of which hold next to nothing: its first block is
 * small. */
void arena_init_small(struct arena *arena);
/* RESOURCE_EXHAUSTED: a bounded arena is over its limit. To be asked before each piece of work of a
 * size that is known, so that no more than one piece lies over it. */
status arena_check(const struct arena *arena);
void arena_fini(struct arena *arena); /* Frees everything. */
void arena_reset(struct arena *arena); /* Keeps one block for the next step. */

void *arena_alloc(struct arena *arena, size_t bytes); /* 16-byte aligned, not zeroed. */
void *arena_zalloc(struct arena *arena, size_t bytes); /* Zeroed. */
str arena_copy(struct arena *arena, str text); /* NUL follows the copy. */
char *arena_cstr(struct arena *arena, str text); /* A NUL-terminated copy. */
str arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* NUL follows the text. */
/* A failure whose sentence lives in the arena. */
status arena_fail(struct arena *arena, enum code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
