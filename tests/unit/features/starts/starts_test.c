/*
 * Goal:   a run is started as it was asked for, once for a key, within the limits of its tree and
 *         of the disk; else whoever asks is told which limit or field it is.
 * Method: the real partition with small limits; requests, and the facts that they leave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "service/features/deletions/deletions.h"
#include "service/features/inputs/inputs.h"
#include "service/features/starts/starts.h"
#include "tests/unit/partition/lone_calls.h"
#include "tests/unit/partition/lone_host.h"

#define START_MS ((uint64_t)1800000000000)

enum {
    DEPTH_MAX = 2,
    TREE_MAX = 3, /* Runs below a root. */
    TIMEOUT_MS = 50000,
    INPUTS_MAX = 32,
    MANY_IDS = 5000, /* More than a counter of 12 bits tells apart. */
};

static struct {
    struct lone_partition lone;
    struct lone_host host;
    char text[256];
} bed;

static const char *const offers[] = {"workflow:flow", "workflow:child", NULL};

static void begin(void)
{
    memset(&bed, 0, sizeof(bed));
    lone_init_with(&bed.lone, START_MS,
                   (struct partition_options){.tree_depth_max = DEPTH_MAX,
                                              .tree_runs_max = TREE_MAX,
                                              .run_timeout_ms = TIMEOUT_MS});
    bed.lone.leaves_runs_open = true;
    lone_register(&bed.lone, (struct agent_definition){.id = STR("helper")});
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    lone_host_told(&bed.host);
}

static void end(void)
{
    lone_fini(&bed.lone);
    lone_host_fini(&bed.host);
}

static const char *refusal(void)
{
    snprintf(bed.text, sizeof(bed.text), "%d %s " STR_FMT, (int)bed.lone.failure.code,
             reason_name(bed.lone.failure.reason), STR_ARG(bed.lone.failure.field));
    return bed.text;
}

/* "started", "existed", or why not. */
static const char *start(struct run_spec spec, uint8_t digest, uuid *ret)
{
    struct request *request = request_new(&start_operation);
    spec.input = spec.input.len == 0 ? STR("null") : spec.input;
    start_request(request)->spec = spec;
    start_request(request)->digest[sizeof(start_request(request)->digest) - 1] = digest;
    lone_ask(&bed.lone, request);
    *ret = start_request(request)->ret_run;
    bool existed = start_request(request)->ret_existed;
    request_free(request);
    return bed.lone.failure.code != CODE_OK ? refusal() : existed ? "existed" : "started";
}

static const char *start_it(struct run_spec spec)
{
    uuid run;
    return start(spec, 0, &run);
}

static const struct run_spec flow = {.kind = RUN_KIND_WORKFLOW, .name = {"flow", 4}};
static const struct run_spec helper = {
    .kind = RUN_KIND_AGENT, .name = {"helper", 6}, .input = {"\"hi\"", 4}};

/* ---- Keys. ---- */

static struct run_spec keyed(const char *key)
{
    struct run_spec spec = flow;
    spec.options.idempotency_key = str_of(key);
    return spec;
}

static void a_key_starts_one_run(void **state)
{
    (void)state;
    uuid first;
    uuid again;
    begin();
    assert_string_equal(start(keyed("k"), 1, &first), "started");
    assert_string_equal(start(keyed("k"), 1, &again), "existed");
    assert_true(uuid_equal(first, again));
    assert_string_equal(start(keyed("k"), 2, &again),
                        "6 IDEMPOTENCY_KEY_REUSED options.idempotency_key");
    assert_string_equal(start(keyed("other"), 1, &again), "started");
    assert_false(uuid_equal(first, again));
    lone_stop(&bed.lone);
    lone_begin(&bed.lone);
    assert_string_equal(start(keyed("k"), 1, &again), "existed");
    assert_true(uuid_equal(first, again));
    lone_cancel(&bed.lone, first);
    lone_advance(&bed.lone, START_MS + TIMEOUT_MS);
    struct request *request = request_new(&delete_operation);
    request->run = first;
    lone_ask(&bed.lone, request);
    assert_int_equal(bed.lone.failure.code, CODE_OK);
    request_free(request);
    lone_rounds(&bed.lone);
    assert_string_equal(start(keyed("k"), 1, &again), "9 RUN_DELETED options.idempotency_key");
    end();
}

/* ---- What is refused. ---- */

