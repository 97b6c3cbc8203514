/*
 * Goal:   the host protocol means the same on the wire and in the structs of service/hosts, and
 * each breach of its rules is named. Method: messages made by hand.
 */
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#include "service/api/api.h"
#include "service/api/envelope.h"
#include "service/api/host_wire.h"
#include "service/api/options.h"
#include "service/features/tasks/tasks.h"
#include "service/partition/request.h"

static const char task_id[] = "01020304-0506-7708-890a-0b0c0d0e0f10.7";

/* Of this length; used up by the next call. */
static char *long_text(size_t len, char filler)
{
    static char text[OPTIONS_STATE_BYTES_MAX + 2];
    assert_true(len < sizeof(text));
    memset(text, filler, len);
    text[len] = '\0';
    return text;
}

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

/* It is refused with a sentence that names the field, and the stream goes on. */
static void fault(const Polos__V1__HostMessage *message, const char *field)
{
    struct taken taken;
    take(&taken, message);
    assert_true(taken.is_fine);
    char begin[128];
    snprintf(begin, sizeof(begin), "%s: ", field);
    if (!str_starts_with(taken.message.fault, str_of(begin))) {
        fail_msg("%s is not blamed, but \"" STR_FMT "\"", field, STR_ARG(taken.message.fault));
    }
    assert_int_equal(taken.message.task.effect, 7);
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
    done.state_json = (char *)"{\"n\":  1}";
    done.state_type = (char *)"{\"/n\":\"int\"}";
    Polos__V1__HostMessage message = POLOS__V1__HOST_MESSAGE__INIT;
    message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_DONE;
    message.step_done = &done;
    struct taken taken;
    take(&taken, &message);
    assert_true(taken.is_fine);
    assert_int_equal(taken.message.kind, HOST_MESSAGE_STEP_DONE);
    assert_int_equal(taken.message.task.effect, 7);
    assert_int_equal(taken.message.epoch, 4);
    assert_int_equal(taken.message.number, 2);
    assert_true(str_is(taken.message.key, "fetch"));
    assert_true(str_is(taken.message.outcome.value, outcome.value_json)); /* Byte for byte. */
    assert_true(str_is(taken.message.state.json, done.state_json));
    assert_true(str_is(taken.message.state.type, done.state_type));
    assert_int_equal(taken.message.fault.len, 0);
    arena_fini(&taken.arena);
    done.state_type = long_text(CHECK_VALUE_TYPE_BYTES_MAX + 1, 't');
    fault(&message, "step_done.state_type");
    done.state_json = (char *)"";
    done.state_type = (char *)"int";
    fault(&message, "step_done.state_type");
    done.state_json = (char *)"{'n': 1}";
    fault(&message, "step_done.state_json");
    done.state_json = long_text(OPTIONS_STATE_BYTES_MAX + 1, '1');
    fault(&message, "step_done.state_json");
    outcome.value_json = (char *)"{";
    fault(&message, "step_done.outcome.value_json");
    outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT__NOT_SET;
    fault(&message, "step_done.outcome");
    done.outcome = NULL;
    fault(&message, "step_done.outcome");
    done.key = (char *)"";
    fault(&message, "step_done.key");
    done.key = long_text(CHECK_STEP_KEY_BYTES_MAX + 1, 'k');
    fault(&message, "step_done.key");
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
    done.result_case = POLOS__V1__TASK_DONE__RESULT_OUTCOME;
    done.outcome = &outcome;
    Polos__V1__HostMessage message = POLOS__V1__HOST_MESSAGE__INIT;
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
    done.result_case = POLOS__V1__TASK_DONE__RESULT__NOT_SET;
    refuse(&message, "task_done.outcome");
    Polos__V1__Mismatch mismatch = POLOS__V1__MISMATCH__INIT;
    mismatch.message = (char *)"it asks for b, not a";
    done.result_case = POLOS__V1__TASK_DONE__RESULT_MISMATCH;
    done.mismatch = &mismatch;
    take(&taken, &message);
    assert_true(taken.is_fine && taken.message.outcome.failed);
    assert_true(str_is(taken.message.outcome.error_type, "NON_DETERMINISM"));
    assert_true(str_is(taken.message.outcome.error_message, "it asks for b, not a"));
    arena_fini(&taken.arena);
}

