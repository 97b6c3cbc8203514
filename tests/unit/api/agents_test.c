/*
 * Goal:   an agent is answered as it was registered, its older versions by their hashes; the list
 *         holds the newest of each, by id, or the versions of one, in pages of any size; what is
 *         deleted is in none.
 * Method: agents registered through the handlers over the real partition and reads.
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
#include "tests/unit/api/world.h"

enum {
    AGENTS = 5,
};

/* Its hash, to be freed. */
static Polos__V1__AgentServiceRegisterResponse *put(struct world *world, const char *id,
                                                    const char *prompt)
{
    Polos__V1__ToolDefinition tool = POLOS__V1__TOOL_DEFINITION__INIT;
    Polos__V1__ToolDefinition *tools[] = {&tool};
    Polos__V1__AgentDefinition agent = POLOS__V1__AGENT_DEFINITION__INIT;
    /* The strictest of each sort is kept. */
    Polos__V1__StopCondition sorts[] = {
        POLOS__V1__STOP_CONDITION__INIT, POLOS__V1__STOP_CONDITION__INIT,
        POLOS__V1__STOP_CONDITION__INIT, POLOS__V1__STOP_CONDITION__INIT};
    Polos__V1__StopCondition *stops[] = {&sorts[0], &sorts[1], &sorts[2], &sorts[3]};
    for (size_t i = 0; i < COUNT_OF(sorts); i++) {
        bool is_turns = i < 2;
        sorts[i].condition_case = is_turns ? POLOS__V1__STOP_CONDITION__CONDITION_MAX_TURNS
                                           : POLOS__V1__STOP_CONDITION__CONDITION_MAX_TOKENS;
        if (is_turns) {
            sorts[i].max_turns = 3 + (uint32_t)i;
        } else {
            sorts[i].max_tokens = 72 - (int64_t)i;
        }
    }
    tool.id = (char *)"look";
    tool.parameters_json = (char *)"{\"type\": \"object\"}";
    tool.timeout = world_length(7);
    tool.on_lost = POLOS__V1__LOST_CALL__LOST_CALL_UNKNOWN;
    agent.id = (char *)id;
    Polos__V1__ModelSpec *model = world_model(&agent, "m");
    agent.system_prompt = (char *)prompt;
    agent.tools = tools;
    agent.n_tools = 1;
    model->_temperature_case = POLOS__V1__MODEL_SPEC___TEMPERATURE_TEMPERATURE;
    model->max_output_tokens = 9;
    agent.max_turns = 4;
    agent.stop_conditions = stops;
    agent.n_stop_conditions = COUNT_OF(stops);
    Polos__V1__AgentServiceRegisterRequest request =
        POLOS__V1__AGENT_SERVICE_REGISTER_REQUEST__INIT;
    request.agent = &agent;
    return world_ask(world, "/polos.v1.AgentService/Register", &request.base, CODE_OK);
}

static void expect(struct world *world, const char *id, const char *hash, const char *prompt)
{
    Polos__V1__AgentServiceGetRequest request = POLOS__V1__AGENT_SERVICE_GET_REQUEST__INIT;
    request.agent_id = (char *)id;
    request.definition_hash = (char *)hash;
    Polos__V1__AgentServiceGetResponse *got =
        world_ask(world, "/polos.v1.AgentService/Get", &request.base, CODE_OK);
    const Polos__V1__AgentDefinition *agent = got->agent->definition;
    assert_string_equal(agent->id, id);
    assert_string_equal(agent->system_prompt, prompt);
    assert_int_equal(agent->max_turns, 3);
    assert_int_equal(agent->n_stop_conditions, 1);
    assert_int_equal(agent->stop_conditions[0]->max_tokens, 69);
    assert_int_equal(agent->n_models, 1);
    assert_string_equal(agent->models[0]->provider, "simulated");
    assert_string_equal(agent->models[0]->model, "m");
    assert_int_equal(agent->models[0]->max_output_tokens, 9);
    assert_int_equal(agent->models[0]->_temperature_case,
                     POLOS__V1__MODEL_SPEC___TEMPERATURE_TEMPERATURE);
    assert_int_equal(agent->n_tools, 1);
    assert_string_equal(agent->tools[0]->id, "look");
    assert_string_equal(agent->tools[0]->parameters_json, "{\"type\": \"object\"}");
    assert_int_equal(agent->tools[0]->timeout->nanos, 7000000);
    assert_int_equal(agent->tools[0]->on_lost, POLOS__V1__LOST_CALL__LOST_CALL_UNKNOWN);
    if (hash[0] != '\0') {
        assert_string_equal(got->agent->definition_hash, hash);
    }
    free_message(got);
}