static void what_can_never_work_is_refused(void **state)
{
    (void)state;
    struct run_spec spec = helper;
    begin();
    spec.name = STR("nobody");
    assert_string_equal(start_it(spec), "5 AGENT_NOT_FOUND agent_id");
    spec = helper;
    spec.input = STR("[1]");
    assert_string_equal(start_it(spec), "3 INVALID_FIELD input");
    spec = flow;
    spec.options.priority = 1;
    assert_string_equal(start_it(spec), "3 INVALID_FIELD options.queue");
    spec = flow;
    spec.options.concurrency_key = STR("k");
    assert_string_equal(start_it(spec), "3 INVALID_FIELD options.queue");
    spec = flow;
    spec.options.queue = STR("nowhere");
    assert_string_equal(start_it(spec), "5 QUEUE_NOT_FOUND options.queue");
    bed.lone.model_check = CODE_FAILED_PRECONDITION;
    assert_string_equal(start_it(helper), "9 PROVIDER_KEY_MISSING agent.models[0].provider");
    bed.lone.model_check = CODE_INVALID_ARGUMENT;
    assert_string_equal(start_it(helper), "3 INVALID_PROVIDER agent.models[0].provider");
    bed.lone.model_check = CODE_UNIMPLEMENTED;
    assert_string_equal(start_it(helper), "3 INVALID_FIELD input");
    bed.lone.model_check = CODE_OK;
    assert_string_equal(start_it(helper), "started");
    bed.lone.is_low_on_space = true;
    assert_string_equal(start_it(flow), "8 LOW_DISK ");
    assert_int_equal(bed.lone.failure.retry_after_ms, 5000);
    bed.lone.is_low_on_space = false;
    partition_post_always(bed.lone.partition, request_new(&drain_operation));
    assert_string_equal(start_it(flow), "14 DRAINING ");
    end();
}

/* ---- Trees. ---- */

static struct host_child child_of_flow(void)
{
    return (struct host_child){.kind = RUN_KIND_WORKFLOW, .name = STR("child")};
}

static void a_tree_is_no_deeper_than_it_may_be(void **state)
{
    (void)state;
    struct host_child child = child_of_flow();
    begin();
    uuid root = lone_start(&bed.lone, flow);
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        lone_host_start(&bed.host, lone_host_task(&bed.host), "one", &child, 1);
    }
    lone_host_told(&bed.host);
    lone_host_start(&bed.host, lone_host_task(&bed.host), "one", &child, 1);
    assert_string_equal(
        lone_host_told(&bed.host),
        "outcome one:6=!TREE_TOO_DEEP: the run is 2 runs below its root, the most "
        "there may be; let it do the work itself, or start the next one by a call of "
        "its own\n");
    assert_int_equal(lone_count(&bed.lone, root, EVENT_WAIT_SET), 1);
    end();
}

static void a_tree_is_no_larger_than_it_may_be(void **state)
{
    (void)state;
    struct host_child children[TREE_MAX + 1];
    for (size_t i = 0; i < COUNT_OF(children); i++) {
        children[i] = child_of_flow();
    }
    begin();
    lone_start(&bed.lone, flow);
    struct held_task root = lone_host_task(&bed.host);
    lone_host_told(&bed.host);
    lone_host_start(&bed.host, root, "too many", children, TREE_MAX + 1);
    assert_string_equal(
        lone_host_told(&bed.host),
        "outcome too many:6=!TREE_TOO_LARGE: 3 runs of one tree may be under way at a "
        "time; start more when some have ended\n");
    lone_host_start(&bed.host, root, "all", children, TREE_MAX);
    lone_host_start(&bed.host, root, "one more", children, 1);
    assert_string_equal(
        lone_host_told(&bed.host),
        "task child 1 null root=flow\n"
        "task child 1 null root=flow\n"
        "task child 1 null root=flow\n"
        "outcome one more:6=!TREE_TOO_LARGE: 3 runs of one tree may be under way at a "
        "time; start more when some have ended\n");
    lone_host_done(&bed.host, lone_host_task(&bed.host), "1"); /* Makes room for one. */
    lone_stop(&bed.lone);
    lone_begin(&bed.lone);
    lone_rounds(&bed.lone);
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    lone_host_told(&bed.host);
    struct held_task again = {0};
    for (size_t i = 0; i < bed.host.task_count; i++) {
        again = task_ref_equal(bed.host.tasks[i].task, root.task) ? bed.host.tasks[i] : again;
    }
    lone_host_start(&bed.host, again, "now", children, 1);
    lone_host_start(&bed.host, again, "no more", children, 1);
    assert_string_equal(
        lone_host_told(&bed.host),
        "task child 1 null root=flow\n"
        "outcome no more:6=!TREE_TOO_LARGE: 3 runs of one tree may be under way at a "
        "time; start more when some have ended\n");
    assert_int_equal(lone_rows(&bed.lone, INDEX_TREE), 1);
    end();
}

/* All or none: one of two can't be. */
static void children_start_together(void **state)
{
    (void)state;
    struct host_child children[] = {child_of_flow(), child_of_flow()};
    children[1].options.queue = STR("nowhere");
    begin();
    uuid root = lone_start(&bed.lone, flow);
    uuid child;
    lone_host_told(&bed.host);
    lone_host_start(&bed.host, lone_host_task(&bed.host), "two", children, 2);
    assert_string_equal(
        lone_host_told(&bed.host),
        "outcome two:6=!QUEUE_NOT_FOUND: no queue 'nowhere' is defined; connect a host "
        "that defines it, or call QueueService.Put\n");
    assert_int_equal(lone_children(&bed.lone, root, &child, 1), 0);
    lone_cancel(&bed.lone, root);
    lone_host_told(&bed.host);
    lone_host_start(&bed.host, lone_host_task(&bed.host), "late", children, 1);
    assert_string_equal(
        lone_host_told(&bed.host),
        "outcome late:6=!CANCELLED: the run is being cancelled: its code may clean up, "
        "but not start runs\n");
    end();
}

