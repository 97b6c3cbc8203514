/*
 * Goal:   Ollama's own dialect gives the reply that was meant, and sends what Ollama reads.
 * Method: small responses and their outcome as one line, however the bytes are cut; a small
 *         conversation and the whole body beside it.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/json.h"
#include "service/llm/ollama.h"
#include "tests/unit/llm/shapes.h"

#define SAID(members)                                                                              \
    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\"," members "},\"done\":false}\n"
#define DONE(reason)                                                                               \
    "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"" reason                      \
    "\",\"prompt_eval_count\":5,\"eval_count\":2}\n"
#define USAGE " usage:5/2/0/0/0"

static const struct shape shapes[] = {
    {"thinking and text",
     {NULL},
     SAID("\"thinking\":\"hm\"") SAID("\"content\":\"Hi \"") "\r\n" SAID("\"content\":\"\\ud83d\"")
         SAID("\"content\":\"\\ude42\"") DONE("stop"),
     "reasoning(hm) text(Hi \xf0\x9f\x99\x82) stop:end/stop" USAGE},
    {"calls, whole and without ids, whatever the end is called",
     {NULL},
     SAID("\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{\"n\": 1e400}}}]") SAID(
         "\"tool_calls\":[{\"id\":\"c\",\"function\":{\"index\":1,\"name\":\"g\",\"arguments\":"
         "\"{}\"}}]") DONE("stop"),
     "call(call_*,f,{\"n\": 1e400}) call(c,g,{}) stop:tool_use/stop" USAGE},
    {"ids that are none, arguments that are no object, what is no call",
     {NULL},
     SAID("\"tool_calls\":[{\"id\":\"null\",\"function\":{\"name\":\"f\",\"arguments\":\"[1]\"}},"
          "{\"id\":\"\",\"function\":{\"name\":\"g\",\"arguments\":null}},7,{\"id\":\"c\"}]")
         SAID("\"content\":null,\"thinking\":null,\"tool_calls\":[]") SAID("\"tool_calls\":null")
             DONE("stop"),
     "call(call_*,f,[1],invalid) call(call_*,g,{}) call(c,,{}) stop:tool_use/stop" USAGE},
    {"a call that was cut",
     {NULL},
     SAID("\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]") DONE("length"),
     "call(call_*,f,{}) stop:max_tokens/length" USAGE},
    {"done is a word of Ollama's, and no error is none",
     {NULL},
     "{\"error\":null,\"message\":{\"content\":\"a\"},\"done\":\"true\"}\n{\"done\":true}\n",
     "text(a) stop:end/"},
    {"what follows the end means nothing",
     {NULL},
     SAID("\"content\":\"a\"") DONE("stop") SAID("\"content\":\"b\"") "nonsense\n",
     "text(a) stop:end/stop" USAGE},
    {"cut by length",
     {NULL},
     SAID("\"content\":\"a\"") DONE("length"),
     "text(a) stop:max_tokens/length" USAGE},
    {"one line without an end, which is the whole",
     {NULL},
     "{\"model\":\"m\",\"message\":{\"content\":\"a\"},\"done\":true,\"done_reason\":\"stop\"}",
     "text(a) stop:end/stop"},
    {"of /api/generate",
     {NULL},
     "{\"response\":\"a\",\"done\":false}\n{\"response\":\"\",\"done\":true,\"done_reason\":"
     "\"stop\"}\n",
     "text(a) stop:end/stop"},
};

static const struct shape failures[] = {
    {"an error in mid stream",
     {NULL},
     SAID("\"content\":\"a\"") "{\"error\":\"out of memory\"}\n",
     "failed:UNKNOWN/MODEL_ERROR/never/shown out of memory"},
    {"cut between lines",
     {NULL},
     SAID("\"content\":\"a\""),
     "failed:UNAVAILABLE/MODEL_INCOMPLETE/again/shown the reply ended before it was whole"},
    {"cut in a line",
     {NULL},
     SAID("\"content\":\"a\"") "{\"message\":{\"con",
     "failed:UNAVAILABLE/MODEL_INCOMPLETE/again/shown the reply ended before it was whole"},
    {"nothing", {NULL}, "", "failed:UNAVAILABLE/MODEL_INCOMPLETE/again the answer was empty"},
    {"garbage",
     {NULL},
     "nonsense\n",
     "failed:UNAVAILABLE/MODEL_GARBLED/again the server sent something that is no JSON object in "
     "place of a reply"},
};

static void test_replies(void **state)
{
    (void)state;
    shapes_check("ollama_native", shapes, COUNT_OF(shapes));
}

static void test_failures(void **state)
{
    (void)state;
    shapes_check("ollama_native", failures, COUNT_OF(failures));
}

static void check_body(const struct model_request *request, const char *expected)
{
    struct buf body = {0};
    ollama_put_body(provider_find(STR("ollama_native")), request, &body);
    assert_true(json_is_object(buf_str(&body)));
    if (!str_is(buf_str(&body), expected)) {
        fail_msg("\n     got " STR_FMT "\nexpected %s", STR_ARG(buf_str(&body)), expected);
    }
    buf_fini(&body);
}

static void test_requests(void **state)
{
    const struct model_tool tools[] = {{STR("f"), STR(""), STR("")}};
    const struct model_block said[] = {
        {.kind = MODEL_BLOCK_REASONING, .text = STR("hm")},
        {.kind = MODEL_BLOCK_TOOL_CALL,
         .call_id = STR("c1"),
         .name = STR("f"),
         .arguments = STR("{\"n\": 1}")},
    };
    const struct model_block result[] = {
        {.kind = MODEL_BLOCK_TOOL_RESULT, .call_id = STR("c1"), .name = STR("f"), .text = STR("1")},
    };
    const struct model_message messages[] = {
        {MODEL_ROLE_ASSISTANT, said, 2, STR("ollama_native/m"), false},
        {MODEL_ROLE_TOOL, result, 1, STR(""), false},
    };
    struct model_request request = {
        .model = STR("m"),
        .system = STR("S"),
        .tools = tools,
        .tool_count = 1,
        .messages = messages,
        .message_count = 2,
        .temperature = 0.5,
        .max_output_tokens = 50,
        .output_schema_json = STR("{\"n\":1e400}"),
        .options_json = STR("{\"reasoning\":{\"effort\":\"low\"},\"keep_alive\":\"1h\",\"options\":"
                            "{\"num_ctx\":9,\"temperature\":1}}"),
    };
    (void)state;
    check_body(&request,
               "{\"model\":\"m\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
               "\"parameters\":{\"type\":\"object\",\"properties\":{}}}}],\"messages\":[{\"role\":"
               "\"system\",\"content\":\"S\"},{\"role\":\"assistant\",\"content\":\"\","
               "\"thinking\":\"hm\",\"tool_calls\":[{\"id\":\"c1\",\"function\":{\"name\":\"f\","
               "\"arguments\":{\"n\": 1}}}]},{\"role\":\"tool\",\"tool_name\":\"f\","
               "\"tool_call_id\":\"c1\",\"content\":\"1\"}],\"format\":{\"n\":1e400},\"think\":"
               "\"low\",\"stream\":true,\"keep_alive\":\"1h\",\"options\":{\"num_predict\":50,"
               "\"num_ctx\":9,\"temperature\":1}}");
    request = (struct model_request){.model = STR("m"), .temperature = NAN};
    check_body(&request, "{\"model\":\"m\",\"messages\":[],\"options\":{},\"stream\":true}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
