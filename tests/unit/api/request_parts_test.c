/*
 * Goal:   what many requests hold (options, an agent's definition, an input) is taken as it was
 *         said, and what cannot be taken is refused by its field, at its bound and not before.
 * Method: messages made by hand, one member set in each row.
 */
#include <math.h>
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#include "service/api/definition.h"
#include "service/api/options.h"
#include "service/api/run_input.h"
#include "service/api/times.h"

static struct check check;
static struct arena arena;

static int begin(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    check = (struct check){.arena = &arena};
    return 0;
}

static int end(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

/* The field of what was refused last; empty: nothing was. The next one begins anew. */
static const char *refused(bool is_fine)
{
    const char *field = arena_cstr(&arena, check.error.field);
    assert_int_equal(check.error.code, is_fine ? CODE_OK : CODE_INVALID_ARGUMENT);
    check = (struct check){.arena = &arena, .json_bytes_max = check.json_bytes_max};
    return is_fine ? "" : field;
}

/* Of this length; good until the end of the test. */
static char *text_of_length(size_t len)
{
    char *text = arena_alloc(&arena, len + 1);
    memset(text, 'x', len);
    text[len] = '\0';
    return text;
}

static Google__Protobuf__Duration *length_of(int64_t ms)
{
    Google__Protobuf__Duration *length = arena_alloc(&arena, sizeof(*length));
    google__protobuf__duration__init(length);
    length->seconds = ms / 1000;
    length->nanos = (int32_t)(ms % 1000 * 1000000);
    return length;
}

/* ---- Options ---- */

static const char *options_refused(enum run_kind kind, const Polos__V1__StartOptions *proto)
{
    struct start_options taken;
    return refused(options_take(&check, "options.", kind, proto, &taken));
}

static void labels_are_bounded(void **state)
{
    (void)state;
    Polos__V1__StartOptions proto = POLOS__V1__START_OPTIONS__INIT;
    const struct {
        char **text;
        const char *field;
    } rows[] = {
        {&proto.idempotency_key, "options.idempotency_key"},
        {&proto.session_id, "options.session_id"},
        {&proto.user_id, "options.user_id"},
        {&proto.conversation_id, "options.conversation_id"},
        {&proto.concurrency_key, "options.concurrency_key"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        *rows[i].text = text_of_length(200);
        assert_string_equal(options_refused(RUN_KIND_WORKFLOW, &proto), "");
        *rows[i].text = text_of_length(201);
        assert_string_equal(options_refused(RUN_KIND_WORKFLOW, &proto), rows[i].field);
        *rows[i].text = (char *)"";
    }
}

static void options_of_one_kind_are_no_others(void **state)
{
    (void)state;
    static const enum run_kind kinds[] = {RUN_KIND_AGENT, RUN_KIND_WORKFLOW, RUN_KIND_TOOL};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        bool is_agent = kinds[i] == RUN_KIND_AGENT;
        Polos__V1__RetryPolicy retry = POLOS__V1__RETRY_POLICY__INIT;
        Polos__V1__StartOptions proto = POLOS__V1__START_OPTIONS__INIT;
        str provider;
        proto.initial_state_json = (char *)"{}";
        assert_string_equal(options_refused(kinds[i], &proto),
                            is_agent ? "options.initial_state_json" : "");
        proto.initial_state_json = (char *)"{";
        assert_string_equal(options_refused(kinds[i], &proto), "options.initial_state_json");
        proto.initial_state_json = (char *)"";
        proto.input_type = (char *)"Order";
        assert_string_equal(options_refused(kinds[i], &proto),
                            is_agent ? "options.input_type" : "");
        proto.input_type = (char *)"";
        proto.retry = &retry; /* Of none. */
        assert_string_equal(options_refused(kinds[i], &proto), "");
        retry.max_retries = 1;
        assert_string_equal(options_refused(kinds[i], &proto),
                            kinds[i] == RUN_KIND_WORKFLOW ? "" : "options.retry.max_retries");
        proto.retry = NULL;
        proto.provider_options_json = (char *)"{\"n\": 1}";
        assert_string_equal(
            refused(options_take_provider(&check, "options.", kinds[i], &proto, &provider)),
            is_agent ? "" : "options.provider_options_json");
        assert_true(!is_agent || str_is(provider, "{\"n\": 1}"));
    }
}

static void options_have_their_bounds(void **state)
{
    (void)state;
    Polos__V1__RetryPolicy retry = POLOS__V1__RETRY_POLICY__INIT;
    Polos__V1__StartOptions proto = POLOS__V1__START_OPTIONS__INIT;
    proto.retry = &retry;
    retry.max_retries = 100;
    assert_string_equal(options_refused(RUN_KIND_WORKFLOW, &proto), "");
    retry.max_retries = 101;
    assert_string_equal(options_refused(RUN_KIND_WORKFLOW, &proto), "options.retry.max_retries");
    proto.retry = NULL;
    proto.run_timeout = length_of(OPTIONS_TIMEOUT_MS_MAX);
    assert_string_equal(options_refused(RUN_KIND_TOOL, &proto), "");
    proto.run_timeout = length_of(OPTIONS_TIMEOUT_MS_MAX + 1);
    assert_string_equal(options_refused(RUN_KIND_TOOL, &proto), "options.run_timeout");
    proto.run_timeout = NULL;
    proto.input_type = text_of_length(4096);
    assert_string_equal(options_refused(RUN_KIND_TOOL, &proto), "");
    proto.input_type = text_of_length(4097);
    assert_string_equal(options_refused(RUN_KIND_TOOL, &proto), "options.input_type");
    proto.input_type = (char *)"";
    proto.queue = (char *)"a queue";
    assert_string_equal(options_refused(RUN_KIND_TOOL, &proto), "options.queue");
    proto.queue = (char *)"a-queue";
    char *state_json = text_of_length(OPTIONS_STATE_BYTES_MAX + 1);
    state_json[0] = '"';
    state_json[OPTIONS_STATE_BYTES_MAX] = '"';
    proto.initial_state_json = state_json;
    assert_string_equal(options_refused(RUN_KIND_TOOL, &proto), "options.initial_state_json");
    state_json[OPTIONS_STATE_BYTES_MAX - 1] = '"';
    state_json[OPTIONS_STATE_BYTES_MAX] = '\0';
    assert_string_equal(options_refused(RUN_KIND_TOOL, &proto), "");
    struct start_options taken = {.priority = 1};
    assert_true(options_take(&check, "", RUN_KIND_TOOL, NULL, &taken));
    assert_int_equal(taken.priority, 0);
    check.json_bytes_max = 8;
    str provider;
    proto.provider_options_json = (char *)"{\"n\": 1}";
    assert_string_equal(
        refused(options_take_provider(&check, "options.", RUN_KIND_AGENT, &proto, &provider)), "");
    proto.provider_options_json = (char *)"{\"n\": 12}";
    assert_string_equal(
        refused(options_take_provider(&check, "options.", RUN_KIND_AGENT, &proto, &provider)),
        "options.provider_options_json");
}

/* As they were said; no tries more, said or not, are two different things. */
static void options_are_shown_as_they_were_said(void **state)
{
    (void)state;
    Polos__V1__RetryPolicy retry = POLOS__V1__RETRY_POLICY__INIT;
    Polos__V1__StartOptions proto = POLOS__V1__START_OPTIONS__INIT;
    struct start_options taken;
    proto.idempotency_key = (char *)"k";
    proto.session_id = (char *)"s";
    proto.user_id = (char *)"u";
    proto.conversation_id = (char *)"c";
    proto.concurrency_key = (char *)"y";
    proto.queue = (char *)"q";
    proto.initial_state_json = (char *)"{\"a\": 1}";
    proto.input_type = (char *)"Order";
    proto.priority = -3;
    proto.run_timeout = length_of(1500);
    assert_true(options_take(&check, "", RUN_KIND_WORKFLOW, &proto, &taken));
    Polos__V1__StartOptions *shown = options_view(&taken, STR("{}"), &arena);
    assert_string_equal(shown->idempotency_key, "k");
    assert_string_equal(shown->session_id, "s");
    assert_string_equal(shown->user_id, "u");
    assert_string_equal(shown->conversation_id, "c");
    assert_string_equal(shown->concurrency_key, "y");
    assert_string_equal(shown->queue, "q");
    assert_string_equal(shown->initial_state_json, "{\"a\": 1}");
    assert_string_equal(shown->input_type, "Order");
    assert_string_equal(shown->provider_options_json, "{}");
    assert_int_equal(shown->priority, -3);
    assert_int_equal(shown->run_timeout->seconds, 1);
    assert_int_equal(shown->run_timeout->nanos, 500000000);
    assert_null(shown->retry);
    for (uint32_t retries = 0; retries < 3; retries++) {
        retry.max_retries = retries;
        proto.retry = &retry;
        assert_true(options_take(&check, "", RUN_KIND_WORKFLOW, &proto, &taken));
        shown = options_view(&taken, STR_EMPTY, &arena);
        assert_non_null(shown->retry);
        assert_int_equal(shown->retry->max_retries, retries);
    }
}

static str hashed(const struct start_options *options)
{
    struct buf buf = {0};
    options_hash(options, &buf);
    return buf_finish(&buf, &arena);
}

/* What a key stands for: all that makes a start another one. */
static void each_option_makes_another_start(void **state)
{
    (void)state;
    const struct start_options all[] = {
        {.timeout_ms = 0},        {.session_id = STR("a")},
        {.user_id = STR("a")},    {.conversation_id = STR("a")},
        {.timeout_ms = 1},        {.state.json = STR("1")},
        {.max_retries = 1},       {.max_retries = -1},
        {.queue = STR("a")},      {.concurrency_key = STR("a")},
        {.priority = 1},          {.priority = -1},
        {.input_type = STR("a")},
    };
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        for (size_t j = 0; j < COUNT_OF(all); j++) {
            assert_int_equal(str_equal(hashed(&all[i]), hashed(&all[j])), i == j);
        }
    }
}

