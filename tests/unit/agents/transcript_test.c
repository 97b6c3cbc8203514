/*
 * Goal:   records become the conversation a provider accepts: in order, every call answered,
 *         opaque bytes as they came, and each request the beginning of the next.
 * Method: histories written with the codec; requests compared block by block.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/agents/transcript.h"
#include "service/codec/codec.h"

enum {
    RECORDS_MAX = 64,
};

static const struct tool_definition tools[] = {
    {.name = {"add", 3}, .description = {"adds", 4}, .parameters_json = {"{ }", 3}},
};
static struct agent_definition definition;

/* A history under construction. */
struct history {
    struct arena arena;
    struct buf bytes[RECORDS_MAX];
    str records[RECORDS_MAX];
    size_t count;
    uint32_t seq;
};

static void write_events(struct history *history, const struct event *events, size_t count)
{
    struct buf *bytes = &history->bytes[history->count];
    assert_true(history->count < RECORDS_MAX);
    *bytes = (struct buf){0};
    codec_encode(events, count, history->seq + 1, bytes);
    history->seq += (uint32_t)count;
    history->records[history->count++] = buf_str(bytes);
}

static void begin(struct history *history, const char *input, const char *options)
{
    struct event events[] = {{.kind = EVENT_RUN_STARTED},
                             {.kind = EVENT_MODEL_REQUESTED, .effect = 1, .attempt = 1}};
    memset(history, 0, sizeof(*history));
    arena_init(&history->arena, 0);
    definition = (struct agent_definition){.provider = STR("openai"),
                                           .model = STR("m"),
                                           .base_url = STR("http://x"),
                                           .system_prompt = STR("sys"),
                                           .tools = tools,
                                           .tool_count = COUNT_OF(tools),
                                           .temperature = 0.5,
                                           .max_output_tokens = 9,
                                           .output_schema_json = STR("{\"x\":1}")};
    events[0].run_started.id.bytes[0] = 1;
    events[0].run_started.spec = (struct run_spec){.kind = RUN_KIND_AGENT,
                                                   .name = STR("a"),
                                                   .input = str_of(input),
                                                   .provider_options = str_of(options),
                                                   .turns_max = 5};
    write_events(history, events, 2);
}

static void end(struct history *history)
{
    for (size_t i = 0; i < history->count; i++) {
        buf_fini(&history->bytes[i]);
    }
    arena_fini(&history->arena);
}

static void reply_with(struct history *history, const struct model_block *blocks, size_t count)
{
    struct model_reply reply = {
        .blocks = blocks, .block_count = count, .stop = MODEL_STOP_TOOL_USE};
    struct event event = {.kind = EVENT_MODEL_REPLIED, .effect = 1, .attempt = 1};
    struct buf packed = {0};
    transcript_pack_reply(&reply, STR("openai/m"), &packed);
    event.model_replied.reply = buf_str(&packed);
    event.model_replied.stop = REPLY_STOP_TOOLS;
    write_events(history, &event, 1);
    buf_fini(&packed);
}

static void request_task(struct history *history, uint32_t effect, const char *call_id)
{
    struct event event = {.kind = EVENT_TASK_REQUESTED, .effect = effect};
    event.task_requested.kind = EFFECT_TOOL;
    event.task_requested.name = STR("add");
    event.task_requested.call_id = str_of(call_id);
    event.task_requested.input = STR("{}");
    write_events(history, &event, 1);
}

static void settle(struct history *history, uint32_t effect, struct outcome outcome)
{
    struct event event = {.kind = EVENT_TASK_SETTLED, .effect = effect, .attempt = 1};
    event.task_settled.outcome = outcome;
    write_events(history, &event, 1);
}

static struct model_request request_of(struct history *history)
{
    struct model_request request;
    status outcome = transcript_request(&definition, history->records, history->count,
                                        &history->arena, &request);
    if (outcome.code != CODE_OK) {
        fail_msg("%s", outcome.why);
    }
    return request;
}

