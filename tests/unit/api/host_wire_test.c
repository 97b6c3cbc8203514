/*
 * Goal:   the host protocol means the same on the wire and in the structs of service/hosts, and
 * each breach of its rules is named. Method: messages made by hand in both directions; what goes
 * out is unpacked again.
 */
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#include "service/api/api.h"
#include "service/api/host_wire.h"

static const char task_id[] = "01020304-0506-7708-890a-0b0c0d0e0f10.7";

struct taken {
    struct arena arena;
    struct check check;
    struct host_message message;
    bool is_fine;
};

static void take(struct taken *ret, const Polos__V1__HostMessage *message)
{
    memset(ret, 0, sizeof(*ret));
    arena_init(&ret->arena, 0);
    ret->check.arena = &ret->arena;
    ret->is_fine = host_wire_message(&ret->check, message, &ret->message);
    assert_int_equal(ret->is_fine, ret->check.error.code == CODE_OK);
}

static void refuse(const Polos__V1__HostMessage *message, const char *field)
{
    struct taken taken;
    take(&taken, message);
    assert_false(taken.is_fine);
    assert_true(str_is(taken.check.error.field, field));
    arena_fini(&taken.arena);
}

static void steps(void **state)
{
    (void)state;
    Polos__V1__TaskOutcome outcome = POLOS__V1__TASK_OUTCOME__INIT;
    outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON;
    outcome.value_json = (char *)" {\"n\": 12345678901234567890}";
    Polos__V1__StepDone done = POLOS__V1__STEP_DONE__INIT;
    done.task_id = (char *)task_id;
    done.epoch = 4;
    done.number = 2;
    done.key = (char *)"fetch";
    done.outcome = &outcome;
    Polos__V1__HostMessage message = POLOS__V1__HOST_MESSAGE__INIT;
    message.seq = 9;
    message.ack = 3;
    message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_DONE;
    message.step_done = &done;
    struct taken taken;
    take(&taken, &message);
    assert_true(taken.is_fine);
    assert_int_equal(taken.message.kind, HOST_MESSAGE_STEP_DONE);
    assert_int_equal(taken.message.seq, 9);
    assert_int_equal(taken.message.ack, 3);
    assert_int_equal(taken.message.task.effect, 7);
    assert_int_equal(taken.message.epoch, 4);
    assert_int_equal(taken.message.number, 2);
    assert_true(str_is(taken.message.key, "fetch"));
    assert_true(str_is(taken.message.outcome.value, outcome.value_json)); /* Byte for byte. */
    arena_fini(&taken.arena);

    outcome.value_json = (char *)"{";
    refuse(&message, "step_done.outcome.value_json");
    outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT__NOT_SET;
    refuse(&message, "step_done.outcome");
    done.outcome = NULL;
    refuse(&message, "step_done.outcome");
    done.key = (char *)"";
    refuse(&message, "step_done.key");
    static char key[HOST_STEP_KEY_BYTES_MAX + 2];
    memset(key, 'k', sizeof(key) - 1);
    done.key = key;
    refuse(&message, "step_done.key");
    done.task_id = (char *)"7";
    refuse(&message, "step_done.task_id");
}

static void errors(void **state)
{
    (void)state;
    static char stack[3 * HOST_STACK_BYTES_MAX];
    memset(stack, 's', sizeof(stack) - 1);
    memcpy(stack + HOST_STACK_BYTES_MAX - 1, "\xC3\xBC", 2); /* Lies across the limit. */
    Polos__V1__TaskError error = POLOS__V1__TASK_ERROR__INIT;
    error.message = (char *)"it broke";
    error.stack = stack;
    Polos__V1__TaskOutcome outcome = POLOS__V1__TASK_OUTCOME__INIT;
    outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT_ERROR;
    outcome.error = &error;
    Polos__V1__TaskDone done = POLOS__V1__TASK_DONE__INIT;
    done.task_id = (char *)task_id;
    done.outcome = &outcome;
    Polos__V1__HostMessage message = POLOS__V1__HOST_MESSAGE__INIT;
    message.seq = 1;
    message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_TASK_DONE;
    message.task_done = &done;
    struct taken taken;
    take(&taken, &message);
    assert_true(taken.is_fine);
    assert_true(taken.message.outcome.failed);
    assert_true(str_is(taken.message.outcome.error_type, "Error"));
    assert_true(str_is(taken.message.outcome.error_message, "it broke"));
    assert_int_equal(taken.message.outcome.error_stack.len, HOST_STACK_BYTES_MAX - 1);
    arena_fini(&taken.arena);

    /* A result that is no JSON fails the task, not the stream. */
    outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON;
    outcome.value_json = (char *)"[1, NaN]";
    take(&taken, &message);
    assert_true(taken.is_fine);
    assert_true(taken.message.outcome.failed);
    assert_true(str_is(taken.message.outcome.error_type, "INVALID_RESULT"));
    arena_fini(&taken.arena);

    message.seq = 0;
    refuse(&message, "seq");
}

