/*
 * Goal:   a host is told all that its task's code has settled, as it was, when it takes the task
 *         over from a host that is gone; and what it says out of turn is refused.
 * Method: the real partition and hosts that do as the test says; what they are told is text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/partition/partition.h"
#include "tests/unit/partition/lone_calls.h"
#include "tests/unit/partition/lone_host.h"

#define START_MS ((uint64_t)1800000000000)

enum {
    MINUTE_MS = 60000,
    REDIAL_MS = 5000, /* By default. */
    LARGE_BYTES = 400000,
};

struct scene {
    struct lone_partition lone;
    struct lone_host host;
    struct lone_host next;
    struct held_task task;
};

static const char *const offers[] = {"workflow:flow", "workflow:child", NULL};

static void begin(struct scene *scene, struct run_spec spec)
{
    memset(scene, 0, sizeof(*scene));
    lone_init(&scene->lone, START_MS);
    scene->lone.leaves_runs_open = true;
    lone_host_connect(&scene->host, &scene->lone, "first", offers);
    spec.kind = RUN_KIND_WORKFLOW;
    spec.name = STR("flow");
    lone_start(&scene->lone, spec);
    scene->task = lone_host_task(&scene->host);
}

static void end(struct scene *scene)
{
    lone_fini(&scene->lone);
    lone_host_fini(&scene->host);
    lone_host_fini(&scene->next);
}

static void say(struct scene *scene, struct host_message message)
{
    lone_host_say(&scene->host, scene->task, message);
}

static void settle(struct scene *scene, uint32_t number, const char *key, const char *value,
                   const char *state)
{
    say(scene, (struct host_message){.kind = HOST_MESSAGE_STEP_DONE,
                                     .number = number,
                                     .key = str_of(key),
                                     .outcome = {.value = str_of(value)},
                                     .state.json = str_of(state)});
}

static void request(struct scene *scene, const char *key, struct host_step_request wanted)
{
    lone_host_request(&scene->host, scene->task, key, wanted);
}

/* The first host is gone for good; the next takes its tasks. */
static void take_over(struct scene *scene)
{
    lone_host_vanish(&scene->host);
    lone_advance(&scene->lone, scene->lone.now_ms + REDIAL_MS);
    lone_host_connect(&scene->next, &scene->lone, "second", offers);
}

static void options_are_told(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, (struct run_spec){.input = STR("{\"n\":1}"),
                                    .options = {.session_id = STR("s"),
                                                .user_id = STR("u"),
                                                .conversation_id = STR("c"),
                                                .state.json = STR("{\"x\":0}"),
                                                .input_type = STR("Point")}});
    assert_string_equal(
        lone_host_told(&scene.host),
        "welcome\n"
        "task flow 1 {'n':1} type=Point session=s user=u conversation=c state={'x':0}\n");
    take_over(&scene);
    assert_string_equal(
        lone_host_told(&scene.next),
        "welcome\n"
        "task flow 2 {'n':1} type=Point session=s user=u conversation=c state={'x':0}\n");
    end(&scene);
}

static void steps_of_code_are_told_again(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, (struct run_spec){.options = {.state.json = STR("{\"x\":0}")}});
    settle(&scene, 1, "a", "1", "{\"x\":1}");
    say(&scene,
        (struct host_message){
            .kind = HOST_MESSAGE_STEP_DONE,
            .number = 2,
            .key = STR("b"),
            .outcome = {.failed = true, .error_type = STR("Boom"), .error_message = STR("no")}});
    say(&scene, (struct host_message){.kind = HOST_MESSAGE_STEP_TRY,
                                      .number = 3,
                                      .key = STR("c"),
                                      .try_number = 1,
                                      .pause_ms = 2 * MINUTE_MS,
                                      .outcome = {.failed = true,
                                                  .error_type = STR("Again"),
                                                  .error_message = STR("later")}});
    lone_host_told(&scene.host);
    take_over(&scene);
    assert_string_equal(
        lone_host_told(&scene.next),
        "welcome\n"
        "task flow 2 null state={'x':1} settled=3 [a:1=1, b:1=!Boom: no, c:9=!Again: "
        "later try=1 pause=115000]\n");
    lone_host_vanish(&scene.next);
    lone_advance(&scene.lone, scene.lone.now_ms + 2 * MINUTE_MS);
    lone_host_connect(&scene.next, &scene.lone, "third", offers); /* No pause is left. */
    assert_string_equal(
        lone_host_told(&scene.next),
        "welcome\n"
        "task flow 3 null state={'x':1} settled=3 [a:1=1, b:1=!Boom: no, c:9=!Again: "
        "later try=1]\n");
    end(&scene);
}

