/*
 * Goal:   an agent's callbacks are asked where they stand, in order, each once, and what they say
 *         is done.
 * Method: one agent with two callbacks of each phase and one tool; each decision is written down as
 *         a line of short words, and compared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "service/engine/engine.h"

static const struct callback all[] = {
    {.phase = CALLBACK_RUN_START, .name = {"a", 1}, .timeout_ms = 0},
    {.phase = CALLBACK_RUN_START, .name = {"b", 1}, .timeout_ms = 0},
    {.phase = CALLBACK_TURN_START, .name = {"c", 1}, .timeout_ms = 0},
    {.phase = CALLBACK_TOOL_START, .name = {"d", 1}, .timeout_ms = 0},
    {.phase = CALLBACK_TOOL_START, .name = {"e", 1}, .timeout_ms = 0},
    {.phase = CALLBACK_TOOL_END, .name = {"f", 1}, .timeout_ms = 500},
    {.phase = CALLBACK_TURN_END, .name = {"g", 1}, .timeout_ms = 0},
    {.phase = CALLBACK_RUN_END, .name = {"h", 1}, .timeout_ms = 0},
};

static const struct tool_call calls[] = {
    {.call_id = {"1", 1}, .name = {"add", 3}, .arguments = {"{}", 2}, .timeout_ms = 1000},
    {.call_id = {"2", 1},
     .name = {"no", 2},
     .arguments = {"{}", 2},
     .refusal_type = "UNKNOWN_TOOL",
     .refusal_message = {"none", 4}},
};

struct fixture {
    struct run run;
    struct decision decision;
    uint64_t now_ms;
    char told[512]; /* Of the last decision. */
};

static enum verdict give(struct fixture *fixture, struct command command)
{
    command.now_ms = fixture->now_ms;
    command.callbacks = all;
    command.callback_count = COUNT_OF(all);
    enum verdict verdict = engine_decide(&fixture->run, &command, &fixture->decision);
    size_t len = 0;
    fixture->told[0] = '\0';
    for (size_t i = 0; i < fixture->decision.count; i++) {
        const struct event *event = &fixture->decision.events[i];
        str name = event->kind == EVENT_TASK_REQUESTED ? event->task_requested.name : STR_EMPTY;
        len += (size_t)snprintf(fixture->told + len, sizeof(fixture->told) - len, "%s%s%s" STR_FMT,
                                i == 0 ? "" : " ", engine_event_name(event->kind),
                                name.len > 0 ? ":" : "", STR_ARG(name));
        engine_apply(&fixture->run, event);
        assert_null(i + 1 == fixture->decision.count ? engine_broken_invariant(&fixture->run)
                                                     : NULL);
    }
    return verdict;
}

static void expect(struct fixture *fixture, struct command command, const char *told)
{
    assert_int_equal(give(fixture, command), VERDICT_OK);
    assert_string_equal(fixture->told, told);
}

static void begin(struct fixture *fixture)
{
    struct command start = {.kind = COMMAND_START};
    start.start.spec = (struct run_spec){.kind = RUN_KIND_AGENT, .turns_max = 9};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        start.start.spec.callback_counts[all[i].phase]++;
    }
    *fixture = (struct fixture){.now_ms = 1000};
    engine_init(&fixture->run);
    expect(fixture, start, "RUN_STARTED TASK_REQUESTED:a");
    assert_int_equal(fixture->run.phase, PHASE_CALLBACK);
}

/* The callback is given to a host, which says this. */
static void answer(struct fixture *fixture, uint32_t effect, struct outcome outcome,
                   const char *told)
{
    struct command grant = {.kind = COMMAND_LEASE_GRANT, .effect = effect};
    struct command done = {
        .kind = COMMAND_TASK_DONE, .effect = effect, .attempt = 1, .task.outcome = outcome};
    grant.lease.host_id = STR("h");
    expect(fixture, grant, "LEASE_GRANTED");
    expect(fixture, done, told);
    assert_int_equal(give(fixture, done),
                     engine_is_terminal(&fixture->run) ? VERDICT_TERMINAL : VERDICT_DONE_BEFORE);
}

