/*
 * Goal:   the scripted provider answers as its script says, from the request alone.
 * Method: conversations and the plan they must give; each plan is made twice and must be equal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/json.h"
#include "service/llm/scripted.h"
#include "service/llm/synthesis.h"

static const struct model_tool weather = {
    {"get_weather", 11},
    {"", 0},
    {"{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}", 57},
};

/* A user message, then `turns` pairs of an assistant's call and its result. */
struct talk {
    struct model_message messages[9];
    struct model_block user;
    struct model_block call;
    struct model_block result;
    struct model_request request;
};

static void talk_make(struct talk *talk, const char *said, const char *options, size_t turns)
{
    *talk = (struct talk){0};
    talk->user = (struct model_block){.kind = MODEL_BLOCK_TEXT, .text = str_of(said)};
    talk->call = (struct model_block){
        .kind = MODEL_BLOCK_TOOL_CALL, .call_id = STR("c"), .arguments = STR("{}")};
    talk->result = (struct model_block){
        .kind = MODEL_BLOCK_TOOL_RESULT, .name = STR("get_weather"), .text = STR("\"22\" degrees")};
    talk->messages[0] = (struct model_message){MODEL_ROLE_USER, &talk->user, 1, STR(""), false};
    for (size_t i = 0; i < turns; i++) {
        talk->messages[1 + 2 * i] =
            (struct model_message){MODEL_ROLE_ASSISTANT, &talk->call, 1, STR(""), false};
        talk->messages[2 + 2 * i] =
            (struct model_message){MODEL_ROLE_TOOL, &talk->result, 1, STR(""), false};
    }
    talk->request = (struct model_request){
        .provider = STR("scripted"),
        .messages = talk->messages,
        .message_count = 1 + 2 * turns,
        .options_json = str_of(options),
        .attempt = 1,
    };
}

static void put_plan(struct buf *ret, const struct scripted_plan *plan)
{
    for (size_t i = 0; i < plan->delta_count; i++) {
        buf_printf(ret, "%d<" STR_FMT ">", (int)plan->deltas[i].kind,
                   STR_ARG(plan->deltas[i].text));
    }
    if (plan->fails) {
        buf_printf(ret, " failed %s%s%s", plan->failure.reason,
                   plan->failure.retryable ? " again" : "", plan->failure.partial ? " shown" : "");
        return;
    }
    for (size_t i = 0; i < plan->reply.block_count; i++) {
        const struct model_block *block = &plan->reply.blocks[i];
        buf_printf(ret, " " STR_FMT STR_FMT STR_FMT "%s", STR_ARG(block->text),
                   STR_ARG(block->name), STR_ARG(block->arguments),
                   block->arguments_invalid ? "!" : "");
    }
    buf_printf(ret, " /" STR_FMT, STR_ARG(plan->reply.stop_raw));
    assert_true(plan->reply.usage.known && plan->reply.usage.input > 0);
}

static void check_plan(const struct talk *talk, const char *expected)
{
    struct buf lines[2] = {0};
    for (size_t i = 0; i < 2; i++) {
        struct scripted_plan plan;
        struct arena arena;
        arena_init(&arena, 0);
        assert_true(status_is_ok(scripted_check(&talk->request, &arena)));
        scripted_make(&talk->request, &arena, &plan);
        put_plan(&lines[i], &plan);
        arena_fini(&arena);
    }
    assert_true(str_equal(buf_str(&lines[0]), buf_str(&lines[1])));
    if (!str_is(buf_str(&lines[0]), expected)) {
        fail_msg("\n     got " STR_FMT "\nexpected %s", STR_ARG(buf_str(&lines[0])), expected);
    }
    buf_fini(&lines[0]);
    buf_fini(&lines[1]);
}

