/*
 * hello_host: an agent with a tool, in one process.
 *
 *     polosd --listen 127.0.0.1:8080 &
 *     hello_host 127.0.0.1:8080 "What is the weather in Lisbon?"
 *
 * Offers the tool and the agent, runs the agent, prints its answer. The model is `scripted`,
 * which asks nobody; with another provider and its key in the server's environment it is real.
 */
#include <stdio.h>

#include "clients/c/polos_host.h"

struct hello {
    struct polos_loop *loop;
    struct polos_client *client;
    struct polos_host *host;
    const char *question;
    int exit_code;
};

static void stopped(void *context)
{
    struct hello *hello = context;
    polos_loop_stop(hello->loop);
}

static void answered(void *context, const struct polos_error *error, const ProtobufCMessage *answer)
{
    struct hello *hello = context;
    const Polos__V1__AgentServiceRunResponse *response = (const void *)answer;
    if (error != NULL) {
        fprintf(stderr, "hello_host: %s\n", error->message);
        hello->exit_code = 1;
    } else {
        printf("%s\n", response->run->result_json);
    }
    polos_host_stop(hello->host, stopped, hello);
}

/* The server knows the tool and the agent now. */
static void connected(void *context, bool resumed)
{
    struct hello *hello = context;
    Polos__V1__AgentServiceRunRequest request = POLOS__V1__AGENT_SERVICE_RUN_REQUEST__INIT;
    if (resumed) {
        return;
    }
    request.agent_id = (char *)"weather";
    request.input = (char *)hello->question;
    polos_call(hello->client, POLOS_AGENT_RUN, &request.base, 60000, answered, hello);
}

static void refused(void *context, const struct polos_error *error)
{
    struct hello *hello = context;
    fprintf(stderr, "hello_host: refused: %s %s\n", error->field, error->message);
    hello->exit_code = 1;
    polos_loop_stop(hello->loop);
}

static void get_weather(void *context, struct polos_task *task)
{
    static const struct polos_outcome sunny = {.value_json = "\"sunny, 22 degrees\""};
    (void)context;
    printf("get_weather(%s)\n", polos_task_message(task)->input_json);
    polos_task_done(task, &sunny);
}

static void offer(struct hello *hello)
{
    Polos__V1__ToolDefinition tool = POLOS__V1__TOOL_DEFINITION__INIT;
    Polos__V1__ToolDefinition *tools[] = {&tool};
    Polos__V1__AgentDefinition agent = POLOS__V1__AGENT_DEFINITION__INIT;
    Polos__V1__ModelSpec model = POLOS__V1__MODEL_SPEC__INIT;
    Polos__V1__ModelSpec *models[] = {&model};
    tool.id = (char *)"get_weather";
    tool.description = (char *)"The weather in a city";
    tool.parameters_json =
        (char *)"{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}";
    agent.id = (char *)"weather";
    model.provider = (char *)"scripted";
    model.model = (char *)"scripted";
    agent.n_models = 1;
    agent.models = models;
    agent.n_tools = 1;
    agent.tools = tools;
    polos_host_offer_tool(hello->host, &tool, get_weather, hello);
    polos_host_offer_agent(hello->host, &agent);
}

int main(int argc, char **argv)
{
    struct hello hello = {.question = argc > 2 ? argv[2] : "What is the weather in Lisbon?"};
    struct polos_host_options options = {
        .connected = connected, .refused = refused, .context = &hello};
    hello.loop = polos_loop_new();
    hello.client = polos_client_new(hello.loop, argc > 1 ? argv[1] : "127.0.0.1:8080", 1);
    hello.host = polos_host_new(hello.client, &options);
    offer(&hello);
    polos_host_start(hello.host);
    polos_loop_run(hello.loop);
    polos_host_free(hello.host);
    polos_client_free(hello.client);
    polos_loop_free(hello.loop);
    return hello.exit_code;
}
