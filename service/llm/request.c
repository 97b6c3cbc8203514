#include "service/llm/request.h"

#include <math.h>
#include <stdio.h>

#include "service/base/json.h"
#include "service/llm/providers.h"

enum {
    PLAIN_ID_BYTES_MAX = 64,
};

bool request_is_from(const struct provider_row *row, str origin)
{
    str name = str_of(row->name);
    assert(name.len > 0);
    return str_starts_with(origin, name) && origin.len > name.len && origin.ptr[name.len] == '/';
}

static bool is_plain(str text, const char *besides)
{
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.ptr[i];
        char lower = (char)(byte | 0x20);
        bool fits = (byte >= '0' && byte <= '9') || (lower >= 'a' && lower <= 'z') ||
                    (byte != '\0' && strchr(besides, byte) != NULL);
        if (!fits) {
            return false;
        }
    }
    return true;
}

static bool takes_id(const struct provider_row *row, str call_id)
{
    if ((row->quirks & PROVIDER_CALL_ID_9) != 0) {
        return call_id.len == REQUEST_CALL_ID_BYTES && is_plain(call_id, "");
    }
    if ((row->quirks & PROVIDER_CALL_ID_PLAIN) != 0) {
        return call_id.len <= PLAIN_ID_BYTES_MAX && is_plain(call_id, "_-");
    }
    return true;
}

str request_call_id(const struct provider_row *row, str call_id,
                    char stand_in[REQUEST_CALL_ID_BYTES])
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    uint64_t hash = str_hash(call_id);
    assert(call_id.len > 0);
    if (takes_id(row, call_id)) {
        return call_id;
    }
    for (size_t i = 0; i < REQUEST_CALL_ID_BYTES; i++) {
        stand_in[i] = digits[hash % 36];
        hash /= 36;
    }
    return str_make(stand_in, REQUEST_CALL_ID_BYTES);
}

void request_put_arguments(const struct model_block *call, struct buf *ret)
{
    struct json_writer writer = json_writer_of(ret);
    assert(call->kind == MODEL_BLOCK_TOOL_CALL);
    if (!call->arguments_invalid) {
        buf_put(ret, call->arguments);
        return;
    }
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "invalid_json", call->arguments);
    json_end_object(&writer);
}

str request_parameters(const struct model_tool *tool)
{
    assert(tool->name.len > 0);
    return tool->parameters_json.len > 0 ? tool->parameters_json
                                         : STR("{\"type\":\"object\",\"properties\":{}}");
}

static void put_function_tool(struct json_writer *writer, const struct model_tool *tool)
{
    assert(tool->name.len > 0);
    json_begin_object(writer, NULL);
    json_put_string(writer, "type", STR("function"));
    json_begin_object(writer, "function");
    json_put_string(writer, "name", tool->name);
    if (tool->description.len > 0) {
        json_put_string(writer, "description", tool->description);
    }
    json_put_raw(writer, "parameters", request_parameters(tool));
    json_end_object(writer);
    json_end_object(writer);
}

void request_put_function_tools(struct json_writer *writer, const struct model_request *request)
{
    if (request->tool_count == 0) {
        return;
    }
    json_begin_array(writer, "tools");
    for (size_t i = 0; i < request->tool_count; i++) {
        put_function_tool(writer, &request->tools[i]);
    }
    json_end_array(writer);
}

void request_merge_options(str body, str options, const char *name, struct buf *ret)
{
    struct buf inner = {0};
    struct buf outer = {0};
    struct buf overlay = {0};
    struct json_writer writer = json_writer_of(&overlay);
    str own;
    str given;
    assert(json_kind_of(body) == JSON_OBJECT && name != NULL);
    if (!json_object_get_kind(options, str_of(name), JSON_OBJECT, &given) ||
        !json_object_get_kind(body, str_of(name), JSON_OBJECT, &own)) {
        json_object_merge(body, options, ret);
        return;
    }
    json_object_merge(own, given, &inner);
    json_begin_object(&writer, NULL);
    json_put_raw(&writer, name, buf_str(&inner));
    json_end_object(&writer);
    json_object_merge(body, options, &outer);
    json_object_merge(buf_str(&outer), buf_str(&overlay), ret);
    buf_fini(&overlay);
    buf_fini(&outer);
    buf_fini(&inner);
}

