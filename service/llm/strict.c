#include "service/llm/strict.h"

#include "service/base/json.h"

enum {
    DEPTH_MAX = 10, /* Of objects and lists inside one another, as the provider has it. */
};

enum kind {
    KIND_VALUE, /* Whatever stands behind it. */
    KIND_SCHEMA,
    KIND_SCHEMAS, /* A list of them. */
    KIND_MAP, /* An object of them. */
};

static const struct word {
    const char *name;
    enum kind kind;
} words[] = {
    {"type", KIND_VALUE},
    {"title", KIND_VALUE},
    {"description", KIND_VALUE},
    {"enum", KIND_VALUE},
    {"const", KIND_VALUE},
    {"required", KIND_VALUE},
    {"additionalProperties", KIND_VALUE},
    {"$ref", KIND_VALUE},
    {"pattern", KIND_VALUE},
    {"minimum", KIND_VALUE},
    {"maximum", KIND_VALUE},
    {"exclusiveMinimum", KIND_VALUE},
    {"exclusiveMaximum", KIND_VALUE},
    {"multipleOf", KIND_VALUE},
    {"minItems", KIND_VALUE},
    {"maxItems", KIND_VALUE},
    {"items", KIND_SCHEMA},
    {"anyOf", KIND_SCHEMAS},
    {"properties", KIND_MAP},
    {"$defs", KIND_MAP},
};

static const struct word *find(str key)
{
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (json_string_is(key, str_of(words[i].name))) {
            return &words[i];
        }
    }
    return NULL;
}

static bool lists(str required, str key)
{
    struct json_iterator elements = json_elements(required);
    str element;
    while (json_next_element(&elements, &element)) {
        if (str_equal(element, key)) {
            return true;
        }
    }
    return false;
}

/* The two words that each object needs, if it is one. */
static bool is_closed(str schema)
{
    str properties = STR_EMPTY;
    str required = STR("[]");
    str others;
    str type;
    str key;
    str value;
    bool is_object = json_object_get_kind(schema, STR("type"), JSON_STRING, &type) &&
                     json_string_is(type, STR("object"));
    bool has_members = json_object_get_kind(schema, STR("properties"), JSON_OBJECT, &properties);
    if (!is_object && !has_members) {
        return true;
    }
    if (!json_object_get(schema, STR("additionalProperties"), &others) ||
        !str_is(others, "false")) {
        return false;
    }
    (void)json_object_get_kind(schema, STR("required"), JSON_ARRAY, &required);
    struct json_iterator members = json_members(properties);
    while (json_next_member(&members, &key, &value)) {
        if (!lists(required, key)) {
            return false;
        }
    }
    return true;
}

static bool takes(str schema, unsigned depth);

static bool takes_all(enum kind kind, str value, unsigned depth)
{
    str key;
    str one;
    if (kind == KIND_SCHEMA) {
        return takes(value, depth);
    }
    struct json_iterator elements = json_elements(value);
    while (kind == KIND_SCHEMAS && json_next_element(&elements, &one)) {
        if (!takes(one, depth)) {
            return false;
        }
    }
    struct json_iterator members = json_members(value);
    while (kind == KIND_MAP && json_next_member(&members, &key, &one)) {
        if (!takes(one, depth)) {
            return false;
        }
    }
    return true;
}

static bool takes(str schema, unsigned depth)
{
    str key;
    str value;
    if (depth > DEPTH_MAX || json_kind_of(schema) != JSON_OBJECT || !is_closed(schema)) {
        return false;
    }
    struct json_iterator members = json_members(schema);
    while (json_next_member(&members, &key, &value)) {
        const struct word *word = find(key);
        if (word == NULL || !takes_all(word->kind, value, depth + 1)) {
            return false;
        }
    }
    return true;
}

bool strict_takes(str schema)
{
    str type;
    str root = str_trim(schema);
    assert(json_check(schema));
    return json_object_get_kind(root, STR("type"), JSON_STRING, &type) &&
           json_string_is(type, STR("object")) && takes(root, 0);
}