static void steps_of_the_server_are_told_again(void **state)
{
    (void)state;
    struct scene scene;
    static const struct host_child children[] = {
        {.kind = RUN_KIND_WORKFLOW, .name = {"child", 5}, .input = {"1", 1}},
        {.kind = RUN_KIND_WORKFLOW, .name = {"child", 5}, .input = {"2", 1}}};
    begin(&scene, (struct run_spec){0});
    lone_host_told(&scene.host);
    request(&scene, "nap", (struct host_step_request){.length_ms = 1000});
    lone_advance(&scene.lone, START_MS + 999);
    lone_rounds(&scene.lone);
    assert_string_equal(lone_host_told(&scene.host), "");
    lone_advance(&scene.lone, START_MS + 1000);
    lone_rounds(&scene.lone);
    assert_string_equal(lone_host_told(&scene.host), "outcome nap:2=null\n");
    settle(&scene, 1, "a", "1", "");
    request(&scene, "ask",
            (struct host_step_request){.kind = STEP_REQUEST_SUSPENSION, .data = STR("{}")});
    assert_int_equal(lone_resume(&scene.lone, scene.task.task.run, "ask", "[7]"), REASON_NONE);
    request(&scene, "news",
            (struct host_step_request){
                .kind = STEP_REQUEST_EVENT, .topic = STR("news"), .event_type = STR("good")});
    lone_publish(&scene.lone, "news", "bad", "1");
    lone_publish(&scene.lone, "news", "good", "2");
    request(&scene, "say",
            (struct host_step_request){.kind = STEP_REQUEST_PUBLISH,
                                       .topic = STR("said"),
                                       .event_type = STR("t"),
                                       .data = STR("3")});
    lone_host_start(&scene.host, scene.task, "two", children, 2);
    lone_host_failed(&scene.host, scene.host.tasks[2], "Boom", false);
    lone_host_done(&scene.host, scene.host.tasks[1], "\"one\"");
    assert_string_equal(lone_host_told(&scene.host),
                        "outcome ask:3={'data':[7],'resumed_by':'test'} before=1 durable=1\n"
                        "outcome news:4={'sequence':2,'topic':'news','event_type':'good','data':2,"
                        "'created_at_ms':1800000001000,'run_id':''} before=1 durable=1\n"
                        "outcome say:6={'sequence':1} before=1 durable=1\n"
                        "task child 1 1 root=flow\n"
                        "task child 1 2 root=flow\n"
                        "outcome two:5=[{'run_id':'#','status':'completed','result':'one'},"
                        "{'run_id':'#','status':'failed','error':{'type':'WORKFLOW_FAILED',"
                        "'message':'no'}}] before=1 durable=1\n");
    take_over(&scene);
    assert_string_equal(lone_host_told(&scene.next),
                        "welcome\n"
                        "task flow 2 null settled=1 [nap:2=null, a:1=1, ask:3={'data':[7],"
                        "'resumed_by':'test'} before=1, news:4={'sequence':2,'topic':'news',"
                        "'event_type':'good','data':2,'created_at_ms':1800000001000,'run_id':''} "
                        "before=1, say:6={'sequence':1} before=1, two:5=[{'run_id':'#',"
                        "'status':'completed','result':'one'},{'run_id':'#','status':'failed',"
                        "'error':{'type':'WORKFLOW_FAILED','message':'no'}}] before=1]\n");
    end(&scene);
}

