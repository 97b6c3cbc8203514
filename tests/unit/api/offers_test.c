/*
 * Goal:   tools, workflows and agents are shown as hosts offered them last, with how many offer
 * them now; what a host offers is not deleted, and what none does can be. Method: hosts that dial
 * in, leave and fall silent, by the handlers over the real partition.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "polos/v1/agents.pb-c.h"
#include "polos/v1/queues.pb-c.h"
#include "polos/v1/tools.pb-c.h"
#include "polos/v1/workflows.pb-c.h"
#include "tests/unit/api/world.h"

enum {
    SILENCE_MS = 60000, /* Of it counts what a heartbeat takes. */
    HOUR_MS = 3600 * 1000,
};

#define GET_TOOL "/polos.v1.ToolService/Get"
#define DELETE_TOOL "/polos.v1.ToolService/Delete"
#define GET_WORKFLOW "/polos.v1.WorkflowService/Get"
#define DELETE_WORKFLOW "/polos.v1.WorkflowService/Delete"

/* A host of everything; its tool "look" says of itself what is given. */
static struct simulated_call *dial(struct world *world, const char *id, const char *deployment,
                                   const char *description)
{
    struct simulated_call *call =
        simulated_call_start(&world->api, "/polos.v1.ToolService/Connect", NULL);
    Polos__V1__ToolDefinition look = POLOS__V1__TOOL_DEFINITION__INIT;
    Polos__V1__ToolDefinition *tools[] = {&look};
    Polos__V1__EventTrigger trigger = POLOS__V1__EVENT_TRIGGER__INIT;
    Polos__V1__ScheduleSpec schedule = POLOS__V1__SCHEDULE_SPEC__INIT;
    Polos__V1__WorkflowDefinition each = POLOS__V1__WORKFLOW_DEFINITION__INIT;
    Polos__V1__WorkflowDefinition flow = POLOS__V1__WORKFLOW_DEFINITION__INIT;
    Polos__V1__WorkflowDefinition *workflows[] = {&flow, &each};
    Polos__V1__AgentDefinition agent = POLOS__V1__AGENT_DEFINITION__INIT;
    Polos__V1__AgentDefinition *agents[] = {&agent};
    Polos__V1__Offers offers = POLOS__V1__OFFERS__INIT;
    Polos__V1__Hello hello = POLOS__V1__HELLO__INIT;
    look.id = (char *)"look";
    look.description = (char *)description;
    look.parameters_json = (char *)"{\"type\": \"object\"}";
    look.timeout = world_length(7);
    look.on_lost = POLOS__V1__LOST_CALL__LOST_CALL_UNKNOWN;
    trigger.topic = (char *)"orders";
    trigger.batch_size = 3;
    trigger.batch_timeout = look.timeout;
    schedule.cron = (char *)"@daily";
    schedule.key = (char *)"k";
    flow.id = (char *)"flow";
    each.id = (char *)"each";
    each.description = (char *)"Each order.";
    each.queue = (char *)"mail";
    each.trigger = &trigger;
    each.schedule = &schedule;
    agent.id = (char *)"helper";
    (void)world_model(&agent, "m");
    agent.tools = tools;
    agent.n_tools = 1;
    offers.tools = tools;
    offers.n_tools = 1;
    offers.workflows = workflows;
    offers.n_workflows = COUNT_OF(workflows);
    offers.agents = agents;
    offers.n_agents = 1;
    hello.protocol = 1;
    hello.host_id = (char *)id;
    hello.deployment = (char *)deployment;
    hello.slots = 1;
    hello.offers = &offers;
    say_hello(call, &hello);
    world_rounds(world);
    assert_int_equal(call->finishes, 0);
    return call;
}

static void fall_silent(struct world *world, struct simulated_call *call)
{
    simulated_call_closed(call);
    world_rounds(world);
    world->now_ms += SILENCE_MS;
    world_rounds(world);
    world->now_ms += SILENCE_MS;
    world_rounds(world);
    simulated_call_release(call);
}

