/*
 * Goal:   who waits for a run's end is answered when it has ended, when the time is up, or when the
 *         caller is gone: once, and never before the end is on disk.
 * Method: the real partition with a clock that jumps; several callers of one run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/features/callers/callers.h"
#include "service/features/models/models.h"
#include "tests/unit/partition/lone_calls.h"
#include "tests/unit/partition/lone_host.h"

#define START_MS ((uint64_t)1800000000000)

enum {
    CALLERS = 4,
    SECOND_MS = 1000,
};

enum told {
    TOLD_NOTHING,
    TOLD_END,
    TOLD_TIME, /* The run as it is. */
    TOLD_FAILURE,
};

static struct {
    struct lone_partition lone;
    struct lone_host host;
    uuid run;
    enum told told[CALLERS];
    enum reason reason;
    enum code code;
} bed;

static const char *const offers[] = {"workflow:flow", NULL};

static void begin(void)
{
    memset(&bed, 0, sizeof(bed));
    lone_init(&bed.lone, START_MS);
    bed.lone.leaves_runs_open = true;
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    bed.run = lone_start_flow(&bed.lone, "flow");
}

static void end(void)
{
    lone_fini(&bed.lone);
    lone_host_fini(&bed.host);
}

static void take(struct request *request, const struct failure *failure)
{
    enum told *told = request->context;
    assert_int_equal(*told, TOLD_NOTHING); /* Once. */
    if (failure != NULL) {
        *told = TOLD_FAILURE;
        bed.reason = failure->reason;
        bed.code = failure->code;
    } else {
        bool has_ended = engine_is_terminal(&report_request(request)->ret->state);
        *told = has_ended ? TOLD_END : TOLD_TIME;
    }
    request_free(request);
}

static void wait_for(size_t caller, uuid run, uint64_t timeout_ms)
{
    struct request *request = request_new(&wait_operation);
    request->run = run;
    request->done = take;
    request->context = &bed.told[caller];
    wait_request(request)->ticket = caller + 1;
    wait_request(request)->timeout_ms = timeout_ms;
    assert_true(partition_post(bed.lone.partition, request));
    lone_rounds(&bed.lone);
}

static void forget(size_t caller)
{
    struct request *request = request_new(&forget_operation);
    request->run = bed.run;
    forget_request(request)->ticket = caller + 1;
    lone_ask(&bed.lone, request);
    request_free(request);
}

static void expect(enum told a, enum told b, enum told c, enum told d)
{
    const enum told expected[CALLERS] = {a, b, c, d};
    for (size_t i = 0; i < CALLERS; i++) {
        assert_int_equal(bed.told[i], expected[i]);
    }
}

static void all_are_told_the_end(void **state)
{
    (void)state;
    begin();
    wait_for(0, bed.run, 0);
    wait_for(1, bed.run, SECOND_MS);
    expect(TOLD_NOTHING, TOLD_NOTHING, TOLD_NOTHING, TOLD_NOTHING);
    lone_host_done(&bed.host, lone_host_task(&bed.host), "1");
    expect(TOLD_END, TOLD_END, TOLD_NOTHING, TOLD_NOTHING);
    wait_for(2, bed.run, SECOND_MS); /* It has ended. */
    expect(TOLD_END, TOLD_END, TOLD_END, TOLD_NOTHING);
    wait_for(3, (uuid){{1}}, 0);
    expect(TOLD_END, TOLD_END, TOLD_END, TOLD_FAILURE);
    assert_int_equal(bed.reason, REASON_RUN_NOT_FOUND);
    end();
}

static void each_has_its_time(void **state)
{
    (void)state;
    begin();
    wait_for(0, bed.run, 3 * SECOND_MS);
    wait_for(1, bed.run, SECOND_MS);
    wait_for(2, bed.run, 2 * SECOND_MS);
    wait_for(3, bed.run, 0);
    lone_advance(&bed.lone, START_MS + SECOND_MS - 1);
    expect(TOLD_NOTHING, TOLD_NOTHING, TOLD_NOTHING, TOLD_NOTHING);
    lone_advance(&bed.lone, START_MS + SECOND_MS);
    expect(TOLD_NOTHING, TOLD_TIME, TOLD_NOTHING, TOLD_NOTHING);
    lone_advance(&bed.lone, START_MS + 2 * SECOND_MS);
    expect(TOLD_NOTHING, TOLD_TIME, TOLD_TIME, TOLD_NOTHING);
    lone_host_done(&bed.host, lone_host_task(&bed.host), "1");
    expect(TOLD_END, TOLD_TIME, TOLD_TIME, TOLD_END);
    end();
}

