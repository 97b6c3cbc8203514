/*
 * Goal:   what two projects call the same does not meet: runs, idempotency keys, agents, queues,
 *         topics, schedules, hosts, lists; nor does it after a restart. Whoever has no right to a
 *         method is refused before its handler.
 * Method: the handlers over two partitions of one store, each of another project, which are asked
 *         the same; the ids of their runs are the same, too, since their sources of chance are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "polos/v1/agents.pb-c.h"
#include "polos/v1/queues.pb-c.h"
#include "polos/v1/runs.pb-c.h"
#include "polos/v1/schedules.pb-c.h"
#include "polos/v1/topics.pb-c.h"
#include "polos/v1/workflows.pb-c.h"
#include "storage/memory_store.h"
#include "tests/unit/api/world.h"

enum {
    PROJECTS = 2,
};

static const uint32_t numbers[PROJECTS] = {0, 7}; /* The default one, and another. */
static const char *const inputs[PROJECTS] = {"\"first\"", "\"second\""};

struct projects {
    struct store store;
    struct world worlds[PROJECTS];
    char runs[PROJECTS][UUID_TEXT_BYTES];
};

static void open_worlds(struct projects *projects)
{
    for (size_t i = 0; i < PROJECTS; i++) {
        world_init_project(&projects->worlds[i], &projects->store, numbers[i]);
    }
}

static void close_worlds(struct projects *projects)
{
    for (size_t i = 0; i < PROJECTS; i++) {
        world_fini(&projects->worlds[i]);
    }
}

static void define(struct world *world, size_t i)
{
    Polos__V1__AgentServiceRegisterRequest request =
        POLOS__V1__AGENT_SERVICE_REGISTER_REQUEST__INIT;
    Polos__V1__AgentDefinition agent = POLOS__V1__AGENT_DEFINITION__INIT;
    agent.id = (char *)"agent";
    (void)world_model(&agent, (i == 0 ? "m0" : "m1"));
    request.agent = &agent;
    free_message(world_ask(world, "/polos.v1.AgentService/Register", &request.base, CODE_OK));
}

static void limit(struct world *world, size_t i)
{
    Polos__V1__QueueServicePutRequest request = POLOS__V1__QUEUE_SERVICE_PUT_REQUEST__INIT;
    Polos__V1__QueueDefinition queue = POLOS__V1__QUEUE_DEFINITION__INIT;
    queue.name = (char *)"queue";
    queue.concurrency_limit = (uint32_t)(i + 1);
    request.queue = &queue;
    free_message(world_ask(world, "/polos.v1.QueueService/Put", &request.base, CODE_OK));
}

static void publish(struct world *world, size_t i)
{
    Polos__V1__TopicServicePublishRequest request = POLOS__V1__TOPIC_SERVICE_PUBLISH_REQUEST__INIT;
    Polos__V1__NewEvent event = POLOS__V1__NEW_EVENT__INIT;
    Polos__V1__NewEvent *events[] = {&event};
    event.data_json = (char *)inputs[i];
    request.topic = (char *)"topic";
    request.idempotency_key = (char *)"said";
    request.events = events;
    request.n_events = 1;
    Polos__V1__TopicServicePublishResponse *said =
        world_ask(world, "/polos.v1.TopicService/Publish", &request.base, CODE_OK);
    assert_int_equal(said->n_sequences, 1);
    assert_int_equal(said->sequences[0], 1); /* Each counts its own. */
    free_message(said);
}

static void plan(struct world *world, size_t i)
{
    Polos__V1__ScheduleServicePutRequest request = POLOS__V1__SCHEDULE_SERVICE_PUT_REQUEST__INIT;
    Polos__V1__ScheduleSpec spec = POLOS__V1__SCHEDULE_SPEC__INIT;
    spec.cron = (char *)(i == 0 ? "0 1 * * *" : "0 2 * * *");
    request.kind = POLOS__V1__RUN_KIND__RUN_KIND_WORKFLOW;
    request.name = (char *)"flow";
    request.spec = &spec;
    free_message(world_ask(world, "/polos.v1.ScheduleService/Put", &request.base, CODE_OK));
}

