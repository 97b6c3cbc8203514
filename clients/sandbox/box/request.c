#include "clients/sandbox/box/request.h"

#include "clients/sandbox/box/kept.h"
#include "service/base/json.h"

enum field_kind {
    FIELD_TEXT,
    FIELD_CONTENT, /* A text that may hold any character. */
    FIELD_NUMBER,
    FIELD_BOOL,
    FIELD_LIST,
    FIELD_PAIRS,
};

/* One member of an object, and where in the request it goes. */
struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;
    bool is_required;
    uint64_t max; /* Of a number; a greater one counts as this. */
};

#define PLACE(member) offsetof(struct request, member)

static const struct field common_fields[] = {
    {"workspace", FIELD_TEXT, PLACE(workspace), true, 0},
    {"root", FIELD_TEXT, PLACE(root), false, 0},
    {"words", FIELD_LIST, PLACE(words), false, 0},
    {"timeout", FIELD_NUMBER, PLACE(timeout_s), false, REQUEST_TIMEOUT_S_MAX},
    {"max_output_chars", FIELD_NUMBER, PLACE(max_output_chars), false, KEPT_CHARS_MAX},
    {"progress", FIELD_BOOL, PLACE(shows_progress), false, 0},
    {"max_processes", FIELD_NUMBER, PLACE(max_processes), false, UINT32_MAX},
    {"max_open_files", FIELD_NUMBER, PLACE(max_open_files), false, UINT32_MAX},
    {"max_file_bytes", FIELD_NUMBER, PLACE(max_file_bytes), false, INT64_MAX},
    {"max_memory_bytes", FIELD_NUMBER, PLACE(max_memory_bytes), false, INT64_MAX},
};

static const struct field exec_fields[] = {
    {"command", FIELD_TEXT, PLACE(command), true, 0},
    {"cwd", FIELD_TEXT, PLACE(cwd), false, 0},
    {"env", FIELD_PAIRS, PLACE(environment), false, 0},
    {"stdin", FIELD_CONTENT, PLACE(input), false, 0},
    {"timeout", FIELD_NUMBER, PLACE(timeout_s), false, REQUEST_TIMEOUT_S_MAX},
};

static const struct field read_fields[] = {
    {"path", FIELD_TEXT, PLACE(path), true, 0},
    {"offset", FIELD_NUMBER, PLACE(offset), false, UINT32_MAX},
    {"limit", FIELD_NUMBER, PLACE(limit), false, UINT32_MAX},
    {"line_numbers", FIELD_BOOL, PLACE(numbers_lines), false, 0},
};

static const struct field write_fields[] = {
    {"path", FIELD_TEXT, PLACE(path), true, 0},
    {"content", FIELD_CONTENT, PLACE(content), true, 0},
};

static const struct field edit_fields[] = {
    {"path", FIELD_TEXT, PLACE(path), true, 0},
    {"old_text", FIELD_CONTENT, PLACE(old_text), true, 0},
    {"new_text", FIELD_CONTENT, PLACE(new_text), true, 0},
};

static const struct field glob_fields[] = {
    {"pattern", FIELD_TEXT, PLACE(pattern), true, 0},
    {"cwd", FIELD_TEXT, PLACE(cwd), false, 0},
    {"ignore", FIELD_LIST, PLACE(ignore), false, 0},
};

static const struct field grep_fields[] = {
    {"pattern", FIELD_TEXT, PLACE(pattern), true, 0},
    {"cwd", FIELD_TEXT, PLACE(cwd), false, 0},
    {"include", FIELD_LIST, PLACE(include), false, 0},
    {"max_results", FIELD_NUMBER, PLACE(max_results), false, REQUEST_RESULTS_MAX},
    {"context_lines", FIELD_NUMBER, PLACE(context_lines), false, REQUEST_CONTEXT_LINES_MAX},
};

