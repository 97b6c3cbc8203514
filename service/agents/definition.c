#include "service/agents/definition.h"

#include <math.h>

#include "polos/journal/v1/journal.pb-c.h"
#include "service/base/hash.h"
#include "service/base/json.h"
#include "service/base/utf8.h"
#include "service/codec/body.h"
#include "service/codec/callbacks.h"
#include "service/schema/schema.h"

/* What a check is about, so that a failure can name the field. */
struct checker {
    struct arena *arena;
    const char *prefix; /* "tools[3]." or "". */
    const char **ret_field;
};

static status refuse(const struct checker *checker, const char *field, const char *why)
{
    assert(field[0] != '\0' && why[0] != '\0');
    str path = arena_printf(checker->arena, "%s%s", checker->prefix, field);
    *checker->ret_field = path.ptr;
    return arena_fail(checker->arena, CODE_INVALID_ARGUMENT, "%s %s", path.ptr, why);
}

static status check_name(const struct checker *checker, const char *field, str name)
{
    if (name_is_valid(name)) {
        return STATUS_OK;
    }
    return refuse(checker, field,
                  name.len == 0 ? "is required: 1 to 128 letters, digits, '_', '-', '.'"
                                : "must be 1 to 128 letters, digits, '_', '-', '.'");
}

static status check_tool_name(const struct checker *checker, const char *field, str name)
{
    return tool_name_is_valid(name)
               ? STATUS_OK
               : refuse(checker, field,
                        name.len == 0
                            ? "is required: 1 to 64 letters, digits, '_', '-'"
                            : "must be 1 to 64 letters, digits, '_', '-': no model can be told of "
                              "another");
}

static status check_required(const struct checker *checker, const char *field, str text)
{
    if (text.len == 0) {
        return refuse(checker, field, "is required");
    }
    return utf8_is_valid(text) ? STATUS_OK : refuse(checker, field, "must be UTF-8 text");
}

static status check_text(const struct checker *checker, const char *field, str text)
{
    return utf8_is_valid(text) ? STATUS_OK : refuse(checker, field, "must be UTF-8 text");
}

static status check_object(const struct checker *checker, const char *field, str json)
{
    if (json.len == 0) {
        return STATUS_OK;
    }
    status valid = json_validate(json, checker->arena);
    if (!status_is_ok(valid)) {
        return refuse(checker, field,
                      arena_printf(checker->arena, "is not JSON: %s", valid.why).ptr);
    }
    return json_is_object(json) ? STATUS_OK : refuse(checker, field, "must be a JSON object");
}

static bool tool_is_repeated(const struct agent_definition *definition, size_t at)
{
    assert(at < definition->tool_count);
    for (size_t i = 0; i < at; i++) {
        if (str_equal(definition->tools[i].name, definition->tools[at].name)) {
            return true;
        }
    }
    return false;
}

static status check_tools(const struct agent_definition *definition, struct arena *arena,
                          const char **ret_field)
{
    const struct checker top = {arena, "", ret_field};
    if (definition->tool_count > AGENT_TOOLS_MAX) {
        static_assert(AGENT_TOOLS_MAX == 128, "the sentence says so");
        return refuse(&top, "tools", "must be at most 128");
    }
    for (size_t i = 0; i < definition->tool_count; i++) {
        const struct tool_definition *tool = &definition->tools[i];
        const struct checker checker = {arena, arena_printf(arena, "tools[%zu].", i).ptr,
                                        ret_field};
        TRY(check_tool_name(&checker, "id", tool->name));
        if (tool_is_repeated(definition, i)) {
            return refuse(&checker, "id", "is the id of an earlier tool too");
        }
        TRY(check_text(&checker, "description", tool->description));
        TRY(check_object(&checker, "parameters_json", tool->parameters_json));
    }
    return STATUS_OK;
}

/* It is read once here; a run's answers are judged by it. */
static status check_output(const struct agent_definition *definition, const struct checker *checker)
{
    str text = definition->output_schema_json;
    TRY(check_object(checker, "output_schema_json", text));
    if (definition->output_retries > AGENT_OUTPUT_RETRIES_MAX) {
        static_assert(AGENT_OUTPUT_RETRIES_MAX == 10, "the sentence says so");
        return refuse(checker, "output_retries", "must be at most 10");
    }
    if (text.len == 0) {
        return STATUS_OK;
    }
    struct arena own;
    struct schema *schema;
    arena_init(&own, 0);
    status read = schema_read(text, &own, &schema);
    if (!status_is_ok(read)) {
        read = refuse(checker, "output_schema_json",
                      arena_printf(checker->arena, "is no schema to judge by: %s", read.why).ptr);
    }
    arena_fini(&own);
    return read;
}