size_t request_join_texts(const struct model_message *message, enum model_block_kind kind,
                          struct buf *ret)
{
    size_t count = 0;
    assert(kind != MODEL_BLOCK_TOOL_CALL && kind != MODEL_BLOCK_TOOL_RESULT);
    for (size_t i = 0; i < message->block_count; i++) {
        if (message->blocks[i].kind == kind) {
            buf_put(ret, count == 0 ? STR_EMPTY : STR("\n"));
            buf_put(ret, message->blocks[i].text);
            count++;
        }
    }
    return count;
}

bool request_has_media(const struct model_message *message)
{
    for (size_t i = 0; i < message->block_count; i++) {
        if (message->blocks[i].kind == MODEL_BLOCK_MEDIA) {
            return true;
        }
    }
    return false;
}

void request_put_media_url(struct json_writer *writer, const char *name,
                           const struct model_block *media)
{
    struct buf url = {0};
    assert(media->kind == MODEL_BLOCK_MEDIA);
    if (media->url.len > 0) {
        json_put_string(writer, name, media->url);
        return;
    }
    buf_printf(&url, "data:" STR_FMT ";base64,", STR_ARG(media->media_type));
    buf_put(&url, media->data);
    json_put_string(writer, name, buf_str(&url));
    buf_fini(&url);
}

str request_media_filename(const struct model_block *media)
{
    assert(media->kind == MODEL_BLOCK_MEDIA);
    return media->filename.len > 0 ? media->filename : STR("document.pdf");
}

bool request_is_media(const struct model_block *media, const char *family)
{
    assert(media->kind == MODEL_BLOCK_MEDIA);
    str type = media->media_type.len > 0 ? media->media_type : STR("image/");
    return str_starts_with(type, str_of(family));
}

status request_check_media(const struct provider_row *row, const struct model_request *request,
                           struct arena *arena)
{
    const struct codec *codec = row->codec;
    for (size_t i = 0; i < request->message_count; i++) {
        const struct model_message *message = &request->messages[i];
        for (size_t j = 0; j < message->block_count; j++) {
            const struct model_block *block = &message->blocks[j];
            if (block->kind != MODEL_BLOCK_MEDIA ||
                (codec->takes_media != NULL && codec->takes_media(block))) {
                continue;
            }
            return arena_fail(arena, CODE_UNIMPLEMENTED,
                              "input[%zu].content[%zu] is " STR_FMT
                              "%s, which can't be sent to provider %s: it is shown %s",
                              i, j,
                              STR_ARG(block->media_type.len > 0 ? block->media_type : STR("media")),
                              block->url.len > 0 ? " by URL" : "", row->name,
                              codec->media == NULL ? "text only" : codec->media);
        }
    }
    return STATUS_OK;
}

bool request_has_call(const struct model_message *message)
{
    for (size_t i = 0; i < message->block_count; i++) {
        if (message->blocks[i].kind == MODEL_BLOCK_TOOL_CALL) {
            return true;
        }
    }
    return false;
}

void request_put_temperature(struct json_writer *writer, double temperature)
{
    char text[32];
    if (isfinite(temperature)) {
        int len = snprintf(text, sizeof(text), "%.10g", temperature);
        assert(len > 0 && (size_t)len < sizeof(text));
        json_put_raw(writer, "temperature", str_make(text, (size_t)len));
    }
}

/* A member whose name and value stay as they came. */
static void splice_member(struct buf *ret, str key, str value)
{
    assert(json_kind_of(key) == JSON_STRING && value.len > 0);
    buf_put_char(ret, ret->len == 0 ? '{' : ',');
    buf_put(ret, key);
    buf_put_char(ret, ':');
    buf_put(ret, value);
}

bool request_take_effort(str options, str *ret_effort, struct buf *ret_rest)
{
    struct json_iterator members = json_members(options);
    bool found = false;
    str key;
    str value;
    assert(ret_rest->len == 0);
    while (json_next_member(&members, &key, &value)) {
        if (json_string_is(key, STR("reasoning_effort"))) {
            *ret_effort = value;
            found = true;
        } else if (json_string_is(key, STR("reasoning")) &&
                   json_object_get_kind(value, STR("effort"), JSON_STRING, ret_effort)) {
            found = true;
        } else {
            splice_member(ret_rest, key, value);
        }
    }
    if (!found) {
        buf_reset(ret_rest);
    } else if (ret_rest->len > 0) {
        buf_put_char(ret_rest, '}');
    }
    return found;
}
