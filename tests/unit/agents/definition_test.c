/*
 * Goal:   a bad definition is refused under the path of its field; a good one comes back as it
 *         was, and equal ones have equal hashes.
 * Method: one change at a time to a full definition.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/agents/definition.h"

static struct tool_definition tools[2];
static struct tool_definition many[AGENT_TOOLS_MAX + 1];

static struct callback hooks[ENGINE_CALLBACKS_MAX + 1];

static struct agent_definition full(void)
{
    hooks[0] = (struct callback){
        .phase = CALLBACK_TOOL_END, .name = STR("on_tool_end.log.0"), .timeout_ms = 1500};
    hooks[1] = (struct callback){.phase = CALLBACK_RUN_START, .name = STR("on_start.check.0")};
    tools[0] = (struct tool_definition){.name = STR("get_weather"),
                                        .description = STR("Weather of a city."),
                                        .parameters_json = STR("{\"type\":\"object\" }"),
                                        .timeout_ms = 5000,
                                        .at_most_once = true};
    tools[1] = (struct tool_definition){.name = STR("now")};
    return (struct agent_definition){.id = STR("weather-agent.v2"),
                                     .description = STR("d"),
                                     .provider = STR("openai"),
                                     .model = STR("gpt-4o-mini"),
                                     .system_prompt = STR("Be \xc3\xa9xact."),
                                     .tools = tools,
                                     .tool_count = 2,
                                     .temperature = 0,
                                     .max_output_tokens = 100,
                                     .base_url = STR("http://localhost:1"),
                                     .options_json = STR("{\"seed\": 1}"),
                                     .max_steps = 7,
                                     .max_total_tokens = 1ull << 40,
                                     .output_schema_json = STR("{}"),
                                     .output_retries = 3,
                                     .callbacks = hooks,
                                     .callback_count = 2};
}

static void refused(const struct agent_definition *definition, const char *field)
{
    const char *actual = "";
    struct arena arena;
    arena_init(&arena, 0);
    status outcome = agent_definition_check(definition, &arena, &actual);
    assert_int_equal(outcome.code, CODE_INVALID_ARGUMENT);
    assert_string_equal(actual, field);
    assert_true(strncmp(outcome.why, field, strlen(field)) == 0);
    assert_true(strlen(outcome.why) > strlen(field) + 5);
    arena_fini(&arena);
}

static void test_accepts_what_is_right(void **state)
{
    struct agent_definition definition = full();
    const char *field = NULL;
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    assert_int_equal(agent_definition_check(&definition, &arena, &field).code, CODE_OK);
    definition = (struct agent_definition){
        .id = STR("a"), .provider = STR("scripted"), .model = STR("m"), .temperature = NAN};
    assert_int_equal(agent_definition_check(&definition, &arena, &field).code, CODE_OK);
    assert_null(field);
    arena_fini(&arena);
}

static void test_refuses_bad_texts(void **state)
{
    static const struct {
        const char *field;
        size_t offset;
        str value;
    } rows[] = {
        {"id", offsetof(struct agent_definition, id), {"", 0}},
        {"id", offsetof(struct agent_definition, id), {"a b", 3}},
        {"id", offsetof(struct agent_definition, id), {"a\0b", 3}},
        {"description", offsetof(struct agent_definition, description), {"\xff", 1}},
        {"models[0].provider", offsetof(struct agent_definition, provider), {"", 0}},
        {"models[0].model", offsetof(struct agent_definition, model), {"", 0}},
        {"models[0].model", offsetof(struct agent_definition, model), {"\xc3", 1}},
        {"system_prompt", offsetof(struct agent_definition, system_prompt), {"\xed\xa0\x80", 3}},
        {"models[0].base_url", offsetof(struct agent_definition, base_url), {"ftp://x", 7}},
        {"models[0].options_json", offsetof(struct agent_definition, options_json), {"[1]", 3}},
        {"models[0].options_json", offsetof(struct agent_definition, options_json), {"{", 1}},
        {"output_schema_json", offsetof(struct agent_definition, output_schema_json), {"1", 1}},
        {"output_schema_json",
         offsetof(struct agent_definition, output_schema_json),
         {"{\"$dynamicRef\":\"#a\"}", 22}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct agent_definition definition = full();
        *(str *)((char *)&definition + rows[i].offset) = rows[i].value;
        refused(&definition, rows[i].field);
    }
}

static void test_refuses_bad_numbers_and_tools(void **state)
{
    struct agent_definition definition = full();
    (void)state;
    definition.temperature = -0.5;
    refused(&definition, "models[0].temperature");
    definition.temperature = INFINITY;
    refused(&definition, "models[0].temperature");
    definition = full();
    definition.max_steps = AGENT_STEPS_MAX + 1;
    refused(&definition, "max_turns");
    definition = full();
    tools[1].name = STR("");
    refused(&definition, "tools[1].id");
    definition = full();
    tools[1].name = STR("shop.order"); /* No provider takes it, nor one of 65 bytes. */
    refused(&definition, "tools[1].id");
    definition = full();
    str long_name = STR("a123456789b123456789c123456789d123456789e123456789f123456789g1234");
    tools[1].name = str_make(long_name.ptr, 64);
    assert_true(tool_name_is_valid(tools[1].name));
    tools[1].name = long_name;
    refused(&definition, "tools[1].id");
    definition = full();
    tools[1].name = tools[0].name;
    refused(&definition, "tools[1].id");
    definition = full();
    tools[0].parameters_json = STR("{\"a\":}");
    refused(&definition, "tools[0].parameters_json");
    definition = full();
    tools[0].parameters_json = STR("\"x\"");
    refused(&definition, "tools[0].parameters_json");
    definition.tools = many;
    definition.tool_count = COUNT_OF(many);
    refused(&definition, "tools");
}

