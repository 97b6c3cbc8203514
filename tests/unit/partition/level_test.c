/*
 * Goal:   a store says of what level it is, from the commit on that first holds something new.
 * Method: the real partition: what it puts among the index rows raises the level of its store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/codec/level.h"
#include "tests/unit/partition/lone_partition.h"

#define START_MS ((uint64_t)1800000000000)

static uint32_t level_of(const struct lone_partition *lone)
{
    struct store_stats stats;
    store_stats(&lone->store, &stats);
    return stats.level;
}

static void levels_of_rows(void **state)
{
    (void)state;
    assert_int_equal(level_of_index(INDEX_CHILD), LEVEL_FIRST);
    assert_int_equal(level_of_index(INDEX_OWED), LEVEL_OWED);
    assert_int_equal(level_of_index(INDEX_TREE), LEVEL_OWED);
    assert_int_equal(level_of_index(255), LEVEL_NEWEST);
    for (int kind = EVENT_RUN_STARTED; kind < EVENT_COUNT; kind++) {
        assert_in_range(level_of_event((enum event_kind)kind), LEVEL_FIRST, LEVEL_NEWEST);
    }
}

/* The row that says that all runs have their rows of trees is of this level. */
static void the_commit_raises_it(void **state)
{
    (void)state;
    struct lone_partition *lone = calloc(1, sizeof(*lone));
    assert_non_null(lone);
    lone_init(lone, START_MS);
    assert_int_equal(level_of(lone), LEVEL_FIRST);
    lone_advance(lone, START_MS + 1000);
    assert_int_equal(level_of(lone), LEVEL_LISTED);
    lone_fini(lone);
    free(lone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_of_rows),
        cmocka_unit_test(the_commit_raises_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
