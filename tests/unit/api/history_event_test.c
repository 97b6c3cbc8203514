/*
 * Goal:   every kind of event that the engine writes is shown in a form of its own, and all that
 *         the API documents of those forms is shown of some event.
 * Method: samples of all kinds, random and made by hand; what was seen of the messages is ticked
 *         off; the rest is expected values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/agents/transcript.h"
#include "service/api/history_event.h"
#include "tests/unit/codec/samples.h"

enum {
    ROUNDS = 100,
    TICKS_MAX = 400,
};

#define TIME_MS UINT64_C(1750000000000)

static const Polos__V1__HistoryEvent *shown(const struct event *event, struct arena *arena)
{
    struct codec_entry entry = {.kind = event->kind, .seq = 7, .time_ms = event->time_ms};
    const Polos__V1__HistoryEvent *ret = history_event(&entry, event, arena);
    assert_non_null(ret);
    return ret;
}

static const ProtobufCFieldDescriptor *form_of(const Polos__V1__HistoryEvent *event)
{
    return protobuf_c_message_descriptor_get_field(event->base.descriptor,
                                                   (unsigned)event->event_case);
}

/* The only kind whose name within is older. */
static const char *name_of(enum event_kind kind)
{
    return kind == EVENT_RESUME_KEPT ? "ANSWER_KEPT" : engine_event_name(kind);
}

static bool is_same_but_for_case(const char *upper, const char *lower)
{
    size_t i = 0;
    for (; upper[i] != '\0' && lower[i] != '\0'; i++) {
        char wanted = upper[i] == '_' ? '_' : (char)(upper[i] + ('a' - 'A'));
        if (lower[i] != wanted) {
            return false;
        }
    }
    return upper[i] == lower[i];
}

static void every_kind_has_a_form_of_its_own(void **state)
{
    uint64_t seed = 5;
    struct arena arena;
    unsigned members = 0;
    (void)state;
    arena_init(&arena, 0);
    for (int kind = 1; kind < EVENT_COUNT; kind++) {
        struct event event;
        sample_fill((enum event_kind)kind, &seed, 80, &arena, &event);
        const ProtobufCFieldDescriptor *form = form_of(shown(&event, &arena));
        if (form == NULL || !is_same_but_for_case(name_of((enum event_kind)kind), form->name)) {
            fail_msg("%s is shown as %s", engine_event_name((enum event_kind)kind),
                     form == NULL ? "nothing" : form->name);
        }
    }
    const ProtobufCMessageDescriptor *whole = &polos__v1__history_event__descriptor;
    for (unsigned i = 0; i < whole->n_fields; i++) {
        members += (whole->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    }
    assert_int_equal(members, EVENT_COUNT - 1); /* And no form is nobody's. */
    arena_fini(&arena);
}

static void any_event_is_a_message(void **state)
{
    uint64_t seed = 11;
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (int kind = 1; kind < EVENT_COUNT; kind++) {
            struct event event;
            sample_fill((enum event_kind)kind, &seed, 80, &arena, &event);
            const Polos__V1__HistoryEvent *got = shown(&event, &arena);
            size_t size = polos__v1__history_event__get_packed_size(got);
            uint8_t *bytes = arena_alloc(&arena, size);
            assert_int_equal(polos__v1__history_event__pack(got, bytes), size);
            Polos__V1__HistoryEvent *back = polos__v1__history_event__unpack(NULL, size, bytes);
            assert_non_null(back);
            assert_int_equal(back->event_case, got->event_case);
            polos__v1__history_event__free_unpacked(back, NULL);
        }
        arena_reset(&arena);
    }
    arena_fini(&arena);
}

/* ---- all that is documented is shown ---- */

/* "RunStarted.kind", "ReplyStop.3": what some event has shown. */
struct ticks {
    char names[TICKS_MAX][64];
    size_t count;
};