/* ---- Definitions ---- */

static struct agent_definition definition;

static const char *agent_refused(const Polos__V1__AgentDefinition *proto)
{
    return refused(definition_take(&check, "agent.", proto, &definition));
}

static Polos__V1__AgentDefinition agent_of(Polos__V1__ModelSpec *model)
{
    Polos__V1__AgentDefinition agent = POLOS__V1__AGENT_DEFINITION__INIT;
    Polos__V1__ModelSpec **models = arena_alloc(&arena, 2 * sizeof(*models));
    polos__v1__model_spec__init(model);
    model->provider = (char *)"p";
    model->model = (char *)"m";
    models[0] = models[1] = model;
    agent.id = (char *)"a";
    agent.models = models;
    agent.n_models = 1;
    return agent;
}

static void a_definition_has_its_defaults(void **state)
{
    (void)state;
    Polos__V1__ModelSpec model;
    Polos__V1__AgentDefinition agent = agent_of(&model);
    assert_string_equal(agent_refused(&agent), "");
    assert_true(isnan(definition.temperature));
    assert_int_equal(definition.output_retries, AGENT_OUTPUT_RETRIES_DEFAULT);
    assert_int_equal(definition.max_steps, 0);
    assert_int_equal(definition.max_total_tokens, 0);
    agent._output_retries_case = POLOS__V1__AGENT_DEFINITION___OUTPUT_RETRIES_OUTPUT_RETRIES;
    agent.output_retries = 0;
    assert_string_equal(agent_refused(&agent), "");
    assert_int_equal(definition.output_retries, 0);
    agent.output_retries = 10;
    assert_string_equal(agent_refused(&agent), "");
    assert_int_equal(definition.output_retries, 10);
    agent.output_retries = 11;
    assert_string_equal(agent_refused(&agent), "agent.output_retries");
}

