#include <math.h>

#include "service/base/json.h"
#include "service/llm/openai_chat.h"
#include "service/llm/providers.h"

/* Members of an object under construction. */
static void put_key(struct buf *ret, const char *key)
{
    assert(ret->len > 0);
    if (ret->ptr[ret->len - 1] != '{') {
        buf_put_char(ret, ',');
    }
    buf_put_json_string(ret, str_of(key));
    buf_put_char(ret, ':');
}

static void put_string_member(struct buf *ret, const char *key, str value)
{
    put_key(ret, key);
    buf_put_json_string(ret, value);
}

static void put_raw_member(struct buf *ret, const char *key, str json)
{
    put_key(ret, key);
    buf_put(ret, json);
}

/* The texts of the blocks of a kind, one below the other. */
static size_t join_texts(const struct model_message *message, enum model_block_kind kind,
                         struct buf *ret)
{
    size_t count = 0;

    for (size_t i = 0; i < message->block_count; i++) {
        if (message->blocks[i].kind == kind) {
            buf_put(ret, count == 0 ? STR_EMPTY : STR("\n"));
            buf_put(ret, message->blocks[i].text);
            count++;
        }
    }
    return count;
}

static bool put_texts_member(struct buf *ret, const char *key, const struct model_message *message,
                             enum model_block_kind kind)
{
    struct buf text = {0};
    bool any = join_texts(message, kind, &text) > 0;

    if (any) {
        put_string_member(ret, key, buf_str(&text));
    }
    buf_fini(&text);
    return any;
}

static void put_plain_message(struct buf *ret, const char *role,
                              const struct model_message *message)
{
    buf_put_char(ret, '{');
    put_string_member(ret, "role", str_of(role));
    if (!put_texts_member(ret, "content", message, MODEL_BLOCK_TEXT)) {
        put_string_member(ret, "content", STR_EMPTY);
    }
    buf_put_char(ret, '}');
}

/* Mistral takes only ids of nine letters or digits: others get a stand-in, always the same. */
static str sent_call_id(const struct provider_row *row, str call_id, char stand_in[9])
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    bool fits = call_id.len == 9;
    uint64_t hash = str_hash(call_id);

    for (size_t i = 0; i < call_id.len && fits; i++) {
        char lower = (char)(call_id.ptr[i] | 0x20);

        fits = (call_id.ptr[i] >= '0' && call_id.ptr[i] <= '9') || (lower >= 'a' && lower <= 'z');
    }
    if (fits || (row->quirks & PROVIDER_CALL_ID_9) == 0) {
        return call_id;
    }
    for (size_t i = 0; i < 9; i++) {
        stand_in[i] = digits[hash % 36];
        hash /= 36;
    }
    return str_make(stand_in, 9);
}

/* Arguments that are no JSON would make some servers refuse the whole conversation. */
static void put_arguments(struct buf *ret, const struct model_block *call)
{
    struct buf wrapped = {0};

    if (!call->arguments_invalid) {
        put_string_member(ret, "arguments", call->arguments);
        return;
    }
    buf_put(&wrapped, STR("{\"invalid_json\":"));
    buf_put_json_string(&wrapped, call->arguments);
    buf_put_char(&wrapped, '}');
    put_string_member(ret, "arguments", buf_str(&wrapped));
    buf_fini(&wrapped);
}

static void put_call(struct buf *ret, const struct provider_row *row,
                     const struct model_block *call, bool same_origin)
{
    struct buf object = {0};
    char stand_in[9];

    buf_put_char(&object, '{');
    put_string_member(&object, "id", sent_call_id(row, call->call_id, stand_in));
    put_string_member(&object, "type", STR("function"));
    put_raw_member(&object, "function", STR("{"));
    put_string_member(&object, "name", call->name);
    put_arguments(&object, call);
    buf_put(&object, STR("}}"));
    if (same_origin && call->raw.len > 0) {
        json_object_merge(buf_str(&object), call->raw, ret);
    } else {
        buf_put(ret, buf_str(&object));
    }
    buf_fini(&object);
}

static void put_calls(struct buf *ret, const struct provider_row *row,
                      const struct model_message *message, bool same_origin)
{
    size_t count = 0;

    for (size_t i = 0; i < message->block_count; i++) {
        if (message->blocks[i].kind != MODEL_BLOCK_TOOL_CALL) {
            continue;
        }
        if (count == 0) {
            put_raw_member(ret, "tool_calls", STR("["));
        } else {
            buf_put_char(ret, ',');
        }
        put_call(ret, row, &message->blocks[i], same_origin);
        count++;
    }
    buf_put(ret, count == 0 ? STR_EMPTY : STR("]"));
}

