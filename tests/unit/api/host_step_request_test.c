/*
 * Goal:   what a task's code asks for means the same on the wire and in struct host_step_request,
 * and what makes no sense is named by its field, one row each. Method: orders made by hand; a good
 * one of each kind, and then everything that is wrong with it.
 */
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#include "service/api/host_step_request.h"
#include "service/api/options.h"

enum {
    JSON_BYTES_MAX = 100,
};

struct taken {
    struct arena arena;
    struct check check;
    struct host_step_request request;
};

static bool take(struct taken *ret, const Polos__V1__StepRequest *proto)
{
    memset(ret, 0, sizeof(*ret));
    arena_init(&ret->arena, 0);
    ret->check.arena = &ret->arena;
    ret->check.json_bytes_max = JSON_BYTES_MAX;
    bool is_fine = host_step_request_take(&ret->check, proto, &ret->request);
    assert_int_equal(is_fine, ret->check.error.code == CODE_OK);
    return is_fine;
}

static void fine(struct taken *ret, const Polos__V1__StepRequest *proto)
{
    if (!take(ret, proto)) {
        fail_msg(STR_FMT, STR_ARG(ret->check.error.message));
    }
}

static void fault(const Polos__V1__StepRequest *proto, const char *field, const char *sentence)
{
    struct taken taken;
    assert_false(take(&taken, proto));
    assert_int_equal(taken.check.error.code, CODE_INVALID_ARGUMENT);
    if (!str_is(taken.check.error.field, field)) {
        fail_msg("\"" STR_FMT "\" is blamed for %s", STR_ARG(taken.check.error.field), field);
    }
    char whole[300];
    snprintf(whole, sizeof(whole), "%s: %s", field, sentence);
    if (!str_is(taken.check.error.message, whole)) {
        fail_msg("says: " STR_FMT, STR_ARG(taken.check.error.message));
    }
    arena_fini(&taken.arena);
}

static char *text_of_len(size_t len)
{
    static char text[OPTIONS_STATE_BYTES_MAX + 2];
    assert_true(len < sizeof(text));
    memset(text, '1', len);
    text[len] = '\0';
    return text;
}

static const char lengths[] = "it is a length of 0.001 to 31557600000.000 seconds";

static void sleeps(void **state)
{
    (void)state;
    Polos__V1__Sleep sleep = POLOS__V1__SLEEP__INIT;
    Polos__V1__StepRequest order = POLOS__V1__STEP_REQUEST__INIT;
    order.request_case = POLOS__V1__STEP_REQUEST__REQUEST_SLEEP;
    order.sleep = &sleep;
    Google__Protobuf__Duration length = GOOGLE__PROTOBUF__DURATION__INIT;
    sleep.end_case = POLOS__V1__SLEEP__END_DURATION;
    sleep.duration = &length;
    length.seconds = 5;
    length.nanos = 1; /* What is left of a millisecond counts as one. */
    struct taken taken;
    fine(&taken, &order);
    assert_int_equal(taken.request.kind, STEP_REQUEST_SLEEP);
    assert_int_equal(taken.request.length_ms, 5001);
    assert_int_equal(taken.request.due_ms, 0);
    arena_fini(&taken.arena);
    length.seconds = -1;
    fault(&order, "step_request.sleep.duration", lengths);
    length.seconds = length.nanos = 0; /* Would mean for ever. */
    fault(&order, "step_request.sleep.duration", lengths);
    Google__Protobuf__Timestamp until = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    sleep.end_case = POLOS__V1__SLEEP__END_UNTIL;
    sleep.until = &until;
    until.seconds = 253402300799;
    fine(&taken, &order);
    assert_int_equal(taken.request.due_ms, 253402300799000);
    assert_int_equal(taken.request.length_ms, 0);
    arena_fini(&taken.arena);
    until.seconds++;
    fault(&order, "step_request.sleep.until", "it is an instant from 1970 to 9999");
    until.seconds = 0;
    fault(&order, "step_request.sleep.until", "it is after the year 1970 began");
    sleep.end_case = POLOS__V1__SLEEP__END__NOT_SET;
    fault(&order, "step_request.sleep", "set duration or until");
    order.request_case = POLOS__V1__STEP_REQUEST__REQUEST__NOT_SET;
    fault(&order, "step_request",
          "set one of sleep, suspend, start_runs, await_event, publish and resume, as this "
          "server's protos have them");
}

