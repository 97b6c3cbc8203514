#include "service/api/check.h"

#include <inttypes.h>
#include <stdio.h>

#include "service/agents/definition.h"
#include "service/base/json.h"
#include "service/hosts/message.h"

const char *check_path(struct check *check, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    assert(len > 0 && (size_t)len < sizeof(text)); /* Names are ours. */
    return arena_copy(check->arena, str_make(text, (size_t)len)).ptr;
}

str check_copy(struct check *check, const char *text)
{
    return arena_copy(check->arena, str_of(text));
}

bool check_fault(struct check *check, const char *field, const char *format, ...)
{
    assert(field != NULL);
    if (check->error.code != CODE_OK) {
        return false;
    }
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    check->error = (struct failure){
        .code = CODE_INVALID_ARGUMENT,
        .reason = REASON_INVALID_FIELD,
        .field = check_copy(check, field),
        .message = arena_printf(check->arena, "%s: %s", field, text),
    };
    return false;
}

bool check_name(struct check *check, const char *field, str name)
{
    if (name_is_valid(name)) {
        return true;
    }
    if (name.len == 0) {
        return check_fault(check, field, "it is required");
    }
    return check_fault(
        check, field, "\"%.*s\" is no name: use 1 to %d letters, digits, '_', '-' or '.'",
        (int)(name.len < NAME_BYTES_MAX ? name.len : NAME_BYTES_MAX), name.ptr, NAME_BYTES_MAX);
}

bool check_code_name(struct check *check, const char *field, bool is_tool, str name)
{
    if (!is_tool) {
        return check_name(check, field, name);
    }
    if (tool_name_is_valid(name)) {
        return true;
    }
    if (name.len == 0) {
        return check_fault(check, field, "it is required");
    }
    return check_fault(check, field,
                       "\"%.*s\" is no name that models can be told: use 1 to %d letters, digits, "
                       "'_' or '-'",
                       (int)(name.len < NAME_BYTES_MAX ? name.len : NAME_BYTES_MAX), name.ptr,
                       TOOL_NAME_BYTES_MAX);
}

bool check_bytes(struct check *check, const char *field, str text, size_t bytes_max)
{
    return text.len <= bytes_max ||
           check_fault(check, field, "it has %zu bytes, the limit is %zu", text.len, bytes_max);
}

bool check_some(struct check *check, const char *field, str text, size_t bytes_max)
{
    if (text.len == 0) {
        return check_fault(check, field, "it is required");
    }
    return check_bytes(check, field, text, bytes_max);
}

bool check_range(struct check *check, const char *field, int64_t value, int64_t min, int64_t max)
{
    assert(min <= max);
    return (value >= min && value <= max) ||
           check_fault(check, field, "%" PRId64 " is not in %" PRId64 " to %" PRId64, value, min,
                       max);
}

bool check_json(struct check *check, const char *field, str text)
{
    if (text.len == 0) {
        return check_fault(check, field, "it is required, as JSON text");
    }
    status valid = json_validate(text, check->arena);
    return status_is_ok(valid) || check_fault(check, field, "%s", valid.why);
}

bool check_value(struct check *check, const char *field, str text, str *ret)
{
    size_t bytes_max = check->json_bytes_max == 0 ? SIZE_MAX : check->json_bytes_max;
    if (!check_bytes(check, field, text, bytes_max)) {
        return false;
    }
    *ret = arena_copy(check->arena, text);
    return check_json(check, field, *ret);
}

bool check_value_or_null(struct check *check, const char *field, str text, str *ret)
{
    if (text.len == 0) {
        *ret = STR("null");
        return true;
    }
    return check_value(check, field, text, ret);
}

bool check_json_object(struct check *check, const char *field, str text)
{
    if (text.len == 0) {
        return true;
    }
    if (!check_json(check, field, text)) {
        return false;
    }
    return json_is_object(text) ||
           check_fault(check, field, "it has to be a JSON object, such as {\"top_p\": 0.9}");
}

bool check_uuid(struct check *check, const char *field, str text, uuid *ret)
{
    if (text.len == 0) {
        return check_fault(check, field, "it is required");
    }
    return uuid_parse(text, ret) ||
           check_fault(check, field,
                       "it is no UUID; pass it as a start call or a list answered it");
}

bool check_page_size(struct check *check, int32_t asked, size_t otherwise, size_t max, size_t *ret)
{
    assert(otherwise > 0 && otherwise <= max);
    if (!check_range(check, "page_size", asked, 0, (int64_t)max)) {
        return false;
    }
    *ret = asked == 0 ? otherwise : (size_t)asked;
    return true;
}

bool check_suspension(struct check *check, const char *prefix, str id, str run_id, str step_key,
                      uuid *ret_run, uint32_t *ret_effect)
{
    struct task_ref ref;
    const char *id_field = check_path(check, "%ssuspension_id", prefix);
    *ret_effect = 0;
    if (id.len == 0) {
        return check_uuid(check, check_path(check, "%srun_id", prefix), run_id, ret_run) &&
               check_some(check, check_path(check, "%sstep_key", prefix), step_key,
                          CHECK_STEP_KEY_BYTES_MAX);
    }
    if (!task_ref_parse(id, &ref) || ref.effect == 0) {
        return check_fault(check, id_field, "pass the id of a suspension as it is listed");
    }
    if (run_id.len > 0 || step_key.len > 0) {
        return check_fault(check, id_field, "pass it, or run_id and step_key, but not both");
    }
    *ret_run = ref.run;
    *ret_effect = ref.effect;
    return true;
}
