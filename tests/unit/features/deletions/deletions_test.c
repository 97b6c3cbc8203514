/*
 * Goal:   of a run that is deleted, and of all runs below it, nothing is left; what is at work, or
 *         below another, is not deleted.
 * Method: the real partition; all rows of the store are counted before and after, whatever they
 * are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "service/features/deletions/deletions.h"
#include "tests/unit/partition/lone_calls.h"
#include "tests/unit/partition/lone_host.h"

#define START_MS ((uint64_t)1800000000000)

enum {
    STEPS = 300, /* Records; more than go in a round. */
    STEP_BYTES = 10000,
    CHILDREN = 5,
    MINUTE_MS = 60000,
};

static struct {
    struct lone_partition lone;
    struct lone_host host;
    size_t rows; /* Before any run was there. */
} bed;

static const char *const offers[] = {"workflow:flow", NULL};
static const struct run_spec flow = {
    .kind = RUN_KIND_WORKFLOW,
    .name = {"flow", 4},
    .options = {.session_id = {"s", 1}, .user_id = {"u", 1}, .conversation_id = {"c", 1}}};

static void begin(void)
{
    memset(&bed, 0, sizeof(bed));
    lone_init(&bed.lone, START_MS);
    bed.lone.leaves_runs_open = true;
    lone_register(&bed.lone, (struct agent_definition){.id = STR("helper")});
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    /* Rows that the first run of a store leaves once for all. */
    uuid first = lone_start(&bed.lone, flow);
    lone_host_request(
        &bed.host, lone_host_task(&bed.host), "ask",
        (struct host_step_request){.kind = STEP_REQUEST_SUSPENSION, .data = STR("{}")});
    lone_host_done(&bed.host, lone_host_task(&bed.host), "1");
    struct request *request = request_new(&delete_operation);
    request->run = first;
    lone_ask(&bed.lone, request);
    request_free(request);
    lone_advance(&bed.lone, START_MS + 1);
    bed.rows = lone_rows_in_all(&bed.lone);
}

static void end(void)
{
    lone_fini(&bed.lone);
    lone_host_fini(&bed.host);
}

static const char *delete_run(uuid run)
{
    struct request *request = request_new(&delete_operation);
    request->run = run;
    lone_ask(&bed.lone, request);
    request_free(request);
    lone_rounds(&bed.lone);
    return bed.lone.failure.code == CODE_OK ? "deleted" : reason_name(bed.lone.failure.reason);
}

static void expect_nothing_left(void)
{
    lone_advance(&bed.lone, bed.lone.now_ms + MINUTE_MS);
    assert_int_equal(lone_rows_in_all(&bed.lone), bed.rows);
}

static void ask(struct held_task task, const char *key)
{
    lone_host_request(&bed.host, task, key,
                      (struct host_step_request){.kind = STEP_REQUEST_SUSPENSION,
                                                 .data = STR("{}"),
                                                 .length_ms = MINUTE_MS});
}

static void nothing_is_left_of_a_run(void **state)
{
    (void)state;
    begin();
    uuid run = lone_start(&bed.lone, flow);
    struct held_task task = lone_host_task(&bed.host);
    assert_int_equal(lone_resume(&bed.lone, run, "early", "1"), REASON_NONE);
    ask(task, "open");
    ask(task, "answered");
    assert_int_equal(lone_resume(&bed.lone, run, "answered", "1"), REASON_NONE);
    lone_host_request(&bed.host, task, "nap", (struct host_step_request){.length_ms = MINUTE_MS});
    assert_string_equal(delete_run(run), "RUN_NOT_ENDED");
    lone_host_done(&bed.host, task, "1");
    assert_string_equal(delete_run(run), "deleted");
    assert_string_equal(delete_run(run), "RUN_NOT_FOUND");
    expect_nothing_left();
    end();
}

