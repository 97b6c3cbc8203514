/*
 * Goal:   whichever read of the store fails once, whichever commit, with or without having been
 *         written, and whenever the process dies: in the end all is as if nothing had happened.
 * Method: small scenes, whose host runs code that goes by what it is told. Each is played once
 *         without a fault, and then again and again with one, each time at a later place; what
 *         became of the runs, and what rows are left, is compared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/features/callers/callers.h"
#include "service/features/deletions/deletions.h"
#include "service/features/forks/forks.h"
#include "service/features/publications/publications.h"
#include "service/features/queues/queues.h"
#include "service/features/reports/reports.h"
#include "service/features/schedules/schedules.h"
#include "service/features/starts/starts.h"
#include "service/features/suspensions/suspensions.h"
#include "tests/unit/partition/lone_calls.h"
#include "tests/unit/partition/lone_host.h"

#define START_MS ((uint64_t)1800000000000)

enum {
    MINUTE_MS = 60000,
    PLACES_MAX = 2000, /* Where a fault of a kind may be, in a scene. */
    TRIES_MAX = 30, /* Of a request. */
    AGAIN_MS = 1000,
    ROUNDS_MAX = 20000,
    REACTIONS_MAX = 8, /* Of the host and the model, to what they are told at one time. */
    BEAT_MS = 4000,
    READS_THEN = 6, /* Of those after a commit, one of which fails. */
    ACTS_MAX = 10,
    RUNS_MAX = 32,
};

enum fault {
    FAULT_NONE,
    FAULT_READ,
    FAULT_COMMIT,
    FAULT_COMMIT_FORGOTTEN,
    FAULT_DEATH, /* Before a round. */
    FAULT_COMMIT_AND_READ, /* One of the reads after it, too. */
    FAULT_FORGOTTEN_AND_READ,
    FAULT_COUNT,
};

/* What code of this name does: one step, and then it ends. */
struct program {
    const char *name;
    const char *key; /* NULL: no step. */
    struct host_step_request wanted;
    bool fails; /* In a run that is no retry; it does not wait for its step. */
};

/* Something that is asked for; the same once more when it failed. */
struct act {
    uint64_t at_ms; /* Since the start. */
    struct request *(*make)(str name);
    const char *name; /* NULL: of nothing. */
};

struct scene {
    const char *name;
    struct act acts[ACTS_MAX];
    const char *ends; /* Runs and rows, in the end. */
};

struct working {
    struct held_task task;
    const struct program *code;
};

static struct {
    struct lone_partition lone;
    struct lone_host host;
    struct working working[LONE_TASKS_KEPT];
    size_t working_count;
    size_t model_calls; /* That were answered. */
    size_t deaths_left;
    bool
        parks; /* Code is let go of while it waits, and nobody waits for runs: they leave memory. */
    bool is_waited_for; /* Somebody waits for the end of `run`, ... */
    bool is_told; /* ... or was told of it. */
    uuid run; /* That was started last by a request. */
    enum fault fault;
    size_t place;
    uint64_t tickets;
    size_t dials;
    char host_id[32]; /* Each time another: it has forgotten what it was at. */
} bed;

/* ---- The code. ---- */

static const struct host_child kids[] = {
    {.kind = RUN_KIND_WORKFLOW, .name = {"leaf", 4}, .input = {"1", 1}},
    {.kind = RUN_KIND_WORKFLOW, .name = {"waits", 5}, .input = {"2", 1}},
    {.kind = RUN_KIND_AGENT, .name = {"helper", 6}, .input = {"\"hi\"", 4}},
};
static const struct host_child deep[] = {
    {.kind = RUN_KIND_WORKFLOW, .name = {"parent", 6}, .input = {"1", 1}},
};
static const struct host_child one[] = {
    {.kind = RUN_KIND_WORKFLOW, .name = {"waits", 5}, .input = {"2", 1}},
};

static const struct host_child other[] = {
    {.kind = RUN_KIND_WORKFLOW,
     .name = {"waits", 5},
     .input = {"3", 1},
     .options = {.outlives_parent = true}},
};

