/*
 * Goal:   Gemini's dialect gives the reply that was meant, keeps signed parts as they came, and
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
#include "service/llm/gemini.h"
#include "tests/unit/llm/shapes.h"

#define PARTS(parts) "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[" parts "]}}]}"
#define TEXT(text) "{\"text\":\"" text "\"}"
#define CALL(more) "{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\": 1}}" more "}"
#define PIECE(piece) PARTS("{\"functionCall\":{" piece "}}")
#define END(word)                                                                                  \
    "{\"candidates\":[{\"finishReason\":\"" word "\"}],\"usageMetadata\":{\"promptTokenCount\":9," \
    "\"candidatesTokenCount\":4,\"thoughtsTokenCount\":2,\"cachedContentTokenCount\":3},"          \
    "\"modelVersion\":\"m\",\"responseId\":\"i\"}"
#define USAGE " usage:9/6/3/0/2"

static const struct shape shapes[] = {
    {"texts are joined",
     {PARTS(TEXT("Hi ")), PARTS(TEXT("you")), END("STOP")},
     NULL,
     "text(Hi you) stop:end/STOP" USAGE},
    {"a signed part stays alone",
     {PARTS(TEXT("a")), PARTS("{\"text\":\"\",\"thoughtSignature\":\"s\\/=\"}"), PARTS(TEXT("b")),
      END("STOP")},
     NULL,
     "text(a) text()raw:{\"text\":\"\",\"thoughtSignature\":\"s\\/=\"} text(b) "
     "stop:end/STOP" USAGE},
    {"thoughts, then calls of which the first is signed",
     {PARTS("{\"text\":\"hm\",\"thought\":true}," CALL(",\"thoughtSignature\":\"s\"") "," CALL("")),
      END("STOP")},
     NULL,
     "reasoning(hm) call(call_*,f,{\"a\": 1})raw:" CALL(
         ",\"thoughtSignature\":\"s\"") " call(call_*,f,{\"a\": 1})raw:" CALL("") " stop:tool_use/"
                                                                                  "STOP" USAGE},
    {"ids of the provider",
     {PARTS("{\"functionCall\":{\"id\":\"x1\",\"name\":\"f\"}}"), END("STOP")},
     NULL,
     "call(x1,f,{})raw:{\"functionCall\":{\"id\":\"x1\",\"name\":\"f\"}} stop:tool_use/STOP" USAGE},
    {"arguments in pieces",
     {PARTS("{\"functionCall\":{\"name\":\"f\",\"willContinue\":true},\"thoughtSignature\":\"s\\/"
            "\"}"),
      PIECE("\"partialArgs\":[{\"jsonPath\":\"$.s\",\"stringValue\":\"\\ud83d\",\"willContinue\":"
            "true}],\"willContinue\":true"),
      PIECE("\"partialArgs\":[{\"jsonPath\":\"$.s\",\"stringValue\":\"\\ude42\"},{\"jsonPath\":"
            "\"$.n\",\"numberValue\":1e400},{\"jsonPath\":\"$.z\",\"nullValue\":\"NULL_VALUE\"}],"
            "\"willContinue\":true"),
      PIECE(""), END("STOP")},
     NULL,
     "call(call_*,f,{\"s\":\"\\ud83d\\ude42\",\"n\":1e400,\"z\":null})raw:{\"functionCall\":{"
     "\"name\":"
     "\"f\",\"args\":{\"s\":\"\\ud83d\\ude42\",\"n\":1e400,\"z\":null}},\"thoughtSignature\":\"s\\/"
     "\"} stop:tool_use/STOP" USAGE},
    {"code that ran",
     {PARTS("{\"executableCode\":{\"code\":\"1\"}}"), END("STOP")},
     NULL,
     "opaque()raw:{\"executableCode\":{\"code\":\"1\"}} stop:end/STOP" USAGE},
    {"cut while it thought",
     {"{\"candidates\":[{\"content\":{\"role\":\"model\"},\"finishReason\":\"MAX_TOKENS\"}]}"},
     NULL,
     "stop:max_tokens/MAX_TOKENS"},
    {"filtered",
     {PARTS(TEXT("a")), END("SAFETY")},
     NULL,
     "text(a) stop:content_filter/SAFETY" USAGE},
    {"an array of chunks",
     {NULL},
     "[" PARTS(TEXT("a")) "\n,\r\n" END("STOP") "]",
     "text(a) stop:end/STOP" USAGE},
    {"one whole response",
     {NULL},
     "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"finishReason\":\"STOP\"}]}",
     "text(a) stop:end/STOP"},
};

static const struct shape failures[] = {
    {"a blocked prompt",
     {"{\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}"},
     NULL,
     "failed:FAILED_PRECONDITION/CONTENT_FILTERED/never the provider blocked the prompt: SAFETY"},
    {"a call it could not read",
     {END("MALFORMED_FUNCTION_CALL")},
     NULL,
     "failed:FAILED_PRECONDITION/TOOL_USE_FAILED/never the provider could not read the model's "
     "tool "
     "call: MALFORMED_FUNCTION_CALL"},
    {"arguments in pieces that are not flat",
     {PIECE("\"name\":\"f\",\"willContinue\":true"),
      PIECE("\"partialArgs\":[{\"jsonPath\":\"$.a.b\",\"stringValue\":\"x\"}]"), END("STOP")},
     NULL,
     "failed:FAILED_PRECONDITION/TOOL_USE_FAILED/never arguments in pieces that are not flat are "
     "not read: leave streamFunctionCallArguments away"},
    {"an error in mid stream",
     {PARTS(TEXT("a")),
      "{\"error\":{\"code\":503,\"message\":\"busy\",\"status\":\"UNAVAILABLE\"}}"},
     NULL,
     "failed:UNAVAILABLE/MODEL_OVERLOADED/again/shown busy"},
    {"cut",
     {PARTS(TEXT("a"))},
     NULL,
     "failed:UNAVAILABLE/MODEL_INCOMPLETE/again/shown the reply ended before it was whole"},
    {"nothing", {NULL}, "", "failed:UNAVAILABLE/MODEL_INCOMPLETE/again the answer was empty"},
};

static void test_replies(void **state)
{
    (void)state;
    shapes_check("gemini", shapes, COUNT_OF(shapes));
}

static void test_failures(void **state)
{
    (void)state;
    shapes_check("gemini", failures, COUNT_OF(failures));
}

static void check_body(const struct model_request *request, const char *expected)
{
    struct buf body = {0};
    gemini_put_body(provider_find(STR("gemini")), request, &body);
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
        .model = STR("gemini-3-pro"),
        .system = STR("S"),
        .tools = tools,
        .tool_count = 1,
        .temperature = 0.5,
        .max_output_tokens = 50,
        .output_schema_json = STR("{\"n\":1e400}"),
        .options_json = STR("{\"reasoning\":{\"effort\":\"low\"},\"generationConfig\":{\"topK\":5,"
                            "\"temperature\":1},\"safetySettings\":[]}"),
    };
    (void)state;
    check_body(&request,
               "{\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\",\"description\":\"does\","
               "\"parametersJsonSchema\":{ \"n\":9007199254740993 }}]}],\"systemInstruction\":"
               "{\"parts\":[{\"text\":\"S\"}]},\"contents\":[],\"safetySettings\":[],"
               "\"generationConfig\":{\"responseMimeType\":\"application/json\","
               "\"responseJsonSchema\":{\"n\":1e400},\"maxOutputTokens\":50,\"thinkingConfig\":"
               "{\"includeThoughts\":true,\"thinkingLevel\":\"LOW\"},\"topK\":5,"
               "\"temperature\":1}}");
    request = (struct model_request){.model = STR("gemini-2.5-pro"), .temperature = NAN};
    request.options_json = STR("{\"reasoning_effort\":\"medium\"}");
    check_body(&request, "{\"contents\":[],\"generationConfig\":{\"thinkingConfig\":"
                         "{\"includeThoughts\":true,\"thinkingBudget\":8192}}}");
}

static void test_conversation(void **state)
{
    const struct model_block user[] = {{.kind = MODEL_BLOCK_TEXT, .text = STR("hi")}};
    const struct model_block said[] = {
        {.kind = MODEL_BLOCK_REASONING, .text = STR("hm")},
        {.kind = MODEL_BLOCK_TEXT, .text = STR("a")},
        {.kind = MODEL_BLOCK_TOOL_CALL,
         .call_id = STR("x1"),
         .name = STR("f"),
         .arguments = STR("{}"),
         .raw = STR("{\"functionCall\":{\"id\":\"x1\",\"name\":\"f\"},\"thoughtSignature\":"
                    "\"s\"}")},
        {.kind = MODEL_BLOCK_TOOL_CALL,
         .call_id = STR("call_made"),
         .name = STR("g"),
         .arguments = STR("{\"n\": 1}"),
         .raw = STR("{\"functionCall\":{\"name\":\"g\",\"args\":{\"n\": 1}}}")},
    };
    const struct model_block results[] = {
        {.kind = MODEL_BLOCK_TOOL_RESULT, .call_id = STR("x1"), .name = STR("f"), .text = STR("1")},
        {.kind = MODEL_BLOCK_TOOL_RESULT,
         .call_id = STR("call_made"),
         .name = STR("g"),
         .text = STR("no"),
         .is_error = true},
    };
    struct model_message messages[] = {
        {MODEL_ROLE_USER, user, 1, STR(""), false},
        {MODEL_ROLE_ASSISTANT, said, 4, STR("gemini/m"), false},
        {MODEL_ROLE_TOOL, results, 2, STR(""), false},
    };
    struct model_request request = {
        .model = STR("gemini-3"), .messages = messages, .message_count = 3, .temperature = NAN};
    (void)state;
#define HEAD                                                                                       \
    "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]},{\"role\":\"model\","        \
    "\"parts\":[{\"text\":\"a\"},"
#define TAIL                                                                                       \
    "\"name\":\"f\",\"response\":{\"output\":\"1\"}}},{\"functionResponse\":{\"name\":\"g\","      \
    "\"response\":{\"error\":\"no\"}}}]}],\"generationConfig\":{}}"
    check_body(&request,
               HEAD "{\"functionCall\":{\"id\":\"x1\",\"name\":\"f\"},\"thoughtSignature\":\"s\"},"
                    "{\"functionCall\":{\"name\":\"g\",\"args\":{\"n\": 1}}}]},{\"role\":\"user\","
                    "\"parts\":[{\"functionResponse\":{\"id\":\"x1\"," TAIL);
    messages[1].origin = STR("openai/m");
    check_body(&request,
               HEAD "{\"functionCall\":{\"name\":\"f\",\"args\":{}}},{\"functionCall\":{\"name\":"
                    "\"g\",\"args\":{\"n\": 1}}}]},{\"role\":\"user\",\"parts\":["
                    "{\"functionResponse\":{" TAIL);
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