static const struct {
    const char *name;
    const struct field *fields;
    size_t count;
} tools[] = {
    [TOOL_EXEC] = {"exec", exec_fields, COUNT_OF(exec_fields)},
    [TOOL_READ] = {"read", read_fields, COUNT_OF(read_fields)},
    [TOOL_WRITE] = {"write", write_fields, COUNT_OF(write_fields)},
    [TOOL_EDIT] = {"edit", edit_fields, COUNT_OF(edit_fields)},
    [TOOL_GLOB] = {"glob", glob_fields, COUNT_OF(glob_fields)},
    [TOOL_GREP] = {"grep", grep_fields, COUNT_OF(grep_fields)},
};

static_assert(COUNT_OF(tools) == TOOL_COUNT, "a row for each tool");

const char *tool_name(enum tool tool)
{
    assert(tool < TOOL_COUNT);
    return tools[tool].name;
}

static const char *kind_word(enum field_kind kind)
{
    static const char *const words[] = {
        [FIELD_TEXT] = "a string without U+0000",
        [FIELD_CONTENT] = "a string",
        [FIELD_NUMBER] = "a whole number from 0",
        [FIELD_BOOL] = "true or false",
        [FIELD_LIST] = "a list of at most 256 strings",
        [FIELD_PAIRS] = "an object of at most 256 strings, with names without '='",
    };
    return words[kind];
}

static bool read_content(str raw, struct arena *arena, str *ret)
{
    struct buf text = {0};
    if (!json_string_decode(raw, &text)) {
        return false;
    }
    *ret = buf_finish(&text, arena);
    return true;
}

/* NUL follows the text. */
static bool read_text(str raw, struct arena *arena, str *ret)
{
    return read_content(raw, arena, ret) &&
           (ret->len == 0 || memchr(ret->ptr, '\0', ret->len) == NULL);
}

/* Models write numbers as strings now and then. */
static bool read_number(str raw, struct arena *arena, uint64_t *ret)
{
    str digits;
    if (json_kind_of(raw) == JSON_STRING) {
        return read_text(raw, arena, &digits) && json_to_u64(digits, ret);
    }
    return json_to_u64(raw, ret);
}

static bool read_list(str raw, struct arena *arena, struct list *ret)
{
    struct json_iterator iterator = json_elements(raw);
    str element;
    if (json_kind_of(raw) != JSON_ARRAY) {
        return false;
    }
    *ret = (struct list){.items = arena_alloc(arena, REQUEST_LIST_MAX * sizeof ret->items[0])};
    while (json_next_element(&iterator, &element)) {
        if (ret->count == REQUEST_LIST_MAX || !read_text(element, arena, &ret->items[ret->count])) {
            return false;
        }
        ret->count++;
    }
    return true;
}

static bool read_pairs(str raw, struct arena *arena, struct request *request)
{
    struct json_iterator iterator = json_members(raw);
    struct pair *pairs = arena_alloc(arena, REQUEST_LIST_MAX * sizeof pairs[0]);
    size_t count = 0;
    str key;
    str value;
    if (json_kind_of(raw) != JSON_OBJECT) {
        return false;
    }
    while (json_next_member(&iterator, &key, &value)) {
        str name;
        str text;
        if (count == REQUEST_LIST_MAX || !read_text(key, arena, &name) || name.len == 0 ||
            memchr(name.ptr, '=', name.len) != NULL || !read_text(value, arena, &text)) {
            return false;
        }
        pairs[count++] = (struct pair){arena_cstr(arena, name), arena_cstr(arena, text)};
    }
    request->environment = pairs;
    request->environment_count = count;
    return true;
}

static bool read_value(const struct field *field, str raw, struct arena *arena,
                       struct request *request)
{
    void *place = (char *)request + field->offset;
    uint64_t number;
    switch (field->kind) {
    case FIELD_TEXT:
        return read_text(raw, arena, place);
    case FIELD_CONTENT:
        return read_content(raw, arena, place);
    case FIELD_NUMBER:
        if (!read_number(raw, arena, &number)) {
            return false;
        }
        *(uint64_t *)place = number < field->max ? number : field->max;
        return true;
    case FIELD_BOOL:
        return json_to_bool(raw, place);
    case FIELD_LIST:
        return read_list(raw, arena, place);
    case FIELD_PAIRS:
        return read_pairs(raw, arena, request);
    }
    return false;
}

