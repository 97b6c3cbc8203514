/*
 * Goal:   each call about a run does what it says once, in each of its views and ways, and names
 * the field that it cannot take. Method: the handlers over the real partition; one workflow and one
 * agent, which end when the test says so.
 */
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#include "polos/v1/agents.pb-c.h"
#include "polos/v1/host.pb-c.h"
#include "polos/v1/runs.pb-c.h"
#include "polos/v1/tools.pb-c.h"
#include "polos/v1/workflows.pb-c.h"
#include "service/partition/partition.h"
#include "tests/unit/api/world.h"

#define RUNS "/polos.v1.RunService/"
#define NO_RUN "00000000-0000-7000-8000-000000000001"

static struct simulated_call *begin(struct world *world)
{
    world_init(world, 0);
    struct simulated_call *host = world_connect_host(world);
    world_rounds(world);
    return host;
}

static void end(struct world *world, struct simulated_call *host)
{
    simulated_call_message(host, NULL);
    world_rounds(world);
    simulated_call_release(host);
    world_fini(world);
}

/* The host ends what it was given last, with its message number `seq`. */
static void finish_task(struct world *world, struct simulated_call *host, uint64_t seq,
                        const char *value_json)
{
    Polos__V1__ServerMessage *given = last_of(host, POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK);
    assert_non_null(given);
    say_task_done(host, given->task, seq, value_json);
    world_rounds(world);
    free_message(given);
}

static void fail_task(struct world *world, struct simulated_call *host, uint64_t seq)
{
    Polos__V1__ServerMessage *given = last_of(host, POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK);
    assert_non_null(given);
    Polos__V1__TaskError error = POLOS__V1__TASK_ERROR__INIT;
    error.message = (char *)"oops";
    Polos__V1__TaskOutcome outcome = POLOS__V1__TASK_OUTCOME__INIT;
    outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT_ERROR;
    outcome.error = &error;
    Polos__V1__TaskDone done = POLOS__V1__TASK_DONE__INIT;
    done.task_id = given->task->task_id;
    done.epoch = given->task->epoch;
    done.result_case = POLOS__V1__TASK_DONE__RESULT_OUTCOME;
    done.outcome = &outcome;
    Polos__V1__HostMessage message = POLOS__V1__HOST_MESSAGE__INIT;
    message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_TASK_DONE;
    message.task_done = &done;
    say_message(host, seq, &message);
    world_rounds(world);
    free_message(given);
}

static void cancel(struct world *world, char *run_id)
{
    Polos__V1__RunServiceCancelRequest request = POLOS__V1__RUN_SERVICE_CANCEL_REQUEST__INIT;
    request.run_id = run_id;
    free_message(world_ask(world, RUNS "Cancel", &request.base, CODE_OK));
}

/* ---- Views ---- */

static void check_view(const Polos__V1__Run *run, const char *run_id, bool is_basic)
{
    assert_string_equal(run->id, run_id);
    assert_int_equal(run->status, POLOS__V1__RUN_STATUS__RUN_STATUS_COMPLETED);
    assert_string_equal(run->result_json, is_basic ? "" : "7");
    assert_string_equal(run->input_json, is_basic ? "" : "null");
    assert_int_equal(run->n_omitted_fields, is_basic ? 2 : 0);
    if (is_basic) {
        assert_string_equal(run->omitted_fields[0], "input_json");
        assert_string_equal(run->omitted_fields[1], "result_json");
    }
}

static void a_run_is_shown_in_full_or_without_what_is_large(void **state)
{
    (void)state;
    struct world world;
    struct simulated_call *host = begin(&world);
    char run_id[UUID_TEXT_BYTES];
    world_start_workflow(&world, run_id);
    finish_task(&world, host, 1, "7");
    for (int view = 0; view <= 2; view++) {
        bool is_basic = view == POLOS__V1__RUN_VIEW__RUN_VIEW_BASIC;
        Polos__V1__RunServiceGetRequest get = POLOS__V1__RUN_SERVICE_GET_REQUEST__INIT;
        get.run_id = run_id;
        get.view = (Polos__V1__RunView)view;
        Polos__V1__RunServiceGetResponse *got = world_ask(&world, RUNS "Get", &get.base, CODE_OK);
        check_view(got->run, run_id, is_basic);
        free_message(got);
        Polos__V1__RunServiceWaitRequest wait = POLOS__V1__RUN_SERVICE_WAIT_REQUEST__INIT;
        wait.run_id = run_id;
        wait.view = (Polos__V1__RunView)view;
        Polos__V1__RunServiceWaitResponse *waited =
            world_ask(&world, RUNS "Wait", &wait.base, CODE_OK);
        check_view(waited->run, run_id, is_basic);
        free_message(waited);
    }
    end(&world, host);
}