static struct command reply(const struct fixture *fixture, enum reply_stop stop)
{
    struct command command = {
        .kind = COMMAND_MODEL_REPLIED, .effect = fixture->run.effects[0].id, .attempt = 1};
    command.plan.stop = stop;
    command.plan.calls = calls;
    command.plan.call_count = stop == REPLY_STOP_TOOLS ? COUNT_OF(calls) : 0;
    return command;
}

/* Up to the first model call, which is effect 4. */
static void think(struct fixture *fixture)
{
    const struct outcome nothing = {0};
    begin(fixture);
    answer(fixture, 1, (struct outcome){.value = STR("\"other\"")},
           "TASK_SETTLED INPUT_AMENDED TASK_REQUESTED:b");
    answer(fixture, 2, nothing, "TASK_SETTLED TASK_REQUESTED:c");
    answer(fixture, 3, nothing, "TASK_SETTLED MODEL_REQUESTED");
}

static void all_are_asked_in_order(void **state)
{
    const struct outcome nothing = {0};
    struct fixture fixture;
    (void)state;
    think(&fixture);
    expect(&fixture, reply(&fixture, REPLY_STOP_TOOLS),
           "MODEL_REPLIED TASK_REQUESTED:add TASK_REQUESTED:d TASK_REQUESTED:no TASK_SETTLED");
    assert_int_equal(fixture.run.phase, PHASE_TOOLS);
    assert_int_equal(fixture.run.effect_count, 2);
    assert_true(effect_is_held(engine_effect(&fixture.run, 5)));
    answer(&fixture, 6, (struct outcome){.value = STR("{\"a\":1}")},
           "TASK_SETTLED CALL_AMENDED TASK_REQUESTED:e");
    answer(&fixture, 8, nothing, "TASK_SETTLED TASK_REQUEUED");
    answer(&fixture, 5, (struct outcome){.value = STR("3")}, "TASK_SETTLED TASK_REQUESTED:f");
    assert_int_equal(fixture.run.phase, PHASE_TOOLS);
    answer(&fixture, 9, (struct outcome){.value = STR("4")},
           "TASK_SETTLED RESULT_AMENDED TASK_REQUESTED:g");
    assert_int_equal(fixture.decision.events[1].amended.about, 5);
    assert_int_equal(fixture.run.phase, PHASE_CALLBACK);
    answer(&fixture, 10, nothing, "TASK_SETTLED TASK_REQUESTED:c");
    answer(&fixture, 11, nothing, "TASK_SETTLED MODEL_REQUESTED");
    expect(&fixture, reply(&fixture, REPLY_STOP_END), "MODEL_REPLIED TASK_REQUESTED:g");
    answer(&fixture, 13, nothing, "TASK_SETTLED TASK_REQUESTED:h");
    answer(&fixture, 14, (struct outcome){.value = STR("5")},
           "TASK_SETTLED RESULT_AMENDED RUN_COMPLETED");
    assert_int_equal(fixture.decision.events[1].amended.about, 0);
}

static void one_that_fails_fails_the_run(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture);
    answer(&fixture, 1, (struct outcome){.failed = true, .error_message = STR("no")},
           "TASK_SETTLED RUN_FAILED");
    assert_true(str_is(fixture.decision.events[1].run_failed.reason, "HOOK_FAILED"));
    assert_true(str_is(fixture.decision.events[1].run_failed.message, "no"));
}

static void a_turn_that_may_not_begin_ends_the_loop(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture);
    answer(&fixture, 1, (struct outcome){0}, "TASK_SETTLED TASK_REQUESTED:b");
    answer(&fixture, 2, (struct outcome){0}, "TASK_SETTLED TASK_REQUESTED:c");
    answer(&fixture, 3, (struct outcome){.failed = true}, "TASK_SETTLED TASK_REQUESTED:h");
    answer(&fixture, 4, (struct outcome){0}, "TASK_SETTLED RUN_COMPLETED");
    assert_true(str_is(fixture.decision.events[1].run_completed.stop_reason, "hook"));
}

