/*
 * Goal:   an answer reaches the question it is meant for, once: by the question's id or the key of
 *         its step, early, late, from below its root, in a copy and after a restart; else whoever
 *         gives it is told why.
 * Method: the real partition and a host that asks as the test says; what callers are told is text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "service/features/forks/forks.h"
#include "service/features/suspensions/suspensions.h"
#include "tests/unit/partition/lone_calls.h"
#include "tests/unit/partition/lone_host.h"

#define START_MS ((uint64_t)1800000000000)

enum {
    EARLY_MAX = 8, /* Answers that a run keeps. */
    CHILDREN = 6, /* More than are named where several are meant. */
};

static struct {
    struct lone_partition lone;
    struct lone_host host;
    struct held_task task;
    char text[1024];
} bed;

static const char *const offers[] = {"workflow:flow", "workflow:child", NULL};
static const char numbers[] = "{\"type\":\"number\"}";

static void begin(void)
{
    memset(&bed, 0, sizeof(bed));
    lone_init(&bed.lone, START_MS - 1);
    bed.lone.leaves_runs_open = true;
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    /* Only runs that are later than the first row of a key in a store are known to have rows. */
    uuid first = lone_start_flow(&bed.lone, "child");
    assert_int_equal(lone_resume(&bed.lone, first, "any", "1"), REASON_NONE);
    lone_host_done(&bed.host, lone_host_task(&bed.host), "1");
    lone_advance(&bed.lone, START_MS);
    lone_start_flow(&bed.lone, "flow");
    bed.task = lone_host_task(&bed.host);
    lone_host_told(&bed.host);
}

static void end(void)
{
    lone_fini(&bed.lone);
    lone_host_fini(&bed.host);
}

static void ask_as(struct held_task task, const char *key, const char *schema, uint64_t length_ms)
{
    lone_host_request(&bed.host, task, key,
                      (struct host_step_request){.kind = STEP_REQUEST_SUSPENSION,
                                                 .data = STR("[1]"),
                                                 .answer_schema = str_of(schema),
                                                 .length_ms = length_ms});
}

static void ask(const char *key)
{
    ask_as(bed.task, key, "", 0);
}

/* Starts children of the flow; the first has the place `from` among the host's tasks. */
static size_t start_children(size_t count)
{
    struct host_child children[CHILDREN];
    size_t from = bed.host.task_count;
    for (size_t i = 0; i < count; i++) {
        children[i] = (struct host_child){.kind = RUN_KIND_WORKFLOW, .name = STR("child")};
    }
    lone_host_start(&bed.host, bed.task, "children", children, count);
    lone_host_told(&bed.host);
    return from;
}

static void put_suspension(const struct suspension *over)
{
    static const char *const states[] = {"open", "answered", "expired", "withdrawn"};
    size_t len = strlen(bed.text);
    snprintf(bed.text + len, sizeof(bed.text) - len,
             "%s " STR_FMT " " STR_FMT " data=" STR_FMT " schema=" STR_FMT " since=%llu due=%llu "
             "by=" STR_FMT " answer=" STR_FMT " at=%llu%s",
             states[over->state], STR_ARG(over->name), STR_ARG(over->step_key), STR_ARG(over->data),
             STR_ARG(over->answer_schema), (unsigned long long)(over->since_ms - START_MS),
             (unsigned long long)over->deadline_ms, STR_ARG(over->by), STR_ARG(over->answer),
             (unsigned long long)over->answered_ms,
             !uuid_equal(over->root, bed.task.task.run) ? " of another root"
             : uuid_equal(over->run, bed.task.task.run) ? ""
                                                        : " of another run");
}

static void put_refusal(void)
{
    size_t ids = 0;
    str message = bed.lone.failure.message;
    for (size_t i = 0; i + 36 <= message.len; i++) {
        uuid id;
        ids += uuid_parse(str_make(message.ptr + i, 36), &id) ? 1 : 0;
    }
    snprintf(bed.text, sizeof(bed.text), "%s " STR_FMT " ids=%zu",
             reason_name(bed.lone.failure.reason), STR_ARG(bed.lone.failure.field), ids);
}

struct answer {
    uuid run;
    uint32_t effect;
    const char *key;
    const char *workflow;
    const char *data;
};