/* ---- Wait ---- */

static struct simulated_call *wait_for(struct world *world, char *run_id, int64_t timeout_ms)
{
    Polos__V1__RunServiceWaitRequest wait = POLOS__V1__RUN_SERVICE_WAIT_REQUEST__INIT;
    wait.run_id = run_id;
    wait.timeout = timeout_ms == 0 ? NULL : world_length(timeout_ms);
    struct simulated_call *call = simulated_call_start(&world->api, RUNS "Wait", &wait.base);
    world_rounds(world);
    return call;
}

static void expect_waited(struct simulated_call *call, Polos__V1__RunStatus expected)
{
    assert_int_equal(call->finishes, 1);
    assert_int_equal(call->error.code, CODE_OK);
    Polos__V1__RunServiceWaitResponse *response = simulated_call_sent(call, 0);
    assert_int_equal(response->run->status, expected);
    free_message(response);
    simulated_call_release(call);
}

/* Each waits for itself: one that goes away takes no other's wait with it. */
static void who_waits_is_answered_at_the_end_or_in_time(void **state)
{
    (void)state;
    struct world world;
    struct simulated_call *host = begin(&world);
    char run_id[UUID_TEXT_BYTES];
    world_start_workflow(&world, run_id);
    struct simulated_call *first = wait_for(&world, run_id, 0);
    struct simulated_call *gone = wait_for(&world, run_id, 0);
    struct simulated_call *last = wait_for(&world, run_id, 600000);
    struct simulated_call *hasty = wait_for(&world, run_id, 100);
    assert_int_equal(first->finishes + gone->finishes + last->finishes + hasty->finishes, 0);
    simulated_call_closed(gone);
    world_rounds(&world);
    assert_int_equal(gone->error.code, CODE_CANCELLED);
    simulated_call_release(gone);
    world.now_ms += 100;
    world_rounds(&world);
    assert_int_equal(first->finishes + last->finishes, 0);
    expect_waited(hasty, POLOS__V1__RUN_STATUS__RUN_STATUS_RUNNING); /* As it is by now. */
    finish_task(&world, host, 1, "7");
    expect_waited(first, POLOS__V1__RUN_STATUS__RUN_STATUS_COMPLETED);
    expect_waited(last, POLOS__V1__RUN_STATUS__RUN_STATUS_COMPLETED);
    end(&world, host);
}

static void a_wait_without_a_length_lasts_a_minute(void **state)
{
    (void)state;
    struct world world;
    struct simulated_call *host = begin(&world);
    char run_id[UUID_TEXT_BYTES];
    world_start_workflow(&world, run_id);
    uint64_t begun_ms = world.now_ms;
    struct simulated_call *call = wait_for(&world, run_id, 0);
    world.now_ms = begun_ms + 59900;
    world_rounds(&world);
    assert_int_equal(call->finishes, 0);
    world.now_ms = begun_ms + 60100;
    world_rounds(&world);
    expect_waited(call, POLOS__V1__RUN_STATUS__RUN_STATUS_RUNNING);
    end(&world, host);
}

static void a_bad_wait_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *run_id;
        int64_t timeout_ms; /* 0: none; -1: a length of nothing. */
        enum code code;
        const char *reason;
        const char *field;
    } rows[] = {
        {"x", 0, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "run_id"},
        {NO_RUN, -1, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "timeout"},
        {NO_RUN, 600001, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "timeout"},
        {NO_RUN, 600000, CODE_NOT_FOUND, "RUN_NOT_FOUND", "run_id"},
        {NO_RUN, 1, CODE_NOT_FOUND, "RUN_NOT_FOUND", "run_id"},
    };
    struct world world;
    world_init(&world, 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Polos__V1__RunServiceWaitRequest wait = POLOS__V1__RUN_SERVICE_WAIT_REQUEST__INIT;
        wait.run_id = (char *)rows[i].run_id;
        int64_t ms = rows[i].timeout_ms;
        wait.timeout = ms == 0 ? NULL : world_length(ms < 0 ? 0 : ms);
        world_refused(&world, RUNS "Wait", &wait.base, rows[i].code, rows[i].reason, rows[i].field);
    }
    world_fini(&world);
}