static struct model_block call_of(const char *call_id)
{
    return (struct model_block){.kind = MODEL_BLOCK_TOOL_CALL,
                                .call_id = str_of(call_id),
                                .name = STR("add"),
                                .arguments = STR("{\"n\": 1.10}")};
}

static void check_text(const struct model_message *message, enum model_role role, const char *text)
{
    assert_int_equal(message->role, role);
    assert_int_equal(message->block_count, 1);
    assert_int_equal(message->blocks[0].kind, MODEL_BLOCK_TEXT);
    assert_true(str_is(message->blocks[0].text, text));
}

static void check_result(const struct model_block *block, const char *call_id, const char *text,
                         bool is_error)
{
    assert_int_equal(block->kind, MODEL_BLOCK_TOOL_RESULT);
    assert_true(str_is(block->call_id, call_id));
    assert_true(str_is(block->name, "add"));
    if (!str_is(block->text, text)) {
        fail_msg("%s is answered with %.*s", call_id, STR_ARG(block->text));
    }
    assert_int_equal(block->is_error, is_error);
}

static void test_first_request(void **state)
{
    struct history history;
    (void)state;
    begin(&history, "\"h\\u00e9\\n\"", "");
    definition.options_json = STR("{\"script\": [1.0]}");
    struct model_request request = request_of(&history);
    assert_int_equal(request.message_count, 1);
    check_text(&request.messages[0], MODEL_ROLE_USER, "h\xc3\xa9\n");
    assert_true(str_is(request.provider, "openai"));
    assert_true(str_is(request.model, "m"));
    assert_true(str_is(request.base_url, "http://x"));
    assert_true(str_is(request.system, "sys"));
    assert_true(str_is(request.output_schema_json, "{\"x\":1}"));
    assert_true(str_is(request.options_json, "{\"script\": [1.0]}"));
    assert_true(request.temperature == 0.5);
    assert_int_equal(request.max_output_tokens, 9);
    assert_int_equal(request.attempt, 1);
    assert_int_equal(request.tool_count, 1);
    assert_true(str_is(request.tools[0].name, "add"));
    assert_true(str_is(request.tools[0].description, "adds"));
    assert_true(str_is(request.tools[0].parameters_json, "{ }"));
    end(&history);
}

static void test_input_messages(void **state)
{
    struct history history;
    (void)state;
    begin(&history,
          "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":"
          "[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\\\"\"}]},"
          "{\"role\":\"assistant\",\"content\":\"c\"}]",
          "");
    struct model_request request = request_of(&history);
    assert_int_equal(request.message_count, 3);
    check_text(&request.messages[0], MODEL_ROLE_SYSTEM, "s");
    assert_int_equal(request.messages[1].role, MODEL_ROLE_USER);
    assert_int_equal(request.messages[1].block_count, 2);
    assert_true(str_is(request.messages[1].blocks[0].text, "a"));
    assert_true(str_is(request.messages[1].blocks[1].text, "b\""));
    check_text(&request.messages[2], MODEL_ROLE_ASSISTANT, "c");
    end(&history);
}

static void test_options_merge(void **state)
{
    struct history history;
    (void)state;
    begin(&history, "\"x\"", "{\"b\": 2.50,\"c\":[1, 2]}");
    definition.options_json = STR("{\"a\":1e2,\"b\":1}");
    struct model_request request = request_of(&history);
    assert_true(str_is(request.options_json, "{\"a\":1e2,\"b\": 2.50,\"c\":[1, 2]}") ||
                str_is(request.options_json, "{\"a\":1e2,\"b\":2.50,\"c\":[1, 2]}"));
    definition.options_json = STR_EMPTY;
    assert_true(str_is(request_of(&history).options_json, "{\"b\": 2.50,\"c\":[1, 2]}"));
    definition.options_json = STR("[]");
    assert_int_equal(
        transcript_request(&definition, history.records, history.count, &history.arena, &request)
            .code,
        CODE_INVALID_ARGUMENT);
    end(&history);
}

