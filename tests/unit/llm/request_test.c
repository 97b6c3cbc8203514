/*
 * Goal:   a conversation becomes the body that each server of the dialect accepts, and what is
 *         raw goes through byte for byte.
 * Method: small conversations and the whole expected body beside them.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/json.h"
#include "service/llm/openai_chat.h"
#include "service/llm/providers.h"

#define TAIL ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}"

static void check_body(const char *provider, const struct model_request *request,
                       const char *expected)
{
    struct buf body = {0};
    openai_chat_put_body(provider_find(str_of(provider)), request, &body);
    assert_true(json_is_object(buf_str(&body)));
    if (!str_is(buf_str(&body), expected)) {
        fail_msg("%s:\n     got " STR_FMT "\nexpected %s", provider, STR_ARG(buf_str(&body)),
                 expected);
    }
    buf_fini(&body);
}

static void test_settings(void **state)
{
    const struct model_tool tools[] = {
        {STR("f"), STR("does \"f\""), STR("{ \"const\":9007199254740993 }")},
        {STR("g"), STR(""), STR("")},
    };
    struct model_request request = {
        .model = STR("m"),
        .system = STR("S"),
        .tools = tools,
        .tool_count = 2,
        .temperature = 0.7,
        .max_output_tokens = 50,
        .output_schema_json = STR("{\"n\":1e400}"),
        .options_json = STR("{\"seed\":18446744073709551616,\"temperature\":null}"),
    };
    (void)state;
    check_body("openai_chat", &request,
               "{\"model\":\"m\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
               "\"description\":\"does \\\"f\\\"\",\"parameters\":{ \"const\":9007199254740993 }}},"
               "{\"type\":\"function\",\"function\":{\"name\":\"g\",\"parameters\":{\"type\":"
               "\"object\",\"properties\":{}}}}],\"messages\":[{\"role\":\"system\",\"content\":"
               "\"S\"}],\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":"
               "\"output\",\"schema\":{\"n\":1e400}}},\"max_completion_tokens\":50,\"stream\":true,"
               "\"stream_options\":{\"include_usage\":true},\"seed\":18446744073709551616,"
               "\"temperature\":null}");
}

static void test_servers_differ(void **state)
{
    struct model_request request = {
        .model = STR("m"),
        .temperature = NAN,
        .max_output_tokens = 5,
        .output_schema_json = STR("{}"),
    };
    (void)state;
    check_body("mistral", &request,
               "{\"model\":\"m\",\"messages\":[],\"response_format\":{\"type\":\"json_schema\","
               "\"json_schema\":{\"name\":\"output\",\"schema\":{}}},\"max_tokens\":5,"
               "\"stream\":true}");
    check_body("deepseek", &request,
               "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"Answer with one "
               "JSON object that matches this JSON Schema:\\n{}\"}],\"response_format\":{\"type\":"
               "\"json_object\"},\"max_tokens\":5" TAIL);
}

static void check_options(const char *provider, const char *options, const char *sent)
{
    struct model_request request = {
        .model = STR("m"), .temperature = NAN, .options_json = str_of(options)};
    bool streams = !str_is(str_of(provider), "mistral");
    struct buf expected = {0};
    buf_printf(&expected, "{\"model\":\"m\",\"messages\":[],\"stream\":true%s%s%s}",
               streams ? ",\"stream_options\":{\"include_usage\":true}" : "",
               *sent == '\0' ? "" : ",", sent);
    buf_put_char(&expected, '\0');
    check_body(provider, &request, expected.ptr);
    buf_fini(&expected);
}

static void test_effort_is_spelled_as_the_server_does(void **state)
{
    static const char asked[] =
        "{\"seed\": 9007199254740993,\"reasoning\":{\"effort\":\"medium\"}}";
    static const char *const flat[] = {
        "openai_chat", "azure",  "groq", "xai",      "deepseek", "mistral",
        "together",    "ollama", "vllm", "llamacpp", "lmstudio", "openai_compatible",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(flat); i++) {
        check_options(flat[i], asked, "\"seed\":9007199254740993,\"reasoning_effort\":\"medium\"");
    }
    check_options("openrouter", asked,
                  "\"seed\":9007199254740993,\"reasoning\":{\"effort\":\"medium\"}");
    check_options("openrouter", "{\"reasoning_effort\":\"low\"}", "\"reasoning_effort\":\"low\"");
    check_options("openai_chat", "{\"reasoning\":{\"effort\":\"low\"}}",
                  "\"reasoning_effort\":\"low\"");
    check_options("openai_chat",
                  "{\"reasoning\":{\"effort\":\"low\"},\"reasoning_effort\":\"high\"}",
                  "\"reasoning_effort\":\"high\"");
    check_options("openai_chat",
                  "{\"reasoning\":{\"effort\":\"x\"},\"reasoning\":{\"effort\":\"y\"}}",
                  "\"reasoning_effort\":\"y\"");
    check_options("openai_chat",
                  "{\"reasoning_effort\":\"low\",\"reasoning\":{\"effort\":\"high\"}}",
                  "\"reasoning_effort\":\"high\"");
    check_options("openai_chat", "{\"reasoning\":{\"max_tokens\":5}}",
                  "\"reasoning\":{\"max_tokens\":5}");
    check_options("openai_chat", "{\"reasoning\":null}", "\"reasoning\":null");
    check_options("openai_chat", "{}", "");
}

#define S(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    } /* STR() is no constant. */