static void an_agent_and_its_versions(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Polos__V1__AgentServiceRegisterResponse *first = put(&world, "helper", "one");
    Polos__V1__AgentServiceRegisterResponse *second = put(&world, "helper", "two");
    Polos__V1__AgentServiceRegisterResponse *other = put(&world, "other", "three");
    expect(&world, "helper", "", "two");
    expect(&world, "helper", first->definition_hash, "one");
    expect(&world, "helper", second->definition_hash, "two");
    Polos__V1__AgentServiceGetRequest request = POLOS__V1__AGENT_SERVICE_GET_REQUEST__INIT;
    const char *path = "/polos.v1.AgentService/Get";
    request.agent_id = (char *)"helper";
    request.definition_hash = other->definition_hash; /* It is there, but another's. */
    world_refused(&world, path, &request.base, CODE_NOT_FOUND, "AGENT_NOT_FOUND", "agent_id");
    request.definition_hash = (char *)"00112233445566778899aabbccddeeff";
    world_refused(&world, path, &request.base, CODE_NOT_FOUND, "AGENT_NOT_FOUND", "agent_id");
    request.definition_hash = (char *)"00112233445566778899AABBCCDDEEFF";
    world_refused(&world, path, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "definition_hash");
    request.definition_hash = (char *)"";
    request.agent_id = (char *)"nobody";
    world_refused(&world, path, &request.base, CODE_NOT_FOUND, "AGENT_NOT_FOUND", "agent_id");
    request.agent_id = (char *)"no name";
    world_refused(&world, path, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "agent_id");
    free_message(first);
    free_message(second);
    free_message(other);
    world_fini(&world);
}

static void an_agent_keeps_its_queue(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Polos__V1__QueueDefinition queue = POLOS__V1__QUEUE_DEFINITION__INIT;
    queue.name = (char *)"slow";
    queue.concurrency_limit = 1;
    Polos__V1__QueueServicePutRequest put_queue = POLOS__V1__QUEUE_SERVICE_PUT_REQUEST__INIT;
    put_queue.queue = &queue;
    free_message(world_ask(&world, "/polos.v1.QueueService/Put", &put_queue.base, CODE_OK));
    Polos__V1__AgentDefinition agent = POLOS__V1__AGENT_DEFINITION__INIT;
    agent.id = (char *)"helper";
    agent.queue = (char *)"slow";
    agent.description = (char *)"helps";
    agent.output_schema_json = (char *)"{\"type\": \"string\"}";
    Polos__V1__ModelSpec *model = world_model(&agent, "m");
    model->base_url = (char *)"https://h";
    model->options_json = (char *)"{\"n\": 1}";
    Polos__V1__AgentServiceRegisterRequest request =
        POLOS__V1__AGENT_SERVICE_REGISTER_REQUEST__INIT;
    request.agent = &agent;
    free_message(world_ask(&world, "/polos.v1.AgentService/Register", &request.base, CODE_OK));
    Polos__V1__AgentServiceGetRequest get = POLOS__V1__AGENT_SERVICE_GET_REQUEST__INIT;
    get.agent_id = (char *)"helper";
    Polos__V1__AgentServiceGetResponse *got =
        world_ask(&world, "/polos.v1.AgentService/Get", &get.base, CODE_OK);
    const Polos__V1__AgentDefinition *shown = got->agent->definition;
    assert_string_equal(shown->queue, "slow");
    assert_string_equal(shown->description, "helps");
    assert_string_equal(shown->output_schema_json, "{\"type\": \"string\"}");
    assert_string_equal(shown->models[0]->base_url, "https://h");
    assert_string_equal(shown->models[0]->options_json, "{\"n\": 1}");
    assert_int_equal(shown->n_tools, 0);
    assert_int_equal(shown->n_stop_conditions, 0);
    assert_int_equal(shown->models[0]->_temperature_case,
                     POLOS__V1__MODEL_SPEC___TEMPERATURE__NOT_SET);
    free_message(got);
    world_fini(&world);
}

