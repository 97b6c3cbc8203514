/*
 * Goal:   a run looks to callers as its records say: turns, tool results in the order of the calls,
 *         the answer, errors, and sentences for whatever is waited for.
 * Method: records made by hand with the codec, states filled in by hand; damaged bytes too.
 */
#include <math.h>
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#include "service/agents/transcript.h"
#include "service/api/run_view.h"
#include "service/api/shown.h"
#include "service/features/reports/reports.h"

/* A run being written down. */
struct story {
    struct arena arena;
    struct run_facts facts;
    struct run_report report;
    str records[16];
};

static void story_init(struct story *story, enum run_kind kind)
{
    memset(story, 0, sizeof(*story));
    arena_init(&story->arena, 0);
    engine_init(&story->facts.state);
    struct run *state = &story->facts.state;
    for (size_t i = 0; i < sizeof(state->id.bytes); i++) {
        state->id.bytes[i] = (uint8_t)(i + 1);
    }
    state->kind = (uint8_t)kind;
    state->started_ms = 1000;
    state->deadline_ms = 90000;
    story->facts.name = STR("weather");
    story->facts.records = story->records;
}

static void story_fini(struct story *story)
{
    arena_fini(&story->arena);
}

static void tell(struct story *story, const struct event *events, size_t count)
{
    struct buf record = {0};
    struct run *state = &story->facts.state;
    codec_encode(events, count, state->seq + 1, &record);
    state->seq += (uint32_t)count;
    assert_true(story->facts.record_count < COUNT_OF(story->records));
    story->records[story->facts.record_count++] = arena_copy(&story->arena, buf_str(&record));
    buf_fini(&record);
}

static void tell_started(struct story *story, str input)
{
    struct event event = {
        .kind = EVENT_RUN_STARTED,
        .run_started = {.id = story->facts.state.id,
                        .spec = {.kind = (enum run_kind)story->facts.state.kind,
                                 .name = story->facts.name,
                                 .input = input,
                                 .options.session_id = STR("s"),
                                 .options.user_id = STR("u"),
                                 .options.conversation_id = STR("c"),
                                 .options.queue = STR("q"),
                                 .options.concurrency_key = STR("k"),
                                 .options.input_type = STR("py:shop:Order"),
                                 .root = story->facts.state.id,
                                 .turns_max = 20}},
    };
    tell(story, &event, 1);
}

static struct event replied(struct story *story, const struct model_block *blocks, size_t count)
{
    struct model_reply reply = {.blocks = blocks, .block_count = count, .model = STR("m-1")};
    struct buf packed = {0};
    transcript_pack_reply(&reply, STR("scripted/m"), &packed);
    struct event event = {
        .kind = EVENT_MODEL_REPLIED,
        .effect = 1,
        .attempt = 1,
        .model_replied = {.reply = arena_copy(&story->arena, buf_str(&packed)),
                          .usage = {.input = 10, .output = 5, .reasoning = 2, .known = true}},
    };
    buf_fini(&packed);
    return event;
}

static struct event requested(uint32_t effect, str call_id)
{
    return (struct event){
        .kind = EVENT_TASK_REQUESTED,
        .effect = effect,
        .task_requested = {.kind = EFFECT_TOOL,
                           .name = STR("get"),
                           .call_id = call_id,
                           .input = STR("{}")},
    };
}

static struct event settled(uint32_t effect, struct outcome outcome)
{
    return (struct event){
        .kind = EVENT_TASK_SETTLED,
        .effect = effect,
        .attempt = 1,
        .task_settled = {.outcome = outcome},
    };
}

static Polos__V1__Run *view(struct story *story)
{
    Polos__V1__Run *run = NULL;
    status viewed = run_view(&story->facts, &story->report, &story->arena, &run);
    assert_int_equal(viewed.code, CODE_OK);
    /* Whatever it holds can be packed and read by others. */
    struct buf packed = {0};
    buf_reserve(&packed, polos__v1__run__get_packed_size(run));
    size_t len = polos__v1__run__pack(run, (uint8_t *)packed.ptr);
    Polos__V1__Run *back = polos__v1__run__unpack(NULL, len, (const uint8_t *)packed.ptr);
    assert_non_null(back);
    polos__v1__run__free_unpacked(back, NULL);
    buf_fini(&packed);
    return run;
}

