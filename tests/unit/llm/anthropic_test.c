/*
 * Goal:   the Messages dialect gives the reply that was meant, keeps what must go back unchanged,
 *         and sends conversations that the provider takes.
 * Method: small responses and their outcome as one line, however the bytes are cut; small
 *         conversations and the whole body beside them.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/json.h"
#include "service/llm/anthropic.h"
#include "tests/unit/llm/shapes.h"

#define START                                                                                      \
    "{\"type\":\"message_start\",\"message\":{\"id\":\"i\",\"model\":\"m\",\"usage\":{"            \
    "\"input_tokens\":3,\"cache_read_input_tokens\":2,\"output_tokens\":1}}}"
#define BEGIN(index, block)                                                                        \
    "{\"type\":\"content_block_start\",\"index\":" index ",\"content_block\":" block "}"
#define DELTA(index, type, name, text)                                                             \
    "{\"type\":\"content_block_delta\",\"index\":" index ",\"delta\":{\"type\":\"" type            \
    "\",\"" name "\":\"" text "\"}}"
#define TEXT(index, text) DELTA(index, "text_delta", "text", text)
#define STOP(index) "{\"type\":\"content_block_stop\",\"index\":" index "}"
#define END(word)                                                                                  \
    "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"" word                               \
    "\"},\"usage\":{\"output_tokens\":9}}"
#define LAST "{\"type\":\"message_stop\"}"
#define TOOL "{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{}}"

static const struct shape shapes[] = {
    {"text, pings, blanks, what is not known",
     {START, "{\"type\": \"ping\"}", BEGIN("0", "{\"type\":\"text\",\"text\":\"\"}"),
      TEXT("0", "Hi "), TEXT("0", "you") "   ", "{\"type\":\"news\",\"index\":0}",
      "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"new_delta\"}}",
      STOP("0"), END("end_turn"), LAST},
     NULL,
     "text(Hi you) stop:end/end_turn usage:5/9/2/0/0"},
    {"signed thinking, then a call",
     {START, BEGIN("0", "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"),
      DELTA("0", "thinking_delta", "thinking", "a\\u00e9\\ud83d"),
      DELTA("0", "thinking_delta", "thinking", "\\ude42\\n"),
      DELTA("0", "signature_delta", "signature", "Eq\\/+="), STOP("0"), BEGIN("1", TOOL),
      DELTA("1", "input_json_delta", "partial_json", ""),
      DELTA("1", "input_json_delta", "partial_json", "{\\\"a\\\": 9007199254740993}"), STOP("1"),
      END("tool_use"), LAST},
     NULL,
     "reasoning(a\xc3\xa9\xf0\x9f\x99\x82\n)raw:{\"type\":\"thinking\",\"thinking\":\"a\\u00e9"
     "\\ud83d\\ude42\\n\",\"signature\":\"Eq\\/+=\"} "
     "call(t1,f,{\"a\": 9007199254740993}) stop:tool_use/tool_use usage:5/9/2/0/0"},
    {"thinking that is not shown has a signature all the same",
     {START, BEGIN("0", "{\"type\":\"thinking\",\"thinking\":\"\"}"),
      DELTA("0", "signature_delta", "signature", "s"), STOP("0"), END("end_turn"), LAST},
     NULL,
     "reasoning()raw:{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"s\"} "
     "stop:end/end_turn usage:5/9/2/0/0"},
    {"thinking that was cut has none, and does not go back",
     {START, BEGIN("0", "{\"type\":\"thinking\",\"thinking\":\"\"}"),
      DELTA("0", "thinking_delta", "thinking", "hm"), END("max_tokens"), LAST},
     NULL,
     "reasoning(hm) stop:max_tokens/max_tokens usage:5/9/2/0/0"},
    {"redacted thinking as it came",
     {START, BEGIN("0", "{ \"type\": \"redacted_thinking\",\"data\":\"x\\u002b\" }"), STOP("0"),
      END("end_turn"), LAST},
     NULL,
     "opaque()raw:{ \"type\": \"redacted_thinking\",\"data\":\"x\\u002b\" } stop:end/end_turn "
     "usage:5/9/2/0/0"},
    {"what the provider's own tools did",
     {START,
      BEGIN("0",
            "{\"type\":\"server_tool_use\",\"id\":\"s1\",\"name\":\"web_search\",\"input\":{}}"),
      DELTA("0", "input_json_delta", "partial_json", "{\\\"q\\\":"),
      DELTA("0", "input_json_delta", "partial_json", "\\\"x\\\"}"), STOP("0"),
      BEGIN("1", "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"s1\",\"content\":[]}"),
      STOP("1"), BEGIN("2", "{\"type\":\"text\",\"text\":\"\"}"), TEXT("2", "so"),
      "{\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"citations_delta\","
      "\"citation\":{\"encrypted_index\":\"e=\"}}}",
      END("pause_turn"), LAST},
     NULL,
     "opaque()raw:{\"type\":\"server_tool_use\",\"id\":\"s1\",\"name\":\"web_search\",\"input\":"
     "{\"q\":\"x\"}} opaque()raw:{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"s1\","
     "\"content\":[]} text(so)raw:{\"type\":\"text\",\"text\":\"so\",\"citations\":["
     "{\"encrypted_index\":\"e=\"}]} stop:pause/pause_turn usage:5/9/2/0/0"},
    {"a tool without arguments, and one whose name of a stop is wrong",
     {START, BEGIN("0", TOOL), DELTA("0", "input_json_delta", "partial_json", ""), STOP("0"),
      END("end_turn"), LAST},
     NULL,
     "call(t1,f,{}) stop:tool_use/end_turn usage:5/9/2/0/0"},
    {"pieces for another kind of block, for one that has ended, for none",
     {START, BEGIN("0", "{\"type\":\"text\",\"text\":\"a\"}"),
      DELTA("0", "thinking_delta", "thinking", "x"),
      DELTA("0", "signature_delta", "signature", "x"), TEXT("1", "x"), TEXT("0", "b"), STOP("0"),
      TEXT("0", "x"), STOP("0"), END("stop_sequence"), LAST},
     NULL,
     "text(ab) stop:stop_sequence/stop_sequence usage:5/9/2/0/0"},
    {"two citations of one text",
     {START, BEGIN("0", "{\"type\":\"text\",\"text\":\"\"}"), TEXT("0", "a"),
      "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"citations_delta\","
      "\"citation\":{\"n\":1}}}",
      "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"citations_delta\","
      "\"citation\":{\"n\":2}}}",
      STOP("0"), END("end_turn"), LAST},
     NULL,
     "text(a)raw:{\"type\":\"text\",\"text\":\"a\",\"citations\":[{\"n\":1},{\"n\":2}]} "
     "stop:end/end_turn usage:5/9/2/0/0"},
    {"an index that is used again, arguments that came at the start",
     {START, BEGIN("0", "{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{\"a\":1}}"),
      STOP("0"), BEGIN("0", "{\"type\":\"tool_use\",\"id\":\"null\",\"name\":\"g\"}"),
      DELTA("0", "input_json_delta", "partial_json", "[1]"), STOP("0"), END("tool_use"), LAST},
     NULL,
     "call(t1,f,{\"a\":1}) call(call_*,g,[1],invalid) stop:tool_use/tool_use usage:5/9/2/0/0"},
    {"a call that was cut keeps its stop; one beside an unknown stop is a call",
     {START, BEGIN("0", TOOL), END("max_tokens"), LAST},
     NULL,
     "call(t1,f,{}) stop:max_tokens/max_tokens usage:5/9/2/0/0"},
    {"a call beside a stop that is not known",
     {START, BEGIN("0", TOOL), END("news"), LAST},
     NULL,
     "call(t1,f,{}) stop:tool_use/news usage:5/9/2/0/0"},
    {"usage that is told again, in part, and the reasoning in it",
     {START, END("end_turn"),
      "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":null},\"usage\":{\"input_tokens\":4,"
      "\"cache_creation_input_tokens\":6,\"cache_read_input_tokens\":null,\"output_tokens\":10,"
      "\"output_tokens_details\":{\"thinking_tokens\":7}}}",
      "{\"type\":\"message_delta\",\"usage\":null}", LAST},
     NULL,
     "stop:end/end_turn usage:12/10/2/6/7"},
    {"what follows the end means nothing",
     {START, END("end_turn"), LAST, "nonsense"},
     NULL,
     "stop:end/end_turn usage:5/9/2/0/0"},
    {"no error is none, events that lack what they name are passed over",
     {START, "{\"error\":null,\"type\":\"message_start\",\"message\":null}",
      "{\"type\":\"content_block_start\",\"index\":0}",
      "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":[]}",
      "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":7}", "{\"type\":\"message_delta\"}",
      "{\"type\":\"message_delta\",\"delta\":[]}", END("end_turn"), LAST},
     NULL,
     "stop:end/end_turn usage:5/9/2/0/0"},
    {"refusal", {START, END("refusal"), LAST}, NULL, "stop:refusal/refusal usage:5/9/2/0/0"},
    {"the end is lost, but all was said",
     {START, BEGIN("0", "{\"type\":\"text\",\"text\":\"a\"}"), STOP("0"), END("end_turn")},
     NULL,
     "text(a) stop:end/end_turn usage:5/9/2/0/0"},
    {"a whole message",
     {NULL},
     "{\"type\":\"message\",\"id\":\"i\",\"model\":\"m\",\"content\":[{\"type\":\"thinking\","
     "\"thinking\":\"hm\",\"signature\":\"s\"},{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
     "\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{\"n\": 1e400}}],\"stop_reason\":"
     "\"tool_use\",\"usage\":{\"input_tokens\":3,\"cache_creation_input_tokens\":4,"
     "\"output_tokens\":2}}",
     "reasoning(hm)raw:{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"s\"} text(a) "
     "call(t1,f,{\"n\": 1e400}) stop:tool_use/tool_use usage:7/2/0/4/0"},
};

static const struct shape failures[] = {
    {"an error in mid stream",
     {START, BEGIN("0", "{\"type\":\"text\",\"text\":\"\"}"), TEXT("0", "a"),
      "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}"},
     NULL,
     "failed:UNAVAILABLE/MODEL_OVERLOADED/again/shown busy"},
    {"an internal error",
     {START, "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"oops\"}}"},
     NULL,
     "failed:UNAVAILABLE/MODEL_SERVER_ERROR/again oops"},
    {"cut",
     {START, BEGIN("0", "{\"type\":\"text\",\"text\":\"\"}"), TEXT("0", "a")},
     NULL,
     "failed:UNAVAILABLE/MODEL_INCOMPLETE/again/shown the reply ended before it was whole"},
    {"nothing", {NULL}, "", "failed:UNAVAILABLE/MODEL_INCOMPLETE/again the answer was empty"},
    {"garbage",
     {START, "nonsense"},
     NULL,
     "failed:UNAVAILABLE/MODEL_GARBLED/again the server sent something that is no JSON object in "
     "place of a reply"},
};

static void test_replies(void **state)
{
    (void)state;
    shapes_check("anthropic", shapes, COUNT_OF(shapes));
}

static void test_failures(void **state)
{
    (void)state;
    shapes_check("anthropic", failures, COUNT_OF(failures));
}

#define MARK ",\"cache_control\":{\"type\":\"ephemeral\"}"

static void check_body(const struct model_request *request, const char *expected)
{
    struct buf body = {0};
    anthropic_put_body(provider_find(STR("anthropic")), request, &body);
    assert_true(json_is_object(buf_str(&body)));
    if (!str_is(buf_str(&body), expected)) {
        fail_msg("\n     got " STR_FMT "\nexpected %s", STR_ARG(buf_str(&body)), expected);
    }
    buf_fini(&body);
}

static void test_settings(void **state)
{
    const struct model_tool tools[] = {
        {STR("f"), STR("does"), STR("{ \"const\":9007199254740993 }")},
        {STR("g"), STR(""), STR("")},
    };
    struct model_request request = {
        .model = STR("m"),
        .system = STR("S"),
        .tools = tools,
        .tool_count = 2,
        .temperature = 0.5,
        .max_output_tokens = 50,
        .output_schema_json = STR("{\"n\":1e400}"),
        .options_json = STR("{\"reasoning\":{\"effort\":\"low\"},\"top_k\":5}"),
    };
    (void)state;
    check_body(
        &request,
        "{\"model\":\"m\",\"tools\":[{\"name\":\"f\",\"description\":\"does\",\"input_schema\":"
        "{ \"const\":9007199254740993 }},{\"name\":\"g\",\"input_schema\":{\"type\":"
        "\"object\",\"properties\":{}}" MARK "}],\"system\":[{\"type\":\"text\",\"text\":\"S\"" MARK
        "}],\"messages\":[],\"output_config\":"
        "{\"format\":{\"type\":\"json_schema\",\"schema\":{\"n\":1e400}},\"effort\":\"low\"},"
        "\"temperature\":0.5,\"max_tokens\":50,\"stream\":true,\"top_k\":5}");
    request = (struct model_request){.model = STR("m"), .temperature = NAN};
    check_body(&request, "{\"model\":\"m\",\"messages\":[],\"max_tokens\":16384,\"stream\":true}");
}

static void test_conversation(void **state)
{
    const struct model_block user[] = {{.kind = MODEL_BLOCK_TEXT, .text = STR("hi")}};
    const struct model_block empty[] = {{.kind = MODEL_BLOCK_TEXT, .text = STR(" ")}};
    const struct model_block rule[] = {{.kind = MODEL_BLOCK_TEXT, .text = STR("rule")}};
    const struct model_block thought[] = {
        {.kind = MODEL_BLOCK_REASONING,
         .text = STR("hm"),
         .raw = STR("{\"type\":\"thinking\", \"thinking\":\"hm\",\"signature\":\"s\"}")},
        {.kind = MODEL_BLOCK_TEXT, .text = STR("")},
        {.kind = MODEL_BLOCK_TOOL_CALL,
         .call_id = STR("functions.f:0"),
         .name = STR("f"),
         .arguments = STR("{\"n\": 9007199254740993}")},
        {.kind = MODEL_BLOCK_TOOL_CALL,
         .call_id = STR("toolu_1-a"),
         .name = STR("g"),
         .arguments = STR("{oops"),
         .arguments_invalid = true},
    };
    const struct model_block results[] = {
        {.kind = MODEL_BLOCK_TOOL_RESULT, .call_id = STR("functions.f:0"), .text = STR("1")},
        {.kind = MODEL_BLOCK_TOOL_RESULT,
         .call_id = STR("toolu_1-a"),
         .text = STR("no JSON"),
         .is_error = true},
    };
    struct model_message messages[] = {
        {MODEL_ROLE_SYSTEM, rule, 1, STR(""), false},
        {MODEL_ROLE_USER, user, 1, STR(""), false},
        {MODEL_ROLE_ASSISTANT, thought, 4, STR("anthropic/m"), false},
        {MODEL_ROLE_TOOL, results, 2, STR(""), false},
        {MODEL_ROLE_ASSISTANT, empty, 1, STR("anthropic/m"), false},
        {MODEL_ROLE_USER, empty, 1, STR(""), false},
    };
    struct model_request request = {.model = STR("m"),
                                    .system = STR("S"),
                                    .messages = messages,
                                    .message_count = 6,
                                    .temperature = NAN};
    (void)state;
#define CALLS                                                                                      \
    "{\"type\":\"tool_use\",\"id\":\"0ah9octuf\",\"name\":\"f\",\"input\":{\"n\": "                \
    "9007199254740993}},"                                                                          \
    "{\"type\":\"tool_use\",\"id\":\"toolu_1-a\",\"name\":\"g\",\"input\":{\"invalid_json\":"      \
    "\"{oops\"}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"     \
    "\"0ah9octuf\",\"content\":\"1\"},{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_1-a\","    \
    "\"content\":\"no "                                                                            \
    "JSON\",\"is_error\":true}]},{\"role\":\"user\",\"content\":[{\"type\":\"text\","              \
    "\"text\":\"(no text)\"}]}],\"max_tokens\":16384,\"stream\":true}"
#define HEAD                                                                                       \
    "{\"model\":\"m\",\"system\":[{\"type\":\"text\",\"text\":\"S\\n\\nrule\"" MARK                \
    "}],\"messages\":[{\"role\":\"user\",\"content\":["                                            \
    "{\"type\":\"text\",\"text\":\"hi\"}]},{\"role\":\"assistant\",\"content\":["
    check_body(&request,
               HEAD "{\"type\":\"thinking\", \"thinking\":\"hm\",\"signature\":\"s\"}," CALLS);
    messages[2].origin = STR("openai/o");
    check_body(&request, HEAD CALLS);
}

/* Only the last block of the newest message is marked, and only if it is ours. */
static void test_newest_message_is_marked(void **state)
{
    const struct model_block user[] = {{.kind = MODEL_BLOCK_TEXT, .text = STR("a")},
                                       {.kind = MODEL_BLOCK_TEXT, .text = STR("b")}};
    const struct model_block raw[] = {
        {.kind = MODEL_BLOCK_TEXT, .text = STR("c"), .raw = STR("{\"type\":\"text\"}")}};
    const struct model_block result[] = {
        {.kind = MODEL_BLOCK_TOOL_RESULT, .call_id = STR("i"), .text = STR("1"), .is_error = true}};
    const struct model_message messages[] = {
        {MODEL_ROLE_USER, user, 2, STR(""), false},
        {MODEL_ROLE_ASSISTANT, raw, 1, STR("anthropic/m"), false},
        {MODEL_ROLE_TOOL, result, 1, STR(""), false},
    };
    struct model_request request = {
        .model = STR("m"), .messages = messages, .message_count = 1, .temperature = NAN};
    (void)state;
#define TEXT_A                                                                                     \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"  \
    "\"a\"},"
#define RAW_C "]},{\"role\":\"assistant\",\"content\":[{\"type\":\"text\"}]}"
#define AFTER ",\"max_tokens\":16384,\"stream\":true}"
    check_body(&request, TEXT_A "{\"type\":\"text\",\"text\":\"b\"" MARK "}]}]" AFTER);
    request.message_count = 2;
    check_body(&request, TEXT_A "{\"type\":\"text\",\"text\":\"b\"}" RAW_C "]" AFTER);
    request.message_count = 3;
    check_body(&request, TEXT_A "{\"type\":\"text\",\"text\":\"b\"}" RAW_C
                                ",{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
                                "\"tool_use_id\":\"i\",\"content\":\"1\",\"is_error\":true" MARK
                                "}]}]" AFTER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_newest_message_is_marked),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_conversation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