static void unnumbered(void **state)
{
    (void)state;
    Polos__V1__Heartbeat heartbeat = POLOS__V1__HEARTBEAT__INIT;
    Polos__V1__HostDelta delta = POLOS__V1__HOST_DELTA__INIT;
    delta.task_id = (char *)task_id;
    delta.text = (char *)"half way";
    Polos__V1__Drain drain = POLOS__V1__DRAIN__INIT;
    Polos__V1__HostMessage rows[4];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        polos__v1__host_message__init(&rows[i]);
    }
    rows[1].message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_HEARTBEAT;
    rows[1].heartbeat = &heartbeat;
    rows[2].message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_DELTA;
    rows[2].delta = &delta;
    rows[3].message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_DRAIN;
    rows[3].drain = &drain;
    static const enum host_message_kind kinds[] = {
        HOST_MESSAGE_NONE,
        HOST_MESSAGE_HEARTBEAT,
        HOST_MESSAGE_DELTA,
        HOST_MESSAGE_DRAIN,
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct taken taken;
        rows[i].ack = 5;
        take(&taken, &rows[i]);
        assert_true(taken.is_fine);
        assert_int_equal(taken.message.kind, kinds[i]);
        assert_int_equal(taken.message.ack, 5);
        arena_fini(&taken.arena);
        rows[i].seq = 1;
        if (kinds[i] != HOST_MESSAGE_DRAIN) {
            refuse(&rows[i], "seq");
        }
    }
    static char text[HOST_DELTA_BYTES_MAX + 2];
    memset(text, 't', sizeof(text) - 1);
    rows[2].seq = 0;
    delta.text = text;
    refuse(&rows[2], "delta.text");
}

static void hello(void **state)
{
    (void)state;
    Polos__V1__ToolDefinition tool = POLOS__V1__TOOL_DEFINITION__INIT;
    tool.name = (char *)"get_weather";
    Polos__V1__ToolDefinition *tools[] = {&tool};
    Polos__V1__WorkflowDefinition flow = POLOS__V1__WORKFLOW_DEFINITION__INIT;
    flow.id = (char *)"flow";
    Polos__V1__WorkflowDefinition *flows[] = {&flow};
    Polos__V1__HeldTask task = POLOS__V1__HELD_TASK__INIT;
    task.task_id = (char *)task_id;
    task.epoch = 2;
    Polos__V1__HeldTask *held[] = {&task};
    Polos__V1__AgentDefinition agent = POLOS__V1__AGENT_DEFINITION__INIT;
    agent.id = (char *)"a";
    agent.provider = (char *)"scripted";
    agent.model = (char *)"m";
    Polos__V1__AgentDefinition *agents[] = {&agent};
    Polos__V1__Hello proto = POLOS__V1__HELLO__INIT;
    proto.host_id = (char *)"h";
    proto.slots = 3;
    proto.tools = tools;
    proto.n_tools = 1;
    proto.workflows = flows;
    proto.n_workflows = 1;
    proto.held = held;
    proto.n_held = 1;
    proto.agents = agents;
    proto.n_agents = 1;
    struct request *request = request_new(REQUEST_HOST_HELLO);
    struct check check = {.arena = &request->arena};
    assert_true(host_wire_hello(&check, &proto, request));
    const struct host_hello *got = &request->hello.hello;
    assert_true(str_is(got->deployment, "default"));
    assert_int_equal(got->slots, 3);
    assert_int_equal(got->offer_count, 2);
    assert_int_equal(got->offers[0].kind, TASK_TOOL);
    assert_true(str_is(got->offers[0].name, "get_weather"));
    assert_int_equal(got->offers[1].kind, TASK_WORKFLOW);
    assert_int_equal(got->held_count, 1);
    assert_int_equal(got->held[0].epoch, 2);
    assert_int_equal(request->hello.definition_count, 1);
    assert_true(str_is(request->hello.definitions[0].id, "a"));

    agent.model = (char *)"";
    assert_false(host_wire_hello(&check, &proto, request));
    assert_true(str_is(check.error.field, "hello.agents[0].model"));
    check.error = (struct api_error){0};
    task.task_id = (char *)"";
    assert_false(host_wire_hello(&check, &proto, request));
    assert_true(str_is(check.error.field, "hello.held[0].task_id"));
    check.error = (struct api_error){0};
    flow.id = (char *)"a flow";
    assert_false(host_wire_hello(&check, &proto, request));
    assert_true(str_is(check.error.field, "hello.workflows[0].id"));
    request_free(request);
}