static void expect_tool(struct world *world, const char *description, const char *deployment,
                        uint32_t hosts)
{
    Polos__V1__ToolServiceGetRequest request = POLOS__V1__TOOL_SERVICE_GET_REQUEST__INIT;
    request.tool_id = (char *)"look";
    Polos__V1__ToolServiceGetResponse *got = world_ask(world, GET_TOOL, &request.base, CODE_OK);
    assert_string_equal(got->tool->definition->description, description);
    assert_string_equal(got->tool->definition->parameters_json, "{\"type\": \"object\"}");
    assert_int_equal(got->tool->definition->timeout->nanos, 7000000);
    assert_int_equal(got->tool->definition->on_lost, POLOS__V1__LOST_CALL__LOST_CALL_UNKNOWN);
    assert_string_equal(got->tool->deployment, deployment);
    assert_int_equal(got->tool->hosts, hosts);
    assert_non_null(got->tool->offered_at);
    free_message(got);
}

static void expect_each(struct world *world, uint32_t hosts)
{
    Polos__V1__WorkflowServiceGetRequest request = POLOS__V1__WORKFLOW_SERVICE_GET_REQUEST__INIT;
    request.workflow_id = (char *)"each";
    Polos__V1__WorkflowServiceGetResponse *got =
        world_ask(world, GET_WORKFLOW, &request.base, CODE_OK);
    const Polos__V1__WorkflowDefinition *each = got->workflow->definition;
    assert_string_equal(each->description, "Each order.");
    assert_string_equal(each->queue, "mail");
    assert_string_equal(each->trigger->topic, "orders");
    assert_int_equal(each->trigger->batch_size, 3);
    assert_int_equal(each->trigger->batch_timeout->nanos, 7000000);
    assert_string_equal(each->schedule->cron, "@daily");
    assert_string_equal(each->schedule->key, "k");
    assert_int_equal(got->workflow->hosts, hosts);
    assert_non_null(got->workflow->offered_at);
    free_message(got);
}

static void delete_tool(struct world *world, const char *reason)
{
    Polos__V1__ToolServiceDeleteRequest request = POLOS__V1__TOOL_SERVICE_DELETE_REQUEST__INIT;
    request.tool_id = (char *)"look";
    if (reason == NULL) {
        free_message(world_ask(world, DELETE_TOOL, &request.base, CODE_OK));
        return;
    }
    bool is_missing = strcmp(reason, "TOOL_NOT_FOUND") == 0;
    world_refused(world, DELETE_TOOL, &request.base,
                  is_missing ? CODE_NOT_FOUND : CODE_FAILED_PRECONDITION, reason, "tool_id");
}

static void what_is_offered(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    delete_tool(&world, "TOOL_NOT_FOUND");
    struct simulated_call *first = dial(&world, "a", "v1", "one");
    expect_tool(&world, "one", "v1", 1);
    struct simulated_call *second = dial(&world, "b", "v2", "two");
    expect_tool(&world, "two", "v2", 2);
    expect_each(&world, 2);
    delete_tool(&world, "DEFINITION_IN_USE");
    fall_silent(&world, first);
    expect_tool(&world, "two", "v2", 1);
    delete_tool(&world, "DEFINITION_IN_USE");
    fall_silent(&world, second);
    expect_tool(&world, "two", "v2", 0);
    delete_tool(&world, NULL);
    delete_tool(&world, "TOOL_NOT_FOUND");
    struct simulated_call *third = dial(&world, "c", "v1", "one");
    expect_tool(&world, "one", "v1", 1);
    fall_silent(&world, third);
    world_fini(&world);
}

