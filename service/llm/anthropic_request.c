#include "service/base/base64.h"
#include "service/base/json.h"
#include "service/llm/anthropic.h"
#include "service/llm/providers.h"
#include "service/llm/request.h"

enum {
    MAX_TOKENS = 16384, /* The field is required; every model of today takes so many. */
};

/* Where the provider keeps what it has read so far, to be found again by the next call: behind the
 * tools, the system's words and the newest message. Four are allowed. */
static void put_cache_mark(struct json_writer *writer)
{
    json_begin_object(writer, "cache_control");
    json_put_string(writer, "type", STR("ephemeral"));
    json_end_object(writer);
}

static void put_text_block(struct json_writer *writer, str text, bool is_marked)
{
    assert(str_trim(text).len > 0); /* Or the provider refuses it. */
    json_begin_object(writer, NULL);
    json_put_string(writer, "type", STR("text"));
    json_put_string(writer, "text", text);
    if (is_marked) {
        put_cache_mark(writer);
    }
    json_end_object(writer);
}

static void put_call(struct json_writer *writer, const struct provider_row *row,
                     const struct model_block *call)
{
    struct buf input = {0};
    char stand_in[REQUEST_CALL_ID_BYTES];
    assert(call->kind == MODEL_BLOCK_TOOL_CALL && call->call_id.len > 0);
    request_put_arguments(call, &input);
    json_begin_object(writer, NULL);
    json_put_string(writer, "type", STR("tool_use"));
    json_put_string(writer, "id", request_call_id(row, call->call_id, stand_in));
    json_put_string(writer, "name", call->name);
    json_put_raw(writer, "input", buf_str(&input));
    json_end_object(writer);
    buf_fini(&input);
}

static void put_result(struct json_writer *writer, const struct provider_row *row,
                       const struct model_block *result, bool is_marked)
{
    char stand_in[REQUEST_CALL_ID_BYTES];
    assert(result->kind == MODEL_BLOCK_TOOL_RESULT);
    json_begin_object(writer, NULL);
    json_put_string(writer, "type", STR("tool_result"));
    json_put_string(writer, "tool_use_id", request_call_id(row, result->call_id, stand_in));
    json_put_string(writer, "content", result->text);
    if (result->is_error) {
        json_put_bool(writer, "is_error", true);
    }
    if (is_marked) {
        put_cache_mark(writer);
    }
    json_end_object(writer);
}

bool anthropic_takes_media(const struct model_block *media)
{
    return request_is_media(media, "image/") || request_is_media(media, "application/pdf") ||
           (request_is_media(media, "text/") && media->data.len > 0);
}

static void put_source(struct json_writer *writer, const struct model_block *media)
{
    struct buf text = {0};
    json_begin_object(writer, "source");
    if (media->url.len > 0) {
        json_put_string(writer, "type", STR("url"));
        json_put_string(writer, "url", media->url);
    } else if (request_is_media(media, "text/")) {
        json_put_string(writer, "type", STR("text"));
        json_put_string(writer, "media_type", STR("text/plain"));
        (void)base64_decode(media->data, &text); /* It was checked when the run was started. */
        json_put_string(writer, "data", buf_str(&text));
    } else {
        json_put_string(writer, "type", STR("base64"));
        json_put_string(writer, "media_type", media->media_type);
        json_put_string(writer, "data", media->data);
    }
    json_end_object(writer);
    buf_fini(&text);
}

static void put_media(struct json_writer *writer, const struct model_block *media, bool is_marked)
{
    bool is_image = request_is_media(media, "image/");
    assert(anthropic_takes_media(media));
    json_begin_object(writer, NULL);
    json_put_string(writer, "type", is_image ? STR("image") : STR("document"));
    put_source(writer, media);
    if (!is_image && media->filename.len > 0) {
        json_put_string(writer, "title", media->filename);
    }
    if (is_marked) {
        put_cache_mark(writer);
    }
    json_end_object(writer);
}

/* Whether something of the block is sent. Texts of blanks alone are refused; thinking goes back
 * only as it came. */
static bool is_sent(const struct model_block *block, bool same_origin)
{
    switch (block->kind) {
    case MODEL_BLOCK_TEXT:
    case MODEL_BLOCK_REFUSAL:
        return (same_origin && block->raw.len > 0) || str_trim(block->text).len > 0;
    case MODEL_BLOCK_REASONING:
    case MODEL_BLOCK_OPAQUE:
        return same_origin && block->raw.len > 0;
    case MODEL_BLOCK_TOOL_CALL:
    case MODEL_BLOCK_TOOL_RESULT:
    case MODEL_BLOCK_MEDIA:
        return true;
    }
    assert(false && "of our own making");
    return false;
}