/* ---- Times and ids. ---- */

static void a_run_has_its_deadline(void **state)
{
    (void)state;
    struct run_spec spec = flow;
    begin();
    uuid by_default = lone_start(&bed.lone, flow);
    spec.options.timeout_ms = 1000;
    uuid short_one = lone_start(&bed.lone, spec);
    lone_advance(&bed.lone, START_MS + 999);
    assert_int_equal(lone_count(&bed.lone, short_one, EVENT_RUN_FAILED), 0);
    lone_advance(&bed.lone, START_MS + 1000);
    assert_int_equal(lone_count(&bed.lone, short_one, EVENT_RUN_FAILED), 1);
    lone_advance(&bed.lone, START_MS + TIMEOUT_MS - 1);
    assert_int_equal(lone_count(&bed.lone, by_default, EVENT_RUN_FAILED), 0);
    lone_advance(&bed.lone, START_MS + TIMEOUT_MS);
    assert_int_equal(lone_count(&bed.lone, by_default, EVENT_RUN_FAILED), 1);
    end();
}

/* Within a millisecond too, and when the clock is set back. */
static void ids_sort_by_their_starts(void **state)
{
    (void)state;
    begin();
    uuid before = start_new_id(bed.lone.partition);
    for (int i = 0; i < MANY_IDS; i++) {
        uuid id = start_new_id(bed.lone.partition);
        assert_true(memcmp(&before, &id, sizeof(id)) < 0);
        before = id;
    }
    bed.lone.now_ms -= 1000;
    partition_round(bed.lone.partition);
    uuid id = start_new_id(bed.lone.partition);
    assert_true(memcmp(&before, &id, sizeof(id)) < 0);
    bed.lone.now_ms += 10000;
    partition_round(bed.lone.partition);
    uuid later = start_new_id(bed.lone.partition);
    assert_true(memcmp(&id, &later, sizeof(id)) < 0);
    end();
}

/* ---- What is said to a run. ---- */

static const char *send(uuid run, const char *data, const char *key)
{
    struct request *request = request_new(&send_operation);
    request->run = run;
    send_request(request)->data = str_of(data);
    send_request(request)->key = str_of(key);
    lone_ask(&bed.lone, request);
    if (bed.lone.failure.code != CODE_OK) {
        refusal();
    } else {
        snprintf(bed.text, sizeof(bed.text), "%u%s", (unsigned)send_request(request)->ret_number,
                 send_request(request)->ret_existed ? " existed" : "");
    }
    request_free(request);
    lone_rounds(&bed.lone);
    return bed.text;
}

static void what_is_sent_is_told_once(void **state)
{
    (void)state;
    begin();
    uuid agent = lone_start(&bed.lone, helper);
    uuid other = lone_start(&bed.lone, flow);
    assert_string_equal(send(agent, "\"one\"", "k"), "1");
    assert_string_equal(send(agent, "\"one\"", "k"), "1 existed");
    assert_string_equal(send(agent, "\"two\"", "k"), "6 IDEMPOTENCY_KEY_REUSED idempotency_key");
    assert_string_equal(send(agent, "\"one\"", ""), "2");
    assert_string_equal(send(other, "\"one\"", ""), "9 RUN_NOT_AGENT run_id");
    for (int i = 2; i < INPUTS_MAX; i++) {
        send(agent, "\"more\"", "");
    }
    assert_string_equal(send(agent, "\"more\"", ""), "8 TOO_MANY_INPUTS run_id");
    lone_model_ends(&bed.lone, "done"); /* They are told in the next call. */
    assert_int_equal(bed.lone.model_calls, 2);
    assert_string_equal(send(agent, "\"more\"", "k2"), "33");
    assert_string_equal(send(agent, "\"more\"", "k2"), "33 existed");
    lone_model_ends(&bed.lone, "done");
    lone_model_ends(&bed.lone, "done");
    assert_string_equal(send(agent, "\"more\"", ""), "9 RUN_ENDED run_id");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_starts_one_run),
        cmocka_unit_test(what_can_never_work_is_refused),
        cmocka_unit_test(a_tree_is_no_deeper_than_it_may_be),
        cmocka_unit_test(a_tree_is_no_larger_than_it_may_be),
        cmocka_unit_test(children_start_together),
        cmocka_unit_test(a_run_has_its_deadline),
        cmocka_unit_test(ids_sort_by_their_starts),
        cmocka_unit_test(what_is_sent_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