static void test_parallel_calls_in_the_order_of_the_calls(void **state)
{
    struct model_block blocks[] = {
        {.kind = MODEL_BLOCK_TEXT, .text = STR("hm")},
        call_of("c1"),
        call_of("c2"),
        call_of("c3"),
        call_of("c4"),
        call_of("c5"),
    };
    struct history history;
    (void)state;
    begin(&history, "\"x\"", "");
    reply_with(&history, blocks, COUNT_OF(blocks));
    request_task(&history, 2, "c1");
    request_task(&history, 3, "c2");
    request_task(&history, 4, "c3");
    request_task(&history, 5, "c4");
    settle(&history, 4, (struct outcome){.value = STR("\"t\\u00e9xt\"")});
    settle(&history, 3,
           (struct outcome){.failed = true, .error_type = STR("E"), .error_message = STR("no")});
    settle(&history, 2, (struct outcome){.value = STR("{\"n\": 1.10}")});
    struct model_request request = request_of(&history);
    assert_int_equal(request.message_count, 3);
    assert_int_equal(request.messages[1].role, MODEL_ROLE_ASSISTANT);
    assert_true(str_is(request.messages[1].origin, "openai/m"));
    assert_int_equal(request.messages[1].block_count, COUNT_OF(blocks));
    assert_true(str_is(request.messages[1].blocks[1].arguments, "{\"n\": 1.10}"));
    assert_int_equal(request.messages[2].role, MODEL_ROLE_TOOL);
    const struct model_block *results = request.messages[2].blocks;
    assert_int_equal(request.messages[2].block_count, 5);
    check_result(&results[0], "c1", "{\"n\": 1.10}", false);
    check_result(&results[1], "c2", "Error: no", true);
    check_result(&results[2], "c3", "t\xc3\xa9xt", false);
    check_result(&results[3], "c4", "Error: this call has no result", true);
    check_result(&results[4], "c5",
                 "Error: this call was not run: at most 32 calls are run in one turn", true);
    end(&history);
}

static void test_odd_outcomes_have_words(void **state)
{
    struct model_block blocks[] = {call_of("c1"), call_of("c2"), call_of("c3"), call_of("c4")};
    struct history history;
    (void)state;
    begin(&history, "\"x\"", "");
    reply_with(&history, blocks, COUNT_OF(blocks));
    request_task(&history, 2, "c1");
    request_task(&history, 3, "c2");
    request_task(&history, 4, "c3");
    request_task(&history, 5, "c4");
    settle(&history, 2, (struct outcome){.failed = true});
    settle(&history, 3, (struct outcome){.failed = true, .error_type = STR("OUTCOME_UNKNOWN")});
    settle(&history, 4, (struct outcome){.value = STR_EMPTY});
    settle(&history, 5, (struct outcome){.value = STR("\"cut")});
    const struct model_block *results = request_of(&history).messages[2].blocks;
    check_result(&results[0], "c1", "Error: the tool failed", true);
    check_result(&results[1], "c2", "Error: OUTCOME_UNKNOWN", true);
    check_result(&results[2], "c3", "null", false);
    check_result(&results[3], "c4", "\"cut", false);
    end(&history);
}

static void test_more_calls_than_are_run(void **state)
{
    struct model_block blocks[ENGINE_TOOL_CALLS_MAX + 3];
    struct history history;
    char ids[COUNT_OF(blocks)][8];
    (void)state;
    begin(&history, "\"x\"", "");
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        ids[i][0] = 'c';
        ids[i][1] = (char)('0' + i / 10);
        ids[i][2] = (char)('0' + i % 10);
        ids[i][3] = '\0';
        blocks[i] = call_of(ids[i]);
    }
    reply_with(&history, blocks, COUNT_OF(blocks));
    struct event events[2 * ENGINE_TOOL_CALLS_MAX];
    for (uint32_t i = 0; i < ENGINE_TOOL_CALLS_MAX; i++) {
        events[i] = (struct event){.kind = EVENT_TASK_REQUESTED, .effect = 2 + i};
        events[i].task_requested.kind = EFFECT_TOOL;
        events[i].task_requested.call_id = str_of(ids[i]);
        events[ENGINE_TOOL_CALLS_MAX + i] =
            (struct event){.kind = EVENT_TASK_SETTLED, .effect = 2 + i};
        events[ENGINE_TOOL_CALLS_MAX + i].task_settled.outcome.value = STR("1");
    }
    write_events(&history, events, COUNT_OF(events));
    struct model_request request = request_of(&history);
    assert_int_equal(request.messages[2].block_count, COUNT_OF(blocks));
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        bool ran = i < ENGINE_TOOL_CALLS_MAX;
        check_result(
            &request.messages[2].blocks[i], ids[i],
            ran ? "1" : "Error: this call was not run: at most 32 calls are run in one turn", !ran);
    }
    end(&history);
}