static void who_is_gone_is_forgotten(void **state)
{
    (void)state;
    begin();
    for (size_t i = 0; i < CALLERS; i++) {
        wait_for(i, bed.run, i % 2 == 0 ? 0 : SECOND_MS);
    }
    forget(1);
    forget(2);
    expect(TOLD_NOTHING, TOLD_FAILURE, TOLD_FAILURE, TOLD_NOTHING);
    assert_int_equal(bed.code, CODE_CANCELLED);
    lone_advance(&bed.lone, START_MS + SECOND_MS);
    expect(TOLD_NOTHING, TOLD_FAILURE, TOLD_FAILURE, TOLD_TIME);
    forget(3); /* It was answered. */
    lone_host_done(&bed.host, lone_host_task(&bed.host), "1");
    expect(TOLD_END, TOLD_FAILURE, TOLD_FAILURE, TOLD_TIME);
    end();
}

static void an_end_that_was_lost_is_not_told(void **state)
{
    (void)state;
    begin();
    wait_for(0, bed.run, 0);
    bed.lone.fails_commits = true;
    struct request *request = request_new(&cancel_operation);
    request->run = bed.run;
    cancel_request(request)->cause = STR("test");
    lone_ask(&bed.lone, request);
    request_free(request);
    bed.lone.fails_commits = false;
    lone_rounds(&bed.lone);
    expect(TOLD_NOTHING, TOLD_NOTHING, TOLD_NOTHING, TOLD_NOTHING);
    lone_advance(&bed.lone, START_MS + SECOND_MS);
    lone_host_told(&bed.host);
    wait_for(1, bed.run, SECOND_MS);
    lone_advance(&bed.lone, START_MS + 2 * SECOND_MS);
    expect(TOLD_NOTHING, TOLD_TIME, TOLD_NOTHING, TOLD_NOTHING);
    lone_stop(&bed.lone); /* Who still waits is told that the process ends. */
    expect(TOLD_FAILURE, TOLD_TIME, TOLD_NOTHING, TOLD_NOTHING);
    lone_begin(&bed.lone);
    end();
}

static void drain(void)
{
    partition_post_always(bed.lone.partition, request_new(&drain_operation));
    lone_rounds(&bed.lone);
}

/* What is at work may end before the process does. */
static void who_waits_for_work_waits_on_while_it_drains(void **state)
{
    (void)state;
    begin();
    uuid idle = lone_start_flow(&bed.lone, "nobody");
    wait_for(0, bed.run, 0);
    wait_for(1, idle, 0);
    drain();
    expect(TOLD_NOTHING, TOLD_FAILURE, TOLD_NOTHING, TOLD_NOTHING);
    assert_int_equal(bed.reason, REASON_SHUTTING_DOWN);
    wait_for(2, bed.run, 0);
    wait_for(3, idle, 0);
    expect(TOLD_NOTHING, TOLD_FAILURE, TOLD_NOTHING, TOLD_FAILURE);
    lone_host_done(&bed.host, lone_host_task(&bed.host), "1");
    expect(TOLD_END, TOLD_FAILURE, TOLD_END, TOLD_FAILURE);
    end();
}

/* A call that has no place is left to the next process. */
static void who_waits_for_a_place_is_told_when_it_drains(void **state)
{
    (void)state;
    begin();
    lone_register(&bed.lone, (struct agent_definition){.id = STR("helper")});
    uuid agent = lone_start(
        &bed.lone,
        (struct run_spec){.kind = RUN_KIND_AGENT, .name = STR("helper"), .input = STR("\"hi\"")});
    struct model_sink sink = models_sink(bed.lone.partition);
    sink.waits(sink.context, bed.lone.model_call, STR("model.example"));
    wait_for(0, agent, 0);
    drain();
    expect(TOLD_FAILURE, TOLD_NOTHING, TOLD_NOTHING, TOLD_NOTHING);
    assert_int_equal(bed.reason, REASON_SHUTTING_DOWN);
    assert_int_equal(bed.lone.model_cancels, 1);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_told_the_end),
        cmocka_unit_test(each_has_its_time),
        cmocka_unit_test(who_is_gone_is_forgotten),
        cmocka_unit_test(an_end_that_was_lost_is_not_told),
        cmocka_unit_test(who_waits_for_work_waits_on_while_it_drains),
        cmocka_unit_test(who_waits_for_a_place_is_told_when_it_drains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