/* Two calls; the second settles first, the first fails. */
static void tell_two_calls(struct story *story)
{
    const struct model_block blocks[] = {
        {.kind = MODEL_BLOCK_REASONING, .text = STR("hidden")},
        {.kind = MODEL_BLOCK_TEXT, .text = STR("Let me ")},
        {.kind = MODEL_BLOCK_TEXT, .text = STR("see.")},
        {.kind = MODEL_BLOCK_TOOL_CALL,
         .call_id = STR("a"),
         .name = STR("get"),
         .arguments = STR("{\"n\":1}")},
        {.kind = MODEL_BLOCK_TOOL_CALL,
         .call_id = STR("b"),
         .name = STR("get"),
         .arguments = STR("{\"n\":2}")},
    };
    struct event events[] = {
        replied(story, blocks, COUNT_OF(blocks)),
        requested(2, STR("a")),
        requested(3, STR("b")),
    };
    tell(story, events, COUNT_OF(events));
    struct event second = settled(3, (struct outcome){.value = STR("{\"t\":21}")});
    tell(story, &second, 1);
}

static void an_agent_with_tools(void **state)
{
    (void)state;
    struct story story;
    story_init(&story, RUN_KIND_AGENT);
    tell_started(&story, STR("\"Paris?\""));
    tell_two_calls(&story);
    Polos__V1__Run *run = view(&story);
    assert_int_equal(run->n_turns, 1);
    assert_int_equal(run->turns[0]->n_tool_calls, 2);
    assert_int_equal(run->turns[0]->n_tool_results, 1); /* The other one is at work. */
    assert_string_equal(run->turns[0]->tool_results[0]->call_id, "b");
    assert_string_equal(run->result_json, "");
    struct event first = settled(2, (struct outcome){.failed = true,
                                                     .error_type = STR("KeyError"),
                                                     .error_message = STR("no such city")});
    tell(&story, &first, 1);
    const struct model_block answer = {.kind = MODEL_BLOCK_TEXT, .text = STR("21 \"degrees\"")};
    struct event last[] = {
        replied(&story, &answer, 1),
        {.kind = EVENT_RUN_COMPLETED, .run_completed = {.stop_reason = STR("end")}},
    };
    tell(&story, last, COUNT_OF(last));
    story.facts.state.state = RUN_COMPLETED;
    story.facts.state.turns = 2;
    story.facts.state.input_tokens = 20;
    story.facts.state.output_tokens = 10;
    story.facts.state.timeout_ms = 60000;
    run = view(&story);
    assert_string_equal(run->id, "01020304-0506-0708-090a-0b0c0d0e0f10");
    assert_string_equal(run->root_run_id, run->id);
    assert_string_equal(run->input_json, "\"Paris?\"");
    assert_string_equal(run->session_id, "s");
    assert_string_equal(run->user_id, "u");
    assert_string_equal(run->conversation_id, "c");
    assert_string_equal(run->queue, "q");
    assert_string_equal(run->concurrency_key, "k");
    assert_string_equal(run->input_type, "py:shop:Order");
    assert_int_equal(run->run_timeout->seconds, 60);
    assert_int_equal(run->status, POLOS__V1__RUN_STATUS__RUN_STATUS_COMPLETED);
    assert_string_equal(run->result_json, "\"21 \\\"degrees\\\"\"");
    assert_int_equal(run->stop_reason, POLOS__V1__STOP_REASON__STOP_REASON_END);
    assert_int_equal(run->turn_count, 2);
    assert_int_equal(run->usage->total_tokens, 30);
    assert_false(run->usage->incomplete);
    assert_int_equal(run->n_waiting, 0);
    assert_int_equal(run->last_seq, story.facts.state.seq);
    assert_int_equal(run->n_turns, 2);
    const Polos__V1__Turn *turn = run->turns[0];
    assert_int_equal(turn->number, 1);
    assert_string_equal(turn->text, "Let me see.");
    assert_int_equal(turn->usage->reasoning_tokens, 2);
    assert_int_equal(turn->n_tool_results, 2);
    assert_string_equal(turn->tool_results[0]->call_id, "a"); /* In the order of the calls. */
    assert_string_equal(turn->tool_results[0]->error->reason, "KeyError");
    assert_string_equal(turn->tool_results[0]->error->message, "no such city");
    assert_string_equal(turn->tool_results[0]->result_json, "");
    assert_string_equal(turn->tool_results[1]->result_json, "{\"t\":21}");
    assert_string_equal(turn->tool_results[1]->name, turn->tool_calls[1]->name);
    assert_string_equal(turn->model, "scripted/m");
    assert_int_equal(run->turns[1]->number, 2);
    assert_int_equal(run->turns[1]->n_tool_calls, 0);
    story_fini(&story);
}

