#include <math.h>

#include "polos/v1/agents.pb-c.h"
#include "service/agents/definition.h"
#include "service/api/check.h"
#include "service/api/methods.h"
#include "service/api/offer_calls.h"
#include "service/api/reading.h"
#include "service/api/text.h"
#include "service/api/times.h"
#include "service/features/definitions/definitions.h"
#include "service/reads/agents.h"

enum {
    AGENTS_PAGE = 100,
    AGENTS_PAGE_MAX = 1000,
};

static Polos__V1__ModelSpec *view_model(const struct agent_definition *agent, struct arena *arena)
{
    Polos__V1__ModelSpec *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__model_spec__init(ret);
    ret->provider = text_of(arena, agent->provider);
    ret->model = text_of(arena, agent->model);
    ret->base_url = text_of(arena, agent->base_url);
    ret->options_json = text_of(arena, agent->options_json);
    ret->max_output_tokens = agent->max_output_tokens;
    if (!isnan(agent->temperature)) {
        ret->_temperature_case = POLOS__V1__MODEL_SPEC___TEMPERATURE_TEMPERATURE;
        ret->temperature = agent->temperature;
    }
    return ret;
}

static Polos__V1__Callback *view_callback(const struct callback *callback, struct arena *arena)
{
    Polos__V1__Callback *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__callback__init(ret);
    ret->name = text_of(arena, callback->name);
    ret->timeout = times_length(arena, callback->timeout_ms);
    return ret;
}

static Polos__V1__Guardrail *view_guardrail(const struct callback *guardrail, struct arena *arena)
{
    Polos__V1__Guardrail *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__guardrail__init(ret);
    if (guardrail->prompt.len > 0) {
        ret->judge_case = POLOS__V1__GUARDRAIL__JUDGE_PROMPT;
        ret->prompt = text_of(arena, guardrail->prompt);
    } else {
        ret->judge_case = POLOS__V1__GUARDRAIL__JUDGE_CALLBACK;
        ret->callback = view_callback(guardrail, arena);
    }
    return ret;
}

static Polos__V1__Hook *view_hook(const struct callback *callback, struct arena *arena)
{
    Polos__V1__Hook *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__hook__init(ret);
    ret->phase = (Polos__V1__CallbackPhase)callback->phase;
    ret->callback = view_callback(callback, arena);
    return ret;
}

static Polos__V1__StopCondition *view_token_limit(uint64_t tokens, struct arena *arena)
{
    Polos__V1__StopCondition *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__stop_condition__init(ret);
    assert(tokens <= INT64_MAX);
    ret->condition_case = POLOS__V1__STOP_CONDITION__CONDITION_MAX_TOKENS;
    ret->max_tokens = (int64_t)tokens;
    return ret;
}

static Polos__V1__AgentDefinition *view_definition(const struct agent_definition *agent,
                                                   struct arena *arena)
{
    Polos__V1__AgentDefinition *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__agent_definition__init(ret);
    ret->id = text_of(arena, agent->id);
    ret->description = text_of(arena, agent->description);
    ret->system_prompt = text_of(arena, agent->system_prompt);
    ret->output_schema_json = text_of(arena, agent->output_schema_json);
    ret->queue = text_of(arena, agent->queue);
    ret->models = arena_alloc(arena, sizeof(ret->models[0]));
    ret->models[ret->n_models++] = view_model(agent, arena);
    ret->max_turns = agent->max_steps;
    if (agent->max_total_tokens > 0) {
        ret->stop_conditions = arena_alloc(arena, sizeof(ret->stop_conditions[0]));
        ret->stop_conditions[ret->n_stop_conditions++] =
            view_token_limit(agent->max_total_tokens, arena);
    }
    ret->_output_retries_case = POLOS__V1__AGENT_DEFINITION___OUTPUT_RETRIES_OUTPUT_RETRIES;
    ret->output_retries = agent->output_retries;
    ret->hooks = arena_alloc(arena, agent->callback_count * sizeof(ret->hooks[0]));
    ret->guardrails = arena_alloc(arena, agent->callback_count * sizeof(ret->guardrails[0]));
    for (size_t i = 0; i < agent->callback_count; i++) {
        const struct callback *callback = &agent->callbacks[i];
        if (callback->phase == CALLBACK_REPLY) {
            ret->guardrails[ret->n_guardrails++] = view_guardrail(callback, arena);
        } else {
            ret->hooks[ret->n_hooks++] = view_hook(callback, arena);
        }
    }
    ret->_guardrail_max_retries_case =
        POLOS__V1__AGENT_DEFINITION___GUARDRAIL_MAX_RETRIES_GUARDRAIL_MAX_RETRIES;
    ret->guardrail_max_retries = agent->guardrail_retries;
    ret->tools = arena_alloc(arena, agent->tool_count * sizeof(ret->tools[0]));
    for (size_t i = 0; i < agent->tool_count; i++) {
        ret->tools[ret->n_tools++] = offer_view_tool(&agent->tools[i], arena);
    }
    return ret;
}

