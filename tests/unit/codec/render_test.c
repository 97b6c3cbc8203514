/*
 * Goal:   every event is one valid JSON object, values that are JSON stand in it byte for byte.
 * Method: expected texts; random events, whose bytes are seldom UTF-8 and never trusted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "polos/journal/v1/journal.pb-c.h"
#include "service/base/json.h"
#include "service/codec/body.h"
#include "service/codec/codec.h"
#include "tests/unit/codec/samples.h"

static void check(const struct event *event, const char *expected)
{
    struct buf text = {0};
    codec_render(event, &text);
    buf_put_char(&text, '\0');
    assert_string_equal(text.ptr, expected);
    text.len--;
    assert_true(json_is_object(buf_str(&text)));
    buf_fini(&text);
}

static void test_values_stay_byte_for_byte(void **state)
{
    struct event settled = {.kind = EVENT_TASK_SETTLED};
    struct event step = {.kind = EVENT_STEP_SETTLED};
    struct event task = {.kind = EVENT_TASK_REQUESTED};
    (void)state;
    settled.task_settled.outcome.value = STR("{\"n\": 12345678901234567890.10, \"n\":1 }");
    check(&settled, "{\"value\":{\"n\": 12345678901234567890.10, \"n\":1 }}");
    settled.task_settled.outcome.value = STR("{\"cut");
    check(&settled, "{\"value\":\"{\\\"cut\"}");
    settled.task_settled.outcome = (struct outcome){
        .failed = true, .error_type = STR("E"), .error_message = STR("no\n"), .value = STR("1")};
    check(&settled, "{\"error\":{\"type\":\"E\",\"message\":\"no\\n\"}}");
    step.step_settled.number = 2;
    step.step_settled.key = STR("k\"");
    step.step_settled.outcome.value = STR("null");
    check(&step, "{\"number\":2,\"key\":\"k\\\"\",\"value\":null}");
    task.task_requested.kind = EFFECT_TOOL;
    task.task_requested.name = STR("t");
    task.task_requested.call_id = STR("c1");
    task.task_requested.input = STR("[1 , 2]");
    task.task_requested.at_most_once = true;
    check(&task, "{\"kind\":\"tool\",\"name\":\"t\",\"call_id\":\"c1\",\"input\":[1 , 2],"
                 "\"at_most_once\":true}");
}

static void test_run_events(void **state)
{
    struct event started = {.kind = EVENT_RUN_STARTED};
    struct event ended = {.kind = EVENT_RUN_COMPLETED};
    struct event requested = {.kind = EVENT_MODEL_REQUESTED, .effect = 1, .attempt = 1};
    struct event failed = {.kind = EVENT_MODEL_FAILED};
    (void)state;
    started.run_started.id.bytes[15] = 1;
    started.run_started.spec = (struct run_spec){.kind = RUN_KIND_AGENT,
                                                 .name = STR("a"),
                                                 .input = STR("\"hi\""),
                                                 .provider_options = STR("{\"x\":1}"),
                                                 .definition_hash = {"\0\1\xff", 3},
                                                 .turns_max = 20};
    check(&started, "{\"run_id\":\"00000000-0000-0000-0000-000000000001\",\"kind\":\"agent\","
                    "\"name\":\"a\",\"input\":\"hi\",\"options\":{\"x\":1},"
                    "\"definition_hash\":\"0001ff\",\"max_steps\":20}");
    ended.run_completed.stop_reason = STR("end");
    check(&ended, "{\"stop_reason\":\"end\"}");
    check(&requested, "{}");
    failed.model_failed.reason = STR("RATE_LIMITED");
    failed.model_failed.retry_at_ms = 1750000000000;
    check(&failed, "{\"reason\":\"RATE_LIMITED\",\"retry_at_ms\":1750000000000}");
}

static void test_waits(void **state)
{
    static const struct {
        enum effect_kind kind;
        const char *shown;
    } kinds[] = {
        {EFFECT_SLEEP, "{\"kind\":\"sleep\",\"task\":1}"},
        {EFFECT_SUSPENSION, "{\"kind\":\"suspension\",\"task\":1}"},
        {EFFECT_EVENT, "{\"kind\":\"event\",\"task\":1}"},
        {EFFECT_CHILDREN, "{\"kind\":\"children\",\"task\":1}"},
        {EFFECT_AT_ONCE, "{\"kind\":\"order\",\"task\":1}"},
    };
    struct event set = {.kind = EVENT_WAIT_SET, .effect = 2, .wait_set = {.owner = 1}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        set.wait_set.kind = kinds[i].kind;
        check(&set, kinds[i].shown);
    }
    set.wait_set.kind = EFFECT_SUSPENSION;
    set.wait_set.key = STR("approve:1");
    set.wait_set.data = STR("{\"sum\": 1.50, \"sum\":2}");
    set.wait_set.due_ms = 1750000000000;
    check(&set, "{\"kind\":\"suspension\",\"task\":1,\"key\":\"approve:1\","
                "\"data\":{\"sum\": 1.50, \"sum\":2},\"until_ms\":1750000000000}");
    set.wait_set.kind = EFFECT_CHILDREN;
    set.wait_set.data = STR("{cut");
    set.wait_set.due_ms = 0;
    set.wait_set.children = 3;
    check(&set, "{\"kind\":\"children\",\"task\":1,\"key\":\"approve:1\",\"data\":\"{cut\","
                "\"children\":3}");
}

static void test_ends_of_waits(void **state)
{
    struct event settled = {.kind = EVENT_WAIT_SETTLED,
                            .wait_settled = {.kind = EFFECT_SUSPENSION, .owner = 1}};
    struct event child = {.kind = EVENT_CHILD_SETTLED, .child_settled = {.index = 0}};
    struct event kept = {.kind = EVENT_RESUME_KEPT};
    (void)state;
    settled.wait_settled.key = STR("approve");
    settled.wait_settled.outcome.value = STR("[true , 1.0]");
    settled.wait_settled.by = STR("user:\"ann\"");
    check(&settled, "{\"kind\":\"suspension\",\"task\":1,\"key\":\"approve\","
                    "\"value\":[true , 1.0],\"by\":\"user:\\\"ann\\\"\"}");
    settled.wait_settled.outcome = (struct outcome){
        .failed = true, .error_type = STR("TIMEOUT"), .error_message = STR("too late")};
    settled.wait_settled.key = STR_EMPTY;
    settled.wait_settled.by = STR_EMPTY;
    check(&settled, "{\"kind\":\"suspension\",\"task\":1,"
                    "\"error\":{\"type\":\"TIMEOUT\",\"message\":\"too late\"}}");
    child.child_settled.child.bytes[15] = 7;
    child.child_settled.outcome.value = STR("null");
    check(&child, "{\"index\":0,\"child_run_id\":\"00000000-0000-0000-0000-000000000007\","
                  "\"value\":null}");
    child.child_settled.index = 2;
    child.child_settled.outcome = (struct outcome){.failed = true, .error_type = STR("E")};
    check(&child, "{\"index\":2,\"child_run_id\":\"00000000-0000-0000-0000-000000000007\","
                  "\"error\":{\"type\":\"E\"}}");
    kept.resume_kept.key = STR("approve");
    kept.resume_kept.data = STR("{ }");
    kept.resume_kept.by = STR("ann");
    check(&kept, "{\"key\":\"approve\",\"data\":{ },\"by\":\"ann\"}");
}

static void test_tasks_that_wait_or_try_again(void **state)
{
    struct event parked = {.kind = EVENT_TASK_PARKED, .effect = 1, .attempt = 1};
    struct event failed = {.kind = EVENT_TASK_FAILED, .effect = 1, .attempt = 2};
    struct event requeued = {.kind = EVENT_TASK_REQUEUED, .effect = 1, .attempt = 2};
    struct event cancel = {.kind = EVENT_CANCEL_REQUESTED};
    struct event settled = {.kind = EVENT_STEP_SETTLED};
    (void)state;
    check(&parked, "{}");
    parked.task_parked.is_ready = true;
    check(&parked, "{\"is_ready\":true}");
    failed.task_failed.outcome = (struct outcome){.failed = true,
                                                  .error_type = STR("E"),
                                                  .error_message = STR("no"),
                                                  .error_stack = STR("s")};
    failed.task_failed.state = STR("{\"n\":1}");
    failed.task_failed.retry_at_ms = 1750000000000;
    check(&failed, "{\"error\":{\"type\":\"E\",\"message\":\"no\",\"stack\":\"s\"},"
                   "\"state\":{\"n\":1},\"retry_at_ms\":1750000000000}");
    check(&requeued, "{}");
    cancel.cancel_requested.cause = STR("by ann");
    cancel.cancel_requested.deadline_ms = 1750000030000;
    check(&cancel, "{\"cause\":\"by ann\",\"deadline_ms\":1750000030000}");
    settled.step_settled.number = 1;
    settled.step_settled.outcome.value = STR("1");
    settled.step_settled.state = STR("{\"seen\":[ ]}");
    check(&settled, "{\"number\":1,\"value\":1,\"state\":{\"seen\":[ ]}}");
    settled = (struct event){.kind = EVENT_TASK_SETTLED};
    settled.task_settled.outcome.value = STR("2");
    settled.task_settled.state = STR("{}");
    check(&settled, "{\"value\":2,\"state\":{}}");
}

static void test_start_of_a_child(void **state)
{
    struct event started = {.kind = EVENT_RUN_STARTED};
    (void)state;
    started.run_started.id.bytes[15] = 1;
    started.run_started.spec =
        (struct run_spec){.kind = RUN_KIND_WORKFLOW, .name = STR("w"), .retries_max = 3};
    started.run_started.spec.parent_index = 1; /* Of nobody: not shown. */
    check(&started, "{\"run_id\":\"00000000-0000-0000-0000-000000000001\",\"kind\":\"workflow\","
                    "\"name\":\"w\",\"max_retries\":3}");
    started.run_started.spec.parent.bytes[15] = 2;
    started.run_started.spec.parent_effect = 4;
    started.run_started.spec.parent_index = 0;
    started.run_started.spec.retries_max = 0;
    started.run_started.spec.options.state = STR("{\"a\": 1}");
    check(&started, "{\"run_id\":\"00000000-0000-0000-0000-000000000001\",\"kind\":\"workflow\","
                    "\"name\":\"w\",\"parent_run_id\":\"00000000-0000-0000-0000-000000000002\","
                    "\"parent_effect\":4,\"parent_index\":0,\"state\":{\"a\": 1}}");
}