static const struct program codes[] = {
    {.name = "leaf"},
    {.name = "sleeps", .key = "nap", .wanted = {.length_ms = MINUTE_MS}},
    {.name = "waits",
     .key = "go",
     .wanted = {.kind = STEP_REQUEST_EVENT, .topic = {"news", 4}, .event_type = {"good", 4}}},
    {.name = "asks",
     .key = "ask",
     .wanted = {.kind = STEP_REQUEST_SUSPENSION, .data = {"{}", 2}, .length_ms = 2 * MINUTE_MS}},
    {.name = "parent",
     .key = "kids",
     .wanted = {.kind = STEP_REQUEST_START,
                .children = kids,
                .child_count = COUNT_OF(kids),
                .waits = true}},
    {.name = "deep",
     .key = "deep",
     .wanted = {.kind = STEP_REQUEST_START,
                .children = deep,
                .child_count = COUNT_OF(deep),
                .waits = true}},
    {.name = "fails",
     .key = "one",
     .wanted =
         {.kind = STEP_REQUEST_START, .children = one, .child_count = COUNT_OF(one), .waits = true},
     .fails = true},
    {.name = "leaves",
     .key = "other",
     .wanted = {.kind = STEP_REQUEST_START,
                .children = other,
                .child_count = COUNT_OF(other),
                .waits = true},
     .fails = true},
    {.name = "publishes",
     .key = "news",
     .wanted = {.kind = STEP_REQUEST_PUBLISH,
                .topic = {"news", 4},
                .event_type = {"good", 4},
                .data = {"7", 1}}},
};

static const char *const offers[] = {
    "workflow:leaf", "workflow:sleeps", "workflow:waits",     "workflow:asks",   "workflow:parent",
    "workflow:deep", "workflow:fails",  "workflow:publishes", "workflow:leaves", NULL};

static const struct program *program_of(const char *line)
{
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        size_t len = strlen(codes[i].name);
        if (strncmp(line, codes[i].name, len) == 0 && line[len] == ' ') {
            return &codes[i];
        }
    }
    fail_msg("no code for: %s", line);
    return NULL;
}

static void end_code(size_t place, bool fails)
{
    struct held_task task = bed.working[place].task;
    bed.working[place] = bed.working[--bed.working_count];
    if (fails) {
        lone_host_failed(&bed.host, task, "Boom", false);
    } else {
        lone_host_done(&bed.host, task, "1");
    }
}

static void hear_end(struct held_task task)
{
    for (size_t i = 0; i < bed.working_count; i++) {
        if (memcmp(&bed.working[i].task, &task, sizeof(task)) == 0) {
            bed.working[i] = bed.working[--bed.working_count];
            lone_host_cancelled(&bed.host, task);
            return;
        }
    }
}

static void begin_code(const char *line, struct held_task task)
{
    char fact[64];
    const struct program *code = program_of(line);
    size_t place = bed.working_count++;
    bool is_retry = !uuid_equal(task.task.run, bed.run);
    assert_true(place < COUNT_OF(bed.working));
    bed.working[place] = (struct working){task, code};
    if (strstr(line, " cancelling") != NULL) {
        hear_end(task);
        return;
    }
    snprintf(fact, sizeof(fact), "%s:", code->key == NULL ? "" : code->key);
    bool is_done = code->key == NULL || strstr(line, fact) != NULL;
    if (!is_done) {
        lone_host_request(&bed.host, task, code->key, code->wanted);
    }
    if (code->fails && !is_retry) {
        end_code(place, true);
    } else if (!is_done && bed.parks) {
        bed.working_count--;
        lone_host_say(&bed.host, task, (struct host_message){.kind = HOST_MESSAGE_PARK});
    } else if (is_done) {
        end_code(place, false);
    }
}

static void hear_outcome(const char *line)
{
    for (size_t i = 0; i < bed.working_count; i++) {
        const struct program *code = bed.working[i].code;
        size_t len = code->key == NULL ? 0 : strlen(code->key);
        if (len > 0 && strncmp(line, code->key, len) == 0 && line[len] == ':') {
            if (strstr(line, "=!CANCELLED") != NULL) {
                hear_end(bed.working[i].task);
            } else {
                end_code(i, false);
            }
            return;
        }
    }
}

