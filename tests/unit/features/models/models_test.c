/*
 * Goal:   an agent's model is asked what it has to be asked, and what it answers counts once: over
 *         tools, refusals, failures, steering, restarts and lost commits.
 * Method: the real partition, a model that says what the test says, a host with tools.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "service/features/models/models.h"
#include "service/features/reports/reports.h"
#include "tests/unit/partition/lone_calls.h"
#include "tests/unit/partition/lone_host.h"

#define START_MS ((uint64_t)1800000000000)

enum {
    TOOL_MS = 8000,
    HOUR_MS = 3600000,
};

static struct {
    struct lone_partition lone;
    struct lone_host host;
    uuid run;
    char server[64];
} bed;

static const char *const offers[] = {"tool:look", "tool:pay", NULL};

static void begin(struct agent_definition agent)
{
    static const struct tool_definition tools[] = {
        {.name = {"look", 4}, .timeout_ms = TOOL_MS, .parameters_json = {"{}", 2}},
        {.name = {"pay", 3}, .at_most_once = true, .parameters_json = {"{}", 2}}};
    memset(&bed, 0, sizeof(bed));
    lone_init(&bed.lone, START_MS);
    bed.lone.leaves_runs_open = true;
    agent.id = STR("helper");
    agent.tools = tools;
    agent.tool_count = COUNT_OF(tools);
    lone_register(&bed.lone, agent);
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    bed.run = lone_start(&bed.lone, (struct run_spec){.kind = RUN_KIND_AGENT,
                                                      .name = STR("helper"),
                                                      .input = STR("\"hi\""),
                                                      .options = {.session_id = STR("s"),
                                                                  .user_id = STR("u"),
                                                                  .conversation_id = STR("c")}});
    lone_host_told(&bed.host);
}

static void end(void)
{
    lone_fini(&bed.lone);
    lone_host_fini(&bed.host);
}

static const char *journal(void)
{
    return lone_journal(&bed.lone, bed.run, &bed.run, 1);
}

static const char *shown(void)
{
    return arena_cstr(&bed.lone.arena, buf_str(&bed.lone.model_shown));
}

static void fail_call(struct model_failure failure)
{
    struct model_sink sink = models_sink(bed.lone.partition);
    sink.failed(sink.context, bed.lone.model_call, &failure);
    lone_rounds(&bed.lone);
}

static const struct model_failure passing = {
    .code = CODE_UNAVAILABLE, .reason = "OVERLOADED", .message = {"busy", 4}, .retryable = true};

/* ---- Turns. ---- */

static void tools_are_run_and_shown(void **state)
{
    (void)state;
    begin((struct agent_definition){0});
    assert_string_equal(shown(), "user: hi\n");
    lone_model_calls(&bed.lone, "look");
    assert_string_equal(lone_host_told(&bed.host),
                        "tool look 1 {} agent=helper call=look session=s user=u conversation=c\n");
    lone_host_done(&bed.host, lone_host_task(&bed.host), "{\"seen\":1}");
    assert_string_equal(shown(), "user: hi\n"
                                 "assistant: look\n"
                                 "tool: {\"seen\":1}\n");
    lone_model_calls(&bed.lone, "pay");
    lone_host_failed(&bed.host, lone_host_task(&bed.host), "Broke", true);
    assert_string_equal(shown(), "user: hi\n"
                                 "assistant: look\n"
                                 "tool: {\"seen\":1}\n"
                                 "assistant: pay\n"
                                 "tool: Error: no\n");
    lone_model_ends(&bed.lone, "done");
    assert_string_equal(journal(), "RUN_STARTED helper 'hi' root=#1\n"
                                   "MODEL_REQUESTED 1\n"
                                   "MODEL_REPLIED 1\n"
                                   "TASK_REQUESTED 2\n"
                                   "LEASE_GRANTED 2\n"
                                   "TASK_SETTLED 2 value={'seen':1}\n"
                                   "MODEL_REQUESTED 3\n"
                                   "MODEL_REPLIED 3\n"
                                   "TASK_REQUESTED 4\n"
                                   "LEASE_GRANTED 4\n"
                                   "TASK_SETTLED 4 error=Broke\n"
                                   "MODEL_REQUESTED 5\n"
                                   "MODEL_REPLIED 5\n"
                                   "RUN_COMPLETED\n");
    end();
}

