/*
 * Goal:   only calls that may be run are run; the others carry a refusal the model can use.
 * Method: replies of each kind against one definition.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/agents/transcript.h"

static const struct tool_definition tools[] = {
    {.name = {"add", 3}, .timeout_ms = 700, .at_most_once = true},
    {.name = {"now", 3}},
};
static const struct agent_definition definition = {.tools = tools, .tool_count = COUNT_OF(tools)};

struct judged {
    const struct tool_call *calls;
    size_t count;
    enum reply_stop stop;
};

static struct judged judge(const struct model_block *blocks, size_t count, enum model_stop stop,
                           struct arena *arena)
{
    struct model_reply reply = {.blocks = blocks, .block_count = count, .stop = stop};
    struct judged ret;
    transcript_judge_calls(&definition, &reply, arena, &ret.calls, &ret.count, &ret.stop);
    return ret;
}

static struct model_block call_of(const char *name, const char *arguments)
{
    return (struct model_block){.kind = MODEL_BLOCK_TOOL_CALL,
                                .call_id = STR("c"),
                                .name = str_of(name),
                                .arguments = str_of(arguments)};
}

static void test_judges_each_call(void **state)
{
    struct model_block blocks[] = {
        {.kind = MODEL_BLOCK_TEXT, .text = STR("let me see")},
        call_of("add", " {\"a\":1} "),
        call_of("sub", "{}"),
        call_of("add", "[1]"),
        call_of("add", "{\"a\":"),
        call_of("now", "{}"),
    };
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    blocks[5].arguments_invalid = true;
    struct judged judged = judge(blocks, COUNT_OF(blocks), MODEL_STOP_TOOL_USE, &arena);
    assert_int_equal(judged.stop, REPLY_STOP_TOOLS);
    assert_int_equal(judged.count, 5);
    assert_null(judged.calls[0].refusal_type);
    assert_true(str_is(judged.calls[0].arguments, " {\"a\":1} "));
    assert_int_equal(judged.calls[0].timeout_ms, 700);
    assert_true(judged.calls[0].at_most_once);
    assert_string_equal(judged.calls[1].refusal_type, "UNKNOWN_TOOL");
    assert_true(str_is(judged.calls[1].refusal_message,
                       "there is no tool named \"sub\"; the tools are: add, now"));
    for (size_t i = 2; i < 5; i++) {
        assert_string_equal(judged.calls[i].refusal_type, "INVALID_ARGUMENTS");
        assert_true(judged.calls[i].refusal_message.len > 0);
    }
    arena_fini(&arena);
}

static void test_a_cut_reply_loses_its_last_call(void **state)
{
    struct model_block blocks[] = {call_of("add", "{}"), call_of("add", "{}")};
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    struct judged judged = judge(blocks, 2, MODEL_STOP_MAX_TOKENS, &arena);
    assert_int_equal(judged.stop, REPLY_STOP_TOOLS);
    assert_int_equal(judged.count, 2);
    assert_null(judged.calls[0].refusal_type);
    assert_string_equal(judged.calls[1].refusal_type, "TRUNCATED");
    arena_fini(&arena);
}

static void test_only_so_many_calls_are_run(void **state)
{
    struct model_block blocks[ENGINE_TOOL_CALLS_MAX + 5];
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        blocks[i] = call_of("now", "{}");
    }
    struct judged judged = judge(blocks, COUNT_OF(blocks), MODEL_STOP_MAX_TOKENS, &arena);
    assert_int_equal(judged.count, ENGINE_TOOL_CALLS_MAX);
    for (size_t i = 0; i < judged.count; i++) {
        assert_null(judged.calls[i].refusal_type); /* The cut one was not kept. */
    }
    judged = judge(blocks, ENGINE_TOOL_CALLS_MAX, MODEL_STOP_TOOL_USE, &arena);
    assert_int_equal(judged.count, ENGINE_TOOL_CALLS_MAX);
    arena_fini(&arena);
}

static void test_stops(void **state)
{
    static const struct {
        enum model_stop stop;
        enum reply_stop with_calls;
        enum reply_stop without;
    } rows[] = {
        {MODEL_STOP_END, REPLY_STOP_TOOLS, REPLY_STOP_END},
        {MODEL_STOP_TOOL_USE, REPLY_STOP_TOOLS, REPLY_STOP_END},
        {MODEL_STOP_MAX_TOKENS, REPLY_STOP_TOOLS, REPLY_STOP_LENGTH},
        {MODEL_STOP_SEQUENCE, REPLY_STOP_TOOLS, REPLY_STOP_END},
        {MODEL_STOP_CONTENT_FILTER, REPLY_STOP_CONTENT_FILTER, REPLY_STOP_CONTENT_FILTER},
        {MODEL_STOP_REFUSAL, REPLY_STOP_REFUSAL, REPLY_STOP_REFUSAL},
        {MODEL_STOP_PAUSE, REPLY_STOP_TOOLS, REPLY_STOP_PAUSE},
        {MODEL_STOP_OTHER, REPLY_STOP_TOOLS, REPLY_STOP_END},
    };
    struct model_block blocks[] = {{.kind = MODEL_BLOCK_TEXT, .text = STR("t")},
                                   call_of("now", "{}")};
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct judged judged = judge(blocks, 2, rows[i].stop, &arena);
        assert_int_equal(judged.stop, rows[i].with_calls);
        assert_int_equal(judged.count, rows[i].with_calls == REPLY_STOP_TOOLS ? 1 : 0);
        judged = judge(blocks, 1, rows[i].stop, &arena);
        assert_int_equal(judged.stop, rows[i].without);
        assert_int_equal(judged.count, 0);
        judged = judge(NULL, 0, rows[i].stop, &arena);
        assert_int_equal(judged.stop, rows[i].without);
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judges_each_call),
        cmocka_unit_test(test_a_cut_reply_loses_its_last_call),
        cmocka_unit_test(test_only_so_many_calls_are_run),
        cmocka_unit_test(test_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
