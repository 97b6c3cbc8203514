#include "service/base/json.h"
#include "service/llm/ollama.h"
#include "service/llm/providers.h"
#include "service/llm/request.h"

static void put_texts(struct json_writer *writer, const char *name,
                      const struct model_message *message, enum model_block_kind kind)
{
    struct buf text = {0};
    (void)request_join_texts(message, kind, &text);
    json_put_string(writer, name, buf_str(&text));
    buf_fini(&text);
}

bool ollama_takes_media(const struct model_block *media)
{
    return media->data.len > 0 && request_is_media(media, "image/");
}

static void put_images(struct json_writer *writer, const struct model_message *message)
{
    json_begin_array(writer, "images");
    for (size_t i = 0; i < message->block_count; i++) {
        if (message->blocks[i].kind == MODEL_BLOCK_MEDIA) {
            assert(ollama_takes_media(&message->blocks[i]));
            json_put_string(writer, NULL, message->blocks[i].data);
        }
    }
    json_end_array(writer);
}

static void put_plain(struct json_writer *writer, const char *role,
                      const struct model_message *message)
{
    assert(role != NULL);
    json_begin_object(writer, NULL);
    json_put_string(writer, "role", str_of(role));
    put_texts(writer, "content", message, MODEL_BLOCK_TEXT);
    if (request_has_media(message)) {
        put_images(writer, message);
    }
    json_end_object(writer);
}

static void put_call(struct json_writer *writer, const struct model_block *call)
{
    struct buf arguments = {0};
    request_put_arguments(call, &arguments);
    json_begin_object(writer, NULL);
    json_put_string(writer, "id", call->call_id);
    json_begin_object(writer, "function");
    json_put_string(writer, "name", call->name);
    json_put_raw(writer, "arguments", buf_str(&arguments));
    json_end_object(writer);
    json_end_object(writer);
    buf_fini(&arguments);
}

/* Thinking goes back to the server it came from, whose models want it in the loop of a tool. */
static void put_reply(struct json_writer *writer, const struct provider_row *row,
                      const struct model_message *message)
{
    bool same_origin = request_is_from(row, message->origin);
    assert(message->role == MODEL_ROLE_ASSISTANT);
    json_begin_object(writer, NULL);
    json_put_string(writer, "role", STR("assistant"));
    put_texts(writer, "content", message, MODEL_BLOCK_TEXT);
    if (same_origin && request_has_call(message)) {
        put_texts(writer, "thinking", message, MODEL_BLOCK_REASONING);
    }
    if (request_has_call(message)) {
        json_begin_array(writer, "tool_calls");
        for (size_t i = 0; i < message->block_count; i++) {
            if (message->blocks[i].kind == MODEL_BLOCK_TOOL_CALL) {
                put_call(writer, &message->blocks[i]);
            }
        }
        json_end_array(writer);
    }
    json_end_object(writer);
}

static void put_results(struct json_writer *writer, const struct model_message *message)
{
    assert(message->role == MODEL_ROLE_TOOL);
    for (size_t i = 0; i < message->block_count; i++) {
        const struct model_block *block = &message->blocks[i];
        if (block->kind != MODEL_BLOCK_TOOL_RESULT) {
            continue;
        }
        json_begin_object(writer, NULL);
        json_put_string(writer, "role", STR("tool"));
        json_put_string(writer, "tool_name", block->name);
        json_put_string(writer, "tool_call_id", block->call_id);
        json_put_string(writer, "content", block->text);
        json_end_object(writer);
    }
}

static void put_message(struct json_writer *writer, const struct provider_row *row,
                        const struct model_message *message)
{
    switch (message->role) {
    case MODEL_ROLE_SYSTEM:
        put_plain(writer, "system", message);
        return;
    case MODEL_ROLE_USER:
        put_plain(writer, "user", message);
        return;
    case MODEL_ROLE_ASSISTANT:
        put_reply(writer, row, message);
        return;
    case MODEL_ROLE_TOOL:
        put_results(writer, message);
        return;
    }
    assert(false && "of our own making");
}

static void put_messages(struct json_writer *writer, const struct provider_row *row,
                         const struct model_request *request)
{
    json_begin_array(writer, "messages");
    if (request->system.len > 0) {
        json_begin_object(writer, NULL);
        json_put_string(writer, "role", STR("system"));
        json_put_string(writer, "content", request->system);
        json_end_object(writer);
    }
    for (size_t i = 0; i < request->message_count; i++) {
        put_message(writer, row, &request->messages[i]);
    }
    json_end_array(writer);
}

/* What Ollama calls options: of the model, not of the request. */
static void put_model_options(struct json_writer *writer, const struct model_request *request)
{
    json_begin_object(writer, "options");
    request_put_temperature(writer, request->temperature);
    if (request->max_output_tokens > 0) {
        json_put_u64(writer, "num_predict", request->max_output_tokens);
    }
    json_end_object(writer);
}

void ollama_put_body(const struct provider_row *row, const struct model_request *request,
                     struct buf *ret)
{
    struct buf body = {0};
    struct buf rest = {0};
    struct json_writer writer = json_writer_of(&body);
    str options = request->options_json;
    str effort = STR_EMPTY;
    assert(row->codec == &ollama_codec && request->model.len > 0);
    if (request_take_effort(options, &effort, &rest)) {
        options = buf_str(&rest);
    }
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "model", request->model);
    request_put_function_tools(&writer, request);
    put_messages(&writer, row, request);
    if (request->output_schema_json.len > 0) {
        json_put_raw(&writer, "format", request->output_schema_json);
    }
    if (effort.len > 0) {
        json_put_raw(&writer, "think", effort);
    }
    put_model_options(&writer, request);
    json_put_bool(&writer, "stream", true);
    json_end_object(&writer);
    request_merge_options(buf_str(&body), options, "options", ret);
    buf_fini(&rest);
    buf_fini(&body);
}
