#include <stdio.h>

#include "service/schema/rules.h"

enum {
    PATTERNS_MAX = 100, /* Of one schema. */
};

static const char draft[] = "https://json-schema.org/draft/2020-12/schema";

static struct rule *find_rule(const struct node *node, enum keyword keyword)
{
    for (size_t i = 0; i < node->rule_count && node->rules[i].keyword <= keyword; i++) {
        if (node->rules[i].keyword == keyword) {
            return &node->rules[i];
        }
    }
    return NULL;
}

const struct rule *node_rule(const struct node *node, enum keyword keyword)
{
    return find_rule(node, keyword);
}

status schema_fault(struct schema_reader *reader, const struct value *where, const char *format,
                    ...)
{
    char why[400];
    struct buf pointer = {0};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof(why), format, arguments);
    va_end(arguments);
    value_put_pointer(where, &pointer);
    str shown = buf_finish(&pointer, reader->arena);
    return arena_fail(reader->arena, CODE_INVALID_ARGUMENT, STR_FMT ": %s", STR_ARG(shown), why);
}

/* ---- What stands behind a keyword. ---- */

typedef status take(struct schema_reader *reader, struct value *value, struct rule *rule);

static status take_any(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    (void)reader;
    rule->value = value;
    return STATUS_OK;
}

static status take_schema(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    rule->nodes = arena_alloc(reader->arena, sizeof(*rule->nodes));
    rule->node_count = 1;
    return schema_read_node(reader, value, &rule->nodes[0]);
}

static status take_children(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    size_t count = 0;
    rule->nodes = arena_alloc(reader->arena, (value->count + 1) * sizeof(*rule->nodes));
    rule->node_count = value->count;
    for (struct value *child = value->first; child != NULL; child = child->next) {
        TRY(schema_read_node(reader, child, &rule->nodes[count++]));
    }
    assert(count == value->count);
    return STATUS_OK;
}

static status take_schemas(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    if (value->kind != JSON_ARRAY || value->count == 0) {
        return schema_fault(reader, value, "must be an array of schemas, one at least");
    }
    return take_children(reader, value, rule);
}

static status take_items(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    if (value->kind == JSON_ARRAY) {
        return schema_fault(reader, value,
                            "must be a schema; for a list of them this draft has prefixItems");
    }
    return take_schema(reader, value, rule);
}

static status take_map(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    if (value->kind != JSON_OBJECT) {
        return schema_fault(reader, value, "must be an object of schemas");
    }
    return take_children(reader, value, rule);
}

static status take_number(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    (void)rule;
    return value->kind == JSON_NUMBER ? STATUS_OK : schema_fault(reader, value, "must be a number");
}

static status take_step(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    (void)rule;
    if (value->kind != JSON_NUMBER || value->number.is_negative || value->number.digits.len == 0) {
        return schema_fault(reader, value, "must be a number above 0");
    }
    if (value->number.digits.len > DECIMAL_STEP_DIGITS_MAX) {
        return schema_fault(reader, value, "has more than %d digits", DECIMAL_STEP_DIGITS_MAX);
    }
    return STATUS_OK;
}

static status take_count(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    if (value->kind != JSON_NUMBER || !decimal_to_u32(&value->number, &rule->count)) {
        return schema_fault(reader, value, "must be a whole number from 0 to 4294967295");
    }
    return STATUS_OK;
}

static status take_bool(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    (void)rule;
    return value->kind == JSON_BOOL ? STATUS_OK
                                    : schema_fault(reader, value, "must be true or false");
}

static status take_list(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    (void)rule;
    return value->kind == JSON_ARRAY ? STATUS_OK : schema_fault(reader, value, "must be an array");
}

static status take_names(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    TRY(take_list(reader, value, rule));
    for (const struct value *name = value->first; name != NULL; name = name->next) {
        if (name->kind != JSON_STRING) {
            return schema_fault(reader, name, "must be a string: a property's name");
        }
    }
    return STATUS_OK;
}