static void a_model_is_named_whole(void **state)
{
    (void)state;
    Polos__V1__ModelSpec model;
    Polos__V1__AgentDefinition agent = agent_of(&model);
    agent.n_models = 2;
    assert_string_equal(agent_refused(&agent), "agent.models");
    agent.n_models = 0;
    assert_string_equal(agent_refused(&agent), "agent.models");
    agent.n_models = 1;
    model.max_output_tokens = INT32_MAX;
    assert_string_equal(agent_refused(&agent), "");
    assert_int_equal(definition.max_output_tokens, INT32_MAX);
    model.max_output_tokens = (uint32_t)INT32_MAX + 1;
    assert_string_equal(agent_refused(&agent), "agent.models[0].max_output_tokens");
    model.max_output_tokens = 0;
    static const struct {
        double temperature;
        bool is_fine;
    } rows[] = {{0, true}, {2, true}, {-0.1, false}, {NAN, false}, {INFINITY, false}};
    model._temperature_case = POLOS__V1__MODEL_SPEC___TEMPERATURE_TEMPERATURE;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        model.temperature = rows[i].temperature;
        assert_string_equal(agent_refused(&agent),
                            rows[i].is_fine ? "" : "agent.models[0].temperature");
    }
    model._temperature_case = POLOS__V1__MODEL_SPEC___TEMPERATURE__NOT_SET;
    model.base_url = (char *)"https://h";
    model.options_json = (char *)"{}";
    assert_string_equal(agent_refused(&agent), "");
    assert_true(str_is(definition.base_url, "https://h"));
    assert_true(str_is(definition.options_json, "{}"));
    model.base_url = (char *)"ftp://h";
    assert_string_equal(agent_refused(&agent), "agent.models[0].base_url");
    model.base_url = (char *)"";
    model.options_json = (char *)"[]";
    assert_string_equal(agent_refused(&agent), "agent.models[0].options_json");
    model.options_json = (char *)"";
    model.provider = (char *)"";
    assert_string_equal(agent_refused(&agent), "agent.models[0].provider");
}

