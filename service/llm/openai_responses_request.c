#include "service/base/json.h"
#include "service/llm/openai_responses.h"
#include "service/llm/providers.h"
#include "service/llm/request.h"
#include "service/llm/strict.h"

static void put_message(struct json_writer *writer, const char *role, str text)
{
    assert(role != NULL);
    json_begin_object(writer, NULL);
    json_put_string(writer, "role", str_of(role));
    json_put_string(writer, "content", text);
    json_end_object(writer);
}

bool openai_responses_takes_media(const struct model_block *media)
{
    return request_is_media(media, "image/") || request_is_media(media, "application/pdf");
}

static void put_media(struct json_writer *writer, const struct model_block *media)
{
    bool is_image = request_is_media(media, "image/");
    assert(openai_responses_takes_media(media));
    json_begin_object(writer, NULL);
    json_put_string(writer, "type", is_image ? STR("input_image") : STR("input_file"));
    if (!is_image && media->data.len > 0) {
        json_put_string(writer, "filename", request_media_filename(media));
    }
    request_put_media_url(writer,
                          is_image              ? "image_url"
                          : media->data.len > 0 ? "file_data"
                                                : "file_url",
                          media);
    json_end_object(writer);
}

/* A user's words and what is shown beside them, in the order they were given. */
static void put_parts(struct json_writer *writer, const struct model_message *message)
{
    assert(message->role == MODEL_ROLE_USER);
    json_begin_object(writer, NULL);
    json_put_string(writer, "role", STR("user"));
    json_begin_array(writer, "content");
    for (size_t i = 0; i < message->block_count; i++) {
        const struct model_block *block = &message->blocks[i];
        if (block->kind == MODEL_BLOCK_MEDIA) {
            put_media(writer, block);
        } else if (block->kind == MODEL_BLOCK_TEXT) {
            json_begin_object(writer, NULL);
            json_put_string(writer, "type", STR("input_text"));
            json_put_string(writer, "text", block->text);
            json_end_object(writer);
        }
    }
    json_end_array(writer);
    json_end_object(writer);
}

static void put_texts(struct json_writer *writer, const char *role,
                      const struct model_message *message)
{
    struct buf text = {0};
    (void)request_join_texts(message, MODEL_BLOCK_TEXT, &text);
    put_message(writer, role, buf_str(&text));
    buf_fini(&text);
}

/* As it came, but for the id: it may have been changed, since another call had it too. */
static void put_raw_call(struct json_writer *writer, const struct model_block *call, str call_id)
{
    str raw;
    assert(call->raw.len > 0 && call_id.len > 0);
    if (json_object_get(call->raw, STR("call_id"), &raw) && json_string_is(raw, call_id)) {
        json_put_raw(writer, NULL, call->raw);
        return;
    }
    struct buf overlay = {0};
    struct buf merged = {0};
    struct json_writer inner = json_writer_of(&overlay);
    json_begin_object(&inner, NULL);
    json_put_string(&inner, "call_id", call_id);
    json_end_object(&inner);
    json_object_merge(call->raw, buf_str(&overlay), &merged);
    json_put_raw(writer, NULL, buf_str(&merged));
    buf_fini(&merged);
    buf_fini(&overlay);
}

static void put_call(struct json_writer *writer, const struct provider_row *row,
                     const struct model_block *call, bool same_origin)
{
    char stand_in[REQUEST_CALL_ID_BYTES];
    str call_id = request_call_id(row, call->call_id, stand_in);
    struct buf arguments = {0};
    assert(call->kind == MODEL_BLOCK_TOOL_CALL);
    if (same_origin && call->raw.len > 0 && !call->arguments_invalid) {
        put_raw_call(writer, call, call_id);
        return;
    }
    request_put_arguments(call, &arguments);
    json_begin_object(writer, NULL);
    json_put_string(writer, "type", STR("function_call"));
    json_put_string(writer, "call_id", call_id);
    json_put_string(writer, "name", call->name);
    json_put_string(writer, "arguments", buf_str(&arguments));
    json_end_object(writer);
    buf_fini(&arguments);
}

/* One input item for each item of the reply. A refusal stands in the message before it. */
static void put_reply(struct json_writer *writer, const struct provider_row *row,
                      const struct model_message *message)
{
    bool same_origin = request_is_from(row, message->origin);
    assert(message->role == MODEL_ROLE_ASSISTANT);
    for (size_t i = 0; i < message->block_count; i++) {
        const struct model_block *block = &message->blocks[i];
        bool is_text = block->kind == MODEL_BLOCK_TEXT || block->kind == MODEL_BLOCK_REFUSAL;
        bool in_item_before = same_origin && block->kind == MODEL_BLOCK_REFUSAL && i > 0 &&
                              block[-1].kind == MODEL_BLOCK_TEXT && block[-1].raw.len > 0;
        if (block->kind == MODEL_BLOCK_TOOL_CALL) {
            put_call(writer, row, block, same_origin);
        } else if (same_origin && block->raw.len > 0) {
            json_put_raw(writer, NULL, block->raw);
        } else if (is_text && block->text.len > 0 && !in_item_before) {
            put_message(writer, "assistant", block->text);
        }
    }
}

