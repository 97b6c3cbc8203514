/*
 * Goal:   every call is answered exactly once, with the right answer or an error that names the
 *         field, whatever happens to its caller and in whatever order.
 * Method: the handlers over the real partition and the memory store; the transport, the clock and
 *         the model are simulated, and rounds are begun by hand, so every order can be had.
 */
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#include "polos/v1/agents.pb-c.h"
#include "polos/v1/host.pb-c.h"
#include "polos/v1/queues.pb-c.h"
#include "polos/v1/runs.pb-c.h"
#include "polos/v1/tools.pb-c.h"
#include "polos/v1/workflows.pb-c.h"
#include "service/partition/partition.h"
#include "tests/unit/api/world.h"

static void register_agent(struct world *world)
{
    Polos__V1__AgentDefinition agent = POLOS__V1__AGENT_DEFINITION__INIT;
    agent.id = (char *)"helper";
    (void)world_model(&agent, "m");
    Polos__V1__AgentServiceRegisterRequest request =
        POLOS__V1__AGENT_SERVICE_REGISTER_REQUEST__INIT;
    request.agent = &agent;
    Polos__V1__AgentServiceRegisterResponse *response =
        world_ask(world, "/polos.v1.AgentService/Register", &request.base, CODE_OK);
    assert_int_equal(strlen(response->definition_hash), 32);
    free_message(response);
}

static Polos__V1__AgentServiceRunRequest run_request(void)
{
    Polos__V1__AgentServiceRunRequest request = POLOS__V1__AGENT_SERVICE_RUN_REQUEST__INIT;
    request.agent_id = (char *)"helper";
    request.input = (char *)"hello";
    return request;
}

static void cancel(struct world *world, char *run_id)
{
    Polos__V1__RunServiceCancelRequest request = POLOS__V1__RUN_SERVICE_CANCEL_REQUEST__INIT;
    request.run_id = run_id;
    Polos__V1__RunServiceCancelResponse *response =
        world_ask(world, "/polos.v1.RunService/Cancel", &request.base, CODE_OK);
    assert_int_equal(response->run->status, POLOS__V1__RUN_STATUS__RUN_STATUS_CANCELLED);
    free_message(response);
}

static void a_run_is_answered_when_it_ends(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    register_agent(&world);
    Polos__V1__AgentServiceRunRequest request = run_request();
    struct simulated_call *call =
        simulated_call_start(&world.api, "/polos.v1.AgentService/Run", &request.base);
    world_rounds(&world);
    assert_int_equal(call->finishes, 0);
    assert_int_equal(world.model_calls, 1);
    world_model_says(&world, "good day");
    world_rounds(&world);
    assert_int_equal(call->finishes, 1);
    assert_int_equal(call->error.code, CODE_OK);
    Polos__V1__AgentServiceRunResponse *response = simulated_call_sent(call, 0);
    assert_string_equal(response->run->result_json, "\"good day\"");
    assert_string_equal(response->run->input_json, "\"hello\"");
    assert_int_equal(response->run->usage->total_tokens, 7);
    free_message(response);
    simulated_call_closed(call); /* Transports may say so late. */
    world_rounds(&world);
    simulated_call_release(call);
    world_fini(&world);
}

/* Start answers at once. */
static void a_workflow_that_is_run_is_waited_for(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    struct simulated_call *host = world_connect_host(&world);
    world_rounds(&world);
    Polos__V1__WorkflowServiceRunRequest request = POLOS__V1__WORKFLOW_SERVICE_RUN_REQUEST__INIT;
    request.workflow_id = (char *)"flow";
    struct simulated_call *call =
        simulated_call_start(&world.api, "/polos.v1.WorkflowService/Run", &request.base);
    world_rounds(&world);
    assert_int_equal(call->finishes, 0);
    Polos__V1__ServerMessage *given = last_of(host, POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK);
    say_task_done(host, given->task, 1, "7");
    world_rounds(&world);
    assert_int_equal(call->finishes, 1);
    Polos__V1__WorkflowServiceRunResponse *response = simulated_call_sent(call, 0);
    assert_string_equal(response->run->result_json, "7");
    free_message(response);
    free_message(given);
    simulated_call_release(call);
    simulated_call_message(host, NULL);
    world_rounds(&world);
    simulated_call_release(host);
    world_fini(&world);
}

