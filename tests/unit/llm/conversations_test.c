/*
 * Goal:   what is odd in a conversation (orders in the middle, several texts, none, a refusal, a
 *         call that cannot be read, a message that says nothing) reaches each provider.
 * Method: one conversation, and beside it the body in each dialect.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/json.h"
#include "service/llm/codec.h"
#include "service/llm/providers.h"

static const struct model_block two_texts[] = {
    {.kind = MODEL_BLOCK_TEXT, .text = {"one", 3}},
    {.kind = MODEL_BLOCK_TEXT, .text = {"two", 3}},
};
static const struct model_block picture[] = {
    {.kind = MODEL_BLOCK_TEXT, .text = {"look", 4}},
    {.kind = MODEL_BLOCK_MEDIA, .media_type = {"image/png", 9}, .data = {"aGk=", 4}},
    {.kind = MODEL_BLOCK_REFUSAL, .text = {"not a user's", 12}},
};
static const struct model_block order[] = {
    {.kind = MODEL_BLOCK_TEXT, .text = {"be brief", 8}},
};
static const struct model_block refusal[] = {
    {.kind = MODEL_BLOCK_REFUSAL, .text = {"no", 2}},
};
static const struct model_block thought[] = {
    {.kind = MODEL_BLOCK_REASONING, .text = {"hm", 2}},
    {.kind = MODEL_BLOCK_TEXT, .text = {"", 0}},
};
static const struct model_block calls[] = {
    {.kind = MODEL_BLOCK_TEXT, .text = {"so", 2}},
    {.kind = MODEL_BLOCK_TOOL_CALL,
     .call_id = {"c1", 2},
     .name = {"f", 1},
     .arguments = {"{\"a", 3},
     .arguments_invalid = true},
};
static const struct model_block results[] = {
    {.kind = MODEL_BLOCK_TEXT, .text = {"not a tool's", 12}},
    {.kind = MODEL_BLOCK_TOOL_RESULT,
     .call_id = {"c1", 2},
     .name = {"f", 1},
     .text = {"oops", 4},
     .is_error = true},
};

static const struct model_message messages[] = {
    {.role = MODEL_ROLE_USER, .blocks = two_texts, .block_count = 2},
    {.role = MODEL_ROLE_SYSTEM, .blocks = order, .block_count = 1},
    {.role = MODEL_ROLE_ASSISTANT, .blocks = refusal, .block_count = 1},
    {.role = MODEL_ROLE_USER},
    {.role = MODEL_ROLE_ASSISTANT, .blocks = thought, .block_count = 2},
    {.role = MODEL_ROLE_USER, .blocks = picture, .block_count = 3},
    {.role = MODEL_ROLE_ASSISTANT, .blocks = calls, .block_count = 2},
    {.role = MODEL_ROLE_TOOL, .blocks = results, .block_count = 2},
};

static const struct {
    const char *provider;
    const char *body;
} dialects[] = {
    {"openai_chat",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"u"
     "ser\",\"content\":\"one\\ntwo\"},{\"role\":\"system\",\"content\":\"be brief\"},{\"r"
     "ole\":\"assistant\",\"content\":\"no\"},{\"role\":\"user\",\"content\":\"\"},{\"role"
     "\":\"assistant\",\"content\":\"\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\""
     ",\"text\":\"look\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;"
     "base64,aGk=\"}}]},{\"role\":\"assistant\",\"content\":\"so\",\"tool_calls\":[{\"id\""
     ":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"inva"
     "lid_json\\\":\\\"{\\\\\\\"a\\\"}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c1\",\""
     "content\":\"oops\"}],\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
    {"openai",
     "{\"model\":\"m\",\"instructions\":\"S\",\"input\":[{\"role\":\"user\",\"content\":\""
     "one\\ntwo\"},{\"role\":\"system\",\"content\":\"be brief\"},{\"role\":\"assistant\","
     "\"content\":\"no\"},{\"role\":\"user\",\"content\":\"\"},{\"role\":\"user\",\"conten"
     "t\":[{\"type\":\"input_text\",\"text\":\"look\"},{\"type\":\"input_image\",\"image_u"
     "rl\":\"data:image/png;base64,aGk=\"}]},{\"role\":\"assistant\",\"content\":\"so\"},{"
     "\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{\\\"in"
     "valid_json\\\":\\\"{\\\\\\\"a\\\"}\"},{\"type\":\"function_call_output\",\"call_id\""
     ":\"c1\",\"output\":\"oops\"}],\"include\":[\"reasoning.encrypted_content\"],\"store\""
     ":false,\"stream\":true}"},
    {"anthropic",
     "{\"model\":\"m\",\"system\":[{\"type\":\"text\",\"text\":\"S\\n\\nbe brief\",\"cache"
     "_control\":{\"type\":\"ephemeral\"}}],\"messages\":[{\"role\":\"user\",\"content\":["
     "{\"type\":\"text\",\"text\":\"one\"},{\"type\":\"text\",\"text\":\"two\"}]},{\"role\""
     ":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"no\"}]},{\"role\":\"user\""
     ",\"content\":[{\"type\":\"text\",\"text\":\"(no text)\"}]},{\"role\":\"user\",\"cont"
     "ent\":[{\"type\":\"text\",\"text\":\"look\"},{\"type\":\"image\",\"source\":{\"type\""
     ":\"base64\",\"media_type\":\"image/png\",\"data\":\"aGk=\"}},{\"type\":\"text\",\"te"
     "xt\":\"not a user's\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"t"
     "ext\":\"so\"},{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\",\"input\":{\"inval"
     "id_json\":\"{\\\"a\"}}]},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\""
     ":\"not a tool's\"},{\"type\":\"tool_result\",\"tool_use_id\":\"c1\",\"content\":\"oo"
     "ps\",\"is_error\":true,\"cache_control\":{\"type\":\"ephemeral\"}}]}],\"max_tokens\""
     ":16384,\"stream\":true}"},
    {"gemini",
     "{\"systemInstruction\":{\"parts\":[{\"text\":\"S\\n\\nbe brief\"}]},\"contents\":[{\""
     "role\":\"user\",\"parts\":[{\"text\":\"one\\ntwo\"}]},{\"role\":\"model\",\"parts\":"
     "[{\"text\":\"no\"}]},{\"role\":\"user\",\"parts\":[{\"text\":\"(no text)\"}]},{\"rol"
     "e\":\"user\",\"parts\":[{\"text\":\"look\"},{\"inlineData\":{\"mimeType\":\"image/pn"
     "g\",\"data\":\"aGk=\"}}]},{\"role\":\"model\",\"parts\":[{\"text\":\"so\"},{\"functi"
     "onCall\":{\"name\":\"f\",\"args\":{\"invalid_json\":\"{\\\"a\"}}}]},{\"role\":\"user"
     "\",\"parts\":[{\"functionResponse\":{\"name\":\"f\",\"response\":{\"error\":\"oops\""
     "}}}]}],\"generationConfig\":{}}"},
    {"ollama_native",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"u"
     "ser\",\"content\":\"one\\ntwo\"},{\"role\":\"system\",\"content\":\"be brief\"},{\"r"
     "ole\":\"assistant\",\"content\":\"\"},{\"role\":\"user\",\"content\":\"\"},{\"role\""
     ":\"assistant\",\"content\":\"\"},{\"role\":\"user\",\"content\":\"look\",\"images\":"
     "[\"aGk=\"]},{\"role\":\"assistant\",\"content\":\"so\",\"tool_calls\":[{\"id\":\"c1\""
     ",\"function\":{\"name\":\"f\",\"arguments\":{\"invalid_json\":\"{\\\"a\"}}}]},{\"rol"
     "e\":\"tool\",\"tool_name\":\"f\",\"tool_call_id\":\"c1\",\"content\":\"oops\"}],\"op"
     "tions\":{},\"stream\":true}"},
};

static void an_odd_conversation_reaches_each_provider(void **state)
{
    (void)state;
    const struct model_request request = {
        .model = STR("m"),
        .system = STR("S"),
        .messages = messages,
        .message_count = COUNT_OF(messages),
        .temperature = NAN,
    };
    for (size_t i = 0; i < COUNT_OF(dialects); i++) {
        const struct provider_row *row = provider_find(str_of(dialects[i].provider));
        struct buf body = {0};
        row->codec->put_body(row, &request, &body);
        assert_true(json_is_object(buf_str(&body)));
        if (!str_is(buf_str(&body), dialects[i].body)) {
            fail_msg("%s:\n     got " STR_FMT "\nexpected %s", dialects[i].provider,
                     STR_ARG(buf_str(&body)), dialects[i].body);
        }
        buf_fini(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_odd_conversation_reaches_each_provider),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