static str hash_of(const struct agent_line *line)
{
    return str_make(line->hash, KEY_HASH_BYTES);
}

static struct offered_name name_of(const struct agent_line *line)
{
    return (struct offered_name){.kind = OFFERED_AGENT_VERSION, .name = hash_of(line)};
}

static status view_line(const struct agent_line *line, uint32_t hosts, struct arena *arena,
                        Polos__V1__Agent **ret)
{
    struct agent_definition agent;
    TRY(agent_definition_decode(line->encoded, arena, &agent));
    *ret = arena_alloc(arena, sizeof(**ret));
    polos__v1__agent__init(*ret);
    (*ret)->definition = view_definition(&agent, arena);
    (*ret)->definition_hash = text_of_hash(arena, hash_of(line));
    (*ret)->registered_at = times_instant(arena, line->registered_ms);
    (*ret)->newest = line->is_newest;
    (*ret)->hosts = hosts;
    (*ret)->runs = (int64_t)line->runs;
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

/* The names: the version's, and those of its tools. */
static void view_missing(const struct offered_name *names, Polos__V1__Agent *agent,
                         struct arena *arena)
{
    size_t count = agent->definition->n_tools;
    agent->missing_offers = arena_alloc(arena, (count + 1) * sizeof(agent->missing_offers[0]));
    for (size_t i = 1; i <= count; i++) {
        if (names[i].ret_hosts == 0) {
            agent->missing_offers[agent->n_missing_offers++] = text_of(arena, names[i].name);
        }
    }
}

static void answer_got(struct read *read, const struct offered_name *names)
{
    const struct agent_line *line = &agents_read(read)->ret_lines[0];
    Polos__V1__AgentServiceGetResponse response = POLOS__V1__AGENT_SERVICE_GET_RESPONSE__INIT;
    assert(names[0].kind == OFFERED_AGENT_VERSION);
    status viewed = view_line(line, names[0].ret_hosts, &read->arena, &response.agent);
    if (!status_is_ok(viewed)) {
        fail_damaged(read, viewed);
        return;
    }
    if (line->is_newest) {
        view_missing(names, response.agent, &read->arena);
    }
    api_call_reply(reading_call(read), &response.base);
    reading_end(read);
}

static void was_got(struct read *read, const struct failure *failure)
{
    if (reading_failed(read, failure)) {
        return;
    }
    const struct agents_read *agents = agents_read(read);
    struct agent_definition agent;
    if (agents->ret_count == 0) {
        fail_missing(read);
        return;
    }
    status read_back = agent_definition_decode(agents->ret_lines[0].encoded, &read->arena, &agent);
    if (!status_is_ok(read_back)) {
        fail_damaged(read, read_back);
        return;
    }
    if (!str_equal(agents->id, agent.id)) {
        fail_missing(read); /* The version is another agent's. */
        return;
    }
    struct offered_name *names =
        arena_zalloc(&read->arena, (1 + agent.tool_count) * sizeof(names[0]));
    names[0] = name_of(&agents->ret_lines[0]);
    for (size_t i = 0; i < agent.tool_count; i++) {
        names[1 + i] = (struct offered_name){.kind = OFFERED_TOOL, .name = agent.tools[i].name};
    }
    offered_ask(read, names, 1 + agent.tool_count, answer_got);
}

/* False: it is not so many bytes in hex. */
static bool take_hex(struct check *check, str text, size_t len, str *ret)
{
    static const char digits[] = "0123456789abcdef";
    char *bytes = arena_zalloc(check->arena, len);
    bool is_fine = text.len == 2 * len;
    for (size_t i = 0; is_fine && i < text.len; i++) {
        const char *digit = memchr(digits, text.ptr[i], sizeof(digits) - 1);
        is_fine = digit != NULL;
        bytes[i / 2] = (char)(bytes[i / 2] << 4 | (is_fine ? (int)(digit - digits) : 0));
    }
    *ret = str_make(bytes, len);
    return is_fine;
}

static bool take_hash(struct check *check, const char *text, str *ret)
{
    str hash = str_of(text);
    return hash.len == 0 || take_hex(check, hash, KEY_HASH_BYTES, ret) ||
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
                   take_hash(&check, proto->definition_hash, &agents_read(read)->hash);
    reading_post_checked(read, is_fine, &check);
}

/* ---- List. ---- */

static char *next_page(const struct agents_read *agents, struct arena *arena)
{
    return agents->wants_versions ? text_of_hash(arena, agents->ret_last)
                                  : text_of(arena, agents->ret_last);
}

static void answer_listed(struct read *read, const struct offered_name *names)
{
    const struct agents_read *agents = agents_read(read);
    Polos__V1__AgentServiceListResponse response = POLOS__V1__AGENT_SERVICE_LIST_RESPONSE__INIT;
    response.agents = arena_alloc(&read->arena, agents->limit * sizeof(response.agents[0]));
    for (size_t i = 0; i < agents->ret_count; i++) {
        status viewed = view_line(&agents->ret_lines[i], names[i].ret_hosts, &read->arena,
                                  &response.agents[response.n_agents++]);
        if (!status_is_ok(viewed)) {
            fail_damaged(read, viewed);
            return;
        }
    }
    response.next_page_token = next_page(agents, &read->arena);
    api_call_reply(reading_call(read), &response.base);
    reading_end(read);
}

static void was_listed(struct read *read, const struct failure *failure)
{
    if (reading_failed(read, failure)) {
        return;
    }
    const struct agents_read *agents = agents_read(read);
    struct offered_name *names = arena_zalloc(&read->arena, agents->limit * sizeof(names[0]));
    assert(agents->ret_count <= agents->limit);
    for (size_t i = 0; i < agents->ret_count; i++) {
        names[i] = name_of(&agents->ret_lines[i]);
    }
    offered_ask(read, names, agents->ret_count, answer_listed);
}

static bool take_place(struct check *check, const char *text, bool is_version, str *ret)
{
    str token = str_of(text);
    if (token.len == 0) {
        return true;
    }
    if (!is_version) {
        *ret = arena_copy(check->arena, token);
        return check_name(check, "page_token", *ret);
    }
    return take_hex(check, token, AGENTS_PLACE_BYTES, ret) ||
           check_fault(check, "page_token", "pass next_page_token of the page before");
}

static void list_agents(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__AgentServiceListRequest *proto = (const void *)message;
    struct read *read = reading_new(call, &agents_kind, was_listed);
    struct agents_read *agents = agents_read(read);
    struct check check = {.arena = &read->arena};
    agents->id = check_copy(&check, proto->versions_of);
    agents->wants_versions = agents->id.len > 0;
    bool is_fine =
        check_page_size(&check, proto->page_size, AGENTS_PAGE, AGENTS_PAGE_MAX, &agents->limit) &&
        (!agents->wants_versions || check_name(&check, "versions_of", agents->id)) &&
        take_place(&check, proto->page_token, agents->wants_versions, &agents->after);
    reading_post_checked(read, is_fine, &check);
}

/* ---- Delete. ---- */

static void was_deleted(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    Polos__V1__AgentServiceDeleteResponse response = POLOS__V1__AGENT_SERVICE_DELETE_RESPONSE__INIT;
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void delete_agent(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__AgentServiceDeleteRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &delete_definition_operation, was_deleted);
    struct delete_definition_request *asked = delete_definition_request(request);
    struct check check = {.arena = &request->arena};
    asked->id = check_copy(&check, proto->agent_id);
    bool is_fine = check_name(&check, "agent_id", asked->id) &&
                   take_hash(&check, proto->definition_hash, &asked->hash);
    exchange_post_checked(request, is_fine, &check);
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
    {
        .path = "/polos.v1.AgentService/Delete",
        .request = &polos__v1__agent_service_delete_request__descriptor,
        .response = &polos__v1__agent_service_delete_response__descriptor,
        .start = delete_agent,
        .closed = exchange_closed,
    },
    {.path = NULL},
};
