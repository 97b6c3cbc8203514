#include "service/base/json.h"
#include "service/llm/gemini.h"
#include "service/llm/providers.h"
#include "service/llm/request.h"

static void put_text(struct json_writer *writer, str text)
{
    json_begin_object(writer, NULL);
    json_put_string(writer, "text", text);
    json_end_object(writer);
}

static void put_call(struct json_writer *writer, const struct model_block *call)
{
    struct buf arguments = {0};
    assert(call->kind == MODEL_BLOCK_TOOL_CALL);
    request_put_arguments(call, &arguments);
    json_begin_object(writer, NULL);
    json_begin_object(writer, "functionCall");
    json_put_string(writer, "name", call->name);
    json_put_raw(writer, "args", buf_str(&arguments));
    json_end_object(writer);
    json_end_object(writer);
    buf_fini(&arguments);
}

/* The id the provider gave the call that has this result; empty: it gave none. */
static str given_id(const struct provider_row *row, const struct model_message *calls, str call_id)
{
    str call;
    str raw = STR_EMPTY;
    assert(call_id.len > 0);
    if (calls == NULL || !request_is_from(row, calls->origin)) {
        return STR_EMPTY;
    }
    for (size_t i = 0; i < calls->block_count; i++) {
        const struct model_block *block = &calls->blocks[i];
        if (block->kind == MODEL_BLOCK_TOOL_CALL && str_equal(block->call_id, call_id) &&
            json_object_get(block->raw, STR("functionCall"), &call) &&
            json_object_get_kind(call, STR("id"), JSON_STRING, &raw)) {
            return raw;
        }
    }
    return STR_EMPTY;
}

static void put_result(struct json_writer *writer, const struct model_block *result, str raw_id)
{
    assert(result->kind == MODEL_BLOCK_TOOL_RESULT);
    json_begin_object(writer, NULL);
    json_begin_object(writer, "functionResponse");
    if (raw_id.len > 0) {
        json_put_raw(writer, "id", raw_id);
    }
    json_put_string(writer, "name", result->name);
    json_begin_object(writer, "response");
    json_put_string(writer, result->is_error ? "error" : "output", result->text);
    json_end_object(writer);
    json_end_object(writer);
    json_end_object(writer);
}

static void put_results(struct json_writer *writer, const struct provider_row *row,
                        const struct model_message *results, const struct model_message *calls)
{
    assert(results->role == MODEL_ROLE_TOOL);
    for (size_t i = 0; i < results->block_count; i++) {
        const struct model_block *block = &results->blocks[i];
        if (block->kind == MODEL_BLOCK_TOOL_RESULT) {
            put_result(writer, block, given_id(row, calls, block->call_id));
        }
    }
}

/* What was signed goes back as it came; thinking that was not is of no use to the provider. */
static void put_reply(struct json_writer *writer, const struct provider_row *row,
                      const struct model_message *message)
{
    bool same_origin = request_is_from(row, message->origin);
    assert(message->role == MODEL_ROLE_ASSISTANT);
    for (size_t i = 0; i < message->block_count; i++) {
        const struct model_block *block = &message->blocks[i];
        bool is_text = block->kind == MODEL_BLOCK_TEXT || block->kind == MODEL_BLOCK_REFUSAL;
        if (same_origin && block->raw.len > 0) {
            json_put_raw(writer, NULL, block->raw);
        } else if (block->kind == MODEL_BLOCK_TOOL_CALL) {
            put_call(writer, block);
        } else if (is_text && block->text.len > 0) {
            put_text(writer, block->text);
        }
    }
}

static bool is_nothing(const struct provider_row *row, const struct model_message *message)
{
    bool same_origin = request_is_from(row, message->origin);
    assert(message->role == MODEL_ROLE_ASSISTANT);
    for (size_t i = 0; i < message->block_count; i++) {
        const struct model_block *block = &message->blocks[i];
        bool is_text = block->kind == MODEL_BLOCK_TEXT || block->kind == MODEL_BLOCK_REFUSAL;
        if (block->kind == MODEL_BLOCK_TOOL_CALL || (same_origin && block->raw.len > 0) ||
            (is_text && block->text.len > 0)) {
            return false;
        }
    }
    return true;
}

bool gemini_takes_media(const struct model_block *media)
{
    return media->media_type.len > 0;
}

static void put_media(struct json_writer *writer, const struct model_block *media)
{
    bool has_data = media->data.len > 0;
    assert(gemini_takes_media(media));
    json_begin_object(writer, NULL);
    json_begin_object(writer, has_data ? "inlineData" : "fileData");
    json_put_string(writer, "mimeType", media->media_type);
    json_put_string(writer, has_data ? "data" : "fileUri", has_data ? media->data : media->url);
    json_end_object(writer);
    json_end_object(writer);
}

/* In the order they were given. */
static void put_parts(struct json_writer *writer, const struct model_message *message)
{
    for (size_t i = 0; i < message->block_count; i++) {
        const struct model_block *block = &message->blocks[i];
        if (block->kind == MODEL_BLOCK_MEDIA) {
            put_media(writer, block);
        } else if (block->kind == MODEL_BLOCK_TEXT) {
            put_text(writer, block->text);
        }
    }
}

