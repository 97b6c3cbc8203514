/*
 * Goal:   a run that goes on in the place of one that failed waits for that one's children: those
 *         that were cancelled with it begin anew, whatever they run, those that ended are not run
 *         again.
 * Method: the real partition; one host, a model that says what the test says; journals are read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/codec/index.h"
#include "service/features/definitions/definitions.h"
#include "tests/unit/partition/lone_calls.h"
#include "tests/unit/partition/lone_host.h"

#define START_MS ((uint64_t)1800000000000)

struct scene {
    struct lone_partition lone;
    struct lone_host host;
    uuid parent;
    uuid successor;
};

static void begin(struct scene *scene)
{
    static const char *const offers[] = {"workflow:flow", "workflow:child", NULL};
    memset(scene, 0, sizeof(*scene));
    lone_init(&scene->lone, START_MS);
    scene->lone.leaves_runs_open = true;
    lone_register(&scene->lone, (struct agent_definition){.id = STR("helper")});
    lone_host_connect(&scene->host, &scene->lone, "host", offers);
    scene->parent = lone_start_flow(&scene->lone, "flow");
}

static void end(struct scene *scene)
{
    lone_fini(&scene->lone);
    lone_host_fini(&scene->host);
}

/* Its code fails beside the children it waits for; then it is told to go on. */
static void fail_and_retry(struct scene *scene, struct held_task parent)
{
    lone_host_failed(&scene->host, parent, "Boom", false);
    scene->successor = lone_retry(&scene->lone, scene->parent);
}

/* The child that was started last below it. */
static uuid newest_child(struct scene *scene, uuid parent)
{
    uuid child;
    assert_int_equal(lone_children(&scene->lone, parent, &child, 1), 1);
    return child;
}

static const struct host_child agent = {.kind = RUN_KIND_AGENT,
                                        .name = {"helper", 6},
                                        .input = {"\"hello\"", 7},
                                        .options = {.idempotency_key = {"only-once", 9}}};
static const struct host_child flow = {
    .kind = RUN_KIND_WORKFLOW, .name = {"child", 5}, .input = {"7", 1}};

static void a_cancelled_agent_begins_anew(void **state)
{
    (void)state;
    struct scene scene;
    uuid runs[4];
    begin(&scene);
    lone_host_start(&scene.host, lone_host_task(&scene.host), "ask", &agent, 1);
    assert_int_equal(scene.lone.model_calls, 1);
    fail_and_retry(&scene, lone_host_task(&scene.host));
    assert_int_equal(scene.lone.model_calls, 2);
    runs[0] = scene.parent;
    runs[1] = scene.successor;
    runs[2] = newest_child(&scene, scene.parent);
    runs[3] = newest_child(&scene, scene.successor);
    assert_int_equal(lone_count(&scene.lone, runs[2], EVENT_RUN_CANCELLED), 1);
    assert_string_equal(lone_journal(&scene.lone, runs[3], runs, 4),
                        "RUN_STARTED helper 'hello' parent=#2 root=#2 depth=1 effect=2 index=0\n"
                        "MODEL_REQUESTED 1\n");
    lone_host_told(&scene.host);
    lone_model_calls(&scene.lone, "look");
    lone_model_ends(&scene.lone, "done");
    assert_string_equal(
        lone_host_told(&scene.host),
        "outcome ask:5=[{'run_id':'#','status':'completed','result':'done',"
        "'total_steps':2,'stop_reason':'end','usage':{'input_tokens':60,"
        "'output_tokens':8,'total_tokens':68,'cache_read_input_tokens':40,"
        "'cache_creation_input_tokens':10},'steps':[{'step':1,'content':'',"
        "'tool_calls':[{'call_id':'look','name':'look','arguments_json':'{}'}],"
        "'tool_results':[{'call_id':'look','tool_name':'look',"
        "'error':{'type':'UNKNOWN_TOOL','message':'there is no tool named \\'look\\'; "
        "this agent has no tools'}}],'usage':{'input_tokens':30,'output_tokens':4,"
        "'total_tokens':34,'cache_read_input_tokens':20,"
        "'cache_creation_input_tokens':5}},{'step':2,'content':'done','tool_calls':[],"
        "'tool_results':[],'usage':{'input_tokens':30,'output_tokens':4,"
        "'total_tokens':34,'cache_read_input_tokens':20,"
        "'cache_creation_input_tokens':5}}],'steps_left_out':0}]\n");
    assert_string_equal(lone_journal(&scene.lone, runs[1], runs, 4),
                        "RUN_STARTED flow null root=#2\n"
                        "TASK_REQUESTED 1\n"
                        "LEASE_GRANTED 1\n"
                        "WAIT_SET 2 key=ask\n"
                        "LEASE_LOST 1\n"
                        "LEASE_GRANTED 1\n"
                        "CHILD_SETTLED 2 index=0 child=#4 value='done'\n"
                        "WAIT_SETTLED 2\n");
    assert_int_equal(lone_rows(&scene.lone, INDEX_SUCCESSOR), 0);
    end(&scene);
}