static void suspends(void **state)
{
    (void)state;
    Polos__V1__Suspend suspend = POLOS__V1__SUSPEND__INIT;
    Polos__V1__StepRequest order = POLOS__V1__STEP_REQUEST__INIT;
    order.request_case = POLOS__V1__STEP_REQUEST__REQUEST_SUSPEND;
    order.suspend = &suspend;
    suspend.data_json = (char *)"{\"ask\":  1}";
    Google__Protobuf__Duration length = GOOGLE__PROTOBUF__DURATION__INIT;
    length.nanos = 77000000;
    suspend.timeout = &length;
    struct taken taken;
    fine(&taken, &order);
    assert_int_equal(taken.request.kind, STEP_REQUEST_SUSPENSION);
    assert_true(str_is(taken.request.data, suspend.data_json)); /* Byte for byte. */
    assert_int_equal(taken.request.length_ms, 77);
    arena_fini(&taken.arena);
    suspend.data_json = (char *)"";
    suspend.timeout = NULL;
    fine(&taken, &order);
    assert_true(str_is(taken.request.data, "null"));
    assert_int_equal(taken.request.length_ms, 0);
    arena_fini(&taken.arena);
    suspend.answer_schema_json = (char *)"{\"type\": \"string\"}";
    fine(&taken, &order);
    assert_true(str_is(taken.request.answer_schema, suspend.answer_schema_json));
    arena_fini(&taken.arena);
    suspend.answer_schema_json = (char *)"{\"type\":\"text\"}";
    fault(&order, "step_request.suspend.answer_schema_json",
          "#/type: must be null, boolean, integer, number, string, array or object");
    suspend.answer_schema_json = (char *)"";
    suspend.timeout = &length;
    length.seconds = -5;
    fault(&order, "step_request.suspend.timeout", lengths);
    suspend.data_json = text_of_len(JSON_BYTES_MAX + 1);
    fault(&order, "step_request.suspend.data_json", "it has 101 bytes, the limit is 100");
}

static void awaits(void **state)
{
    (void)state;
    Polos__V1__AwaitEvent await = POLOS__V1__AWAIT_EVENT__INIT;
    Polos__V1__StepRequest order = POLOS__V1__STEP_REQUEST__INIT;
    order.request_case = POLOS__V1__STEP_REQUEST__REQUEST_AWAIT_EVENT;
    order.await_event = &await;
    await.topic = (char *)"orders/eu";
    await.event_type = (char *)"created";
    Google__Protobuf__Duration length = GOOGLE__PROTOBUF__DURATION__INIT;
    length.seconds = 5;
    await.timeout = &length;
    struct taken taken;
    fine(&taken, &order);
    assert_int_equal(taken.request.kind, STEP_REQUEST_EVENT);
    assert_true(str_is(taken.request.topic, "orders/eu"));
    assert_true(str_is(taken.request.event_type, "created"));
    assert_int_equal(taken.request.length_ms, 5000);
    arena_fini(&taken.arena);
    length.nanos = -1;
    fault(&order, "step_request.await_event.timeout", lengths);
    length.nanos = 1000000000; /* A second more, said in the wrong field. */
    fault(&order, "step_request.await_event.timeout", lengths);
    length.nanos = 999999999;
    fine(&taken, &order);
    assert_int_equal(taken.request.length_ms, 6000);
    arena_fini(&taken.arena);
    await.event_type = text_of_len(CHECK_EVENT_TYPE_BYTES_MAX + 1);
    fault(&order, "step_request.await_event.event_type", "it has 201 bytes, the limit is 200");
    await.topic = text_of_len(CHECK_TOPIC_BYTES_MAX + 1);
    fault(&order, "step_request.await_event.topic", "it has 513 bytes, the limit is 512");
    await.topic = (char *)"";
    fault(&order, "step_request.await_event.topic", "it is required");
}