static void ends(void **state)
{
    (void)state;
    Polos__V1__TaskError error = POLOS__V1__TASK_ERROR__INIT;
    Polos__V1__TaskOutcome outcome = POLOS__V1__TASK_OUTCOME__INIT;
    outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT_ERROR;
    outcome.error = &error;
    Polos__V1__TaskDone done = POLOS__V1__TASK_DONE__INIT;
    done.task_id = (char *)task_id;
    done.result_case = POLOS__V1__TASK_DONE__RESULT_OUTCOME;
    done.outcome = &outcome;
    done.retryable = true;
    done.state_json = (char *)"[1]";
    done.state_type = (char *)"tuple";
    done.cancelled = true;
    Polos__V1__HostMessage message = POLOS__V1__HOST_MESSAGE__INIT;
    message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_TASK_DONE;
    message.task_done = &done;
    struct taken taken;
    take(&taken, &message);
    assert_true(taken.message.is_retryable);
    assert_true(taken.message.is_cancelled);
    assert_true(str_is(taken.message.state.json, "[1]"));
    assert_true(str_is(taken.message.state.type, "tuple"));
    arena_fini(&taken.arena);
    /* A state that is none fails the task, for good. */
    done.state_json = (char *)"[1";
    take(&taken, &message);
    assert_true(taken.is_fine);
    assert_true(str_is(taken.message.outcome.error_type, "INVALID_RESULT"));
    assert_true(str_starts_with(taken.message.outcome.error_message, STR("the state: ")));
    assert_false(taken.message.is_retryable);
    assert_int_equal(taken.message.state.json.len, 0);
    arena_fini(&taken.arena);
}

static void parks(void **state)
{
    (void)state;
    Polos__V1__Park park = POLOS__V1__PARK__INIT;
    park.task_id = (char *)task_id;
    park.epoch = 4;
    park.results_seen = 3;
    Polos__V1__HostMessage message = POLOS__V1__HOST_MESSAGE__INIT;
    message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_PARK;
    message.park = &park;
    struct taken taken;
    take(&taken, &message);
    assert_true(taken.is_fine);
    assert_int_equal(taken.message.kind, HOST_MESSAGE_PARK);
    assert_int_equal(taken.message.task.effect, 7);
    assert_int_equal(taken.message.epoch, 4);
    assert_int_equal(taken.message.outcomes_seen, 3);
    arena_fini(&taken.arena);
    park.task_id = (char *)"";
    refuse(&message, "park.task_id");
}

static void keeps_what_stands_beside_a_value(void **state)
{
    (void)state;
    char type[CHECK_VALUE_TYPE_BYTES_MAX + 2];
    Polos__V1__TaskOutcome outcome = POLOS__V1__TASK_OUTCOME__INIT;
    outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON;
    outcome.value_json = (char *)"1";
    outcome.value_type = (char *)"py:shop:Ticket";
    Polos__V1__StepDone done = POLOS__V1__STEP_DONE__INIT;
    done.task_id = (char *)task_id;
    done.number = 1;
    done.key = (char *)"k";
    done.outcome = &outcome;
    Polos__V1__HostMessage message = POLOS__V1__HOST_MESSAGE__INIT;
    message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_DONE;
    message.step_done = &done;
    struct taken taken;
    take(&taken, &message);
    assert_true(taken.is_fine && taken.message.fault.len == 0);
    assert_true(str_is(taken.message.outcome.value_type, "py:shop:Ticket"));
    arena_fini(&taken.arena);
    memset(type, 't', sizeof(type) - 1);
    type[sizeof(type) - 1] = '\0';
    outcome.value_type = type;
    take(&taken, &message);
    assert_true(taken.is_fine && taken.message.fault.len > 0);
    arena_fini(&taken.arena);
}

/* A result that can't be kept fails its task; the stream goes on. */
static void keeps_what_stands_beside_a_result(void **state)
{
    (void)state;
    char type[CHECK_VALUE_TYPE_BYTES_MAX + 2];
    Polos__V1__TaskOutcome outcome = POLOS__V1__TASK_OUTCOME__INIT;
    outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON;
    outcome.value_json = (char *)"1";
    outcome.value_type = (char *)"py:shop:Ticket";
    Polos__V1__TaskDone done = POLOS__V1__TASK_DONE__INIT;
    done.task_id = (char *)task_id;
    done.result_case = POLOS__V1__TASK_DONE__RESULT_OUTCOME;
    done.outcome = &outcome;
    Polos__V1__HostMessage message = POLOS__V1__HOST_MESSAGE__INIT;
    message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_TASK_DONE;
    message.task_done = &done;
    struct taken taken;
    take(&taken, &message);
    assert_true(taken.is_fine && !taken.message.outcome.failed);
    assert_true(str_is(taken.message.outcome.value_type, "py:shop:Ticket"));
    arena_fini(&taken.arena);
    memset(type, 't', sizeof(type) - 1);
    type[sizeof(type) - 1] = '\0';
    outcome.value_type = type;
    take(&taken, &message);
    assert_true(taken.is_fine && taken.message.outcome.failed);
    assert_true(str_is(taken.message.outcome.error_type, "INVALID_RESULT"));
    arena_fini(&taken.arena);
}

