/*
 * Goal:   every known way in which servers of the dialect differ gives the reply that was
 *         meant, or the failure that was, however the bytes are cut.
 * Method: one small response per shape, written by hand; its outcome as one line. Each is read
 *         whole, byte by byte, and cut in ten random ways.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/llm/shapes.h"

#define FINISH(word) "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" word "\"}]}"
#define TEXT(text) "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}"
#define CALLS(calls) "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[" calls "]}}]}"
#define DONE "[DONE]"

static const struct shape texts[] = {
    {"plain",
     {"{\"id\":\"i\",\"model\":\"m\",\"choices\":[{\"delta\":{\"role\":\"assistant\","
      "\"content\":null}}]}",
      TEXT("Hi "), TEXT("you"), FINISH("stop"), DONE},
     NULL,
     "text(Hi you) stop:end/stop"},
    {"choices empty first, usage last",
     {"{\"id\":\"\",\"choices\":[],\"prompt_filter_results\":[{}]}", TEXT("a"), FINISH("stop"),
      "{\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4,"
      "\"prompt_tokens_details\":{\"cached_tokens\":3,\"cache_write_tokens\":2},"
      "\"completion_tokens_details\":{\"reasoning_tokens\":1}}}",
      DONE},
     NULL,
     "text(a) stop:end/stop usage:9/4/3/2/1"},
    {"choice without delta",
     {"{\"choices\":[{\"index\":0,\"content_filter_offsets\":{}}]}", TEXT("a"), FINISH("stop")},
     NULL,
     "text(a) stop:end/stop"},
    {"usage in x_groq",
     {TEXT("a"), "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],"
                 "\"x_groq\":{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}}"},
     NULL,
     "text(a) stop:end/stop usage:1/2/0/0/0"},
    {"usage in every chunk, null at last",
     {"{\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":1,"
      "\"completion_tokens\":1,\"prompt_cache_hit_tokens\":1}}",
      "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}"},
     NULL,
     "text(a) stop:end/stop usage:1/1/1/0/0"},
    {"finish twice, and with the last piece",
     {"{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}", FINISH("eos")},
     NULL,
     "text(a) stop:end/eos"},
    {"no finish but [DONE]",
     {TEXT("a"), "{\"choices\":[{\"delta\":{},\"finish_reason\":null}]}", DONE},
     NULL,
     "text(a) stop:end/"},
    {"length", {TEXT("a"), FINISH("length")}, NULL, "text(a) stop:max_tokens/length"},
    {"filtered",
     {TEXT("a"), FINISH("content_filter")},
     NULL,
     "text(a) stop:content_filter/content_filter"},
    {"unknown finish", {TEXT("a"), FINISH("because")}, NULL, "text(a) stop:other/because"},
    {"reasoning under two names",
     {"{\"choices\":[{\"delta\":{\"reasoning\":\"x\",\"reasoning_content\":\"x\"}}]}",
      "{\"choices\":[{\"delta\":{\"reasoning\":\"y\",\"reasoning_content\":null}}]}", TEXT("a"),
      FINISH("stop")},
     NULL,
     "reasoning(xy) text(a) stop:end/stop"},
    {"content of parts",
     {"{\"choices\":[{\"delta\":{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":"
      "\"text\",\"text\":\"hm\"}]},{\"type\":\"text\",\"text\":\"a\"}]}}]}",
      FINISH("stop")},
     NULL,
     "reasoning(hm) text(a) stop:end/stop"},
    {"refusal",
     {"{\"choices\":[{\"delta\":{\"refusal\":\"no\"}}]}", FINISH("stop")},
     NULL,
     "refusal(no) stop:refusal/stop"},
    {"refusal among parts, and a call beside it",
     {"{\"choices\":[{\"delta\":{\"content\":[{\"type\":\"refusal\",\"refusal\":\"no\"}]}}]}",
      FINISH("stop")},
     NULL,
     "refusal(no) stop:refusal/stop"},
    {"parts that are nothing, reasoning under one name that is empty",
     {"{\"choices\":[{\"delta\":{\"reasoning_content\":\"\",\"reasoning\":\"x\",\"content\":[7,{},{"
      "\"type\":\"thinking\",\"thinking\":\"y\"},{\"type\":\"thinking\",\"thinking\":[7]}]}}]}",
      TEXT("a"), FINISH("stop")},
     NULL,
     "reasoning(xy) text(a) stop:end/stop"},
    {"usage that is told twice counts as told last; what is not told is nothing",
     {TEXT("a"), FINISH("stop"),
      "{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,"
      "\"prompt_tokens_details\":{\"cached_tokens\":1}}}",
      "{\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":\"x\",\"cached_"
      "tokens\":3,"
      "\"prompt_tokens_details\":null},\"x_groq\":{\"usage\":{\"prompt_tokens\":7}}}",
      DONE},
     NULL,
     "text(a) stop:end/stop usage:9/0/3/0/0"},
    {"a detail whose pieces leave members out",
     {"{\"choices\":[{\"delta\":{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":"
      "\"a\","
      "\"format\":\"f\",\"id\":null}]}}]}",
      "{\"choices\":[{\"delta\":{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":"
      "\"b\","
      "\"format\":null,\"id\":\"i\"}]}}]}",
      FINISH("stop")},
     NULL,
     "opaque()raw:{\"reasoning_details\":[{\"format\":\"f\",\"type\":\"reasoning.text\",\"id\":"
     "\"i\","
     "\"text\":\"ab\"}]} stop:end/stop"},
    {"a detail of another index, of no type, of a summary",
     {"{\"choices\":[{\"delta\":{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":"
      "\"a\","
      "\"index\":0},{\"type\":\"reasoning.text\",\"text\":\"b\",\"index\":1}]}}]}",
      "{\"choices\":[{\"delta\":{\"reasoning_details\":[{\"n\":1},{\"type\":\"reasoning.summary\","
      "\"summary\":\"c\"},{\"type\":\"reasoning.summary\",\"summary\":\"d\"},{\"type\":\"news\"}]}}"
      "]}",
      FINISH("stop")},
     NULL,
     "opaque()raw:{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"a\",\"index\":0},"
     "{"
     "\"type\":\"reasoning.text\",\"text\":\"b\",\"index\":1},{\"n\":1},{\"type\":"
     "\"reasoning.summary\",\"summary\":\"cd\"},{\"type\":\"news\"}]} stop:end/stop"},
    {"an answer without a word", {TEXT(""), FINISH("stop"), DONE}, NULL, "stop:end/stop"},
    {"second choice passed over",
     {"{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"},\"finish_reason\":\"length\"},"
      "{\"index\":0,\"delta\":{\"content\":\"a\"}}]}",
      FINISH("stop")},
     NULL,
     "text(a) stop:end/stop"},
    {"message beside the delta",
     {"{\"choices\":[{\"delta\":{\"content\":\"a\"},\"message\":{\"content\":\"a\"}}]}",
      "{\"choices\":[{\"delta\":{\"content\":\"b\"},\"message\":{\"content\":\"ab\"},"
      "\"finish_reason\":\"stop\"}]}"},
     NULL,
     "text(ab) stop:end/stop"},
    {"unknown events and fields",
     {"{\"type\":\"news\",\"choices\":null}", "{\"seed\":9033012299842426000}", TEXT("a"),
      FINISH("stop")},
     NULL,
     "text(a) stop:end/stop"},
    {"reasoning_details joined where they were cut",
     {"{\"choices\":[{\"delta\":{\"reasoning\":\"a\",\"reasoning_details\":[{\"type\":"
      "\"reasoning.text\",\"text\":\"a\",\"signature\":null,\"index\":0}]}}]}",
      "{\"choices\":[{\"delta\":{\"reasoning\":\"b\",\"reasoning_details\":[{\"type\":"
      "\"reasoning.text\",\"text\":\"b\",\"index\":0}]}}]}",
      "{\"choices\":[{\"delta\":{\"reasoning_details\":[{\"type\":\"reasoning.text\","
      "\"signature\":\"s/\\u003d\",\"index\":0},{\"type\":\"reasoning.encrypted\","
      "\"data\":\"q \",\"index\":1}]}}]}",
      FINISH("stop")},
     NULL,
     "reasoning(ab)raw:{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"signature\":\"s/"
     "\\u003d\","
     "\"index\":0,\"text\":\"ab\"},{\"type\":\"reasoning.encrypted\",\"data\":\"q "
     "\",\"index\":1}]} stop:end/stop"},
    {"two signed reasoning details stay two",
     {"{\"choices\":[{\"delta\":{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":"
      "\"a\",\"signature\":\"s\"},{\"type\":\"reasoning.text\",\"text\":\"b\",\"signature\":\"t\"}]"
      "}}]}",
      FINISH("stop")},
     NULL,
     "opaque()raw:{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"a\","
     "\"signature\":\"s\"},"
     "{\"type\":\"reasoning.text\",\"text\":\"b\",\"signature\":\"t\"}]} stop:end/stop"},
    {"one whole reasoning detail stays as it came",
     {"{\"choices\":[{\"delta\":{\"reasoning_details\":[{\"type\" : \"reasoning.text\","
      "\"text\":\"\\u0061\",\"signature\":\"s\"}]}}]}",
      FINISH("stop")},
     NULL,
     "opaque()raw:{\"reasoning_details\":[{\"type\" : \"reasoning.text\","
     "\"text\":\"\\u0061\",\"signature\":\"s\"}]} stop:end/stop"},
};

static const struct shape calls[] = {
    {"one, argument by argument",
     {CALLS("{\"index\":0,\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
            "\"arguments\":\"\"}}"),
      CALLS("{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\":\"}}"),
      CALLS("{\"index\":0,\"function\":{\"arguments\":\" 1}\"}}"), FINISH("tool_calls")},
     NULL,
     "call(c1,f,{\"a\": 1}) stop:tool_use/tool_calls"},
    {"parallel, interleaved by index",
     {CALLS("{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\"}},"
            "{\"index\":1,\"id\":\"c2\",\"function\":{\"name\":\"g\"}}"),
      CALLS("{\"index\":1,\"function\":{\"arguments\":\"{\"}}"),
      CALLS("{\"index\":0,\"function\":{\"arguments\":\"{}\"}}"),
      CALLS("{\"index\":1,\"function\":{\"arguments\":\"}\"}}"), FINISH("tool_calls")},
     NULL,
     "call(c1,f,{}) call(c2,g,{}) stop:tool_use/tool_calls"},
    {"every index 0",
     {CALLS("{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}"),
      CALLS("{\"index\":0,\"id\":\"c2\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}"),
      FINISH("stop")},
     NULL,
     "call(c1,f,{}) call(c2,f,{}) stop:tool_use/stop"},
    {"every index 0, without ids",
     {CALLS("{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}}"),
      CALLS("{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"b\\\":2}\"}}"),
      FINISH("stop")},
     NULL,
     "call(call_*,f,{\"a\":1}) call(call_*,f,{\"b\":2}) stop:tool_use/stop"},
    {"no index",
     {CALLS("{\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}"),
      CALLS("{\"function\":{\"arguments\":\"}\"}}"),
      CALLS("{\"id\":\"c2\",\"function\":{\"name\":\"g\",\"arguments\":\"{\"}}"),
      CALLS("{\"id\":\"c1\",\"function\":{\"arguments\":\" \"}}"),
      CALLS("{\"id\":\"c2\",\"function\":{\"arguments\":\"}\"}}"), FINISH("tool_calls")},
     NULL,
     "call(c1,f,{}) call(c2,g,{}) stop:tool_use/tool_calls"},
    {"id and name on every delta",
     {CALLS("{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}"),
      CALLS("{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\" \"}}"),
      FINISH("tool_calls")},
     NULL,
     "call(c1,f,{}) stop:tool_use/tool_calls"},
    {"empty id and name on continuations",
     {CALLS("{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":null}}"),
      CALLS("{\"index\":0,\"id\":\"\",\"function\":{\"name\":\"\",\"arguments\":\"{}\"}}"),
      FINISH("tool_calls")},
     NULL,
     "call(c1,f,{}) stop:tool_use/tool_calls"},
    {"id null, \"null\" and missing",
     {CALLS("{\"index\":0,\"id\":null,\"function\":{\"name\":\"f\"}},"
            "{\"index\":1,\"id\":\"null\",\"function\":{\"name\":\"g\"}},"
            "{\"index\":2,\"function\":{\"name\":\"h\"}}"),
      FINISH("tool_calls")},
     NULL,
     "call(call_*,f,{}) call(call_*,g,{}) call(call_*,h,{}) stop:tool_use/tool_calls"},
    {"\"null\" names nobody's call",
     {CALLS("{\"id\":\"null\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}}"),
      CALLS("{\"id\":\"c2\",\"function\":{\"name\":\"g\",\"arguments\":\"{\\\"b\\\":\"}}"),
      CALLS("{\"id\":\"null\",\"function\":{\"arguments\":\"2}\"}}"), FINISH("tool_calls")},
     NULL,
     "call(call_*,f,{\"a\":1}) call(c2,g,{\"b\":2}) stop:tool_use/tool_calls"},
    {"arguments as an object",
     {CALLS("{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":"
            "{\"n\":9007199254740993}}}"),
      FINISH("tool_calls")},
     NULL,
     "call(c1,f,{\"n\":9007199254740993}) stop:tool_use/tool_calls"},
    {"arguments that are no object",
     {CALLS("{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"[1]\"}},"
            "{\"index\":1,\"id\":\"c2\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\"}}"),
      FINISH("length")},
     NULL,
     "call(c1,f,[1],invalid) call(c2,f,{\"a,invalid) stop:max_tokens/length"},
    {"same id twice in a whole message",
     {NULL},
     "{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"function\":"
     "{\"name\":\"f\",\"arguments\":\"{}\"}},{\"id\":\"c\",\"function\":{\"name\":\"g\","
     "\"arguments\":\"\"}}]},\"finish_reason\":\"tool_calls\"}]}",
     "call(c,f,{}) call(call_*,g,{}) stop:tool_use/tool_calls"},
    {"the older function_call, streamed",
     {"{\"choices\":[{\"delta\":{\"content\":null,\"function_call\":{\"name\":\"f\","
      "\"arguments\":\"\"}}}]}",
      "{\"choices\":[{\"delta\":{\"function_call\":{\"arguments\":\"{\\\"a\\\":\"}}}]}",
      "{\"choices\":[{\"delta\":{\"function_call\":{\"arguments\":\" 1}\"}}}]}",
      FINISH("function_call")},
     NULL,
     "call(call_*,f,{\"a\": 1}) stop:tool_use/function_call"},
    {"the older function_call, whole",
     {NULL},
     "{\"choices\":[{\"message\":{\"content\":null,\"function_call\":{\"name\":\"f\","
     "\"arguments\":\"{}\"}},\"finish_reason\":\"function_call\"}]}",
     "call(call_*,f,{}) stop:tool_use/function_call"},
    {"another name at an index whose arguments are open still",
     {CALLS("{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\"}}"),
      CALLS("{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"\\\":1}\"}}"),
      CALLS("{\"index\":0,\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}"), FINISH("stop")},
     NULL,
     "call(call_*,f,{\"a\":1}) call(call_*,g,{}) stop:tool_use/stop"},
    {"an id that comes late, an index that is none, what is no call",
     {CALLS("{\"index\":0,\"function\":{\"name\":\"f\"}},7,null"),
      CALLS("{\"index\":0,\"id\":\"c1\",\"function\":{\"arguments\":\"{}\"}}"),
      CALLS("{\"index\":-1,\"id\":\"c2\",\"function\":{\"name\":\"g\",\"arguments\":7}}"),
      CALLS("{\"index\":9999999999,\"id\":\"c3\",\"function\":{\"name\":\"h\"}}"), CALLS(""),
      "{\"choices\":[{\"delta\":{\"tool_calls\":null,\"function_call\":null}},7]}",
      FINISH("tool_calls")},
     NULL,
     "call(c1,f,{}) call(c2,g,{}) call(c3,h,{}) stop:tool_use/tool_calls"},
    {"a call without a name, and arguments of none",
     {CALLS("{\"function\":{\"arguments\":\"{\"}}"), CALLS("{\"function\":{\"arguments\":\"}\"}}"),
      CALLS("{\"function\":{\"name\":\"g\"}}"), FINISH("stop")},
     NULL,
     "call(call_*,,{}) call(call_*,g,{}) stop:tool_use/stop"},
    {"custom calls, of which one says an object",
     {CALLS("{\"index\":0,\"id\":\"c1\",\"type\":\"custom\",\"custom\":{\"name\":\"f\",\"input\":"
            "\"{\\\"a\\\":\"}}"),
      CALLS("{\"index\":0,\"custom\":{\"input\":\"1}\"}}"),
      CALLS("{\"index\":1,\"id\":\"c2\",\"type\":\"custom\",\"custom\":{\"name\":\"g\",\"input\":"
            "\"words\"}}"),
      FINISH("tool_calls")},
     NULL,
     "call(c1,f,{\"a\":1}) call(c2,g,words,invalid) stop:tool_use/tool_calls"},
    {"a surrogate pair cut in the arguments",
     {CALLS("{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":"
            "\"{\\\"a\\\":\\\"\\ud83d\"}}"),
      CALLS("{\"index\":0,\"function\":{\"arguments\":\"\\ude42\\\"}\"}}"), FINISH("tool_calls")},
     NULL,
     "call(c1,f,{\"a\":\"\xf0\x9f\x99\x82\"}) stop:tool_use/tool_calls"},
    {"extra content goes back",
     {CALLS("{\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"},"
            "\"extra_content\":{\"google\":{\"thought_signature\":\"s=\"}}}"),
      FINISH("stop")},
     NULL,
     "call(c1,f,{})raw:{\"extra_content\":{\"google\":{\"thought_signature\":\"s=\"}}} "
     "stop:tool_use/stop"},
};

static const struct shape bytes[] = {
    {"carriage returns, comments, names, byte order mark",
     {NULL},
     "\xef\xbb\xbf: hello\r\n\r\nevent: message\r\nid: 7\r\ndata:" TEXT(
         "a") "\r\n\r\n"
              "event: ping\r\ndata: {}\r\n\r\ndata: " FINISH("stop") "\r\rdata: [DONE]\n\n",
     "text(a) stop:end/stop"},
    {"no blank after data, no [DONE], no last blank line",
     {NULL},
     "data:" TEXT("a") "\n\ndata:" FINISH("eos_token"),
     "text(a) stop:end/eos_token"},
    {"a blank in front makes it another name, wherever it is cut",
     {NULL},
     " data:" TEXT("lost") "\n\ndata:" TEXT("a") "\n\ndata:" FINISH("stop") "\n\n",
     "text(a) stop:end/stop"},
    {"data over two lines",
     {NULL},
     "data: {\"choices\":[{\"delta\":\ndata: {\"content\":\"a\"}}]}\n\ndata: " FINISH(
         "stop") "\n\n",
     "text(a) stop:end/stop"},
    {"blanks behind the object",
     {NULL},
     "data: " TEXT("a") "   \n\ndata: " FINISH("stop") " \n\n",
     "text(a) stop:end/stop"},
    {"emoji, escapes, lone surrogate, NUL",
     {NULL},
     "data: " TEXT("\xf0\x9f\x98\x80 \\ud83d\\ude00 \\ud83d! a\\u0000b") "\n\ndata:"
                                                                         " " FINISH("stop") "\n\n",
     "text(\xf0\x9f\x98\x80 \xf0\x9f\x98\x80 \xef\xbf\xbd! ab) stop:end/stop"},
    {"a character cut through two records",
     {NULL},
     "data: " TEXT("\xf0\x9f") "\n\ndata: " TEXT("\x98\x80!\xe2\x82") "\n\ndata: " TEXT(
         "\xac\xff") "\n\ndata: " FINISH("stop") "\n\n",
     "text(\xf0\x9f\x98\x80!\xe2\x82\xac\xef\xbf\xbd) stop:end/stop"},
    {"a surrogate pair cut through two records",
     {TEXT("a\\ud83d"), TEXT(""), TEXT("\\ude42b\\uD83D"), TEXT("c\\\\ud83d"),
      TEXT("\\ude42\\ud83d"), FINISH("stop")},
     NULL,
     "text(a\xf0\x9f\x99\x82"
     "b\xef\xbf\xbd"
     "c\\ud83d\xef\xbf\xbd\xef\xbf\xbd) "
     "stop:end/stop"},
    {"cut in [DONE], when all was said",
     {NULL},
     "data: " TEXT("a") "\n\ndata: " FINISH("stop") "\n\ndata: [DO",
     "text(a) stop:end/stop"},
    {"a whole reply whose message stands beside an empty delta",
     {NULL},
     "{\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"message\":{\"role\":"
     "\"assistant\","
     "\"content\":\"a\"},\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}",
     "text(a) stop:end/stop"},
    {"a whole reply",
     {NULL},
     " {\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\","
     "\"refusal\":null,"
     "\"reasoning_content\":\"r\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_"
     "tokens\":1,"
     "\"completion_tokens\":2}}\n",
     "reasoning(r) text(a) stop:end/stop usage:1/2/0/0/0"},
};

static const struct shape failures[] = {
    {"cut before the end",
     {TEXT("a")},
     NULL,
     "failed:UNAVAILABLE/MODEL_INCOMPLETE/again/shown the reply ended before it was whole"},
    {"nothing at all",
     {NULL},
     "",
     "failed:UNAVAILABLE/MODEL_INCOMPLETE/again the answer was empty"},
    {"only [DONE]", {DONE}, NULL, "failed:UNAVAILABLE/MODEL_INCOMPLETE/again the answer was empty"},
    {"cut in a line",
     {NULL},
     "data: " TEXT("a") "\n\ndata: {\"choices\":[{\"del",
     "failed:UNAVAILABLE/MODEL_INCOMPLETE/again/shown the reply ended before it was whole"},
    {"an error in a choice, as OpenRouter says it",
     {TEXT("a"),
      "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\","
      "\"error\":{\"code\":429,\"message\":\"slow\"}}]}"},
     NULL,
     "failed:RESOURCE_EXHAUSTED/RATE_LIMITED/again/shown slow"},
    {"an error in a choice of a whole reply",
     {NULL},
     "{\"choices\":[7,{\"error\":null},{\"message\":{\"content\":\"\"},\"finish_reason\":\"error\","
     "\"error\":{\"code\":403,\"message\":\"moderated\"}}]}",
     "failed:PERMISSION_DENIED/FORBIDDEN/never moderated"},
    {"cut in a whole reply",
     {NULL},
     "{\"choices\":[{\"message\":{\"content\":\"a\\\"}",
     "failed:UNAVAILABLE/MODEL_INCOMPLETE/again the reply ended before it was whole"},
    {"garbage in place of a whole reply",
     {NULL},
     "{\"choices\":nothing}",
     "failed:UNAVAILABLE/MODEL_GARBLED/again the server sent something that is no JSON object in "
     "place of a reply"},
    {"error event",
     {NULL},
     "event: error\ndata: {\"error\":{\"message\":\"bad call\",\"code\":\"tool_use_failed\","
     "\"status_code\":400}}\n\n",
     "failed:FAILED_PRECONDITION/TOOL_USE_FAILED/never bad call"},
    {"error in a chunk",
     {TEXT("a"), "{\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}],"
                 "\"error\":{\"code\":502,\"message\":\"gone\"}}"},
     NULL,
     "failed:UNAVAILABLE/MODEL_SERVER_ERROR/again/shown gone"},
    {"error of one string",
     {"{\"error\":\"busy\"}"},
     NULL,
     "failed:UNKNOWN/MODEL_ERROR/never busy"},
    {"finish without a reason to be trusted",
     {TEXT("a"), FINISH("error"), DONE},
     NULL,
     "failed:UNAVAILABLE/MODEL_SERVER_ERROR/again/shown the server broke the reply off: error"},
    {"error in place of a reply",
     {NULL},
     "{\"object\":\"error\",\"message\":\"too long: context length 5\",\"code\":400}",
     "failed:INVALID_ARGUMENT/CONTEXT_TOO_LONG/never too long: context length 5"},
    {"no JSON",
     {"{\"choices\":"},
     NULL,
     "failed:UNAVAILABLE/MODEL_GARBLED/again the server sent something that is no JSON object in "
     "place of a reply"},
};

static void test_texts(void **state)
{
    (void)state;
    shapes_check("openai_chat", texts, COUNT_OF(texts));
}

static void test_calls(void **state)
{
    (void)state;
    shapes_check("openai_chat", calls, COUNT_OF(calls));
}

static void test_bytes(void **state)
{
    (void)state;
    shapes_check("openai_chat", bytes, COUNT_OF(bytes));
}

static void test_failures(void **state)
{
    (void)state;
    shapes_check("openai_chat", failures, COUNT_OF(failures));
}

static void test_broken_end_is_whole_or_the_transports(void **state)
{
    struct response response = {
        .row = provider_find(STR("openai_chat")),
        .http_status = 200,
        .headers = STR("content-type: text/event-stream\r\n"),
        .body = STR("data: " TEXT("a") "\n\ndata: " FINISH("stop") "\n\ndata: {\"usa"),
        .end = ATTEMPT_END_BROKEN,
    };
    struct outcome outcome;
    (void)state;
    outcome_read(&outcome, &response, cut_nowhere, NULL);
    assert_int_equal(outcome.state, ATTEMPT_WHOLE);
    outcome_fini(&outcome);
    response.body = STR("data: " TEXT("a") "\n\ndata: {\"cho");
    outcome_read(&outcome, &response, cut_nowhere, NULL);
    assert_int_equal(outcome.state, ATTEMPT_FAILED);
    assert_int_equal(outcome.diagnosis->code, CODE_OK);
    assert_true(attempt_has_shown(outcome.attempt));
    outcome_fini(&outcome);
}

static void test_ids_of_the_conversation_are_not_given_again(void **state)
{
    uint64_t used = str_hash(STR("c1"));
    struct reply_options options = {.used_ids = &used, .used_id_count = 1, .id_seed = 3};
    struct attempt *attempt =
        attempt_new(provider_find(STR("openai_chat")), STR("http://x"), &options);
    struct model_reply reply;
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    attempt_head(attempt, 200, STR(""), 0);
    (void)attempt_bytes(
        attempt,
        STR("data: " CALLS(
            "{\"id\":\"c1\",\"function\":{\"name\":\"f\"}},"
            "{\"id\":\"c2\",\"function\":{\"name\":\"f\"}}") "\n\ndata: " FINISH("stop") "\n\n"));
    assert_int_equal(attempt_end(attempt, ATTEMPT_END_CLEAN), ATTEMPT_WHOLE);
    attempt_reply(attempt, &arena, &reply);
    assert_int_equal(reply.block_count, 2);
    assert_true(str_starts_with(reply.blocks[0].call_id, STR("call_")));
    assert_true(str_is(reply.blocks[1].call_id, "c2"));
    attempt_free(attempt);
    arena_fini(&arena);
}

static void test_size_is_limited(void **state)
{
    struct attempt *attempt;
    struct reply_options options = {0};
    enum attempt_state now = ATTEMPT_OPEN;
    struct buf piece = {0};
    (void)state;
    buf_reserve(&piece, 1 << 20);
    memset(piece.ptr, 'x', 1 << 20);
    piece.len = 1 << 20;
    attempt = attempt_new(provider_find(STR("openai_chat")), STR("http://x"), &options);
    attempt_head(attempt, 200, STR(""), 0);
    now = attempt_bytes(attempt, STR("data: "));
    for (size_t i = 0; i < 17 && now == ATTEMPT_OPEN; i++) {
        now = attempt_bytes(attempt, buf_str(&piece));
    }
    assert_int_equal(now, ATTEMPT_FAILED);
    assert_string_equal(attempt_diagnosis(attempt)->reason, "REPLY_TOO_LARGE");
    attempt_free(attempt);
    buf_fini(&piece);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_broken_end_is_whole_or_the_transports),
        cmocka_unit_test(test_ids_of_the_conversation_are_not_given_again),
        cmocka_unit_test(test_size_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
