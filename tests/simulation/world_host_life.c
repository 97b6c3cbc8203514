/*
 * How hosts come and go: processes that die and are started anew, streams that break, that look
 * alive and are deaf, that are dialled again with the session or without.
 */
#include <stdio.h>
#include <stdlib.h>

#include "service/base/failure.h"
#include "service/features/tasks/tasks.h"
#include "service/partition/request.h"
#include "tests/simulation/world_hosts.h"

enum {
    SLOTS_MAX = 3,
};

static const struct {
    const char *tools[4];
    const char *workflows[4];
} offers[WORLD_HOSTS] = {
    {{"add", "search", "send", "slow"}, {"flow", "single", "batch"}},
    {{"add", "slow"}, {"flow", "sleepy", "batch"}},
    {{"search", "send"}, {"single"}},
    {{"solo"}, {"sleepy"}},
};

static const char *const versions[] = {"v1", "v2", "v3"};
static const char *const languages[WORLD_HOSTS] = {"python", "typescript", "", "python"};

/* ---- Definitions. ---- */

const struct agent_definition *world_definition(struct world *world, unsigned version)
{
    static const struct {
        const char *name;
        uint64_t timeout_ms;
        bool at_most_once;
    } rows[] = {
        {"add", 0, false},     {"search", 0, false},     {"send", 0, true},
        {"slow", 5000, false}, {"nowhere", 8000, false},
    };
    struct tool_definition *tools = arena_zalloc(&world->arena, sizeof(*tools) * COUNT_OF(rows));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        tools[i] = (struct tool_definition){.name = str_of(rows[i].name),
                                            .timeout_ms = rows[i].timeout_ms,
                                            .at_most_once = rows[i].at_most_once};
    }
    static const struct callback callbacks[] = {
        {.phase = CALLBACK_RUN_START, .name = {"check", 5}, .timeout_ms = 0},
        {.phase = CALLBACK_TURN_START, .name = {"check", 5}, .timeout_ms = 0},
        {.phase = CALLBACK_TOOL_START, .name = {"check", 5}, .timeout_ms = 0},
        {.phase = CALLBACK_TOOL_START, .name = {"trim", 4}, .timeout_ms = 90000},
        {.phase = CALLBACK_TOOL_END, .name = {"trim", 4}, .timeout_ms = 0},
        {.phase = CALLBACK_TURN_END, .name = {"check", 5}, .timeout_ms = 0},
        {.phase = CALLBACK_RUN_END, .name = {"check", 5}, .timeout_ms = 60000},
        {.phase = CALLBACK_RUN_END, .name = {"trim", 4}, .timeout_ms = 0},
        {.phase = CALLBACK_REPLY, .name = {"check", 5}, .timeout_ms = 0},
        {.phase = CALLBACK_REPLY, .prompt = {"Be kind.", 8}},
    };
    struct agent_definition *definition = arena_zalloc(&world->arena, sizeof(*definition));
    *definition = (struct agent_definition){
        .id = STR("helper"),
        .provider = STR("invented"),
        .model = STR("m"),
        .system_prompt = arena_printf(&world->arena, "%u", version),
        .tools = tools,
        .tool_count = COUNT_OF(rows),
        .temperature = 0.5,
        .max_steps = version == 0 ? 3 : 5,
        .max_total_tokens = version == 1 ? 300 : 0,
        .output_schema_json = version % 2 == 1 ? STR(WORLD_OUTPUT_SCHEMA) : STR_EMPTY,
        .output_retries = version % 4 == 1 ? 1 : 2,
        .callbacks = callbacks,
        .callback_count = version % 3 == 2 ? COUNT_OF(callbacks) : 0,
        .guardrail_retries = 2,
    };
    return definition;
}

/* ---- Life. ---- */

static void new_process(struct sim_host *host)
{
    struct world *world = host->world;
    bool same_name = world_fault(world, 25) && host->incarnation > 0;
    host->incarnation += !same_name;
    snprintf(host->id, sizeof(host->id), "h%u-%u", host->index, host->incarnation);
    host->slots = 1 + (uint32_t)world_below(world, SLOTS_MAX);
    host->deployment = versions[(host->index + host->incarnation) % COUNT_OF(versions)];
    host->token = STR_EMPTY;
    host->sent = 0;
    host->dealt = 0;
    host->held_count = 0;
    host->unacknowledged_count = 0;
    host->is_leaving = false;
    host->is_frozen = false;
    host->steady_ms = UINT64_MAX;
}