/* What the host was told since. */
static void hear(void)
{
    char told[8192];
    struct held_task tasks[LONE_TASKS_KEPT];
    struct held_task ended[LONE_TASKS_KEPT];
    size_t task = 0;
    size_t ended_count = bed.host.ended_count;
    snprintf(told, sizeof(told), "%s", lone_host_told(&bed.host));
    memcpy(tasks, bed.host.tasks, sizeof(tasks));
    memcpy(ended, bed.host.ended, sizeof(ended));
    bed.host.task_count = bed.host.ended_count = 0;
    char *rest = told;
    for (char *line = strtok_r(rest, "\n", &rest); line != NULL;
         line = strtok_r(rest, "\n", &rest)) {
        if (strncmp(line, "task ", 5) == 0) {
            begin_code(line + 5, tasks[task++]);
        } else if (strncmp(line, "outcome ", 8) == 0) {
            hear_outcome(line + 8);
        }
    }
    for (size_t i = 0; i < ended_count; i++) {
        hear_end(ended[i]);
    }
}

/* ---- Time. ---- */

static void dial(void)
{
    bed.working_count = 0;
    bed.host.task_count = bed.host.ended_count = 0;
    lone_host_told(&bed.host);
    snprintf(bed.host_id, sizeof(bed.host_id), "host-%zu", ++bed.dials);
    lone_host_connect(&bed.host, &bed.lone, bed.host_id, offers);
}

/* Whoever waits for the run's end asks again where that fails. */
static void was_waited_for(struct request *request, const struct failure *failure)
{
    bed.is_waited_for = false;
    bed.is_told |= failure == NULL && engine_is_terminal(&report_request(request)->ret->state);
    bed.is_told |= failure != NULL && failure->code == CODE_NOT_FOUND;
    request_free(request);
}

static void wait_for_end(void)
{
    struct request *request = request_new(&wait_operation);
    assert_false(bed.is_waited_for);
    bed.is_waited_for = true;
    request->run = bed.run;
    request->done = was_waited_for;
    wait_request(request)->ticket = ++bed.tickets;
    partition_post_always(bed.lone.partition, request);
}

static void beat(void)
{
    static const struct host_message heartbeat = {.kind = HOST_MESSAGE_HEARTBEAT};
    if (bed.host.link.session != NULL) {
        lone_host_say(&bed.host, (struct held_task){0}, heartbeat);
    }
}

static void react(void)
{
    bool is_quiet = false;
    for (int i = 0; i < REACTIONS_MAX && !is_quiet; i++) {
        if (bed.host.link.session == NULL) {
            dial();
        }
        is_quiet = bed.host.told.len == 0 && bed.model_calls == bed.lone.model_calls;
        hear();
        if (!uuid_is_zero(bed.run) && !bed.parks && !bed.is_waited_for && !bed.is_told) {
            wait_for_end();
        }
        if (bed.model_calls < bed.lone.model_calls) {
            bed.model_calls = bed.lone.model_calls;
            lone_model_ends(&bed.lone, "done");
        }
    }
    beat();
}

static void die(void)
{
    lone_stop(&bed.lone);
    lone_begin(&bed.lone);
    bed.host.link.session = NULL;
}

static void advance(uint64_t until_ms)
{
    for (int i = 0; i < ROUNDS_MAX; i++) {
        if (bed.deaths_left > 0 && --bed.deaths_left == 0) {
            die();
        }
        uint64_t due_ms = partition_round(bed.lone.partition);
        react();
        bool is_due = due_ms != 0 && due_ms <= until_ms;
        if (!is_due && bed.lone.now_ms >= until_ms) {
            return;
        }
        due_ms = is_due ? due_ms : until_ms;
        due_ms = due_ms > bed.lone.now_ms + BEAT_MS ? bed.lone.now_ms + BEAT_MS : due_ms;
        bed.lone.now_ms = due_ms > bed.lone.now_ms ? due_ms : bed.lone.now_ms;
    }
    fail_msg("the partition asks for rounds without an end");
}