static bool has_call(const struct model_message *message)
{
    for (size_t i = 0; i < message->block_count; i++) {
        if (message->blocks[i].kind == MODEL_BLOCK_TOOL_CALL) {
            return true;
        }
    }
    return false;
}

/* Whether the same provider wrote the message: only it may get its opaque data back. */
static bool is_same_origin(const struct provider_row *row, str origin)
{
    str name = str_of(row->name);

    return str_starts_with(origin, name) && origin.len > name.len && origin.ptr[name.len] == '/';
}

/* Splices what the provider gave us opaquely, such as reasoning_details, into its message. */
static void put_with_opaque(struct buf *ret, const struct model_message *message, str object)
{
    struct buf merged = {0};

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
    buf_put(ret, buf_str(&merged));
    buf_fini(&merged);
}

static void put_assistant_message(struct buf *ret, const struct provider_row *row,
                                  const struct model_message *message)
{
    bool same_origin = is_same_origin(row, message->origin);
    struct buf object = {0};

    buf_put_char(&object, '{');
    put_string_member(&object, "role", STR("assistant"));
    if (!put_texts_member(&object, "content", message, MODEL_BLOCK_TEXT) &&
        !put_texts_member(&object, "content", message, MODEL_BLOCK_REFUSAL)) {
        put_raw_member(&object, "content", has_call(message) ? STR("null") : STR("\"\""));
    }
    if (same_origin && (row->quirks & PROVIDER_REASONING_BACK) != 0) {
        (void)put_texts_member(&object, "reasoning_content", message, MODEL_BLOCK_REASONING);
    }
    put_calls(&object, row, message, same_origin);
    buf_put_char(&object, '}');
    if (same_origin) {
        put_with_opaque(ret, message, buf_str(&object));
    } else {
        buf_put(ret, buf_str(&object));
    }
    buf_fini(&object);
}

/* One message for each result. */
static void put_results(struct buf *ret, const struct provider_row *row,
                        const struct model_message *message)
{
    for (size_t i = 0; i < message->block_count; i++) {
        const struct model_block *block = &message->blocks[i];
        char stand_in[9];

        if (block->kind != MODEL_BLOCK_TOOL_RESULT) {
            continue;
        }
        if (ret->ptr[ret->len - 1] != '[') {
            buf_put_char(ret, ',');
        }
        buf_put_char(ret, '{');
        put_string_member(ret, "role", STR("tool"));
        put_string_member(ret, "tool_call_id", sent_call_id(row, block->call_id, stand_in));
        put_string_member(ret, "content", block->text);
        buf_put_char(ret, '}');
    }
}

static void put_message(struct buf *ret, const struct provider_row *row,
                        const struct model_message *message)
{
    if (message->role == MODEL_ROLE_TOOL) {
        put_results(ret, row, message);
        return;
    }
    if (ret->ptr[ret->len - 1] != '[') {
        buf_put_char(ret, ',');
    }
    switch (message->role) {
    case MODEL_ROLE_SYSTEM:
        put_plain_message(ret, "system", message);
        return;
    case MODEL_ROLE_USER:
        put_plain_message(ret, "user", message);
        return;
    case MODEL_ROLE_ASSISTANT:
        put_assistant_message(ret, row, message);
        return;
    case MODEL_ROLE_TOOL:
        return;
    }
}

/* A server that knows no schema is told it in words. */
static void put_system(struct buf *ret, const struct provider_row *row,
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
        buf_put(ret, STR("{\"role\":\"system\",\"content\":"));
        buf_put_json_string(ret, buf_str(&text));
        buf_put_char(ret, '}');
    }
    buf_fini(&text);
}

static void put_messages(struct buf *ret, const struct provider_row *row,
                         const struct model_request *request)
{
    put_raw_member(ret, "messages", STR("["));
    put_system(ret, row, request);
    for (size_t i = 0; i < request->message_count; i++) {
        put_message(ret, row, &request->messages[i]);
    }
    buf_put_char(ret, ']');
}