/* The caller goes away at each point of a Run call; the run goes on. */
static void a_caller_that_goes_away_stops_nothing(void **state)
{
    (void)state;
    for (int when = 0; when < 4; when++) {
        struct world world;
        world_init(&world, 0);
        register_agent(&world);
        Polos__V1__AgentServiceRunRequest request = run_request();
        struct simulated_call *call =
            simulated_call_start(&world.api, "/polos.v1.AgentService/Run", &request.base);
        for (int round = 0; round < when; round++) {
            partition_round(world.partition);
        }
        simulated_call_closed(call);
        world_rounds(&world);
        assert_int_equal(call->finishes, 1);
        assert_int_equal(call->error.code, CODE_CANCELLED);
        simulated_call_release(call);
        world_model_says(&world, "to nobody");
        world_rounds(&world);
        Polos__V1__RunServiceListRequest list = POLOS__V1__RUN_SERVICE_LIST_REQUEST__INIT;
        Polos__V1__RunStatus completed = POLOS__V1__RUN_STATUS__RUN_STATUS_COMPLETED;
        Polos__V1__RunFilter filter = POLOS__V1__RUN_FILTER__INIT;
        filter.n_statuses = 1;
        filter.statuses = &completed;
        list.filter = &filter;
        Polos__V1__RunServiceListResponse *runs =
            world_ask(&world, "/polos.v1.RunService/List", &list.base, CODE_OK);
        assert_int_equal(runs->n_runs, 1);
        assert_string_equal(runs->runs[0]->name, "helper");
        free_message(runs);
        world_fini(&world);
    }
}

static void the_same_key_finds_the_same_run(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    register_agent(&world);
    Polos__V1__StartOptions options = POLOS__V1__START_OPTIONS__INIT;
    options.idempotency_key = (char *)"k";
    Polos__V1__AgentServiceStartRequest request = POLOS__V1__AGENT_SERVICE_START_REQUEST__INIT;
    request.agent_id = (char *)"helper";
    request.input = (char *)"hello";
    request.options = &options;
    const char *path = "/polos.v1.AgentService/Start";
    Polos__V1__AgentServiceStartResponse *first = world_ask(&world, path, &request.base, CODE_OK);
    assert_int_equal(first->outcome, POLOS__V1__START_OUTCOME__START_OUTCOME_STARTED);
    Polos__V1__AgentServiceStartResponse *second = world_ask(&world, path, &request.base, CODE_OK);
    assert_int_equal(second->outcome, POLOS__V1__START_OUTCOME__START_OUTCOME_FOUND);
    assert_string_equal(first->run_id, second->run_id);
    assert_int_equal(world.model_calls, 1);
    /* Run with the key waits for the run that Start began. */
    Polos__V1__AgentServiceRunRequest run = run_request();
    run.options = &options;
    struct simulated_call *call =
        simulated_call_start(&world.api, "/polos.v1.AgentService/Run", &run.base);
    world_rounds(&world);
    world_model_says(&world, "once");
    world_rounds(&world);
    assert_int_equal(call->finishes, 1);
    Polos__V1__AgentServiceRunResponse *ended = simulated_call_sent(call, 0);
    assert_string_equal(ended->run->id, first->run_id);
    free_message(ended);
    simulated_call_release(call);
    request.input = (char *)"something else";
    world_refused(&world, path, &request.base, CODE_ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED",
                  "options.idempotency_key");
    options.session_id = (char *)"other";
    request.input = (char *)"hello";
    world_refused(&world, path, &request.base, CODE_ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED",
                  "options.idempotency_key");
    free_message(first);
    free_message(second);
    world_fini(&world);
}