static void test_refuses_bad_hooks(void **state)
{
    struct agent_definition definition = full();
    (void)state;
    hooks[1].name = STR("on start");
    refused(&definition, "hooks[1].callback.name");
    definition = full();
    definition.callback_count = ENGINE_CALLBACKS_MAX + 1;
    refused(&definition, "hooks");
}

static void test_refuses_bad_guardrails(void **state)
{
    struct agent_definition definition = full();
    (void)state;
    hooks[1] = (struct callback){.phase = CALLBACK_REPLY, .name = STR("not a name")};
    refused(&definition, "guardrails[0].callback.name");
    hooks[1] = (struct callback){.phase = CALLBACK_REPLY, .prompt = STR("\xff")};
    refused(&definition, "guardrails[0].prompt");
    hooks[1].prompt = STR("Be kind.");
    definition.guardrail_retries = ENGINE_GUARDRAIL_RETRIES_MAX + 1;
    refused(&definition, "guardrail_max_retries");
    definition.guardrail_retries = 0;
    for (size_t i = 1; i < ENGINE_GUARDRAILS_MAX + 2; i++) {
        hooks[i] = hooks[1];
    }
    definition.callback_count = ENGINE_GUARDRAILS_MAX + 2;
    refused(&definition, "guardrails");
}

static void test_comes_back_as_it_was(void **state)
{
    struct agent_definition definition = full();
    struct agent_definition back;
    struct buf bytes = {0};
    struct buf again = {0};
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    agent_definition_encode(&definition, &bytes);
    assert_int_equal(agent_definition_decode(buf_str(&bytes), &arena, &back).code, CODE_OK);
    assert_true(str_equal(back.id, definition.id));
    assert_true(str_equal(back.description, definition.description));
    assert_true(str_equal(back.provider, definition.provider));
    assert_true(str_equal(back.model, definition.model));
    assert_true(str_equal(back.system_prompt, definition.system_prompt));
    assert_true(str_equal(back.base_url, definition.base_url));
    assert_true(str_equal(back.options_json, definition.options_json));
    assert_true(str_equal(back.output_schema_json, definition.output_schema_json));
    assert_int_equal(back.output_retries, 3);
    assert_true(back.temperature == 0);
    assert_int_equal(back.max_output_tokens, 100);
    assert_int_equal(back.max_steps, 7);
    assert_true(back.max_total_tokens == 1ull << 40);
    assert_int_equal(back.tool_count, 2);
    assert_true(str_equal(back.tools[0].name, tools[0].name));
    assert_true(str_equal(back.tools[0].description, tools[0].description));
    assert_true(str_equal(back.tools[0].parameters_json, tools[0].parameters_json));
    assert_int_equal(back.tools[0].timeout_ms, 5000);
    assert_true(back.tools[0].at_most_once);
    assert_false(back.tools[1].at_most_once);
    assert_int_equal(back.callback_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(back.callbacks[i].phase, hooks[i].phase);
        assert_true(str_equal(back.callbacks[i].name, hooks[i].name));
        assert_int_equal(back.callbacks[i].timeout_ms, hooks[i].timeout_ms);
    }
    agent_definition_encode(&back, &again);
    assert_true(str_equal(buf_str(&bytes), buf_str(&again)));
    definition.temperature = NAN;
    buf_reset(&bytes);
    agent_definition_encode(&definition, &bytes);
    assert_int_equal(agent_definition_decode(buf_str(&bytes), &arena, &back).code, CODE_OK);
    assert_true(isnan(back.temperature));
    arena_fini(&arena);
    buf_fini(&again);
    buf_fini(&bytes);
}

static void test_hash_names_the_bytes(void **state)
{
    struct agent_definition definition = full();
    struct buf bytes = {0};
    uint8_t first[16];
    uint8_t second[16];
    (void)state;
    agent_definition_encode(&definition, &bytes);
    agent_definition_hash(buf_str(&bytes), first);
    agent_definition_hash(buf_str(&bytes), second);
    assert_memory_equal(first, second, sizeof(first));
    buf_reset(&bytes);
    tools[0].timeout_ms++;
    agent_definition_encode(&definition, &bytes);
    agent_definition_hash(buf_str(&bytes), second);
    assert_memory_not_equal(first, second, sizeof(first));
    buf_fini(&bytes);
}

static void test_refuses_damaged_bytes(void **state)
{
    struct agent_definition definition = full();
    struct agent_definition back;
    struct buf bytes = {0};
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    agent_definition_encode(&definition, &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        char *exact = xmalloc(len > 0 ? len : 1);
        memcpy(exact, bytes.ptr, len);
        status outcome = agent_definition_decode((str){exact, len}, &arena, &back);
        assert_true(outcome.code == CODE_OK || outcome.code == CODE_DATA_LOSS);
        free(exact);
    }
    assert_int_equal(agent_definition_decode(STR("\x0a\x05x"), &arena, &back).code, CODE_DATA_LOSS);
    buf_reset(&bytes);
    for (int i = 0; i <= AGENT_TOOLS_MAX; i++) {
        buf_put(&bytes, STR("\x32\0"));
    }
    assert_int_equal(agent_definition_decode(buf_str(&bytes), &arena, &back).code, CODE_DATA_LOSS);
    arena_fini(&arena);
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts_what_is_right),
        cmocka_unit_test(test_refuses_bad_texts),
        cmocka_unit_test(test_refuses_bad_numbers_and_tools),
        cmocka_unit_test(test_refuses_bad_hooks),
        cmocka_unit_test(test_refuses_bad_guardrails),
        cmocka_unit_test(test_comes_back_as_it_was),
        cmocka_unit_test(test_hash_names_the_bytes),
        cmocka_unit_test(test_refuses_damaged_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
