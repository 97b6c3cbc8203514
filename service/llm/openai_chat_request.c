#include "service/base/json.h"
#include "service/llm/openai_chat.h"
#include "service/llm/providers.h"
#include "service/llm/request.h"
#include "service/llm/strict.h"

static bool put_texts(struct json_writer *writer, const char *name,
                      const struct model_message *message, enum model_block_kind kind)
{
    struct buf text = {0};
    bool any = request_join_texts(message, kind, &text) > 0;
    if (any) {
        json_put_string(writer, name, buf_str(&text));
    }
    buf_fini(&text);
    return any;
}

static void put_text_part(struct json_writer *writer, str text)
{
    json_begin_object(writer, NULL);
    json_put_string(writer, "type", STR("text"));
    json_put_string(writer, "text", text);
    json_end_object(writer);
}

bool openai_chat_takes_media(const struct model_block *media)
{
    bool has_data = media->data.len > 0;
    return request_is_media(media, "image/") ||
           (has_data &&
            (request_is_media(media, "application/pdf") || request_is_media(media, "audio/wav") ||
             request_is_media(media, "audio/mpeg")));
}

static void put_media_part(struct json_writer *writer, const struct model_block *media)
{
    bool is_mp3 = request_is_media(media, "audio/mpeg");
    assert(openai_chat_takes_media(media));
    json_begin_object(writer, NULL);
    if (request_is_media(media, "image/")) {
        json_put_string(writer, "type", STR("image_url"));
        json_begin_object(writer, "image_url");
        request_put_media_url(writer, "url", media);
    } else if (request_is_media(media, "audio/")) {
        json_put_string(writer, "type", STR("input_audio"));
        json_begin_object(writer, "input_audio");
        json_put_string(writer, "data", media->data);
        json_put_string(writer, "format", is_mp3 ? STR("mp3") : STR("wav"));
    } else {
        json_put_string(writer, "type", STR("file"));
        json_begin_object(writer, "file");
        json_put_string(writer, "filename", request_media_filename(media));
        request_put_media_url(writer, "file_data", media);
    }
    json_end_object(writer);
    json_end_object(writer);
}

/* Texts and what is shown beside them, in the order they were given. */
static void put_parts(struct json_writer *writer, const struct model_message *message)
{
    json_begin_array(writer, "content");
    for (size_t i = 0; i < message->block_count; i++) {
        const struct model_block *block = &message->blocks[i];
        if (block->kind == MODEL_BLOCK_MEDIA) {
            put_media_part(writer, block);
        } else if (block->kind == MODEL_BLOCK_TEXT) {
            put_text_part(writer, block->text);
        }
    }
    json_end_array(writer);
}

static void put_plain_message(struct json_writer *writer, const char *role,
                              const struct model_message *message)
{
    assert(message->role != MODEL_ROLE_ASSISTANT && message->role != MODEL_ROLE_TOOL);
    json_begin_object(writer, NULL);
    json_put_string(writer, "role", str_of(role));
    if (request_has_media(message)) {
        put_parts(writer, message);
    } else if (!put_texts(writer, "content", message, MODEL_BLOCK_TEXT)) {
        json_put_string(writer, "content", STR_EMPTY);
    }
    json_end_object(writer);
}

static void put_arguments(struct json_writer *writer, const struct model_block *call)
{
    struct buf arguments = {0};
    request_put_arguments(call, &arguments);
    json_put_string(writer, "arguments", buf_str(&arguments));
    buf_fini(&arguments);
}

/* Puts an object that the members of `opaque` are spliced into, byte for byte. */
static void put_merged(struct json_writer *writer, str object, str opaque)
{
    struct buf merged = {0};
    assert(json_kind_of(object) == JSON_OBJECT);
    json_object_merge(object, opaque, &merged);
    json_put_raw(writer, NULL, buf_str(&merged));
    buf_fini(&merged);
}