static void perform(const struct act *act)
{
    char why[200] = "";
    uint64_t at_ms = START_MS + act->at_ms;
    advance(at_ms > bed.lone.now_ms ? at_ms : bed.lone.now_ms);
    for (int i = 0; i < TRIES_MAX; i++) {
        struct request *request = act->make(act->name == NULL ? STR_EMPTY : str_of(act->name));
        lone_ask(&bed.lone, request);
        enum code code = bed.lone.failure.code;
        if (request->operation == &start_operation) {
            bed.run = code == CODE_OK ? start_request(request)->ret_run : bed.run;
        }
        snprintf(why, sizeof(why), STR_FMT, STR_ARG(bed.lone.failure.message));
        request_free(request);
        react();
        bool is_done_before = i > 0 && (code == CODE_NOT_FOUND || code == CODE_FAILED_PRECONDITION);
        if (code == CODE_OK || is_done_before) {
            return;
        }
        advance(bed.lone.now_ms + AGAIN_MS);
    }
    fail_msg("after a fault %d at place %zu: %s", (int)bed.fault, bed.place, why);
}

/* ---- What became of it. ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Name and last fact. */
static const char *run_text(uuid run)
{
    const char *journal = lone_journal(&bed.lone, run, NULL, 0);
    const char *name = strchr(journal, ' ');
    const char *last = journal;
    for (const char *at = strchr(journal, '\n'); at != NULL && at[1] != '\0';
         at = strchr(at + 1, '\n')) {
        last = at + 1;
    }
    int name_len = (int)strcspn(name + 1, " ");
    return arena_printf(&bed.lone.arena, "%.*s %.*s; ", name_len, name + 1,
                        (int)strcspn(last, "\n"), last)
        .ptr;
}

static const char *ends(void)
{
    /* What is written anew, or later, after a fault is no part of it. */
    static const enum index_kind kinds[] = {
        INDEX_CHILD,    INDEX_SUSPENSION, INDEX_AWAIT,      INDEX_ALARM,      INDEX_SUCCESSOR,
        INDEX_OWED,     INDEX_TREE,       INDEX_RUN,        INDEX_AWAIT_TYPE, INDEX_QUEUE,
        INDEX_STEP_KEY, INDEX_SCHEDULE,   INDEX_PUBLICATION};
    const char *lines[RUNS_MAX];
    struct buf text = {0};
    struct read *read = read_new(&list_kind);
    list_read(read)->limit = RUNS_MAX;
    lone_read(&bed.lone, read);
    size_t count = list_read(read)->ret_count;
    for (size_t i = 0; i < count; i++) {
        lines[i] = run_text(list_read(read)->ret_lines[i].id);
    }
    read_free(read);
    qsort((void *)lines, count, sizeof(lines[0]), by_text);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&text, "%s", lines[i]);
    }
    buf_put(&text, STR("rows"));
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        size_t rows = lone_rows(&bed.lone, kinds[i]);
        if (rows > 0) {
            buf_printf(&text, " %d:%zu", (int)kinds[i], rows);
        }
    }
    const char *ret = arena_cstr(&bed.lone.arena, buf_str(&text));
    buf_fini(&text);
    return ret;
}

/* ---- A scene. ---- */

static void set_up(void)
{
    memset(&bed.lone, 0, sizeof(bed.lone));
    memset(&bed.host, 0, sizeof(bed.host));
    bed.working_count = 0;
    bed.model_calls = bed.dials = 0;
    bed.run = (uuid){{0}};
    bed.is_waited_for = bed.is_told = false;
    lone_init(&bed.lone, START_MS);
    bed.lone.leaves_runs_open = true;
    bed.host.is_beside_faults = true;
    lone_register(&bed.lone, (struct agent_definition){.id = STR("helper")});
    react();
}

static bool is_of_commit(enum fault fault)
{
    return fault != FAULT_NONE && fault != FAULT_READ && fault != FAULT_DEATH;
}

/* Of one of two parts: place is that of the commit, and behind it that of the read. */
static void set_fault(enum fault fault, size_t place)
{
    bool is_double = fault == FAULT_COMMIT_AND_READ || fault == FAULT_FORGOTTEN_AND_READ;
    size_t part = is_double ? (place - 1) / READS_THEN + 1 : place;
    bed.fault = fault;
    bed.place = place;
    bed.lone.left_failure = CODE_UNAVAILABLE;
    bed.lone.left_is_written = fault == FAULT_COMMIT_FORGOTTEN || fault == FAULT_FORGOTTEN_AND_READ;
    bed.lone.reads_left = fault == FAULT_READ ? place : 0;
    bed.lone.commits_left = is_of_commit(fault) ? part : 0;
    bed.lone.reads_left_then = is_double ? (place - 1) % READS_THEN + 1 : 0;
    bed.deaths_left = fault == FAULT_DEATH ? place : 0;
}

