/*
 * Goal:   the Responses dialect gives the reply that was meant, keeps each item as it came, and
 *         sends conversations that the provider takes.
 * Method: small responses and their outcome as one line, however the bytes are cut; small
 *         conversations and the whole body beside them.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/json.h"
#include "service/llm/openai_responses.h"
#include "tests/unit/llm/shapes.h"

#define CREATED "{\"type\":\"response.created\",\"response\":{\"id\":\"i\",\"model\":\"m\"}}"
#define ADDED(index, item)                                                                         \
    "{\"type\":\"response.output_item.added\",\"output_index\":" index ",\"item\":" item "}"
#define ENDED(index, item)                                                                         \
    "{\"type\":\"response.output_item.done\",\"output_index\":" index ",\"item\":" item "}"
#define DELTA(index, type, text)                                                                   \
    "{\"type\":\"response." type ".delta\",\"output_index\":" index ",\"delta\":\"" text "\"}"
#define LAST(word, more)                                                                           \
    "{\"type\":\"response." word "\",\"response\":{\"status\":\"" word "\"" more "}}"
#define USAGE                                                                                      \
    ",\"usage\":{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":3},"               \
    "\"output_tokens\":4,\"output_tokens_details\":{\"reasoning_tokens\":1}}"
#define MESSAGE(text)                                                                              \
    "{\"type\":\"message\",\"phase\":\"final_answer\",\"content\":[{\"type\":\"output_text\","     \
    "\"text\":\"" text "\"}]}"
#define CALL(arguments)                                                                            \
    "{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"" arguments "\"}"
#define THOUGHT                                                                                    \
    "{\"type\":\"reasoning\", \"id\":\"rs\",\"summary\":[{\"text\":\"hm\"}],"                      \
    "\"encrypted_content\":\"g\\/=\"}"

static const struct shape shapes[] = {
    {"text",
     {CREATED, ADDED("0", "{\"type\":\"message\",\"content\":[]}"),
      DELTA("0", "output_text", "Hi "), "{\"type\":\"response.news\"}",
      DELTA("0", "output_text", "you"),
      "{\"type\":\"response.output_text.done\",\"output_index\":0,\"text\":\"Hi you\"}",
      ENDED("0", MESSAGE("Hi you")), LAST("completed", USAGE)},
     NULL,
     "text(Hi you)raw:" MESSAGE("Hi you") " stop:end/completed usage:9/4/3/0/1"},
    {"reasoning and a call",
     {CREATED, ADDED("0", "{\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"part\"}"),
      DELTA("0", "reasoning_summary_text", "hm"), ENDED("0", THOUGHT), ADDED("1", CALL("")),
      DELTA("1", "function_call_arguments", "{\\\"a\\\":"),
      DELTA("1", "function_call_arguments", "1}"), ENDED("1", CALL("{\\\"a\\\":1}")),
      LAST("completed", "")},
     NULL,
     "reasoning(hm)raw:" THOUGHT
     " call(c1,f,{\"a\":1})raw:" CALL("{\\\"a\\\":1}") " stop:tool_use/completed"},
    {"arguments that come only when they are whole",
     {CREATED, ADDED("0", CALL("")), ENDED("0", CALL("{}")), LAST("completed", "")},
     NULL,
     "call(c1,f,{})raw:" CALL("{}") " stop:tool_use/completed"},
    {"items that come only with the response",
     {CREATED, LAST("completed", ",\"output\":[" THOUGHT "," MESSAGE("a") "]")},
     NULL,
     "reasoning(hm)raw:" THOUGHT " text(a)raw:" MESSAGE("a") " stop:end/completed"},
    {"items that come twice",
     {CREATED, ENDED("0", MESSAGE("a")), LAST("completed", ",\"output\":[" MESSAGE("a") "]")},
     NULL,
     "text(a)raw:" MESSAGE("a") " stop:end/completed"},
    {"reasoning that is not encrypted does not go back",
     {CREATED, DELTA("0", "reasoning_text", "lost"),
      ADDED("0", "{\"type\":\"reasoning\",\"summary\":[]}"), DELTA("0", "reasoning_text", "hm"),
      ENDED("0", "{\"type\":\"reasoning\",\"content\":[{\"text\":\"hm\"}]}"),
      LAST("completed", "")},
     NULL,
     "reasoning(hm) stop:end/completed"},
    {"refusal",
     {CREATED, ADDED("0", "{\"type\":\"message\"}"), DELTA("0", "refusal", "no"),
      ENDED("0", "{\"type\":\"message\",\"content\":[{\"refusal\":\"no\"}]}"),
      LAST("completed", "")},
     NULL,
     "text()raw:{\"type\":\"message\",\"content\":[{\"refusal\":\"no\"}]} refusal(no) "
     "stop:refusal/completed"},
    {"what the provider's own tools did, and a custom call",
     {CREATED, ENDED("0", "{\"type\":\"web_search_call\",\"id\":\"w\"}"),
      ENDED("1",
            "{\"type\":\"custom_tool_call\",\"call_id\":\"c2\",\"name\":\"g\",\"input\":\"x\"}"),
      LAST("completed", "")},
     NULL,
     "opaque()raw:{\"type\":\"web_search_call\",\"id\":\"w\"} call(c2,g,x,invalid) "
     "stop:tool_use/completed"},
    {"pieces of other items, pieces after the end, pieces of none, empty pieces",
     {CREATED, ADDED("0", "{\"type\":\"message\"}"), DELTA("0", "function_call_arguments", "x"),
      DELTA("0", "reasoning_text", "x"), DELTA("1", "output_text", "x"),
      DELTA("0", "output_text", ""), "{\"type\":\"response.output_text.delta\",\"delta\":7}",
      DELTA("0", "output_text", "a"), ENDED("0", MESSAGE("whole")), DELTA("0", "output_text", "x"),
      LAST("completed", ",\"output\":[7]")},
     NULL,
     "text(a)raw:" MESSAGE("whole") " stop:end/completed"},
    {"a refusal that comes whole, and one that was said before",
     {CREATED,
      ENDED("0", "{\"type\":\"message\",\"content\":[{\"refusal\":\"\"},{\"refusal\":\"no\"},"
                 "{\"refusal\":\", no\"}]}"),
      LAST("completed", "")},
     NULL,
     "text()raw:{\"type\":\"message\",\"content\":[{\"refusal\":\"\"},{\"refusal\":\"no\"},{"
     "\"refusal\":\", no\"}]} refusal(no, no) stop:refusal/completed"},
    {"a custom call in pieces, its names told late, and its provider's own id",
     {CREATED, ADDED("0", "{\"type\":\"custom_tool_call\",\"id\":\"it\"}"),
      DELTA("0", "custom_tool_call_input", "{\\\"a\\\":"),
      DELTA("0", "custom_tool_call_input", "1}"),
      ENDED("0",
            "{\"type\":\"custom_tool_call\",\"call_id\":\"c2\",\"name\":\"g\",\"input\":\"x\"}"),
      LAST("completed", "")},
     NULL,
     "call(c2,g,{\"a\":1}) stop:tool_use/completed"},
    {"a refusal told of a call",
     {CREATED, ADDED("0", CALL("")), DELTA("0", "refusal", "no"), ENDED("0", CALL("{}")),
      LAST("completed", "")},
     NULL,
     "call(c1,f,{})raw:" CALL("{}") " stop:tool_use/completed"},
    {"an item that is added twice is one, and events without one mean nothing",
     {CREATED, ADDED("0", "{\"type\":\"message\"}"), ADDED("0", "{\"type\":\"reasoning\"}"),
      ADDED("1", "null"), ENDED("1", "7"), DELTA("0", "output_text", "a"), " [DONE] ",
      LAST("completed", ",\"error\":null")},
     NULL,
     "text(a) stop:end/completed"},
    {"reasoning whose summary and text both come whole",
     {CREATED,
      ENDED("0", "{\"type\":\"reasoning\",\"summary\":[{\"text\":\"a\"},{\"text\":\"b\"}],"
                 "\"content\":[{\"text\":\"c\"}],\"encrypted_content\":\"\"}"),
      LAST("completed", ",\"usage\":null")},
     NULL,
     "reasoning(abc) stop:end/completed"},
    {"a call that was refused room, and one that is cut",
     {CREATED, ADDED("0", CALL("")), DELTA("0", "function_call_arguments", "{\\\"a"),
      LAST("incomplete", ",\"incomplete_details\":{\"reason\":\"max_output_tokens\"}" USAGE)},
     NULL,
     "call(c1,f,{\"a,invalid) stop:max_tokens/incomplete:max_output_tokens usage:9/4/3/0/1"},
    {"cut by length",
     {CREATED, ENDED("0", MESSAGE("a")),
      LAST("incomplete", ",\"incomplete_details\":{\"reason\":\"max_output_tokens\"}")},
     NULL,
     "text(a)raw:" MESSAGE("a") " stop:max_tokens/incomplete:max_output_tokens"},
    {"filtered",
     {CREATED, LAST("incomplete", ",\"incomplete_details\":{\"reason\":\"content_filter\"}")},
     NULL,
     "stop:content_filter/incomplete:content_filter"},
    {"a whole response",
     {NULL},
     "{\"id\":\"i\",\"object\":\"response\",\"status\":\"completed\",\"error\":null,\"model\":"
     "\"m\",\"output\":[" MESSAGE("a") "]" USAGE "}",
     "text(a)raw:" MESSAGE("a") " stop:end/completed usage:9/4/3/0/1"},
};

static const struct shape failures[] = {
    {"an error event, flat",
     {CREATED, "{\"type\":\"error\",\"code\":\"server_error\",\"message\":\"oops\"}"},
     NULL,
     "failed:UNAVAILABLE/MODEL_SERVER_ERROR/again oops"},
    {"an error event, nested",
     {CREATED, "{\"type\":\"error\",\"error\":{\"type\":\"x\",\"code\":\"rate_limit_exceeded\","
               "\"message\":\"slow\"}}"},
     NULL,
     "failed:RESOURCE_EXHAUSTED/RATE_LIMITED/again slow"},
    {"a failed response",
     {CREATED, ADDED("0", "{\"type\":\"message\"}"), DELTA("0", "output_text", "a"),
      LAST("failed", ",\"error\":{\"code\":\"server_error\",\"message\":\"oops\"}")},
     NULL,
     "failed:UNAVAILABLE/MODEL_SERVER_ERROR/again/shown oops"},
    {"a whole response that failed",
     {NULL},
     "{\"object\":\"response\",\"status\":\"failed\",\"error\":{\"code\":\"server_error\","
     "\"message\":\"oops\"}}",
     "failed:UNAVAILABLE/MODEL_SERVER_ERROR/again oops"},
    {"an end that says neither that it is whole nor why it is not",
     {CREATED, LAST("in_progress", ""),
      "{\"type\":\"response.completed\",\"response\":{\"status\":\"queued\"}}"},
     NULL,
     "failed:UNAVAILABLE/MODEL_INCOMPLETE/again the reply ended before it was whole"},
    {"an end without a response",
     {CREATED, "{\"type\":\"response.completed\"}"},
     NULL,
     "failed:UNAVAILABLE/MODEL_INCOMPLETE/again the reply ended before it was whole"},
    {"cut",
     {CREATED, ENDED("0", MESSAGE("a"))},
     NULL,
     "failed:UNAVAILABLE/MODEL_INCOMPLETE/again/shown the reply ended before it was whole"},
    {"nothing", {NULL}, "", "failed:UNAVAILABLE/MODEL_INCOMPLETE/again the answer was empty"},
};

static void test_replies(void **state)
{
    (void)state;
    shapes_check("openai", shapes, COUNT_OF(shapes));
}

static void test_failures(void **state)
{
    (void)state;
    shapes_check("openai", failures, COUNT_OF(failures));
}

static void check_body(const struct model_request *request, const char *expected)
{
    struct buf body = {0};
    openai_responses_put_body(provider_find(STR("openai")), request, &body);
    assert_true(json_is_object(buf_str(&body)));
    if (!str_is(buf_str(&body), expected)) {
        fail_msg("\n     got " STR_FMT "\nexpected %s", STR_ARG(buf_str(&body)), expected);
    }
    buf_fini(&body);
}

static void test_settings(void **state)
{
    const struct model_tool tools[] = {{STR("f"), STR("does"), STR("{ \"n\":9007199254740993 }")}};
    struct model_request request = {
        .model = STR("gpt-5"),
        .system = STR("S"),
        .tools = tools,
        .tool_count = 1,
        .temperature = 0.5,
        .max_output_tokens = 50,
        .output_schema_json = STR("{\"n\":1e400}"),
        .options_json = STR("{\"reasoning_effort\":\"low\",\"user\":\"u\"}"),
    };
    (void)state;
    check_body(&request,
               "{\"model\":\"gpt-5\",\"tools\":[{\"type\":\"function\",\"name\":\"f\","
               "\"description\":\"does\",\"parameters\":{ \"n\":9007199254740993 },\"strict\":"
               "false}],\"instructions\":\"S\",\"input\":[],\"text\":{\"format\":{\"type\":"
               "\"json_schema\",\"name\":\"output\",\"schema\":{\"n\":1e400}}},\"temperature\":0.5,"
               "\"max_output_tokens\":50,\"include\":[\"reasoning.encrypted_content\"],\"store\":"
               "false,\"stream\":true,\"user\":\"u\",\"reasoning\":{\"effort\":\"low\"}}");
    request = (struct model_request){.model = STR("gpt-4o"), .temperature = NAN};
    request.options_json = STR("{\"reasoning\":{\"summary\":\"auto\"}}");
    check_body(&request, "{\"model\":\"gpt-4o\",\"input\":[],\"store\":false,\"stream\":true,"
                         "\"reasoning\":{\"summary\":\"auto\"}}");
}

static void test_conversation(void **state)
{
    const struct model_block user[] = {{.kind = MODEL_BLOCK_TEXT, .text = STR("hi")}};
    const struct model_block said[] = {
        {.kind = MODEL_BLOCK_REASONING, .text = STR("hm"), .raw = STR(THOUGHT)},
        {.kind = MODEL_BLOCK_TEXT, .text = STR("a"), .raw = STR(MESSAGE("a"))},
        {.kind = MODEL_BLOCK_TOOL_CALL,
         .call_id = STR("c1"),
         .name = STR("f"),
         .arguments = STR("{}"),
         .raw = STR(CALL("{}"))},
        {.kind = MODEL_BLOCK_TOOL_CALL,
         .call_id = STR("call_x"),
         .name = STR("f"),
         .arguments = STR("{}"),
         .raw = STR(CALL("{}"))},
    };
    const struct model_block result[] = {
        {.kind = MODEL_BLOCK_TOOL_RESULT, .call_id = STR("c1"), .text = STR("1")},
    };
    struct model_message messages[] = {
        {MODEL_ROLE_USER, user, 1, STR(""), false},
        {MODEL_ROLE_ASSISTANT, said, 4, STR("openai/m"), false},
        {MODEL_ROLE_TOOL, result, 1, STR(""), false},
    };
    struct model_request request = {
        .model = STR("gpt-4o"), .messages = messages, .message_count = 3, .temperature = NAN};
    (void)state;
#define HEAD "{\"model\":\"gpt-4o\",\"input\":[{\"role\":\"user\",\"content\":\"hi\"},"
#define TAIL                                                                                       \
    "{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":\"1\"}],\"store\":false,"    \
    "\"stream\":true}"
    check_body(&request,
               HEAD THOUGHT "," MESSAGE("a") "," CALL("{}") ",{\"type\":\"function_call\""
                                                            ",\"name\":\"f\",\"arguments\""
                                                            ":\"{}\",\"call_id\":"
                                                            "\"call_x\"}," TAIL);
    messages[1].origin = STR("openai_chat/m");
    check_body(
        &request,
        HEAD "{\"role\":\"assistant\",\"content\":\"a\"},{\"type\":\"function_call\","
             "\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{}\"},{\"type\":"
             "\"function_call\",\"call_id\":\"call_x\",\"name\":\"f\",\"arguments\":\"{}\"}," TAIL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_conversation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