/* Two levels below: it keeps its depth. */
static void a_cancelled_child_of_a_child_begins_anew(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    lone_host_start(&scene.host, lone_host_task(&scene.host), "one", &flow, 1);
    scene.parent = newest_child(&scene, scene.parent);
    struct held_task middle = lone_host_task(&scene.host);
    lone_host_start(&scene.host, middle, "two", &flow, 1);
    struct held_task child = lone_host_task(&scene.host);
    fail_and_retry(&scene, middle);
    lone_host_cancelled(&scene.host, child);
    uuid runs[] = {scene.parent, scene.successor, newest_child(&scene, scene.successor)};
    assert_string_equal(lone_journal(&scene.lone, runs[2], runs, 3),
                        "RUN_STARTED child 7 parent=#2 root=#2 depth=1 effect=2 index=0\n"
                        "TASK_REQUESTED 1\n"
                        "LEASE_GRANTED 1\n");
    end(&scene);
}

/* Of two, one had ended: it is not run again. */
static void what_has_ended_is_kept(void **state)
{
    (void)state;
    struct scene scene;
    const struct host_child both[] = {flow, flow};
    begin(&scene);
    lone_host_start(&scene.host, lone_host_task(&scene.host), "both", both, 2);
    lone_host_done(&scene.host, scene.host.tasks[1], "\"first\"");
    fail_and_retry(&scene, scene.host.tasks[0]);
    assert_int_equal(lone_rows(&scene.lone, INDEX_SUCCESSOR), 1);
    assert_int_equal(lone_rows(&scene.lone, INDEX_CHILD), 3);
    lone_host_told(&scene.host);
    lone_host_cancelled(&scene.host, scene.host.tasks[2]);
    assert_int_equal(lone_rows(&scene.lone, INDEX_SUCCESSOR), 0);
    assert_int_equal(lone_rows(&scene.lone, INDEX_CHILD), 3); /* One goes, one comes. */
    lone_host_done(&scene.host, lone_host_task(&scene.host), "\"second\"");
    assert_string_equal(lone_host_told(&scene.host),
                        "task child 1 7 root=flow\n"
                        "outcome both:5=[{'run_id':'#','status':'completed','result':'first'},"
                        "{'run_id':'#','status':'completed','result':'second'}]\n");
    end(&scene);
}

/* Whose agent is gone meanwhile: its parent is told why. */
static void what_cannot_begin_anew_fails(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    lone_host_start(&scene.host, lone_host_task(&scene.host), "ask", &agent, 1);
    struct held_task parent = lone_host_task(&scene.host);
    lone_host_failed(&scene.host, parent, "Boom", false);
    struct request *request = request_new(&delete_definition_operation);
    delete_definition_request(request)->id = STR("helper");
    lone_ask(&scene.lone, request);
    assert_int_equal(scene.lone.failure.code, CODE_OK);
    request_free(request);
    lone_host_told(&scene.host);
    scene.successor = lone_retry(&scene.lone, scene.parent);
    assert_string_equal(
        lone_host_told(&scene.host),
        "task flow 2 null [ask:5=[{'run_id':'#','status':'failed',"
        "'error':{'type':'AGENT_NOT_FOUND','message':'no agent 'helper' is registered; "
        "connect a host that defines it, or call AgentService.Register'},"
        "'total_steps':0,'stop_reason':'','usage':{'input_tokens':0,'output_tokens':0,"
        "'total_tokens':0,'cache_read_input_tokens':0,'cache_creation_input_tokens':0},"
        "'steps':[],'steps_left_out':0}]]\n"
        "outcome ask:5=[{'run_id':'#','status':'failed',"
        "'error':{'type':'AGENT_NOT_FOUND','message':'no agent 'helper' is registered; "
        "connect a host that defines it, or call AgentService.Register'},"
        "'total_steps':0,'stop_reason':'','usage':{'input_tokens':0,'output_tokens':0,"
        "'total_tokens':0,'cache_read_input_tokens':0,'cache_creation_input_tokens':0},"
        "'steps':[],'steps_left_out':0}]\n");
    end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancelled_agent_begins_anew),
        cmocka_unit_test(a_cancelled_child_of_a_child_begins_anew),
        cmocka_unit_test(what_has_ended_is_kept),
        cmocka_unit_test(what_cannot_begin_anew_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