static void start(struct world *world, size_t i, Polos__V1__StartOutcome expected,
                  char ret[UUID_TEXT_BYTES])
{
    Polos__V1__WorkflowServiceStartRequest request =
        POLOS__V1__WORKFLOW_SERVICE_START_REQUEST__INIT;
    Polos__V1__StartOptions options = POLOS__V1__START_OPTIONS__INIT;
    request.workflow_id = (char *)"flow";
    request.input_json = (char *)inputs[i];
    request.options = &options;
    options.idempotency_key = (char *)"key";
    options.session_id = (char *)"session";
    options.queue = (char *)"queue";
    Polos__V1__WorkflowServiceStartResponse *started =
        world_ask(world, "/polos.v1.WorkflowService/Start", &request.base, CODE_OK);
    assert_int_equal(started->outcome, expected);
    memcpy(ret, started->run_id, UUID_TEXT_BYTES);
    free_message(started);
}

/* All that is there is the project's own. */
static void look_at_names(struct world *world, size_t i)
{
    Polos__V1__AgentServiceListRequest agents = POLOS__V1__AGENT_SERVICE_LIST_REQUEST__INIT;
    Polos__V1__QueueServiceListRequest queues = POLOS__V1__QUEUE_SERVICE_LIST_REQUEST__INIT;
    Polos__V1__ScheduleServiceListRequest plans = POLOS__V1__SCHEDULE_SERVICE_LIST_REQUEST__INIT;
    Polos__V1__AgentServiceListResponse *agent =
        world_ask(world, "/polos.v1.AgentService/List", &agents.base, CODE_OK);
    assert_int_equal(agent->n_agents, 1);
    assert_string_equal(agent->agents[0]->definition->models[0]->model, i == 0 ? "m0" : "m1");
    free_message(agent);
    Polos__V1__QueueServiceListResponse *queue =
        world_ask(world, "/polos.v1.QueueService/List", &queues.base, CODE_OK);
    assert_int_equal(queue->n_queues, 1);
    assert_int_equal(queue->queues[0]->definition->concurrency_limit, i + 1);
    free_message(queue);
    Polos__V1__ScheduleServiceListResponse *planned =
        world_ask(world, "/polos.v1.ScheduleService/List", &plans.base, CODE_OK);
    assert_int_equal(planned->n_schedules, 1);
    assert_string_equal(planned->schedules[0]->spec->cron, i == 0 ? "0 1 * * *" : "0 2 * * *");
    free_message(planned);
}

static void look_at_runs(struct projects *projects, size_t i)
{
    struct world *world = &projects->worlds[i];
    Polos__V1__RunServiceListRequest list = POLOS__V1__RUN_SERVICE_LIST_REQUEST__INIT;
    Polos__V1__RunServiceGetRequest get = POLOS__V1__RUN_SERVICE_GET_REQUEST__INIT;
    Polos__V1__RunFilter filter = POLOS__V1__RUN_FILTER__INIT;
    filter.session_id = (char *)"session";
    list.filter = &filter;
    Polos__V1__RunServiceListResponse *runs =
        world_ask(world, "/polos.v1.RunService/List", &list.base, CODE_OK);
    assert_int_equal(runs->n_runs, 1);
    assert_string_equal(runs->runs[0]->id, projects->runs[i]);
    free_message(runs);
    get.run_id = projects->runs[i];
    Polos__V1__RunServiceGetResponse *got =
        world_ask(world, "/polos.v1.RunService/Get", &get.base, CODE_OK);
    assert_string_equal(got->run->input_json, inputs[i]);
    free_message(got);
}

static void look(struct projects *projects)
{
    for (size_t i = 0; i < PROJECTS; i++) {
        char run[UUID_TEXT_BYTES];
        look_at_names(&projects->worlds[i], i);
        look_at_runs(projects, i);
        publish(&projects->worlds[i], i); /* Found by its key. */
        start(&projects->worlds[i], i, POLOS__V1__START_OUTCOME__START_OUTCOME_FOUND, run);
        assert_string_equal(run, projects->runs[i]);
    }
}