static void gone_done(struct request *request, const struct failure *failure)
{
    struct world *world = request->context;
    (void)failure;
    world->open_requests--;
    request_free(request);
}

/* The server learns that a stream has broken. */
static void tell_gone(struct world *world, void *context, uint64_t life)
{
    struct sim_link *link = context;
    if (!link->is_open || world->life != life) {
        return;
    }
    link->is_open = false;
    struct request *request = request_new(&host_gone_operation);
    host_request(request)->link = &link->link;
    request->context = world;
    request->done = gone_done;
    if (world_post(world, request)) {
        world->open_requests++;
    }
}

static void break_link(struct sim_host *host, uint64_t again_ms)
{
    struct world *world = host->world;
    if (host->link == NULL) {
        return;
    }
    struct sim_link *link = host->link;
    sim_host_lose_link(host, again_ms);
    if (world_fault(world, 30)) {
        world_at(world, world_below(world, 30000), tell_gone, link, world->life);
    } else {
        tell_gone(world, link, world->life);
    }
}

static void hello_done(struct request *request, const struct failure *failure)
{
    struct world *world = request->context;
    world->open_requests--;
    /* Else the link was closed, or the process is gone: dialled again either way. */
    for (size_t i = 0;
         failure == NULL && !world->is_dead && i < hello_request(request)->trigger_count; i++) {
        unsigned trigger = 0;
        while (!str_equal(world_trigger_workflow(trigger),
                          hello_request(request)->triggers[i].workflow)) {
            trigger++;
        }
        world_expect(world,
                     world->triggers[trigger].is_there || world->triggers[trigger].is_dropped,
                     "offered-triggers-are-durable");
    }
    request_free(request);
}

static void fill_offers(struct sim_host *host, struct host_hello *hello)
{
    struct host_offer *list = arena_zalloc(&host->world->arena, 16 * sizeof(*list));
    for (size_t i = 0; i < COUNT_OF(offers[0].tools) && offers[host->index].tools[i]; i++) {
        list[hello->offer_count++] =
            (struct host_offer){TASK_TOOL, str_of(offers[host->index].tools[i])};
    }
    for (size_t i = 0; i < COUNT_OF(offers[0].workflows) && offers[host->index].workflows[i]; i++) {
        list[hello->offer_count++] =
            (struct host_offer){TASK_WORKFLOW, str_of(offers[host->index].workflows[i])};
    }
    if (host->index < 2) { /* Of the agent that is called "helper". */
        list[hello->offer_count++] = (struct host_offer){TASK_CALLBACK, STR("helper/check")};
        list[hello->offer_count++] = (struct host_offer){TASK_CALLBACK, STR("helper/trim")};
    }
    hello->offers = list;
}

static void fill_hello(struct sim_host *host, struct host_hello *hello)
{
    struct arena *arena = &host->world->arena;
    struct held_task *held = arena_alloc(arena, (host->held_count + 1) * sizeof(*held));
    for (size_t i = 0; i < host->held_count; i++) {
        held[i] = (struct held_task){host->held[i].task, host->held[i].epoch};
    }
    *hello = (struct host_hello){
        .host_id = arena_copy(arena, str_of(host->id)),
        .deployment = str_of(host->deployment),
        .language = str_of(languages[host->index]),
        .slots = host->slots,
        .session = host->token,
        .ack = host->token.len > 0 ? host->dealt : 0,
        .held = held,
        .held_count = host->held_count,
    };
    fill_offers(host, hello);
}

void sim_host_dial(struct world *world, void *context, uint64_t number)
{
    struct sim_host *host = context;
    if (host->number != number || host->link != NULL) {
        return;
    }
    if (host->is_frozen) {
        world_at(world, 500, sim_host_dial, host, number);
        return;
    }
    if (world_fault(world, 10)) {
        host->token = STR_EMPTY; /* It forgot, and does not know what the session was sent. */
        sim_host_renumber(host);
    }
    struct sim_link *link = arena_zalloc(&world->arena, sizeof(*link));
    link->link.vtable = &sim_link_vtable;
    link->host = host;
    link->is_open = true;
    struct request *request = request_new(&hello_operation);
    hello_request(request)->link = &link->link;
    fill_hello(host, &hello_request(request)->hello);
    if (host->index == 0) {
        hello_request(request)->definitions =
            world_definition(world, (unsigned)world_below(world, 3));
        hello_request(request)->definition_count = 1;
    }
    world_offer_clockwork(world, host->index, host->deployment, request);
    request->context = world;
    request->done = hello_done;
    host->link = link;
    host->is_welcomed = false;
    if (!world_post(world, request)) {
        sim_host_lose_link(host, 500 + world_below(world, 2000));
        return;
    }
    world->open_requests++;
}