static Polos__V1__ServerMessage *packed(const struct server_message *message)
{
    struct payload *payload = host_wire_pack(message);
    str bytes = payload_bytes(payload);
    Polos__V1__ServerMessage *ret =
        polos__v1__server_message__unpack(NULL, bytes.len, (const uint8_t *)bytes.ptr);
    assert_non_null(ret);
    assert_int_equal(ret->seq, message->seq);
    assert_int_equal(ret->ack, message->ack);
    payload_unref(payload);
    return ret;
}

static struct task_ref ref(void)
{
    struct task_ref ret;
    assert_true(task_ref_parse(str_of(task_id), &ret));
    return ret;
}

static void tasks_go_out(void **state)
{
    (void)state;
    const struct settled_step settled[] = {
        {.key = STR("one"), .outcome = {.value = STR("1")}},
        {.key = STR("two"), .outcome = {.failed = true, .error_type = STR("E")}},
    };
    struct host_task task = {
        .task = ref(),
        .epoch = 3,
        .kind = TASK_TOOL,
        .name = STR("get"),
        .input = STR("{\"a\" : 1}"),
        .steps = settled,
        .step_count = COUNT_OF(settled),
        .deadline_ms = 99,
        .agent_id = STR("agent"),
        .call_id = STR("call"),
        .session_id = STR("s"),
        .root = ref().run,
    };
    struct server_message message = {
        .seq = 5, .ack = 6, .kind = SERVER_MESSAGE_TASK, .task = &task};
    Polos__V1__ServerMessage *got = packed(&message);
    assert_int_equal(got->message_case, POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK);
    assert_string_equal(got->task->task_id, task_id);
    assert_int_equal(got->task->epoch, 3);
    assert_int_equal(got->task->kind, POLOS__V1__TASK_KIND__TASK_KIND_TOOL);
    assert_string_equal(got->task->input_json, "{\"a\" : 1}");
    assert_string_equal(got->task->run_id, "01020304-0506-7708-890a-0b0c0d0e0f10");
    assert_string_equal(got->task->root_run_id, got->task->run_id);
    assert_string_equal(got->task->call_id, "call");
    assert_int_equal(got->task->deadline_ms, 99);
    assert_int_equal(got->task->n_steps, 2);
    assert_string_equal(got->task->steps[0]->outcome->value_json, "1");
    assert_string_equal(got->task->steps[1]->outcome->error->type, "E");
    polos__v1__server_message__free_unpacked(got, NULL);
}

static void the_rest_goes_out(void **state)
{
    (void)state;
    const struct held_task lost = {.task = ref(), .epoch = 8};
    struct server_message message = {
        .kind = SERVER_MESSAGE_WELCOME,
        .welcome = {.session = STR("s-1"),
                    .resumed = true,
                    .lease_ms = 15000,
                    .heartbeat_ms = 5000,
                    .lost = &lost,
                    .lost_count = 1},
    };
    Polos__V1__ServerMessage *got = packed(&message);
    assert_string_equal(got->welcome->session, "s-1");
    assert_true(got->welcome->resumed);
    assert_int_equal(got->welcome->lease_ms, 15000);
    assert_string_equal(got->welcome->lost[0]->task_id, task_id);
    assert_string_equal(got->welcome->server_version, API_VERSION);
    polos__v1__server_message__free_unpacked(got, NULL);

    message = (struct server_message){
        .kind = SERVER_MESSAGE_CANCEL,
        .cancelled = lost,
        .cause = STR("deadline"),
    };
    got = packed(&message);
    assert_int_equal(got->cancel->epoch, 8);
    assert_string_equal(got->cancel->cause, "deadline");
    polos__v1__server_message__free_unpacked(got, NULL);

    message = (struct server_message){
        .kind = SERVER_MESSAGE_REFUSED,
        .refused = {.seq = 4, .reason = "STEP_GAP", .message = STR("why")},
    };
    got = packed(&message);
    assert_int_equal(got->refused->refused_seq, 4);
    assert_string_equal(got->refused->reason, "STEP_GAP");
    assert_string_equal(got->refused->task_id, "");
    polos__v1__server_message__free_unpacked(got, NULL);

    message = (struct server_message){.ack = 77, .kind = SERVER_MESSAGE_ACK};
    got = packed(&message);
    assert_int_equal(got->message_case, POLOS__V1__SERVER_MESSAGE__MESSAGE__NOT_SET);
    polos__v1__server_message__free_unpacked(got, NULL);

    message = (struct server_message){.kind = SERVER_MESSAGE_DRAIN, .cause = STR("bye")};
    got = packed(&message);
    assert_string_equal(got->drain->cause, "bye");
    polos__v1__server_message__free_unpacked(got, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps),        cmocka_unit_test(errors),
        cmocka_unit_test(unnumbered),   cmocka_unit_test(hello),
        cmocka_unit_test(tasks_go_out), cmocka_unit_test(the_rest_goes_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