static void publishes(void **state)
{
    (void)state;
    Polos__V1__Publish publish = POLOS__V1__PUBLISH__INIT;
    Polos__V1__StepRequest order = POLOS__V1__STEP_REQUEST__INIT;
    order.request_case = POLOS__V1__STEP_REQUEST__REQUEST_PUBLISH;
    order.publish = &publish;
    publish.topic = (char *)"t";
    publish.data_json = (char *)"[]";
    struct taken taken;
    fine(&taken, &order);
    assert_int_equal(taken.request.kind, STEP_REQUEST_PUBLISH);
    assert_true(str_is(taken.request.topic, "t"));
    assert_true(str_is(taken.request.data, "[]"));
    arena_fini(&taken.arena);
    publish.data_json = text_of_len(JSON_BYTES_MAX + 1);
    fault(&order, "step_request.publish.data_json", "it has 101 bytes, the limit is 100");
    publish.event_type = text_of_len(CHECK_EVENT_TYPE_BYTES_MAX + 1);
    fault(&order, "step_request.publish.event_type", "it has 201 bytes, the limit is 200");
    publish.topic = (char *)"";
    fault(&order, "step_request.publish.topic", "it is required");
}

static void resumes(void **state)
{
    (void)state;
    Polos__V1__Resume resume = POLOS__V1__RESUME__INIT;
    Polos__V1__StepRequest order = POLOS__V1__STEP_REQUEST__INIT;
    order.request_case = POLOS__V1__STEP_REQUEST__REQUEST_RESUME;
    order.resume = &resume;
    resume.run_id = (char *)"01020304-0506-7708-890a-0b0c0d0e0f10";
    resume.step_key = (char *)"approve";
    resume.data_json = (char *)"true";
    struct taken taken;
    fine(&taken, &order);
    assert_int_equal(taken.request.kind, STEP_REQUEST_RESUME);
    assert_int_equal(taken.request.run.bytes[15], 16);
    assert_true(str_is(taken.request.step_key, "approve"));
    assert_true(str_is(taken.request.data, "true"));
    arena_fini(&taken.arena);
    resume.suspension_id = (char *)"01020304-0506-7708-890a-0b0c0d0e0f10.7";
    const char *both = "pass it, or run_id and step_key, but not both";
    fault(&order, "step_request.resume.suspension_id", both);
    resume.step_key = (char *)"";
    fault(&order, "step_request.resume.suspension_id", both);
    resume.step_key = (char *)"approve";
    resume.run_id = (char *)"";
    fault(&order, "step_request.resume.suspension_id", both);
    resume.step_key = (char *)"";
    fine(&taken, &order);
    assert_int_equal(taken.request.run.bytes[15], 16);
    arena_fini(&taken.arena);
    resume.suspension_id = (char *)"01020304-0506-7708-890a-0b0c0d0e0f10.0";
    fault(&order, "step_request.resume.suspension_id",
          "pass the id of a suspension as it is listed");
    resume.suspension_id = (char *)"";
    resume.run_id = (char *)"01020304-0506-7708-890a-0b0c0d0e0f10";
    resume.step_key = text_of_len(CHECK_STEP_KEY_BYTES_MAX + 1);
    fault(&order, "step_request.resume.step_key", "it has 513 bytes, the limit is 512");
    resume.step_key = (char *)"";
    fault(&order, "step_request.resume.step_key", "it is required");
    resume.run_id = (char *)"7";
    fault(&order, "step_request.resume.run_id",
          "it is no UUID; pass it as a start call or a list answered it");
}

/* An order of three children: an agent, a workflow and a tool. */
struct family {
    Polos__V1__StartOptions options;
    Polos__V1__StartOptions agent_options;
    Google__Protobuf__Duration timeout;
    Polos__V1__RetryPolicy retry;
    Polos__V1__RunSpec specs[3];
    Polos__V1__RunSpec *children[3];
    Polos__V1__StartRuns start;
    Polos__V1__StepRequest order;
};

