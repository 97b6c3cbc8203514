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
    {"arguments in pieces, whose text ends where another begins, and a call that was cut",
     {PIECE("\"name\":\"f\",\"id\":\"x1\",\"willContinue\":true"),
      PIECE(
          "\"partialArgs\":[{\"jsonPath\":\"$.a\",\"stringValue\":\"1\",\"willContinue\":true},"
          "{\"jsonPath\":\"$.b\",\"stringValue\":\"2\"},{\"jsonPath\":\"$.c\",\"boolValue\":true},"
          "{\"jsonPath\":\"$.d\",\"stringValue\":\"\"}],\"willContinue\":true"),
      PIECE("\"name\":\"g\",\"willContinue\":true"), END("MAX_TOKENS")},
     NULL,
     "call(x1,f,{\"a\":\"1\",\"b\":\"2\",\"c\":true,\"d\":\"\"}) call(call_*,g,{}) "
     "stop:max_tokens/MAX_TOKENS" USAGE},
    {"a signed call in pieces keeps the provider's id",
     {PARTS("{\"functionCall\":{\"name\":\"f\",\"id\":\"x1\",\"willContinue\":true},"
            "\"thoughtSignature\":\"s\"}"),
      PIECE("\"partialArgs\":[{\"jsonPath\":\"$.n\",\"numberValue\":1}]"), PIECE(""), END("STOP")},
     NULL,
     "call(x1,f,{\"n\":1})raw:{\"functionCall\":{\"id\":\"x1\",\"name\":\"f\",\"args\":{\"n\":1}},"
     "\"thoughtSignature\":\"s\"} stop:tool_use/STOP" USAGE},
    {"pieces of a call that nobody named, an empty text, an empty signature, no parts",
     {PIECE("\"partialArgs\":[{\"jsonPath\":\"$.a\",\"stringValue\":\"x\"}]"), PARTS(TEXT("a")),
      PARTS(TEXT("") ",{\"text\":\"b\",\"thoughtSignature\":\"\"},7"), PARTS(""),
      "{\"candidates\":[{\"content\":{\"parts\":null}}]}", "{\"candidates\":[]}", END("STOP")},
     NULL,
     "text(ab) stop:end/STOP" USAGE},
    {"a thought that is none, between thoughts",
     {PARTS("{\"text\":\"x\",\"thought\":true}"), PARTS("{\"text\":\"a\",\"thought\":false}"),
      PARTS("{\"text\":\"y\",\"thought\":true}"), END("STOP")},
     NULL,
     "reasoning(x) text(a) reasoning(y) stop:end/STOP" USAGE},
    {"a second answer passed over, reasons by number, usage that comes before there is any",
     {"{\"candidates\":[{\"index\":1,\"content\":{\"parts\":[{\"text\":\"b\"}]},\"finishReason\":"
      "\"SAFETY\"},{\"index\":0,\"content\":{\"parts\":[{\"text\":\"a\"}]}}],\"usageMetadata\":{"
      "\"trafficType\":\"ON_DEMAND\"}}",
      "{\"error\":null,\"candidates\":[{\"finishReason\":2}],\"usageMetadata\":{"
      "\"promptTokenCount\":5,\"toolUsePromptTokenCount\":2,\"candidatesTokenCount\":1}}",
      "{\"usageMetadata\":{\"trafficType\":\"ON_DEMAND\"}}"},
     NULL,
     "text(a) stop:max_tokens/MAX_TOKENS usage:7/1/0/0/0"},
    {"a reason that is no word, and feedback that blocks nothing",
     {"{\"promptFeedback\":{\"safetyRatings\":[]}}", PARTS(TEXT("a")),
      "{\"candidates\":[{\"finishReason\":null}],\"promptFeedback\":{\"blockReason\":\"LATE\"}}",
      "{\"candidates\":[{\"finishReason\":99}]}"},
     NULL,
     "text(a) stop:other/"},
    {"a call beside a call that could not be read",
     {PARTS(CALL("")), END("MALFORMED_FUNCTION_CALL")},
     NULL,
     "call(call_*,f,{\"a\": 1})raw:" CALL("") " stop:tool_use/MALFORMED_FUNCTION_CALL" USAGE},
    {"a call that was filtered",
     {PARTS(CALL("")), END("SAFETY")},
     NULL,
     "call(call_*,f,{\"a\": 1})raw:" CALL("") " stop:content_filter/SAFETY" USAGE},
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
    {"arguments in pieces inside of a list, or of nothing",
     {PIECE("\"name\":\"f\",\"willContinue\":true"),
      PIECE("\"partialArgs\":[{\"jsonPath\":\"$.a[0]\",\"numberValue\":1}]"), END("STOP")},
     NULL,
     "failed:FAILED_PRECONDITION/TOOL_USE_FAILED/never arguments in pieces that are not flat are "
     "not read: leave streamFunctionCallArguments away"},
    {"arguments in pieces without a name",
     {PIECE("\"name\":\"f\",\"willContinue\":true"),
      PIECE("\"partialArgs\":[{\"jsonPath\":\"$.\",\"numberValue\":1}]"), END("STOP")},
     NULL,
     "failed:FAILED_PRECONDITION/TOOL_USE_FAILED/never arguments in pieces that are not flat are "
     "not read: leave streamFunctionCallArguments away"},
    {"an array of chunks with something else in it",
     {NULL},
     "[" PARTS(TEXT("a")) ",7]",
     "failed:UNAVAILABLE/MODEL_GARBLED/again/shown the server sent something that is no JSON "
     "object "
     "in place of a reply"},
    {"an array that ends in an error",
     {NULL},
     "[" PARTS(TEXT("a")) ",{\"error\":{\"code\":503,\"message\":\"busy\"}}]",
     "failed:UNAVAILABLE/MODEL_OVERLOADED/again/shown busy"},
    {"an array without an end",
     {NULL},
     "[" PARTS(TEXT("a")) "]",
     "failed:UNAVAILABLE/MODEL_INCOMPLETE/again/shown the reply ended before it was whole"},
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
