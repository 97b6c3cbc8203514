#include "service/base/heap.h"

#include <stdlib.h>

#include "service/base/array.h"

void heap_init(struct heap *heap, const struct heap_order *order, void *context)
{
    assert(order->is_before != NULL && order->moved != NULL);
    assert(order->item_bytes > 0 && order->item_bytes <= HEAP_ITEM_BYTES_MAX);
    *heap = (struct heap){.order = order, .context = context};
}

void heap_fini(struct heap *heap)
{
    free(heap->items);
    *heap = (struct heap){.order = heap->order, .context = heap->context};
}

const void *heap_at(const struct heap *heap, uint32_t place)
{
    assert(place < heap->count);
    return heap->items + place * heap->order->item_bytes;
}

const void *heap_first(const struct heap *heap)
{
    return heap->count == 0 ? NULL : heap_at(heap, 0);
}

static bool is_before(const struct heap *heap, const void *a, const void *b)
{
    return heap->order->is_before(heap->context, a, b);
}

static void put(struct heap *heap, uint32_t place, const void *item)
{
    memcpy(heap->items + place * heap->order->item_bytes, item, heap->order->item_bytes);
    heap->order->moved(heap->context, item, place);
}

/* The place is free; returns the one above it at which the item may stand. */
static uint32_t make_way_up(struct heap *heap, uint32_t place, const void *item)
{
    while (place > 0 && is_before(heap, item, heap_at(heap, (place - 1) / 2))) {
        put(heap, place, heap_at(heap, (place - 1) / 2));
        place = (place - 1) / 2;
    }
    return place;
}

/* The same below it. */
static uint32_t make_way_down(struct heap *heap, uint32_t place, const void *item)
{
    for (;;) {
        uint64_t left = 2 * (uint64_t)place + 1;
        if (left >= heap->count) {
            return place;
        }
        uint32_t child = (uint32_t)left;
        if (child + 1 < heap->count &&
            is_before(heap, heap_at(heap, child + 1), heap_at(heap, child))) {
            child++;
        }
        if (!is_before(heap, heap_at(heap, child), item)) {
            return place;
        }
        put(heap, place, heap_at(heap, child));
        place = child;
    }
}

static void settle(struct heap *heap, uint32_t place, const void *item)
{
    char copy[HEAP_ITEM_BYTES_MAX]; /* What the item points to is overwritten. */
    memcpy(copy, item, heap->order->item_bytes);
    uint32_t free_place = make_way_up(heap, place, copy);
    if (free_place == place) {
        free_place = make_way_down(heap, place, copy);
    }
    put(heap, free_place, copy);
}

void heap_add(struct heap *heap, const void *item)
{
    assert(heap->count < HEAP_NONE);
    heap->items = array_reserve(heap->items, &heap->capacity, (size_t)heap->count + 1,
                                heap->order->item_bytes);
    heap->count++;
    settle(heap, heap->count - 1, item);
}

void heap_remove(struct heap *heap, uint32_t place)
{
    char removed[HEAP_ITEM_BYTES_MAX];
    memcpy(removed, heap_at(heap, place), heap->order->item_bytes);
    const void *last = heap_at(heap, heap->count - 1);
    heap->count--;
    if (place < heap->count) {
        settle(heap, place, last);
    }
    heap->order->moved(heap->context, removed, HEAP_NONE);
}

void heap_update(struct heap *heap, uint32_t place)
{
    settle(heap, place, heap_at(heap, place));
}