/* is_marked counts for blocks of our making; what the provider made goes back as it came. */
static void put_block(struct json_writer *writer, const struct provider_row *row,
                      const struct model_block *block, bool same_origin, bool is_marked)
{
    assert(is_sent(block, same_origin));
    if (block->kind == MODEL_BLOCK_TOOL_CALL) {
        put_call(writer, row, block);
    } else if (block->kind == MODEL_BLOCK_TOOL_RESULT) {
        put_result(writer, row, block, is_marked);
    } else if (block->kind == MODEL_BLOCK_MEDIA) {
        put_media(writer, block, is_marked);
    } else if (same_origin && block->raw.len > 0) {
        json_put_raw(writer, NULL, block->raw);
    } else {
        put_text_block(writer, block->text, is_marked);
    }
}

static size_t count_sent(const struct model_message *message, bool same_origin)
{
    size_t count = 0;
    for (size_t i = 0; i < message->block_count; i++) {
        count += is_sent(&message->blocks[i], same_origin) ? 1 : 0;
    }
    return count;
}

/* Results are a user's, and each message has content. */
static void put_message(struct json_writer *writer, const struct provider_row *row,
                        const struct model_message *message, bool is_newest)
{
    size_t put = 0;
    bool is_models = message->role == MODEL_ROLE_ASSISTANT;
    bool same_origin = is_models && request_is_from(row, message->origin);
    size_t count = count_sent(message, same_origin);
    if (message->role == MODEL_ROLE_SYSTEM || (is_models && count == 0)) {
        return;
    }
    assert(count <= message->block_count);
    json_begin_object(writer, NULL);
    json_put_string(writer, "role", is_models ? STR("assistant") : STR("user"));
    json_begin_array(writer, "content");
    for (size_t i = 0; i < message->block_count; i++) {
        if (is_sent(&message->blocks[i], same_origin)) {
            put++;
            put_block(writer, row, &message->blocks[i], same_origin, is_newest && put == count);
        }
    }
    if (count == 0) {
        put_text_block(writer, STR("(no text)"), false);
    }
    json_end_array(writer);
    json_end_object(writer);
}

/* The system's words stand at the top, wherever in the conversation they were said. */
static void put_system(struct json_writer *writer, const struct model_request *request)
{
    struct buf text = {0};
    buf_put(&text, request->system);
    for (size_t i = 0; i < request->message_count; i++) {
        if (request->messages[i].role == MODEL_ROLE_SYSTEM) {
            buf_put(&text, text.len == 0 ? STR_EMPTY : STR("\n\n"));
            request_join_texts(&request->messages[i], MODEL_BLOCK_TEXT, &text);
        }
    }
    if (str_trim(buf_str(&text)).len > 0) {
        json_begin_array(writer, "system");
        put_text_block(writer, buf_str(&text), true);
        json_end_array(writer);
    }
    buf_fini(&text);
}

static void put_tools(struct json_writer *writer, const struct model_request *request)
{
    if (request->tool_count == 0) {
        return;
    }
    json_begin_array(writer, "tools");
    for (size_t i = 0; i < request->tool_count; i++) {
        const struct model_tool *tool = &request->tools[i];
        json_begin_object(writer, NULL);
        json_put_string(writer, "name", tool->name);
        if (tool->description.len > 0) {
            json_put_string(writer, "description", tool->description);
        }
        json_put_raw(writer, "input_schema", request_parameters(tool));
        if (i + 1 == request->tool_count) {
            put_cache_mark(writer);
        }
        json_end_object(writer);
    }
    json_end_array(writer);
}

static void put_output(struct json_writer *writer, str schema, str effort)
{
    if (schema.len == 0 && effort.len == 0) {
        return;
    }
    json_begin_object(writer, "output_config");
    if (schema.len > 0) {
        json_begin_object(writer, "format");
        json_put_string(writer, "type", STR("json_schema"));
        json_put_raw(writer, "schema", schema);
        json_end_object(writer);
    }
    if (effort.len > 0) {
        json_put_raw(writer, "effort", effort);
    }
    json_end_object(writer);
}

void anthropic_put_body(const struct provider_row *row, const struct model_request *request,
                        struct buf *ret)
{
    struct buf body = {0};
    struct buf rest = {0};
    struct json_writer writer = json_writer_of(&body);
    uint32_t most = request->max_output_tokens;
    str options = request->options_json;
    str effort = STR_EMPTY;
    assert(row->codec == &anthropic_codec && request->model.len > 0);
    if (request_take_effort(options, &effort, &rest)) {
        options = buf_str(&rest);
    }
    /* In this order the prefix is what prompt caches want: tools, system, then what only grows. */
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "model", request->model);
    put_tools(&writer, request);
    put_system(&writer, request);
    json_begin_array(&writer, "messages");
    for (size_t i = 0; i < request->message_count; i++) {
        put_message(&writer, row, &request->messages[i], i + 1 == request->message_count);
    }
    json_end_array(&writer);
    put_output(&writer, request->output_schema_json, effort);
    request_put_temperature(&writer, request->temperature);
    json_put_u64(&writer, "max_tokens", most > 0 ? most : MAX_TOKENS);
    json_put_bool(&writer, "stream", true);
    json_end_object(&writer);
    json_object_merge(buf_str(&body), options, ret);
    buf_fini(&rest);
    buf_fini(&body);
}