static void family_init(struct family *family)
{
    static const Polos__V1__RunKind kinds[] = {
        POLOS__V1__RUN_KIND__RUN_KIND_AGENT,
        POLOS__V1__RUN_KIND__RUN_KIND_WORKFLOW,
        POLOS__V1__RUN_KIND__RUN_KIND_TOOL,
    };
    polos__v1__start_options__init(&family->options);
    polos__v1__start_options__init(&family->agent_options);
    google__protobuf__duration__init(&family->timeout);
    polos__v1__retry_policy__init(&family->retry);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        polos__v1__run_spec__init(&family->specs[i]);
        family->specs[i].kind = kinds[i];
        family->specs[i].name = (char *)"child";
        family->children[i] = &family->specs[i];
    }
    family->specs[0].input = (char *)"hello";
    family->specs[0].options = &family->agent_options;
    family->specs[1].options = &family->options;
    polos__v1__start_runs__init(&family->start);
    family->start.runs = family->children;
    family->start.n_runs = COUNT_OF(kinds);
    polos__v1__step_request__init(&family->order);
    family->order.request_case = POLOS__V1__STEP_REQUEST__REQUEST_START_RUNS;
    family->order.start_runs = &family->start;
}

static void invokes(void **state)
{
    (void)state;
    struct family family;
    family_init(&family);
    family.agent_options.provider_options_json = (char *)"{\"top_p\": 1}";
    family.specs[2].input_json = (char *)"{\"n\":  1}";
    family.timeout.nanos = 9000000;
    family.options.run_timeout = &family.timeout;
    family.options.session_id = (char *)"s";
    family.options.user_id = (char *)"u";
    family.options.conversation_id = (char *)"c";
    family.options.idempotency_key = (char *)"ignored";
    family.options.initial_state_json = (char *)"{}";
    family.options.retry = &family.retry; /* Of 0: none at all. */
    family.start.wait = true;
    struct taken taken;
    fine(&taken, &family.order);
    assert_int_equal(taken.request.kind, STEP_REQUEST_START);
    assert_true(taken.request.waits);
    assert_int_equal(taken.request.child_count, 3);
    const struct host_child *children = taken.request.children;
    assert_int_equal(children[0].kind, RUN_KIND_AGENT);
    assert_true(str_is(children[0].input, "\"hello\""));
    assert_true(str_is(children[0].provider_options, "{\"top_p\": 1}"));
    assert_int_equal(children[1].kind, RUN_KIND_WORKFLOW);
    assert_true(str_is(children[1].name, "child"));
    assert_true(str_is(children[1].input, "null"));
    assert_int_equal(children[1].options.timeout_ms, 9);
    assert_true(str_is(children[1].options.session_id, "s"));
    assert_true(str_is(children[1].options.user_id, "u"));
    assert_true(str_is(children[1].options.conversation_id, "c"));
    assert_true(str_is(children[1].options.state.json, "{}"));
    assert_int_equal(children[1].options.max_retries, -1);
    assert_int_equal(children[1].options.idempotency_key.len, 0);
    assert_int_equal(children[2].kind, RUN_KIND_TOOL);
    assert_true(str_is(children[2].input, "{\"n\":  1}"));
    assert_int_equal(children[2].options.timeout_ms, 0);
    arena_fini(&taken.arena);
}

static void how_many_children(void **state)
{
    (void)state;
    static Polos__V1__RunSpec *many[HOST_CHILDREN_MAX + 1];
    struct family family;
    family_init(&family);
    for (size_t i = 0; i < COUNT_OF(many); i++) {
        many[i] = &family.specs[1];
    }
    family.start.runs = many;
    family.start.n_runs = HOST_CHILDREN_MAX;
    struct taken taken;
    fine(&taken, &family.order);
    assert_int_equal(taken.request.child_count, HOST_CHILDREN_MAX);
    assert_false(taken.request.waits);
    arena_fini(&taken.arena);
    family.start.n_runs = HOST_CHILDREN_MAX + 1;
    fault(&family.order, "step_request.start_runs.runs", "1001 is not in 1 to 1000");
    family.start.n_runs = 0;
    fault(&family.order, "step_request.start_runs.runs", "0 is not in 1 to 1000");
}