static bool is_ticked(const struct ticks *ticks, const char *name)
{
    for (size_t i = 0; i < ticks->count; i++) {
        if (strcmp(ticks->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void tick(struct ticks *ticks, const char *of, const char *what)
{
    char name[64];
    snprintf(name, sizeof(name), "%s.%s", of, what);
    if (!is_ticked(ticks, name)) {
        assert_true(ticks->count < TICKS_MAX);
        memcpy(ticks->names[ticks->count++], name, sizeof(name));
    }
}

static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const char *at = (const char *)message + field->offset;
    uint32_t quantifier = *(const uint32_t *)((const char *)message + field->quantifier_offset);
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        return quantifier == field->id;
    }
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        return **(char *const *)at != '\0';
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        return *(void *const *)at != NULL;
    }
    if (field->type == PROTOBUF_C_TYPE_INT64) {
        return *(const int64_t *)at != 0;
    }
    return field->type == PROTOBUF_C_TYPE_BOOL ? *(const protobuf_c_boolean *)at != 0
                                               : *(const uint32_t *)at != 0;
}

static void tick_fields(struct ticks *ticks, const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        if (!is_set(message, field)) {
            continue;
        }
        tick(ticks, descriptor->short_name, field->name);
        if (field->type == PROTOBUF_C_TYPE_ENUM) {
            const ProtobufCEnumDescriptor *words = field->descriptor;
            const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
                words, *(const int *)((const char *)message + field->offset));
            assert_non_null(value);
            tick(ticks, words->short_name, value->name);
        }
    }
}

static void tick_event(struct ticks *ticks, const Polos__V1__HistoryEvent *event)
{
    tick_fields(ticks, &event->base);
    tick_fields(ticks, &event->run_started->base); /* Whichever member it is. */
}

static void tick_samples(struct ticks *ticks, struct arena *arena)
{
    uint64_t seed = 3;
    for (int round = 0; round < ROUNDS; round++) {
        for (int kind = 1; kind < EVENT_COUNT; kind++) {
            struct event event;
            sample_fill((enum event_kind)kind, &seed, 20, arena, &event);
            event.time_ms %= TIME_MS;
            tick_event(ticks, shown(&event, arena));
        }
        arena_reset(arena);
    }
}

static struct model_block block_of(enum model_block_kind kind, const char *text)
{
    return (struct model_block){.kind = kind, .text = str_of(text)};
}

static struct event reply_event(enum reply_stop stop, struct buf *packed)
{
    const struct model_block blocks[] = {
        block_of(MODEL_BLOCK_REASONING, "hm"),
        block_of(MODEL_BLOCK_TEXT, "Hello"),
        block_of(MODEL_BLOCK_REFUSAL, "no"),
        {.kind = MODEL_BLOCK_TOOL_CALL,
         .call_id = STR("c1"),
         .name = STR("t"),
         .arguments = STR("{\"a")},
        {.kind = MODEL_BLOCK_OPAQUE, .raw = STR("\"secret\"")},
    };
    struct model_reply reply = {.blocks = blocks,
                                .block_count = COUNT_OF(blocks),
                                .stop_raw = STR("stop"),
                                .response_id = STR("r1"),
                                .model = STR("m-1")};
    transcript_pack_reply(&reply, STR("p/m"), packed);
    return (struct event){
        .kind = EVENT_MODEL_REPLIED,
        .time_ms = TIME_MS,
        .model_replied = {.reply = buf_str(packed),
                          .stop = stop,
                          .usage = {.input = 5, .output = 7, .known = true}},
    };
}

static struct event wait_event(enum effect_kind kind, str data)
{
    return (struct event){
        .kind = EVENT_WAIT_SET,
        .time_ms = TIME_MS,
        .effect = 2,
        .wait_set = {.kind = kind, .owner = 1, .key = STR("k"), .data = data},
    };
}