static void nothing_is_left_of_an_agent(void **state)
{
    (void)state;
    begin();
    uuid run = lone_start(
        &bed.lone,
        (struct run_spec){.kind = RUN_KIND_AGENT, .name = STR("helper"), .input = STR("\"hi\"")});
    lone_model_ends(&bed.lone, "done");
    assert_string_equal(delete_run(run), "deleted");
    expect_nothing_left();
    end();
}

static void nothing_is_left_of_a_long_history(void **state)
{
    (void)state;
    static char text[STEP_BYTES + 1];
    memset(text, '1', STEP_BYTES);
    begin();
    uuid run = lone_start(&bed.lone, flow);
    struct held_task task = lone_host_task(&bed.host);
    for (uint32_t i = 1; i <= STEPS; i++) {
        lone_host_say(&bed.host, task,
                      (struct host_message){.kind = HOST_MESSAGE_STEP_DONE,
                                            .number = i,
                                            .key = STR("k"),
                                            .outcome = {.value = str_of(text)}});
    }
    lone_host_done(&bed.host, task, "1");
    assert_string_equal(delete_run(run), "deleted");
    expect_nothing_left();
    end();
}

/* With runs below runs, one of which has failed and another was cancelled. */
static void nothing_is_left_of_a_tree(void **state)
{
    (void)state;
    struct host_child children[CHILDREN];
    for (size_t i = 0; i < CHILDREN; i++) {
        children[i] = (struct host_child){.kind = RUN_KIND_WORKFLOW, .name = STR("flow")};
    }
    begin();
    size_t first = bed.host.task_count;
    uuid root = lone_start(&bed.lone, flow);
    lone_host_start(&bed.host, bed.host.tasks[first], "all", children, CHILDREN);
    lone_host_start(&bed.host, bed.host.tasks[first + 1], "below", children, 1);
    uuid below = lone_host_task(&bed.host).task.run;
    assert_string_equal(delete_run(below), "RUN_NOT_ROOT");
    ask(lone_host_task(&bed.host), "question");
    lone_host_done(&bed.host, bed.host.tasks[first], "1");
    assert_string_equal(delete_run(root), "RUN_NOT_ENDED");
    lone_host_done(&bed.host, lone_host_task(&bed.host), "1");
    lone_host_done(&bed.host, bed.host.tasks[first + 1], "1");
    lone_host_failed(&bed.host, bed.host.tasks[first + 2], "Boom", false);
    lone_cancel(&bed.lone, bed.host.tasks[first + 3].task.run);
    lone_host_cancelled(&bed.host, bed.host.tasks[first + 3]);
    lone_host_done(&bed.host, bed.host.tasks[first + 4], "1");
    assert_string_equal(delete_run(root), "RUN_NOT_ENDED");
    lone_host_done(&bed.host, bed.host.tasks[first + 5], "1");
    assert_string_equal(delete_run(below), "RUN_NOT_ROOT");
    assert_string_equal(delete_run(root), "deleted");
    expect_nothing_left();
    end();
}

/* The process dies between two pieces. */
static void a_deletion_goes_on_after_a_restart(void **state)
{
    (void)state;
    begin();
    struct host_child child = {.kind = RUN_KIND_WORKFLOW, .name = STR("flow")};
    uuid root = lone_start(&bed.lone, flow);
    struct held_task task = lone_host_task(&bed.host);
    lone_host_start(&bed.host, task, "one", &child, 1);
    lone_host_done(&bed.host, lone_host_task(&bed.host), "1");
    lone_host_done(&bed.host, task, "1");
    struct request *request = request_new(&delete_operation);
    request->run = root;
    lone_ask(&bed.lone, request);
    assert_int_equal(bed.lone.failure.code, CODE_OK);
    request_free(request);
    lone_stop(&bed.lone);
    lone_begin(&bed.lone);
    assert_string_equal(delete_run(root), "RUN_NOT_FOUND");
    expect_nothing_left();
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_left_of_a_run),
        cmocka_unit_test(nothing_is_left_of_an_agent),
        cmocka_unit_test(nothing_is_left_of_a_long_history),
        cmocka_unit_test(nothing_is_left_of_a_tree),
        cmocka_unit_test(a_deletion_goes_on_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
