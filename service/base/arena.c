#include "service/base/arena.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ARENA_ALIGN = 16,
    /* Blocks double up to this size, and a bigger one is not kept by a reset. */
    ARENA_BLOCK_KEEP_BYTES = 65536,
};

struct arena_block {
    struct arena_block *next;
    size_t bytes; /* With this header. */
};
static_assert(sizeof(struct arena_block) % ARENA_ALIGN == 0, "payload would be misaligned");

void arena_init(struct arena *arena, size_t bytes_max)
{
    *arena = (struct arena){.bytes_max = bytes_max};
}

void arena_init_bounded(struct arena *arena, size_t bytes_max)
{
    assert(bytes_max > 0);
    *arena = (struct arena){.bytes_max = bytes_max, .is_bounded = true};
}

void arena_init_small(struct arena *arena)
{
    *arena = (struct arena){.is_small = true};
}

status arena_check(const struct arena *arena)
{
    return arena->is_bounded && arena->bytes > arena->bytes_max
               ? status_make(CODE_RESOURCE_EXHAUSTED, "this takes more memory than one request may")
               : STATUS_OK;
}

static void use_block(struct arena *arena, struct arena_block *block)
{
    arena->cursor = (char *)block + sizeof(*block);
    arena->end = (char *)block + block->bytes;
}

void arena_fini(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    *arena = (struct arena){.bytes_max = arena->bytes_max,
                            .is_bounded = arena->is_bounded,
                            .is_small = arena->is_small};
}

void arena_reset(struct arena *arena)
{
    struct arena_block *keep = NULL;
    for (struct arena_block *block = arena->blocks, *next; block != NULL; block = next) {
        next = block->next;
        if (block->bytes > ARENA_BLOCK_KEEP_BYTES) {
            free(block);
        } else if (keep == NULL || keep->bytes < block->bytes) {
            free(keep);
            keep = block;
        } else {
            free(block);
        }
    }
    *arena = (struct arena){.bytes_max = arena->bytes_max,
                            .is_bounded = arena->is_bounded,
                            .is_small = arena->is_small,
                            .blocks = keep};
    if (keep != NULL) {
        keep->next = NULL;
        arena->bytes = keep->bytes;
        use_block(arena, keep);
    }
}

static void grow(struct arena *arena, size_t bytes)
{
    size_t bytes_max = arena->bytes_max == 0 ? ARENA_BYTES_MAX : arena->bytes_max;
    size_t first_bytes = arena->is_small ? ARENA_SMALL_BLOCK_BYTES : ARENA_BLOCK_BYTES;
    size_t block_bytes = arena->blocks == NULL ? first_bytes : 2 * arena->blocks->bytes;
    if (block_bytes > ARENA_BLOCK_KEEP_BYTES) {
        block_bytes = ARENA_BLOCK_KEEP_BYTES;
    }
    if (block_bytes < bytes + sizeof(struct arena_block)) {
        block_bytes = bytes + sizeof(struct arena_block);
    }
    assert((arena->is_bounded || arena->bytes + bytes <= bytes_max) &&
           "arena limit: a size was not limited at the edge");
    struct arena_block *block = xmalloc(block_bytes);
    *block = (struct arena_block){.next = arena->blocks, .bytes = block_bytes};
    arena->blocks = block;
    arena->bytes += block_bytes;
    use_block(arena, block);
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    assert(bytes <= ARENA_BYTES_MAX);
    size_t rounded = (bytes + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (arena->cursor == NULL || (size_t)(arena->end - arena->cursor) < rounded) {
        grow(arena, rounded);
    }
    void *memory = arena->cursor;
    arena->cursor += rounded;
    assert(arena->cursor <= arena->end);
    return memory;
}

void *arena_zalloc(struct arena *arena, size_t bytes)
{
    return memset(arena_alloc(arena, bytes), 0, bytes);
}

char *arena_cstr(struct arena *arena, str text)
{
    char *copy = arena_alloc(arena, text.len + 1);
    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    copy[text.len] = '\0';
    return copy;
}

str arena_copy(struct arena *arena, str text)
{
    return (str){arena_cstr(arena, text), text.len};
}

__attribute__((format(printf, 2, 0))) static str print(struct arena *arena, const char *format,
                                                       va_list args)
{
    va_list again;
    assert(format != NULL);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    assert(len >= 0);
    char *text = arena_alloc(arena, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return (str){text, (size_t)len};
}

str arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    str text = print(arena, format, args);
    va_end(args);
    return text;
}

status arena_fail(struct arena *arena, enum code code, const char *format, ...)
{
    assert(code != CODE_OK);
    va_list args;
    va_start(args, format);
    str why = print(arena, format, args);
    va_end(args);
    return status_make(code, why.ptr);
}
