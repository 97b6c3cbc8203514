#include "service/agents/transcript.h"
#include "service/base/json.h"

enum {
    NAME_SHOWN_BYTES_MAX = 128, /* Of a name a model made up. */
};

static const struct tool_definition *find_tool(const struct agent_definition *definition, str name)
{
    for (size_t i = 0; i < definition->tool_count; i++) {
        if (str_equal(definition->tools[i].name, name)) {
            return &definition->tools[i];
        }
    }
    return NULL;
}

static str unknown_tool_message(const struct agent_definition *definition, str name,
                                struct arena *arena)
{
    struct buf text = {NULL, 0, 0};
    if (name.len > NAME_SHOWN_BYTES_MAX) {
        name.len = NAME_SHOWN_BYTES_MAX;
    }
    buf_put(&text, STR("there is no tool named "));
    buf_put_json_string(&text, name);
    buf_put(&text, definition->tool_count == 0 ? STR("; this agent has no tools")
                                               : STR("; the tools are: "));
    for (size_t i = 0; i < definition->tool_count; i++) {
        buf_put(&text, i > 0 ? STR(", ") : STR_EMPTY);
        buf_put(&text, definition->tools[i].name);
    }
    return buf_finish(&text, arena);
}

static struct tool_call judge(const struct agent_definition *definition,
                              const struct model_block *block, bool cut, struct arena *arena)
{
    assert(block->kind == MODEL_BLOCK_TOOL_CALL);
    const struct tool_definition *tool = find_tool(definition, block->name);
    struct tool_call call = {
        .call_id = block->call_id,
        .name = block->name,
        .arguments = block->arguments,
    };
    if (cut) {
        call.refusal_type = "TRUNCATED";
        call.refusal_message = STR("the reply was cut off at the token limit, so this call was not "
                                   "run; call again with shorter arguments");
        return call;
    }
    if (tool == NULL) {
        call.refusal_type = "UNKNOWN_TOOL";
        call.refusal_message = unknown_tool_message(definition, block->name, arena);
        return call;
    }
    if (block->arguments_invalid || !json_is_object(block->arguments)) {
        call.refusal_type = "INVALID_ARGUMENTS";
        call.refusal_message = STR("the arguments are not a JSON object, so this call was not run; "
                                   "call again with a JSON object as the schema says");
        return call;
    }
    call.timeout_ms = tool->timeout_ms;
    call.at_most_once = tool->at_most_once;
    return call;
}

static size_t count_calls(const struct model_reply *reply)
{
    size_t count = 0;
    for (size_t i = 0; i < reply->block_count; i++) {
        count += reply->blocks[i].kind == MODEL_BLOCK_TOOL_CALL;
    }
    return count;
}

/* A provider's word for why it stopped is not trusted where the reply says otherwise. */
static enum reply_stop judge_stop(enum model_stop stop, size_t call_count)
{
    switch (stop) {
    case MODEL_STOP_CONTENT_FILTER:
        return REPLY_STOP_CONTENT_FILTER;
    case MODEL_STOP_REFUSAL:
        return REPLY_STOP_REFUSAL;
    case MODEL_STOP_MAX_TOKENS:
        return call_count > 0 ? REPLY_STOP_TOOLS : REPLY_STOP_LENGTH;
    case MODEL_STOP_PAUSE:
        return call_count > 0 ? REPLY_STOP_TOOLS : REPLY_STOP_PAUSE;
    case MODEL_STOP_END:
    case MODEL_STOP_TOOL_USE:
    case MODEL_STOP_SEQUENCE:
    case MODEL_STOP_OTHER:
        return call_count > 0 ? REPLY_STOP_TOOLS : REPLY_STOP_END;
    }
    assert(false && "stop is of our own making");
    return REPLY_STOP_END;
}

void transcript_judge_calls(const struct agent_definition *definition,
                            const struct model_reply *reply, struct arena *arena,
                            const struct tool_call **ret_calls, size_t *ret_count,
                            enum reply_stop *ret_stop)
{
    assert(reply->block_count == 0 || reply->blocks != NULL);
    size_t total = count_calls(reply);
    enum reply_stop stop = judge_stop(reply->stop, total);
    size_t kept = total < ENGINE_TOOL_CALLS_MAX ? total : ENGINE_TOOL_CALLS_MAX;
    struct tool_call *calls;
    size_t count = 0;
    *ret_stop = stop;
    *ret_calls = NULL;
    *ret_count = 0;
    if (stop != REPLY_STOP_TOOLS) {
        return;
    }
    assert(kept > 0 && kept <= ENGINE_TOOL_CALLS_MAX);
    calls = arena_alloc(arena, kept * sizeof(*calls));
    for (size_t i = 0; i < reply->block_count && count < kept; i++) {
        if (reply->blocks[i].kind == MODEL_BLOCK_TOOL_CALL) {
            bool cut = reply->stop == MODEL_STOP_MAX_TOKENS && count + 1 == total;
            calls[count++] = judge(definition, &reply->blocks[i], cut, arena);
        }
    }
    assert(count == kept);
    *ret_calls = calls;
    *ret_count = count;
}