static void a_bad_start_names_the_field(void **state)
{
    (void)state;
    static char long_text[1100];
    memset(long_text, 'x', sizeof(long_text) - 1);
    static char label[202];
    memset(label, 'y', sizeof(label) - 1);
    static const struct {
        const char *agent_id;
        const char *input;
        const char *options_json;
        const char *session_id;
        int64_t timeout_s;
        enum code code;
        const char *reason;
        const char *field;
    } rows[] = {
        {"", "x", "", "", 0, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "agent_id"},
        {"a/b", "x", "", "", 0, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "agent_id"},
        {"nobody", "x", "", "", 0, CODE_NOT_FOUND, "AGENT_NOT_FOUND", "agent_id"},
        {"helper", "", "", "", 0, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "input"},
        {"helper", long_text, "", "", 0, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "input"},
        {"helper", "x", "[]", "", 0, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
         "options.provider_options_json"},
        {"helper", "x", "", label, 0, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "options.session_id"},
        {"helper", "x", "", "", -1, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "options.run_timeout"},
        {"helper", "x", "", "", 31622401, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
         "options.run_timeout"},
    };
    struct world world;
    world_init(&world, 0);
    register_agent(&world);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Polos__V1__StartOptions options = POLOS__V1__START_OPTIONS__INIT;
        options.session_id = (char *)rows[i].session_id;
        Google__Protobuf__Duration timeout = {
            PROTOBUF_C_MESSAGE_INIT(&google__protobuf__duration__descriptor), rows[i].timeout_s, 0};
        options.run_timeout = &timeout;
        options.provider_options_json = (char *)rows[i].options_json;
        Polos__V1__AgentServiceStartRequest request = POLOS__V1__AGENT_SERVICE_START_REQUEST__INIT;
        request.agent_id = (char *)rows[i].agent_id;
        request.input = (char *)rows[i].input;
        request.options = &options;
        world_refused(&world, "/polos.v1.AgentService/Start", &request.base, rows[i].code,
                      rows[i].reason, rows[i].field);
    }
    assert_int_equal(world.model_calls, 0);
    world_fini(&world);
}

static void a_bad_definition_names_the_field(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Polos__V1__ToolDefinition good = POLOS__V1__TOOL_DEFINITION__INIT;
    good.id = (char *)"fine";
    Polos__V1__ToolDefinition bad = POLOS__V1__TOOL_DEFINITION__INIT;
    bad.id = (char *)"not fine";
    Polos__V1__ToolDefinition *tools[] = {&good, &bad};
    Polos__V1__AgentDefinition agent = POLOS__V1__AGENT_DEFINITION__INIT;
    agent.id = (char *)"helper";
    (void)world_model(&agent, "m");
    agent.tools = tools;
    agent.n_tools = 2;
    Polos__V1__AgentServiceRegisterRequest request =
        POLOS__V1__AGENT_SERVICE_REGISTER_REQUEST__INIT;
    const char *path = "/polos.v1.AgentService/Register";
    world_refused(&world, path, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "agent");
    request.agent = &agent;
    world_refused(&world, path, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "agent.tools[1].id");
    bad.id = (char *)"better";
    bad.timeout = world_length(-1);
    world_refused(&world, path, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "agent.tools[1].timeout");
    bad.timeout = NULL;
    agent.max_turns = 1001;
    world_refused(&world, path, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "agent.max_turns");
    agent.max_turns = 0;
    (void)world_model(&agent, "");
    world_refused(&world, path, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "agent.models[0].model");
    world_fini(&world);
}

static void a_full_inbox_says_when_to_come_back(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    Polos__V1__QueueServiceListRequest list = POLOS__V1__QUEUE_SERVICE_LIST_REQUEST__INIT;
    const char *path = "/polos.v1.QueueService/List";
    struct simulated_call *first = simulated_call_start(&world.api, path, &list.base);
    struct simulated_call *second = simulated_call_start(&world.api, path, &list.base);
    assert_int_equal(second->finishes, 1);
    assert_int_equal(second->error.code, CODE_RESOURCE_EXHAUSTED);
    assert_int_equal(second->error.reason, REASON_SERVER_BUSY);
    assert_int_equal(second->error.retry_after_ms, 100);
    simulated_call_release(second);
    world_rounds(&world);
    assert_int_equal(first->error.code, CODE_OK);
    simulated_call_release(first);
    world_fini(&world);
}

