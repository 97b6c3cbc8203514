#include "service/api/definition.h"

#include <math.h>

#include "service/api/options.h"
#include "service/api/times.h"

enum {
    STOP_CONDITIONS_MAX = 32,
};

static bool check_timeout(struct check *check, const char *field,
                          const Google__Protobuf__Duration *timeout, uint64_t *ret_ms)
{
    *ret_ms = 0;
    return timeout == NULL ||
           check_length(check, field, timeout, 0, OPTIONS_TIMEOUT_MS_MAX, ret_ms);
}

static bool take_on_lost(struct check *check, const char *field, Polos__V1__LostCall word,
                         bool *ret_at_most_once)
{
    switch (word) {
    case POLOS__V1__LOST_CALL__LOST_CALL_UNSPECIFIED:
    case POLOS__V1__LOST_CALL__LOST_CALL_REPEAT:
    case POLOS__V1__LOST_CALL__LOST_CALL_UNKNOWN:
        *ret_at_most_once = word == POLOS__V1__LOST_CALL__LOST_CALL_UNKNOWN;
        return true;
    case _POLOS__V1__LOST_CALL_IS_INT_SIZE:
        break;
    }
    return check_fault(check, field, "this server does not know the word");
}

bool definition_take_tool(struct check *check, const char *prefix,
                          const Polos__V1__ToolDefinition *proto, struct tool_definition *ret)
{
    *ret = (struct tool_definition){
        .name = check_copy(check, proto->id),
        .description = check_copy(check, proto->description),
        .parameters_json = check_copy(check, proto->parameters_json),
    };
    return check_timeout(check, check_path(check, "%stimeout", prefix), proto->timeout,
                         &ret->timeout_ms) &&
           take_on_lost(check, check_path(check, "%son_lost", prefix), proto->on_lost,
                        &ret->at_most_once);
}

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
        if (!definition_take_tool(check, check_path(check, "%stools[%zu].", prefix, i), tool,
                                  &tools[i])) {
            return false;
        }
    }
    ret->tools = tools;
    ret->tool_count = proto->n_tools;
    return true;
}

static bool take_hook(struct check *check, const char *path, const Polos__V1__Hook *proto,
                      struct callback *ret)
{
    if (proto->phase <= POLOS__V1__CALLBACK_PHASE__CALLBACK_PHASE_UNSPECIFIED ||
        proto->phase >= (int)CALLBACK_REPLY) {
        return check_fault(check, check_path(check, "%s.phase", path),
                           "name one of the phases of CallbackPhase where hooks stand");
    }
    if (proto->callback == NULL) {
        return check_fault(check, check_path(check, "%s.callback", path), "it is required");
    }
    ret->phase = (enum callback_phase)proto->phase;
    ret->name = check_copy(check, proto->callback->name);
    return check_timeout(check, check_path(check, "%s.callback.timeout", path),
                         proto->callback->timeout, &ret->timeout_ms);
}

static bool take_guardrail(struct check *check, const char *path, const Polos__V1__Guardrail *proto,
                           struct callback *ret)
{
    ret->phase = CALLBACK_REPLY;
    if (proto->judge_case == POLOS__V1__GUARDRAIL__JUDGE_CALLBACK) {
        ret->name = check_copy(check, proto->callback->name);
        return check_timeout(check, check_path(check, "%s.callback.timeout", path),
                             proto->callback->timeout, &ret->timeout_ms);
    }
    if (proto->judge_case == POLOS__V1__GUARDRAIL__JUDGE_PROMPT && proto->prompt[0] != '\0') {
        ret->prompt = check_copy(check, proto->prompt);
        return true;
    }
    return check_fault(check, path, "set one of callback and prompt");
}