/* What nothing changes is written once in an hour. */
static void its_time_is_kept_to_the_hour(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    static const uint64_t later_ms[] = {0, HOUR_MS / 4, HOUR_MS};
    int64_t seen[COUNT_OF(later_ms)];
    for (size_t i = 0; i < COUNT_OF(later_ms); i++) {
        world.now_ms += later_ms[i];
        fall_silent(&world, dial(&world, "a", "v1", "one"));
        Polos__V1__ToolServiceGetRequest request = POLOS__V1__TOOL_SERVICE_GET_REQUEST__INIT;
        request.tool_id = (char *)"look";
        Polos__V1__ToolServiceGetResponse *got =
            world_ask(&world, GET_TOOL, &request.base, CODE_OK);
        seen[i] = got->tool->offered_at->seconds;
        free_message(got);
    }
    assert_int_equal(seen[0], seen[1]);
    assert_true(seen[2] > seen[1]);
    world_fini(&world);
}

static void a_workflow_goes_with_its_queue_and_trigger(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Polos__V1__WorkflowServiceDeleteRequest gone = POLOS__V1__WORKFLOW_SERVICE_DELETE_REQUEST__INIT;
    gone.workflow_id = (char *)"each";
    struct simulated_call *host = dial(&world, "a", "v1", "one");
    world_refused(&world, DELETE_WORKFLOW, &gone.base, CODE_FAILED_PRECONDITION,
                  "DEFINITION_IN_USE", "workflow_id");
    fall_silent(&world, host);
    free_message(world_ask(&world, DELETE_WORKFLOW, &gone.base, CODE_OK));
    world_refused(&world, DELETE_WORKFLOW, &gone.base, CODE_NOT_FOUND, "WORKFLOW_NOT_FOUND",
                  "workflow_id");
    Polos__V1__WorkflowServiceGetRequest get = POLOS__V1__WORKFLOW_SERVICE_GET_REQUEST__INIT;
    get.workflow_id = (char *)"each";
    world_refused(&world, GET_WORKFLOW, &get.base, CODE_NOT_FOUND, "WORKFLOW_NOT_FOUND",
                  "workflow_id");
    Polos__V1__WorkflowServiceStartRequest start = POLOS__V1__WORKFLOW_SERVICE_START_REQUEST__INIT;
    Polos__V1__StartOptions options = POLOS__V1__START_OPTIONS__INIT;
    start.workflow_id = (char *)"each";
    start.options = &options;
    options.concurrency_key = (char *)"k"; /* It would need a queue. */
    world_refused(&world, "/polos.v1.WorkflowService/Start", &start.base, CODE_INVALID_ARGUMENT,
                  "INVALID_FIELD", "options.queue");
    world_fini(&world);
}

static void workflows_come_in_pages(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    struct simulated_call *host = dial(&world, "a", "v1", "one");
    static const char *const names[] = {"each", "flow"};
    const char *path = "/polos.v1.WorkflowService/List";
    for (int32_t size = 1; size <= 3; size++) {
        Polos__V1__WorkflowServiceListRequest request =
            POLOS__V1__WORKFLOW_SERVICE_LIST_REQUEST__INIT;
        char token[64] = "";
        size_t seen = 0;
        request.page_size = size;
        request.page_token = token;
        do {
            Polos__V1__WorkflowServiceListResponse *page =
                world_ask(&world, path, &request.base, CODE_OK);
            for (size_t i = 0; i < page->n_workflows; i++) {
                assert_string_equal(page->workflows[i]->definition->id, names[seen++]);
                assert_int_equal(page->workflows[i]->hosts, 1);
            }
            snprintf(token, sizeof(token), "%s", page->next_page_token);
            free_message(page);
        } while (token[0] != '\0');
        assert_int_equal(seen, COUNT_OF(names));
    }
    Polos__V1__WorkflowServiceListRequest bad = POLOS__V1__WORKFLOW_SERVICE_LIST_REQUEST__INIT;
    bad.page_token = (char *)"each";
    world_refused(&world, path, &bad.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "page_token");
    Polos__V1__ToolServiceListRequest tools = POLOS__V1__TOOL_SERVICE_LIST_REQUEST__INIT;
    Polos__V1__ToolServiceListResponse *page =
        world_ask(&world, "/polos.v1.ToolService/List", &tools.base, CODE_OK);
    assert_int_equal(page->n_tools, 1);
    assert_string_equal(page->tools[0]->definition->id, "look");
    assert_string_equal(page->next_page_token, "");
    free_message(page);
    simulated_call_closed(host);
    world_rounds(&world);
    simulated_call_release(host);
    world_fini(&world);
}