static void what_was_given_up_is_told_again(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, (struct run_spec){.options = {.max_retries = 1}});
    settle(&scene, 1, "a", "1", "");
    request(&scene, "ask",
            (struct host_step_request){.kind = STEP_REQUEST_SUSPENSION, .data = STR("{}")});
    say(&scene,
        (struct host_message){
            .kind = HOST_MESSAGE_WITHDRAW, .number = 2, .key = STR("ask"), .facts_seen = 1});
    request(&scene, "ask",
            (struct host_step_request){.kind = STEP_REQUEST_SUSPENSION, .data = STR("{}")});
    assert_string_equal(lone_host_told(&scene.host),
                        "welcome\n"
                        "task flow 1 null\n"
                        "outcome ask:3=!WITHDRAWN: the code that waited for it gave it up before=1 "
                        "durable=1\n");
    take_over(&scene);
    assert_string_equal(
        lone_host_told(&scene.next),
        "welcome\n"
        "task flow 2 null settled=2 [a:1=1, ask:3=!WITHDRAWN: the code that waited for "
        "it gave it up before=1, ask:8= seen=1]\n");
    end(&scene);
}

/* Its code cleans up at the next host, which is told so too. */
static void a_cancellation_is_told_again(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, (struct run_spec){0});
    settle(&scene, 1, "a", "1", "");
    lone_cancel(&scene.lone, scene.task.task.run);
    say(&scene, (struct host_message){.kind = HOST_MESSAGE_CANCEL_SHOWN, .number = 2});
    settle(&scene, 3, "b", "1", "");
    lone_host_told(&scene.host);
    take_over(&scene);
    assert_string_equal(lone_host_told(&scene.next),
                        "welcome\n"
                        "task flow 2 null settled=3 cancelling [a:1=1, :7=, b:1=1]\n");
    lone_host_cancelled(&scene.next, lone_host_task(&scene.next));
    assert_int_equal(lone_count(&scene.lone, scene.task.task.run, EVENT_RUN_CANCELLED), 1);
    end(&scene);
}

/* What was left with the end of a try is where the next begins. */
static void a_try_leaves_its_state(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, (struct run_spec){.options = {.max_retries = 1}});
    say(&scene,
        (struct host_message){
            .kind = HOST_MESSAGE_TASK_DONE,
            .is_retryable = true,
            .state.json = STR("{\"tries\":1}"),
            .outcome = {.failed = true, .error_type = STR("Boom"), .error_message = STR("no")}});
    lone_host_told(&scene.host);
    lone_advance(&scene.lone, START_MS + 10 * MINUTE_MS);
    lone_rounds(&scene.lone);
    assert_string_equal(lone_host_told(&scene.host),
                        "task flow 2 null state={'tries':1} retry=1\n");
    end(&scene);
}

static void what_is_out_of_turn_is_refused(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, (struct run_spec){0});
    lone_host_told(&scene.host);
    settle(&scene, 2, "b", "1", ""); /* The first is missing. */
    assert_string_equal(lone_host_told(&scene.host), "refused STEP_GAP\n");
    settle(&scene, 1, "a", "1", "");
    settle(&scene, 1, "a", "1", ""); /* Again. */
    assert_string_equal(lone_host_told(&scene.host), "");
    scene.task.epoch++;
    settle(&scene, 2, "b", "1", "");
    lone_host_done(&scene.host, scene.task, "1");
    assert_string_equal(lone_host_told(&scene.host), "refused STALE_EPOCH gone\n"
                                                     "refused STALE_EPOCH gone\n");
    scene.task.epoch--;
    lone_host_done(&scene.host, scene.task, "1");
    lone_host_done(&scene.host, scene.task, "1");
    settle(&scene, 2, "b", "1", "");
    assert_string_equal(lone_host_told(&scene.host), "refused STALE_EPOCH gone\n"
                                                     "refused STALE_EPOCH gone\n");
    end(&scene);
}

/* Much of it follows the task in pieces. */
static void much_is_told_in_pieces(void **state)
{
    (void)state;
    struct scene scene;
    static char text[LARGE_BYTES + 3];
    memset(text, 'x', sizeof(text) - 1);
    text[0] = text[sizeof(text) - 2] = '"';
    begin(&scene, (struct run_spec){0});
    settle(&scene, 1, "first", text, "");
    request(&scene, "ask",
            (struct host_step_request){.kind = STEP_REQUEST_SUSPENSION, .data = STR("{}")});
    assert_int_equal(lone_resume(&scene.lone, scene.task.task.run, "ask", "[7]"), REASON_NONE);
    settle(&scene, 2, "second", text, "{\"x\":1}");
    settle(&scene, 3, "third", text, "");
    take_over(&scene);
    assert_string_equal(lone_host_told(&scene.next),
                        "welcome\n"
                        "task flow 2 null settled=3 more\n"
                        "facts 0 [first:1=<400002 bytes>, ask:3={'data':[7],'resumed_by':'test'} "
                        "before=1, second:1=<400002 bytes>]\n"
                        "facts 3 [third:1=<400002 bytes>] state={'x':1} last\n");
    end(&scene);
}