static void tick_by_hand(struct ticks *ticks, struct arena *arena)
{
    static const char *const stops[] = {
        "end", "max_steps", "max_tokens", "length", "content_filter", "refusal", "hook"};
    struct buf packed = {0};
    for (int stop = 0; stop < REPLY_STOP_COUNT; stop++) {
        buf_reset(&packed);
        struct event replied = reply_event((enum reply_stop)stop, &packed);
        tick_event(ticks, shown(&replied, arena));
    }
    buf_reset(&packed);
    for (size_t i = 0; i < COUNT_OF(stops); i++) {
        struct event completed = {.kind = EVENT_RUN_COMPLETED};
        completed.run_completed.stop_reason = str_of(stops[i]);
        tick_event(ticks, shown(&completed, arena));
    }
    struct event started = {.kind = EVENT_RUN_STARTED, .time_ms = TIME_MS};
    started.run_started.spec =
        (struct run_spec){.kind = RUN_KIND_WORKFLOW, .options = {.outlives_parent = true}};
    tick_event(ticks, shown(&started, arena));
    for (int cause = START_CAUSE_CALLER; cause < START_CAUSE_COUNT; cause++) {
        started.run_started.spec.cause = (enum start_cause)cause;
        tick_event(ticks, shown(&started, arena));
    }
    struct event hook = {.kind = EVENT_TASK_REQUESTED};
    hook.task_requested.kind = EFFECT_CALLBACK;
    hook.task_requested.phase = CALLBACK_TOOL_END;
    tick_event(ticks, shown(&hook, arena));
    struct event input = {.kind = EVENT_INPUT_ACCEPTED};
    input.input_accepted.data = STR("\"hello\"");
    tick_event(ticks, shown(&input, arena));
    struct event amended = reply_event(REPLY_STOP_END, &packed);
    amended.kind = EVENT_REPLY_AMENDED;
    str reply = amended.model_replied.reply;
    amended.reply_amended.reply = reply;
    amended.reply_amended.stop = REPLY_STOP_END;
    tick_event(ticks, shown(&amended, arena));
    struct event turned_down = {.kind = EVENT_REPLY_REJECTED};
    turned_down.reply_rejected.by = REJECTED_BY_GUARDRAIL;
    turned_down.reply_rejected.guardrail = STR("check");
    tick_event(ticks, shown(&turned_down, arena));
    buf_fini(&packed);
    struct event asked = wait_event(EFFECT_SUSPENSION, STR("{\"q\": 1}"));
    struct event awaited = wait_event(EFFECT_EVENT, STR("{\"topic\":\"t\"}"));
    struct event children = wait_event(EFFECT_CHILDREN, STR("[{\"run_id\":\"r\"}]"));
    tick_event(ticks, shown(&asked, arena));
    tick_event(ticks, shown(&awaited, arena));
    tick_event(ticks, shown(&children, arena));
    char *text = arena_zalloc(arena, (5 << 20) + 1);
    memset(text, 'x', 5 << 20);
    struct event large = {.kind = EVENT_RUN_CANCELLED};
    large.run_cancelled.cause = str_of(text);
    tick_event(ticks, shown(&large, arena));
}

static size_t missing_fields(const struct ticks *ticks, const ProtobufCMessageDescriptor *of)
{
    size_t missing = 0;
    for (unsigned i = 0; i < of->n_fields; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s.%s", of->short_name, of->fields[i].name);
        if (!is_ticked(ticks, name)) {
            print_error("%s is documented and never shown\n", name);
            missing++;
        }
    }
    return missing;
}

static size_t missing_words(const struct ticks *ticks, const ProtobufCEnumDescriptor *of)
{
    size_t missing = 0;
    for (unsigned i = 0; i < of->n_values; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s.%s", of->short_name, of->values[i].name);
        if (of->values[i].value != 0 && !is_ticked(ticks, name)) {
            print_error("%s is documented and never shown\n", name);
            missing++;
        }
    }
    return missing;
}