static status read_fields_of(const struct field *fields, size_t count, str object,
                             const char *whose, struct arena *arena, struct request *request)
{
    for (size_t i = 0; i < count; i++) {
        str raw;
        bool is_there =
            json_object_get(object, str_of(fields[i].name), &raw) && json_kind_of(raw) != JSON_NULL;
        if (!is_there && !fields[i].is_required) {
            continue;
        }
        if (!is_there || !read_value(&fields[i], raw, arena, request)) {
            return arena_fail(arena, CODE_INVALID_ARGUMENT, "%s %s \"%s\", %s.", whose,
                              is_there ? "takes as" : "needs", fields[i].name,
                              kind_word(fields[i].kind));
        }
    }
    return STATUS_OK;
}

static status read_tool(str text, struct arena *arena, enum tool *ret)
{
    str raw;
    if (!json_object_get(text, STR("tool"), &raw)) {
        return status_make(CODE_INVALID_ARGUMENT, "The request names no tool.");
    }
    for (size_t i = 0; i < TOOL_COUNT; i++) {
        if (json_string_is(raw, str_of(tools[i].name))) {
            *ret = (enum tool)i;
            return STATUS_OK;
        }
    }
    return arena_fail(arena, CODE_INVALID_ARGUMENT, "There is no tool " STR_FMT ".", STR_ARG(raw));
}

static status check_paths(struct arena *arena, const struct request *request)
{
    const str absolute[] = {request->workspace, request->root};
    const str all[] = {request->workspace, request->root, request->path, request->cwd};
    for (size_t i = 0; i < COUNT_OF(absolute); i++) {
        if (!str_starts_with(absolute[i], STR("/"))) {
            return status_make(CODE_INVALID_ARGUMENT,
                               "The workspace and the root have to be absolute paths.");
        }
    }
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (all[i].len > REQUEST_PATH_BYTES_MAX) {
            return arena_fail(arena, CODE_INVALID_ARGUMENT,
                              "A path may have %d bytes, one of these has %zu.",
                              REQUEST_PATH_BYTES_MAX, all[i].len);
        }
    }
    return STATUS_OK;
}

/* What was not said is as it mostly is. */
static void complete(struct request *request)
{
    if (request->root.len == 0) {
        request->root = request->workspace;
    }
    if (request->timeout_s == 0) {
        request->timeout_s = REQUEST_TIMEOUT_S_DEFAULT;
    }
    if (request->max_output_chars == 0) {
        request->max_output_chars = KEPT_CHARS_DEFAULT;
    }
    if (request->max_results == 0) {
        request->max_results = 100;
    }
}

status request_read(str text, struct arena *arena, struct request *ret)
{
    struct request request = {0};
    str arguments = STR("{}");
    TRY(json_validate(text, arena));
    if (json_kind_of(text) != JSON_OBJECT) {
        return status_make(CODE_INVALID_ARGUMENT, "The request is no JSON object.");
    }
    TRY(read_tool(text, arena, &request.tool));
    TRY(read_fields_of(common_fields, COUNT_OF(common_fields), text, "The request", arena,
                       &request));
    if (json_object_get(text, STR("arguments"), &arguments) &&
        json_kind_of(arguments) != JSON_OBJECT) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "The arguments of %s have to be a JSON object.", tool_name(request.tool));
    }
    TRY(read_fields_of(tools[request.tool].fields, tools[request.tool].count, arguments,
                       tool_name(request.tool), arena, &request));
    complete(&request);
    TRY(check_paths(arena, &request));
    *ret = request;
    return STATUS_OK;
}