static status check_guardrail(const struct callback *guardrail, const struct checker *checker)
{
    if (guardrail->prompt.len == 0) {
        return check_name(checker, "callback.name", guardrail->name);
    }
    static_assert(AGENT_PROMPT_BYTES_MAX == 16 * 1024, "the sentence says so");
    if (guardrail->prompt.len > AGENT_PROMPT_BYTES_MAX || !utf8_is_valid(guardrail->prompt)) {
        return refuse(checker, "prompt", "must be UTF-8 of at most 16 KiB");
    }
    return STATUS_OK;
}

static size_t count_hooks(const struct agent_definition *definition)
{
    size_t count = 0;
    while (count < definition->callback_count &&
           definition->callbacks[count].phase != CALLBACK_REPLY) {
        count++;
    }
    return count;
}

static status check_callbacks(const struct agent_definition *definition, struct arena *arena,
                              const char **ret_field)
{
    const struct checker top = {arena, "", ret_field};
    size_t hooks = count_hooks(definition);
    static_assert(ENGINE_HOOKS_MAX == 64 && ENGINE_GUARDRAILS_MAX == 16, "the sentences say so");
    static_assert(ENGINE_GUARDRAIL_RETRIES_MAX == 10, "the sentence says so");
    if (hooks > ENGINE_HOOKS_MAX) {
        return refuse(&top, "hooks", "must be at most 64");
    }
    if (definition->callback_count - hooks > ENGINE_GUARDRAILS_MAX) {
        return refuse(&top, "guardrails", "must be at most 16");
    }
    if (definition->guardrail_retries > ENGINE_GUARDRAIL_RETRIES_MAX) {
        return refuse(&top, "guardrail_max_retries", "must be at most 10");
    }
    for (size_t i = 0; i < definition->callback_count; i++) {
        const char *path = i < hooks ? arena_printf(arena, "hooks[%zu].", i).ptr
                                     : arena_printf(arena, "guardrails[%zu].", i - hooks).ptr;
        const struct checker checker = {arena, path, ret_field};
        TRY(i < hooks ? check_name(&checker, "callback.name", definition->callbacks[i].name)
                      : check_guardrail(&definition->callbacks[i], &checker));
    }
    return STATUS_OK;
}

static status check_limits(const struct agent_definition *definition, const struct checker *checker)
{
    if (!isnan(definition->temperature) &&
        (!isfinite(definition->temperature) || definition->temperature < 0)) {
        return refuse(checker, "models[0].temperature", "must be a number from 0 up");
    }
    if (definition->max_steps > AGENT_STEPS_MAX) {
        static_assert(AGENT_STEPS_MAX == 1000, "the sentence says so");
        return refuse(checker, "max_turns", "must be at most 1000; 0: the server's default");
    }
    if (definition->base_url.len > 0 && !str_starts_with(definition->base_url, STR("http://")) &&
        !str_starts_with(definition->base_url, STR("https://"))) {
        return refuse(checker, "models[0].base_url", "must begin with http:// or https://");
    }
    return STATUS_OK;
}

status agent_definition_check(const struct agent_definition *definition, struct arena *arena,
                              const char **ret_field)
{
    const struct checker checker = {arena, "", ret_field};
    assert(arena != NULL && ret_field != NULL);
    assert(definition->tool_count == 0 || definition->tools != NULL);
    TRY(check_name(&checker, "id", definition->id));
    TRY(check_text(&checker, "description", definition->description));
    TRY(check_required(&checker, "models[0].provider", definition->provider));
    TRY(check_required(&checker, "models[0].model", definition->model));
    TRY(check_text(&checker, "system_prompt", definition->system_prompt));
    TRY(check_text(&checker, "models[0].base_url", definition->base_url));
    TRY(check_limits(definition, &checker));
    TRY(check_object(&checker, "models[0].options_json", definition->options_json));
    TRY(check_output(definition, &checker));
    if (definition->queue.len > 0) {
        TRY(check_name(&checker, "queue", definition->queue));
    }
    TRY(check_callbacks(definition, arena, ret_field));
    return check_tools(definition, arena, ret_field);
}

