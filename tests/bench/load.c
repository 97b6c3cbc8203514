/*
 * load: puts load on a running polosd and measures what comes back. Client and host at once, in
 * one thread, through the C client.
 *
 *   load steps     --in-flight N --steps M     N workflow runs, each M durable steps one by one
 *   load agents    --in-flight N --count R     R agent runs, N at a time: model, tool, model; with
 *                  [--model-url URL]           a model behind HTTP, else the scripted one
 *   load watch     --watchers W --rate D       D progress deltas a second to W watchers of one run
 *   load park      --count R                   starts R runs that nobody hosts
 *   load list      --in-flight N --seconds S   N callers page through lists that fit no run
 *   load replay    --in-flight N --seconds S   N watchers read the newest run, or a root's tree
 *   load live      --count R                   R runs at work, until standard input ends
 *   load flat      --steps M --count R         R runs one by one: first gaps of steps, last gaps
 *   load pipeline  --steps M --in-flight N     one run, N steps on their way at any time
 *   load abandon   --steps M                   a run with M steps, whose host dies: prints its id
 *   load resume    --run-id ID                 ... and a new host takes it over
 *   load fork      --run-id ID                 ... or it is forked, until the fork has all of it
 *   load sleepers  --count R                   R runs that sleep for an hour
 *   load suspend   --in-flight N --count R     R answers, N runs ask: from Resume to the code
 *   load wake      --in-flight N --count R     the same when the runs are parked meanwhile
 *   load events    --in-flight N --count R     R events that N runs wait for: Publish to the code
 *   load children  --in-flight N --count R     R child runs of N parents: from order to outcome
 *   load tree      --count R                   a run with R children; cancelled when a line comes
 *   load definitions --count N                 N versions of one agent, then a host with N agents
 *
 * --bytes B: what each step of pipeline and abandon is worth; without it, one digit.
 * Every mode: --address HOST:PORT [--connections N] [--server-pid PID]. Prints one line of JSON.
 */
#include "tests/bench/load.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATIENCE_US = 10 * 1000 * 1000, /* Until a server that does not answer is taken for none. */
};

struct mode {
    const char *name;
    void (*run)(struct load *load);
};

static const struct mode modes[] = {
    {"steps", load_steps},       {"agents", load_agents},     {"watch", load_watch},
    {"park", load_park},         {"live", load_live},         {"flat", load_flat},
    {"pipeline", load_pipeline}, {"abandon", load_abandon},   {"resume", load_resume},
    {"sleepers", load_sleepers}, {"suspend", load_suspend},   {"wake", load_wake},
    {"events", load_events},     {"children", load_children}, {"list", load_list},
    {"replay", load_replay},     {"tree", load_tree},         {"definitions", load_definitions},
    {"fork", load_fork},
};

void load_must(const struct polos_error *error)
{
    if (error != NULL) {
        fprintf(stderr, "load: %s %s: %s\n", error->reason, error->field, error->message);
        exit(1);
    }
}

void load_must_answer(void *context, const struct polos_error *error,
                      const ProtobufCMessage *answer)
{
    (void)context;
    (void)answer;
    load_must(error);
}

static void refused(void *context, const struct polos_error *error)
{
    (void)context;
    load_must(error);
}

static void connected(void *context, bool resumed)
{
    struct load *load = context;
    (void)resumed;
    if (!load->is_connected) {
        load->is_connected = true;
        polos_loop_stop(load->loop);
    }
}

static void give_up(void *context)
{
    const struct load *load = context;
    fprintf(stderr, "load: no polosd answers at %s\n", load->options.address);
    exit(1);
}

void load_host_make(struct load *load, uint32_t slots)
{
    struct polos_host_options options = {
        .slots = slots, .connected = connected, .refused = refused, .context = load};
    load->host = polos_host_new(load->client, &options);
}

void load_host_start(struct load *load)
{
    struct polos_timer patience = {.due = give_up, .context = load};
    polos_timer_set(load->loop, &patience, polos_now_us() + PATIENCE_US);
    polos_host_start(load->host);
    polos_loop_run(load->loop);
    polos_timer_clear(load->loop, &patience);
}