static void test_follows_the_script(void **state)
{
    static const char script[] =
        "{\"script\":[{\"tool_calls\":[{\"name\":\"f\",\"arguments\":{\"q\": \"{{input}}\"}},"
        "{\"name\":\"g\",\"arguments\":\"{oops\"},{\"name\":\"h\"}],\"text\":\"one two\"},"
        "{\"text\":\"it is {{tool_result}}.\",\"reasoning\":\"hm\"}]}";
    struct talk talk;
    (void)state;
    talk_make(&talk, "say \"hi\"", script, 0);
    check_plan(&talk, "0<one >0<two>2<{\"q\": \"say \\\"hi\\\"\"}>2<{oops>2<{}> one two "
                      "f{\"q\": \"say \\\"hi\\\"\"} g{oops! h{} /tool_calls");
    talk_make(&talk, "say", script, 1);
    check_plan(&talk, "1<hm>0<it >0<is >0<\"22\" >0<degrees.> hm it is \"22\" degrees. /stop");
    talk_make(&talk, "say", script, 2);
    check_plan(&talk, " failed SCRIPT_EXHAUSTED");
}

static void test_arguments_go_on_byte_for_byte(void **state)
{
    struct talk talk;
    (void)state;
    talk_make(&talk, "x",
              "{\"script\":[{\"tool_calls\":[{\"name\":\"f\",\"arguments\":"
              "{\"n\" : 9033012299842426000,\"s\":\"\\ud83d\\u0000\"}},"
              "{\"name\":\"g\",\"arguments\":null},"
              "{\"name\":\"h\",\"arguments\":\"{\\\"n\\\":1e400}\"}]}]}",
              0);
    check_plan(&talk,
               "2<{\"n\" : 9033012299842426000,\"s\":\"\\ud83d\\u0000\"}>2<{}>2<{\"n\":1e400}> "
               "f{\"n\" : 9033012299842426000,\"s\":\"\\ud83d\\u0000\"} g{} h{\"n\":1e400} "
               "/tool_calls");
}

static void test_null_is_absent(void **state)
{
    struct talk talk;
    (void)state;
    talk_make(&talk, "x",
              "{\"delta_ms\":null,\"chunk\":null,\"script\":[{\"text\":\"a\",\"reasoning\":null,"
              "\"tool_calls\":null,\"error\":null}]}",
              0);
    check_plan(&talk, "0<a> a /stop");
}

static void test_starts_again_with_each_user_message(void **state)
{
    struct talk talk;
    (void)state;
    talk_make(&talk, "x", "{\"script\":[{\"text\":\"a\"},{\"text\":\"b\"}]}", 1);
    check_plan(&talk, "0<b> b /stop");
    talk.messages[3] = talk.messages[0];
    talk.request.message_count = 4;
    check_plan(&talk, "0<a> a /stop");
}

static void test_cuts_by_characters(void **state)
{
    struct talk talk;
    (void)state;
    talk_make(&talk, "x", "{\"chunk\":2,\"script\":[{\"text\":\"aé😀bc\"}]}", 0);
    check_plan(&talk, "0<aé>0<😀b>0<c> aé😀bc /stop");
}

static void test_fails_as_told(void **state)
{
    struct talk talk;
    (void)state;
    talk_make(&talk, "x",
              "{\"script\":[{\"text\":\"a b c\",\"error\":{\"reason\":\"RATE_LIMITED\","
              "\"after_chunks\":2}}]}",
              0);
    check_plan(&talk, "0<a >0<b > failed RATE_LIMITED again shown");
    talk_make(&talk, "x", "{\"script\":[{\"error\":{\"reason\":\"?\",\"retryable\":true}}]}", 0);
    check_plan(&talk, " failed SCRIPTED_ERROR again");
    talk_make(&talk, "x",
              "{\"script\":[{\"text\":\"a\",\"error\":{\"reason\":\"QUOTA\",\"attempts\":2}}]}", 0);
    check_plan(&talk, " failed QUOTA");
    talk.request.attempt = 3;
    check_plan(&talk, "0<a> a /stop");
}

