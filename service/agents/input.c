#include "service/agents/input.h"

#include "service/agents/transcript.h"
#include "service/base/array.h"
#include "service/base/base64.h"
#include "service/base/json.h"

static const struct role_row {
    const char *name;
    enum model_role role;
} role_rows[] = {
    {"system", MODEL_ROLE_SYSTEM},
    {"user", MODEL_ROLE_USER},
    {"assistant", MODEL_ROLE_ASSISTANT},
};

void message_list_add(struct message_list *list, struct model_message message, struct arena *arena)
{
    assert(list->count <= list->cap);
    list->items =
        array_reserve_in(arena, list->items, &list->cap, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = message;
}

str input_text(str raw, struct arena *arena)
{
    struct buf text = {NULL, 0, 0};
    str trimmed = str_trim(raw);
    if (json_kind_of(trimmed) != JSON_STRING || !json_check(trimmed)) {
        return raw;
    }
    if (memchr(trimmed.ptr, '\\', trimmed.len) == NULL) {
        return (str){trimmed.ptr + 1, trimmed.len - 2};
    }
    bool decoded = json_string_decode(trimmed, &text);
    str copy = decoded ? arena_copy(arena, buf_str(&text)) : raw;
    buf_fini(&text);
    return copy;
}

static void add_text(struct message_list *list, enum model_role role, str text, struct arena *arena)
{
    struct model_block *block = arena_zalloc(arena, sizeof(*block));
    assert(text.len > 0);
    block->kind = MODEL_BLOCK_TEXT;
    block->text = text;
    message_list_add(list, (struct model_message){.role = role, .blocks = block, .block_count = 1},
                     arena);
}

static bool read_role(str raw, enum model_role *ret)
{
    for (size_t i = 0; i < COUNT_OF(role_rows); i++) {
        if (json_string_is(raw, str_of(role_rows[i].name))) {
            *ret = role_rows[i].role;
            return true;
        }
    }
    return false;
}

static size_t count_elements(str array)
{
    struct json_iterator iterator = json_elements(array);
    size_t count = 0;
    str element;
    while (json_next_element(&iterator, &element)) {
        count++;
    }
    return count;
}

/* {"type":"media","media_type":"image/png","data":BASE64 or "url":...,"filename":...} */
static status take_media(struct model_block *block, str part, const char *path, struct arena *arena)
{
    str value;
    block->kind = MODEL_BLOCK_MEDIA;
    str *const members[] = {&block->media_type, &block->data, &block->url, &block->filename};
    static const char *const names[] = {"media_type", "data", "url", "filename"};
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        if (json_object_get_kind(part, str_of(names[i]), JSON_STRING, &value)) {
            *members[i] = input_text(value, arena);
        }
    }
    if ((block->data.len > 0) == (block->url.len > 0)) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "%s must have data or url, and one only",
                          path);
    }
    if (block->data.len > 0 && block->media_type.len == 0) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "%s.media_type must say what the data is: \"image/png\"", path);
    }
    if (block->data.len > 0 && !base64_decode(block->data, NULL)) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "%s.data must be base64", path);
    }
    if (block->url.len > 0 && !str_starts_with(block->url, STR("https://")) &&
        !str_starts_with(block->url, STR("http://"))) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "%s.url must begin with http:// or https://", path);
    }
    return STATUS_OK;
}

static status take_part(struct model_block *block, enum model_role role, str part, const char *path,
                        struct arena *arena)
{
    str type;
    str text;
    bool has_type = json_object_get_kind(part, STR("type"), JSON_STRING, &type);
    if (has_type && json_string_is(type, STR("media")) && role == MODEL_ROLE_USER) {
        return take_media(block, part, path, arena);
    }
    if (!has_type || !json_string_is(type, STR("text")) ||
        !json_object_get_kind(part, STR("text"), JSON_STRING, &text)) {
        return arena_fail(
            arena, CODE_INVALID_ARGUMENT, "%s must be {\"type\":\"text\",\"text\":...}%s", path,
            role == MODEL_ROLE_USER ? " or {\"type\":\"media\",...}" : ": media is for users");
    }
    block->kind = MODEL_BLOCK_TEXT;
    block->text = input_text(text, arena);
    return STATUS_OK;
}

/* [{"type":"text","text":"..."}, ...] */
static status add_parts(struct message_list *list, enum model_role role, str parts, size_t at,
                        struct arena *arena)
{
    struct json_iterator iterator = json_elements(parts);
    size_t total = count_elements(parts);
    size_t count = 0;
    str part;
    assert(json_kind_of(parts) == JSON_ARRAY);
    if (total == 0) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "input[%zu].content must not be empty", at);
    }
    struct model_block *blocks = arena_zalloc(arena, total * sizeof(*blocks));
    while (json_next_element(&iterator, &part)) {
        assert(count < total);
        str path = arena_printf(arena, "input[%zu].content[%zu]", at, count);
        TRY(take_part(&blocks[count++], role, part, path.ptr, arena));
    }
    assert(count == total);
    message_list_add(
        list, (struct model_message){.role = role, .blocks = blocks, .block_count = count}, arena);
    return STATUS_OK;
}

static status add_message(struct message_list *list, str message, size_t at, struct arena *arena)
{
    enum model_role role;
    str raw;
    if (json_kind_of(message) != JSON_OBJECT) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "input[%zu] must be an object with \"role\" and \"content\"", at);
    }
    if (!json_object_get(message, STR("role"), &raw) || !read_role(raw, &role)) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "input[%zu].role must be \"system\", \"user\" or \"assistant\"", at);
    }
    if (!json_object_get(message, STR("content"), &raw) ||
        (json_kind_of(raw) != JSON_STRING && json_kind_of(raw) != JSON_ARRAY)) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "input[%zu].content must be a string or an array of parts", at);
    }
    if (json_kind_of(raw) == JSON_ARRAY) {
        return add_parts(list, role, raw, at, arena);
    }
    str text = input_text(raw, arena);
    if (text.len == 0) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "input[%zu].content must not be empty", at);
    }
    add_text(list, role, text, arena);
    return STATUS_OK;
}

status input_messages(str input_json, struct arena *arena, struct message_list *ret)
{
    str message;
    size_t at = 0;
    status valid = json_validate(input_json, arena);
    if (!status_is_ok(valid)) {
        return arena_fail(arena, valid.code, "input is not JSON: %s", valid.why);
    }
    str input = str_trim(input_json);
    if (json_kind_of(input) == JSON_STRING) {
        str text = input_text(input, arena);
        if (text.len == 0) {
            return status_make(CODE_INVALID_ARGUMENT, "input must not be empty");
        }
        add_text(ret, MODEL_ROLE_USER, text, arena);
        return STATUS_OK;
    }
    if (json_kind_of(input) != JSON_ARRAY) {
        return status_make(CODE_INVALID_ARGUMENT, "input must be a JSON string, or a JSON array of "
                                                  "{\"role\",\"content\"} messages");
    }
    struct json_iterator iterator = json_elements(input);
    while (json_next_element(&iterator, &message)) {
        TRY(add_message(ret, message, at++, arena));
    }
    return at > 0 ? STATUS_OK
                  : status_make(CODE_INVALID_ARGUMENT, "input must have at least one message");
}

status transcript_check_input(str input_json, struct arena *arena,
                              const struct model_message **ret_messages, size_t *ret_count)
{
    struct message_list list = {NULL, 0, 0};
    TRY(input_messages(input_json, arena, &list));
    *ret_messages = list.items;
    *ret_count = list.count;
    return STATUS_OK;
}
