#include "service/agents/output.h"

#include "service/agents/transcript.h"
#include "service/base/buf.h"
#include "service/base/json.h"
#include "service/schema/schema.h"

static const str fence = {"```", 3};

/* How many bytes stand before the fence; all, if there is none. */
static size_t find_fence(str text)
{
    const char *found = text.len == 0 ? NULL : memmem(text.ptr, text.len, fence.ptr, fence.len);
    return found == NULL ? text.len : (size_t)(found - text.ptr);
}

static str rest_of(str text, size_t from)
{
    assert(from <= text.len);
    return (str){text.ptr + from, text.len - from};
}

/* Behind an opening fence, and the word on its line. */
static str skip_word(str text)
{
    size_t at = 0;
    while (at < text.len && text.ptr[at] != '\n' && text.ptr[at] != '{' && text.ptr[at] != '[') {
        at++;
    }
    return rest_of(text, at);
}

str output_json(str text)
{
    str whole = str_trim(text);
    if (whole.len > 0 && json_is_valid(whole)) {
        return whole;
    }
    str found = STR_EMPTY;
    size_t before = find_fence(whole);
    while (before < whole.len) {
        str body = skip_word(rest_of(whole, before + fence.len));
        size_t len = find_fence(body);
        str inner = str_trim((str){body.ptr, len});
        bool is_json = len < body.len && inner.len > 0 && json_is_valid(inner);
        if (is_json && found.len > 0) {
            return STR_EMPTY; /* Which of them is meant? */
        }
        found = is_json ? inner : found;
        whole = len < body.len ? rest_of(body, len + fence.len) : STR_EMPTY;
        before = find_fence(whole);
    }
    return found;
}

/* OK: it fits. INVALID_ARGUMENT and RESOURCE_EXHAUSTED: why it does not, in own. */
static status judge(str schema_text, str text, struct arena *own)
{
    struct schema *schema;
    if (!status_is_ok(schema_read(schema_text, own, &schema))) {
        return STATUS_OK; /* Of a release that judged nothing: neither can this one. */
    }
    str json = output_json(text);
    if (json.len == 0) {
        return status_make(CODE_INVALID_ARGUMENT,
                           "answer: is no JSON, and holds no single block of it");
    }
    return schema_judge(schema, json, "answer", own);
}

str output_misfit(const struct agent_definition *definition, const struct model_reply *reply,
                  struct arena *arena, str *ret_feedback)
{
    struct arena own;
    str ret = STR_EMPTY;
    *ret_feedback = STR_EMPTY;
    assert(reply->block_count == 0 || reply->blocks != NULL);
    if (definition->output_schema_json.len == 0) {
        return ret;
    }
    arena_init(&own, 0);
    status judged = judge(definition->output_schema_json, transcript_reply_text(reply, &own), &own);
    if (!status_is_ok(judged)) {
        ret = arena_printf(arena, "the answer does not fit the output schema: %s", judged.why);
        *ret_feedback = arena_printf(arena,
                                     "The answer does not fit the output schema: %s. Answer again "
                                     "with JSON that fits it, and nothing else.",
                                     judged.why);
    }
    arena_fini(&own);
    return ret;
}