/* What waits has a limit of bytes long before there are as many as may wait. */
static void an_inbox_full_of_bytes_says_so(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    struct simulated_call *calls[WORLD_INBOX_BYTES_MAX / 1024];
    Polos__V1__WorkflowServiceStartRequest request =
        POLOS__V1__WORKFLOW_SERVICE_START_REQUEST__INIT;
    const char *path = "/polos.v1.WorkflowService/Start";
    request.workflow_id = (char *)"flow";
    size_t refused = 0;
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        calls[i] = simulated_call_start(&world.api, path, &request.base);
        refused += calls[i]->finishes;
    }
    assert_in_range(refused, 1, COUNT_OF(calls) / 2);
    world_rounds(&world);
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        bool is_refused = i >= COUNT_OF(calls) - refused;
        assert_int_equal(calls[i]->finishes, 1);
        assert_int_equal(calls[i]->error.code, is_refused ? CODE_RESOURCE_EXHAUSTED : CODE_OK);
        assert_int_equal(calls[i]->error.reason, is_refused ? REASON_SERVER_BUSY : REASON_NONE);
        assert_int_equal(calls[i]->error.retry_after_ms, is_refused ? 100 : 0);
        simulated_call_release(calls[i]);
    }
    char run_id[UUID_TEXT_BYTES];
    world_start_workflow(&world, run_id); /* There is room again. */
    world_fini(&world);
}

/* It is read from no more, and none of what it has said is lost. */
static void a_host_is_held_back_by_a_full_inbox(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    struct simulated_call *host = world_connect_host(&world);
    world_rounds(&world);
    for (int again = 0; again < 2; again++) {
        size_t said = 0;
        while (host->holds == 0 && said < WORLD_INBOX_BYTES_MAX / 256) {
            say_message(host, 0, NULL); /* A heartbeat. */
            said++;
        }
        assert_in_range(said, WORLD_INBOX_BYTES_MAX / 4096, WORLD_INBOX_BYTES_MAX / 256 - 1);
        assert_int_equal(host->holds, 1);
        assert_int_equal(host->finishes, 0);
        world_rounds(&world);
        assert_int_equal(host->holds, 0);
        assert_int_equal(host->finishes, 0);
    }
    simulated_call_closed(host);
    world_rounds(&world);
    simulated_call_release(host);
    world_fini(&world);
}

static void full_reads_say_when_to_come_back(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Polos__V1__RunServiceListRequest list = POLOS__V1__RUN_SERVICE_LIST_REQUEST__INIT;
    const char *path = "/polos.v1.RunService/List";
    struct simulated_call *calls[WORLD_READS_MAX + 1];
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        calls[i] = simulated_call_start(&world.api, path, &list.base);
    }
    const struct simulated_call *last = calls[WORLD_READS_MAX];
    assert_int_equal(last->finishes, 1);
    assert_int_equal(last->error.reason, REASON_SERVER_BUSY);
    world_rounds(&world);
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        assert_int_equal(calls[i]->finishes, 1);
        assert_int_equal(calls[i]->error.code,
                         i < WORLD_READS_MAX ? CODE_OK : CODE_RESOURCE_EXHAUSTED);
        simulated_call_release(calls[i]);
    }
    world_fini(&world);
}