/* What the caller is told. */
static const char *answer(struct answer given)
{
    struct request *request = request_new(&resume_operation);
    request->run = uuid_is_zero(given.run) ? bed.task.task.run : given.run;
    resume_request(request)->effect = given.effect;
    resume_request(request)->key = str_of(given.key == NULL ? "" : given.key);
    resume_request(request)->workflow = str_of(given.workflow == NULL ? "" : given.workflow);
    resume_request(request)->data = str_of(given.data == NULL ? "7" : given.data);
    resume_request(request)->by = STR("test");
    lone_ask(&bed.lone, request);
    const struct resume_request *told = resume_request(request);
    if (bed.lone.failure.code != CODE_OK) {
        put_refusal();
    } else {
        snprintf(bed.text, sizeof(bed.text), "%s%s", told->ret_accepted ? "accepted" : "",
                 told->ret_kept ? " kept" : "");
        if (told->ret_over != NULL) {
            put_suspension(told->ret_over);
        }
    }
    request_free(request);
    lone_rounds(&bed.lone);
    return bed.text;
}

static void note_shown(struct request *request, const struct failure *failure)
{
    bed.lone.failure = failure == NULL ? (struct failure){0} : *failure;
    if (failure == NULL) {
        bed.text[0] = '\0';
        put_suspension(suspension_request(request)->ret);
    } else {
        put_refusal();
    }
    request_free(request);
}

static const char *look(uuid run, uint32_t effect, const char *key)
{
    struct request *request = request_new(&get_suspension_operation);
    request->run = uuid_is_zero(run) ? bed.task.task.run : run;
    request->done = note_shown;
    suspension_request(request)->effect = effect;
    suspension_request(request)->step_key = str_of(key);
    snprintf(bed.text, sizeof(bed.text), "not answered");
    assert_true(partition_post(bed.lone.partition, request));
    lone_rounds(&bed.lone);
    return bed.text;
}

static void restart(void)
{
    lone_stop(&bed.lone);
    lone_begin(&bed.lone);
    lone_rounds(&bed.lone);
}

static const uuid flow = {{0}}; /* The run that begin() started. */

/* ---- Tests. ---- */

static void a_question_is_answered_once(void **state)
{
    (void)state;
    begin();
    ask("ok");
    assert_string_equal(look(flow, 2, ""),
                        "open flow ok data=[1] schema= since=0 due=0 by= answer= at=0");
    assert_string_equal(look(flow, 0, "ok"),
                        "open flow ok data=[1] schema= since=0 due=0 by= answer= at=0");
    bed.lone.now_ms += 10;
    assert_string_equal(answer((struct answer){.effect = 2}), "accepted");
    assert_string_equal(lone_host_told(&bed.host), "outcome ok:3={'data':7,'resumed_by':'test'}\n");
    assert_string_equal(answer((struct answer){.effect = 2, .data = "8"}),
                        "answered flow ok data=[1] schema= since=0 due=0 by=test answer=7 "
                        "at=1800000000010");
    assert_string_equal(answer((struct answer){.key = "ok"}),
                        "answered flow ok data=[1] schema= since=0 due=0 by=test answer=7 "
                        "at=1800000000010");
    assert_string_equal(look(flow, 2, ""),
                        "answered flow ok data=[1] schema= since=0 due=0 by=test answer=7 "
                        "at=1800000000010");
    assert_string_equal(look(flow, 0, "ok"),
                        "answered flow ok data=[1] schema= since=0 due=0 by=test answer=7 "
                        "at=1800000000010");
    restart();
    assert_string_equal(look(flow, 0, "ok"),
                        "answered flow ok data=[1] schema= since=0 due=0 by=test answer=7 "
                        "at=1800000000010");
    assert_string_equal(look(flow, 3, ""), "SUSPENSION_NOT_FOUND suspension_id ids=0");
    assert_string_equal(look(flow, 0, "other"), "SUSPENSION_NOT_FOUND step_key ids=0");
    assert_string_equal(answer((struct answer){.effect = 9}),
                        "SUSPENSION_NOT_FOUND suspension_id ids=0");
    end();
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    begin();
    ask_as(bed.task, "n", numbers, 0);
    assert_string_equal(answer((struct answer){.key = "n", .data = "\"x\""}),
                        "ANSWER_MISFIT data_json ids=0");
    assert_string_equal(answer((struct answer){.key = "n", .workflow = "child"}),
                        "WORKFLOW_MISMATCH workflow_id ids=0");
    assert_string_equal(answer((struct answer){.key = "other"}),
                        "OTHER_SUSPENSIONS_OPEN step_key ids=1");
    restart();
    assert_string_equal(answer((struct answer){.key = "n", .data = "\"x\""}),
                        "ANSWER_MISFIT data_json ids=0");
    assert_string_equal(answer((struct answer){.key = "n", .workflow = "flow"}), "accepted");
    end();
}