static Polos__V1__AgentServiceGetResponse *get_helper(struct world *world)
{
    Polos__V1__AgentServiceGetRequest request = POLOS__V1__AGENT_SERVICE_GET_REQUEST__INIT;
    request.agent_id = (char *)"helper";
    return world_ask(world, "/polos.v1.AgentService/Get", &request.base, CODE_OK);
}

static void an_agent_that_a_host_defines(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    struct simulated_call *host = dial(&world, "a", "v1", "one");
    Polos__V1__AgentServiceGetResponse *got = get_helper(&world);
    assert_int_equal(got->agent->hosts, 1);
    assert_int_equal(got->agent->n_missing_offers, 0);
    assert_true(got->agent->newest);
    assert_non_null(got->agent->registered_at);
    free_message(got);
    Polos__V1__AgentServiceDeleteRequest gone = POLOS__V1__AGENT_SERVICE_DELETE_REQUEST__INIT;
    const char *path = "/polos.v1.AgentService/Delete";
    gone.agent_id = (char *)"helper";
    world_refused(&world, path, &gone.base, CODE_FAILED_PRECONDITION, "DEFINITION_IN_USE",
                  "agent_id");
    fall_silent(&world, host);
    got = get_helper(&world);
    assert_int_equal(got->agent->hosts, 0);
    assert_int_equal(got->agent->n_missing_offers, 1);
    assert_string_equal(got->agent->missing_offers[0], "look");
    free_message(got);
    free_message(world_ask(&world, path, &gone.base, CODE_OK));
    world_refused(&world, path, &gone.base, CODE_NOT_FOUND, "AGENT_NOT_FOUND", "agent_id");
    world_fini(&world);
}

static Polos__V1__ToolServiceListHostsResponse *
list_hosts(struct world *world, int32_t size, const char *token, const char *deployment)
{
    Polos__V1__ToolServiceListHostsRequest request =
        POLOS__V1__TOOL_SERVICE_LIST_HOSTS_REQUEST__INIT;
    request.page_size = size;
    request.page_token = (char *)token;
    request.deployment = (char *)deployment;
    return world_ask(world, "/polos.v1.ToolService/ListHosts", &request.base, CODE_OK);
}