static void put_user(struct json_writer *writer, const struct model_message *message)
{
    struct buf text = {0};
    assert(message->role == MODEL_ROLE_USER);
    if (request_has_media(message)) {
        put_parts(writer, message);
        return;
    }
    (void)request_join_texts(message, MODEL_BLOCK_TEXT, &text);
    put_text(writer, text.len > 0 ? buf_str(&text) : STR("(no text)"));
    buf_fini(&text);
}

/* before: the message in front of it, or NULL. */
static void put_content(struct json_writer *writer, const struct provider_row *row,
                        const struct model_message *message, const struct model_message *before)
{
    bool is_models = message->role == MODEL_ROLE_ASSISTANT;
    if (message->role == MODEL_ROLE_SYSTEM || (is_models && is_nothing(row, message))) {
        return;
    }
    json_begin_object(writer, NULL);
    json_put_string(writer, "role", is_models ? STR("model") : STR("user"));
    json_begin_array(writer, "parts");
    if (is_models) {
        put_reply(writer, row, message);
    } else if (message->role == MODEL_ROLE_TOOL) {
        put_results(writer, row, message, before);
    } else {
        put_user(writer, message);
    }
    json_end_array(writer);
    json_end_object(writer);
}

static void put_system(struct json_writer *writer, const struct model_request *request)
{
    struct buf text = {0};
    buf_put(&text, request->system);
    for (size_t i = 0; i < request->message_count; i++) {
        if (request->messages[i].role == MODEL_ROLE_SYSTEM) {
            buf_put(&text, text.len == 0 ? STR_EMPTY : STR("\n\n"));
            (void)request_join_texts(&request->messages[i], MODEL_BLOCK_TEXT, &text);
        }
    }
    if (text.len > 0) {
        json_begin_object(writer, "systemInstruction");
        json_begin_array(writer, "parts");
        put_text(writer, buf_str(&text));
        json_end_array(writer);
        json_end_object(writer);
    }
    buf_fini(&text);
}

static void put_tools(struct json_writer *writer, const struct model_request *request)
{
    if (request->tool_count == 0) {
        return;
    }
    json_begin_array(writer, "tools");
    json_begin_object(writer, NULL);
    json_begin_array(writer, "functionDeclarations");
    for (size_t i = 0; i < request->tool_count; i++) {
        const struct model_tool *tool = &request->tools[i];
        json_begin_object(writer, NULL);
        json_put_string(writer, "name", tool->name);
        if (tool->description.len > 0) {
            json_put_string(writer, "description", tool->description);
        }
        json_put_raw(writer, "parametersJsonSchema", request_parameters(tool));
        json_end_object(writer);
    }
    json_end_array(writer);
    json_end_object(writer);
    json_end_array(writer);
}

/* Gemini 3 knows levels; the ones before count tokens, as Google translates OpenAI's words. */
static void put_thinking(struct json_writer *writer, str model, str effort)
{
    static const struct {
        const char *word;
        const char *level;
        uint64_t tokens;
    } rows[] = {
        {"none", "MINIMAL", 0},     {"minimal", "MINIMAL", 1024}, {"low", "LOW", 1024},
        {"medium", "MEDIUM", 8192}, {"high", "HIGH", 24576},      {"xhigh", "HIGH", 24576},
    };
    bool counts =
        str_starts_with(model, STR("gemini-1")) || str_starts_with(model, STR("gemini-2"));
    assert(effort.len > 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (!json_string_is(effort, str_of(rows[i].word))) {
            continue;
        }
        json_begin_object(writer, "thinkingConfig");
        json_put_bool(writer, "includeThoughts", rows[i].tokens > 0);
        if (counts) {
            json_put_u64(writer, "thinkingBudget", rows[i].tokens);
        } else {
            json_put_string(writer, "thinkingLevel", str_of(rows[i].level));
        }
        json_end_object(writer);
    }
}

static void put_generation(struct json_writer *writer, const struct model_request *request,
                           str effort)
{
    json_begin_object(writer, "generationConfig");
    if (request->output_schema_json.len > 0) {
        json_put_string(writer, "responseMimeType", STR("application/json"));
        json_put_raw(writer, "responseJsonSchema", request->output_schema_json);
    }
    request_put_temperature(writer, request->temperature);
    if (request->max_output_tokens > 0) {
        json_put_u64(writer, "maxOutputTokens", request->max_output_tokens);
    }
    if (effort.len > 0) {
        put_thinking(writer, request->model, effort);
    }
    json_end_object(writer);
}

static void put_contents(struct json_writer *writer, const struct provider_row *row,
                         const struct model_request *request)
{
    json_begin_array(writer, "contents");
    for (size_t i = 0; i < request->message_count; i++) {
        put_content(writer, row, &request->messages[i], i == 0 ? NULL : &request->messages[i - 1]);
    }
    json_end_array(writer);
}

void gemini_put_body(const struct provider_row *row, const struct model_request *request,
                     struct buf *ret)
{
    struct buf body = {0};
    struct buf rest = {0};
    struct json_writer writer = json_writer_of(&body);
    str options = request->options_json;
    str effort = STR_EMPTY;
    assert(row->codec == &gemini_codec && request->model.len > 0);
    if (request_take_effort(options, &effort, &rest)) {
        options = buf_str(&rest);
    }
    json_begin_object(&writer, NULL);
    put_tools(&writer, request);
    put_system(&writer, request);
    put_contents(&writer, row, request);
    put_generation(&writer, request, effort);
    json_end_object(&writer);
    request_merge_options(buf_str(&body), options, "generationConfig", ret);
    buf_fini(&rest);
    buf_fini(&body);
}