static void an_early_answer_is_kept(void **state)
{
    (void)state;
    char key[8] = "k0";
    begin();
    assert_string_equal(answer((struct answer){.key = "k0"}), "accepted kept");
    assert_string_equal(answer((struct answer){.key = "k0", .data = "8"}), " kept");
    for (int i = 1; i < EARLY_MAX; i++) {
        key[1] = (char)('0' + i);
        assert_string_equal(answer((struct answer){.key = key, .data = "\"x\""}), "accepted kept");
    }
    assert_string_equal(answer((struct answer){.key = "k8"}), "TOO_MANY_ANSWERS step_key ids=0");
    restart();
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    bed.task = lone_host_task(&bed.host);
    lone_host_told(&bed.host);
    ask("k0");
    ask_as(bed.task, "k1", numbers, 0); /* That one does not fit. */
    assert_string_equal(lone_host_told(&bed.host), "outcome k0:3={'data':7,'resumed_by':'test'}\n");
    assert_string_equal(look(flow, 0, "k0"),
                        "answered flow k0 data=[1] schema= since=0 due=0 by=test answer=7 "
                        "at=1800000000000");
    assert_string_equal(look(flow, 0, "k1"),
                        "open flow k1 data=[1] schema={\"type\":\"number\"} since=0 due=0 by= "
                        "answer= at=0");
    end();
}

static void what_is_over_is_told(void **state)
{
    (void)state;
    begin();
    ask_as(bed.task, "soon", "", 1000);
    lone_advance(&bed.lone, START_MS + 999);
    assert_string_equal(
        look(flow, 0, "soon"),
        "open flow soon data=[1] schema= since=0 due=1800000001000 by= answer= at=0");
    lone_advance(&bed.lone, START_MS + 1000);
    assert_string_equal(answer((struct answer){.key = "soon"}),
                        "expired flow soon data=[1] schema= since=0 due=1800000001000 by= "
                        "answer= at=0");
    ask("never");
    lone_host_done(&bed.host, bed.task, "1");
    assert_string_equal(answer((struct answer){.key = "never"}),
                        "withdrawn flow never data=[1] schema= since=1000 due=0 by= answer= at=0");
    assert_string_equal(look(flow, 0, "never"),
                        "withdrawn flow never data=[1] schema= since=1000 due=0 by= answer= at=0");
    assert_string_equal(answer((struct answer){.key = "unasked"}), "RUN_ENDED run_id ids=0");
    end();
}

/* A root speaks for those below it, while one alone is meant. */
static void a_key_is_found_below(void **state)
{
    (void)state;
    begin();
    size_t first = start_children(2);
    ask_as(bed.host.tasks[first], "ok", "", 0);
    assert_string_equal(
        look(flow, 0, "ok"),
        "open child ok data=[1] schema= since=0 due=0 by= answer= at=0 of another run");
    assert_string_equal(answer((struct answer){.key = "other"}),
                        "OTHER_SUSPENSIONS_OPEN step_key ids=1");
    assert_string_equal(
        answer((struct answer){.run = bed.host.tasks[first].task.run, .workflow = "flow"}),
        "OTHER_SUSPENSIONS_OPEN step_key ids=1");
    assert_string_equal(answer((struct answer){.key = "ok", .workflow = "flow"}), "accepted");
    assert_string_equal(answer((struct answer){.key = "ok"}),
                        "answered child ok data=[1] schema= since=0 due=0 by=test answer=7 "
                        "at=1800000000000 of another run");
    ask_as(bed.host.tasks[first + 1], "ok", "", 0); /* Asked twice by now. */
    assert_string_equal(answer((struct answer){.key = "ok"}),
                        "SUSPENSION_AMBIGUOUS step_key ids=1");
    assert_string_equal(
        answer((struct answer){.run = bed.host.tasks[first + 1].task.run, .key = "ok"}),
        "accepted");
    end();
}

static void several_are_named(void **state)
{
    (void)state;
    begin();
    size_t first = start_children(CHILDREN);
    for (size_t i = 0; i < CHILDREN; i++) {
        ask_as(bed.host.tasks[first + i], "ok", "", 0);
    }
    assert_string_equal(answer((struct answer){.key = "ok"}),
                        "SUSPENSION_AMBIGUOUS step_key ids=4");
    assert_string_equal(look(flow, 0, "ok"), "SUSPENSION_AMBIGUOUS step_key ids=4");
    assert_string_equal(answer((struct answer){.key = "other"}),
                        "OTHER_SUSPENSIONS_OPEN step_key ids=4");
    restart();
    assert_string_equal(answer((struct answer){.key = "ok"}),
                        "SUSPENSION_AMBIGUOUS step_key ids=4");
    end();
}

