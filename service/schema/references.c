/*
 * Follows $ref within its schema, and sees that no reference goes around in circles.
 */
#include "service/schema/rules.h"

enum {
    CHAIN_MAX = 50, /* Nodes that judge one and the same value. */
};

static int hex_of(char digit)
{
    char lower = (char)(digit | 0x20);
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* A fragment of a URI, without its %. */
static str decode_percent(str text, struct arena *arena)
{
    char *ret = arena_alloc(arena, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int high = text.ptr[i] == '%' && i + 2 < text.len ? hex_of(text.ptr[i + 1]) : -1;
        int low = high < 0 ? -1 : hex_of(text.ptr[i + 2]);
        ret[len++] = low < 0 ? text.ptr[i] : (char)(high * 16 + low);
        i += low < 0 ? 0 : 2;
    }
    return str_make(ret, len);
}

/* Takes what stands before the next / of a JSON Pointer, with ~0 and ~1 undone. */
static str take_token(str *rest, struct arena *arena)
{
    char *ret = arena_alloc(arena, rest->len); /* What is in front is not kept. */
    size_t len = 0;
    size_t at = 1;
    assert(rest->len > 0 && rest->ptr[0] == '/');
    for (; at < rest->len && rest->ptr[at] != '/'; at++) {
        char byte = rest->ptr[at];
        bool is_escape = byte == '~' && at + 1 < rest->len &&
                         (rest->ptr[at + 1] == '0' || rest->ptr[at + 1] == '1');
        if (is_escape) {
            byte = rest->ptr[++at] == '0' ? '~' : '/';
        }
        ret[len++] = byte;
    }
    *rest = str_make(rest->ptr + at, rest->len - at);
    return str_make(ret, len);
}

static struct value *element_of(const struct value *array, str token)
{
    uint64_t number;
    if (!json_to_u64(token, &number)) {
        return NULL;
    }
    struct value *element = array->first;
    while (element != NULL && element->index != number) {
        element = element->next;
    }
    return element;
}

/* NULL: there is no such place. */
static struct value *follow_pointer(struct schema_reader *reader, str pointer)
{
    struct value *at = (struct value *)reader->root;
    while (pointer.len > 0 && at != NULL) {
        str token = take_token(&pointer, reader->arena);
        at = at->kind == JSON_ARRAY ? element_of(at, token) : value_member(at, token);
    }
    return at;
}

/* The schema an anchor stands in. */
static struct value *follow_anchor(const struct schema_reader *reader, str name)
{
    for (const struct place *place = reader->anchors; place != NULL; place = place->next) {
        if (str_equal(place->name, name)) {
            return (struct value *)place->value->parent;
        }
    }
    return NULL;
}

static status follow(struct schema_reader *reader, const struct place *reference)
{
    str text = reference->name;
    const char *mark = text.len == 0 ? NULL : memchr(text.ptr, '#', text.len);
    str base = mark == NULL ? text : str_make(text.ptr, (size_t)(mark - text.ptr));
    if (base.len > 0 && !str_equal(base, reader->id)) {
        return schema_fault(reader, reference->value,
                            "leads out of the schema, which is not supported; references begin "
                            "with #");
    }
    str fragment = mark == NULL ? STR_EMPTY : str_make(mark + 1, text.len - base.len - 1);
    fragment = decode_percent(fragment, reader->arena);
    bool is_pointer = fragment.len == 0 || fragment.ptr[0] == '/';
    struct value *target =
        is_pointer ? follow_pointer(reader, fragment) : follow_anchor(reader, fragment);
    if (target == NULL) {
        return schema_fault(reader, reference->value,
                            "leads nowhere: the schema has no such place");
    }
    return schema_read_node(reader, target, &reference->rule->nodes[0]);
}

/* ---- Circles. ---- */

static bool judges_the_same_value(enum keyword keyword)
{
    static const bool same[KEYWORD_COUNT] = {
        [KEYWORD_REF] = true,    [KEYWORD_ALL_OF] = true, [KEYWORD_ANY_OF] = true,
        [KEYWORD_ONE_OF] = true, [KEYWORD_NOT] = true,    [KEYWORD_IF] = true,
        [KEYWORD_THEN] = true,   [KEYWORD_ELSE] = true,   [KEYWORD_DEPENDENT_SCHEMAS] = true,
    };
    return same[keyword];
}

static status measure(struct schema_reader *reader, struct node *node, size_t depth)
{
    if (node->state == NODE_UNDER_WAY) {
        return schema_fault(reader, node->value,
                            "refers to itself for the same value, without an end");
    }
    if (depth > CHAIN_MAX) {
        return schema_fault(reader, node->value, "is more than %d references deep", CHAIN_MAX);
    }
    if (node->state == NODE_FOLLOWED) {
        return STATUS_OK;
    }
    node->state = NODE_UNDER_WAY;
    for (size_t i = 0; i < node->rule_count; i++) {
        const struct rule *rule = &node->rules[i];
        for (size_t j = 0; j < rule->node_count && judges_the_same_value(rule->keyword); j++) {
            TRY(measure(reader, rule->nodes[j], depth + 1));
            size_t chain = rule->nodes[j]->chain;
            node->chain = chain > node->chain ? chain : node->chain;
        }
    }
    node->chain++;
    node->state = NODE_FOLLOWED;
    if (node->chain > CHAIN_MAX) {
        return schema_fault(reader, node->value, "is more than %d references deep", CHAIN_MAX);
    }
    return STATUS_OK;
}

status schema_follow_references(struct schema_reader *reader)
{
    while (reader->references != NULL) {
        const struct place *reference = reader->references;
        reader->references = reference->next;
        TRY(follow(reader, reference));
    }
    for (struct node *node = reader->schema->nodes; node != NULL; node = node->next) {
        TRY(measure(reader, node, 1));
    }
    return STATUS_OK;
}
