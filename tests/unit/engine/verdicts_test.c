/*
 * Goal:   every command in every situation gets the verdict the table says, and a refusal writes
 *         nothing.
 * Method: bring a run into each situation by commands, then give every kind of command: about the
 *         effect that is open, about another attempt of it, about one long settled, about none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "service/engine/engine.h"

enum situation {
    NEW,
    THINKING,
    BACKOFF,
    TOOL_READY,
    TOOL_LEASED,
    BODY_READY,
    BODY_LEASED,
    BODY_PARKED, /* On a sleep. */
    BODY_BACKOFF,
    BODY_STOPPED, /* Its code did not fit. */
    BODY_CLEANUP, /* Leased, cancelled. */
    QUEUED, /* An agent that waits for its queue, ... */
    ADMITTED, /* ... and may work. */
    COMPLETED,
    FAILED,
    CANCELLED,
    SITUATION_COUNT,
};

enum {
    NOW_MS = 1000,
};

static const struct tool_call calls[] = {{
    .call_id = {"c", 1},
    .name = {"add", 3},
    .arguments = {"{}", 2},
}};

static struct command make(enum command_kind kind, uint32_t effect, uint32_t attempt)
{
    struct command command = {.kind = kind, .now_ms = NOW_MS, .effect = effect, .attempt = attempt};
    if (kind == COMMAND_START) {
        command.start.spec = (struct run_spec){.kind = RUN_KIND_AGENT, .turns_max = 9};
    } else if (kind == COMMAND_MODEL_REPLIED) {
        command.plan.stop = REPLY_STOP_TOOLS;
        command.plan.calls = calls;
        command.plan.call_count = COUNT_OF(calls);
    } else if (kind == COMMAND_MODEL_FAILED) {
        command.model_failed.retryable = true;
    } else if (kind == COMMAND_STEP_DONE) {
        command.step.number = 1;
    } else if (kind == COMMAND_CANCEL_SHOWN) {
        command.cancel_shown.number = 1;
    } else if (kind == COMMAND_WITHDRAW) {
        command.withdraw.number = 1;
        command.withdraw.key = STR("key");
    } else if (kind == COMMAND_STEP_TRY) {
        command.step_try.number = 1;
        command.step_try.outcome.failed = true;
    } else if (kind == COMMAND_STEP_REQUEST) {
        command.step_request.kind = EFFECT_SLEEP;
        command.step_request.key = (str){"nap", 3};
        command.step_request.due_ms = NOW_MS + 500;
    } else if (kind == COMMAND_RESUME) {
        command.resume.key = (str){"approval", 8};
    }
    return command;
}

static enum verdict give(struct run *run, const struct command *command)
{
    static struct decision decision;
    enum verdict verdict = engine_decide(run, command, &decision);
    assert_int_equal(verdict == VERDICT_OK, decision.count > 0);
    for (size_t i = 0; i < decision.count; i++) {
        engine_apply(run, &decision.events[i]);
    }
    return verdict;
}

static void must(struct run *run, struct command command)
{
    assert_int_equal(give(run, &command), VERDICT_OK);
}

static struct command mismatch(uint32_t effect, uint32_t attempt)
{
    struct command done = make(COMMAND_TASK_DONE, effect, attempt);
    done.task.outcome.failed = true;
    done.task.outcome.error_type = STR(ENGINE_NON_DETERMINISM);
    return done;
}