static void put_call(struct json_writer *writer, const struct provider_row *row,
                     const struct model_block *call, bool same_origin)
{
    struct buf bytes = {0};
    struct json_writer object = json_writer_of(&bytes);
    char stand_in[REQUEST_CALL_ID_BYTES];
    assert(call->kind == MODEL_BLOCK_TOOL_CALL && call->call_id.len > 0);
    json_begin_object(&object, NULL);
    json_put_string(&object, "id", request_call_id(row, call->call_id, stand_in));
    json_put_string(&object, "type", STR("function"));
    json_begin_object(&object, "function");
    json_put_string(&object, "name", call->name);
    put_arguments(&object, call);
    json_end_object(&object);
    json_end_object(&object);
    put_merged(writer, buf_str(&bytes), same_origin ? call->raw : STR_EMPTY);
    buf_fini(&bytes);
}

static void put_calls(struct json_writer *writer, const struct provider_row *row,
                      const struct model_message *message, bool same_origin)
{
    if (!request_has_call(message)) {
        return;
    }
    json_begin_array(writer, "tool_calls");
    for (size_t i = 0; i < message->block_count; i++) {
        if (message->blocks[i].kind == MODEL_BLOCK_TOOL_CALL) {
            put_call(writer, row, &message->blocks[i], same_origin);
        }
    }
    json_end_array(writer);
}

/* Splices what the provider gave us opaquely, such as reasoning_details, into its message. */
static void put_with_opaque(struct json_writer *writer, const struct model_message *message,
                            str object)
{
    struct buf merged = {0};
    assert(json_kind_of(object) == JSON_OBJECT);
    buf_put(&merged, object);
    for (size_t i = 0; i < message->block_count; i++) {
        const struct model_block *block = &message->blocks[i];
        struct buf next = {0};
        if (block->kind == MODEL_BLOCK_TOOL_CALL || !json_is_object(block->raw)) {
            continue;
        }
        json_object_merge(buf_str(&merged), block->raw, &next);
        buf_fini(&merged);
        merged = next;
    }
    json_put_raw(writer, NULL, buf_str(&merged));
    buf_fini(&merged);
}

static void put_assistant_message(struct json_writer *writer, const struct provider_row *row,
                                  const struct model_message *message)
{
    bool same_origin = request_is_from(row, message->origin);
    struct buf bytes = {0};
    struct json_writer object = json_writer_of(&bytes);
    assert(message->role == MODEL_ROLE_ASSISTANT);
    json_begin_object(&object, NULL);
    json_put_string(&object, "role", STR("assistant"));
    if (!put_texts(&object, "content", message, MODEL_BLOCK_TEXT) &&
        !put_texts(&object, "content", message, MODEL_BLOCK_REFUSAL)) {
        json_put_raw(&object, "content", request_has_call(message) ? STR("null") : STR("\"\""));
    }
    if (same_origin && (row->quirks & PROVIDER_REASONING_BACK) != 0) {
        (void)put_texts(&object, "reasoning_content", message, MODEL_BLOCK_REASONING);
    }
    put_calls(&object, row, message, same_origin);
    json_end_object(&object);
    if (same_origin) {
        put_with_opaque(writer, message, buf_str(&bytes));
    } else {
        json_put_raw(writer, NULL, buf_str(&bytes));
    }
    buf_fini(&bytes);
}

/* One message for each result. */
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
        json_put_string(writer, "role", STR("tool"));
        json_put_string(writer, "tool_call_id", request_call_id(row, block->call_id, stand_in));
        json_put_string(writer, "content", block->text);
        json_end_object(writer);
    }
}

static void put_message(struct json_writer *writer, const struct provider_row *row,
                        const struct model_message *message)
{
    switch (message->role) {
    case MODEL_ROLE_SYSTEM:
        put_plain_message(writer, "system", message);
        return;
    case MODEL_ROLE_USER:
        put_plain_message(writer, "user", message);
        return;
    case MODEL_ROLE_ASSISTANT:
        put_assistant_message(writer, row, message);
        return;
    case MODEL_ROLE_TOOL:
        put_results(writer, row, message);
        return;
    }
    assert(false);
}