static const struct model_block assistant_blocks[] = {
    {.kind = MODEL_BLOCK_REASONING,
     .text = S("why"),
     .raw = S("{\"reasoning_details\":[{\"n\":9007199254740993}]}")},
    {.kind = MODEL_BLOCK_TOOL_CALL,
     .call_id = S("call_1"),
     .name = S("f"),
     .arguments = S("{\"a\": \"\\ud83d\"}"),
     .raw = S("{\"extra_content\":{\"s\":\"x\"}}")},
    {.kind = MODEL_BLOCK_TOOL_CALL,
     .call_id = S("abcDEF123"),
     .name = S("g"),
     .arguments = S("{oops"),
     .arguments_invalid = true},
};
static const struct model_block result_blocks[] = {
    {.kind = MODEL_BLOCK_TOOL_RESULT, .call_id = S("call_1"), .name = S("f"), .text = S("1")},
    {.kind = MODEL_BLOCK_TOOL_RESULT, .call_id = S("abcDEF123"), .text = S("no JSON")},
};
static const struct model_block user_blocks[] = {
    {.kind = MODEL_BLOCK_TEXT, .text = S("a")},
    {.kind = MODEL_BLOCK_TEXT, .text = S("b")},
};

#define CALL_F                                                                                     \
    "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\": "              \
    "\\\"\\\\ud83d\\\"}\"}"
#define CALL_G                                                                                     \
    "\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":"                            \
    "\"{\\\"invalid_json\\\":\\\"{oops\\\"}\"}"
#define USER "{\"role\":\"user\",\"content\":\"a\\nb\"},"

static void check_history(const char *provider, const char *expected)
{
    const struct model_message messages[] = {
        {MODEL_ROLE_USER, user_blocks, 2, STR(""), false},
        {MODEL_ROLE_ASSISTANT, assistant_blocks, 3, STR("openrouter/m"), false},
        {MODEL_ROLE_TOOL, result_blocks, 2, STR(""), false},
    };
    struct model_request request = {
        .model = STR("m"), .messages = messages, .message_count = 3, .temperature = NAN};
    check_body(provider, &request, expected);
}

static void test_history(void **state)
{
    (void)state;
    check_history(
        "openrouter",
        "{\"model\":\"m\",\"messages\":[" USER
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
        "{\"id\":\"call_1\"," CALL_F ",\"extra_content\":{\"s\":\"x\"}},"
        "{\"id\":\"abcDEF123\"," CALL_G "}],"
        "\"reasoning_details\":[{\"n\":9007199254740993}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"1\"},"
        "{\"role\":\"tool\",\"tool_call_id\":\"abcDEF123\",\"content\":\"no JSON\"}]" TAIL);
    check_history(
        "openai_chat",
        "{\"model\":\"m\",\"messages\":[" USER
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
        "{\"id\":\"call_1\"," CALL_F "},{\"id\":\"abcDEF123\"," CALL_G "}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"call_1\",\"content\":\"1\"},"
        "{\"role\":\"tool\",\"tool_call_id\":\"abcDEF123\",\"content\":\"no JSON\"}]" TAIL);
}

static void test_reasoning_goes_back_where_it_must(void **state)
{
    const struct model_block blocks[] = {
        {.kind = MODEL_BLOCK_REASONING, .text = STR("why")},
        {.kind = MODEL_BLOCK_TEXT, .text = STR("so")},
    };
    struct model_message message = {MODEL_ROLE_ASSISTANT, blocks, 2, STR("deepseek/r"), false};
    struct model_request request = {
        .model = STR("m"), .messages = &message, .message_count = 1, .temperature = NAN};
    (void)state;
    check_body("deepseek", &request,
               "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":\"so\","
               "\"reasoning_content\":\"why\"}]" TAIL);
    message.origin = STR("openai/o3");
    check_body("deepseek", &request,
               "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":\"so\"}]" TAIL);
}

static void test_call_ids_fit_mistral(void **state)
{
    const struct model_message messages[] = {
        {MODEL_ROLE_ASSISTANT, assistant_blocks, 3, STR("openai/m"), false},
        {MODEL_ROLE_TOOL, result_blocks, 2, STR(""), false},
    };
    struct model_request request = {
        .model = STR("m"), .messages = messages, .message_count = 2, .temperature = NAN};
    struct buf body = {0};
    str sent;
    str message;
    str value;
    (void)state;
    openai_chat_put_body(provider_find(STR("mistral")), &request, &body);
    assert_true(json_object_get(buf_str(&body), STR("messages"), &sent));
    struct json_iterator elements = json_elements(sent);
    assert_true(json_next_element(&elements, &message));
    assert_true(json_object_get(message, STR("tool_calls"), &value));
    struct json_iterator calls = json_elements(value);
    str call;
    str call_id;
    str result_id;
    assert_true(json_next_element(&calls, &call));
    assert_true(json_object_get(call, STR("id"), &call_id));
    assert_int_equal(call_id.len, 9 + 2);
    assert_true(json_next_element(&elements, &message));
    assert_true(json_object_get(message, STR("tool_call_id"), &result_id));
    assert_true(str_equal(call_id, result_id));
    assert_true(json_next_element(&calls, &call));
    assert_true(json_object_get(call, STR("id"), &call_id));
    assert_true(str_is(call_id, "\"abcDEF123\""));
    buf_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_servers_differ),
        cmocka_unit_test(test_effort_is_spelled_as_the_server_does),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_reasoning_goes_back_where_it_must),
        cmocka_unit_test(test_call_ids_fit_mistral),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