static void history_comes_in_pages(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    char run_id[UUID_TEXT_BYTES];
    world_start_workflow(&world, run_id);
    cancel(&world, run_id);
    Polos__V1__RunServiceHistoryRequest request = POLOS__V1__RUN_SERVICE_HISTORY_REQUEST__INIT;
    request.run_id = run_id;
    request.page_size = 1;
    static const Polos__V1__HistoryEvent__EventCase cases[] = {
        POLOS__V1__HISTORY_EVENT__EVENT_RUN_STARTED,
        POLOS__V1__HISTORY_EVENT__EVENT_TASK_REQUESTED,
        POLOS__V1__HISTORY_EVENT__EVENT_RUN_CANCELLED,
    };
    char token[16] = "";
    for (int64_t seq = 1; seq <= 3; seq++) {
        Polos__V1__RunServiceHistoryResponse *page =
            world_ask(&world, "/polos.v1.RunService/History", &request.base, CODE_OK);
        assert_int_equal(page->n_events, 1);
        assert_int_equal(page->events[0]->seq, seq);
        assert_int_equal(page->events[0]->event_case, cases[seq - 1]);
        assert_string_equal(page->next_page_token, seq == 1 ? "2" : seq == 2 ? "3" : "");
        snprintf(token, sizeof(token), "%s", page->next_page_token);
        request.page_token = token;
        free_message(page);
    }
    request.after_seq = 1;
    request.page_token = (char *)"";
    request.page_size = 0;
    Polos__V1__RunServiceHistoryResponse *rest =
        world_ask(&world, "/polos.v1.RunService/History", &request.base, CODE_OK);
    assert_int_equal(rest->n_events, 2);
    assert_int_equal(rest->events[0]->seq, 2);
    assert_string_equal(rest->next_page_token, "");
    free_message(rest);
    request.page_size = 1001;
    world_refused(&world, "/polos.v1.RunService/History", &request.base, CODE_INVALID_ARGUMENT,
                  "INVALID_FIELD", "page_size");
    world_fini(&world);
}

/* From the end backwards, down to any event, in pages of any size. */
static void history_comes_newest_first(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    char run_id[UUID_TEXT_BYTES];
    world_start_workflow(&world, run_id);
    cancel(&world, run_id);
    const char *path = "/polos.v1.RunService/History";
    for (uint32_t after = 0; after <= 3; after++) {
        for (int32_t size = 1; size <= 4; size++) {
            Polos__V1__RunServiceHistoryRequest request =
                POLOS__V1__RUN_SERVICE_HISTORY_REQUEST__INIT;
            char token[16] = "";
            int64_t expected = 3;
            request.run_id = run_id;
            request.newest_first = true;
            request.after_seq = after;
            request.page_size = size;
            request.page_token = token;
            do {
                Polos__V1__RunServiceHistoryResponse *page =
                    world_ask(&world, path, &request.base, CODE_OK);
                assert_true(page->n_events <= (size_t)size);
                for (size_t i = 0; i < page->n_events; i++) {
                    assert_int_equal(page->events[i]->seq, expected--);
                }
                snprintf(token, sizeof(token), "%s", page->next_page_token);
                free_message(page);
            } while (token[0] != '\0');
            assert_int_equal(expected, after);
        }
    }
    static const char *const bad[] = {"3", "-", "-0", "x", "-4294967296", "-1x"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        Polos__V1__RunServiceHistoryRequest request = POLOS__V1__RUN_SERVICE_HISTORY_REQUEST__INIT;
        request.run_id = run_id;
        request.newest_first = true;
        request.page_token = (char *)bad[i];
        world_refused(&world, path, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                      "page_token");
    }
    world_fini(&world);
}

static void lists_come_in_pages(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    char ids[3][UUID_TEXT_BYTES];
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        world_start_workflow(&world, ids[i]);
    }
    Polos__V1__RunServiceListRequest request = POLOS__V1__RUN_SERVICE_LIST_REQUEST__INIT;
    request.page_size = 2;
    Polos__V1__RunServiceListResponse *page =
        world_ask(&world, "/polos.v1.RunService/List", &request.base, CODE_OK);
    assert_int_equal(page->n_runs, 2);
    assert_string_equal(page->runs[0]->id, ids[2]); /* Newest first. */
    assert_string_equal(page->runs[1]->id, ids[1]);
    assert_int_equal(page->runs[0]->status, POLOS__V1__RUN_STATUS__RUN_STATUS_WAITING);
    request.page_token = page->next_page_token;
    Polos__V1__RunServiceListResponse *rest =
        world_ask(&world, "/polos.v1.RunService/List", &request.base, CODE_OK);
    assert_int_equal(rest->n_runs, 1);
    assert_string_equal(rest->runs[0]->id, ids[0]);
    assert_string_equal(rest->next_page_token, "");
    free_message(rest);
    free_message(page);
    world_fini(&world);
}