static void put_tools(struct buf *ret, const struct model_request *request)
{
    if (request->tool_count == 0) {
        return;
    }
    put_raw_member(ret, "tools", STR("["));
    for (size_t i = 0; i < request->tool_count; i++) {
        const struct model_tool *tool = &request->tools[i];
        str parameters = tool->parameters_json;

        if (parameters.len == 0) {
            parameters = STR("{\"type\":\"object\",\"properties\":{}}");
        }
        buf_put(ret, i == 0 ? STR("{\"type\":\"function\",\"function\":{")
                            : STR(",{\"type\":\"function\",\"function\":{"));
        put_string_member(ret, "name", tool->name);
        if (tool->description.len > 0) {
            put_string_member(ret, "description", tool->description);
        }
        put_raw_member(ret, "parameters", parameters);
        buf_put(ret, STR("}}"));
    }
    buf_put_char(ret, ']');
}

static void put_format(struct buf *ret, const struct provider_row *row, str schema)
{
    if (schema.len == 0) {
        return;
    }
    if ((row->quirks & PROVIDER_JSON_OBJECT_ONLY) != 0) {
        put_raw_member(ret, "response_format", STR("{\"type\":\"json_object\"}"));
        return;
    }
    put_raw_member(ret, "response_format",
                   STR("{\"type\":\"json_schema\",\"json_schema\":{"
                       "\"name\":\"output\",\"schema\":"));
    buf_put(ret, schema);
    buf_put(ret, STR("}}"));
}

static void put_settings(struct buf *ret, const struct provider_row *row,
                         const struct model_request *request)
{
    bool newer = (row->quirks & PROVIDER_MAX_COMPLETION_TOKENS) != 0;

    put_format(ret, row, request->output_schema_json);
    if (isfinite(request->temperature)) {
        put_key(ret, "temperature");
        buf_printf(ret, "%.10g", request->temperature);
    }
    if (request->max_output_tokens > 0) {
        put_key(ret, newer ? "max_completion_tokens" : "max_tokens");
        buf_printf(ret, "%u", (unsigned)request->max_output_tokens);
    }
    put_raw_member(ret, "stream", STR("true"));
    if ((row->quirks & PROVIDER_NO_STREAM_OPTIONS) == 0) {
        put_raw_member(ret, "stream_options", STR("{\"include_usage\":true}"));
    }
}

/* Most servers of the dialect spell {"reasoning": {"effort": "low"}} as "reasoning_effort": "low".
 * Of both the later one wins, since a run's options stand behind those of its agent. A
 * `reasoning` that says no effort is left alone. */
static void put_options(struct buf *ret, const struct provider_row *row, str options)
{
    struct json_iterator members = json_members(options);
    str reasoning = STR_EMPTY;
    str effort;
    str key;
    str value;

    (void)json_object_get(options, STR("reasoning"), &reasoning);
    if ((row->quirks & PROVIDER_REASONING_OBJECT) != 0 ||
        !json_object_get_kind(reasoning, STR("effort"), JSON_STRING, &effort)) {
        buf_put(ret, options);
        return;
    }
    str chosen = effort;

    buf_put_char(ret, '{');
    while (json_next_member(&members, &key, &value)) {
        if (json_string_is(key, STR("reasoning"))) {
            chosen = effort;
        } else if (json_string_is(key, STR("reasoning_effort"))) {
            chosen = value;
        } else {
            buf_put(ret, ret->len > 1 ? STR(",") : STR_EMPTY);
            buf_put(ret, key);
            buf_put_char(ret, ':');
            buf_put(ret, value);
        }
    }
    put_raw_member(ret, "reasoning_effort", chosen);
    buf_put_char(ret, '}');
}

void openai_chat_put_body(const struct provider_row *row, const struct model_request *request,
                          struct buf *ret)
{
    struct buf body = {0};
    struct buf options = {0};

    assert(row != NULL && request->model.len > 0);
    /* The order of keys is fixed and the conversation only grows: a stable prefix is what the
     * providers' prompt caches live on. */
    buf_put_char(&body, '{');
    put_string_member(&body, "model", request->model);
    put_tools(&body, request);
    put_messages(&body, row, request);
    put_settings(&body, row, request);
    buf_put_char(&body, '}');
    if (request->options_json.len > 0) {
        put_options(&options, row, request->options_json);
        json_object_merge(buf_str(&body), buf_str(&options), ret);
    } else {
        buf_put(ret, buf_str(&body));
    }
    buf_fini(&options);
    buf_fini(&body);
}