static void tell_answer(struct story *story, str text, bool is_structured)
{
    story_init(story, RUN_KIND_AGENT);
    story->facts.is_structured = is_structured;
    tell_started(story, STR("\"x\""));
    const struct model_block answer = {.kind = MODEL_BLOCK_TEXT, .text = text};
    struct event last[] = {
        replied(story, &answer, 1),
        {.kind = EVENT_RUN_COMPLETED, .run_completed = {.stop_reason = STR("end")}},
    };
    tell(story, last, COUNT_OF(last));
    story->facts.state.state = RUN_COMPLETED;
}

static void old_steps_make_room(void **state)
{
    (void)state;
    struct story story;
    story_init(&story, RUN_KIND_AGENT);
    tell_started(&story, STR("\"x\""));
    enum {
        TURN_BYTES = 300 * 1024,
        TURNS = 10,
        KEPT = 6
    };
    char *text = arena_alloc(&story.arena, TURN_BYTES);
    memset(text, 'x', TURN_BYTES);
    for (int i = 0; i < TURNS; i++) {
        text[0] = (char)('0' + i);
        const struct model_block said = {.kind = MODEL_BLOCK_TEXT,
                                         .text = str_make(text, TURN_BYTES)};
        struct event reply = replied(&story, &said, 1);
        tell(&story, &reply, 1);
    }
    Polos__V1__Run *run = view(&story);
    assert_int_equal(run->n_turns, KEPT);
    assert_int_equal(run->turn_count, TURNS);
    assert_string_equal(run->omitted_fields[0], "turns");
    assert_int_equal(run->turns[0]->number, TURNS - KEPT + 1);
    assert_int_equal(run->turns[KEPT - 1]->text[0], '9');
    story_fini(&story);
}

static void open_effect(struct story *story, enum effect_kind kind, enum effect_state effect_state);

/* What has no room is left out and named: the result goes before the input and the state. */
static void large_values_are_left_out(void **state)
{
    (void)state;
    enum {
        LARGE = 2500000
    };
    struct story story;
    char *text;
    story_init(&story, RUN_KIND_WORKFLOW);
    text = arena_alloc(&story.arena, LARGE);
    memset(text, '1', LARGE);
    tell_started(&story, str_make(text, LARGE / 2));
    struct event last[] = {
        settled(1, (struct outcome){.value = str_make(text, LARGE),
                                    .value_type = STR("py:shop:Receipt")}),
        {.kind = EVENT_RUN_COMPLETED, .run_completed = {.stop_reason = STR("end")}},
    };
    tell(&story, last, COUNT_OF(last));
    story.facts.state.state = RUN_COMPLETED;
    story.facts.state_json = str_make(text, LARGE / 2);
    Polos__V1__Run *run = view(&story);
    assert_int_equal(strlen(run->result_json), LARGE);
    assert_string_equal(run->result_type, "py:shop:Receipt");
    assert_int_equal(strlen(run->input_json), LARGE / 2);
    assert_string_equal(run->state_json, "");
    assert_int_equal(run->n_omitted_fields, 1);
    assert_string_equal(run->omitted_fields[0], "state_json");
    assert_true(polos__v1__run__get_packed_size(run) <= RUN_VIEW_BYTES_MAX);
    story_fini(&story);
}

