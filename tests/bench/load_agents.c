/* Agent runs: the scripted model calls a tool of this process, and then answers. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/load.h"

static const char script[] =
    "{\"script\": [{\"tool_calls\": [{\"name\": \"bench_tool\", \"arguments\": {\"city\": "
    "\"NYC\"}}]}, {\"text\": \"The weather in NYC is {{tool_result}}.\"}]}";

struct caller {
    struct agents *agents;
    uint64_t called_us;
};

struct agents {
    struct load *load;
    unsigned called;
    unsigned answered;
};

static void call(struct caller *caller);

static void answer_tool(void *context, struct polos_task *task)
{
    static const struct polos_outcome sunny = {.value_json = "\"sunny, 22 degrees\""};
    (void)context;
    polos_task_done(task, &sunny);
}

static void answered(void *context, const struct polos_error *error, const ProtobufCMessage *answer)
{
    struct caller *caller = context;
    struct agents *agents = caller->agents;
    const Polos__V1__AgentServiceRunResponse *response = (const void *)answer;
    load_must(error);
    if (response->run->status != POLOS__V1__RUN_STATUS__RUN_STATUS_COMPLETED ||
        response->run->n_turns != 2) {
        fprintf(stderr, "load: run %s did not go as scripted\n", response->run->id);
        exit(1);
    }
    tally_add(&agents->load->tally, polos_now_us() - caller->called_us);
    if (agents->called < agents->load->options.count) {
        call(caller);
        return;
    }
    if (++agents->answered == agents->load->options.in_flight) {
        tally_end(&agents->load->tally);
        polos_loop_stop(agents->load->loop);
    }
}

static void call(struct caller *caller)
{
    Polos__V1__AgentServiceRunRequest request = POLOS__V1__AGENT_SERVICE_RUN_REQUEST__INIT;
    request.agent_id = (char *)"bench-agent";
    request.input = (char *)"What is the weather in NYC?";
    caller->agents->called++;
    caller->called_us = polos_now_us();
    polos_call(caller->agents->load->client, POLOS_AGENT_RUN, &request.base, 60000, answered,
               caller);
}

static void registered(void *context, const struct polos_error *error,
                       const ProtobufCMessage *answer)
{
    struct load *load = context;
    (void)answer;
    load_must(error);
    polos_loop_stop(load->loop);
}

static void define_agent(struct load *load)
{
    Polos__V1__AgentServiceRegisterRequest request =
        POLOS__V1__AGENT_SERVICE_REGISTER_REQUEST__INIT;
    Polos__V1__AgentDefinition agent = POLOS__V1__AGENT_DEFINITION__INIT;
    Polos__V1__ToolDefinition tool = POLOS__V1__TOOL_DEFINITION__INIT;
    Polos__V1__ToolDefinition *tools[] = {&tool};
    Polos__V1__ModelSpec model = POLOS__V1__MODEL_SPEC__INIT;
    Polos__V1__ModelSpec *models[] = {&model};
    tool.id = (char *)"bench_tool";
    tool.parameters_json =
        (char *)"{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}";
    agent.id = (char *)"bench-agent";
    model.provider = (char *)(load->options.model_url != NULL ? "vllm" : "scripted");
    model.base_url = (char *)load->options.model_url;
    model.model = (char *)"scripted";
    agent.system_prompt = (char *)"You tell the weather.";
    model.options_json = (char *)script;
    agent.n_models = 1;
    agent.models = models;
    agent.n_tools = 1;
    agent.tools = tools;
    request.agent = &agent;
    polos_call(load->client, POLOS_AGENT_REGISTER, &request.base, 0, registered, load);
    polos_loop_run(load->loop);
}

void load_agents(struct load *load)
{
    struct agents agents = {.load = load};
    struct caller *callers = calloc(load->options.in_flight, sizeof(*callers));
    unsigned at_once = load->options.in_flight;
    assert(callers != NULL);
    load->options.count = load->options.count < at_once ? at_once : load->options.count;
    load_host_tool(load, "bench_tool", at_once, answer_tool);
    define_agent(load);
    tally_begin(&load->tally);
    for (unsigned i = 0; i < at_once; i++) {
        callers[i].agents = &agents;
        call(&callers[i]);
    }
    polos_loop_run(load->loop);
    double total = load->options.count;
    printf("{\"bench\": \"agents\", \"in_flight\": %u, \"count\": %u, \"runs_per_s\": %.0f, ",
           at_once, load->options.count, tally_per_second(&load->tally, total));
    tally_print(&load->tally, total);
    printf("}\n");
    free(callers);
}