static void bring(struct run *run, enum situation situation)
{
    engine_init(run);
    if (situation == NEW) {
        return;
    }
    struct command start = make(COMMAND_START, 0, 0);
    if (situation >= BODY_READY && situation <= BODY_CLEANUP) {
        start.start.spec = (struct run_spec){.kind = RUN_KIND_WORKFLOW, .retries_max = 1};
    }
    start.start.spec.options.queue =
        situation == QUEUED || situation == ADMITTED ? STR("q") : STR_EMPTY;
    must(run, start);
    if (situation == ADMITTED) {
        must(run, make(COMMAND_ADMIT, 0, 0));
    } else if (situation == BACKOFF) {
        must(run, make(COMMAND_MODEL_FAILED, 1, 1));
    } else if (situation == TOOL_READY || situation == TOOL_LEASED) {
        must(run, make(COMMAND_MODEL_REPLIED, 1, 1));
    } else if (situation == COMPLETED) {
        struct command reply = make(COMMAND_MODEL_REPLIED, 1, 1);
        reply.plan.stop = REPLY_STOP_END;
        reply.plan.call_count = 0;
        must(run, reply);
    } else if (situation == FAILED) {
        struct command failure = make(COMMAND_MODEL_FAILED, 1, 1);
        failure.model_failed.retryable = false;
        must(run, failure);
    } else if (situation == CANCELLED) {
        must(run, make(COMMAND_CANCEL, 0, 0));
    }
    if (situation == TOOL_LEASED || (situation >= BODY_LEASED && situation <= BODY_CLEANUP)) {
        must(run, make(COMMAND_LEASE_GRANT, run->effects[0].id, 0));
    }
    if (situation == BODY_PARKED) {
        must(run, make(COMMAND_STEP_REQUEST, 1, 1));
        must(run, make(COMMAND_PARK, 1, 1));
    } else if (situation == BODY_BACKOFF) {
        struct command done = make(COMMAND_TASK_DONE, 1, 1);
        done.task.outcome.failed = true;
        done.task.is_retryable = true;
        must(run, done);
    } else if (situation == BODY_STOPPED) {
        must(run, mismatch(1, 1));
    } else if (situation == BODY_CLEANUP) {
        must(run, make(COMMAND_CANCEL, 0, 0));
    }
}

/* O ok, S stale, D done before, G gap, T terminal, R refused; a letter for each kind of command. */
static char letter(enum verdict verdict)
{
    return "OSDGTR"[verdict];
}

static const struct {
    const char *name;
    const char *present; /* About the open effect, under its attempt. */
    const char *other; /* Under another attempt. */
    uint32_t effect;
    uint32_t attempt;
} table[] = {
    /*       replied failed reissue grant lost step done time cancel request resume event child park
     *       code admit withdraw input fail, after start; shown and giveup follow step */
    [NEW] = {"new", "OSSSSSSSSSSSRRSRSSSSRRRR", "OSSSSSSSSSSSRRSRSSSSRRRR", 1, 1},
    [THINKING] = {"thinking", "ROSOORRRRRRRDORSRRRRSSOO", "RSSSSSSSSSSSDOSSSSSSSSOO", 1, 1},
    [BACKOFF] = {"backing off", "RSSSSRRRRRRRDORSRRRRSSOO", "RSSSSSSSSSSSDOSSSSSSSSOO", 1, 1},
    [TOOL_READY] = {"tool without host", "RSSSSOSSSSSSDOSSRRSSSSOO", "RSSSSSSSSSSSDOSSSSSSSSOO", 2,
                    0},
    [TOOL_LEASED] = {"tool at a host", "RSSSSROOROOODOOSRROSSSOO", "RSSSSSSSSSSSDOSSSSSSSSOO", 2,
                     1},
    [BODY_READY] = {"body without host", "RSSSSOSSSSSSDOSSRRSSSSRO", "RSSSSSSSSSSSDOSSSSSSSSRO", 1,
                    0},
    [BODY_LEASED] = {"body at a host", "RSSSSROOROOODOOSRROSSSRO", "RSSSSSSSSSSSDOSSSSSSSSRO", 1,
                     1},
    [BODY_PARKED] = {"body that waits", "RSSSSRSSSSSSDOSSRRSSSSRO", "RSSSSSSSSSSSDOSSSSSSSSRO", 1,
                     1},
    [BODY_BACKOFF] = {"body to be tried again", "RSSSSRSSSSSSDOSSRRSSSSRO",
                      "RSSSSSSSSSSSDOSSSSSSSSRO", 1, 1},
    [BODY_STOPPED] = {"body whose code did not fit", "RSSSSRSSSSSSDOSSRRSOSSRO",
                      "RSSSSSSSSSSSDOSSSSSSSSRO", 1, 1},
    [BODY_CLEANUP] = {"body that cleans up", "RSSSSROOOOOODDOSRROSSSRO", "RSSSSSSSSSSSDDSSSSSSSSRO",
                      1, 1},
    [QUEUED] = {"in a queue", "RSSSSRRRRRRRDORSRRRROSOO", "RSSSSSSSSSSSDOSSSSSSOSOO", 1, 0},
    [ADMITTED] = {"admitted", "ROSOORRRRRRRDORSRRRRSOOO", "RSSSSSSSSSSSDOSSSSSSSOOO", 1, 1},
    [COMPLETED] = {"completed", "TTTTTTTTTTTTTTTTTTTTTTTT", "TTTTTTTTTTTTTTTTTTTTTTTT", 1, 1},
    [FAILED] = {"failed", "TTTTTTTTTTTTTTTTTTTTTTTT", "TTTTTTTTTTTTTTTTTTTTTTTT", 1, 1},
    [CANCELLED] = {"cancelled", "TTTTTTTTTTTTTTTTTTTTTTTT", "TTTTTTTTTTTTTTTTTTTTTTTT", 1, 1},
};
static_assert(COUNT_OF(table) == SITUATION_COUNT);