static void fill_agent(Polos__V1__AgentDefinition *agent, Polos__V1__ToolDefinition *tool,
                       Polos__V1__StopCondition *stop)
{
    static Polos__V1__ToolDefinition *tools[1];
    static Polos__V1__StopCondition *stops[1];
    tools[0] = tool;
    stops[0] = stop;
    tool->id = (char *)"look";
    tool->description = (char *)"looks";
    tool->parameters_json = (char *)"{\"type\": \"object\"}";
    tool->timeout = world_length(1007);
    tool->on_lost = POLOS__V1__LOST_CALL__LOST_CALL_UNKNOWN;
    stop->condition_case = POLOS__V1__STOP_CONDITION__CONDITION_MAX_TOKENS;
    stop->max_tokens = 17;
    agent->id = (char *)"helper";
    agent->description = (char *)"helps";
    agent->system_prompt = (char *)"help";
    agent->tools = tools;
    agent->n_tools = 1;
    agent->output_schema_json = (char *)"{\"type\": \"string\"}";
    agent->_output_retries_case = POLOS__V1__AGENT_DEFINITION___OUTPUT_RETRIES_OUTPUT_RETRIES;
    agent->output_retries = 10;
    agent->_guardrail_max_retries_case =
        POLOS__V1__AGENT_DEFINITION___GUARDRAIL_MAX_RETRIES_GUARDRAIL_MAX_RETRIES;
    agent->guardrail_max_retries = 7;
    agent->max_turns = 4;
    agent->stop_conditions = stops;
    agent->n_stop_conditions = 1;
    agent->queue = (char *)"slow";
    Polos__V1__ModelSpec *model = world_model(agent, "m");
    model->base_url = (char *)"https://h";
    model->_temperature_case = POLOS__V1__MODEL_SPEC___TEMPERATURE_TEMPERATURE;
    model->temperature = 0.25;
    model->max_output_tokens = 9;
    model->options_json = (char *)"{\"n\": 1}";
}

static void expect_same(const ProtobufCMessage *one, const ProtobufCMessage *other)
{
    uint8_t bytes[2][2000];
    assert_in_range(protobuf_c_message_get_packed_size(one), 1, sizeof(bytes[0]));
    assert_in_range(protobuf_c_message_get_packed_size(other), 1, sizeof(bytes[1]));
    size_t len = protobuf_c_message_pack(one, bytes[0]);
    assert_int_equal(protobuf_c_message_pack(other, bytes[1]), len);
    assert_memory_equal(bytes[0], bytes[1], len);
}

/* Every field there is. */
static void an_agent_is_answered_as_it_was_registered(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Polos__V1__ToolDefinition tool = POLOS__V1__TOOL_DEFINITION__INIT;
    Polos__V1__StopCondition stop = POLOS__V1__STOP_CONDITION__INIT;
    Polos__V1__AgentDefinition agent = POLOS__V1__AGENT_DEFINITION__INIT;
    Polos__V1__AgentServiceRegisterRequest request =
        POLOS__V1__AGENT_SERVICE_REGISTER_REQUEST__INIT;
    fill_agent(&agent, &tool, &stop);
    request.agent = &agent;
    Polos__V1__AgentServiceRegisterResponse *registered =
        world_ask(&world, "/polos.v1.AgentService/Register", &request.base, CODE_OK);
    Polos__V1__AgentServiceGetRequest get = POLOS__V1__AGENT_SERVICE_GET_REQUEST__INIT;
    get.agent_id = (char *)"helper";
    Polos__V1__AgentServiceGetResponse *got =
        world_ask(&world, "/polos.v1.AgentService/Get", &get.base, CODE_OK);
    expect_same(&got->agent->definition->base, &agent.base);
    assert_string_equal(got->agent->definition_hash, registered->definition_hash);
    assert_true(got->agent->newest);
    assert_int_equal(got->agent->hosts, 0);
    assert_int_equal(got->agent->runs, 0);
    assert_int_equal(got->agent->n_missing_offers, 1);
    assert_string_equal(got->agent->missing_offers[0], "look");
    free_message(got);
    agent.output_retries = 11;
    world_refused(&world, "/polos.v1.AgentService/Register", &request.base, CODE_INVALID_ARGUMENT,
                  "INVALID_FIELD", "agent.output_retries");
    agent.output_retries = 10;
    agent.output_schema_json = (char *)"[]";
    world_refused(&world, "/polos.v1.AgentService/Register", &request.base, CODE_INVALID_ARGUMENT,
                  "INVALID_FIELD", "agent.output_schema_json");
    free_message(registered);
    world_fini(&world);
}