static void test_turns_do_not_mix(void **state)
{
    struct model_block first[] = {call_of("c1")};
    struct model_block second[] = {call_of("c1")};
    struct history history;
    (void)state;
    begin(&history, "\"x\"", "");
    reply_with(&history, first, 1);
    request_task(&history, 2, "c1");
    settle(&history, 2, (struct outcome){.value = STR("1")});
    reply_with(&history, second, 1);
    request_task(&history, 4, "c1");
    struct model_request request = request_of(&history);
    assert_int_equal(request.message_count, 5);
    check_result(&request.messages[2].blocks[0], "c1", "1", false);
    check_result(&request.messages[4].blocks[0], "c1", "Error: this call has no result", true);
    end(&history);
}

static void reject(struct history *history, const char *feedback)
{
    struct event event = {.kind = EVENT_REPLY_REJECTED};
    event.reply_rejected.by = REJECTED_BY_SCHEMA;
    event.reply_rejected.feedback = str_of(feedback);
    write_events(history, &event, 1);
}

/* What is wrong with an answer is said behind it, once, and stays there. */
static void test_answers_that_were_rejected(void **state)
{
    struct model_block first[] = {{.kind = MODEL_BLOCK_TEXT, .text = STR("seven")}};
    struct model_block second[] = {{.kind = MODEL_BLOCK_TEXT, .text = STR("\"7\"")}};
    struct history history;
    (void)state;
    begin(&history, "\"x\"", "");
    reply_with(&history, first, 1);
    reject(&history, "a number, please");
    struct model_request request = request_of(&history);
    assert_int_equal(request.message_count, 3);
    assert_false(request.messages[0].is_amid);
    check_text(&request.messages[1], MODEL_ROLE_ASSISTANT, "seven");
    check_text(&request.messages[2], MODEL_ROLE_USER, "a number, please");
    assert_true(request.messages[2].is_amid);
    reply_with(&history, second, 1);
    reject(&history, "without the quotes");
    request = request_of(&history);
    assert_int_equal(request.message_count, 5);
    check_text(&request.messages[2], MODEL_ROLE_USER, "a number, please");
    check_text(&request.messages[3], MODEL_ROLE_ASSISTANT, "\"7\"");
    check_text(&request.messages[4], MODEL_ROLE_USER, "without the quotes");
    end(&history);
}

static void write_input(struct history *history, uint32_t number, const char *text)
{
    struct event event = {.kind = EVENT_INPUT_ACCEPTED};
    event.input_accepted.number = number;
    event.input_accepted.data = str_of(text);
    write_events(history, &event, 1);
}

static void take_input(struct history *history, uint32_t number)
{
    struct event event = {.kind = EVENT_INPUT_TAKEN};
    event.input_taken.number = number;
    write_events(history, &event, 1);
}