/* ---- Send ---- */

static void start_agent(struct world *world, char ret[UUID_TEXT_BYTES])
{
    Polos__V1__AgentDefinition agent = POLOS__V1__AGENT_DEFINITION__INIT;
    agent.id = (char *)"helper";
    (void)world_model(&agent, "m");
    Polos__V1__AgentServiceRegisterRequest request =
        POLOS__V1__AGENT_SERVICE_REGISTER_REQUEST__INIT;
    request.agent = &agent;
    free_message(world_ask(world, "/polos.v1.AgentService/Register", &request.base, CODE_OK));
    Polos__V1__AgentServiceStartRequest start = POLOS__V1__AGENT_SERVICE_START_REQUEST__INIT;
    start.agent_id = (char *)"helper";
    start.input = (char *)"hello";
    Polos__V1__AgentServiceStartResponse *started =
        world_ask(world, "/polos.v1.AgentService/Start", &start.base, CODE_OK);
    memcpy(ret, started->run_id, UUID_TEXT_BYTES);
    free_message(started);
}

static void expect_sent(struct world *world, const Polos__V1__RunServiceSendRequest *request,
                        const char *input_id, bool existed)
{
    Polos__V1__RunServiceSendResponse *response =
        world_ask(world, RUNS "Send", &request->base, CODE_OK);
    assert_string_equal(response->input_id, input_id);
    assert_int_equal(response->existed, existed);
    free_message(response);
}

static void an_agent_is_told_each_thing_once(void **state)
{
    (void)state;
    struct world world;
    struct simulated_call *host = begin(&world);
    char run_id[UUID_TEXT_BYTES];
    start_agent(&world, run_id);
    Polos__V1__RunServiceSendRequest request = POLOS__V1__RUN_SERVICE_SEND_REQUEST__INIT;
    request.run_id = run_id;
    request.input = (char *)"and be quick";
    request.idempotency_key = (char *)"k";
    expect_sent(&world, &request, "1", false);
    expect_sent(&world, &request, "1", true);
    request.idempotency_key = (char *)"";
    request.mode = POLOS__V1__RUN_SERVICE_SEND_REQUEST__MODE__MODE_NEXT_TURN;
    expect_sent(&world, &request, "2", false);
    expect_sent(&world, &request, "3", false);
    end(&world, host);
}