static void a_tool_has_its_time(void **state)
{
    (void)state;
    begin((struct agent_definition){0});
    lone_model_calls(&bed.lone, "look");
    lone_host_told(&bed.host);
    lone_advance(&bed.lone, START_MS + TOOL_MS - 1);
    assert_string_equal(lone_host_told(&bed.host), "");
    lone_advance(&bed.lone, START_MS + TOOL_MS);
    assert_string_equal(lone_host_told(&bed.host), "stop 2\n");
    assert_string_equal(shown(), "user: hi\n"
                                 "assistant: look\n"
                                 "tool: Error: it did not finish within its timeout\n");
    end();
}

/* What may have been done is not done again, but what can be is. */
static void a_lost_host_is_made_up_for(void **state)
{
    (void)state;
    begin((struct agent_definition){0});
    lone_model_calls(&bed.lone, "look");
    lone_host_vanish(&bed.host);
    lone_advance(&bed.lone, START_MS + 5000 - 1);
    lone_host_connect(&bed.host, &bed.lone, "second", offers);
    lone_host_told(&bed.host);
    lone_advance(&bed.lone, START_MS + 5000);
    lone_rounds(&bed.lone);
    assert_string_equal(journal(), "RUN_STARTED helper 'hi' root=#1\n"
                                   "MODEL_REQUESTED 1\n"
                                   "MODEL_REPLIED 1\n"
                                   "TASK_REQUESTED 2\n"
                                   "LEASE_GRANTED 2\n"
                                   "LEASE_LOST 2\n"
                                   "LEASE_GRANTED 2\n");
    end();
}

static void at_most_once_is_not_run_again(void **state)
{
    (void)state;
    begin((struct agent_definition){0});
    lone_model_calls(&bed.lone, "pay");
    lone_host_vanish(&bed.host);
    lone_advance(&bed.lone, START_MS + 5000);
    lone_rounds(&bed.lone);
    assert_string_equal(
        shown(), "user: hi\n"
                 "assistant: pay\n"
                 "tool: Error: its host was lost while it was at work, and it is declared at "
                 "most once: whether it took effect is unknown\n");
    end();
}

/* ---- Limits. ---- */

static void turns_are_limited(void **state)
{
    (void)state;
    begin((struct agent_definition){.max_steps = 2});
    lone_model_calls(&bed.lone, "unknown");
    lone_model_calls(&bed.lone, "unknown");
    assert_int_equal(bed.lone.model_calls, 2);
    assert_string_equal(journal(), "RUN_STARTED helper 'hi' root=#1\n"
                                   "MODEL_REQUESTED 1\n"
                                   "MODEL_REPLIED 1\n"
                                   "TASK_REQUESTED 2\n"
                                   "TASK_SETTLED 2 error=UNKNOWN_TOOL\n"
                                   "MODEL_REQUESTED 3\n"
                                   "MODEL_REPLIED 3\n"
                                   "TASK_REQUESTED 4\n"
                                   "TASK_SETTLED 4 error=UNKNOWN_TOOL\n"
                                   "RUN_COMPLETED\n");
    end();
}

static void tokens_are_limited(void **state)
{
    (void)state;
    begin((struct agent_definition){.max_total_tokens = 68}); /* Two turns of 34. */
    lone_model_calls(&bed.lone, "unknown");
    lone_model_calls(&bed.lone, "unknown");
    assert_int_equal(bed.lone.model_calls, 2);
    assert_int_equal(lone_count(&bed.lone, bed.run, EVENT_RUN_COMPLETED), 1);
    end();
}