static void check_row(enum situation situation, uint32_t effect, uint32_t attempt,
                      const char *expected)
{
    char actual[COMMAND_COUNT + 1] = {0};
    for (int kind = 0; kind < COMMAND_COUNT; kind++) {
        struct run run;
        bring(&run, situation);
        struct command command = make((enum command_kind)kind, effect, attempt);
        actual[kind] = letter(give(&run, &command));
    }
    if (strcmp(actual, expected) != 0) {
        fail_msg("%s, effect %u attempt %u: %s, expected %s", table[situation].name, effect,
                 attempt, actual, expected);
    }
}

static void about_the_open_effect(void **state)
{
    (void)state;
    for (int i = 0; i < SITUATION_COUNT; i++) {
        check_row((enum situation)i, table[i].effect, table[i].attempt, table[i].present);
    }
}

static void about_another_attempt(void **state)
{
    (void)state;
    for (int i = 0; i < SITUATION_COUNT; i++) {
        check_row((enum situation)i, table[i].effect, table[i].attempt + 1, table[i].other);
    }
}

static void about_a_settled_effect(void **state)
{
    (void)state;
    check_row(TOOL_READY, 1, 1, "RDDDDDDDDDDDDODSDDDDSSOO");
    check_row(TOOL_LEASED, 1, 1, "RDDDDDDDDDDDDODSDDDDSSOO");
}

static void about_no_effect(void **state)
{
    (void)state;
    for (int i = THINKING; i <= BODY_BACKOFF; i++) {
        bool is_agent = i < BODY_READY;
        check_row((enum situation)i, 77, 1,
                  is_agent ? "RSSSSSSSSSSSDOSSSSSSSSOO" : "RSSSSSSSSSSSDOSSSSSSSSRO");
        check_row((enum situation)i, 0, 0,
                  is_agent ? "RSSSSSSSSSSSDOSOSSSSSSOO" : "RSSSSSSSSSSSDOSOSSSSSSRO");
    }
}

