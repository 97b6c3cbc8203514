#include "service/api/definition.h"

#include <math.h>

static str copied(struct arena *arena, const char *text)
{
    return arena_copy(arena, str_of(text));
}

static const char *path(struct check *check, const char *prefix, const char *field)
{
    return arena_printf(check->arena, "%s%s", prefix, field).ptr;
}

static bool take_tools(struct check *check, const char *prefix,
                       const Polos__V1__AgentDefinition *proto, struct agent_definition *ret)
{
    struct arena *arena = check->arena;
    if (!check_range(check, path(check, prefix, "tools"), (int64_t)proto->n_tools, 0,
                     AGENT_TOOLS_MAX)) {
        return false;
    }
    struct tool_definition *tools = arena_zalloc(arena, proto->n_tools * sizeof(*tools));
    for (size_t i = 0; i < proto->n_tools; i++) {
        const Polos__V1__ToolDefinition *tool = proto->tools[i];
        str field = arena_printf(arena, "%stools[%zu].timeout_ms", prefix, i);
        if (!check_range(check, field.ptr, tool->timeout_ms, 0, INT64_MAX)) {
            return false;
        }
        tools[i] = (struct tool_definition){
            .name = copied(arena, tool->name),
            .description = copied(arena, tool->description),
            .parameters_json = copied(arena, tool->parameters_json),
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
    if (!check_range(check, path(check, prefix, "max_output_tokens"), proto->max_output_tokens, 0,
                     INT32_MAX) ||
        !check_range(check, path(check, prefix, "max_steps"), proto->max_steps, 0,
                     AGENT_STEPS_MAX) ||
        !check_range(check, path(check, prefix, "max_total_tokens"), proto->max_total_tokens, 0,
                     INT64_MAX)) {
        return false;
    }
    if (has_temperature && !isfinite(proto->temperature)) {
        return check_fault(check, path(check, prefix, "temperature"), "it has to be a number");
    }
    ret->temperature = has_temperature ? proto->temperature : NAN;
    ret->max_output_tokens = (uint32_t)proto->max_output_tokens;
    ret->max_steps = (uint32_t)proto->max_steps;
    ret->max_total_tokens = (uint64_t)proto->max_total_tokens;
    return true;
}

bool definition_take(struct check *check, const char *prefix,
                     const Polos__V1__AgentDefinition *proto, struct agent_definition *ret)
{
    struct arena *arena = check->arena;
    *ret = (struct agent_definition){
        .id = copied(arena, proto->id),
        .description = copied(arena, proto->description),
        .provider = copied(arena, proto->provider),
        .model = copied(arena, proto->model),
        .system_prompt = copied(arena, proto->system_prompt),
        .base_url = copied(arena, proto->base_url),
        .options_json = copied(arena, proto->provider_options_json),
        .output_schema_json = copied(arena, proto->output_schema_json),
        .queue = copied(arena, proto->queue),
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
    return check_fault(check, path(check, prefix, field), "it%s", valid.why + said);
}
