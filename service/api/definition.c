#include "service/api/definition.h"

#include <math.h>

static bool take_tools(struct check *check, const char *prefix,
                       const Polos__V1__AgentDefinition *proto, struct agent_definition *ret)
{
    struct arena *arena = check->arena;
    if (!check_range(check, check_path(check, "%stools", prefix), (int64_t)proto->n_tools, 0,
                     AGENT_TOOLS_MAX)) {
        return false;
    }
    struct tool_definition *tools = arena_zalloc(arena, proto->n_tools * sizeof(*tools));
    for (size_t i = 0; i < proto->n_tools; i++) {
        const Polos__V1__ToolDefinition *tool = proto->tools[i];
        const char *field = check_path(check, "%stools[%zu].timeout_ms", prefix, i);
        if (!check_range(check, field, tool->timeout_ms, 0, INT64_MAX)) {
            return false;
        }
        tools[i] = (struct tool_definition){
            .name = check_copy(check, tool->name),
            .description = check_copy(check, tool->description),
            .parameters_json = check_copy(check, tool->parameters_json),
            .timeout_ms = (uint64_t)tool->timeout_ms,
            .at_most_once = tool->at_most_once,
        };
    }
    ret->tools = tools;
    ret->tool_count = proto->n_tools;
    return true;
}

static bool take_numbers(struct check *check, const char *prefix,
                         const Polos__V1__AgentDefinition *proto, struct agent_definition *ret)
{
    bool has_temperature =
        proto->_temperature_case == POLOS__V1__AGENT_DEFINITION___TEMPERATURE_TEMPERATURE;
    if (!check_range(check, check_path(check, "%smax_output_tokens", prefix),
                     proto->max_output_tokens, 0, INT32_MAX) ||
        !check_range(check, check_path(check, "%smax_steps", prefix), proto->max_steps, 0,
                     AGENT_STEPS_MAX) ||
        !check_range(check, check_path(check, "%smax_total_tokens", prefix),
                     proto->max_total_tokens, 0, INT64_MAX)) {
        return false;
    }
    if (has_temperature && !isfinite(proto->temperature)) {
        return check_fault(check, check_path(check, "%stemperature", prefix),
                           "it has to be a number");
    }
    ret->temperature = has_temperature ? proto->temperature : NAN;
    ret->max_output_tokens = (uint32_t)proto->max_output_tokens;
    ret->max_steps = (uint32_t)proto->max_steps;
    ret->max_total_tokens = (uint64_t)proto->max_total_tokens;
    assert(isnan(ret->temperature) != has_temperature);
    return true;
}

bool definition_take(struct check *check, const char *prefix,
                     const Polos__V1__AgentDefinition *proto, struct agent_definition *ret)
{
    assert(proto != NULL); /* Lists hold messages; who takes a single one has looked. */
    assert(check->error.code == CODE_OK);
    struct arena *arena = check->arena;
    *ret = (struct agent_definition){
        .id = check_copy(check, proto->id),
        .description = check_copy(check, proto->description),
        .provider = check_copy(check, proto->provider),
        .model = check_copy(check, proto->model),
        .system_prompt = check_copy(check, proto->system_prompt),
        .base_url = check_copy(check, proto->base_url),
        .options_json = check_copy(check, proto->provider_options_json),
        .output_schema_json = check_copy(check, proto->output_schema_json),
        .queue = check_copy(check, proto->queue),
    };
    if (!take_numbers(check, prefix, proto, ret) || !take_tools(check, prefix, proto, ret)) {
        return false;
    }
    const char *field = "";
    status valid = agent_definition_check(ret, arena, &field);
    if (status_is_ok(valid)) {
        return true;
    }
    /* The sentence begins with the field. */
    size_t said = str_starts_with(str_of(valid.why), str_of(field)) ? strlen(field) : 0;
    return check_fault(check, check_path(check, "%s%s", prefix, field), "it%s", valid.why + said);
}