static void the_strictest_stop_counts(void **state)
{
    (void)state;
    Polos__V1__ModelSpec model;
    Polos__V1__AgentDefinition agent = agent_of(&model);
    Polos__V1__StopCondition conditions[33];
    Polos__V1__StopCondition *list[33];
    for (size_t i = 0; i < COUNT_OF(list); i++) {
        polos__v1__stop_condition__init(&conditions[i]);
        conditions[i].condition_case = POLOS__V1__STOP_CONDITION__CONDITION_MAX_TURNS;
        conditions[i].max_turns = 7;
        list[i] = &conditions[i];
    }
    agent.stop_conditions = list;
    agent.n_stop_conditions = 32;
    agent.max_turns = 9;
    assert_string_equal(agent_refused(&agent), "");
    assert_int_equal(definition.max_steps, 7);
    agent.max_turns = 5;
    assert_string_equal(agent_refused(&agent), "");
    assert_int_equal(definition.max_steps, 5);
    agent.n_stop_conditions = 33;
    assert_string_equal(agent_refused(&agent), "agent.stop_conditions");
    agent.n_stop_conditions = 2;
    conditions[1].max_turns = 0;
    assert_string_equal(agent_refused(&agent), "agent.stop_conditions[1].max_turns");
    conditions[1].max_turns = 1001;
    assert_string_equal(agent_refused(&agent), "agent.stop_conditions[1].max_turns");
    conditions[1].condition_case = POLOS__V1__STOP_CONDITION__CONDITION__NOT_SET;
    assert_string_equal(agent_refused(&agent), "agent.stop_conditions[1]");
    for (size_t i = 0; i < 2; i++) {
        conditions[i].condition_case = POLOS__V1__STOP_CONDITION__CONDITION_MAX_TOKENS;
        conditions[i].max_tokens = 5 - (int64_t)i;
    }
    assert_string_equal(agent_refused(&agent), "");
    assert_int_equal(definition.max_total_tokens, 4);
    conditions[1].max_tokens = 6;
    assert_string_equal(agent_refused(&agent), "");
    assert_int_equal(definition.max_total_tokens, 5);
    conditions[0].max_tokens = 0;
    assert_string_equal(agent_refused(&agent), "agent.stop_conditions[0].max_tokens");
    conditions[0].max_tokens = -1;
    assert_string_equal(agent_refused(&agent), "agent.stop_conditions[0].max_tokens");
    agent.n_stop_conditions = 0;
    agent.max_turns = 1000;
    assert_string_equal(agent_refused(&agent), "");
    agent.max_turns = 1001;
    assert_string_equal(agent_refused(&agent), "agent.max_turns");
}