static void put_results(struct json_writer *writer, const struct provider_row *row,
                        const struct model_message *message)
{
    assert(message->role == MODEL_ROLE_TOOL);
    for (size_t i = 0; i < message->block_count; i++) {
        const struct model_block *block = &message->blocks[i];
        char stand_in[REQUEST_CALL_ID_BYTES];
        if (block->kind != MODEL_BLOCK_TOOL_RESULT) {
            continue;
        }
        json_begin_object(writer, NULL);
        json_put_string(writer, "type", STR("function_call_output"));
        json_put_string(writer, "call_id", request_call_id(row, block->call_id, stand_in));
        json_put_string(writer, "output", block->text);
        json_end_object(writer);
    }
}

static void put_input(struct json_writer *writer, const struct provider_row *row,
                      const struct model_message *message)
{
    switch (message->role) {
    case MODEL_ROLE_SYSTEM:
        put_texts(writer, "system", message);
        return;
    case MODEL_ROLE_USER:
        if (request_has_media(message)) {
            put_parts(writer, message);
        } else {
            put_texts(writer, "user", message);
        }
        return;
    case MODEL_ROLE_ASSISTANT:
        put_reply(writer, row, message);
        return;
    case MODEL_ROLE_TOOL:
        put_results(writer, row, message);
        return;
    }
    assert(false && "of our own making");
}

/* strict is on unless it is said, and refuses schemas that do not name every member as required. */
static void put_tools(struct json_writer *writer, const struct model_request *request)
{
    if (request->tool_count == 0) {
        return;
    }
    json_begin_array(writer, "tools");
    for (size_t i = 0; i < request->tool_count; i++) {
        const struct model_tool *tool = &request->tools[i];
        json_begin_object(writer, NULL);
        json_put_string(writer, "type", STR("function"));
        json_put_string(writer, "name", tool->name);
        if (tool->description.len > 0) {
            json_put_string(writer, "description", tool->description);
        }
        json_put_raw(writer, "parameters", request_parameters(tool));
        json_put_bool(writer, "strict", false);
        json_end_object(writer);
    }
    json_end_array(writer);
}

static void put_format(struct json_writer *writer, const struct provider_row *row, str schema)
{
    if (schema.len == 0) {
        return;
    }
    json_begin_object(writer, "text");
    json_begin_object(writer, "format");
    json_put_string(writer, "type", STR("json_schema"));
    json_put_string(writer, "name", STR("output"));
    json_put_raw(writer, "schema", schema);
    if ((row->quirks & PROVIDER_STRICT) != 0 && strict_takes(schema)) {
        json_put_bool(writer, "strict", true);
    }
    json_end_object(writer);
    json_end_object(writer);
}

/* Models of old do not think, and refuse to be asked for it. */
static bool may_think(str model)
{
    return !str_starts_with(model, STR("gpt-3")) && !str_starts_with(model, STR("gpt-4")) &&
           !str_starts_with(model, STR("chatgpt-"));
}

static void put_settings(struct json_writer *writer, const struct provider_row *row,
                         const struct model_request *request)
{
    put_format(writer, row, request->output_schema_json);
    request_put_temperature(writer, request->temperature);
    if (request->max_output_tokens > 0) {
        json_put_u64(writer, "max_output_tokens", request->max_output_tokens);
    }
    if (may_think(request->model)) {
        json_begin_array(writer, "include");
        json_put_string(writer, NULL, STR("reasoning.encrypted_content"));
        json_end_array(writer);
    }
    json_put_bool(writer, "store", false);
    json_put_bool(writer, "stream", true);
}

/* "reasoning_effort" is a word of Chat Completions; this dialect says {"reasoning": {"effort"}}. */
static void put_options(struct buf *ret, str options)
{
    str reasoning;
    str effort;
    struct buf rest = {0};
    struct buf overlay = {0};
    struct json_writer writer = json_writer_of(&overlay);
    assert(ret->len == 0);
    if (json_object_get(options, STR("reasoning"), &reasoning) ||
        !request_take_effort(options, &effort, &rest)) {
        buf_put(ret, options);
        buf_fini(&rest);
        return;
    }
    json_begin_object(&writer, NULL);
    json_begin_object(&writer, "reasoning");
    json_put_raw(&writer, "effort", effort);
    json_end_object(&writer);
    json_end_object(&writer);
    json_object_merge(buf_str(&rest), buf_str(&overlay), ret);
    buf_fini(&overlay);
    buf_fini(&rest);
}

void openai_responses_put_body(const struct provider_row *row, const struct model_request *request,
                               struct buf *ret)
{
    struct buf body = {0};
    struct buf options = {0};
    struct json_writer writer = json_writer_of(&body);
    assert(row->codec == &openai_responses_codec && request->model.len > 0);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "model", request->model);
    put_tools(&writer, request);
    if (request->system.len > 0) {
        json_put_string(&writer, "instructions", request->system);
    }
    json_begin_array(&writer, "input");
    for (size_t i = 0; i < request->message_count; i++) {
        put_input(&writer, row, &request->messages[i]);
    }
    json_end_array(&writer);
    put_settings(&writer, row, request);
    json_end_object(&writer);
    put_options(&options, request->options_json);
    json_object_merge(buf_str(&body), buf_str(&options), ret);
    buf_fini(&options);
    buf_fini(&body);
}