static void same_names_do_not_meet(void **state)
{
    (void)state;
    struct projects projects;
    memory_store_open(&projects.store);
    open_worlds(&projects);
    for (size_t i = 0; i < PROJECTS; i++) {
        define(&projects.worlds[i], i);
        limit(&projects.worlds[i], i);
        publish(&projects.worlds[i], i);
        plan(&projects.worlds[i], i);
        start(&projects.worlds[i], i, POLOS__V1__START_OUTCOME__START_OUTCOME_STARTED,
              projects.runs[i]);
    }
    assert_string_equal(projects.runs[0], projects.runs[1]); /* Even these. */
    look(&projects);
    close_worlds(&projects);
    open_worlds(&projects);
    look(&projects);
    close_worlds(&projects);
    store_close(&projects.store);
}

/* Under one id, with one offer: each is given its project's task. */
static void hosts_are_a_projects(void **state)
{
    (void)state;
    struct projects projects;
    memory_store_open(&projects.store);
    open_worlds(&projects);
    struct simulated_call *hosts[PROJECTS];
    for (size_t i = 0; i < PROJECTS; i++) {
        hosts[i] = world_connect_host(&projects.worlds[i]);
        world_rounds(&projects.worlds[i]);
        assert_int_equal(hosts[i]->finishes, 0);
    }
    limit(&projects.worlds[1], 1);
    start(&projects.worlds[1], 1, POLOS__V1__START_OUTCOME__START_OUTCOME_STARTED,
          projects.runs[1]);
    world_rounds(&projects.worlds[0]);
    Polos__V1__ServerMessage *given = last_of(hosts[1], POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK);
    assert_non_null(given);
    assert_string_equal(given->task->input_json, inputs[1]);
    assert_null(last_of(hosts[0], POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK));
    free_message(given);
    for (size_t i = 0; i < PROJECTS; i++) {
        simulated_call_closed(hosts[i]);
        world_rounds(&projects.worlds[i]);
        simulated_call_release(hosts[i]);
    }
    close_worlds(&projects);
    store_close(&projects.store);
}

static void a_model_is_asked_for_a_project(void **state)
{
    (void)state;
    struct projects projects;
    memory_store_open(&projects.store);
    open_worlds(&projects);
    struct world *world = &projects.worlds[1];
    Polos__V1__AgentServiceStartRequest request = POLOS__V1__AGENT_SERVICE_START_REQUEST__INIT;
    request.agent_id = (char *)"agent";
    request.input = (char *)"hi";
    define(world, 1);
    free_message(world_ask(world, "/polos.v1.AgentService/Start", &request.base, CODE_OK));
    assert_int_equal(world->model_calls, 1);
    assert_int_equal(world->model_project, numbers[1]);
    close_worlds(&projects);
    store_close(&projects.store);
}

static void rights_are_asked_for_at_the_door(void **state)
{
    static const struct {
        uint32_t has;
        const char *path;
        bool may;
    } rows[] = {
        {RIGHT_READ, "/polos.v1.RunService/List", true},
        {RIGHT_CALL, "/polos.v1.RunService/List", true},
        {RIGHT_ADMIN, "/polos.v1.RunService/List", true},
        {RIGHT_HOST | RIGHT_ANSWER, "/polos.v1.RunService/List", false},
        {RIGHT_READ, "/polos.v1.RunService/Cancel", false},
        {RIGHT_CALL | RIGHT_READ, "/polos.v1.RunService/Delete", false},
        {RIGHT_CALL, "/polos.v1.ToolService/Connect", false},
        {RIGHT_HOST, "/polos.v1.SuspendService/Resume", false},
        {0, "/polos.v1.AgentService/Get", false},
    };
    (void)state;
    struct world world;
    world_init(&world, 0);
    Polos__V1__RunServiceListRequest list = POLOS__V1__RUN_SERVICE_LIST_REQUEST__INIT;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct principal principal = {.kind = PRINCIPAL_ANYONE, .rights = rows[i].has};
        struct simulated_call *call = simulated_call_start_as(
            &world.api, rows[i].path, rows[i].may ? &list.base : NULL, principal);
        world_rounds(&world);
        assert_int_equal(call->error.code, rows[i].may ? CODE_OK : CODE_PERMISSION_DENIED);
        assert_int_equal(call->error.reason, rows[i].may ? REASON_NONE : REASON_PERMISSION_DENIED);
        simulated_call_release(call);
    }
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_names_do_not_meet),
        cmocka_unit_test(hosts_are_a_projects),
        cmocka_unit_test(a_model_is_asked_for_a_project),
        cmocka_unit_test(rights_are_asked_for_at_the_door),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