static void a_paused_turn_begins_no_new_one(void **state)
{
    struct fixture fixture;
    (void)state;
    think(&fixture);
    expect(&fixture, reply(&fixture, REPLY_STOP_PAUSE), "MODEL_REPLIED MODEL_REQUESTED");
}

/* And what is said meanwhile is told by the next call. */
static void inputs_are_taken_behind_the_callbacks(void **state)
{
    struct fixture fixture;
    struct command input = {.kind = COMMAND_INPUT, .input.data = STR("\"and\"")};
    (void)state;
    think(&fixture);
    expect(&fixture, input, "INPUT_ACCEPTED");
    expect(&fixture, reply(&fixture, REPLY_STOP_END), "MODEL_REPLIED TASK_REQUESTED:g");
    expect(&fixture, input, "INPUT_ACCEPTED");
    answer(&fixture, 5, (struct outcome){0}, "TASK_SETTLED TASK_REQUESTED:c");
    answer(&fixture, 6, (struct outcome){0},
           "TASK_SETTLED INPUT_TAKEN INPUT_TAKEN MODEL_REQUESTED");
}

/* A held call has no alarm; behind its callbacks it has all of its time. */
static void a_calls_time_begins_behind_its_callbacks(void **state)
{
    struct fixture fixture;
    (void)state;
    think(&fixture);
    expect(&fixture, reply(&fixture, REPLY_STOP_TOOLS),
           "MODEL_REPLIED TASK_REQUESTED:add TASK_REQUESTED:d TASK_REQUESTED:no TASK_SETTLED");
    assert_int_equal(engine_next_deadline(&fixture.run), 0);
    fixture.now_ms += 5000;
    answer(&fixture, 6, (struct outcome){0}, "TASK_SETTLED TASK_REQUESTED:e");
    answer(&fixture, 8, (struct outcome){0}, "TASK_SETTLED TASK_REQUEUED");
    assert_int_equal(engine_next_deadline(&fixture.run), fixture.now_ms + 1000);
    fixture.now_ms += 1000;
    expect(&fixture, (struct command){.kind = COMMAND_TIME}, "TASK_SETTLED TASK_REQUESTED:f");
    assert_int_equal(engine_next_deadline(&fixture.run), fixture.now_ms + 500);
    fixture.now_ms += 500; /* That callback's own. */
    expect(&fixture, (struct command){.kind = COMMAND_TIME}, "TASK_SETTLED RUN_FAILED");
}

static void one_whose_hosts_are_lost_is_given_up(void **state)
{
    struct fixture fixture;
    (void)state;
    begin(&fixture);
    for (uint32_t attempt = 0; attempt < ENGINE_TASK_LEASES_MAX; attempt++) {
        struct command grant = {.kind = COMMAND_LEASE_GRANT, .effect = 1, .attempt = attempt};
        struct command lost = {.kind = COMMAND_LEASE_LOST, .effect = 1, .attempt = attempt + 1};
        grant.lease.host_id = STR("h");
        expect(&fixture, grant, "LEASE_GRANTED");
        expect(&fixture, lost,
               attempt + 1 < ENGINE_TASK_LEASES_MAX ? "LEASE_LOST"
                                                    : "LEASE_LOST TASK_SETTLED RUN_FAILED");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_asked_in_order),
        cmocka_unit_test(one_that_fails_fails_the_run),
        cmocka_unit_test(a_turn_that_may_not_begin_ends_the_loop),
        cmocka_unit_test(a_paused_turn_begins_no_new_one),
        cmocka_unit_test(inputs_are_taken_behind_the_callbacks),
        cmocka_unit_test(a_calls_time_begins_behind_its_callbacks),
        cmocka_unit_test(one_whose_hosts_are_lost_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
