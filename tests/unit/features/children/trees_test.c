/*
 * Goal:   a tree of runs is cancelled whole, however deep or wide it is, a part in each round.
 * Method: the real partition; runs nobody hosts, each the child of the one before, or all of one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/features/reports/reports.h"
#include "service/features/starts/starts.h"
#include "service/partition/request.h"
#include "tests/unit/partition/lone_calls.h"
#include "tests/unit/partition/lone_host.h"

enum {
    RUNS = 1000,
    ROUNDS_MAX = 10,
    STATUS_CANCELLED = 5, /* Of the API. */
};

static uuid start(struct lone_partition *lone, uuid root, uuid parent)
{
    struct request *request = request_new(&start_operation);
    start_request(request)->spec = (struct run_spec){
        .kind = RUN_KIND_WORKFLOW,
        .name = STR("nobody"),
        .input = STR("null"),
        .parent = parent,
        .root = root,
    };
    lone_ask(lone, request);
    assert_int_equal(lone->failure.code, CODE_OK);
    uuid run = start_request(request)->ret_run;
    request_free(request);
    return run;
}

static size_t count_cancelled(struct lone_partition *lone)
{
    size_t count = 0;
    uuid before = {{0}};
    do {
        struct read *read = read_new(&list_kind);
        list_read(read)->limit = RUNS + 1;
        list_read(read)->filter.statuses = 1U << STATUS_CANCELLED;
        list_read(read)->before = before;
        lone_read(lone, read);
        count += list_read(read)->ret_count;
        before = list_read(read)->ret_next;
        read_free(read);
    } while (!uuid_is_zero(before));
    return count;
}

static void cancel_all_of(bool is_deep)
{
    struct lone_partition *lone = calloc(1, sizeof(*lone));
    assert_non_null(lone);
    lone_init(lone, 1800000000000);
    lone->leaves_runs_open = true;
    uuid root = start(lone, (uuid){{0}}, (uuid){{0}});
    uuid parent = root;
    for (size_t i = 1; i < RUNS; i++) {
        uuid run = start(lone, root, parent);
        parent = is_deep ? run : root;
    }
    assert_int_equal(count_cancelled(lone), 0);
    struct request *request = request_new(&cancel_operation);
    request->run = root;
    cancel_request(request)->cause = STR("the test is over");
    lone_ask(lone, request);
    assert_int_equal(lone->failure.code, CODE_OK);
    request_free(request);
    size_t rounds = 1; /* Asking made one. */
    while (count_cancelled(lone) < RUNS) {
        (void)partition_round(lone->partition);
        assert_true(++rounds < ROUNDS_MAX);
    }
    assert_true(rounds > 1); /* No round does it all. */
    lone_fini(lone);
    free(lone);
}

static void a_deep_tree_is_cancelled_whole(void **state)
{
    (void)state;
    cancel_all_of(true);
}

static void a_wide_tree_is_cancelled_whole(void **state)
{
    (void)state;
    cancel_all_of(false);
}

/* ---- Runs that have ended stand between. ---- */

static const char *const offers[] = {"workflow:flow", NULL};

/* Starts one below the task's run, which does not wait for it. */
static uuid leave_child(struct lone_host *host, struct held_task task, const char *key)
{
    static const struct host_child child = {.kind = RUN_KIND_WORKFLOW, .name = {"flow", 4}};
    lone_host_request(host, task, key,
                      (struct host_step_request){
                          .kind = STEP_REQUEST_START, .children = &child, .child_count = 1});
    return lone_host_task(host).task.run;
}

/* The one in the middle has ended; it is read from its row where `is_on_disk`. */
static void cancel_past_one(bool is_on_disk)
{
    struct lone_partition lone;
    struct lone_host host = {.id = NULL};
    lone_init(&lone, 1800000000000);
    lone.leaves_runs_open = true;
    lone_host_connect(&host, &lone, "host", offers);
    uuid root = lone_start_flow(&lone, "flow");
    leave_child(&host, lone_host_task(&host), "middle");
    struct held_task middle = lone_host_task(&host);
    uuid below = leave_child(&host, middle, "below");
    lone_host_done(&host, middle, "1");
    if (is_on_disk) {
        lone_stop(&lone);
        lone_begin(&lone);
        lone_rounds(&lone);
    }
    lone_cancel(&lone, root);
    assert_int_equal(lone_count(&lone, root, EVENT_CANCEL_REQUESTED), 1);
    assert_int_equal(lone_count(&lone, middle.task.run, EVENT_RUN_CANCELLED), 0);
    assert_int_equal(lone_count(&lone, below, EVENT_CANCEL_REQUESTED), 1);
    lone_fini(&lone);
    lone_host_fini(&host);
}

static void a_cancellation_passes_what_has_ended(void **state)
{
    (void)state;
    cancel_past_one(false);
    cancel_past_one(true);
}

/* Nor is one that outlives the run that started it cancelled with it, where that fails. */
static void a_failure_cancels_whom_it_waits_for(void **state)
{
    (void)state;
    struct lone_partition lone;
    struct lone_host host = {.id = NULL};
    struct host_child children[2];
    for (size_t i = 0; i < 2; i++) {
        children[i] = (struct host_child){.kind = RUN_KIND_WORKFLOW, .name = STR("flow")};
    }
    children[1].options.outlives_parent = true;
    lone_init(&lone, 1800000000000);
    lone.leaves_runs_open = true;
    lone_host_connect(&host, &lone, "host", offers);
    lone_start_flow(&lone, "flow");
    struct held_task parent = lone_host_task(&host);
    uuid left = leave_child(&host, parent, "left");
    lone_host_start(&host, parent, "both", children, 2);
    lone_host_failed(&host, parent, "Boom", false);
    assert_int_equal(lone_count(&lone, left, EVENT_CANCEL_REQUESTED), 0);
    assert_int_equal(lone_count(&lone, host.tasks[2].task.run, EVENT_CANCEL_REQUESTED), 1);
    assert_int_equal(lone_count(&lone, host.tasks[3].task.run, EVENT_CANCEL_REQUESTED), 0);
    lone_fini(&lone);
    lone_host_fini(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deep_tree_is_cancelled_whole),
        cmocka_unit_test(a_wide_tree_is_cancelled_whole),
        cmocka_unit_test(a_cancellation_passes_what_has_ended),
        cmocka_unit_test(a_failure_cancels_whom_it_waits_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