static void a_bad_send_names_the_field(void **state)
{
    (void)state;
    static char label[202];
    memset(label, 'y', sizeof(label) - 1);
    struct world world;
    struct simulated_call *host = begin(&world);
    char run_id[UUID_TEXT_BYTES];
    char flow_id[UUID_TEXT_BYTES];
    start_agent(&world, run_id);
    world_start_workflow(&world, flow_id);
    const struct {
        char *run_id;
        const char *input;
        const char *key;
        int mode;
        enum code code;
        const char *reason;
        const char *field;
    } rows[] = {
        {(char *)"x", "a", "", 0, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "run_id"},
        {(char *)NO_RUN, "a", "", 0, CODE_NOT_FOUND, "RUN_NOT_FOUND", "run_id"},
        {run_id, "", "", 0, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "input"},
        {run_id, "a", label, 0, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "idempotency_key"},
        {run_id, "a", "", 2, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "mode"},
        {run_id, "a", "", -1, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "mode"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Polos__V1__RunServiceSendRequest request = POLOS__V1__RUN_SERVICE_SEND_REQUEST__INIT;
        request.run_id = rows[i].run_id;
        request.input = (char *)rows[i].input;
        request.idempotency_key = (char *)rows[i].key;
        request.mode = (Polos__V1__RunServiceSendRequest__Mode)rows[i].mode;
        world_refused(&world, RUNS "Send", &request.base, rows[i].code, rows[i].reason,
                      rows[i].field);
    }
    end(&world, host);
}

/* ---- Retry, Fork, Delete ---- */

static void a_retry_with_the_same_key_is_one(void **state)
{
    (void)state;
    struct world world;
    struct simulated_call *host = begin(&world);
    char run_id[UUID_TEXT_BYTES];
    world_start_workflow(&world, run_id);
    Polos__V1__RunServiceRetryRequest retry = POLOS__V1__RUN_SERVICE_RETRY_REQUEST__INIT;
    retry.run_id = run_id;
    world_refused(&world, RUNS "Retry", &retry.base, CODE_FAILED_PRECONDITION, "RUN_NOT_FAILED",
                  "run_id");
    fail_task(&world, host, 1);
    retry.idempotency_key = (char *)"k";
    char copies[2][UUID_TEXT_BYTES];
    for (int again = 0; again < 2; again++) {
        Polos__V1__RunServiceRetryResponse *response =
            world_ask(&world, RUNS "Retry", &retry.base, CODE_OK);
        assert_int_equal(response->existed, again);
        memcpy(copies[again], response->run->id, UUID_TEXT_BYTES);
        free_message(response);
    }
    assert_string_equal(copies[0], copies[1]);
    assert_string_not_equal(copies[0], run_id);
    /* The key of a fork, or of another run, stands for something else. */
    Polos__V1__RunServiceForkRequest fork = POLOS__V1__RUN_SERVICE_FORK_REQUEST__INIT;
    fork.run_id = run_id;
    fork.after_seq = 1;
    fork.idempotency_key = (char *)"k";
    world_refused(&world, RUNS "Fork", &fork.base, CODE_ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED",
                  "idempotency_key");
    retry.run_id = copies[0];
    fail_task(&world, host, 2);
    world_refused(&world, RUNS "Retry", &retry.base, CODE_ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED",
                  "idempotency_key");
    fork.idempotency_key = (char *)"f";
    fork.after_seq = 2;
    for (int again = 0; again < 2; again++) {
        Polos__V1__RunServiceForkResponse *response =
            world_ask(&world, RUNS "Fork", &fork.base, CODE_OK);
        assert_int_equal(response->existed, again);
        free_message(response);
    }
    fork.after_seq = 1;
    world_refused(&world, RUNS "Fork", &fork.base, CODE_ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED",
                  "idempotency_key");
    end(&world, host);
}

static void a_bad_copy_names_the_field(void **state)
{
    (void)state;
    static char label[202];
    memset(label, 'y', sizeof(label) - 1);
    struct world world;
    world_init(&world, 0);
    Polos__V1__RunServiceForkRequest fork = POLOS__V1__RUN_SERVICE_FORK_REQUEST__INIT;
    fork.run_id = (char *)"x";
    world_refused(&world, RUNS "Fork", &fork.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "run_id");
    fork.run_id = (char *)NO_RUN;
    world_refused(&world, RUNS "Fork", &fork.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "after_seq");
    fork.after_seq = 1;
    world_refused(&world, RUNS "Fork", &fork.base, CODE_NOT_FOUND, "RUN_NOT_FOUND", "run_id");
    fork.idempotency_key = label;
    world_refused(&world, RUNS "Fork", &fork.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "idempotency_key");
    world_fini(&world);
}

static void a_run_that_is_deleted_is_gone(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    char run_id[UUID_TEXT_BYTES];
    world_start_workflow(&world, run_id);
    Polos__V1__RunServiceDeleteRequest request = POLOS__V1__RUN_SERVICE_DELETE_REQUEST__INIT;
    request.run_id = (char *)"x";
    world_refused(&world, RUNS "Delete", &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "run_id");
    request.run_id = run_id;
    world_refused(&world, RUNS "Delete", &request.base, CODE_FAILED_PRECONDITION, "RUN_NOT_ENDED",
                  "run_id");
    cancel(&world, run_id);
    free_message(world_ask(&world, RUNS "Delete", &request.base, CODE_OK));
    Polos__V1__RunServiceGetRequest get = POLOS__V1__RUN_SERVICE_GET_REQUEST__INIT;
    get.run_id = run_id;
    world_refused(&world, RUNS "Get", &get.base, CODE_NOT_FOUND, "RUN_NOT_FOUND", "run_id");
    world_fini(&world);
}

static void a_bad_filter_names_the_field(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Polos__V1__RunServiceListRequest list = POLOS__V1__RUN_SERVICE_LIST_REQUEST__INIT;
    Polos__V1__RunFilter filter = POLOS__V1__RUN_FILTER__INIT;
    Polos__V1__RunStatus statuses[] = {POLOS__V1__RUN_STATUS__RUN_STATUS_FAILED,
                                       (Polos__V1__RunStatus)77};
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    list.filter = &filter;
    time.nanos = -1;
    filter.created_after = &time;
    world_refused(&world, RUNS "List", &list.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "filter.created_after");
    filter.created_after = NULL;
    filter.created_before = &time;
    world_refused(&world, RUNS "List", &list.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "filter.created_before");
    filter.created_before = NULL;
    filter.statuses = statuses;
    filter.n_statuses = COUNT_OF(statuses);
    world_refused(&world, RUNS "List", &list.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "filter.statuses[1]");
    statuses[1] = POLOS__V1__RUN_STATUS__RUN_STATUS_UNSPECIFIED;
    world_refused(&world, RUNS "List", &list.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "filter.statuses[1]");
    filter.n_statuses = 0;
    filter.parent_run_id = (char *)"x";
    world_refused(&world, RUNS "List", &list.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "filter.parent_run_id");
    world_fini(&world);
}

/* ---- A tree ---- */

/* Its positions are told as one stream, from any of them on. */
static void a_tree_is_watched_from_any_of_its_positions(void **state)
{
    (void)state;
    struct world world;
    struct simulated_call *host = begin(&world);
    char run_id[UUID_TEXT_BYTES];
    world_start_workflow(&world, run_id);
    finish_task(&world, host, 1, "7");
    Polos__V1__RunServiceWatchRequest request = POLOS__V1__RUN_SERVICE_WATCH_REQUEST__INIT;
    request.run_id = run_id;
    request.tree = true;
    char position[64] = "";
    size_t all = 0;
    for (size_t skipped = 0; skipped == 0 || skipped + 1 < all; skipped++) {
        request.position = position;
        struct simulated_call *call = simulated_call_start(&world.api, RUNS "Watch", &request.base);
        world_rounds(&world);
        assert_int_equal(call->finishes, 1);
        assert_int_equal(call->error.code, CODE_OK);
        all = skipped == 0 ? call->sent_count : all;
        assert_int_equal(call->sent_count, all - skipped);
        Polos__V1__RunServiceWatchResponse *first = simulated_call_sent(call, 0);
        Polos__V1__RunServiceWatchResponse *last = simulated_call_sent(call, call->sent_count - 1);
        assert_string_not_equal(first->position, "");
        assert_string_not_equal(first->position, position);
        assert_non_null(last->ended);
        snprintf(position, sizeof(position), "%s", first->position);
        free_message(first);
        free_message(last);
        simulated_call_release(call);
    }
    assert_in_range(all, 3, 20);
    request.position = (char *)"x";
    world_refused(&world, RUNS "Watch", &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "position");
    end(&world, host);
}

/* ---- What a host says of a task on its way ---- */

static void say_delta(struct simulated_call *host, char *task_id, uint32_t epoch, const char *text)
{
    Polos__V1__HostDelta delta = POLOS__V1__HOST_DELTA__INIT;
    Polos__V1__HostDelta *deltas[] = {&delta};
    Polos__V1__ToolServiceConnectRequest envelope = POLOS__V1__TOOL_SERVICE_CONNECT_REQUEST__INIT;
    delta.task_id = task_id;
    delta.epoch = epoch;
    delta.text = (char *)text;
    envelope.deltas = deltas;
    envelope.n_deltas = 1;
    simulated_call_message(host, &envelope.base);
}

/* Those who asked are shown it; it is no fact, so that nobody else is. */
static void what_is_said_on_the_way_is_shown_to_who_wants_it(void **state)
{
    (void)state;
    struct world world;
    struct simulated_call *host = begin(&world);
    char run_id[UUID_TEXT_BYTES];
    world_start_workflow(&world, run_id);
    struct simulated_call *watchers[2];
    size_t before[2];
    for (int wants = 0; wants < 2; wants++) {
        Polos__V1__RunServiceWatchRequest request = POLOS__V1__RUN_SERVICE_WATCH_REQUEST__INIT;
        request.run_id = run_id;
        request.deltas = wants;
        watchers[wants] = simulated_call_start(&world.api, RUNS "Watch", &request.base);
        world_rounds(&world);
        before[wants] = watchers[wants]->sent_count;
    }
    Polos__V1__ServerMessage *given = last_of(host, POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK);
    say_delta(host, given->task->task_id, given->task->epoch, "half way");
    world_rounds(&world);
    assert_int_equal(host->finishes, 0);
    assert_int_equal(watchers[0]->sent_count, before[0]);
    assert_int_equal(watchers[1]->sent_count, before[1] + 1);
    Polos__V1__RunServiceWatchResponse *shown = simulated_call_sent(watchers[1], before[1]);
    assert_non_null(shown->delta);
    assert_string_equal(shown->delta->text, "half way");
    free_message(shown);
    for (int wants = 0; wants < 2; wants++) {
        simulated_call_closed(watchers[wants]);
        world_rounds(&world);
        simulated_call_release(watchers[wants]);
    }
    say_delta(host, (char *)"no task", 1, "x");
    world_rounds(&world);
    assert_int_equal(host->finishes, 1);
    assert_int_equal(host->error.code, CODE_INVALID_ARGUMENT);
    assert_true(str_is(host->error.field, "delta.task_id"));
    simulated_call_release(host);
    free_message(given);
    world_fini(&world);
}

/* What it cannot be told now waits, and goes out when there is room again. */
static void a_host_that_reads_slowly_is_given_no_more(void **state)
{
    (void)state;
    struct world world;
    struct simulated_call *host = begin(&world);
    char run_id[UUID_TEXT_BYTES];
    host->stalls = true;
    world_start_workflow(&world, run_id);
    assert_null(last_of(host, POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK));
    host->stalls = false;
    host->api.method->writable(&host->api);
    world_rounds(&world);
    finish_task(&world, host, 1, "7");
    simulated_call_closed(host);
    world_rounds(&world);
    host->api.method->writable(&host->api); /* Transports may say so late. */
    world_rounds(&world);
    simulated_call_release(host);
    world_fini(&world);
}

/* A host is one stream: who comes by its id takes over. */
static void a_host_that_comes_again_ends_its_older_stream(void **state)
{
    (void)state;
    struct world world;
    struct simulated_call *old = begin(&world);
    Polos__V1__ToolServiceConnectResponse *first = simulated_call_sent(old, 0);
    Polos__V1__Hello hello = POLOS__V1__HELLO__INIT;
    hello.protocol = 1;
    hello.host_id = (char *)"host-1";
    hello.slots = 1;
    hello.host_token = first->welcome->host_token;
    Polos__V1__Offers offers = POLOS__V1__OFFERS__INIT;
    hello.offers = &offers;
    struct simulated_call *host =
        simulated_call_start(&world.api, "/polos.v1.ToolService/Connect", NULL);
    say_hello(host, &hello);
    world_rounds(&world);
    assert_int_equal(host->finishes, 0);
    assert_int_equal(old->finishes, 1);
    simulated_call_release(old);
    free_message(first);
    end(&world, host);
}

/* ---- Starts ---- */

static void a_key_stands_for_what_was_started(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Polos__V1__StartOptions options = POLOS__V1__START_OPTIONS__INIT;
    options.idempotency_key = (char *)"k";
    Polos__V1__WorkflowServiceStartRequest flow = POLOS__V1__WORKFLOW_SERVICE_START_REQUEST__INIT;
    flow.workflow_id = (char *)"flow";
    flow.options = &options;
    free_message(world_ask(&world, "/polos.v1.WorkflowService/Start", &flow.base, CODE_OK));
    flow.workflow_id = (char *)"other";
    world_refused(&world, "/polos.v1.WorkflowService/Start", &flow.base, CODE_ALREADY_EXISTS,
                  "IDEMPOTENCY_KEY_REUSED", "options.idempotency_key");
    flow.workflow_id = (char *)"flow";
    flow.input_json = (char *)"1";
    world_refused(&world, "/polos.v1.WorkflowService/Start", &flow.base, CODE_ALREADY_EXISTS,
                  "IDEMPOTENCY_KEY_REUSED", "options.idempotency_key");
    char run_id[UUID_TEXT_BYTES];
    start_agent(&world, run_id);
    Polos__V1__AgentServiceStartRequest agent = POLOS__V1__AGENT_SERVICE_START_REQUEST__INIT;
    agent.agent_id = (char *)"helper";
    agent.input = (char *)"hello";
    agent.options = &options;
    options.idempotency_key = (char *)"a";
    options.provider_options_json = (char *)"{\"n\":1}";
    free_message(world_ask(&world, "/polos.v1.AgentService/Start", &agent.base, CODE_OK));
    options.provider_options_json = (char *)"{\"n\":2}";
    world_refused(&world, "/polos.v1.AgentService/Start", &agent.base, CODE_ALREADY_EXISTS,
                  "IDEMPOTENCY_KEY_REUSED", "options.idempotency_key");
    options.provider_options_json = (char *)"";
    options.idempotency_key = (char *)"k";
    Polos__V1__ToolServiceStartRequest tool = POLOS__V1__TOOL_SERVICE_START_REQUEST__INIT;
    tool.tool_id = (char *)"flow";
    tool.options = &options;
    world_refused(&world, "/polos.v1.ToolService/Start", &tool.base, CODE_ALREADY_EXISTS,
                  "IDEMPOTENCY_KEY_REUSED", "options.idempotency_key");
    world_fini(&world);
}

/* ---- Tools ---- */

static void a_tool_is_started_and_waited_for(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    struct simulated_call *host =
        simulated_call_start(&world.api, "/polos.v1.ToolService/Connect", NULL);
    Polos__V1__ToolDefinition tool = POLOS__V1__TOOL_DEFINITION__INIT;
    tool.id = (char *)"add";
    Polos__V1__ToolDefinition *tools[] = {&tool};
    Polos__V1__Offers offers = POLOS__V1__OFFERS__INIT;
    offers.tools = tools;
    offers.n_tools = 1;
    Polos__V1__Hello hello = POLOS__V1__HELLO__INIT;
    hello.protocol = 1;
    hello.host_id = (char *)"host-1";
    hello.slots = 1;
    hello.offers = &offers;
    say_hello(host, &hello);
    world_rounds(&world);
    Polos__V1__ToolServiceStartRequest start = POLOS__V1__TOOL_SERVICE_START_REQUEST__INIT;
    start.tool_id = (char *)"add";
    start.input_json = (char *)"{\"a\":1}";
    Polos__V1__ToolServiceStartResponse *started =
        world_ask(&world, "/polos.v1.ToolService/Start", &start.base, CODE_OK);
    assert_int_equal(started->outcome, POLOS__V1__START_OUTCOME__START_OUTCOME_STARTED);
    finish_task(&world, host, 1, "2");
    Polos__V1__RunServiceGetRequest get = POLOS__V1__RUN_SERVICE_GET_REQUEST__INIT;
    get.run_id = started->run_id;
    Polos__V1__RunServiceGetResponse *got = world_ask(&world, RUNS "Get", &get.base, CODE_OK);
    assert_int_equal(got->run->kind, POLOS__V1__RUN_KIND__RUN_KIND_TOOL);
    assert_string_equal(got->run->input_json, "{\"a\":1}");
    free_message(got);
    free_message(started);
    Polos__V1__ToolServiceRunRequest run = POLOS__V1__TOOL_SERVICE_RUN_REQUEST__INIT;
    run.tool_id = (char *)"add";
    struct simulated_call *call =
        simulated_call_start(&world.api, "/polos.v1.ToolService/Run", &run.base);
    world_rounds(&world);
    assert_int_equal(call->finishes, 0);
    finish_task(&world, host, 2, "3");
    assert_int_equal(call->finishes, 1);
    Polos__V1__ToolServiceRunResponse *ended = simulated_call_sent(call, 0);
    assert_string_equal(ended->run->result_json, "3");
    assert_string_equal(ended->run->name, "add");
    free_message(ended);
    simulated_call_release(call);
    start.tool_id = (char *)"a b";
    world_refused(&world, "/polos.v1.ToolService/Start", &start.base, CODE_INVALID_ARGUMENT,
                  "INVALID_FIELD", "tool_id");
    end(&world, host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_shown_in_full_or_without_what_is_large),
        cmocka_unit_test(who_waits_is_answered_at_the_end_or_in_time),
        cmocka_unit_test(a_wait_without_a_length_lasts_a_minute),
        cmocka_unit_test(a_bad_wait_is_refused),
        cmocka_unit_test(an_agent_is_told_each_thing_once),
        cmocka_unit_test(a_bad_send_names_the_field),
        cmocka_unit_test(a_retry_with_the_same_key_is_one),
        cmocka_unit_test(a_bad_copy_names_the_field),
        cmocka_unit_test(a_run_that_is_deleted_is_gone),
        cmocka_unit_test(a_bad_filter_names_the_field),
        cmocka_unit_test(a_tree_is_watched_from_any_of_its_positions),
        cmocka_unit_test(what_is_said_on_the_way_is_shown_to_who_wants_it),
        cmocka_unit_test(a_host_that_reads_slowly_is_given_no_more),
        cmocka_unit_test(a_host_that_comes_again_ends_its_older_stream),
        cmocka_unit_test(a_key_stands_for_what_was_started),
        cmocka_unit_test(a_tool_is_started_and_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