static struct simulated_call *watch(struct world *world, char *run_id, const char *position)
{
    Polos__V1__RunServiceWatchRequest request = POLOS__V1__RUN_SERVICE_WATCH_REQUEST__INIT;
    request.run_id = run_id;
    request.position = (char *)position;
    request.deltas = true;
    return simulated_call_start(&world->api, "/polos.v1.RunService/Watch", &request.base);
}

static void a_watch_ends_with_its_run(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    char run_id[UUID_TEXT_BYTES];
    world_start_workflow(&world, run_id);
    struct simulated_call *call = watch(&world, run_id, "");
    world_rounds(&world);
    assert_int_equal(call->finishes, 0);
    assert_int_equal(call->sent_count, 3); /* Two facts, caught up. */
    cancel(&world, run_id);
    world_rounds(&world);
    assert_int_equal(call->finishes, 1);
    assert_int_equal(call->error.code, CODE_OK);
    assert_int_equal(call->sent_count, 5); /* The cancellation, the end. */
    Polos__V1__RunServiceWatchResponse *end = simulated_call_sent(call, 4);
    assert_int_equal(end->event_case, POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__EVENT_ENDED);
    assert_string_equal(end->ended->id, run_id);
    free_message(end);
    simulated_call_closed(call);
    world_rounds(&world);
    simulated_call_release(call);
    /* Taken up behind the first fact: nothing twice, nothing missing. */
    call = watch(&world, run_id, "1.0.0.0");
    world_rounds(&world);
    assert_int_equal(call->finishes, 1);
    assert_int_equal(call->sent_count, 3);
    Polos__V1__RunServiceWatchResponse *first = simulated_call_sent(call, 0);
    assert_int_equal(first->fact->seq, 2);
    free_message(first);
    simulated_call_release(call);
    world_fini(&world);
}

/* However much it is: the partition's rounds show nothing of it. */
static void what_lies_behind_is_read_beside_the_partition(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    char run_id[UUID_TEXT_BYTES];
    world_start_workflow(&world, run_id);
    struct simulated_call *call = watch(&world, run_id, "");
    for (int i = 0; i < 10; i++) {
        partition_round(world.partition);
    }
    assert_int_equal(call->sent_count, 0);
    while (reads_step(world.reads, 0)) {
    }
    assert_int_equal(call->sent_count, 2);
    cancel(&world, run_id); /* Meanwhile it ends. */
    world_rounds(&world);
    assert_int_equal(call->sent_count, 4);
    assert_int_equal(call->finishes, 1);
    Polos__V1__RunServiceWatchResponse *end = simulated_call_sent(call, 3);
    assert_int_equal(end->event_case, POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__EVENT_ENDED);
    assert_int_equal(end->ended->status, POLOS__V1__RUN_STATUS__RUN_STATUS_CANCELLED);
    free_message(end);
    simulated_call_release(call);
    world_fini(&world);
}

static void a_watcher_that_goes_away_is_forgotten(void **state)
{
    (void)state;
    for (int when = 0; when < 6; when++) {
        struct world world;
        world_init(&world, 0);
        char run_id[UUID_TEXT_BYTES];
        world_start_workflow(&world, run_id);
        struct simulated_call *call = watch(&world, run_id, "");
        for (int round = 0; round < when; round++) {
            partition_round(world.partition);
            while (when > 3 && reads_step(world.reads, 0)) {
            }
        }
        simulated_call_closed(call);
        world_rounds(&world);
        assert_int_equal(call->finishes, 1);
        simulated_call_release(call);
        cancel(&world, run_id); /* Nobody is pushed to. */
        world_fini(&world);
    }
}

static void a_bad_watch_is_refused(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Polos__V1__RunServiceWatchRequest request = POLOS__V1__RUN_SERVICE_WATCH_REQUEST__INIT;
    const char *path = "/polos.v1.RunService/Watch";
    world_refused(&world, path, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "run_id");
    request.run_id = (char *)"01020304-0506-7708-890a-0b0c0d0e0f10";
    world_refused(&world, path, &request.base, CODE_NOT_FOUND, "RUN_NOT_FOUND", "run_id");
    request.position = (char *)"end";
    struct simulated_call *call = simulated_call_start(&world.api, path, &request.base);
    assert_true(str_is(call->error.field, "position"));
    simulated_call_closed(call); /* Late: the partition has never heard of this watcher. */
    world_rounds(&world);
    simulated_call_release(call);
    world_fini(&world);
}