static void all_that_is_documented_is_shown(void **state)
{
    static struct ticks ticks;
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    tick_samples(&ticks, &arena);
    tick_by_hand(&ticks, &arena);
    const ProtobufCMessageDescriptor *whole = &polos__v1__history_event__descriptor;
    size_t missing = missing_fields(&ticks, whole);
    for (unsigned i = 0; i < whole->n_fields; i++) {
        if ((whole->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
            missing += missing_fields(&ticks, whole->fields[i].descriptor);
        }
    }
    missing += missing_words(&ticks, &polos__v1__reply_stop__descriptor);
    missing += missing_words(&ticks, &polos__v1__stop_reason__descriptor);
    missing += missing_words(&ticks, &polos__v1__task_kind__descriptor);
    missing += missing_words(&ticks, &polos__v1__lost_call__descriptor);
    missing += missing_words(&ticks, &polos__v1__run_kind__descriptor);
    missing += missing_words(&ticks, &polos__v1__run_started__cause__descriptor);
    assert_int_equal(missing, 0);
    arena_fini(&arena);
}

/* ---- values ---- */

static void starts_say_what_they_were_started_with(void **state)
{
    struct arena arena;
    struct event event = {.kind = EVENT_RUN_STARTED, .time_ms = TIME_MS};
    (void)state;
    arena_init(&arena, 0);
    event.run_started.id.bytes[15] = 1;
    event.run_started.spec = (struct run_spec){.kind = RUN_KIND_AGENT,
                                               .name = STR("a"),
                                               .input = STR("\"h i\" "),
                                               .provider_options = STR("{\"x\":1}"),
                                               .definition_hash = {"\0\1\xff", 3},
                                               .deadline_ms = TIME_MS + 1500,
                                               .retries_max = 2};
    event.run_started.spec.options.state = (struct kept_state){STR("{\"a\":  1.0}"), STR("t")};
    event.run_started.spec.options.input_type = STR("py:shop:Order");
    const Polos__V1__RunStarted *got = shown(&event, &arena)->run_started;
    assert_int_equal(got->kind, POLOS__V1__RUN_KIND__RUN_KIND_AGENT);
    assert_string_equal(got->input_json, "\"h i\" "); /* Byte for byte. */
    assert_string_equal(got->parent_run_id, "");
    assert_string_equal(got->root_run_id, "00000000-0000-0000-0000-000000000001");
    assert_string_equal(got->definition_hash, "0001ff");
    assert_int_equal(got->options->run_timeout->seconds, 1);
    assert_int_equal(got->options->run_timeout->nanos, 500000000);
    assert_string_equal(got->options->initial_state_json, "{\"a\":  1.0}");
    assert_string_equal(got->options->initial_state_type, "t");
    assert_string_equal(got->options->input_type, "py:shop:Order");
    assert_string_equal(got->options->provider_options_json, "{\"x\":1}");
    assert_null(got->options->retry); /* Only workflows are tried again. */
    event.run_started.spec.kind = RUN_KIND_WORKFLOW;
    assert_int_equal(shown(&event, &arena)->run_started->options->retry->max_retries, 2);
    arena_fini(&arena);
}

static void replies_are_messages(void **state)
{
    struct arena arena;
    struct buf packed = {0};
    (void)state;
    arena_init(&arena, 0);
    struct event event = reply_event(REPLY_STOP_TOOLS, &packed);
    const Polos__V1__ModelReplied *got = shown(&event, &arena)->model_replied;
    assert_string_equal(got->message->origin, "p/m");
    assert_int_equal(got->message->role, POLOS__V1__MESSAGE__ROLE__ROLE_ASSISTANT);
    assert_int_equal(got->message->n_parts, 4); /* What is the provider's own is not shown. */
    assert_string_equal(got->message->parts[0]->reasoning, "hm");
    assert_string_equal(got->message->parts[1]->text, "Hello");
    assert_string_equal(got->message->parts[2]->refusal, "no");
    assert_string_equal(got->message->parts[3]->tool_call->name, "t");
    assert_string_equal(got->message->parts[3]->tool_call->arguments_json, "{\"a");
    assert_int_equal(got->stop, POLOS__V1__REPLY_STOP__REPLY_STOP_TOOL_CALLS);
    assert_int_equal(got->usage->total_tokens, 12);
    assert_false(got->usage->incomplete);
    event.model_replied.reply = STR("\xff no reply");
    event.model_replied.usage.known = false;
    got = shown(&event, &arena)->model_replied;
    assert_null(got->message);
    assert_true(got->usage->incomplete);
    buf_fini(&packed);
    arena_fini(&arena);
}

static void waits_say_what_for(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    struct event event = wait_event(EFFECT_SUSPENSION, STR("{\"sum\": 1.50, \"sum\":2}"));
    event.wait_set.due_ms = TIME_MS + 1;
    const Polos__V1__WaitSet *got = shown(&event, &arena)->wait_set;
    assert_int_equal(got->kind, POLOS__V1__STEP_KIND__STEP_KIND_SUSPENSION);
    assert_int_equal(got->task_effect_id, 1);
    assert_string_equal(got->suspension->data_json, "{\"sum\": 1.50, \"sum\":2}");
    assert_int_equal(got->deadline->seconds, TIME_MS / 1000);
    event = wait_event(EFFECT_EVENT, STR("{\"topic\":\"t\\u0041\",\"event_type\":\"e\"}"));
    got = shown(&event, &arena)->wait_set;
    assert_string_equal(got->event->topic, "tA");
    assert_string_equal(got->event->event_type, "e");
    str runs = STR("[{\"run_id\":\"r1\",\"name\":\"a\"},{\"run_id\":\"r2\",\"name\":\"b\"}]");
    event = wait_event(EFFECT_AT_ONCE, runs);
    got = shown(&event, &arena)->wait_set;
    assert_int_equal(got->kind, POLOS__V1__STEP_KIND__STEP_KIND_AT_ONCE);
    assert_int_equal(got->runs->n_runs, 2);
    assert_string_equal(got->runs->runs[1]->id, "r2");
    assert_string_equal(got->runs->runs[1]->name, "b");
    event = wait_event(EFFECT_CHILDREN, STR("[{cut"));
    assert_int_equal(shown(&event, &arena)->wait_set->detail_case,
                     POLOS__V1__WAIT_SET__DETAIL__NOT_SET);
    arena_fini(&arena);
}

static void ends_of_waits(void **state)
{
    struct arena arena;
    struct event settled = {.kind = EVENT_WAIT_SETTLED,
                            .wait_settled = {.kind = EFFECT_SUSPENSION, .by = STR("ann")}};
    struct event kept = {.kind = EVENT_RESUME_KEPT,
                         .resume_kept = {.data = STR("{\"data\": [1 ],\"resumed_by\":\"ann\"}")}};
    (void)state;
    arena_init(&arena, 0);
    settled.wait_settled.outcome.value = STR("[true , 1.0]");
    const Polos__V1__WaitSettled *got = shown(&settled, &arena)->wait_settled;
    assert_string_equal(got->step->outcome->value_json, "[true , 1.0]");
    assert_string_equal(got->answered_by, "ann");
    settled.wait_settled.outcome = (struct outcome){.failed = true, .error_type = STR("TIMEOUT")};
    got = shown(&settled, &arena)->wait_settled;
    assert_string_equal(got->step->outcome->error->type, "TIMEOUT");
    assert_string_equal(shown(&kept, &arena)->answer_kept->answer->data_json, "[1 ]");
    arena_fini(&arena);
}

static void ends_of_children(void **state)
{
    struct arena arena;
    struct event child = {.kind = EVENT_CHILD_SETTLED};
    (void)state;
    arena_init(&arena, 0);
    child.child_settled.child.bytes[15] = 7;
    child.child_settled.outcome.value = STR("{ }");
    child.child_settled.account =
        STR("{\"total_steps\":3,\"stop_reason\":\"max_steps\",\"usage\":{\"input_tokens\":5}}");
    const Polos__V1__Run *run = shown(&child, &arena)->child_settled->run;
    assert_string_equal(run->id, "00000000-0000-0000-0000-000000000007");
    assert_int_equal(run->status, POLOS__V1__RUN_STATUS__RUN_STATUS_COMPLETED);
    assert_string_equal(run->result_json, "{ }");
    assert_int_equal(run->turn_count, 3);
    assert_int_equal(run->stop_reason, POLOS__V1__STOP_REASON__STOP_REASON_MAX_TURNS);
    assert_int_equal(run->usage->input_tokens, 5);
    child.child_settled.account = STR("{cut");
    child.child_settled.outcome = (struct outcome){.failed = true, .error_type = STR("CANCELLED")};
    run = shown(&child, &arena)->child_settled->run;
    assert_int_equal(run->status, POLOS__V1__RUN_STATUS__RUN_STATUS_CANCELLED);
    assert_string_equal(run->error->reason, "CANCELLED");
    assert_null(run->usage);
    child.child_settled.outcome.error_type = STR("E");
    run = shown(&child, &arena)->child_settled->run;
    assert_int_equal(run->status, POLOS__V1__RUN_STATUS__RUN_STATUS_FAILED);
    arena_fini(&arena);
}

static void what_has_no_room_is_counted(void **state)
{
    enum {
        LARGE = 4 << 20,
        SMALL = 1000,
    };
    struct arena arena;
    struct event event = {.kind = EVENT_STEP_SETTLED};
    (void)state;
    arena_init(&arena, 0);
    char *text = arena_zalloc(&arena, LARGE + 1);
    memset(text, '1', LARGE);
    event.step_settled.key = STR("k");
    event.step_settled.outcome.value = str_make(text, LARGE);
    event.step_settled.state.json = str_make(text, SMALL);
    const Polos__V1__HistoryEvent *got = shown(&event, &arena);
    assert_int_equal(got->left_out_bytes, LARGE);
    assert_string_equal(got->step_settled->step->key, "k");
    assert_string_equal(got->step_settled->step->outcome->value_json, "");
    assert_int_equal(got->step_settled->step->outcome->result_case,
                     POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON);
    assert_int_equal(strlen(got->step_settled->state_json), SMALL);
    event.step_settled.outcome.value.len = HISTORY_EVENT_BYTES_MAX - 2 * SMALL;
    got = shown(&event, &arena); /* It fits. */
    assert_int_equal(got->left_out_bytes, 0);
    assert_true(polos__v1__history_event__get_packed_size(got) <= HISTORY_EVENT_BYTES_MAX);
    arena_fini(&arena);
}

/* As many blocks as a reply may have, all of them short. */
static void many_short_texts_have_no_room(void **state)
{
    enum {
        COUNT = 60000,
    };
    struct arena arena;
    struct buf packed = {0};
    (void)state;
    arena_init(&arena, 0);
    char text[101];
    memset(text, 'x', sizeof(text));
    struct model_block *blocks = arena_zalloc(&arena, COUNT * sizeof(blocks[0]));
    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = (struct model_block){.kind = MODEL_BLOCK_TEXT,
                                         .text = str_make(text, i % sizeof(text) + 1)};
    }
    struct model_reply reply = {.blocks = blocks, .block_count = COUNT};
    char *large = arena_zalloc(&arena, (2 << 20) + 1);
    memset(large, 'y', 2 << 20);
    reply.stop_raw = str_of(large);
    transcript_pack_reply(&reply, STR("p/m"), &packed);
    struct event event = {.kind = EVENT_MODEL_REPLIED,
                          .model_replied = {.reply = buf_str(&packed)}};
    const Polos__V1__HistoryEvent *got = shown(&event, &arena);
    assert_true(polos__v1__history_event__get_packed_size(got) <= HISTORY_EVENT_BYTES_MAX);
    assert_true(got->left_out_bytes >= 2 << 20); /* The longest first. */
    assert_int_equal(strlen(got->model_replied->message->parts[0]->text), 1);
    buf_fini(&packed);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_a_form_of_its_own),
        cmocka_unit_test(any_event_is_a_message),
        cmocka_unit_test(all_that_is_documented_is_shown),
        cmocka_unit_test(starts_say_what_they_were_started_with),
        cmocka_unit_test(replies_are_messages),
        cmocka_unit_test(waits_say_what_for),
        cmocka_unit_test(ends_of_waits),
        cmocka_unit_test(ends_of_children),
        cmocka_unit_test(what_has_no_room_is_counted),
        cmocka_unit_test(many_short_texts_have_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