/* Behind the results of the calls, in order; what is not taken is not there. */
static void test_inputs_stand_where_they_were_taken(void **state)
{
    struct model_block calls[] = {call_of("c1")};
    struct model_block said[] = {{.kind = MODEL_BLOCK_TEXT, .text = STR("well")}};
    struct history history;
    (void)state;
    begin(&history, "\"x\"", "");
    write_input(&history, 1, "\"one\"");
    reply_with(&history, calls, 1);
    request_task(&history, 2, "c1");
    write_input(&history, 2, "\"two\"");
    settle(&history, 2, (struct outcome){.value = STR("1")});
    take_input(&history, 1);
    take_input(&history, 2);
    write_input(&history, 3, "\"three\"");
    struct model_request request = request_of(&history);
    assert_int_equal(request.message_count, 5);
    assert_int_equal(request.messages[2].role, MODEL_ROLE_TOOL);
    check_text(&request.messages[3], MODEL_ROLE_USER, "one");
    check_text(&request.messages[4], MODEL_ROLE_USER, "two");
    assert_true(request.messages[3].is_amid && request.messages[4].is_amid);
    reply_with(&history, said, 1);
    take_input(&history, 3);
    request = request_of(&history);
    assert_int_equal(request.message_count, 7);
    check_text(&request.messages[5], MODEL_ROLE_ASSISTANT, "well");
    check_text(&request.messages[6], MODEL_ROLE_USER, "three");
    take_input(&history, 4);
    assert_int_equal(
        transcript_request(&definition, history.records, history.count, &history.arena, &request)
            .code,
        CODE_DATA_LOSS);
    end(&history);
}

static bool same_block(const struct model_block *a, const struct model_block *b)
{
    return a->kind == b->kind && str_equal(a->text, b->text) && str_equal(a->call_id, b->call_id) &&
           str_equal(a->name, b->name) && str_equal(a->arguments, b->arguments) &&
           a->arguments_invalid == b->arguments_invalid && a->is_error == b->is_error &&
           str_equal(a->raw, b->raw);
}

static void test_a_request_begins_as_the_one_before(void **state)
{
    struct model_block blocks[] = {call_of("c1")};
    struct model_request before;
    struct history history;
    (void)state;
    begin(&history, "\"x\"", "");
    before = request_of(&history);
    for (uint32_t turn = 0; turn < 12; turn++) {
        reply_with(&history, blocks, 1);
        request_task(&history, 2 + turn, "c1");
        settle(&history, 2 + turn, (struct outcome){.value = STR("\"ok\"")});
        struct model_request after = request_of(&history);
        assert_int_equal(after.message_count, before.message_count + 2);
        for (size_t i = 0; i < before.message_count; i++) {
            assert_int_equal(after.messages[i].role, before.messages[i].role);
            assert_int_equal(after.messages[i].block_count, before.messages[i].block_count);
            for (size_t at = 0; at < before.messages[i].block_count; at++) {
                assert_true(
                    same_block(&after.messages[i].blocks[at], &before.messages[i].blocks[at]));
            }
        }
        before = after;
    }
    end(&history);
}

static void test_reply_comes_back_as_it_was(void **state)
{
    struct model_block blocks[] = {
        {.kind = MODEL_BLOCK_REASONING, .text = STR("why"), .raw = STR("{\"sig\": \"\\u0041\" }")},
        {.kind = MODEL_BLOCK_TEXT, .text = {"a\0b", 3}},
        {.kind = MODEL_BLOCK_REFUSAL, .text = STR("no")},
        {.kind = MODEL_BLOCK_TOOL_CALL,
         .call_id = STR("c"),
         .name = STR("n"),
         .arguments = STR("{\"big\":12345678901234567890}"),
         .arguments_invalid = true,
         .raw = STR("[1.0]")},
        {.kind = MODEL_BLOCK_OPAQUE, .raw = STR("{\"encrypted\":\"==\",  \"x\":1E+2}")},
    };
    struct model_reply reply = {.blocks = blocks,
                                .block_count = COUNT_OF(blocks),
                                .stop = MODEL_STOP_OTHER,
                                .stop_raw = STR("weird"),
                                .response_id = STR("r1"),
                                .model = STR("m-2025")};
    struct model_reply back;
    struct buf packed = {0};
    struct arena arena;
    str origin;
    (void)state;
    arena_init(&arena, 0);
    transcript_pack_reply(&reply, STR("anthropic/m"), &packed);
    assert_int_equal(transcript_unpack_reply(buf_str(&packed), &arena, &back, &origin).code,
                     CODE_OK);
    assert_true(str_is(origin, "anthropic/m"));
    assert_int_equal(back.stop, MODEL_STOP_OTHER);
    assert_true(str_is(back.stop_raw, "weird"));
    assert_true(str_is(back.response_id, "r1"));
    assert_true(str_is(back.model, "m-2025"));
    assert_int_equal(back.block_count, COUNT_OF(blocks));
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        assert_true(same_block(&back.blocks[i], &blocks[i]));
    }
    assert_int_equal(transcript_unpack_reply(STR("\x30\x08"), &arena, &back, &origin).code,
                     CODE_FAILED_PRECONDITION);
    assert_int_equal(transcript_unpack_reply(STR("\x0a\x02\x08\x09"), &arena, &back, &origin).code,
                     CODE_FAILED_PRECONDITION);
    assert_int_equal(transcript_unpack_reply(STR("\x0a\x09"), &arena, &back, &origin).code,
                     CODE_DATA_LOSS);
    arena_fini(&arena);
    buf_fini(&packed);
}