static void a_host_takes_work(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    struct simulated_call *host = world_connect_host(&world);
    world_rounds(&world);
    Polos__V1__ToolServiceConnectResponse *first = simulated_call_sent(host, 0);
    assert_non_null(first->welcome);
    assert_int_equal(first->welcome->protocol, 1);
    assert_true(strlen(first->welcome->host_token) > 0);
    assert_string_equal(first->welcome->server_version, API_VERSION);
    free_message(first);
    static const struct {
        const char *value;
        enum _Polos__V1__RunStatus status;
    } rows[] = {
        {"{\"fine\": true}", POLOS__V1__RUN_STATUS__RUN_STATUS_COMPLETED},
        {"NaN", POLOS__V1__RUN_STATUS__RUN_STATUS_FAILED}, /* Said, and the host lives on. */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char run_id[UUID_TEXT_BYTES];
        world_start_workflow(&world, run_id);
        Polos__V1__ServerMessage *given = last_of(host, POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK);
        assert_non_null(given);
        assert_string_equal(given->task->run_id, run_id);
        assert_string_equal(given->task->name, "flow");
        assert_string_equal(given->task->input_json, "null");
        say_task_done(host, given->task, i + 1, rows[i].value);
        world_rounds(&world);
        Polos__V1__RunServiceGetRequest get = POLOS__V1__RUN_SERVICE_GET_REQUEST__INIT;
        get.run_id = run_id;
        Polos__V1__RunServiceGetResponse *got =
            world_ask(&world, "/polos.v1.RunService/Get", &get.base, CODE_OK);
        assert_int_equal(got->run->status, rows[i].status);
        free_message(got);
        free_message(given);
        Polos__V1__ToolServiceConnectResponse *newest =
            simulated_call_sent(host, host->sent_count - 1);
        assert_int_equal(newest->ack, i + 1); /* Durable. */
        free_message(newest);
    }
    assert_int_equal(host->finishes, 0);
    simulated_call_message(host, NULL);
    world_rounds(&world);
    assert_int_equal(host->finishes, 1);
    assert_int_equal(host->error.code, CODE_OK);
    simulated_call_release(host);
    world_fini(&world);
}

static void expect_stream_error(struct world *world, struct simulated_call *call, const char *field)
{
    world_rounds(world);
    assert_int_equal(call->finishes, 1);
    assert_int_equal(call->error.code, CODE_INVALID_ARGUMENT);
    assert_int_equal(call->error.reason, REASON_INVALID_FIELD);
    assert_true(str_is(call->error.field, field));
    simulated_call_closed(call);
    world_rounds(world);
    simulated_call_release(call);
}

static struct simulated_call *connect_path(struct world *world)
{
    return simulated_call_start(&world->api, "/polos.v1.ToolService/Connect", NULL);
}

