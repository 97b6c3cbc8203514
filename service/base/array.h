/*
 * array: room in arrays that grow.
 *
 * The array, its count and its capacity stay the caller's, so that an element is reached as in any
 * other array. It grows by half: one of hundreds of thousands wastes a third at most.
 */
#ifndef SERVICE_BASE_ARRAY_H
#define SERVICE_BASE_ARRAY_H

#include "service/base/arena.h"
#include "service/base/base.h"

/* The array with room for `count` elements, to be freed with free(). What was in it stays, what is
 * new is not zeroed; the old pointer is dead. An array without room is NULL, its capacity 0. */
[[nodiscard]] void *array_reserve(void *array, size_t *capacity, size_t count,
                                  size_t element_bytes);
/* The same in an arena, where what was outgrown stays until the arena's end; so it doubles. */
[[nodiscard]] void *array_reserve_in(struct arena *arena, void *array, size_t *capacity,
                                     size_t count, size_t element_bytes);

#endif