static void says_what_code_saw_and_gave_up(void **state)
{
    (void)state;
    char long_key[600];
    Polos__V1__CancelShown shown = POLOS__V1__CANCEL_SHOWN__INIT;
    shown.task_id = (char *)task_id;
    shown.epoch = 4;
    shown.number = 5;
    Polos__V1__HostMessage message = POLOS__V1__HOST_MESSAGE__INIT;
    message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_CANCEL_SHOWN;
    message.cancel_shown = &shown;
    struct taken taken;
    take(&taken, &message);
    assert_true(taken.is_fine && taken.message.kind == HOST_MESSAGE_CANCEL_SHOWN);
    assert_int_equal(taken.message.task.effect, 7);
    assert_int_equal(taken.message.epoch, 4);
    assert_int_equal(taken.message.number, 5);
    arena_fini(&taken.arena);
    Polos__V1__Withdraw withdraw = POLOS__V1__WITHDRAW__INIT;
    withdraw.task_id = (char *)task_id;
    withdraw.epoch = 4;
    withdraw.number = 6;
    withdraw.key = (char *)"slow";
    withdraw.facts_seen = 3;
    message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_WITHDRAW;
    message.withdraw = &withdraw;
    take(&taken, &message);
    assert_true(taken.is_fine && taken.message.kind == HOST_MESSAGE_WITHDRAW);
    assert_int_equal(taken.message.number, 6);
    assert_int_equal(taken.message.facts_seen, 3);
    assert_true(str_is(taken.message.key, "slow") && taken.message.fault.len == 0);
    arena_fini(&taken.arena);
    memset(long_key, 'k', sizeof(long_key) - 1);
    long_key[sizeof(long_key) - 1] = '\0';
    withdraw.key = long_key;
    take(&taken, &message);
    assert_true(taken.is_fine && taken.message.fault.len > 0); /* Its task's affair only. */
    arena_fini(&taken.arena);
    withdraw.task_id = (char *)"";
    refuse(&message, "withdraw.task_id");
}

static void says_that_a_try_failed(void **state)
{
    (void)state;
    static const char *const wrong[] = {"step_try.key", "step_try.try_number", "step_try.error",
                                        "step_try.pause", ""}; /* The last is fine. */
    struct taken taken;
    Polos__V1__TaskError error = POLOS__V1__TASK_ERROR__INIT;
    error.type = (char *)"OSError";
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        Google__Protobuf__Duration pause = GOOGLE__PROTOBUF__DURATION__INIT;
        Polos__V1__StepTry tried = POLOS__V1__STEP_TRY__INIT;
        pause.seconds = i == 3 ? -1 : 2;
        tried.task_id = (char *)task_id;
        tried.epoch = 4;
        tried.number = 6;
        tried.key = (char *)(i == 0 ? "" : "call");
        tried.try_number = i == 1 ? 0 : 3;
        tried.error = i == 2 ? NULL : &error;
        tried.pause = &pause;
        Polos__V1__HostMessage message = POLOS__V1__HOST_MESSAGE__INIT;
        message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_TRY;
        message.step_try = &tried;
        take(&taken, &message);
        assert_true(taken.is_fine && str_starts_with(taken.message.fault, str_of(wrong[i])));
        assert_true(i < 4 || taken.message.fault.len == 0); /* Its task's affair only. */
        assert_true(taken.message.kind == HOST_MESSAGE_STEP_TRY && taken.message.number == 6);
        assert_true(taken.message.task.effect == 7 && taken.message.epoch == 4);
        if (i == 4) {
            assert_true(taken.message.pause_ms == 2000 && taken.message.try_number == 3);
            assert_true(str_is(taken.message.outcome.error_type, "OSError"));
        }
        arena_fini(&taken.arena);
        tried.task_id = (char *)"";
        refuse(&message, "step_try.task_id");
    }
}

