#include "service/llm/synthesis.h"

#include "service/base/json.h"

enum {
    SCHEMA_DEPTH_MAX = 16,
    VALUES_MAX = 1000, /* A schema that contains itself twice would grow without end. */
};
static_assert((int)SCHEMA_DEPTH_MAX < (int)JSON_DEPTH_MAX, "what is made can be read again");

struct synthesis {
    str root;
    str said;
    struct buf *ret;
    size_t depth;
    size_t values;
};

static void put_value(struct synthesis *synthesis, str name, str schema);

static bool is_letter(char byte)
{
    char lower = (char)(byte | 0x20);
    return (lower >= 'a' && lower <= 'z') || (uint8_t)byte >= 0x80 || byte == '-' || byte == '\'';
}

static bool is_capital(char byte)
{
    return byte >= 'A' && byte <= 'Z';
}

/* The next word at or after *at; empty at the end. Moves *at behind it. */
static str next_word(str text, size_t *at)
{
    assert(*at <= text.len);
    while (*at < text.len && !is_letter(text.ptr[*at])) {
        (*at)++;
    }
    size_t start = *at;
    while (*at < text.len && is_letter(text.ptr[*at])) {
        (*at)++;
    }
    return str_make(text.ptr + start, *at - start);
}

str synthesis_last_name(str said)
{
    str name = STR("");
    str last = STR("");
    str first_name = STR("");
    size_t at = 0;
    assert(said.len == 0 || said.ptr != NULL);
    for (str word = next_word(said, &at); word.len > 0; word = next_word(said, &at)) {
        last = word;
        if (!is_capital(word.ptr[0])) {
            continue;
        }
        bool goes_on = name.len > 0 && name.ptr + name.len + 1 == word.ptr && word.ptr[-1] == ' ';
        if (word.ptr == str_trim(said).ptr) {
            first_name = word;
        } else if (goes_on) {
            name.len += 1 + word.len;
        } else {
            name = word;
        }
    }
    if (name.len > 0) {
        return name;
    }
    return first_name.len > 0 ? first_name : last;
}

static str first_number(str said)
{
    size_t at = 0;
    while (at < said.len && (uint8_t)(said.ptr[at] - '1') > 8) {
        at++;
    }
    size_t start = at;
    while (at < said.len && at - start < 15 && (uint8_t)(said.ptr[at] - '0') < 10) {
        at++;
    }
    return at > start ? str_make(said.ptr + start, at - start) : STR("1");
}

/* "#/$defs/Place" in the root. */
static bool resolve(const struct synthesis *synthesis, str raw, str *ret)
{
    struct buf path = {0};
    str at = synthesis->root;
    bool found = json_string_decode(raw, &path) && path.len > 1 && path.ptr[0] == '#';
    size_t place = 2;
    assert(!found || path.len >= place);
    while (found && place <= path.len) {
        size_t start = place;
        while (place < path.len && path.ptr[place] != '/') {
            place++;
        }
        found = json_object_get(at, str_make(path.ptr + start, place - start), &at);
        place++;
    }
    buf_fini(&path);
    if (found) {
        *ret = at;
    }
    return found;
}

static bool is_null_schema(str schema)
{
    str type;
    return json_object_get(schema, STR("type"), &type) && json_string_is(type, STR("null"));
}

/* The first alternative that is not null. */
static bool pick_alternative(str schema, str *ret)
{
    static const char *const names[] = {"anyOf", "oneOf", "allOf"};
    str list;
    str element;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (!json_object_get(schema, str_of(names[i]), &list)) {
            continue;
        }
        struct json_iterator elements = json_elements(list);
        while (json_next_element(&elements, &element)) {
            if (!is_null_schema(element)) {
                *ret = element;
                return true;
            }
        }
    }
    return false;
}

/* A value the schema spells out. */
static bool pick_given(str schema, str *ret)
{
    str list;
    if (json_object_get(schema, STR("const"), ret) ||
        json_object_get(schema, STR("default"), ret)) {
        return true;
    }
    if (!json_object_get(schema, STR("enum"), &list)) {
        return false;
    }
    struct json_iterator elements = json_elements(list);
    return json_next_element(&elements, ret);
}

static bool is_required(str schema, str raw_name)
{
    str list;
    str element;
    if (!json_object_get_kind(schema, STR("required"), JSON_ARRAY, &list)) {
        return true;
    }
    struct json_iterator elements = json_elements(list);
    while (json_next_element(&elements, &element)) {
        if (str_equal(element, raw_name)) {
            return true;
        }
    }
    return false;
}