/* The host reads again: all that was held back. */
static void drain_link(struct world *world, void *context, uint64_t life)
{
    struct sim_link *link = context;
    link->is_full = false;
    if (!link->is_open || world->life != life) {
        return;
    }
    link->host->welcomed_ms = world->time_ms;
    struct request *request = request_new(&host_writable_operation);
    host_request(request)->link = &link->link;
    request->context = world;
    request->done = gone_done;
    if (world_post(world, request)) {
        world->open_requests++;
    }
}

/* It reads nothing for a while. */
static void fill_link(struct sim_host *host)
{
    struct world *world = host->world;
    if (world->calm || host->link == NULL || host->link->is_full ||
        !draw_chance(&world->peers, 6)) {
        return;
    }
    host->link->is_full = true;
    world->counts.full_streams++;
    world_at(world, draw_below(&world->peers, 8000), drain_link, host->link, world->life);
}

static void die(struct sim_host *host)
{
    world_say(host->world, "host %s: dies", host->id);
    host->world->counts.host_deaths++;
    uint64_t again_ms = 100 + world_below(host->world, 20000);
    if (host->link != NULL) {
        break_link(host, again_ms);
    } else {
        host->number++;
        world_at(host->world, again_ms, sim_host_dial, host, host->number);
    }
    new_process(host);
}

static void leave(struct sim_host *host)
{
    if (!host->is_leaving) {
        host->is_leaving = true;
        sim_host_say(host, (struct host_message){.kind = HOST_MESSAGE_DRAIN}, false);
    } else if (host->held_count == 0) {
        die(host);
    }
}

/* Heartbeats, acknowledgements and accidents, as long as the world turns. */
static void beat(struct world *world, void *context, uint64_t number)
{
    struct sim_host *host = context;
    (void)number;
    struct host_message heartbeat = {.kind = HOST_MESSAGE_HEARTBEAT};
    if (host->is_frozen) {
        world_at(world, world->lease_ms / 3, beat, host, 0);
        return;
    }
    sim_host_post(host, &heartbeat);
    sim_host_trouble(host);
    if (host->is_frozen) {
        world_at(world, world->lease_ms / 3, beat, host, 0);
        return;
    }
    fill_link(host);
    if (host->is_leaving) {
        leave(host);
    } else if (world_fault(world, 4)) {
        die(host);
    } else if (world_fault(world, 8)) {
        break_link(host, 50 + world_below(world, 25000));
    } else if (host->link != NULL && world_fault(world, 4)) {
        host->link->is_deaf = true;
        world_say(world, "host %s: deaf", host->id);
    } else if (host->link != NULL && host->link->is_deaf && world_below(world, 3) == 0) {
        break_link(host, 50);
    } else if (sim_host_is_connected(host) && world_fault(world, 2)) {
        leave(host);
    }
    world_at(world, world->lease_ms / 3, beat, host, 0);
}

void world_hosts_begin(struct world *world)
{
    sim_host_set_world(world);
    for (unsigned i = 0; i < WORLD_HOSTS; i++) {
        struct sim_host *host = xcalloc(1, sizeof(*host));
        world->hosts[i] = host;
        host->world = world;
        host->index = i;
        new_process(host);
        world_at(world, world_below(world, 4000), sim_host_dial, host, host->number);
        world_at(world, world_below(world, 5000), beat, host, 0);
    }
}

void world_hosts_end_life(struct world *world)
{
    for (unsigned i = 0; i < WORLD_HOSTS; i++) {
        struct sim_host *host = world->hosts[i];
        if (host->link != NULL) {
            host->link->is_open = false;
            sim_host_lose_link(host, 100 + world_below(world, 5000));
        }
    }
}

void world_hosts_calm(struct world *world)
{
    for (unsigned i = 0; i < WORLD_HOSTS; i++) {
        if (world->hosts[i]->link != NULL && world->hosts[i]->link->is_deaf) {
            break_link(world->hosts[i], 50);
        }
    }
}

void world_hosts_free(struct world *world)
{
    for (unsigned i = 0; i < WORLD_HOSTS; i++) {
        free(world->hosts[i]->pieces);
        free(world->hosts[i]);
        world->hosts[i] = NULL;
    }
}
