/*
 * Goal:   a run that only waits holds no memory, and is told the time all the same; so is who waits
 *         for it.
 * Method: the real partition with a clock that jumps to the times it asks for: runs nobody hosts,
 * with deadlines an hour and more away, looked at after they were left alone, over restarts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/failure.h"
#include "service/features/callers/callers.h"
#include "service/features/reports/reports.h"
#include "service/features/starts/starts.h"
#include "service/partition/partition.h"
#include "service/partition/request.h"
#include "tests/unit/partition/lone_partition.h"

enum {
    RUNS = 50,
};

#define START_MS ((uint64_t)1800000000000)
#define MINUTE_MS ((uint64_t)60000)
#define HOUR_MS (60 * MINUTE_MS)

static struct lone_partition *begin(void)
{
    struct lone_partition *lone = calloc(1, sizeof(*lone));
    assert_non_null(lone);
    lone_init(lone, START_MS);
    lone->leaves_runs_open = true;
    return lone;
}

static void end(struct lone_partition *lone)
{
    lone_fini(lone);
    free(lone);
}

static uuid start(struct lone_partition *lone, uint64_t timeout_ms)
{
    struct request *request = request_new(&start_operation);
    start_request(request)->spec =
        (struct run_spec){.kind = RUN_KIND_WORKFLOW, .name = STR("nobody"), .input = STR("null")};
    start_request(request)->spec.options.timeout_ms = timeout_ms;
    lone_ask(lone, request);
    assert_int_equal(lone->failure.code, CODE_OK);
    uuid run = start_request(request)->ret_run;
    request_free(request);
    return run;
}

struct sizes {
    size_t runs;
    size_t timers;
};

static struct sizes sizes(struct lone_partition *lone)
{
    struct partition_stats stats;
    partition_stats(lone->partition, &stats);
    return (struct sizes){stats.runs_in_memory, stats.timers};
}

static void keep_state(struct request *request, const struct failure *failure)
{
    assert_null(failure);
    *(uint8_t *)request->context = report_request(request)->ret->state.state;
    request_free(request);
}

static uint8_t state_of(struct lone_partition *lone, uuid run)
{
    uint8_t state = RUN_NEW;
    struct request *request = request_new(&get_operation);
    request->run = run;
    request->done = keep_state;
    request->context = &state;
    assert_true(partition_post(lone->partition, request));
    (void)partition_round(lone->partition);
    return state;
}

static void waiting_runs_leave_memory(void **state)
{
    (void)state;
    struct lone_partition *lone = begin();
    for (int i = 0; i < RUNS; i++) {
        (void)start(lone, HOUR_MS);
    }
    lone_advance(lone, START_MS + MINUTE_MS);
    assert_int_equal(sizes(lone).runs, 0);
    assert_int_equal(sizes(lone).timers, 0);
    lone_stop(lone);
    lone_begin(lone);
    lone_advance(lone, START_MS + 2 * MINUTE_MS);
    assert_int_equal(sizes(lone).runs, 0);
    assert_int_equal(sizes(lone).timers, 0);
    lone_advance(lone, START_MS + HOUR_MS - 1); /* However near. */
    assert_int_equal(sizes(lone).runs, 0);
    assert_int_equal(sizes(lone).timers, 0);
    end(lone);
}

static void far_deadlines_are_kept_to_the_millisecond(void **state)
{
    (void)state;
    static const uint64_t far_ms[] = {7 * MINUTE_MS, HOUR_MS, 3 * HOUR_MS + 17, 50 * HOUR_MS};
    struct lone_partition *lone = begin();
    uuid runs[COUNT_OF(far_ms)];
    for (size_t i = 0; i < COUNT_OF(far_ms); i++) {
        runs[i] = start(lone, far_ms[i]);
    }
    uint64_t started_ms = lone->now_ms;
    for (size_t i = 0; i < COUNT_OF(far_ms); i++) {
        lone_advance(lone, started_ms + far_ms[i] - 1);
        assert_int_equal(state_of(lone, runs[i]), RUN_LIVE);
        if (i % 2 == 1) { /* What was read into memory is read again. */
            lone_stop(lone);
            lone_begin(lone);
        }
        lone_advance(lone, started_ms + far_ms[i]);
        assert_int_equal(state_of(lone, runs[i]), RUN_FAILED);
    }
    assert_int_equal(sizes(lone).timers, 0);
    end(lone);
}

/* While the server was down. */
static void deadlines_that_passed_are_met_at_once(void **state)
{
    (void)state;
    struct lone_partition *lone = begin();
    uuid run = start(lone, HOUR_MS);
    lone_advance(lone, START_MS + MINUTE_MS);
    lone_stop(lone);
    lone->now_ms += 30 * HOUR_MS;
    lone_begin(lone);
    lone_advance(lone, lone->now_ms);
    assert_int_equal(state_of(lone, run), RUN_FAILED);
    end(lone);
}

struct waiter {
    struct lone_partition *lone;
    uint64_t answered_ms; /* 0: not yet. */
};

static void note_answer(struct request *request, const struct failure *failure)
{
    struct waiter *waiter = request->context;
    assert_null(failure);
    assert_int_equal(waiter->answered_ms, 0);
    waiter->answered_ms = waiter->lone->now_ms;
    request_free(request);
}

static void wait_for(struct waiter *waiter, uuid run, uint64_t ticket, uint64_t timeout_ms)
{
    struct request *request = request_new(&wait_operation);
    request->run = run;
    request->done = note_answer;
    request->context = waiter;
    wait_request(request)->ticket = ticket;
    wait_request(request)->timeout_ms = timeout_ms;
    assert_true(partition_post(waiter->lone->partition, request));
}

/* Nothing else has to happen then. */
static void who_waits_for_a_time_is_answered_on_time(void **state)
{
    (void)state;
    struct lone_partition *lone = begin();
    struct waiter late = {lone, 0};
    struct waiter early = {lone, 0};
    uuid run = start(lone, HOUR_MS);
    wait_for(&late, run, 1, 13003);
    wait_for(&early, run, 2, 7001);
    lone_advance(lone, START_MS + HOUR_MS / 2);
    assert_int_equal(early.answered_ms, START_MS + 7001);
    assert_int_equal(late.answered_ms, START_MS + 13003);
    end(lone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_runs_leave_memory),
        cmocka_unit_test(far_deadlines_are_kept_to_the_millisecond),
        cmocka_unit_test(deadlines_that_passed_are_met_at_once),
        cmocka_unit_test(who_waits_for_a_time_is_answered_on_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
