/*
 * timer_heap: which timer is due next, for timers that live inside other things.
 *
 * Order:     by due_us; equal ones in no particular order.
 * Threading: owned by one thread; it never reads a clock.
 */
#ifndef SERVICE_NET_TIMER_HEAP_H
#define SERVICE_NET_TIMER_HEAP_H

#include "service/base/base.h"

/* Zero-initialised is disarmed. */
struct timer {
    uint64_t due_us;
    size_t place; /* In the heap, from 1; 0: disarmed. */
    void (*fire)(struct timer *timer);
};

/* Zero-initialised is empty. */
struct timer_heap {
    struct timer **timers;
    size_t count;
    size_t cap;
};

void timer_heap_fini(struct timer_heap *heap); /* Forgets timers that are still armed. */
void timer_heap_arm(struct timer_heap *heap, struct timer *timer, uint64_t due_us);
void timer_heap_disarm(struct timer_heap *heap, struct timer *timer); /* Also if disarmed. */
/* NULL: nothing is armed. */
struct timer *timer_heap_first(const struct timer_heap *heap);

#endif