static bool break_row(void *context, str key, str value)
{
    struct store_batch *batch = context;
    (void)value;
    store_batch_put(batch, STORE_DEFINITIONS, key, STR("\xff\xff"));
    return true;
}

static void a_damaged_agent_says_so(void **state)
{
    (void)state;
    struct world world;
    struct store_batch batch = {.count = 0};
    world_init(&world, 0);
    free_message(put(&world, "helper", "one"));
    assert_true(status_is_ok(store_scan(&world.store, STORE_DEFINITIONS, STR_EMPTY, STR_EMPTY,
                                        false, SIZE_MAX, break_row, &batch)));
    assert_true(status_is_ok(store_commit(&world.store, &batch)));
    store_batch_fini(&batch);
    Polos__V1__AgentServiceGetRequest get = POLOS__V1__AGENT_SERVICE_GET_REQUEST__INIT;
    get.agent_id = (char *)"helper";
    world_refused(&world, "/polos.v1.AgentService/Get", &get.base, CODE_DATA_LOSS, "STORE_DAMAGED",
                  "");
    Polos__V1__AgentServiceListRequest list = POLOS__V1__AGENT_SERVICE_LIST_REQUEST__INIT;
    world_refused(&world, "/polos.v1.AgentService/List", &list.base, CODE_DATA_LOSS,
                  "STORE_DAMAGED", "");
    world_fini(&world);
}

/* The prompts of all versions of "helper", newest first, in pages of that size. */
static void expect_versions(struct world *world, int32_t size, const char *const *prompts,
                            size_t count)
{
    Polos__V1__AgentServiceListRequest request = POLOS__V1__AGENT_SERVICE_LIST_REQUEST__INIT;
    char token[64] = "";
    size_t seen = 0;
    request.page_size = size;
    request.page_token = token;
    request.versions_of = (char *)"helper";
    do {
        Polos__V1__AgentServiceListResponse *page =
            world_ask(world, "/polos.v1.AgentService/List", &request.base, CODE_OK);
        for (size_t i = 0; i < page->n_agents; i++, seen++) {
            assert_in_range(seen, 0, count - 1);
            assert_string_equal(page->agents[i]->definition->system_prompt, prompts[seen]);
            assert_int_equal(page->agents[i]->newest, seen == 0);
            assert_non_null(page->agents[i]->registered_at);
        }
        snprintf(token, sizeof(token), "%s", page->next_page_token);
        free_message(page);
    } while (token[0] != '\0');
    assert_int_equal(seen, count);
}

static void versions_are_listed_and_deleted(void **state)
{
    (void)state;
    static const char *const prompts[] = {"three", "two", "one"};
    struct world world;
    world_init(&world, 0);
    Polos__V1__AgentServiceRegisterResponse *first = put(&world, "helper", "one");
    free_message(put(&world, "helper", "two"));
    Polos__V1__AgentServiceRegisterResponse *newest = put(&world, "helper", "three");
    for (int32_t size = 1; size <= 4; size++) {
        expect_versions(&world, size, prompts, 3);
    }
    Polos__V1__AgentServiceListRequest bad = POLOS__V1__AGENT_SERVICE_LIST_REQUEST__INIT;
    bad.versions_of = (char *)"helper";
    bad.page_token = (char *)"helper";
    world_refused(&world, "/polos.v1.AgentService/List", &bad.base, CODE_INVALID_ARGUMENT,
                  "INVALID_FIELD", "page_token");
    Polos__V1__AgentServiceDeleteRequest gone = POLOS__V1__AGENT_SERVICE_DELETE_REQUEST__INIT;
    const char *path = "/polos.v1.AgentService/Delete";
    gone.agent_id = (char *)"helper";
    gone.definition_hash = newest->definition_hash;
    world_refused(&world, path, &gone.base, CODE_FAILED_PRECONDITION, "DEFINITION_IN_USE",
                  "definition_hash");
    gone.definition_hash = first->definition_hash;
    free_message(world_ask(&world, path, &gone.base, CODE_OK));
    expect_versions(&world, 1, prompts, 2);
    world_refused(&world, path, &gone.base, CODE_NOT_FOUND, "AGENT_NOT_FOUND", "agent_id");
    gone.definition_hash = (char *)"12";
    world_refused(&world, path, &gone.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "definition_hash");
    gone.definition_hash = (char *)"";
    free_message(world_ask(&world, path, &gone.base, CODE_OK));
    expect_versions(&world, 1, prompts, 0);
    free_message(first);
    free_message(newest);
    world_fini(&world);
}