static void hosts_come_in_pages(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    static const char *const ids[] = {"b", "a", "ab"};
    static const char *const sorted[] = {"a", "ab", "b"};
    struct simulated_call *hosts[COUNT_OF(ids)];
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        hosts[i] = dial(&world, ids[i], i == 0 ? "v1" : "v2", "one");
    }
    for (int32_t size = 1; size <= 4; size++) {
        char token[64] = "";
        size_t seen = 0;
        do {
            Polos__V1__ToolServiceListHostsResponse *page = list_hosts(&world, size, token, "");
            for (size_t i = 0; i < page->n_hosts; i++) {
                assert_string_equal(page->hosts[i]->id, sorted[seen++]);
            }
            snprintf(token, sizeof(token), "%s", page->next_page_token);
            free_message(page);
        } while (token[0] != '\0');
        assert_int_equal(seen, COUNT_OF(ids));
    }
    Polos__V1__ToolServiceListHostsResponse *page = list_hosts(&world, 0, "", "v1");
    assert_int_equal(page->n_hosts, 1);
    const Polos__V1__Host *host = page->hosts[0];
    assert_string_equal(host->id, "b");
    assert_string_equal(host->deployment, "v1");
    assert_true(host->connected);
    assert_false(host->draining);
    assert_int_equal(host->slots, 1);
    assert_int_equal(host->tasks, 0);
    assert_int_equal(host->n_tool_ids, 1);
    assert_string_equal(host->tool_ids[0], "look");
    assert_int_equal(host->n_workflow_ids, 2);
    assert_string_equal(host->workflow_ids[0], "flow");
    assert_int_equal(host->n_agent_ids, 1);
    assert_string_equal(host->agent_ids[0], "helper");
    assert_true(host->heard_at->seconds >= host->connected_at->seconds);
    free_message(page);
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        simulated_call_closed(hosts[i]);
        world_rounds(&world);
        simulated_call_release(hosts[i]);
    }
    page = list_hosts(&world, 0, "", "");
    assert_int_equal(page->n_hosts, COUNT_OF(ids)); /* Away within their leases. */
    assert_false(page->hosts[0]->connected);
    free_message(page);
    world_fini(&world);
}

static void drain(struct world *world, const char *id, bool is_there)
{
    Polos__V1__ToolServiceDrainHostRequest request =
        POLOS__V1__TOOL_SERVICE_DRAIN_HOST_REQUEST__INIT;
    const char *path = "/polos.v1.ToolService/DrainHost";
    request.host_id = (char *)id;
    if (!is_there) {
        world_refused(world, path, &request.base, CODE_NOT_FOUND, "HOST_NOT_FOUND", "host_id");
        return;
    }
    Polos__V1__ToolServiceDrainHostResponse *answer =
        world_ask(world, path, &request.base, CODE_OK);
    assert_string_equal(answer->host->id, id);
    assert_true(answer->host->draining);
    free_message(answer);
}

static Polos__V1__ServerMessage *task_of(const struct simulated_call *host)
{
    return last_of(host, POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK);
}

/* What it holds stays its own; what is new goes to others, or waits. */
static void a_drained_host_is_given_nothing_new(void **state)
{
    (void)state;
    struct world world;
    char run[UUID_TEXT_BYTES];
    world_init(&world, 0);
    drain(&world, "host-1", false);
    struct simulated_call *host = world_connect_host(&world);
    world_rounds(&world);
    world_start_workflow(&world, run);
    world_rounds(&world);
    Polos__V1__ServerMessage *held = task_of(host);
    assert_non_null(held);
    drain(&world, "host-1", true);
    Polos__V1__ToolServiceListHostsResponse *page = list_hosts(&world, 0, "", "");
    assert_int_equal(page->hosts[0]->tasks, 1);
    assert_true(page->hosts[0]->draining);
    free_message(page);
    world_start_workflow(&world, run);
    say_task_done(host, held->task, 1, "1");
    world_rounds(&world);
    page = list_hosts(&world, 0, "", "");
    assert_int_equal(page->hosts[0]->tasks, 0); /* Its result was taken, and nothing given. */
    free_message(page);
    struct simulated_call *other = dial(&world, "other", "default", "one");
    Polos__V1__ServerMessage *given = task_of(other);
    assert_non_null(given);
    assert_string_equal(given->task->run_id, run);
    free_message(held);
    free_message(given);
    struct simulated_call *calls[] = {host, other};
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        simulated_call_closed(calls[i]);
        world_rounds(&world);
        simulated_call_release(calls[i]);
    }
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_offered),
        cmocka_unit_test(its_time_is_kept_to_the_hour),
        cmocka_unit_test(a_workflow_goes_with_its_queue_and_trigger),
        cmocka_unit_test(workflows_come_in_pages),
        cmocka_unit_test(an_agent_that_a_host_defines),
        cmocka_unit_test(hosts_come_in_pages),
        cmocka_unit_test(a_drained_host_is_given_nothing_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
