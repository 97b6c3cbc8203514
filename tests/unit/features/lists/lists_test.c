/*
 * Goal:   the index of runs that an older release has not written is made, some runs a round, over
 *         failed reads, lost commits and deaths; it is then as if it had been written all along.
 * Method: the real partition; rows of the index are taken out of the store and counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/partition/lone_calls.h"
#include "tests/unit/partition/lone_host.h"

#define START_MS ((uint64_t)1800000000000)

enum {
    RUNS = 1100, /* More than a round looks at. */
    AGAIN_MS = 500,
};

static struct {
    struct lone_partition lone;
    size_t rows; /* Of the index, as it was written at once. */
} bed;

static void begin(size_t runs)
{
    memset(&bed, 0, sizeof(bed));
    lone_init(&bed.lone, START_MS);
    bed.lone.leaves_runs_open = true;
    for (size_t i = 0; i < runs; i++) {
        lone_start(&bed.lone,
                   (struct run_spec){.kind = RUN_KIND_WORKFLOW,
                                     .name = STR("nobody"),
                                     .options = {.user_id = i % 2 == 0 ? STR("u") : STR_EMPTY}});
        if (i % 3 == 0) {
            uuid run;
            (void)lone_children(&bed.lone, (uuid){{0}}, &run, 1);
            lone_cancel(&bed.lone, run);
        }
    }
    bed.rows = lone_rows(&bed.lone, INDEX_RUN);
    lone_stop(&bed.lone);
    lone_drop_rows(&bed.lone, INDEX_RUN, INDEX_RUN_BUILT);
    lone_drop_rows(&bed.lone, INDEX_RUN, INDEX_RUN_TREES_BUILT);
    assert_int_equal(lone_rows(&bed.lone, INDEX_RUN), 0);
    lone_begin(&bed.lone);
}

static void end(void)
{
    assert_int_equal(lone_rows(&bed.lone, INDEX_RUN), bed.rows);
    assert_int_equal(lone_rows(&bed.lone, INDEX_RUN_BUILT), 1);
    assert_int_equal(lone_rows(&bed.lone, INDEX_RUN_TREES_BUILT), 1);
    lone_fini(&bed.lone);
}

static void some_a_round(void **state)
{
    (void)state;
    begin(RUNS);
    partition_round(bed.lone.partition);
    partition_round(bed.lone.partition);
    assert_in_range(lone_rows(&bed.lone, INDEX_RUN), 1, bed.rows - 1);
    lone_stop(&bed.lone); /* In the middle. */
    lone_begin(&bed.lone);
    lone_rounds(&bed.lone);
    end();
}

static void again_after_a_failed_read(void **state)
{
    (void)state;
    begin(5);
    bed.lone.read_failure = CODE_UNAVAILABLE;
    bed.lone.unread = STORE_JOURNAL;
    lone_rounds(&bed.lone);
    bed.lone.read_failure = CODE_OK;
    lone_advance(&bed.lone, START_MS + AGAIN_MS - 1);
    assert_int_equal(lone_rows(&bed.lone, INDEX_RUN), 0);
    lone_advance(&bed.lone, START_MS + AGAIN_MS);
    end();
}

static void again_after_a_lost_commit(void **state)
{
    (void)state;
    begin(5);
    bed.lone.fails_commits = true;
    partition_round(bed.lone.partition);
    bed.lone.fails_commits = false;
    lone_advance(&bed.lone, START_MS + 10 * AGAIN_MS);
    end();
}

/* What was there is not made again. */
static void only_what_is_not_there(void **state)
{
    (void)state;
    begin(3);
    lone_rounds(&bed.lone);
    lone_stop(&bed.lone);
    size_t rows = lone_rows(&bed.lone, INDEX_RUN);
    lone_drop_rows(&bed.lone, INDEX_RUN, INDEX_RUN_BUILT);
    lone_begin(&bed.lone);
    lone_rounds(&bed.lone);
    assert_int_equal(rows, bed.rows);
    /* Of three by their kind and name, of two by their user, of one by its end. */
    assert_int_equal(lone_rows(&bed.lone, INDEX_RUN), 3 + 3 + 2 + 1);
    assert_int_equal(lone_rows(&bed.lone, INDEX_RUN_BUILT), 1);
    lone_fini(&bed.lone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(some_a_round),
        cmocka_unit_test(again_after_a_failed_read),
        cmocka_unit_test(again_after_a_lost_commit),
        cmocka_unit_test(only_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
