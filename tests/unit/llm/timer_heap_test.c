/*
 * Goal:   timers come out in the order they are due, whatever is armed, armed again and disarmed.
 * Method: random operations beside a plain array that is searched for its least.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/net/timer_heap.h"

enum {
    TIMERS = 100,
    STEPS = 20000,
};

static void never(struct timer *timer)
{
    (void)timer;
    fail();
}

static void check_first(const struct timer_heap *heap, const struct timer *timers)
{
    uint64_t least = UINT64_MAX;
    size_t armed = 0;

    for (size_t i = 0; i < TIMERS; i++) {
        if (timers[i].place != 0) {
            armed++;
            least = timers[i].due_us < least ? timers[i].due_us : least;
        }
    }
    assert_int_equal(heap->count, armed);
    if (armed > 0) {
        assert_true(timer_heap_first(heap)->due_us == least);
    } else {
        assert_null(timer_heap_first(heap));
    }
}

static void test_random_operations(void **state)
{
    struct timer timers[TIMERS] = {0};
    struct timer_heap heap = {0};
    uint64_t seed = 1;

    (void)state;
    for (size_t step = 0; step < STEPS; step++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        struct timer *timer = &timers[(seed >> 33) % TIMERS];

        timer->fire = never;
        if ((seed >> 60) < 9) {
            timer_heap_arm(&heap, timer, (seed >> 20) % 1000);
        } else {
            timer_heap_disarm(&heap, timer);
        }
        check_first(&heap, timers);
    }
    timer_heap_fini(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
