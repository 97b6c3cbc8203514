/*
 * heap: which of the caller's items goes first.
 *
 * Items are small, numbers or pointers, and copied as qsort() copies. The caller keeps the place of
 * each where `moved` tells it, and so can take one out of the middle or say that its order has
 * changed.
 *
 * Invariant: no item goes before the one at the top.
 * Order:     among items of which neither goes before the other, any, but the same each time.
 */
#ifndef SERVICE_BASE_HEAP_H
#define SERVICE_BASE_HEAP_H

#include "service/base/base.h"

enum {
    HEAP_ITEM_BYTES_MAX = 16,
};
#define HEAP_NONE UINT32_MAX /* The place of an item that is in no heap. */

/* What the heap asks about the caller's items, and what it says of them. */
struct heap_order {
    size_t item_bytes;
    bool (*is_before)(const void *context, const void *a, const void *b);
    /* The item is at this place now; HEAP_NONE: it was removed. */
    void (*moved)(void *context, const void *item, uint32_t place);
};

struct heap {
    const struct heap_order *order;
    void *context;
    char *items;
    uint32_t count;
    size_t capacity;
};

/* Empty. `order` is static; `context` is passed to its functions. */
void heap_init(struct heap *heap, const struct heap_order *order, void *context);
void heap_fini(struct heap *heap); /* Forgets the items, without a word. */

void heap_add(struct heap *heap, const void *item); /* One that is not in it. */
void heap_remove(struct heap *heap, uint32_t place);
void heap_update(struct heap *heap, uint32_t place); /* After its order has changed. */

/* Borrowed until the heap next changes. */
const void *heap_at(const struct heap *heap, uint32_t place);
const void *heap_first(const struct heap *heap); /* NULL: it is empty. */

#endif
