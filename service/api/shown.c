#include "service/api/shown.h"

#include "service/agents/definition.h"
#include "service/api/text.h"

Polos__V1__Failure *shown_failure(struct arena *arena, str reason, str message, str stack)
{
    Polos__V1__Failure *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__failure__init(ret);
    ret->reason = text_of(arena, text_cut(arena, reason, NAME_BYTES_MAX));
    ret->message = text_of(arena, text_cut(arena, message, SHOWN_SENTENCE_BYTES_MAX));
    ret->stack = text_of(arena, text_cut(arena, stack, SHOWN_SENTENCE_BYTES_MAX));
    return ret;
}

Polos__V1__Usage *shown_usage(struct arena *arena, const struct engine_usage *from)
{
    Polos__V1__Usage *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__usage__init(ret);
    ret->input_tokens = (int64_t)from->input;
    ret->output_tokens = (int64_t)from->output;
    ret->total_tokens = (int64_t)(from->input + from->output);
    ret->cache_read_input_tokens = (int64_t)from->cache_read;
    ret->cache_creation_input_tokens = (int64_t)from->cache_write;
    ret->reasoning_tokens = (int64_t)from->reasoning;
    ret->incomplete = !from->known;
    return ret;
}

Polos__V1__ToolCall *shown_call(struct arena *arena, const struct model_block *from)
{
    assert(from->kind == MODEL_BLOCK_TOOL_CALL);
    Polos__V1__ToolCall *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__tool_call__init(ret);
    ret->call_id = text_of(arena, from->call_id);
    ret->name = text_of(arena, from->name);
    ret->arguments_json = text_of(arena, from->arguments);
    return ret;
}

Polos__V1__TaskOutcome *shown_outcome(struct arena *arena, const struct outcome *from)
{
    Polos__V1__TaskOutcome *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__task_outcome__init(ret);
    if (!from->failed) {
        ret->result_case = POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON;
        ret->value_json = text_of(arena, from->value);
        ret->value_type = text_of(arena, from->value_type);
        return ret;
    }
    Polos__V1__TaskError *error = arena_alloc(arena, sizeof(*error));
    polos__v1__task_error__init(error);
    error->type = text_of(arena, from->error_type);
    error->message = text_of(arena, from->error_message);
    error->stack = text_of(arena, from->error_stack);
    ret->result_case = POLOS__V1__TASK_OUTCOME__RESULT_ERROR;
    ret->error = error;
    return ret;
}

Polos__V1__SettledStep *shown_step(struct arena *arena, str key, Polos__V1__StepKind kind,
                                   const struct outcome *from)
{
    assert(kind != POLOS__V1__STEP_KIND__STEP_KIND_UNSPECIFIED);
    Polos__V1__SettledStep *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__settled_step__init(ret);
    ret->key = text_of(arena, key);
    ret->kind = kind;
    if (kind <= POLOS__V1__STEP_KIND__STEP_KIND_AT_ONCE ||
        kind == POLOS__V1__STEP_KIND__STEP_KIND_TRY) {
        ret->outcome = shown_outcome(arena, from);
    }
    return ret;
}

Polos__V1__StopReason shown_stop(str word)
{
    static const struct {
        const char *word;
        Polos__V1__StopReason reason;
    } stops[] = {
        {"end", POLOS__V1__STOP_REASON__STOP_REASON_END},
        {"max_steps", POLOS__V1__STOP_REASON__STOP_REASON_MAX_TURNS},
        {"max_tokens", POLOS__V1__STOP_REASON__STOP_REASON_MAX_TOKENS},
        {"length", POLOS__V1__STOP_REASON__STOP_REASON_LENGTH},
        {"content_filter", POLOS__V1__STOP_REASON__STOP_REASON_CONTENT_FILTER},
        {"refusal", POLOS__V1__STOP_REASON__STOP_REASON_REFUSAL},
        {"hook", POLOS__V1__STOP_REASON__STOP_REASON_HOOK},
    };
    for (size_t i = 0; i < COUNT_OF(stops); i++) {
        if (str_is(word, stops[i].word)) {
            return stops[i].reason;
        }
    }
    return POLOS__V1__STOP_REASON__STOP_REASON_UNSPECIFIED;
}

Polos__V1__LostCall shown_on_lost(bool at_most_once)
{
    return at_most_once ? POLOS__V1__LOST_CALL__LOST_CALL_UNKNOWN
                        : POLOS__V1__LOST_CALL__LOST_CALL_REPEAT;
}