/* A server that knows no schema is told it in words. */
static void put_system(struct json_writer *writer, const struct provider_row *row,
                       const struct model_request *request)
{
    bool tell = (row->quirks & PROVIDER_JSON_OBJECT_ONLY) != 0;
    struct buf text = {0};
    buf_put(&text, request->system);
    if (tell && request->output_schema_json.len > 0) {
        buf_put(&text, text.len == 0 ? STR_EMPTY : STR("\n\n"));
        buf_put(&text, STR("Answer with one JSON object that matches this JSON Schema:\n"));
        buf_put(&text, request->output_schema_json);
    }
    if (text.len > 0) {
        json_begin_object(writer, NULL);
        json_put_string(writer, "role", STR("system"));
        json_put_string(writer, "content", buf_str(&text));
        json_end_object(writer);
    }
    buf_fini(&text);
}

static void put_messages(struct json_writer *writer, const struct provider_row *row,
                         const struct model_request *request)
{
    json_begin_array(writer, "messages");
    put_system(writer, row, request);
    for (size_t i = 0; i < request->message_count; i++) {
        put_message(writer, row, &request->messages[i]);
    }
    json_end_array(writer);
}

static void put_format(struct json_writer *writer, const struct provider_row *row, str schema)
{
    bool knows_schemas = (row->quirks & PROVIDER_JSON_OBJECT_ONLY) == 0;
    if (schema.len == 0) {
        return;
    }
    json_begin_object(writer, "response_format");
    json_put_string(writer, "type", knows_schemas ? STR("json_schema") : STR("json_object"));
    if (knows_schemas) {
        json_begin_object(writer, "json_schema");
        json_put_string(writer, "name", STR("output"));
        json_put_raw(writer, "schema", schema);
        if ((row->quirks & PROVIDER_STRICT) != 0 && strict_takes(schema)) {
            json_put_bool(writer, "strict", true);
        }
        json_end_object(writer);
    }
    json_end_object(writer);
}

static void put_settings(struct json_writer *writer, const struct provider_row *row,
                         const struct model_request *request)
{
    bool newer = (row->quirks & PROVIDER_MAX_COMPLETION_TOKENS) != 0;
    put_format(writer, row, request->output_schema_json);
    request_put_temperature(writer, request->temperature);
    if (request->max_output_tokens > 0) {
        json_put_u64(writer, newer ? "max_completion_tokens" : "max_tokens",
                     request->max_output_tokens);
    }
    json_put_bool(writer, "stream", true);
    if ((row->quirks & PROVIDER_NO_STREAM_OPTIONS) == 0) {
        json_begin_object(writer, "stream_options");
        json_put_bool(writer, "include_usage", true);
        json_end_object(writer);
    }
}

/* Most servers of the dialect spell {"reasoning": {"effort": "low"}} as "reasoning_effort": "low".
 * A `reasoning` that says no effort is left alone. */
static void put_options(struct buf *ret, const struct provider_row *row, str options)
{
    str effort;
    bool as_it_is = (row->quirks & PROVIDER_REASONING_OBJECT) != 0;
    assert(ret->len == 0);
    if (as_it_is || !request_take_effort(options, &effort, ret)) {
        buf_put(ret, options);
        return;
    }
    struct buf overlay = {0};
    struct buf merged = {0};
    struct json_writer writer = json_writer_of(&overlay);
    json_begin_object(&writer, NULL);
    json_put_raw(&writer, "reasoning_effort", effort);
    json_end_object(&writer);
    json_object_merge(buf_str(ret), buf_str(&overlay), &merged);
    buf_reset(ret);
    buf_put(ret, buf_str(&merged));
    buf_fini(&merged);
    buf_fini(&overlay);
}

void openai_chat_put_body(const struct provider_row *row, const struct model_request *request,
                          struct buf *ret)
{
    struct buf body = {0};
    struct buf options = {0};
    struct json_writer writer = json_writer_of(&body);
    assert(row != NULL && row->codec == &openai_chat_codec && request->model.len > 0);
    /* The order of keys is fixed and the conversation only grows: a stable prefix is what the
     * providers' prompt caches live on. */
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "model", request->model);
    request_put_function_tools(&writer, request);
    put_messages(&writer, row, request);
    put_settings(&writer, row, request);
    json_end_object(&writer);
    if (request->options_json.len > 0) {
        put_options(&options, row, request->options_json);
        json_object_merge(buf_str(&body), buf_str(&options), ret);
    } else {
        buf_put(ret, buf_str(&body));
    }
    buf_fini(&options);
    buf_fini(&body);
}