static void put_object(struct synthesis *synthesis, str schema)
{
    str properties = STR("");
    str name;
    str property;
    size_t count = 0;
    assert(synthesis->depth > 0 && synthesis->depth <= SCHEMA_DEPTH_MAX);
    (void)json_object_get(schema, STR("properties"), &properties);
    struct json_iterator members = json_members(properties);
    buf_put_char(synthesis->ret, '{');
    while (json_next_member(&members, &name, &property)) {
        if (!is_required(schema, name)) {
            continue;
        }
        buf_put(synthesis->ret, count++ == 0 ? STR_EMPTY : STR(","));
        buf_put(synthesis->ret, name);
        buf_put_char(synthesis->ret, ':');
        put_value(synthesis, name, property);
    }
    buf_put_char(synthesis->ret, '}');
}

static void put_array(struct synthesis *synthesis, str name, str schema)
{
    str items;
    assert(synthesis->depth > 0 && synthesis->depth <= SCHEMA_DEPTH_MAX);
    buf_put_char(synthesis->ret, '[');
    if (json_object_get(schema, STR("items"), &items)) {
        put_value(synthesis, name, items);
    }
    buf_put_char(synthesis->ret, ']');
}

/* The schema's type as a raw string; of several the first that is not null. */
static str type_of(str schema)
{
    str type = STR("");
    str properties;
    if (!json_object_get(schema, STR("type"), &type)) {
        return json_object_get(schema, STR("properties"), &properties) ? STR("\"object\"")
                                                                       : STR("\"string\"");
    }
    struct json_iterator elements = json_elements(type);
    str element;
    while (json_next_element(&elements, &element)) {
        type = element;
        if (!json_string_is(element, STR("null"))) {
            break;
        }
    }
    return type;
}

static void put_string(struct synthesis *synthesis, str raw_name)
{
    str name = synthesis_last_name(synthesis->said);
    /* A name of a property, as it stands in the schema. */
    assert(raw_name.len == 0 || json_kind_of(raw_name) == JSON_STRING);
    if (name.len > 0) {
        buf_put_json_string(synthesis->ret, name);
    } else {
        buf_put(synthesis->ret, raw_name.len > 0 ? raw_name : STR("\"text\""));
    }
}

static void put_typed(struct synthesis *synthesis, str name, str schema)
{
    str type = type_of(schema);
    str least;
    if (json_string_is(type, STR("object"))) {
        put_object(synthesis, schema);
    } else if (json_string_is(type, STR("array"))) {
        put_array(synthesis, name, schema);
    } else if (json_string_is(type, STR("boolean"))) {
        buf_put(synthesis->ret, STR("true"));
    } else if (json_string_is(type, STR("null"))) {
        buf_put(synthesis->ret, STR("null"));
    } else if (json_string_is(type, STR("string"))) {
        put_string(synthesis, name);
    } else if (json_object_get_kind(schema, STR("minimum"), JSON_NUMBER, &least)) {
        buf_put(synthesis->ret, least);
    } else {
        buf_put(synthesis->ret, first_number(synthesis->said));
    }
}

static void put_value(struct synthesis *synthesis, str name, str schema)
{
    size_t start = synthesis->ret->len;
    str other;
    assert(synthesis->depth <= SCHEMA_DEPTH_MAX);
    if (synthesis->depth == SCHEMA_DEPTH_MAX || synthesis->values++ >= VALUES_MAX) {
        buf_put(synthesis->ret, STR("null"));
        return;
    }
    synthesis->depth++;
    if (pick_given(schema, &other)) {
        buf_put(synthesis->ret, other);
    } else if (json_object_get(schema, STR("$ref"), &other) && resolve(synthesis, other, &other)) {
        put_value(synthesis, name, other);
    } else if (pick_alternative(schema, &other)) {
        put_value(synthesis, name, other);
    } else {
        put_typed(synthesis, name, schema);
    }
    assert(synthesis->ret->len > start); /* Each value leaves one. */
    synthesis->depth--;
}

void synthesis_put(str schema, str said, struct buf *ret)
{
    struct synthesis synthesis = {.root = schema, .said = said, .ret = ret};
    assert(ret != NULL);
    put_value(&synthesis, STR_EMPTY, schema);
    assert(synthesis.depth == 0);
}