/* False: the fault's place is behind the end. */
static bool play(const struct scene *scene, enum fault fault, size_t place)
{
    set_up();
    set_fault(fault, place);
    for (size_t i = 0; i < ACTS_MAX && scene->acts[i].make != NULL; i++) {
        perform(&scene->acts[i]);
    }
    advance(START_MS + 5 * MINUTE_MS);
    bool is_met = bed.lone.commits_left == 0 && bed.deaths_left == 0 &&
                  (bed.lone.reads_left == 0 || is_of_commit(fault));
    set_fault(FAULT_NONE, 0);
    const char *ended = ends();
    assert_true(bed.is_told || bed.parks || uuid_is_zero(bed.run));
    if (strcmp(ended, scene->ends) != 0) {
        fail_msg("%s, fault %d at place %zu:\n%s\ninstead of\n%s", scene->name, (int)fault, place,
                 ended, scene->ends);
    }
    lone_fini(&bed.lone);
    lone_host_fini(&bed.host);
    return is_met;
}

static void play_all(const struct scene *scene)
{
    play(scene, FAULT_NONE, 0);
    for (enum fault fault = FAULT_NONE + 1; fault < FAULT_COUNT; fault++) {
        size_t place = 1;
        while (play(scene, fault, place)) {
            assert_in_range(++place, 1, PLACES_MAX);
        }
    }
}

/* ---- What is asked for. ---- */

static struct request *start(str name, enum run_kind kind, str queue)
{
    struct request *request = request_new(&start_operation);
    start_request(request)->spec =
        (struct run_spec){.kind = kind,
                          .name = name,
                          .input = STR("\"hi\""),
                          .options = {.idempotency_key = name, .queue = queue}};
    return request;
}

static struct request *start_flow(str name)
{
    return start(name, RUN_KIND_WORKFLOW, STR_EMPTY);
}

static struct request *start_agent(str name)
{
    return start(name, RUN_KIND_AGENT, STR_EMPTY);
}

/* `key` tells it from others of them. */
static struct request *start_in_queue(str key)
{
    struct request *request = start(STR("sleeps"), RUN_KIND_WORKFLOW, STR("narrow"));
    start_request(request)->spec.options.idempotency_key = key;
    return request;
}

static struct request *cancel_it(str none)
{
    (void)none;
    struct request *request = request_new(&cancel_operation);
    request->run = bed.run;
    cancel_request(request)->cause = STR("test");
    return request;
}

static struct request *retry_it(str none)
{
    (void)none;
    struct request *request = request_new(&retry_operation);
    request->run = bed.run;
    fork_request(request)->idempotency_key = STR("retry");
    return request;
}

static struct request *delete_it(str none)
{
    (void)none;
    struct request *request = request_new(&delete_operation);
    request->run = bed.run;
    return request;
}

static struct request *publish_news(str none)
{
    (void)none;
    static const struct topic_event events[] = {
        {.topic = {"news", 4}, .type = {"bad", 3}, .data = {"1", 1}},
        {.topic = {"news", 4}, .type = {"good", 4}, .data = {"2", 1}}};
    struct request *request = request_new(&publish_operation);
    publish_request(request)->events = events;
    publish_request(request)->count = COUNT_OF(events);
    publish_request(request)->key = STR("k");
    return request;
}

static struct request *answer(str none)
{
    (void)none;
    struct request *request = request_new(&resume_operation);
    request->run = bed.run;
    resume_request(request)->key = STR("ask");
    resume_request(request)->data = STR("1");
    resume_request(request)->by = STR("test");
    return request;
}

static struct request *put_queue(str none)
{
    (void)none;
    struct request *request = request_new(&put_queue_operation);
    put_queue_request(request)->offer =
        (struct queue_offer){STR("narrow"), {.concurrency = 1, .rate = 2, .rate_period_ms = 20000}};
    return request;
}

static struct request *put_schedule(str none)
{
    (void)none;
    struct request *request = request_new(&put_schedule_operation);
    put_schedule_request(request)->offer = (struct schedule_offer){
        .name = STR("leaf"), .key = STR("k"), .cron = STR("*/2 * * * *"), .zone = STR("UTC")};
    return request;
}