static bool take_hooks(struct check *check, const char *prefix,
                       const Polos__V1__AgentDefinition *proto, struct agent_definition *ret)
{
    if (!check_range(check, check_path(check, "%shooks", prefix), (int64_t)proto->n_hooks, 0,
                     ENGINE_HOOKS_MAX) ||
        !check_range(check, check_path(check, "%sguardrails", prefix), (int64_t)proto->n_guardrails,
                     0, ENGINE_GUARDRAILS_MAX)) {
        return false;
    }
    size_t count = proto->n_hooks + proto->n_guardrails;
    struct callback *hooks = arena_zalloc(check->arena, (count + 1) * sizeof(*hooks));
    for (size_t i = 0; i < proto->n_hooks; i++) {
        if (!take_hook(check, check_path(check, "%shooks[%zu]", prefix, i), proto->hooks[i],
                       &hooks[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < proto->n_guardrails; i++) {
        if (!take_guardrail(check, check_path(check, "%sguardrails[%zu]", prefix, i),
                            proto->guardrails[i], &hooks[proto->n_hooks + i])) {
            return false;
        }
    }
    ret->callbacks = hooks;
    ret->callback_count = count;
    ret->guardrail_retries =
        proto->_guardrail_max_retries_case ==
                POLOS__V1__AGENT_DEFINITION___GUARDRAIL_MAX_RETRIES_GUARDRAIL_MAX_RETRIES
            ? proto->guardrail_max_retries
            : AGENT_GUARDRAIL_RETRIES_DEFAULT;
    return true;
}

static bool take_model(struct check *check, const char *prefix,
                       const Polos__V1__AgentDefinition *proto, struct agent_definition *ret)
{
    if (proto->n_models != 1) {
        return check_fault(check, check_path(check, "%smodels", prefix),
                           "name one model; there are %zu", proto->n_models);
    }
    const Polos__V1__ModelSpec *model = proto->models[0];
    bool has_temperature =
        model->_temperature_case == POLOS__V1__MODEL_SPEC___TEMPERATURE_TEMPERATURE;
    if (!check_range(check, check_path(check, "%smodels[0].max_output_tokens", prefix),
                     model->max_output_tokens, 0, INT32_MAX)) {
        return false;
    }
    if (has_temperature && !isfinite(model->temperature)) {
        return check_fault(check, check_path(check, "%smodels[0].temperature", prefix),
                           "it has to be a number");
    }
    ret->provider = check_copy(check, model->provider);
    ret->model = check_copy(check, model->model);
    ret->base_url = check_copy(check, model->base_url);
    ret->options_json = check_copy(check, model->options_json);
    ret->temperature = has_temperature ? model->temperature : NAN;
    ret->max_output_tokens = model->max_output_tokens;
    assert(isnan(ret->temperature) != has_temperature);
    return true;
}

/* The strictest counts. */
static bool take_stop(struct check *check, const char *path, const Polos__V1__StopCondition *proto,
                      struct agent_definition *ret)
{
    switch (proto->condition_case) {
    case POLOS__V1__STOP_CONDITION__CONDITION_MAX_TURNS:
        if (ret->max_steps == 0 || proto->max_turns < ret->max_steps) {
            ret->max_steps = proto->max_turns;
        }
        return check_range(check, check_path(check, "%s.max_turns", path), proto->max_turns, 1,
                           AGENT_STEPS_MAX);
    case POLOS__V1__STOP_CONDITION__CONDITION_MAX_TOKENS:
        if (ret->max_total_tokens == 0 || (uint64_t)proto->max_tokens < ret->max_total_tokens) {
            ret->max_total_tokens = (uint64_t)proto->max_tokens;
        }
        return check_range(check, check_path(check, "%s.max_tokens", path), proto->max_tokens, 1,
                           INT64_MAX);
    case POLOS__V1__STOP_CONDITION__CONDITION__NOT_SET:
    case _POLOS__V1__STOP_CONDITION__CONDITION__CASE_IS_INT_SIZE:
        break;
    }
    return check_fault(check, path, "set one of max_turns and max_tokens");
}

static bool take_limits(struct check *check, const char *prefix,
                        const Polos__V1__AgentDefinition *proto, struct agent_definition *ret)
{
    ret->max_steps = proto->max_turns;
    if (!check_range(check, check_path(check, "%smax_turns", prefix), proto->max_turns, 0,
                     AGENT_STEPS_MAX) ||
        !check_range(check, check_path(check, "%sstop_conditions", prefix),
                     (int64_t)proto->n_stop_conditions, 0, STOP_CONDITIONS_MAX)) {
        return false;
    }
    for (size_t i = 0; i < proto->n_stop_conditions; i++) {
        const char *path = check_path(check, "%sstop_conditions[%zu]", prefix, i);
        if (!take_stop(check, path, proto->stop_conditions[i], ret)) {
            return false;
        }
    }
    return true;
}

bool definition_take(struct check *check, const char *prefix,
                     const Polos__V1__AgentDefinition *proto, struct agent_definition *ret)
{
    assert(proto != NULL); /* Lists hold messages; who takes a single one has looked. */
    assert(check->error.code == CODE_OK);
    struct arena *arena = check->arena;
    bool has_retries =
        proto->_output_retries_case == POLOS__V1__AGENT_DEFINITION___OUTPUT_RETRIES_OUTPUT_RETRIES;
    *ret = (struct agent_definition){
        .id = check_copy(check, proto->id),
        .description = check_copy(check, proto->description),
        .system_prompt = check_copy(check, proto->system_prompt),
        .output_schema_json = check_copy(check, proto->output_schema_json),
        .output_retries = has_retries ? proto->output_retries : AGENT_OUTPUT_RETRIES_DEFAULT,
        .queue = check_copy(check, proto->queue),
    };
    if (!take_model(check, prefix, proto, ret) || !take_limits(check, prefix, proto, ret) ||
        !take_tools(check, prefix, proto, ret) || !take_hooks(check, prefix, proto, ret)) {
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
