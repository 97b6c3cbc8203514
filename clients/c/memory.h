/*
 * memory: allocation that cannot fail; where there is none left, the process ends.
 */
#ifndef CLIENTS_C_MEMORY_H
#define CLIENTS_C_MEMORY_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static inline void *memory_zeroed(size_t count, size_t bytes)
{
    void *memory = calloc(count == 0 ? 1 : count, bytes);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static inline char *memory_copy(const char *text)
{
    char *copy = strdup(text == NULL ? "" : text);
    if (copy == NULL) {
        abort();
    }
    return copy;
}

/* An array with room for one more; grows by doubling. */
static inline void *memory_grown(void *array, size_t count, size_t bytes)
{
    if (count > 0 && (count & (count - 1)) != 0) {
        return array;
    }
    void *grown = reallocarray(array, count == 0 ? 1 : 2 * count, bytes);
    if (grown == NULL) {
        abort();
    }
    return grown;
}

#define memory_owner(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