static void releases(void **state)
{
    (void)state;
    Polos__V1__Release release = POLOS__V1__RELEASE__INIT;
    release.task_id = (char *)task_id;
    release.epoch = 4;
    Polos__V1__HostMessage message = POLOS__V1__HOST_MESSAGE__INIT;
    message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_RELEASE;
    message.release = &release;
    struct taken taken;
    take(&taken, &message);
    assert_int_equal(taken.message.kind, HOST_MESSAGE_RELEASE);
    assert_int_equal(taken.message.task.effect, 7);
    assert_int_equal(taken.message.epoch, 4);
    assert_true(str_is(taken.message.text, "its host gave it back"));
    arena_fini(&taken.arena);
    release.cause = (char *)"it is being stopped";
    take(&taken, &message);
    assert_true(str_is(taken.message.text, "it is being stopped"));
    arena_fini(&taken.arena);
    release.cause = long_text(CHECK_CAUSE_BYTES_MAX + 1, 'c');
    refuse(&message, "release.cause");
    Polos__V1__HostDrain drain = POLOS__V1__HOST_DRAIN__INIT;
    message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_DRAIN;
    message.drain = &drain;
    for (int all = 0; all < 2; all++) {
        drain.release_all = all == 1;
        take(&taken, &message);
        assert_int_equal(taken.message.kind, HOST_MESSAGE_DRAIN);
        assert_int_equal(taken.message.releases_all, all);
        arena_fini(&taken.arena);
    }
}

static void deltas(void **state)
{
    (void)state;
    static char text[HOST_DELTA_BYTES_MAX + 2];
    struct arena arena;
    arena_init(&arena, 0);
    struct check check = {.arena = &arena};
    struct host_message message;
    Polos__V1__HostDelta delta = POLOS__V1__HOST_DELTA__INIT;
    delta.task_id = (char *)task_id;
    delta.text = (char *)"half way";
    assert_true(host_wire_delta(&check, &delta, &message));
    assert_int_equal(message.kind, HOST_MESSAGE_DELTA);
    assert_true(str_is(message.text, "half way"));
    memset(text, 't', sizeof(text) - 1);
    delta.text = text;
    assert_false(host_wire_delta(&check, &delta, &message));
    assert_true(str_is(check.error.field, "delta.text"));
    arena_fini(&arena);
}