static void a_host_that_breaks_the_rules_is_told(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    static const struct {
        uint32_t protocol;
        const char *host_id;
        uint32_t slots;
        const char *field;
    } rows[] = {
        {0, "host-2", 1, "hello.protocol"},
        {2, "host-2", 1, "hello.protocol"},
        {1, "", 1, "hello.host_id"},
        {1, "host-2", 0, "hello.slots"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct simulated_call *call = connect_path(&world);
        Polos__V1__Hello hello = POLOS__V1__HELLO__INIT;
        hello.protocol = rows[i].protocol;
        hello.host_id = (char *)rows[i].host_id;
        hello.slots = rows[i].slots;
        say_hello(call, &hello);
        expect_stream_error(&world, call, rows[i].field);
    }
    struct simulated_call *call = connect_path(&world);
    say_message(call, 0, NULL); /* Before Hello. */
    expect_stream_error(&world, call, "hello");
    Polos__V1__Hello hello = POLOS__V1__HELLO__INIT;
    call = world_connect_host(&world);
    say_hello(call, &hello); /* A second one. */
    expect_stream_error(&world, call, "hello");
    call = world_connect_host(&world);
    say_message(call, 1, NULL); /* A number of nothing. */
    expect_stream_error(&world, call, "first_seq");
    Polos__V1__HostMessage nothing = POLOS__V1__HOST_MESSAGE__INIT;
    call = world_connect_host(&world);
    say_message(call, 0, &nothing);
    expect_stream_error(&world, call, "first_seq");
    call = world_connect_host(&world);
    say_message(call, 1, &nothing);
    expect_stream_error(&world, call, "messages");
    call = world_connect_host(&world);
    Polos__V1__Task task = POLOS__V1__TASK__INIT;
    task.task_id = (char *)"nonsense";
    say_task_done(call, &task, 1, "1");
    expect_stream_error(&world, call, "task_done.task_id");
    world_fini(&world);
}

static void a_host_beats_beside_its_stream(void **state)
{
    (void)state;
    static const char path[] = "/polos.v1.ToolService/Heartbeat";
    struct world world;
    world_init(&world, 0);
    struct simulated_call *host = world_connect_host(&world);
    world_rounds(&world);
    Polos__V1__ToolServiceConnectResponse *first = simulated_call_sent(host, 0);
    Polos__V1__ToolServiceHeartbeatRequest beat = POLOS__V1__TOOL_SERVICE_HEARTBEAT_REQUEST__INIT;
    beat.host_token = first->welcome->host_token;
    Polos__V1__ToolServiceHeartbeatResponse *answer = world_ask(&world, path, &beat.base, CODE_OK);
    assert_int_equal(answer->lease->seconds, first->welcome->lease->seconds);
    free_message(answer);
    free_message(first);
    beat.host_token = (char *)"no such token";
    world_refused(&world, path, &beat.base, CODE_NOT_FOUND, "SESSION_LOST", "");
    beat.host_token = (char *)"";
    world_refused(&world, path, &beat.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "host_token");
    simulated_call_closed(host);
    world_rounds(&world);
    simulated_call_release(host);
    world_fini(&world);
}

static void a_host_that_goes_away_is_let_go(void **state)
{
    (void)state;
    for (int when = 0; when < 3; when++) {
        struct world world;
        world_init(&world, 0);
        struct simulated_call *host = world_connect_host(&world);
        for (int round = 0; round < when; round++) {
            partition_round(world.partition);
        }
        simulated_call_closed(host);
        world_rounds(&world);
        assert_int_equal(host->finishes, 1);
        simulated_call_release(host);
        char run_id[UUID_TEXT_BYTES];
        world_start_workflow(&world,
                             run_id); /* Goes to nobody, and nothing touches the dead stream. */
        world_fini(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_answered_when_it_ends),
        cmocka_unit_test(a_workflow_that_is_run_is_waited_for),
        cmocka_unit_test(a_caller_that_goes_away_stops_nothing),
        cmocka_unit_test(the_same_key_finds_the_same_run),
        cmocka_unit_test(a_bad_start_names_the_field),
        cmocka_unit_test(a_bad_definition_names_the_field),
        cmocka_unit_test(a_full_inbox_says_when_to_come_back),
        cmocka_unit_test(an_inbox_full_of_bytes_says_so),
        cmocka_unit_test(a_host_is_held_back_by_a_full_inbox),
        cmocka_unit_test(full_reads_say_when_to_come_back),
        cmocka_unit_test(history_comes_in_pages),
        cmocka_unit_test(history_comes_newest_first),
        cmocka_unit_test(lists_come_in_pages),
        cmocka_unit_test(a_watch_ends_with_its_run),
        cmocka_unit_test(what_lies_behind_is_read_beside_the_partition),
        cmocka_unit_test(a_watcher_that_goes_away_is_forgotten),
        cmocka_unit_test(a_bad_watch_is_refused),
        cmocka_unit_test(a_host_takes_work),
        cmocka_unit_test(a_host_that_breaks_the_rules_is_told),
        cmocka_unit_test(a_host_beats_beside_its_stream),
        cmocka_unit_test(a_host_that_goes_away_is_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
