/*
 * Goal:   timers ring in order of (due, run), once, and a run has one at most.
 * Method: random arming, moving and removing beside a plain list that is searched from end to end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/partition/timers.h"

enum {
    RUNS = 64,
    ROUNDS = 20000,
};

static uint64_t plain[RUNS]; /* Due; 0: none. */

static uuid run_of(size_t i)
{
    uuid id = {{0}};
    id.bytes[3] = (uint8_t)(i * 37); /* Not in the order of the list. */
    id.bytes[15] = (uint8_t)i;
    return id;
}

static size_t earliest(void)
{
    size_t best = RUNS;
    for (size_t i = 0; i < RUNS; i++) {
        if (plain[i] == 0) {
            continue;
        }
        uuid mine = run_of(i);
        uuid other = run_of(best % RUNS);
        bool is_first = best == RUNS || plain[i] < plain[best] ||
                        (plain[i] == plain[best] && memcmp(&mine, &other, sizeof(mine)) < 0);
        best = is_first ? i : best;
    }
    return best;
}

static size_t count(void)
{
    size_t found = 0;
    for (size_t i = 0; i < RUNS; i++) {
        found += plain[i] != 0;
    }
    return found;
}

static void pop_all_due(struct timers *timers, uint64_t now_ms)
{
    uuid id;
    while (timers_pop_due(timers, now_ms, &id)) {
        size_t first = earliest();
        assert_int_not_equal(first, RUNS);
        assert_true(plain[first] <= now_ms);
        assert_true(uuid_equal(id, run_of(first)));
        plain[first] = 0;
    }
    size_t first = earliest();
    assert_true(first == RUNS || plain[first] > now_ms);
}

static void like_a_plain_list(void **state)
{
    (void)state;
    uint64_t seed = 42;
    struct timers *timers = timers_new();
    for (int round = 0; round < ROUNDS; round++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t i = (seed >> 33) % RUNS;
        uint64_t due_ms = (seed >> 45) % 7 == 0 ? 0 : 1000 + (uint64_t)round + (seed >> 40) % 50;
        plain[i] = due_ms;
        timers_arm(timers, run_of(i), due_ms);
        if (round % 5 == 0) {
            pop_all_due(timers, 1000 + (uint64_t)round);
        }
        size_t first = earliest();
        assert_int_equal(timers_next_ms(timers), first == RUNS ? 0 : plain[first]);
        assert_int_equal(timers_count(timers), count());
    }
    timers_free(timers);
    timers_free(NULL);
}

static void what_was_never_armed_is_removed_in_peace(void **state)
{
    (void)state;
    uuid id;
    struct timers *timers = timers_new();
    timers_arm(timers, run_of(1), 0);
    assert_int_equal(timers_next_ms(timers), 0);
    assert_false(timers_pop_due(timers, UINT64_MAX, &id));
    timers_free(timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_a_plain_list),
        cmocka_unit_test(what_was_never_armed_is_removed_in_peace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