static void envelopes(void **state)
{
    (void)state;
    static const struct {
        uint64_t first_seq;
        size_t messages;
        size_t deltas;
        const char *field; /* NULL: it is fine. */
    } rows[] = {
        {0, 0, 0, NULL},
        {1, 1000, 1000, NULL},
        {1, 1001, 0, "messages"},
        {0, 0, 1001, "deltas"},
        {0, 1, 0, "first_seq"},
        {1, 0, 0, "first_seq"},
        {UINT64_MAX, 2, 0, "first_seq"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena;
        arena_init(&arena, 0);
        struct check check = {.arena = &arena};
        Polos__V1__ToolServiceConnectRequest envelope =
            POLOS__V1__TOOL_SERVICE_CONNECT_REQUEST__INIT;
        envelope.first_seq = rows[i].first_seq;
        envelope.n_messages = rows[i].messages;
        envelope.n_deltas = rows[i].deltas;
        assert_int_equal(host_wire_check_envelope(&check, &envelope), rows[i].field == NULL);
        assert_true(rows[i].field == NULL || str_is(check.error.field, rows[i].field));
        arena_fini(&arena);
    }
}

static void hello(void **state)
{
    (void)state;
    Polos__V1__ToolDefinition tool = POLOS__V1__TOOL_DEFINITION__INIT;
    tool.id = (char *)"get_weather";
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
    Polos__V1__ModelSpec model = POLOS__V1__MODEL_SPEC__INIT;
    Polos__V1__ModelSpec *models[] = {&model};
    model.provider = (char *)"scripted";
    model.model = (char *)"m";
    agent.models = models;
    agent.n_models = 1;
    Polos__V1__AgentDefinition *agents[] = {&agent};
    Polos__V1__Hello proto = POLOS__V1__HELLO__INIT;
    Polos__V1__Offers offers = POLOS__V1__OFFERS__INIT;
    proto.protocol = HOST_PROTOCOL;
    proto.host_id = (char *)"h";
    proto.slots = 3;
    proto.offers = &offers;
    offers.tools = tools;
    offers.n_tools = 1;
    offers.workflows = flows;
    offers.n_workflows = 1;
    proto.held = held;
    proto.n_held = 1;
    offers.agents = agents;
    offers.n_agents = 1;
    struct request *request = request_new(&hello_operation);
    struct check check = {.arena = &request->arena};
    assert_true(host_wire_hello(&check, &proto, request));
    const struct host_hello *got = &hello_request(request)->hello;
    assert_true(str_is(got->deployment, "default"));
    assert_int_equal(got->slots, 3);
    assert_int_equal(got->offer_count, 2);
    assert_int_equal(got->offers[0].kind, TASK_TOOL);
    assert_true(str_is(got->offers[0].name, "get_weather"));
    assert_int_equal(got->offers[1].kind, TASK_WORKFLOW);
    assert_int_equal(got->held_count, 1);
    assert_int_equal(got->held[0].epoch, 2);
    assert_int_equal(hello_request(request)->definition_count, 1);
    assert_true(str_is(hello_request(request)->definitions[0].id, "a"));
    model.model = (char *)"";
    assert_false(host_wire_hello(&check, &proto, request));
    assert_true(str_is(check.error.field, "hello.offers.agents[0].models[0].model"));
    check.error = (struct failure){0};
    task.task_id = (char *)"";
    assert_false(host_wire_hello(&check, &proto, request));
    assert_true(str_is(check.error.field, "hello.held[0].task_id"));
    check.error = (struct failure){0};
    flow.id = (char *)"a flow";
    assert_false(host_wire_hello(&check, &proto, request));
    assert_true(str_is(check.error.field, "hello.offers.workflows[0].id"));
    request_free(request);
}

static void triggers(void **state)
{
    (void)state;
    Polos__V1__EventTrigger trigger = POLOS__V1__EVENT_TRIGGER__INIT;
    Polos__V1__WorkflowDefinition plain = POLOS__V1__WORKFLOW_DEFINITION__INIT;
    plain.id = (char *)"plain";
    Polos__V1__WorkflowDefinition flow = POLOS__V1__WORKFLOW_DEFINITION__INIT;
    flow.id = (char *)"flow";
    flow.trigger = &trigger;
    Polos__V1__WorkflowDefinition *flows[] = {&plain, &flow};
    Polos__V1__Hello proto = POLOS__V1__HELLO__INIT;
    Polos__V1__Offers offers = POLOS__V1__OFFERS__INIT;
    proto.protocol = HOST_PROTOCOL;
    proto.host_id = (char *)"h";
    proto.slots = 3;
    proto.offers = &offers;
    offers.workflows = flows;
    offers.n_workflows = COUNT_OF(flows);
    struct request *request = request_new(&hello_operation);
    struct check check = {.arena = &request->arena};
    Google__Protobuf__Duration timeout = GOOGLE__PROTOBUF__DURATION__INIT;
    timeout.seconds = 5;
    trigger.topic = (char *)"orders";
    trigger.batch_size = 20;
    trigger.batch_timeout = &timeout;
    assert_true(host_wire_hello(&check, &proto, request));
    assert_int_equal(hello_request(request)->trigger_count, 1);
    assert_true(str_is(hello_request(request)->triggers[0].workflow, "flow"));
    assert_true(str_is(hello_request(request)->triggers[0].topic, "orders"));
    assert_int_equal(hello_request(request)->triggers[0].batch_size, 20);
    assert_int_equal(hello_request(request)->triggers[0].batch_timeout_ms, 5000);
    timeout.seconds = -1;
    assert_false(host_wire_hello(&check, &proto, request));
    assert_true(str_is(check.error.field, "hello.offers.workflows[1].trigger.batch_timeout"));
    check.error = (struct failure){0};
    timeout.seconds = 5;
    trigger.batch_size = HOST_TRIGGER_BATCH_MAX + 1;
    assert_false(host_wire_hello(&check, &proto, request));
    assert_true(str_is(check.error.field, "hello.offers.workflows[1].trigger.batch_size"));
    check.error = (struct failure){0};
    trigger.topic = (char *)"";
    assert_false(host_wire_hello(&check, &proto, request));
    assert_true(str_is(check.error.field, "hello.offers.workflows[1].trigger.topic"));
    request_free(request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps),
        cmocka_unit_test(errors),
        cmocka_unit_test(ends),
        cmocka_unit_test(parks),
        cmocka_unit_test(says_what_code_saw_and_gave_up),
        cmocka_unit_test(keeps_what_stands_beside_a_value),
        cmocka_unit_test(says_that_a_try_failed),
        cmocka_unit_test(keeps_what_stands_beside_a_result),
        cmocka_unit_test(releases),
        cmocka_unit_test(deltas),
        cmocka_unit_test(envelopes),
        cmocka_unit_test(hello),
        cmocka_unit_test(triggers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