/* Errors and sentences are cut, whatever a host said. */
static void long_texts_are_cut(void **state)
{
    (void)state;
    enum {
        LARGE = 5000000
    };
    struct story story;
    story_init(&story, RUN_KIND_WORKFLOW);
    char *text = arena_alloc(&story.arena, LARGE);
    memset(text, 'x', LARGE);
    tell_started(&story, STR("null"));
    open_effect(&story, EFFECT_BODY, EFFECT_BACKOFF);
    story.facts.failures[0] = str_make(text, LARGE);
    assert_true(strlen(view(&story)->waiting[0]->message) < 2 * RUN_VIEW_SENTENCE_BYTES_MAX);
    story.facts.state.effect_count = 0;
    story.facts.state.state = RUN_FAILED;
    struct event failed = {
        .kind = EVENT_RUN_FAILED,
        .run_failed = {.reason = str_make(text, LARGE), .message = str_make(text, LARGE)},
    };
    tell(&story, &failed, 1);
    assert_true(polos__v1__run__get_packed_size(view(&story)) < 2 * SHOWN_SENTENCE_BYTES_MAX);
    story_fini(&story);
}

/* An agent's turns that were not read are counted, and those that were are numbered on. */
static void unread_turns_are_counted(void **state)
{
    (void)state;
    struct story story;
    tell_answer(&story, STR("fine"), false);
    story.facts.state.turns = 7;
    Polos__V1__Run *run = view(&story);
    assert_int_equal(run->n_turns, 1);
    assert_int_equal(run->turns[0]->number, 7);
    assert_int_equal(run->turn_count, 7);
    story_fini(&story);
}

static void results(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_structured;
        const char *result;
    } rows[] = {
        {"{\"a\": 1}", false, "\"{\\\"a\\\": 1}\""},
        {"{\"a\": 1}", true, "{\"a\": 1}"},
        {"not JSON", true, "\"not JSON\""},
        {"", false, "\"\""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct story story;
        tell_answer(&story, str_of(rows[i].text), rows[i].is_structured);
        assert_string_equal(view(&story)->result_json, rows[i].result);
        story_fini(&story);
    }
}

static void a_refusal_is_shown(void **state)
{
    (void)state;
    struct story story;
    story_init(&story, RUN_KIND_AGENT);
    tell_started(&story, STR("\"x\""));
    const struct model_block block = {.kind = MODEL_BLOCK_REFUSAL, .text = STR("I may not.")};
    struct event last[] = {
        replied(&story, &block, 1),
        {.kind = EVENT_RUN_COMPLETED, .run_completed = {.stop_reason = STR("refusal")}},
    };
    tell(&story, last, COUNT_OF(last));
    story.facts.state.state = RUN_COMPLETED;
    Polos__V1__Run *run = view(&story);
    assert_string_equal(run->turns[0]->text, "I may not.");
    assert_int_equal(run->stop_reason, POLOS__V1__STOP_REASON__STOP_REASON_REFUSAL);
    story_fini(&story);
}

static void workflows(void **state)
{
    (void)state;
    struct story story;
    story_init(&story, RUN_KIND_WORKFLOW);
    tell_started(&story, STR("null"));
    struct event last[] = {
        settled(1, (struct outcome){.value = STR("[1, 2]")}),
        {.kind = EVENT_RUN_COMPLETED, .run_completed = {.stop_reason = STR("end")}},
    };
    tell(&story, last, COUNT_OF(last));
    story.facts.state.state = RUN_COMPLETED;
    Polos__V1__Run *run = view(&story);
    assert_string_equal(run->result_json, "[1, 2]");
    assert_int_equal(run->stop_reason, 0); /* Agents only. */
    assert_int_equal(run->n_turns, 0);
    story_fini(&story);
}