static void test_improvises_without_a_script(void **state)
{
    struct talk talk;
    (void)state;
    talk_make(&talk, "What is the weather in New York?", "", 0);
    check_plan(&talk, "0<This >0<is >0<the >0<scripted >0<model. >0<You >0<said: >0<What >0<is >"
                      "0<the >0<weather >0<in >0<New >0<York?> This is the scripted model. You "
                      "said: What is the weather in New York? /stop");
    talk.request.tools = &weather;
    talk.request.tool_count = 1;
    check_plan(&talk, "2<{\"city\":\"New York\"}> get_weather{\"city\":\"New York\"} /tool_calls");
    talk_make(&talk, "What is the weather in Rome?", "{}", 1);
    talk.request.tools = &weather;
    talk.request.tool_count = 1;
    check_plan(&talk, "0<get_weather >0<answered: >0<\"22\" >0<degrees> get_weather answered: "
                      "\"22\" degrees /stop");
}

/* What an agent must answer in goes before words about tools. */
static void test_improvises_in_the_form_that_is_asked_for(void **state)
{
    struct talk talk;
    (void)state;
    talk_make(&talk, "Is it Rome?", "", 1);
    talk.request.tools = &weather;
    talk.request.tool_count = 1;
    talk.request.output_schema_json = STR("{\"type\":\"object\",\"properties\":{\"city\":{\"type\":"
                                          "\"string\"}},\"required\":[\"city\"]}");
    check_plan(&talk, "0<{\"city\":\"Rome\"}> {\"city\":\"Rome\"} /stop");
    struct model_tool bare = {STR("now"), STR(""), STR("")};
    talk_make(&talk, "What is the time?", "", 0);
    talk.request.tools = &bare;
    talk.request.tool_count = 1;
    check_plan(&talk, "2<{}> now{} /tool_calls");
}

static void put_calls(struct buf *ret, size_t count)
{
    buf_reset(ret);
    buf_put(ret, STR("{\"script\":[{\"tool_calls\":["));
    for (size_t i = 0; i < count; i++) {
        buf_printf(ret, "%s{\"name\":\"f\"}", i == 0 ? "" : ",");
    }
    buf_put(ret, STR("]}]}"));
    buf_put_char(ret, '\0');
}

static void test_calls_are_at_most_64(void **state)
{
    struct talk talk;
    struct arena arena;
    struct buf options = {0};
    (void)state;
    arena_init(&arena, 0);
    put_calls(&options, 64);
    talk_make(&talk, "x", options.ptr, 0);
    assert_int_equal(scripted_check(&talk.request, &arena).code, CODE_OK);
    put_calls(&options, 65);
    talk_make(&talk, "x", options.ptr, 0);
    status checked = scripted_check(&talk.request, &arena);
    assert_int_equal(checked.code, CODE_INVALID_ARGUMENT);
    assert_string_equal(checked.why, "options.script[0]: more than 64 tool_calls");
    buf_fini(&options);
    arena_fini(&arena);
}

static void test_refuses_what_is_no_script(void **state)
{
    static const struct {
        const char *options;
        const char *word;
    } rows[] = {
        {"[]", "JSON object"},
        {"{\"script\":{}}", "options.script must be"},
        {"{\"script\":[{\"text\":\"a\"},7]}", "options.script[1]"},
        {"{\"script\":[{\"text\":7}]}", "strings"},
        {"{\"script\":[{\"txt\":\"a\"}]}", "knows only"},
        {"{\"script\":[{\"pause\":\"yes\"}]}", "pause must be"},
        {"{\"script\":[{\"tool_calls\":[{\"arguments\":{}}]}]}", "name"},
        {"{\"script\":[{\"tool_calls\":[{\"name\":\"f\",\"arguments\":[]}]}]}", "arguments"},
        {"{\"script\":[{\"tool_calls\":{\"name\":\"f\"}}]}", "tool_calls must be an array"},
        {"{\"script\":[{\"error\":\"x\"}]}", "error"},
        {"{\"delta_ms\":-1}", "options.delta_ms"},
        {"{\"delta_ms\":60001}", "options.delta_ms"},
        {"{\"delta_ms\":1.5}", "options.delta_ms"},
        {"{\"chunk\":\"x\"}", "options.chunk"},
    };
    struct talk talk;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena;
        arena_init(&arena, 0);
        talk_make(&talk, "x", rows[i].options, 0);
        status checked = scripted_check(&talk.request, &arena);
        assert_int_equal(checked.code, CODE_INVALID_ARGUMENT);
        if (strstr(checked.why, rows[i].word) == NULL) {
            fail_msg("%s: %s", rows[i].options, checked.why);
        }
        arena_fini(&arena);
    }
}

