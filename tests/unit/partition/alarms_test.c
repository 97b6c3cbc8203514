/*
 * Goal:   a run that only waits holds no memory, and is told the time all the same.
 * Method: the real runtime with a clock that jumps to the times it asks for: runs nobody hosts,
 * with deadlines an hour and more away, looked at after they were left alone, over restarts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/partition/partition.h"

enum {
    RUNS = 50,
};

#define START_MS ((uint64_t)1800000000000)
#define MINUTE_MS ((uint64_t)60000)
#define HOUR_MS (60 * MINUTE_MS)

static struct partition *begin(void)
{
    struct partition *partition = calloc(1, sizeof(*partition));
    assert_non_null(partition);
    partition_init(partition, START_MS);
    partition->leaves_runs_open = true;
    return partition;
}

static void end(struct partition *partition)
{
    partition_fini(partition);
    free(partition);
}

static uuid start(struct partition *partition, uint64_t timeout_ms)
{
    struct request *request = request_new(REQUEST_START);
    request->start.spec =
        (struct run_spec){.kind = RUN_KIND_WORKFLOW, .name = STR("nobody"), .input = STR("null")};
    request->start.timeout_ms = timeout_ms;
    partition_ask(partition, request);
    assert_int_equal(partition->failure.code, CODE_OK);
    uuid run = request->start.ret_run;
    request_free(request);
    return run;
}

struct sizes {
    size_t runs;
    size_t timers;
};

static struct sizes sizes(struct partition *partition)
{
    struct partition_stats stats;
    partition_stats(partition->partition, &stats);
    return (struct sizes){stats.runs_in_memory, stats.timers};
}

static void keep_state(struct request *request, const struct failure *failure)
{
    assert_null(failure);
    *(uint8_t *)request->context = request->report.ret->state.state;
    request_free(request);
}

static uint8_t state_of(struct partition *partition, uuid run)
{
    uint8_t state = RUN_NEW;
    struct request *request = request_new(REQUEST_GET);
    request->run = run;
    request->done = keep_state;
    request->context = &state;
    assert_true(partition_post(partition->partition, request));
    (void)partition_round(partition->partition);
    return state;
}

static void waiting_runs_leave_memory(void **state)
{
    (void)state;
    struct partition *partition = begin();
    for (int i = 0; i < RUNS; i++) {
        (void)start(partition, HOUR_MS);
    }
    partition_advance(partition, START_MS + MINUTE_MS);
    assert_int_equal(sizes(partition).runs, 0);
    assert_int_equal(sizes(partition).timers, 0);
    partition_stop(partition);
    partition_begin(partition);
    partition_advance(partition, START_MS + 2 * MINUTE_MS);
    assert_int_equal(sizes(partition).runs, 0);
    assert_int_equal(sizes(partition).timers, 0);
    partition_advance(partition, START_MS + HOUR_MS - 1); /* However near. */
    assert_int_equal(sizes(partition).runs, 0);
    assert_int_equal(sizes(partition).timers, 0);
    end(partition);
}

static void far_deadlines_are_kept_to_the_millisecond(void **state)
{
    (void)state;
    static const uint64_t far_ms[] = {7 * MINUTE_MS, HOUR_MS, 3 * HOUR_MS + 17, 50 * HOUR_MS};
    struct partition *partition = begin();
    uuid runs[COUNT_OF(far_ms)];
    for (size_t i = 0; i < COUNT_OF(far_ms); i++) {
        runs[i] = start(partition, far_ms[i]);
    }
    uint64_t started_ms = partition->now_ms;
    for (size_t i = 0; i < COUNT_OF(far_ms); i++) {
        partition_advance(partition, started_ms + far_ms[i] - 1);
        assert_int_equal(state_of(partition, runs[i]), RUN_ACTING);
        if (i % 2 == 1) { /* What was read into memory is read again. */
            partition_stop(partition);
            partition_begin(partition);
        }
        partition_advance(partition, started_ms + far_ms[i]);
        assert_int_equal(state_of(partition, runs[i]), RUN_FAILED);
    }
    assert_int_equal(sizes(partition).timers, 0);
    end(partition);
}

/* While the server was down. */
static void deadlines_that_passed_are_met_at_once(void **state)
{
    (void)state;
    struct partition *partition = begin();
    uuid run = start(partition, HOUR_MS);
    partition_advance(partition, START_MS + MINUTE_MS);
    partition_stop(partition);
    partition->now_ms += 30 * HOUR_MS;
    partition_begin(partition);
    partition_advance(partition, partition->now_ms);
    assert_int_equal(state_of(partition, run), RUN_FAILED);
    end(partition);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_runs_leave_memory),
        cmocka_unit_test(far_deadlines_are_kept_to_the_millisecond),
        cmocka_unit_test(deadlines_that_passed_are_met_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