static void errors(void **state)
{
    (void)state;
    struct story story;
    story_init(&story, RUN_KIND_TOOL);
    tell_started(&story, STR("null"));
    struct event failed = {
        .kind = EVENT_RUN_FAILED,
        .run_failed = {.reason = STR("TOOL_FAILED"), .message = STR("it broke")},
    };
    tell(&story, &failed, 1);
    story.facts.state.state = RUN_FAILED;
    Polos__V1__Run *run = view(&story);
    assert_string_equal(run->error->reason, "TOOL_FAILED");
    assert_string_equal(run->error->message, "it broke");
    assert_string_equal(run->result_json, "");
    story_fini(&story);
    story_init(&story, RUN_KIND_TOOL);
    tell_started(&story, STR("null"));
    struct event cancelled = {.kind = EVENT_RUN_CANCELLED};
    tell(&story, &cancelled, 1);
    story.facts.state.state = RUN_CANCELLED;
    run = view(&story);
    assert_string_equal(run->error->reason, "CANCELLED");
    assert_true(strlen(run->error->message) > 0);
    story_fini(&story);
}

static void open_effect(struct story *story, enum effect_kind kind, enum effect_state effect_state)
{
    struct run *state = &story->facts.state;
    state->state = RUN_LIVE;
    state->phase = kind == EFFECT_MODEL ? PHASE_MODEL : PHASE_TOOLS;
    state->effect_next = 3;
    state->effect_count = 1;
    state->effects[0] = (struct effect){
        .id = 2,
        .attempt = 3,
        .failures = 2,
        .children_left = 4,
        .since_ms = 5000,
        .due_ms = 1700000000000,
        .kind = (uint8_t)kind,
        .state = (uint8_t)effect_state,
    };
    story->facts.effect_names[0] = kind == EFFECT_MODEL ? STR_EMPTY : STR("get_weather");
}