static void bad_children(void **state)
{
    (void)state;
    struct family family;
    family_init(&family);
    family.specs[0].kind = POLOS__V1__RUN_KIND__RUN_KIND_UNSPECIFIED;
    fault(&family.order, "step_request.start_runs.runs[0].kind",
          "0 is none; use RUN_KIND_WORKFLOW, RUN_KIND_TOOL or RUN_KIND_AGENT");
    family.specs[0].kind = (Polos__V1__RunKind)4;
    fault(&family.order, "step_request.start_runs.runs[0].kind",
          "4 is none; use RUN_KIND_WORKFLOW, RUN_KIND_TOOL or RUN_KIND_AGENT");
    family_init(&family);
    family.specs[1].name = (char *)"a flow";
    fault(&family.order, "step_request.start_runs.runs[1].name",
          "\"a flow\" is no name: use 1 to 128 letters, digits, '_', '-' or '.'");
    family.specs[0].input = (char *)""; /* An agent has to be told something. */
    fault(&family.order, "step_request.start_runs.runs[0].input",
          "it is required: say something in input or messages");
    family.specs[0].input_json = (char *)"1";
    fault(&family.order, "step_request.start_runs.runs[0].input_json",
          "leave it empty: say something to an agent in input or messages");
    family_init(&family);
    family.specs[1].input = (char *)"hello";
    fault(&family.order, "step_request.start_runs.runs[1].input",
          "leave it empty: what is no agent is started with input_json");
    family_init(&family);
    family.specs[2].input_json = text_of_len(JSON_BYTES_MAX + 1);
    fault(&family.order, "step_request.start_runs.runs[2].input_json",
          "it has 101 bytes, the limit is 100");
    family.options.provider_options_json = (char *)"{}";
    fault(&family.order, "step_request.start_runs.runs[1].options.provider_options_json",
          "leave it empty: only agents have provider options");
    family.agent_options.provider_options_json = (char *)"[]";
    fault(&family.order, "step_request.start_runs.runs[0].options.provider_options_json",
          "it has to be a JSON object, such as {\"top_p\": 0.9}");
}

static void bad_options(void **state)
{
    (void)state;
    struct family family;
    family_init(&family);
    family.options.retry = &family.retry;
    family.retry.max_retries = OPTIONS_RETRIES_MAX + 1;
    fault(&family.order, "step_request.start_runs.runs[1].options.retry.max_retries",
          "101 is not in 0 to 100");
    family.options.input_type = (char *)text_of_len(CHECK_VALUE_TYPE_BYTES_MAX + 1);
    fault(&family.order, "step_request.start_runs.runs[1].options.input_type",
          "it has 4097 bytes, the limit is 4096");
    family.options.initial_state_json = text_of_len(OPTIONS_STATE_BYTES_MAX + 1);
    fault(&family.order, "step_request.start_runs.runs[1].options.initial_state_json",
          "it has 1048577 bytes, the limit is 1048576");
    family.options.run_timeout = &family.timeout;
    family.timeout.seconds = -1;
    fault(&family.order, "step_request.start_runs.runs[1].options.run_timeout",
          "it is a length of 0.000 to 31622400.000 seconds");
    family.options.user_id = (char *)text_of_len(CHECK_LABEL_BYTES_MAX + 1);
    fault(&family.order, "step_request.start_runs.runs[1].options.user_id",
          "it has 201 bytes, the limit is 200");
    family_init(&family);
    family.specs[0].options = &family.options;
    family.options.initial_state_json = (char *)"{}";
    fault(&family.order, "step_request.start_runs.runs[0].options.initial_state_json",
          "leave it empty: agents have no state");
    family.options.initial_state_json = (char *)"";
    family.options.input_type = (char *)"py:shop:Order";
    fault(&family.order, "step_request.start_runs.runs[0].options.input_type",
          "leave it empty: what is said to an agent is text");
    family.options.input_type = (char *)"";
    family.specs[0].options = NULL;
    family.specs[2].options = &family.options;
    family.options.retry = &family.retry;
    family.retry.max_retries = 1;
    fault(&family.order, "step_request.start_runs.runs[2].options.retry.max_retries",
          "leave it 0: only workflows are tried again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sleeps),       cmocka_unit_test(suspends),
        cmocka_unit_test(awaits),       cmocka_unit_test(publishes),
        cmocka_unit_test(resumes),      cmocka_unit_test(invokes),
        cmocka_unit_test(bad_children), cmocka_unit_test(how_many_children),
        cmocka_unit_test(bad_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