static void tools_are_checked_one_by_one(void **state)
{
    (void)state;
    Polos__V1__ModelSpec model;
    Polos__V1__AgentDefinition agent = agent_of(&model);
    Polos__V1__ToolDefinition tools[AGENT_TOOLS_MAX + 1];
    Polos__V1__ToolDefinition *list[AGENT_TOOLS_MAX + 1];
    for (size_t i = 0; i < COUNT_OF(list); i++) {
        polos__v1__tool_definition__init(&tools[i]);
        tools[i].id = (char *)arena_printf(&arena, "t%zu", i).ptr;
        list[i] = &tools[i];
    }
    agent.tools = list;
    agent.n_tools = AGENT_TOOLS_MAX;
    tools[1].description = (char *)"d";
    tools[1].parameters_json = (char *)"{}";
    tools[1].timeout = length_of(OPTIONS_TIMEOUT_MS_MAX);
    tools[1].on_lost = POLOS__V1__LOST_CALL__LOST_CALL_UNKNOWN;
    tools[2].on_lost = POLOS__V1__LOST_CALL__LOST_CALL_REPEAT;
    assert_string_equal(agent_refused(&agent), "");
    assert_int_equal(definition.tool_count, AGENT_TOOLS_MAX);
    assert_true(str_is(definition.tools[1].name, "t1"));
    assert_true(str_is(definition.tools[1].description, "d"));
    assert_true(str_is(definition.tools[1].parameters_json, "{}"));
    assert_int_equal(definition.tools[1].timeout_ms, OPTIONS_TIMEOUT_MS_MAX);
    assert_true(definition.tools[1].at_most_once);
    assert_false(definition.tools[2].at_most_once || definition.tools[0].at_most_once);
    agent.n_tools = AGENT_TOOLS_MAX + 1;
    assert_string_equal(agent_refused(&agent), "agent.tools");
    agent.n_tools = 3;
    tools[1].timeout = length_of(OPTIONS_TIMEOUT_MS_MAX + 1);
    assert_string_equal(agent_refused(&agent), "agent.tools[1].timeout");
    tools[1].timeout = NULL;
    tools[1].on_lost = (Polos__V1__LostCall)77;
    assert_string_equal(agent_refused(&agent), "agent.tools[1].on_lost");
    tools[1].on_lost = POLOS__V1__LOST_CALL__LOST_CALL_UNSPECIFIED;
    tools[2].id = (char *)"t0";
    assert_string_equal(agent_refused(&agent), "agent.tools[2].id");
    tools[2].id = (char *)"t2";
    tools[2].parameters_json = (char *)"7";
    assert_string_equal(agent_refused(&agent), "agent.tools[2].parameters_json");
}