static void sentences(void **state)
{
    (void)state;
    static const struct {
        enum run_kind run;
        enum effect_kind kind;
        enum effect_state state;
        bool has_offer;
        Polos__V1__Waiting__Kind waits;
        const char *message;
        bool is_waiting;
    } rows[] = {
        {RUN_KIND_AGENT, EFFECT_TOOL, EFFECT_READY, false, POLOS__V1__WAITING__KIND__KIND_HOST,
         "no connected host offers tool get_weather; start one or wait until the deadline", true},
        {RUN_KIND_AGENT, EFFECT_TOOL, EFFECT_READY, true, POLOS__V1__WAITING__KIND__KIND_HOST,
         "every host that offers tool get_weather is busy or away", true},
        {RUN_KIND_AGENT, EFFECT_TOOL, EFFECT_LEASED, true, POLOS__V1__WAITING__KIND__KIND_TASK,
         "a host works on it", false},
        {RUN_KIND_AGENT, EFFECT_CALLBACK, EFFECT_READY, false, POLOS__V1__WAITING__KIND__KIND_HOST,
         "it waits for hook get_weather: no connected host offers hook get_weather; start one or "
         "wait until the deadline",
         true},
        {RUN_KIND_AGENT, EFFECT_CALLBACK, EFFECT_LEASED, true, POLOS__V1__WAITING__KIND__KIND_TASK,
         "it waits for hook get_weather: a host works on it", false},
        {RUN_KIND_WORKFLOW, EFFECT_BODY, EFFECT_READY, false, POLOS__V1__WAITING__KIND__KIND_HOST,
         "no connected host offers workflow get_weather; start one or wait until the deadline",
         true},
        {RUN_KIND_TOOL, EFFECT_BODY, EFFECT_READY, true, POLOS__V1__WAITING__KIND__KIND_HOST,
         "every host that offers tool get_weather is busy or away", true},
        {RUN_KIND_WORKFLOW, EFFECT_BODY, EFFECT_BACKOFF, true, POLOS__V1__WAITING__KIND__KIND_RETRY,
         "the workflow failed; it is tried again at 2023-11-14T22:13:20.000Z", true},
        {RUN_KIND_AGENT, EFFECT_MODEL, EFFECT_READY, false, POLOS__V1__WAITING__KIND__KIND_MODEL,
         "the model is answering, attempt 3", false},
        {RUN_KIND_AGENT, EFFECT_MODEL, EFFECT_BACKOFF, false, POLOS__V1__WAITING__KIND__KIND_RETRY,
         "2 model calls failed; the next attempt is at 2023-11-14T22:13:20.000Z", true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct story story;
        story_init(&story, rows[i].run);
        tell_started(&story, STR("null"));
        open_effect(&story, rows[i].kind, rows[i].state);
        story.report.tasks[0] = (struct report_task){.effect = 2, .has_offer = rows[i].has_offer};
        story.report.task_count = 1;
        Polos__V1__Run *run = view(&story);
        assert_int_equal(run->n_waiting, 1);
        assert_int_equal(run->waiting[0]->kind, rows[i].waits);
        assert_string_equal(run->waiting[0]->message, rows[i].message);
        assert_string_equal(run->waiting[0]->name,
                            rows[i].kind == EFFECT_MODEL ? "" : "get_weather");
        assert_string_equal(run->waiting[0]->step_key, "");
        assert_int_equal(run->waiting[0]->since->seconds, 5);
        assert_int_equal(run->waiting[0]->deadline->seconds, 90); /* The run's. */
        assert_int_equal(run->deadline->seconds, 90);
        assert_int_equal(run->status, rows[i].is_waiting
                                          ? POLOS__V1__RUN_STATUS__RUN_STATUS_WAITING
                                          : POLOS__V1__RUN_STATUS__RUN_STATUS_RUNNING);
        story_fini(&story);
    }
}

/* Hosts offer it, but of another deployment than the newest, or than the one it stays with. */
static void a_task_that_is_held_back_says_so(void **state)
{
    (void)state;
    static const char *const said[] = {"of the newest deployment", "the deployment it stays with"};
    for (uint64_t deployment = 0; deployment < COUNT_OF(said); deployment++) {
        struct story story;
        story_init(&story, RUN_KIND_TOOL);
        tell_started(&story, STR("null"));
        open_effect(&story, EFFECT_BODY, EFFECT_READY);
        story.facts.state.deployment = deployment;
        story.report.tasks[0] =
            (struct report_task){.effect = 2, .has_offer = true, .is_held_back = true};
        story.report.task_count = 1;
        const Polos__V1__Run *run = view(&story);
        assert_non_null(strstr(run->waiting[0]->message, "tool get_weather"));
        assert_non_null(strstr(run->waiting[0]->message, said[deployment]));
        story_fini(&story);
    }
}

/* Where its definition cannot be read, it is that which answered before. */
static void a_model_call_names_its_model(void **state)
{
    (void)state;
    static const struct model_block text = {.kind = MODEL_BLOCK_TEXT, .text = {"hm", 2}};
    struct story story;
    story_init(&story, RUN_KIND_AGENT);
    tell_started(&story, STR("null"));
    struct event reply = replied(&story, &text, 1);
    tell(&story, &reply, 1);
    open_effect(&story, EFFECT_MODEL, EFFECT_READY);
    assert_string_equal(view(&story)->waiting[0]->name, "m-1");
    story.facts.effect_names[0] = STR("another");
    assert_string_equal(view(&story)->waiting[0]->name, "another");
    story_fini(&story);
}

/* The model answers once the call has a place. */
static void a_model_call_without_a_place(void **state)
{
    (void)state;
    struct story story;
    story_init(&story, RUN_KIND_AGENT);
    tell_started(&story, STR("null"));
    open_effect(&story, EFFECT_MODEL, EFFECT_READY);
    story.report.server = STR("https://models.example");
    const Polos__V1__Run *run = view(&story);
    assert_int_equal(run->n_waiting, 1);
    assert_int_equal(run->waiting[0]->kind, POLOS__V1__WAITING__KIND__KIND_PLACE);
    assert_string_equal(run->waiting[0]->message,
                        "it waits for a place at https://models.example, attempt 3");
    story_fini(&story);
}

static void waits_of_code(void **state)
{
    (void)state;
    static const struct {
        enum effect_kind kind;
        uint64_t due_ms;
        Polos__V1__Waiting__Kind waits;
        const char *message;
    } rows[] = {
        {EFFECT_SLEEP, 1700000000000, POLOS__V1__WAITING__KIND__KIND_SLEEP,
         "it sleeps, until 2023-11-14T22:13:20.000Z"},
        {EFFECT_SUSPENSION, 0, POLOS__V1__WAITING__KIND__KIND_SUSPENSION,
         "it waits for an answer, which SuspendService.Resume gives"},
        {EFFECT_SUSPENSION, 1700000000000, POLOS__V1__WAITING__KIND__KIND_SUSPENSION,
         "it waits for an answer, which SuspendService.Resume gives, until "
         "2023-11-14T22:13:20.000Z"},
        {EFFECT_EVENT, 0, POLOS__V1__WAITING__KIND__KIND_EVENT,
         "it waits for an event, which TopicService.Publish can send"},
        {EFFECT_CHILDREN, 0, POLOS__V1__WAITING__KIND__KIND_CHILDREN,
         "it waits for 4 of the runs it started to end"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct story story;
        story_init(&story, RUN_KIND_WORKFLOW);
        tell_started(&story, STR("null"));
        open_effect(&story, rows[i].kind, EFFECT_READY);
        struct run *run_state = &story.facts.state;
        run_state->effects[0].due_ms = rows[i].due_ms;
        run_state->effects[0].owner = 1;
        run_state->effects[1] =
            (struct effect){.id = 1, .kind = EFFECT_BODY, .state = EFFECT_PARKED, .since_ms = 1};
        run_state->effect_count = 2;
        story.facts.effect_names[0] = STR("my step");
        Polos__V1__Run *run = view(&story);
        assert_int_equal(run->n_waiting, 1); /* Not the parked task, which nobody has. */
        assert_int_equal(run->waiting[0]->kind, rows[i].waits);
        assert_string_equal(run->waiting[0]->name, "");
        assert_string_equal(run->waiting[0]->step_key, "my step");
        assert_string_equal(run->waiting[0]->message, rows[i].message);
        assert_int_equal(run->waiting[0]->since->seconds, 5);
        /* Not the run's. */
        const Google__Protobuf__Timestamp *deadline = run->waiting[0]->deadline;
        assert_int_equal(deadline == NULL ? 0 : deadline->seconds, rows[i].due_ms / 1000);
        assert_int_equal(run->status, POLOS__V1__RUN_STATUS__RUN_STATUS_WAITING);
        assert_null(run->deadline); /* Its clock stands still. */
        story_fini(&story);
    }
}

static void state_and_retries(void **state)
{
    (void)state;
    struct story story;
    story_init(&story, RUN_KIND_WORKFLOW);
    tell_started(&story, STR("null"));
    struct event failed = {
        .kind = EVENT_TASK_FAILED,
        .effect = 2,
        .attempt = 1,
        .task_failed = {.outcome = {.failed = true,
                                    .error_type = STR("KeyError"),
                                    .error_message = STR("no such key")},
                        .retry_at_ms = 5},
    };
    tell(&story, &failed, 1);
    open_effect(&story, EFFECT_BODY, EFFECT_BACKOFF);
    story.facts.state.retries = 2;
    story.facts.state.is_cancelling = 1;
    story.facts.state_json = STR("{\"n\": 1}");
    Polos__V1__Run *run = view(&story);
    assert_string_equal(run->state_json, "{\"n\": 1}");
    assert_int_equal(run->retry_count, 2);
    assert_true(run->cancelling);
    assert_int_equal(run->waiting[0]->kind, POLOS__V1__WAITING__KIND__KIND_RETRY);
    assert_string_equal(run->waiting[0]->message,
                        "the workflow failed with: no such key -- it is tried again at "
                        "2023-11-14T22:13:20.000Z");
    /* It has ended: no longer cancelling, and the cause is the one that was asked with. */
    struct event cancelled = {.kind = EVENT_RUN_CANCELLED,
                              .run_cancelled = {.cause = STR("its code has cleaned up")}};
    tell(&story, &cancelled, 1);
    story.facts.state.effect_count = 0;
    story.facts.state.state = RUN_CANCELLED;
    story.facts.cancel_cause = STR("changed my mind");
    run = view(&story);
    assert_false(run->cancelling);
    assert_string_equal(run->error->reason, "CANCELLED");
    assert_string_equal(run->error->message, "changed my mind");
    story_fini(&story);
}

static void sentences_know_the_journal(void **state)
{
    (void)state;
    struct story story;
    story_init(&story, RUN_KIND_AGENT);
    tell_started(&story, STR("\"x\""));
    open_effect(&story, EFFECT_TOOL, EFFECT_LEASED);
    story.facts.hosts[0] = STR("web-1");
    story.facts.state.effects[0].deadline_ms = 60000;
    Polos__V1__Run *run = view(&story);
    assert_string_equal(run->waiting[0]->message, "host web-1 works on it");
    assert_int_equal(run->waiting[0]->deadline->seconds, 60);
    struct event failed = {
        .kind = EVENT_MODEL_FAILED,
        .effect = 2,
        .attempt = 3,
        .model_failed = {.reason = STR("RATE_LIMITED"), .message = STR("slow down")},
    };
    tell(&story, &failed, 1);
    open_effect(&story, EFFECT_MODEL, EFFECT_BACKOFF);
    run = view(&story);
    assert_string_equal(run->waiting[0]->message,
                        "2 model calls failed, the last with: slow down -- the next attempt is "
                        "at 2023-11-14T22:13:20.000Z");
    story_fini(&story);
}

static void bytes_that_are_no_utf8(void **state)
{
    (void)state;
    struct story story;
    tell_answer(&story, STR("a\xFFz"), false);
    Polos__V1__Run *run = view(&story);
    assert_string_equal(run->turns[0]->text, "a\xEF\xBF\xBDz");
    assert_string_equal(run->result_json, "\"a\xEF\xBF\xBDz\"");
    story_fini(&story);
}

/* Any flipped byte is found; the state can still be shown. */
static void damage_is_told(void **state)
{
    (void)state;
    struct story story;
    tell_answer(&story, STR("fine"), false);
    str good = story.records[1];
    size_t told = 0;
    for (size_t i = 0; i < good.len; i++) {
        char *bad = arena_cstr(&story.arena, good);
        bad[i] = (char)(bad[i] ^ 1);
        story.records[1] = str_make(bad, good.len);
        Polos__V1__Run *run = NULL;
        status viewed = run_view(&story.facts, &story.report, &story.arena, &run);
        told += viewed.code != CODE_OK;
    }
    assert_int_equal(told, good.len);
    Polos__V1__Run *run = run_view_state(&story.facts, &story.arena);
    assert_int_equal(run->status, POLOS__V1__RUN_STATUS__RUN_STATUS_COMPLETED);
    story_fini(&story);
}

static void lines(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct run_line line = {
        .row = {.kind = RUN_KIND_TOOL,
                .status = POLOS__V1__RUN_STATUS__RUN_STATUS_FAILED,
                .name = "get",
                .created_ms = 5,
                .ended_ms = 6,
                .last_seq = 7},
    };
    Polos__V1__Run *run = run_view_line(&line, &arena);
    assert_string_equal(run->name, "get");
    assert_int_equal(run->kind, POLOS__V1__RUN_KIND__RUN_KIND_TOOL);
    assert_int_equal(run->status, POLOS__V1__RUN_STATUS__RUN_STATUS_FAILED);
    assert_int_equal(run->created_at->nanos, 5000000);
    assert_int_equal(run->ended_at->nanos, 6000000);
    assert_int_equal(run->last_seq, 7);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agent_with_tools),
        cmocka_unit_test(old_steps_make_room),
        cmocka_unit_test(large_values_are_left_out),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(unread_turns_are_counted),
        cmocka_unit_test(results),
        cmocka_unit_test(a_refusal_is_shown),
        cmocka_unit_test(workflows),
        cmocka_unit_test(errors),
        cmocka_unit_test(sentences),
        cmocka_unit_test(a_task_that_is_held_back_says_so),
        cmocka_unit_test(a_model_call_names_its_model),
        cmocka_unit_test(a_model_call_without_a_place),
        cmocka_unit_test(waits_of_code),
        cmocka_unit_test(state_and_retries),
        cmocka_unit_test(sentences_know_the_journal),
        cmocka_unit_test(bytes_that_are_no_utf8),
        cmocka_unit_test(damage_is_told),
        cmocka_unit_test(lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
