#include <math.h>

#include "polos/v1/agents.pb-c.h"
#include "service/agents/definition.h"
#include "service/api/check.h"
#include "service/api/methods.h"
#include "service/api/reading.h"
#include "service/api/text.h"
#include "service/api/times.h"
#include "service/reads/agents.h"

enum {
    AGENTS_PAGE = 100,
    AGENTS_PAGE_MAX = 1000,
    HASH_TEXT_LEN = 2 * KEY_HASH_BYTES,
};

static Polos__V1__ToolDefinition *view_tool(const struct tool_definition *tool, struct arena *arena)
{
    Polos__V1__ToolDefinition *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__tool_definition__init(ret);
    ret->name = text_of(arena, tool->name);
    ret->description = text_of(arena, tool->description);
    ret->parameters_json = text_of(arena, tool->parameters_json);
    ret->timeout_ms = (int64_t)tool->timeout_ms;
    ret->at_most_once = tool->at_most_once;
    return ret;
}

static Polos__V1__AgentDefinition *view_definition(const struct agent_definition *agent,
                                                   struct arena *arena)
{
    Polos__V1__AgentDefinition *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__agent_definition__init(ret);
    ret->id = text_of(arena, agent->id);
    ret->description = text_of(arena, agent->description);
    ret->provider = text_of(arena, agent->provider);
    ret->model = text_of(arena, agent->model);
    ret->system_prompt = text_of(arena, agent->system_prompt);
    ret->base_url = text_of(arena, agent->base_url);
    ret->provider_options_json = text_of(arena, agent->options_json);
    ret->output_schema_json = text_of(arena, agent->output_schema_json);
    ret->queue = text_of(arena, agent->queue);
    ret->max_output_tokens = (int32_t)agent->max_output_tokens;
    ret->max_steps = (int32_t)agent->max_steps;
    ret->max_total_tokens = (int64_t)agent->max_total_tokens;
    if (!isnan(agent->temperature)) {
        ret->_temperature_case = POLOS__V1__AGENT_DEFINITION___TEMPERATURE_TEMPERATURE;
        ret->temperature = agent->temperature;
    }
    ret->tools = arena_alloc(arena, agent->tool_count * sizeof(ret->tools[0]));
    for (size_t i = 0; i < agent->tool_count; i++) {
        ret->tools[ret->n_tools++] = view_tool(&agent->tools[i], arena);
    }
    return ret;
}

static status view_line(const struct agent_line *line, struct arena *arena, Polos__V1__Agent **ret)
{
    struct agent_definition agent;
    TRY(agent_definition_decode(line->encoded, arena, &agent));
    *ret = arena_alloc(arena, sizeof(**ret));
    polos__v1__agent__init(*ret);
    (*ret)->definition = view_definition(&agent, arena);
    (*ret)->definition_hash = text_of_hash(arena, str_make(line->hash, KEY_HASH_BYTES));
    return STATUS_OK;
}

static void fail_damaged(struct read *read, status why)
{
    struct failure failure = failure_make(why.code, REASON_STORE_DAMAGED, str_of(why.why));
    api_call_fail(reading_call(read), &failure);
    reading_end(read);
}

static void fail_missing(struct read *read)
{
    struct failure failure = failure_make(
        CODE_NOT_FOUND, REASON_AGENT_NOT_FOUND,
        STR("no such agent, or no such version of it, is registered; AgentService.List shows the "
            "agents"));
    failure.field = STR("agent_id");
    api_call_fail(reading_call(read), &failure);
    reading_end(read);
}

/* ---- Get. ---- */

static void was_got(struct read *read, const struct failure *failure)
{
    if (reading_failed(read, failure)) {
        return;
    }
    const struct agents_read *agents = agents_read(read);
    Polos__V1__AgentServiceGetResponse response = POLOS__V1__AGENT_SERVICE_GET_RESPONSE__INIT;
    if (agents->ret_count == 0) {
        fail_missing(read);
        return;
    }
    status viewed = view_line(&agents->ret_lines[0], &read->arena, &response.agent);
    if (!status_is_ok(viewed)) {
        fail_damaged(read, viewed);
    } else if (!str_is(agents->id, response.agent->definition->id)) {
        fail_missing(read); /* The version is another agent's. */
    } else {
        api_call_reply(reading_call(read), &response.base);
        reading_end(read);
    }
}

static bool take_hash(struct check *check, str text, str *ret)
{
    static const char digits[] = "0123456789abcdef";
    char *bytes = arena_zalloc(check->arena, KEY_HASH_BYTES);
    if (text.len == 0) {
        return true;
    }
    bool is_fine = text.len == HASH_TEXT_LEN;
    for (size_t i = 0; is_fine && i < text.len; i++) {
        const char *digit = memchr(digits, text.ptr[i], sizeof(digits) - 1);
        is_fine = digit != NULL;
        bytes[i / 2] = (char)(bytes[i / 2] << 4 | (is_fine ? (int)(digit - digits) : 0));
    }
    *ret = str_make(bytes, KEY_HASH_BYTES);
    return is_fine ||
           check_fault(check, "definition_hash", "pass it as AgentService.Register answered it");
}

static void get_agent(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__AgentServiceGetRequest *proto = (const void *)message;
    struct read *read = reading_new(call, &agents_kind, was_got);
    struct check check = {.arena = &read->arena};
    agents_read(read)->limit = 1;
    agents_read(read)->id = check_copy(&check, proto->agent_id);
    bool is_fine = check_name(&check, "agent_id", agents_read(read)->id) &&
                   take_hash(&check, str_of(proto->definition_hash), &agents_read(read)->hash);
    reading_post_checked(read, is_fine, &check);
}

/* ---- List. ---- */

static void was_listed(struct read *read, const struct failure *failure)
{
    if (reading_failed(read, failure)) {
        return;
    }
    const struct agents_read *agents = agents_read(read);
    Polos__V1__AgentServiceListResponse response = POLOS__V1__AGENT_SERVICE_LIST_RESPONSE__INIT;
    response.agents = arena_alloc(&read->arena, agents->limit * sizeof(response.agents[0]));
    for (size_t i = 0; i < agents->ret_count; i++) {
        status viewed =
            view_line(&agents->ret_lines[i], &read->arena, &response.agents[response.n_agents++]);
        if (!status_is_ok(viewed)) {
            fail_damaged(read, viewed);
            return;
        }
    }
    response.next_page_token = text_of(&read->arena, agents->ret_last);
    api_call_reply(reading_call(read), &response.base);
    reading_end(read);
}

static void list_agents(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__AgentServiceListRequest *proto = (const void *)message;
    struct read *read = reading_new(call, &agents_kind, was_listed);
    struct agents_read *agents = agents_read(read);
    struct check check = {.arena = &read->arena};
    agents->after = check_copy(&check, proto->page_token);
    bool is_fine =
        check_page_size(&check, proto->page_size, AGENTS_PAGE, AGENTS_PAGE_MAX, &agents->limit) &&
        (agents->after.len == 0 || check_name(&check, "page_token", agents->after));
    reading_post_checked(read, is_fine, &check);
}

const struct api_method agent_list_methods[] = {
    {
        .path = "/polos.v1.AgentService/Get",
        .is_read = true,
        .request = &polos__v1__agent_service_get_request__descriptor,
        .response = &polos__v1__agent_service_get_response__descriptor,
        .start = get_agent,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.AgentService/List",
        .is_read = true,
        .request = &polos__v1__agent_service_list_request__descriptor,
        .response = &polos__v1__agent_service_list_response__descriptor,
        .start = list_agents,
        .closed = exchange_closed,
    },
    {.path = NULL},
};