static void the_rest_of_an_agent_is_checked(void **state)
{
    (void)state;
    Polos__V1__ModelSpec model;
    Polos__V1__AgentDefinition agent = agent_of(&model);
    agent.description = (char *)"d";
    agent.system_prompt = (char *)"s";
    agent.queue = (char *)"q";
    agent.output_schema_json = (char *)"{\"type\": \"string\"}";
    assert_string_equal(agent_refused(&agent), "");
    assert_true(str_is(definition.description, "d"));
    assert_true(str_is(definition.system_prompt, "s"));
    assert_true(str_is(definition.queue, "q"));
    assert_true(str_is(definition.output_schema_json, "{\"type\": \"string\"}"));
    agent.output_schema_json = (char *)"{\"type\": \"text\"}";
    assert_string_equal(agent_refused(&agent), "agent.output_schema_json");
    agent.output_schema_json = (char *)"";
    agent.queue = (char *)"a queue";
    assert_string_equal(agent_refused(&agent), "agent.queue");
    agent.queue = (char *)"";
    agent.description = (char *)"\xff";
    assert_string_equal(agent_refused(&agent), "agent.description");
    agent.description = (char *)"";
    agent.id = (char *)"";
    assert_string_equal(agent_refused(&agent), "agent.id");
}

/* ---- Inputs ---- */

static str input_taken;

static const char *input_refused(enum run_kind kind, const struct run_input *input)
{
    return refused(run_input_take(&check, "", kind, input, &input_taken));
}

static void an_input_is_of_its_kind(void **state)
{
    (void)state;
    Polos__V1__Part part = POLOS__V1__PART__INIT;
    Polos__V1__Part *parts[] = {&part};
    Polos__V1__Message message = POLOS__V1__MESSAGE__INIT;
    Polos__V1__Message *messages[] = {&message};
    part.part_case = POLOS__V1__PART__PART_TEXT;
    part.text = (char *)"hi";
    message.parts = parts;
    message.n_parts = 1;
    const struct {
        enum run_kind kind;
        struct run_input input;
        const char *field; /* Of the refusal; empty: `taken` is what is kept. */
        const char *taken;
    } rows[] = {
        {RUN_KIND_AGENT, {.text = STR("a \"b\"")}, "", "\"a \\\"b\\\"\""},
        {RUN_KIND_AGENT, {.text = STR("a"), .json = STR("1")}, "input_json", ""},
        {RUN_KIND_AGENT, {.json = STR("1")}, "input_json", ""},
        {RUN_KIND_AGENT, {.text = STR("a"), .messages = messages, .message_count = 1}, "input", ""},
        {RUN_KIND_AGENT, {.text = STR_EMPTY}, "input", ""},
        {RUN_KIND_AGENT,
         {.messages = messages, .message_count = 1},
         "",
         "[{\"role\":\"user\",\"content\":\"hi\"}]"},
        {RUN_KIND_TOOL, {.json = STR("{\"a\": 1}")}, "", "{\"a\": 1}"},
        {RUN_KIND_TOOL, {.json = STR_EMPTY}, "", "null"},
        {RUN_KIND_WORKFLOW, {.json = STR("{")}, "input_json", ""},
        {RUN_KIND_WORKFLOW, {.text = STR("a")}, "input", ""},
        {RUN_KIND_TOOL, {.messages = messages, .message_count = 1}, "input", ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_string_equal(input_refused(rows[i].kind, &rows[i].input), rows[i].field);
        if (rows[i].field[0] == '\0') {
            assert_true(str_is(input_taken, rows[i].taken));
        }
    }
}

static void what_is_shown_to_an_agent_is_kept(void **state)
{
    (void)state;
    uint8_t bytes[] = {'h', 'i'};
    Polos__V1__Media media = POLOS__V1__MEDIA__INIT;
    Polos__V1__Part words = POLOS__V1__PART__INIT;
    Polos__V1__Part shown = POLOS__V1__PART__INIT;
    Polos__V1__Part *parts[] = {&words, &shown};
    Polos__V1__Message message = POLOS__V1__MESSAGE__INIT;
    Polos__V1__Message *messages[] = {&message};
    const struct run_input input = {.messages = messages, .message_count = 1};
    words.part_case = POLOS__V1__PART__PART_TEXT;
    words.text = (char *)"look";
    shown.part_case = POLOS__V1__PART__PART_MEDIA;
    shown.media = &media;
    message.parts = parts;
    message.n_parts = 2;
    media.source_case = POLOS__V1__MEDIA__SOURCE_DATA;
    media.data = (ProtobufCBinaryData){sizeof(bytes), bytes};
    media.media_type = (char *)"image/png";
    media.filename = (char *)"x.png";
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input), "");
    assert_true(str_is(input_taken,
                       "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"look\"},{"
                       "\"type\":\"media\",\"media_type\":\"image/png\",\"filename\":\"x.png\","
                       "\"data\":\"aGk=\"}]}]"));
    media.media_type = (char *)"";
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input),
                        "messages[0].parts[1].media.media_type");
    media.data.len = 0;
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input), "messages[0].parts[1].media.data");
    media.source_case = POLOS__V1__MEDIA__SOURCE__NOT_SET;
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input), "messages[0].parts[1].media.data");
    media.source_case = POLOS__V1__MEDIA__SOURCE_URL;
    media.url = (char *)"";
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input), "messages[0].parts[1].media.url");
    media.url = (char *)"https://h/x";
    media.filename = (char *)"";
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input), "");
    assert_true(str_is(input_taken,
                       "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"look\"},{"
                       "\"type\":\"media\",\"url\":\"https://h/x\"}]}]"));
    message.role = POLOS__V1__MESSAGE__ROLE__ROLE_ASSISTANT;
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input), "messages[0].parts[1].media");
    message.n_parts = 1;
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input), "");
    assert_true(str_is(input_taken, "[{\"role\":\"assistant\",\"content\":\"look\"}]"));
}