static void tool_to(const struct tool_definition *tool, Polos__Journal__V1__ToolRecord *ret)
{
    polos__journal__v1__tool_record__init(ret);
    ret->name = body_bytes(tool->name);
    ret->description = body_bytes(tool->description);
    ret->parameters_json = body_bytes(tool->parameters_json);
    ret->timeout_ms = tool->timeout_ms;
    ret->at_most_once = tool->at_most_once;
}

void agent_definition_encode(const struct agent_definition *definition, struct buf *ret)
{
    Polos__Journal__V1__AgentRecord body = POLOS__JOURNAL__V1__AGENT_RECORD__INIT;
    Polos__Journal__V1__ToolRecord tools[AGENT_TOOLS_MAX];
    Polos__Journal__V1__ToolRecord *list[AGENT_TOOLS_MAX];
    Polos__Journal__V1__CallbackRecord callbacks[ENGINE_CALLBACKS_MAX];
    Polos__Journal__V1__CallbackRecord *callback_list[ENGINE_CALLBACKS_MAX];
    assert(definition->callback_count <= ENGINE_CALLBACKS_MAX); /* It was checked. */
    assert(definition->tool_count <= AGENT_TOOLS_MAX); /* It was checked. */
    assert(name_is_valid(definition->id));
    for (size_t i = 0; i < definition->tool_count; i++) {
        tool_to(&definition->tools[i], &tools[i]);
        list[i] = &tools[i];
    }
    for (size_t i = 0; i < definition->callback_count; i++) {
        polos__journal__v1__callback_record__init(&callbacks[i]);
        callbacks[i].phase = (uint32_t)definition->callbacks[i].phase;
        callbacks[i].name = body_bytes(definition->callbacks[i].name);
        callbacks[i].timeout_ms = definition->callbacks[i].timeout_ms;
        callbacks[i].prompt = body_bytes(definition->callbacks[i].prompt);
        callback_list[i] = &callbacks[i];
    }
    body.n_callbacks = definition->callback_count;
    body.callbacks = callback_list;
    body.id = body_bytes(definition->id);
    body.description = body_bytes(definition->description);
    body.provider = body_bytes(definition->provider);
    body.model = body_bytes(definition->model);
    body.system_prompt = body_bytes(definition->system_prompt);
    body.n_tools = definition->tool_count;
    body.tools = list;
    if (!isnan(definition->temperature)) {
        body._temperature_case = POLOS__JOURNAL__V1__AGENT_RECORD___TEMPERATURE_TEMPERATURE;
        body.temperature = definition->temperature;
    }
    body.max_output_tokens = definition->max_output_tokens;
    body.base_url = body_bytes(definition->base_url);
    body.options_json = body_bytes(definition->options_json);
    body.max_steps = definition->max_steps;
    body.max_total_tokens = definition->max_total_tokens;
    body.output_schema_json = body_bytes(definition->output_schema_json);
    body.queue = body_bytes(definition->queue);
    if (definition->guardrail_retries != AGENT_GUARDRAIL_RETRIES_DEFAULT) { /* As below. */
        body._guardrail_retries_case =
            POLOS__JOURNAL__V1__AGENT_RECORD___GUARDRAIL_RETRIES_GUARDRAIL_RETRIES;
        body.guardrail_retries = definition->guardrail_retries;
    }
    if (definition->output_retries != AGENT_OUTPUT_RETRIES_DEFAULT) { /* Else as hashed before. */
        body._output_retries_case =
            POLOS__JOURNAL__V1__AGENT_RECORD___OUTPUT_RETRIES_OUTPUT_RETRIES;
        body.output_retries = definition->output_retries;
    }
    body_pack(&body.base, ret);
}