static void an_answer_that_does_not_fit_is_asked_again(void **state)
{
    (void)state;
    begin((struct agent_definition){.output_schema_json = STR("{\"type\":\"number\"}"),
                                    .output_retries = 1});
    lone_model_ends(&bed.lone, "no number");
    assert_string_equal(
        shown(), "user: hi\n"
                 "assistant: no number\n"
                 "user: The answer does not fit the output schema: answer: is no JSON, and "
                 "holds no single block of it. Answer again with JSON that fits it, and nothing "
                 "else.\n");
    lone_model_ends(&bed.lone, "no number");
    assert_string_equal(journal(), "RUN_STARTED helper 'hi' root=#1\n"
                                   "MODEL_REQUESTED 1\n"
                                   "MODEL_REPLIED 1\n"
                                   "REPLY_REJECTED\n"
                                   "MODEL_REQUESTED 2\n"
                                   "MODEL_REPLIED 2\n"
                                   "REPLY_REJECTED\n"
                                   "RUN_FAILED reason=OUTPUT_INVALID\n");
    end();
}

/* ---- Failures. ---- */

static void a_call_is_made_again_after_a_pause(void **state)
{
    (void)state;
    begin((struct agent_definition){0});
    struct model_failure failure = passing;
    failure.retry_after_ms = HOUR_MS / 60;
    fail_call(failure);
    assert_int_equal(bed.lone.model_calls, 1);
    lone_advance(&bed.lone, START_MS + HOUR_MS / 60 - 1);
    assert_int_equal(bed.lone.model_calls, 1);
    lone_advance(&bed.lone, START_MS + 2 * HOUR_MS / 60);
    assert_int_equal(bed.lone.model_calls, 2);
    lone_model_ends(&bed.lone, "done");
    assert_string_equal(journal(), "RUN_STARTED helper 'hi' root=#1\n"
                                   "MODEL_REQUESTED 1\n"
                                   "MODEL_FAILED 1\n"
                                   "MODEL_REQUESTED 1\n"
                                   "MODEL_REPLIED 1\n"
                                   "RUN_COMPLETED\n");
    end();
}

static void a_call_that_cannot_work_fails_the_run(void **state)
{
    (void)state;
    begin((struct agent_definition){0});
    lone_model_says(&bed.lone, NULL);
    assert_int_equal(bed.lone.model_calls, 1);
    assert_string_equal(journal(), "RUN_STARTED helper 'hi' root=#1\n"
                                   "MODEL_REQUESTED 1\n"
                                   "MODEL_FAILED 1\n"
                                   "RUN_FAILED reason=BAD_REQUEST\n");
    end();
}

static void a_cancelled_call_is_dropped(void **state)
{
    (void)state;
    begin((struct agent_definition){0});
    uint64_t call = bed.lone.model_call;
    lone_cancel(&bed.lone, bed.run);
    assert_int_equal(bed.lone.model_cancels, 1);
    lone_model_ends(&bed.lone, "late");
    assert_string_equal(journal(), "RUN_STARTED helper 'hi' root=#1\n"
                                   "MODEL_REQUESTED 1\n"
                                   "RUN_CANCELLED\n");
    bed.run = lone_start(&bed.lone, (struct run_spec){.kind = RUN_KIND_AGENT,
                                                      .name = STR("helper"),
                                                      .input = STR("\"again\"")});
    assert_int_not_equal(bed.lone.model_call, call); /* What is still said of that is told apart. */
    end();
}

/* ---- The process and its store. ---- */

static void a_call_is_made_again_by_the_next_process(void **state)
{
    (void)state;
    begin((struct agent_definition){0});
    lone_stop(&bed.lone);
    lone_begin(&bed.lone);
    lone_rounds(&bed.lone);
    assert_int_equal(bed.lone.model_calls, 2);
    lone_model_ends(&bed.lone, "done");
    assert_string_equal(journal(), "RUN_STARTED helper 'hi' root=#1\n"
                                   "MODEL_REQUESTED 1\n"
                                   "MODEL_REQUESTED 1\n"
                                   "MODEL_REPLIED 1\n"
                                   "RUN_COMPLETED\n");
    end();
}

static void a_paid_reply_is_not_lost(void **state)
{
    (void)state;
    begin((struct agent_definition){0});
    bed.lone.fails_commits = true;
    lone_model_ends(&bed.lone, "done");
    bed.lone.fails_commits = false;
    assert_int_equal(lone_count(&bed.lone, bed.run, EVENT_RUN_COMPLETED), 0);
    lone_advance(&bed.lone, START_MS + 10000);
    assert_int_equal(lone_count(&bed.lone, bed.run, EVENT_RUN_COMPLETED), 1);
    assert_int_equal(bed.lone.model_calls, 1);
    end();
}