static void test_opaque_bytes_go_back_with_their_origin(void **state)
{
    struct model_block blocks[] = {
        {.kind = MODEL_BLOCK_OPAQUE, .raw = STR("{\"encrypted\" :\"==\"}")},
        call_of("c1"),
    };
    struct history history;
    (void)state;
    blocks[1].raw = STR("{\"thought_signature\": 1.0}");
    begin(&history, "\"x\"", "");
    reply_with(&history, blocks, 2);
    struct model_request request = request_of(&history);
    assert_true(str_is(request.messages[1].origin, "openai/m"));
    assert_true(same_block(&request.messages[1].blocks[0], &blocks[0]));
    assert_true(same_block(&request.messages[1].blocks[1], &blocks[1]));
    assert_true(str_is(request.messages[0].origin, ""));
    end(&history);
}

static void test_attempts_and_other_events(void **state)
{
    struct event events[] = {
        {.kind = EVENT_MODEL_FAILED, .effect = 1, .attempt = 1},
        {.kind = EVENT_MODEL_REQUESTED, .effect = 1, .attempt = 2},
        {.kind = EVENT_LEASE_LOST, .effect = 9, .attempt = 1},
    };
    struct history history;
    (void)state;
    begin(&history, "\"x\"", "");
    write_events(&history, events, COUNT_OF(events));
    struct model_request request = request_of(&history);
    assert_int_equal(request.attempt, 2);
    assert_int_equal(request.message_count, 1);
    end(&history);
}

static void test_refuses_what_is_no_history(void **state)
{
    struct model_request request;
    struct history history;
    (void)state;
    begin(&history, "\"x\"", "");
    assert_int_equal(
        transcript_request(&definition, history.records, 0, &history.arena, &request).code,
        CODE_DATA_LOSS);
    history.bytes[0].ptr[40] ^= 1;
    assert_int_equal(
        transcript_request(&definition, history.records, 1, &history.arena, &request).code,
        CODE_DATA_LOSS);
    history.bytes[0].ptr[40] ^= 1;
    history.records[1] = history.records[0];
    assert_int_equal(
        transcript_request(&definition, history.records, 2, &history.arena, &request).code,
        CODE_DATA_LOSS);
    end(&history);
    begin(&history, "5", "");
    assert_int_equal(
        transcript_request(&definition, history.records, 1, &history.arena, &request).code,
        CODE_INVALID_ARGUMENT);
    end(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_request),
        cmocka_unit_test(test_input_messages),
        cmocka_unit_test(test_options_merge),
        cmocka_unit_test(test_parallel_calls_in_the_order_of_the_calls),
        cmocka_unit_test(test_odd_outcomes_have_words),
        cmocka_unit_test(test_more_calls_than_are_run),
        cmocka_unit_test(test_turns_do_not_mix),
        cmocka_unit_test(test_answers_that_were_rejected),
        cmocka_unit_test(test_inputs_stand_where_they_were_taken),
        cmocka_unit_test(test_a_request_begins_as_the_one_before),
        cmocka_unit_test(test_reply_comes_back_as_it_was),
        cmocka_unit_test(test_opaque_bytes_go_back_with_their_origin),
        cmocka_unit_test(test_attempts_and_other_events),
        cmocka_unit_test(test_refuses_what_is_no_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