static status take_names_map(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    if (value->kind != JSON_OBJECT) {
        return schema_fault(reader, value, "must be an object of lists of names");
    }
    for (struct value *names = value->first; names != NULL; names = names->next) {
        TRY(take_names(reader, names, rule));
    }
    return STATUS_OK;
}

static status take_kind(struct schema_reader *reader, const struct value *value, struct rule *rule)
{
    static const struct {
        const char *word;
        uint32_t kinds;
    } words[] = {
        {"null", 1u << JSON_NULL},     {"boolean", 1u << JSON_BOOL}, {"number", 1u << JSON_NUMBER},
        {"string", 1u << JSON_STRING}, {"array", 1u << JSON_ARRAY},  {"object", 1u << JSON_OBJECT},
        {"integer", RULE_INTEGER},
    };
    for (size_t i = 0; value->kind == JSON_STRING && i < COUNT_OF(words); i++) {
        if (str_is(value->text, words[i].word)) {
            rule->kinds |= words[i].kinds;
            return STATUS_OK;
        }
    }
    return schema_fault(reader, value,
                        "must be null, boolean, integer, number, string, array or object");
}

static status take_type(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    if (value->kind != JSON_ARRAY || value->count == 0) {
        return take_kind(reader, value, rule);
    }
    for (const struct value *kind = value->first; kind != NULL; kind = kind->next) {
        TRY(take_kind(reader, kind, rule));
    }
    return STATUS_OK;
}

/* ---- Patterns. ---- */

static status read_pattern(struct schema_reader *reader, const struct value *where, str text,
                           struct pattern **ret)
{
    if (++reader->pattern_count > PATTERNS_MAX) {
        return schema_fault(reader, where, "is one of more than %d patterns", PATTERNS_MAX);
    }
    status read = pattern_read(text, reader->arena, ret);
    return status_is_ok(read) ? read : schema_fault(reader, where, "%s", read.why);
}

static status take_pattern(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    rule->patterns = arena_alloc(reader->arena, sizeof(*rule->patterns));
    if (value->kind != JSON_STRING) {
        return schema_fault(reader, value, "must be a string: a pattern");
    }
    return read_pattern(reader, value, value->text, &rule->patterns[0]);
}

static status take_pattern_map(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    TRY(take_map(reader, value, rule));
    size_t count = 0;
    rule->patterns = arena_alloc(reader->arena, (value->count + 1) * sizeof(*rule->patterns));
    for (const struct value *child = value->first; child != NULL; child = child->next) {
        TRY(read_pattern(reader, child, child->name, &rule->patterns[count++]));
    }
    return STATUS_OK;
}

/* ---- What names and leads. ---- */

static void put_place(struct schema_reader *reader, struct place **list, struct value *value,
                      struct rule *rule)
{
    struct place *place = arena_alloc(reader->arena, sizeof(*place));
    *place = (struct place){.name = value->text, .value = value, .rule = rule, .next = *list};
    *list = place;
}

static status take_ref(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    if (value->kind != JSON_STRING) {
        return schema_fault(reader, value, "must be a string: a reference");
    }
    rule->nodes = arena_zalloc(reader->arena, sizeof(*rule->nodes));
    rule->node_count = 1;
    put_place(reader, &reader->references, value, rule);
    return STATUS_OK;
}

static status take_anchor(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    if (value->kind != JSON_STRING || value->text.len == 0) {
        return schema_fault(reader, value, "must be a string: a name");
    }
    for (const struct place *known = reader->anchors; known != NULL; known = known->next) {
        if (str_equal(known->name, value->text)) {
            return schema_fault(reader, value, "is the name of another place too");
        }
    }
    put_place(reader, &reader->anchors, value, rule);
    return STATUS_OK;
}

static status take_id(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    (void)rule;
    if (value->kind != JSON_STRING) {
        return schema_fault(reader, value, "must be a string: a URI");
    }
    if (value->parent != reader->root) {
        return schema_fault(reader, value,
                            "is not supported but at the top; name the place by $anchor");
    }
    if (memchr(value->text.ptr, '#', value->text.len) != NULL) {
        return schema_fault(reader, value, "must have no fragment");
    }
    reader->id = value->text;
    return STATUS_OK;
}