static void a_reply_that_was_kept_counts_once(void **state)
{
    (void)state;
    begin((struct agent_definition){0});
    bed.lone.forgets_commits = true;
    lone_model_calls(&bed.lone, "unknown");
    bed.lone.forgets_commits = false;
    lone_advance(&bed.lone, START_MS + 10000);
    assert_int_equal(lone_count(&bed.lone, bed.run, EVENT_MODEL_REPLIED), 1);
    lone_model_ends(&bed.lone, "done");
    assert_int_equal(lone_count(&bed.lone, bed.run, EVENT_RUN_COMPLETED), 1);
    end();
}

/* Its definition cannot be read for a while. */
static void a_call_waits_for_its_definition(void **state)
{
    (void)state;
    begin((struct agent_definition){0});
    lone_stop(&bed.lone);
    bed.lone.read_failure = CODE_UNAVAILABLE;
    bed.lone.unread = STORE_DEFINITIONS;
    lone_begin(&bed.lone);
    partition_round(bed.lone.partition);
    partition_round(bed.lone.partition);
    assert_int_equal(bed.lone.model_calls, 1);
    assert_int_equal(lone_count(&bed.lone, bed.run, EVENT_RUN_FAILED), 0);
    bed.lone.read_failure = CODE_OK;
    lone_advance(&bed.lone, START_MS + 10000);
    assert_int_equal(bed.lone.model_calls, 2);
    end();
}

static void note_server(struct request *request, const struct failure *failure)
{
    assert_null(failure);
    str server = report_request(request)->ret->server;
    snprintf(bed.server, sizeof(bed.server), STR_FMT, STR_ARG(server));
    request_free(request);
}

static const char *server_it_waits_for(void)
{
    struct request *request = request_new(&get_operation);
    request->run = bed.run;
    request->done = note_server;
    snprintf(bed.server, sizeof(bed.server), "not answered");
    assert_true(partition_post(bed.lone.partition, request));
    lone_rounds(&bed.lone);
    return bed.server;
}

static void who_waits_for_a_place_says_so(void **state)
{
    (void)state;
    begin((struct agent_definition){0});
    struct model_sink sink = models_sink(bed.lone.partition);
    assert_string_equal(server_it_waits_for(), "");
    sink.waits(sink.context, bed.lone.model_call + ((uint64_t)1 << 32), STR("another"));
    assert_string_equal(server_it_waits_for(), "");
    sink.waits(sink.context, bed.lone.model_call, STR("model.example"));
    assert_string_equal(server_it_waits_for(), "model.example");
    sink.waits(sink.context, bed.lone.model_call, STR_EMPTY);
    assert_string_equal(server_it_waits_for(), "");
    sink.waits(sink.context, bed.lone.model_call, STR("model.example"));
    lone_model_calls(&bed.lone, "unknown");
    assert_string_equal(server_it_waits_for(), "");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tools_are_run_and_shown),
        cmocka_unit_test(a_tool_has_its_time),
        cmocka_unit_test(a_lost_host_is_made_up_for),
        cmocka_unit_test(at_most_once_is_not_run_again),
        cmocka_unit_test(turns_are_limited),
        cmocka_unit_test(tokens_are_limited),
        cmocka_unit_test(an_answer_that_does_not_fit_is_asked_again),
        cmocka_unit_test(a_call_is_made_again_after_a_pause),
        cmocka_unit_test(a_call_that_cannot_work_fails_the_run),
        cmocka_unit_test(a_cancelled_call_is_dropped),
        cmocka_unit_test(a_call_is_made_again_by_the_next_process),
        cmocka_unit_test(a_paid_reply_is_not_lost),
        cmocka_unit_test(a_reply_that_was_kept_counts_once),
        cmocka_unit_test(a_call_waits_for_its_definition),
        cmocka_unit_test(who_waits_for_a_place_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