static status callbacks_from(const Polos__Journal__V1__AgentRecord *body, struct arena *arena,
                             struct agent_definition *ret)
{
    struct callback *callbacks = arena_zalloc(arena, (body->n_callbacks + 1) * sizeof(*callbacks));
    if (body->n_callbacks > ENGINE_CALLBACKS_MAX) {
        return status_make(CODE_DATA_LOSS, "definition of an agent: damaged");
    }
    for (size_t i = 0; i < body->n_callbacks; i++) {
        const Polos__Journal__V1__CallbackRecord *record = body->callbacks[i];
        if (record->phase == CALLBACK_NONE || record->phase >= CALLBACK_PHASE_COUNT) {
            return status_make(CODE_FAILED_PRECONDITION,
                               "definition of an agent: a hook this release does not know");
        }
        callbacks[i].phase = (enum callback_phase)record->phase;
        callbacks[i].name = body_str(record->name);
        callbacks[i].timeout_ms = record->timeout_ms;
        callbacks[i].prompt = body_str(record->prompt);
    }
    ret->callbacks = callbacks;
    ret->callback_count = body->n_callbacks;
    bool has_retries = body->_guardrail_retries_case ==
                       POLOS__JOURNAL__V1__AGENT_RECORD___GUARDRAIL_RETRIES_GUARDRAIL_RETRIES;
    ret->guardrail_retries =
        has_retries ? body->guardrail_retries : AGENT_GUARDRAIL_RETRIES_DEFAULT;
    if (ret->guardrail_retries > ENGINE_GUARDRAIL_RETRIES_MAX) {
        return status_make(
            CODE_FAILED_PRECONDITION,
            "definition of an agent: more guardrail retries than this release knows");
    }
    return STATUS_OK;
}

static const struct tool_definition *tools_from(const Polos__Journal__V1__AgentRecord *body,
                                                struct arena *arena)
{
    assert(body->n_tools <= AGENT_TOOLS_MAX);
    struct tool_definition *tools = arena_zalloc(arena, body->n_tools * sizeof(*tools));
    for (size_t i = 0; i < body->n_tools; i++) {
        const Polos__Journal__V1__ToolRecord *tool = body->tools[i];
        tools[i].name = body_str(tool->name);
        tools[i].description = body_str(tool->description);
        tools[i].parameters_json = body_str(tool->parameters_json);
        tools[i].timeout_ms = tool->timeout_ms;
        tools[i].at_most_once = tool->at_most_once;
    }
    return tools;
}

status agent_definition_decode(str bytes, struct arena *arena, struct agent_definition *ret)
{
    const Polos__Journal__V1__AgentRecord *body =
        (const Polos__Journal__V1__AgentRecord *)body_unpack(
            &polos__journal__v1__agent_record__descriptor, bytes, arena);
    if (body == NULL || body->n_tools > AGENT_TOOLS_MAX) {
        return status_make(CODE_DATA_LOSS, "definition of an agent: damaged");
    }
    bool has_temperature =
        body->_temperature_case == POLOS__JOURNAL__V1__AGENT_RECORD___TEMPERATURE_TEMPERATURE;
    bool has_retries = body->_output_retries_case ==
                       POLOS__JOURNAL__V1__AGENT_RECORD___OUTPUT_RETRIES_OUTPUT_RETRIES;
    if (has_retries && body->output_retries > AGENT_OUTPUT_RETRIES_MAX) {
        return status_make(CODE_FAILED_PRECONDITION,
                           "definition of an agent: more output retries than this release knows");
    }
    *ret = (struct agent_definition){
        .id = body_str(body->id),
        .description = body_str(body->description),
        .provider = body_str(body->provider),
        .model = body_str(body->model),
        .system_prompt = body_str(body->system_prompt),
        .tools = tools_from(body, arena),
        .tool_count = body->n_tools,
        .temperature = has_temperature ? body->temperature : NAN,
        .max_output_tokens = body->max_output_tokens,
        .base_url = body_str(body->base_url),
        .options_json = body_str(body->options_json),
        .max_steps = body->max_steps,
        .max_total_tokens = body->max_total_tokens,
        .output_schema_json = body_str(body->output_schema_json),
        .queue = body_str(body->queue),
        .output_retries = has_retries ? body->output_retries : AGENT_OUTPUT_RETRIES_DEFAULT,
    };
    return callbacks_from(body, arena, ret);
}

void agent_definition_hash(str encoded, uint8_t ret[16])
{
    static_assert(HASH_BYTES == 16, "the journal keeps 16 bytes");
    assert(encoded.len > 0);
    hash128(encoded, ret);
}
