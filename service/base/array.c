#include "service/base/array.h"

enum {
    ARRAY_COUNT_MIN = 4,
};

void *array_reserve(void *array, size_t *capacity, size_t count, size_t element_bytes)
{
    assert((array == NULL) == (*capacity == 0));
    assert(element_bytes > 0);
    if (count <= *capacity) {
        return array;
    }
    size_t wider = *capacity < ARRAY_COUNT_MIN ? ARRAY_COUNT_MIN : *capacity + *capacity / 2;
    size_t bytes;

    wider = wider < count ? count : wider;
    bool is_too_large = __builtin_mul_overflow(wider, element_bytes, &bytes);
    assert(!is_too_large && "sizes are limited at the edges");
    (void)is_too_large;
    *capacity = wider;
    return xrealloc(array, bytes);
}