static status take_draft(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    (void)rule;
    str text = value->kind == JSON_STRING ? value->text : STR_EMPTY;
    bool has_fragment = text.len > 0 && text.ptr[text.len - 1] == '#';
    if (!str_is(str_make(text.ptr, text.len - has_fragment), draft)) {
        return schema_fault(reader, value, "must be %s, or not be there", draft);
    }
    return STATUS_OK;
}

static status refuse(struct schema_reader *reader, struct value *value, struct rule *rule)
{
    (void)rule;
    return schema_fault(reader, value, "is not supported");
}

/* ---- Keywords. ---- */

static const struct keyword_row {
    const char *name;
    take *take;
    enum keyword keyword; /* COUNT: no rule is made of it. */
} keywords[] = {
    {"$anchor", take_anchor, KEYWORD_COUNT},
    {"$defs", take_map, KEYWORD_COUNT},
    {"$dynamicAnchor", refuse, KEYWORD_COUNT},
    {"$dynamicRef", refuse, KEYWORD_COUNT},
    {"$id", take_id, KEYWORD_COUNT},
    {"$recursiveAnchor", refuse, KEYWORD_COUNT},
    {"$recursiveRef", refuse, KEYWORD_COUNT},
    {"$ref", take_ref, KEYWORD_REF},
    {"$schema", take_draft, KEYWORD_COUNT},
    {"$vocabulary", refuse, KEYWORD_COUNT},
    {"additionalProperties", take_schema, KEYWORD_ADDITIONAL_PROPERTIES},
    {"allOf", take_schemas, KEYWORD_ALL_OF},
    {"anyOf", take_schemas, KEYWORD_ANY_OF},
    {"const", take_any, KEYWORD_CONST},
    {"contains", take_schema, KEYWORD_CONTAINS},
    {"dependentRequired", take_names_map, KEYWORD_DEPENDENT_REQUIRED},
    {"dependentSchemas", take_map, KEYWORD_DEPENDENT_SCHEMAS},
    {"else", take_schema, KEYWORD_ELSE},
    {"enum", take_list, KEYWORD_ENUM},
    {"exclusiveMaximum", take_number, KEYWORD_EXCLUSIVE_MAXIMUM},
    {"exclusiveMinimum", take_number, KEYWORD_EXCLUSIVE_MINIMUM},
    {"if", take_schema, KEYWORD_IF},
    {"items", take_items, KEYWORD_ITEMS},
    {"maxContains", take_count, KEYWORD_MAX_CONTAINS},
    {"maxItems", take_count, KEYWORD_MAX_ITEMS},
    {"maxLength", take_count, KEYWORD_MAX_LENGTH},
    {"maxProperties", take_count, KEYWORD_MAX_PROPERTIES},
    {"maximum", take_number, KEYWORD_MAXIMUM},
    {"minContains", take_count, KEYWORD_MIN_CONTAINS},
    {"minItems", take_count, KEYWORD_MIN_ITEMS},
    {"minLength", take_count, KEYWORD_MIN_LENGTH},
    {"minProperties", take_count, KEYWORD_MIN_PROPERTIES},
    {"minimum", take_number, KEYWORD_MINIMUM},
    {"multipleOf", take_step, KEYWORD_MULTIPLE_OF},
    {"not", take_schema, KEYWORD_NOT},
    {"oneOf", take_schemas, KEYWORD_ONE_OF},
    {"pattern", take_pattern, KEYWORD_PATTERN},
    {"patternProperties", take_pattern_map, KEYWORD_PATTERN_PROPERTIES},
    {"prefixItems", take_schemas, KEYWORD_PREFIX_ITEMS},
    {"properties", take_map, KEYWORD_PROPERTIES},
    {"propertyNames", take_schema, KEYWORD_PROPERTY_NAMES},
    {"required", take_names, KEYWORD_REQUIRED},
    {"then", take_schema, KEYWORD_THEN},
    {"type", take_type, KEYWORD_TYPE},
    {"unevaluatedItems", take_schema, KEYWORD_UNEVALUATED_ITEMS},
    {"unevaluatedProperties", take_schema, KEYWORD_UNEVALUATED_PROPERTIES},
    {"uniqueItems", take_bool, KEYWORD_UNIQUE_ITEMS},
};

