#include "service/base/array.h"

enum {
    ARRAY_COUNT_MIN = 4,
};

/* Makes the capacity wider and returns the bytes it takes. */
static size_t widen(size_t *capacity, size_t more, size_t count, size_t element_bytes)
{
    size_t wider = *capacity < ARRAY_COUNT_MIN ? ARRAY_COUNT_MIN : *capacity + more;
    size_t bytes;
    assert(element_bytes > 0);
    *capacity = wider < count ? count : wider;
    bool is_too_large = __builtin_mul_overflow(*capacity, element_bytes, &bytes);
    assert(!is_too_large && "sizes are limited at the edges");
    (void)is_too_large;
    return bytes;
}

void *array_reserve(void *array, size_t *capacity, size_t count, size_t element_bytes)
{
    assert((array == NULL) == (*capacity == 0));
    if (count <= *capacity) {
        return array;
    }
    return xrealloc(array, widen(capacity, *capacity / 2, count, element_bytes));
}

void *array_reserve_in(struct arena *arena, void *array, size_t *capacity, size_t count,
                       size_t element_bytes)
{
    size_t before = *capacity;
    assert((array == NULL) == (before == 0));
    if (count <= before) {
        return array;
    }
    void *wider = arena_alloc(arena, widen(capacity, before, count, element_bytes));
    if (before > 0) {
        memcpy(wider, array, before * element_bytes);
    }
    return wider;
}