static void a_message_that_says_nothing_is_refused(void **state)
{
    (void)state;
    Polos__V1__Part part = POLOS__V1__PART__INIT;
    Polos__V1__Part **parts = arena_alloc(&arena, 1001 * sizeof(*parts));
    Polos__V1__Message message = POLOS__V1__MESSAGE__INIT;
    Polos__V1__Message **messages = arena_alloc(&arena, 1001 * sizeof(*messages));
    for (size_t i = 0; i < 1001; i++) {
        parts[i] = &part;
        messages[i] = &message;
    }
    struct run_input input = {.messages = messages, .message_count = 1};
    message.parts = parts;
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input), "messages[0].parts");
    message.n_parts = 1;
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input), "messages[0].parts[0].text");
    part.part_case = POLOS__V1__PART__PART_TEXT;
    part.text = (char *)"";
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input), "messages[0].parts[0].text");
    part.text = (char *)"a";
    message.n_parts = 1000;
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input), "");
    message.n_parts = 1001;
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input), "messages[0].parts");
    message.n_parts = 1;
    input.message_count = 1000;
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input), "");
    input.message_count = 1001;
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input), "messages");
    input.message_count = 2;
    message.origin = (char *)"p/m";
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input), "messages[0].origin");
    message.origin = (char *)"";
    message.role = (Polos__V1__Message__Role)4;
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input), "messages[0].role");
    message.role = (Polos__V1__Message__Role)-1;
    assert_string_equal(input_refused(RUN_KIND_AGENT, &input), "messages[0].role");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(labels_are_bounded),
        TEST(options_of_one_kind_are_no_others),
        TEST(options_have_their_bounds),
        TEST(options_are_shown_as_they_were_said),
        TEST(each_option_makes_another_start),
        TEST(a_definition_has_its_defaults),
        TEST(a_model_is_named_whole),
        TEST(the_strictest_stop_counts),
        TEST(tools_are_checked_one_by_one),
        TEST(the_rest_of_an_agent_is_checked),
        TEST(an_input_is_of_its_kind),
        TEST(what_is_shown_to_an_agent_is_kept),
        TEST(a_message_that_says_nothing_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