/* ---- The scenes. ---- */

static const struct scene scenes[] = {
    {"one run", {{0, start_flow, "leaf"}, {30000, delete_it, NULL}}, "rows"},
    {"a nap", {{0, start_flow, "sleeps"}}, "sleeps RUN_COMPLETED; rows 16:4"},
    {"an event",
     {{0, start_flow, "waits"}, {30000, publish_news, NULL}},
     "waits RUN_COMPLETED; rows 16:4 11:1"},
    {"an event of a run",
     {{0, start_flow, "waits"}, {30000, start_flow, "publishes"}},
     "publishes RUN_COMPLETED; waits RUN_COMPLETED; rows 16:8"},
    {"a question",
     {{0, start_flow, "asks"}, {30000, answer, NULL}},
     "asks RUN_COMPLETED; rows 16:4 19:3"},
    {"an answer before its question",
     {{0, start_flow, "sleeps"}, {30000, answer, NULL}},
     "sleeps RUN_COMPLETED; rows 16:4 19:1"},
    {"a question of which nobody heard",
     {{0, start_flow, "asks"}},
     "asks RUN_COMPLETED; rows 16:4 19:3"},
    {"a family",
     {{0, start_flow, "parent"}, {30000, publish_news, NULL}},
     "helper RUN_COMPLETED; leaf RUN_COMPLETED; parent RUN_COMPLETED; waits RUN_COMPLETED; rows "
     "1:3 16:17 11:1"},
    {"a family that is cancelled",
     {{0, start_flow, "deep"}, {30000, cancel_it, NULL}},
     "deep RUN_CANCELLED; helper RUN_COMPLETED; leaf RUN_COMPLETED; parent RUN_CANCELLED; waits "
     "RUN_CANCELLED; rows 1:4 16:21"},
    {"a family that is deleted",
     {{0, start_flow, "deep"}, {30000, publish_news, NULL}, {90000, delete_it, NULL}},
     "rows 11:1"},
    {"an agent", {{0, start_agent, "helper"}, {30000, delete_it, NULL}}, "rows"},
    {"a queue",
     {{0, put_queue, NULL},
      {5000, start_in_queue, "1"},
      {5000, start_in_queue, "2"},
      {5000, start_flow, "leaf"}},
     "leaf RUN_COMPLETED; sleeps RUN_COMPLETED; sleeps RUN_COMPLETED; rows 16:12 7:1"},
    {"a schedule",
     {{0, put_schedule, NULL}},
     "leaf RUN_COMPLETED; leaf RUN_COMPLETED; rows 16:10 5:1"},
    {"orphans",
     {{0, start_flow, "fails"}},
     "fails RUN_FAILED reason=WORKFLOW_FAILED; waits RUN_CANCELLED; rows 1:1 16:9"},
    {"a family that outlives its root, which is tried again",
     {{0, start_flow, "leaves"}, {30000, retry_it, NULL}, {90000, publish_news, NULL}},
     "leaves RUN_COMPLETED; leaves RUN_FAILED reason=WORKFLOW_FAILED; waits RUN_COMPLETED; rows "
     "1:2 16:13 11:1"},
    {"a family that is tried again",
     {{0, start_flow, "fails"}, {30000, retry_it, NULL}, {90000, publish_news, NULL}},
     "fails RUN_COMPLETED; fails RUN_FAILED reason=WORKFLOW_FAILED; waits RUN_CANCELLED; waits "
     "RUN_COMPLETED; rows 1:2 16:18 11:1"},
};

static void all_is_as_if_nothing_had_happened(void **state)
{
    (void)state;
    bed.parks = false;
    for (size_t i = 0; i < COUNT_OF(scenes); i++) {
        play_all(&scenes[i]);
    }
}

/* So that nearly everything is read when it is needed. */
static void so_it_is_where_code_is_let_go_of(void **state)
{
    (void)state;
    bed.parks = true;
    for (size_t i = 0; i < COUNT_OF(scenes); i++) {
        play_all(&scenes[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_as_if_nothing_had_happened),
        cmocka_unit_test(so_it_is_where_code_is_let_go_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
