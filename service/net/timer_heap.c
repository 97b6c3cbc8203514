#include "service/net/timer_heap.h"

#include <stdlib.h>

void timer_heap_fini(struct timer_heap *heap)
{
    free(heap->timers);
    *heap = (struct timer_heap){NULL, 0, 0};
}

/* Places count from 1: the children of n are 2n and 2n+1. */
static void put(struct timer_heap *heap, size_t place, struct timer *timer)
{
    assert(place >= 1 && place <= heap->count);
    heap->timers[place - 1] = timer;
    timer->place = place;
}

static struct timer *at(const struct timer_heap *heap, size_t place)
{
    return heap->timers[place - 1];
}

static void move_up(struct timer_heap *heap, size_t place)
{
    struct timer *timer = at(heap, place);

    while (place > 1 && timer->due_us < at(heap, place / 2)->due_us) {
        put(heap, place, at(heap, place / 2));
        place /= 2;
    }
    put(heap, place, timer);
}

static void move_down(struct timer_heap *heap, size_t place)
{
    struct timer *timer = at(heap, place);

    while (2 * place <= heap->count) {
        size_t child = 2 * place;

        if (child < heap->count && at(heap, child + 1)->due_us < at(heap, child)->due_us) {
            child++;
        }
        if (at(heap, child)->due_us >= timer->due_us) {
            break;
        }
        put(heap, place, at(heap, child));
        place = child;
    }
    put(heap, place, timer);
}

void timer_heap_arm(struct timer_heap *heap, struct timer *timer, uint64_t due_us)
{
    assert(timer->fire != NULL);
    timer_heap_disarm(heap, timer);
    timer->due_us = due_us;
    if (heap->count == heap->cap) {
        heap->cap = heap->cap == 0 ? 64 : heap->cap * 2;
        heap->timers = (struct timer **)xrealloc(heap->timers, heap->cap * sizeof(*heap->timers));
    }
    heap->count++;
    put(heap, heap->count, timer);
    move_up(heap, heap->count);
}

void timer_heap_disarm(struct timer_heap *heap, struct timer *timer)
{
    size_t place = timer->place;

    if (place == 0) {
        return;
    }
    assert(place <= heap->count && at(heap, place) == timer);
    struct timer *last = at(heap, heap->count);

    heap->count--;
    timer->place = 0;
    if (last != timer) {
        put(heap, place, last);
        move_up(heap, place);
        move_down(heap, last->place);
    }
}

struct timer *timer_heap_first(const struct timer_heap *heap)
{
    return heap->count == 0 ? NULL : at(heap, 1);
}