static void stopped(void *context)
{
    struct load *load = context;
    polos_loop_stop(load->loop);
}

void load_host_stop(struct load *load)
{
    polos_host_stop(load->host, stopped, load);
    polos_loop_run(load->loop);
    polos_host_free(load->host);
    load->host = NULL;
}

void load_host_workflow(struct load *load, const char *id, uint32_t slots, polos_task_given *given)
{
    load_host_make(load, slots);
    polos_host_offer_workflow(load->host, id, "", given, load);
    load_host_start(load);
}

void load_host_tool(struct load *load, const char *name, uint32_t slots, polos_task_given *given)
{
    Polos__V1__ToolDefinition tool = POLOS__V1__TOOL_DEFINITION__INIT;
    tool.id = (char *)name;
    tool.parameters_json = (char *)"{\"type\":\"object\"}";
    load_host_make(load, slots);
    polos_host_offer_tool(load->host, &tool, given, load);
    load_host_start(load);
}

void load_start(struct load *load, const char *workflow, polos_answered *started)
{
    Polos__V1__WorkflowServiceStartRequest request =
        POLOS__V1__WORKFLOW_SERVICE_START_REQUEST__INIT;
    request.workflow_id = (char *)workflow;
    polos_call(load->client, POLOS_WORKFLOW_START, &request.base, 0, started, load);
}

static int run(const struct mode *mode, const struct load_options *options)
{
    struct load load = {.options = *options};
    load.tally.server_pid = options->server_pid;
    load.loop = polos_loop_new();
    load.client = polos_client_new(load.loop, options->address, options->connections);
    mode->run(&load);
    if (load.host != NULL) {
        load_host_stop(&load);
    }
    polos_client_free(load.client);
    polos_loop_free(load.loop);
    tally_fini(&load.tally);
    return 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: load MODE --address HOST:PORT\n"
                    "            [--in-flight N] [--count N] [--steps N] [--watchers N]\n"
                    "            [--rate N] [--seconds N] [--connections N] [--server-pid PID]\n"
                    "            [--bytes N] [--run-id ID] [--model-url URL]\n");
    return 2;
}

static bool parse(int argc, char **argv, struct load_options *ret)
{
    static const struct option names[] = {
        {"address", required_argument, NULL, 'a'},
        {"in-flight", required_argument, NULL, 'i'},
        {"count", required_argument, NULL, 'c'},
        {"steps", required_argument, NULL, 's'},
        {"watchers", required_argument, NULL, 'w'},
        {"rate", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 't'},
        {"server-pid", required_argument, NULL, 'p'},
        {"connections", required_argument, NULL, 'n'},
        {"bytes", required_argument, NULL, 'b'},
        {"run-id", required_argument, NULL, 'd'},
        {"model-url", required_argument, NULL, 'm'},
        {NULL, 0, NULL, 0},
    };
    unsigned *const numbers[] = {
        ['i'] = &ret->in_flight,  ['c'] = &ret->count,       ['s'] = &ret->steps,
        ['w'] = &ret->watchers,   ['r'] = &ret->rate,        ['t'] = &ret->seconds,
        ['p'] = &ret->server_pid, ['n'] = &ret->connections, ['b'] = &ret->bytes,
    };
    int name;
    while ((name = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (name == '?') {
            return false;
        }
        if (name == 'a') {
            ret->address = optarg;
        } else if (name == 'd') {
            ret->run_id = optarg;
        } else if (name == 'm') {
            ret->model_url = optarg;
        } else {
            *numbers[name] = (unsigned)strtoul(optarg, NULL, 10);
        }
    }
    return ret->address != NULL && ret->in_flight > 0 && ret->count > 0 && ret->steps > 0 &&
           ret->watchers > 0 && ret->seconds > 0;
}

int main(int argc, char **argv)
{
    struct load_options options = {.in_flight = 1,
                                   .count = 1,
                                   .steps = 100,
                                   .watchers = 1,
                                   .rate = 20,
                                   .seconds = 2,
                                   .connections = 4};
    if (!parse(argc, argv, &options) || optind + 1 != argc) {
        return usage();
    }
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(argv[optind], modes[i].name) == 0) {
            return run(&modes[i], &options);
        }
    }
    return usage();
}