/* What may be given about a wait: the code waits for a time, an answer, an event, children. */
static void about_a_wait(void **state)
{
    (void)state;
    static const struct {
        enum effect_kind kind;
        const char *expected;
    } rows[] = {
        {EFFECT_SLEEP, "RSSSSRSSSSSSDOSSRRSSSSRO"},
        {EFFECT_SUSPENSION, "RSSSSRSSSSSSDOSSRRSSSSRO"},
        {EFFECT_EVENT, "RSSSSRSSSSSSDOSSORSSSSRO"},
        {EFFECT_CHILDREN, "RSSSSRSSSSSSDOSSROSSSSRO"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char actual[COMMAND_COUNT + 1] = {0};
        for (int kind = 0; kind < COMMAND_COUNT; kind++) {
            struct run run;
            bring(&run, BODY_LEASED);
            struct command request = make(COMMAND_STEP_REQUEST, 1, 1);
            request.step_request.kind = rows[i].kind;
            request.step_request.children = rows[i].kind == EFFECT_CHILDREN ? 2 : 0;
            must(&run, request);
            struct command command = make((enum command_kind)kind, 2, 0);
            actual[kind] = letter(give(&run, &command));
        }
        assert_string_equal(actual, rows[i].expected);
    }
}

static void a_step_request_that_stands_is_done_before(void **state)
{
    (void)state;
    struct run run;
    bring(&run, BODY_LEASED);
    must(&run, make(COMMAND_STEP_REQUEST, 1, 1));
    struct command again = make(COMMAND_STEP_REQUEST, 1, 1);
    assert_int_equal(give(&run, &again), VERDICT_DONE_BEFORE);
}

static struct command wait_for(const char *key, enum effect_kind kind)
{
    struct command request = make(COMMAND_STEP_REQUEST, 1, 1);
    request.step_request.kind = kind;
    request.step_request.key = str_of(key);
    return request;
}

/* More waits than a run may have are refused at once; what is done at once is not a wait. */
static void waits_have_a_limit(void **state)
{
    (void)state;
    struct run run;
    char key[16];
    bring(&run, BODY_LEASED);
    for (int i = 0; i < ENGINE_WAITS_MAX; i++) {
        snprintf(key, sizeof(key), "w%d", i);
        assert_true(engine_may_wait(&run));
        must(&run, wait_for(key, EFFECT_EVENT));
    }
    assert_false(engine_may_wait(&run));
    must(&run, wait_for("one too many", EFFECT_EVENT));
    assert_int_equal(run.effect_count, 1 + ENGINE_WAITS_MAX);
    assert_int_equal(run.effects[0].waits_settled, 1);
    struct command publish = wait_for("publish", EFFECT_AT_ONCE);
    static struct decision decision;
    publish.step_request.is_settled = true;
    publish.step_request.outcome.value = STR("7");
    assert_int_equal(engine_decide(&run, &publish, &decision), VERDICT_OK);
    assert_false(decision.events[1].wait_settled.outcome.failed);
}

static void answers_are_kept_once_and_used_once(void **state)
{
    (void)state;
    struct run run;
    char key[16];
    bring(&run, BODY_LEASED);
    for (int i = 0; i < ENGINE_KEPT_MAX; i++) {
        snprintf(key, sizeof(key), "s%d", i);
        struct command resume = make(COMMAND_RESUME, 0, 0);
        resume.resume.key = str_of(key);
        must(&run, resume);
        assert_int_equal(give(&run, &resume), VERDICT_DONE_BEFORE);
    }
    struct command more = make(COMMAND_RESUME, 0, 0);
    assert_int_equal(give(&run, &more), VERDICT_REFUSED);
    struct command request = wait_for("s3", EFFECT_SUSPENSION);
    request.step_request.is_settled = true;
    must(&run, request);
    assert_false(engine_has_kept(&run, engine_key(STR("s3"))));
    assert_int_equal(give(&run, &more), VERDICT_OK);
}

static void steps_in_order_only(void **state)
{
    (void)state;
    struct run run;
    bring(&run, BODY_LEASED);
    static const struct {
        uint32_t number;
        enum verdict verdict;
    } rows[] = {
        {2, VERDICT_GAP},          {0, VERDICT_DONE_BEFORE}, {1, VERDICT_OK},
        {1, VERDICT_DONE_BEFORE},  {3, VERDICT_GAP},         {2, VERDICT_OK},
        {UINT32_MAX, VERDICT_GAP}, {1, VERDICT_DONE_BEFORE},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct command command = make(COMMAND_STEP_DONE, 1, 1);
        command.step.number = rows[i].number;
        assert_int_equal(give(&run, &command), rows[i].verdict);
    }
    assert_int_equal(run.steps, 2);
}

/* Of all calls, not of the last; what one provider did not say is not known of the whole. */
static void usage_adds_up(void **state)
{
    (void)state;
    struct run run;
    engine_init(&run);
    struct command start = make(COMMAND_START, 0, 0);
    assert_int_equal(give(&run, &start), VERDICT_OK);
    for (uint32_t turn = 1; turn <= 3; turn++) {
        struct command reply = make(COMMAND_MODEL_REPLIED, run.effects[0].id, 1);
        reply.plan.stop = REPLY_STOP_PAUSE;
        reply.plan.calls = NULL;
        reply.plan.call_count = 0;
        reply.model_replied.usage = (struct engine_usage){.input = 1,
                                                          .output = 10,
                                                          .cache_read = 100,
                                                          .cache_write = 1000,
                                                          .reasoning = 10000,
                                                          .known = turn != 1};
        assert_int_equal(give(&run, &reply), VERDICT_OK);
    }
    assert_int_equal(run.input_tokens, 3);
    assert_int_equal(run.output_tokens, 30);
    assert_int_equal(run.cache_read_tokens, 300);
    assert_int_equal(run.cache_write_tokens, 3000);
    assert_int_equal(run.reasoning_tokens, 30000);
    assert_true(run.usage_incomplete);
}

/* What a run may owe follows from where it stands, and from nothing else. */
static void what_may_be_owed_in_each_phase(void **state)
{
    (void)state;
    static const struct {
        enum situation situation;
        enum run_phase phase;
        const char *owes; /* A letter for each kind: model, tool, body, what code waits for,
                             callback. */
    } rows[] = {
        {NEW, PHASE_NONE, "........."},          {THINKING, PHASE_MODEL, "m........"},
        {BACKOFF, PHASE_MODEL, "m........"},     {QUEUED, PHASE_MODEL, "m........"},
        {TOOL_READY, PHASE_TOOLS, ".t.ssecak"},  {BODY_PARKED, PHASE_BODY, "..bsseca."},
        {BODY_CLEANUP, PHASE_BODY, "..bsseca."}, {COMPLETED, PHASE_NONE, "........."},
        {FAILED, PHASE_NONE, "........."},       {CANCELLED, PHASE_NONE, "........."},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct run run;
        bring(&run, rows[i].situation);
        assert_int_equal(run.phase, rows[i].phase);
        for (int kind = EFFECT_MODEL; kind < EFFECT_KIND_COUNT; kind++) {
            assert_int_equal(engine_may_owe(&run, (enum effect_kind)kind),
                             rows[i].owes[kind - EFFECT_MODEL] != '.');
        }
    }
}

static void inputs_have_a_limit(void **state)
{
    (void)state;
    struct run run;
    bring(&run, THINKING);
    for (int i = 0; i < ENGINE_INPUTS_MAX; i++) {
        must(&run, make(COMMAND_INPUT, 0, 0));
    }
    struct command more = make(COMMAND_INPUT, 0, 0);
    assert_int_equal(give(&run, &more), VERDICT_REFUSED);
    must(&run, make(COMMAND_MODEL_REPLIED, 1, 1));
    must(&run, make(COMMAND_LEASE_GRANT, 2, 0));
    must(&run, make(COMMAND_TASK_DONE, 2, 1));
    assert_int_equal(run.inputs_open, 0);
    assert_int_equal(give(&run, &more), VERDICT_OK);
    assert_int_equal(run.inputs_accepted, ENGINE_INPUTS_MAX + 1);
}

static void the_largest_turn_fits(void **state)
{
    (void)state;
    struct tool_call many[ENGINE_TOOL_CALLS_MAX];
    for (size_t i = 0; i < COUNT_OF(many); i++) {
        many[i] = calls[0];
        many[i].refusal_type = "UNKNOWN_TOOL";
    }
    struct run run;
    bring(&run, THINKING);
    struct command reply = make(COMMAND_MODEL_REPLIED, 1, 1);
    reply.plan.calls = many;
    reply.plan.call_count = COUNT_OF(many);
    assert_int_equal(give(&run, &reply), VERDICT_OK);
    assert_int_equal(run.phase, PHASE_MODEL);
    assert_int_equal(run.effects[0].id, 2 + ENGINE_TOOL_CALLS_MAX);
}

static void the_wait_before_a_retry(void **state)
{
    (void)state;
    static const struct {
        uint32_t failures;
        uint32_t jitter;
        uint64_t hint_ms;
        uint64_t wait_ms;
    } rows[] = {
        {0, 0, 0, 250},     {0, 249, 0, 499},  {0, 250, 0, 250},
        {1, 0, 0, 500},     {3, 0, 0, 2000},   {3, 1999, 0, 3999},
        {0, 0, 7000, 7000}, {3, 0, 100, 2000}, {0, 0, 90000, 90000},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct run run;
        bring(&run, THINKING);
        run.effects[0].failures = rows[i].failures;
        struct command failure = make(COMMAND_MODEL_FAILED, 1, 1);
        failure.model_failed.jitter = rows[i].jitter;
        failure.model_failed.retry_after_ms = rows[i].hint_ms;
        must(&run, failure);
        assert_int_equal(run.effects[0].due_ms - NOW_MS, rows[i].wait_ms);
        assert_int_equal(engine_next_deadline(&run), NOW_MS + rows[i].wait_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(about_the_open_effect),
        cmocka_unit_test(about_another_attempt),
        cmocka_unit_test(about_a_settled_effect),
        cmocka_unit_test(about_no_effect),
        cmocka_unit_test(steps_in_order_only),
        cmocka_unit_test(usage_adds_up),
        cmocka_unit_test(what_may_be_owed_in_each_phase),
        cmocka_unit_test(inputs_have_a_limit),
        cmocka_unit_test(the_largest_turn_fits),
        cmocka_unit_test(the_wait_before_a_retry),
        cmocka_unit_test(about_a_wait),
        cmocka_unit_test(a_step_request_that_stands_is_done_before),
        cmocka_unit_test(waits_have_a_limit),
        cmocka_unit_test(answers_are_kept_once_and_used_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