/* A copy knows what was asked and answered before. */
static void a_retry_has_its_questions(void **state)
{
    (void)state;
    begin();
    ask("one");
    ask("two");
    assert_string_equal(answer((struct answer){.key = "early"}),
                        "OTHER_SUSPENSIONS_OPEN step_key ids=2");
    assert_string_equal(answer((struct answer){.key = "one"}), "accepted");
    lone_host_failed(&bed.host, bed.task, "Boom", false);
    uuid copy = lone_retry(&bed.lone, bed.task.task.run);
    assert_string_equal(answer((struct answer){.run = copy, .key = "one"}),
                        "answered flow one data=[1] schema= since=0 due=0 by=test answer=7 "
                        "at=1800000000000 of another root");
    assert_string_equal(look(copy, 0, "one"),
                        "answered flow one data=[1] schema= since=0 due=0 by=test answer=7 "
                        "at=1800000000000 of another root");
    assert_string_equal(answer((struct answer){.run = copy, .key = "two", .data = "2"}),
                        "accepted");
    assert_string_equal(answer((struct answer){.run = copy, .key = "two", .data = "3"}),
                        "answered flow two data=[1] schema= since=0 due=0 by=test answer=2 "
                        "at=1800000000000 of another root");
    end();
}

/* Of a run that goes on: one is answered in both, the other open in both. */
static void a_fork_has_its_questions(void **state)
{
    (void)state;
    begin();
    assert_string_equal(answer((struct answer){.key = "early"}), "accepted kept");
    ask("one");
    ask("two");
    assert_string_equal(answer((struct answer){.key = "one"}), "accepted");
    struct request *request = request_new(&fork_operation);
    request->run = bed.task.task.run;
    fork_request(request)->after_seq = 7; /* All there is. */
    lone_ask(&bed.lone, request);
    assert_int_equal(bed.lone.failure.code, CODE_OK);
    uuid fork = request->run;
    request_free(request);
    lone_rounds(&bed.lone);
    assert_string_equal(answer((struct answer){.run = fork, .key = "one"}),
                        "answered flow one data=[1] schema= since=0 due=0 by=test answer=7 "
                        "at=1800000000000 of another root");
    assert_string_equal(answer((struct answer){.run = fork, .key = "two"}), "accepted");
    assert_string_equal(look(flow, 0, "two"),
                        "open flow two data=[1] schema= since=0 due=0 by= answer= at=0");
    end();
}

/* As a release left it that kept no rows of keys: the journals say it all. */
static void an_older_store_is_searched(void **state)
{
    (void)state;
    begin();
    assert_string_equal(answer((struct answer){.key = "early"}), "accepted kept");
    ask("one");
    ask("two");
    assert_string_equal(answer((struct answer){.key = "one"}), "accepted");
    lone_stop(&bed.lone);
    lone_drop_rows(&bed.lone, INDEX_STEP_KEY, INDEX_STEP_KEYS_SINCE);
    lone_begin(&bed.lone);
    lone_rounds(&bed.lone);
    assert_string_equal(answer((struct answer){.key = "one", .data = "8"}),
                        "answered flow one data=[1] schema= since=0 due=0 by=test answer=7 "
                        "at=1800000000000");
    assert_string_equal(look(flow, 2, ""),
                        "answered flow one data=[1] schema= since=0 due=0 by=test answer=7 "
                        "at=1800000000000");
    assert_string_equal(look(flow, 0, "two"),
                        "open flow two data=[1] schema= since=0 due=0 by= answer= at=0");
    assert_string_equal(answer((struct answer){.key = "two"}), "accepted");
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    bed.task = lone_host_task(&bed.host);
    lone_host_told(&bed.host);
    ask("early");
    assert_string_equal(lone_host_told(&bed.host),
                        "outcome early:3={'data':7,'resumed_by':'test'}\n");
    end();
}

/* Code may give an answer too. */
static void code_answers(void **state)
{
    (void)state;
    begin();
    size_t first = start_children(1);
    struct host_step_request wanted = {.kind = STEP_REQUEST_RESUME,
                                       .run = bed.task.task.run,
                                       .step_key = STR("ok"),
                                       .data = STR("7")};
    lone_host_request(&bed.host, bed.host.tasks[first], "early", wanted);
    wanted.workflow = STR("child");
    lone_host_request(&bed.host, bed.host.tasks[first], "wrong", wanted);
    assert_string_equal(lone_host_told(&bed.host),
                        "outcome early:6={'accepted':true,'kept':true}\n"
                        "outcome wrong:6=!RESUME_REFUSED: it is a run of flow\n");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_is_answered_once),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(an_early_answer_is_kept),
        cmocka_unit_test(what_is_over_is_told),
        cmocka_unit_test(a_key_is_found_below),
        cmocka_unit_test(several_are_named),
        cmocka_unit_test(a_retry_has_its_questions),
        cmocka_unit_test(a_fork_has_its_questions),
        cmocka_unit_test(an_older_store_is_searched),
        cmocka_unit_test(code_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