/* The server was restarted, the host was not. */
static void come_again(struct scene *scene)
{
    lone_stop(&scene->lone);
    lone_begin(&scene->lone);
    lone_rounds(&scene->lone);
    lone_host_told(&scene->host);
    lone_host_connect_holding(&scene->host, &scene->lone, "first", offers, scene->task);
}

static void who_holds_its_task_is_told_outcomes(void **state)
{
    (void)state;
    struct scene scene;
    static const struct host_child child = {.kind = RUN_KIND_WORKFLOW, .name = {"child", 5}};
    begin(&scene, (struct run_spec){0});
    settle(&scene, 1, "a", "1", "");
    request(&scene, "ask",
            (struct host_step_request){.kind = STEP_REQUEST_SUSPENSION, .data = STR("{}")});
    assert_int_equal(lone_resume(&scene.lone, scene.task.task.run, "ask", "[7]"), REASON_NONE);
    lone_host_start(&scene.host, scene.task, "one", &child, 1);
    lone_host_done(&scene.host, lone_host_task(&scene.host), "\"one\"");
    come_again(&scene);
    assert_string_equal(
        lone_host_told(&scene.host),
        "welcome\n"
        "outcome ask:3={'data':[7],'resumed_by':'test'} before=1\n"
        "outcome one:5=[{'run_id':'#','status':'completed','result':'one'}] before=1\n");
    settle(&scene, 2, "b", "1", ""); /* It goes on as if nothing had happened. */
    lone_cancel(&scene.lone, scene.task.task.run);
    assert_string_equal(lone_host_told(&scene.host), "cancel\n");
    come_again(&scene);
    assert_string_equal(
        lone_host_told(&scene.host),
        "welcome\n"
        "cancel\n"
        "outcome ask:3={'data':[7],'resumed_by':'test'} before=1\n"
        "outcome one:5=[{'run_id':'#','status':'completed','result':'one'}] before=1\n");
    end(&scene);
}

static void who_holds_its_task_is_told_much_in_pieces(void **state)
{
    (void)state;
    struct scene scene;
    static char text[LARGE_BYTES + 3];
    memset(text, 'x', sizeof(text) - 1);
    text[0] = text[sizeof(text) - 2] = '"';
    begin(&scene, (struct run_spec){0});
    for (int i = 0; i < 3; i++) {
        char key[] = {(char)('a' + i), '\0'};
        request(&scene, key,
                (struct host_step_request){.kind = STEP_REQUEST_SUSPENSION, .data = STR("{}")});
        assert_int_equal(lone_resume(&scene.lone, scene.task.task.run, key, text), REASON_NONE);
    }
    come_again(&scene);
    assert_string_equal(lone_host_told(&scene.host),
                        "welcome\n"
                        "outcome :0= more\n"
                        "facts 0 [a:3=<400031 bytes>, b:3=<400031 bytes>]\n"
                        "facts 2 [c:3=<400031 bytes>] last\n");
    end(&scene);
}

static void a_drain_is_told(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, (struct run_spec){0});
    lone_host_told(&scene.host);
    partition_post_always(scene.lone.partition, request_new(&drain_operation));
    lone_rounds(&scene.lone);
    assert_string_equal(lone_host_told(&scene.host), "drain the server is shutting down\n");
    end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_told),
        cmocka_unit_test(steps_of_code_are_told_again),
        cmocka_unit_test(steps_of_the_server_are_told_again),
        cmocka_unit_test(what_was_given_up_is_told_again),
        cmocka_unit_test(a_cancellation_is_told_again),
        cmocka_unit_test(a_try_leaves_its_state),
        cmocka_unit_test(what_is_out_of_turn_is_refused),
        cmocka_unit_test(much_is_told_in_pieces),
        cmocka_unit_test(who_holds_its_task_is_told_outcomes),
        cmocka_unit_test(who_holds_its_task_is_told_much_in_pieces),
        cmocka_unit_test(a_drain_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