static Polos__Journal__V1__ModelBlock block_of(enum body_block_kind kind, str text)
{
    Polos__Journal__V1__ModelBlock block = POLOS__JOURNAL__V1__MODEL_BLOCK__INIT;
    block.kind = (uint32_t)kind;
    block.text = body_bytes(text);
    return block;
}

static void test_reply_is_opened(void **state)
{
    Polos__Journal__V1__ModelBlock blocks[] = {
        block_of(BODY_BLOCK_REASONING, STR("hm")), block_of(BODY_BLOCK_TEXT, STR("Hel")),
        block_of(BODY_BLOCK_TEXT, STR("lo")),      block_of(BODY_BLOCK_TOOL_CALL, STR_EMPTY),
        block_of(BODY_BLOCK_TOOL_CALL, STR_EMPTY), block_of(BODY_BLOCK_OPAQUE, STR_EMPTY),
    };
    Polos__Journal__V1__ModelBlock *list[COUNT_OF(blocks)];
    Polos__Journal__V1__ModelReply reply = POLOS__JOURNAL__V1__MODEL_REPLY__INIT;
    struct event event = {.kind = EVENT_MODEL_REPLIED};
    struct buf packed = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        list[i] = &blocks[i];
    }
    blocks[3].call_id = body_bytes(STR("c1"));
    blocks[3].name = body_bytes(STR("t"));
    blocks[3].arguments = body_bytes(STR("{ }"));
    blocks[4].arguments = body_bytes(STR("{\"a"));
    blocks[4].arguments_invalid = true;
    blocks[5].raw = body_bytes(STR("secret"));
    reply.blocks = list;
    reply.n_blocks = COUNT_OF(blocks);
    reply.model = body_bytes(STR("m-1"));
    body_pack(&reply.base, &packed);
    event.model_replied.reply = buf_str(&packed);
    event.model_replied.stop = REPLY_STOP_TOOLS;
    event.model_replied.usage = (struct engine_usage){.input = 5, .output = 7, .known = true};
    check(&event, "{\"reply\":{\"text\":\"Hello\",\"reasoning\":\"hm\",\"tool_calls\":["
                  "{\"call_id\":\"c1\",\"name\":\"t\",\"arguments\":{ }},"
                  "{\"arguments\":\"{\\\"a\",\"arguments_invalid\":true}],\"model\":\"m-1\"},"
                  "\"stop\":\"tools\",\"usage\":{\"input_tokens\":5,\"output_tokens\":7}}");
    event.model_replied.reply = STR("\xff not a reply");
    event.model_replied.usage.known = false;
    check(&event, "{\"reply\":null,\"stop\":\"tools\",\"usage\":null}");
    buf_fini(&packed);
}

static void test_any_event_is_valid_json(void **state)
{
    uint64_t seed = 11;
    struct buf text = {0};
    struct arena arena;
    struct event event;
    (void)state;
    arena_init(&arena, 0);
    for (int round = 0; round < 200; round++) {
        for (int kind = 1; kind < EVENT_COUNT; kind++) {
            sample_fill((enum event_kind)kind, &seed, 80, &arena, &event);
            buf_reset(&text);
            codec_render(&event, &text);
            assert_true(json_is_object(buf_str(&text)));
        }
        arena_reset(&arena);
    }
    arena_fini(&arena);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_stay_byte_for_byte),
        cmocka_unit_test(test_run_events),
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_ends_of_waits),
        cmocka_unit_test(test_tasks_that_wait_or_try_again),
        cmocka_unit_test(test_start_of_a_child),
        cmocka_unit_test(test_reply_is_opened),
        cmocka_unit_test(test_any_event_is_valid_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