static void test_values_fit_their_schemas(void **state)
{
    static const struct {
        const char *schema;
        const char *value;
    } rows[] = {
        {"{\"type\":\"object\"}", "{}"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":"
         "\"boolean\"}},\"required\":[\"b\"]}",
         "{\"b\":true}"},
        {"{\"type\":\"number\",\"minimum\":2.5}", "2.5"},
        {"{\"type\":\"integer\"}", "31"},
        {"{\"enum\":[\"x\",\"y\"]}", "\"x\""},
        {"{\"const\":{\"a\": 1}}", "{\"a\": 1}"},
        {"{\"type\":\"string\",\"default\":\"d\"}", "\"d\""},
        {"{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"array\",\"items\":{\"type\":\"string\"}}]}",
         "[\"Rome\"]"},
        {"{\"type\":[\"null\",\"string\"]}", "\"Rome\""},
        {"{\"type\":[\"string\",\"null\"]}", "\"Rome\""},
        {"{\"type\":[\"boolean\",\"string\"]}", "true"},
        {"{\"type\":[\"null\"]}", "null"},
        {"{\"$ref\":\"#/$defs/P\",\"$defs\":{\"P\":{\"type\":\"object\",\"properties\":{\"n\":"
         "{\"type\":\"null\"}}}}}",
         "{\"n\":null}"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf value = {0};
        synthesis_put(str_of(rows[i].schema), STR("Go to Rome for 31 days"), &value);
        if (!str_is(buf_str(&value), rows[i].value)) {
            fail_msg("%s: " STR_FMT, rows[i].schema, STR_ARG(buf_str(&value)));
        }
        buf_fini(&value);
    }
}

static void test_endless_schema_ends(void **state)
{
    struct buf value = {0};
    (void)state;
    synthesis_put(
        STR("{\"$ref\":\"#/$defs/T\",\"$defs\":{\"T\":{\"type\":\"object\",\"properties\":"
            "{\"l\":{\"$ref\":\"#/$defs/T\"},\"r\":{\"$ref\":\"#/$defs/T\"}}}}}"),
        STR(""), &value);
    assert_true(json_is_object(buf_str(&value)));
    assert_true(value.len < 100000);
    buf_fini(&value);
}

static void test_last_name(void **state)
{
    (void)state;
    assert_true(str_is(synthesis_last_name(STR("What about Paris and New York?")), "New York"));
    assert_true(str_is(synthesis_last_name(STR("Rome please")), "Rome"));
    assert_true(str_is(synthesis_last_name(STR("in rome")), "rome"));
    assert_true(str_is(synthesis_last_name(STR("12 !")), ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follows_the_script),
        cmocka_unit_test(test_arguments_go_on_byte_for_byte),
        cmocka_unit_test(test_null_is_absent),
        cmocka_unit_test(test_starts_again_with_each_user_message),
        cmocka_unit_test(test_cuts_by_characters),
        cmocka_unit_test(test_fails_as_told),
        cmocka_unit_test(test_improvises_without_a_script),
        cmocka_unit_test(test_improvises_in_the_form_that_is_asked_for),
        cmocka_unit_test(test_calls_are_at_most_64),
        cmocka_unit_test(test_refuses_what_is_no_script),
        cmocka_unit_test(test_values_fit_their_schemas),
        cmocka_unit_test(test_endless_schema_ends),
        cmocka_unit_test(test_last_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