static_assert(COUNT_OF(keywords) == KEYWORD_COUNT + 9, "each keyword has a row");

/* NULL: a word that says nothing about values, or nobody knows. */
static const struct keyword_row *keyword_of(str name)
{
    for (size_t i = 0; i < COUNT_OF(keywords); i++) {
        if (str_is(name, keywords[i].name)) {
            return &keywords[i];
        }
    }
    return NULL;
}

static size_t count_rules(const struct value *value)
{
    size_t count = 0;
    for (const struct value *member = value->first; member != NULL; member = member->next) {
        const struct keyword_row *row = keyword_of(member->name);
        count += row != NULL && row->keyword < KEYWORD_COUNT;
    }
    return count;
}

/* Kept in the order of keywords. All are there before any is filled in: they do not move then. */
static struct rule *add_rule(struct node *node, enum keyword keyword)
{
    size_t at = node->rule_count++;
    for (; at > 0 && node->rules[at - 1].keyword > keyword; at--) {
        node->rules[at] = node->rules[at - 1];
    }
    node->rules[at] = (struct rule){.keyword = keyword};
    return &node->rules[at];
}

static status read_rules(struct schema_reader *reader, const struct value *value, struct node *node)
{
    node->rules = arena_alloc(reader->arena, (count_rules(value) + 1) * sizeof(*node->rules));
    for (const struct value *member = value->first; member != NULL; member = member->next) {
        const struct keyword_row *row = keyword_of(member->name);
        if (row != NULL && row->keyword < KEYWORD_COUNT) {
            add_rule(node, row->keyword)->value = member;
        }
    }
    for (struct value *member = value->first; member != NULL; member = member->next) {
        struct rule none = {0};
        const struct keyword_row *row = keyword_of(member->name);
        if (row == NULL) {
            continue;
        }
        reader->schema->has_unevaluated |= row->keyword == KEYWORD_UNEVALUATED_ITEMS ||
                                           row->keyword == KEYWORD_UNEVALUATED_PROPERTIES;
        bool is_rule = row->keyword < KEYWORD_COUNT;
        TRY(row->take(reader, member, is_rule ? find_rule(node, row->keyword) : &none));
    }
    return STATUS_OK;
}

status schema_read_node(struct schema_reader *reader, struct value *value, struct node **ret)
{
    struct node *node = value->meaning;
    if (node != NULL) {
        *ret = node;
        return STATUS_OK;
    }
    if (value->kind != JSON_OBJECT && value->kind != JSON_BOOL) {
        return schema_fault(reader, value, "must be a schema: an object, true or false");
    }
    node = arena_zalloc(reader->arena, sizeof(*node));
    node->value = value;
    node->is_false = value->kind == JSON_BOOL && !value->is_true;
    node->next = reader->schema->nodes;
    reader->schema->nodes = node;
    value->meaning = node;
    *ret = node;
    return value->kind == JSON_OBJECT ? read_rules(reader, value, node) : STATUS_OK;
}

status schema_read(str text, struct arena *arena, struct schema **ret)
{
    struct value *root;
    struct schema *schema = arena_zalloc(arena, sizeof(*schema));
    if (text.len > SCHEMA_BYTES_MAX) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "has more than %d bytes", SCHEMA_BYTES_MAX);
    }
    TRY(value_read(text, arena, &root));
    struct schema_reader reader = {.arena = arena, .schema = schema, .root = root};
    TRY(schema_read_node(&reader, root, &schema->root));
    TRY(schema_follow_references(&reader));
    *ret = schema;
    return STATUS_OK;
}