static void agents_come_in_pages(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    static const char *const ids[AGENTS] = {"a", "b", "ba", "c", "d"};
    for (size_t i = 0; i < AGENTS; i++) {
        free_message(put(&world, ids[AGENTS - 1 - i], "old"));
        free_message(put(&world, ids[AGENTS - 1 - i], "new"));
    }
    const char *path = "/polos.v1.AgentService/List";
    for (int32_t size = 1; size <= AGENTS + 1; size++) {
        Polos__V1__AgentServiceListRequest request = POLOS__V1__AGENT_SERVICE_LIST_REQUEST__INIT;
        char token[8] = "";
        size_t seen = 0;
        request.page_size = size;
        request.page_token = token;
        do {
            Polos__V1__AgentServiceListResponse *page =
                world_ask(&world, path, &request.base, CODE_OK);
            assert_true(page->n_agents > 0 && page->n_agents <= (size_t)size);
            for (size_t i = 0; i < page->n_agents; i++) {
                assert_string_equal(page->agents[i]->definition->id, ids[seen++]);
                assert_string_equal(page->agents[i]->definition->system_prompt, "new");
            }
            snprintf(token, sizeof(token), "%s", page->next_page_token);
            free_message(page);
        } while (token[0] != '\0');
        assert_int_equal(seen, AGENTS);
    }
    Polos__V1__AgentServiceListRequest bad = POLOS__V1__AGENT_SERVICE_LIST_REQUEST__INIT;
    bad.page_token = (char *)"no name";
    world_refused(&world, path, &bad.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "page_token");
    bad.page_token = (char *)"";
    bad.page_size = 1001;
    world_refused(&world, path, &bad.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "page_size");
    world_fini(&world);
}

/* What is large makes a page short; no agent is lost for it. */
static void large_agents_make_short_pages(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    enum {
        PROMPT_BYTES = 600 << 10,
    };
    char *prompt = malloc(PROMPT_BYTES + 1);
    memset(prompt, 'x', PROMPT_BYTES);
    prompt[PROMPT_BYTES] = '\0';
    free_message(put(&world, "a", prompt));
    free_message(put(&world, "b", prompt));
    Polos__V1__AgentServiceListRequest request = POLOS__V1__AGENT_SERVICE_LIST_REQUEST__INIT;
    const char *path = "/polos.v1.AgentService/List";
    Polos__V1__AgentServiceListResponse *page = world_ask(&world, path, &request.base, CODE_OK);
    assert_int_equal(page->n_agents, 1);
    assert_string_equal(page->next_page_token, "a");
    free_message(page);
    request.page_token = (char *)"a";
    page = world_ask(&world, path, &request.base, CODE_OK);
    assert_int_equal(page->n_agents, 1);
    assert_string_equal(page->agents[0]->definition->id, "b");
    assert_string_equal(page->next_page_token, "");
    free_message(page);
    free(prompt);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agent_and_its_versions),
        cmocka_unit_test(an_agent_keeps_its_queue),
        cmocka_unit_test(an_agent_is_answered_as_it_was_registered),
        cmocka_unit_test(a_damaged_agent_says_so),
        cmocka_unit_test(versions_are_listed_and_deleted),
        cmocka_unit_test(agents_come_in_pages),
        cmocka_unit_test(large_agents_make_short_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
