/*
 * rules: what a schema is read into and a value is judged by: between the files of this folder
 * alone.
 *
 * A node is one schema: true, false, or rules, of which each is one keyword's. A node stands for
 * each place of a schema once, so that a reference is a pointer to it.
 */
#ifndef SERVICE_SCHEMA_RULES_H
#define SERVICE_SCHEMA_RULES_H

#include "service/schema/pattern.h"
#include "service/schema/schema.h"
#include "service/schema/value.h"

/* In the order rules are judged: the last two need what all others have looked at. */
enum keyword {
    KEYWORD_REF,
    KEYWORD_TYPE,
    KEYWORD_CONST,
    KEYWORD_ENUM,
    KEYWORD_MULTIPLE_OF,
    KEYWORD_MINIMUM,
    KEYWORD_MAXIMUM,
    KEYWORD_EXCLUSIVE_MINIMUM,
    KEYWORD_EXCLUSIVE_MAXIMUM,
    KEYWORD_MIN_LENGTH,
    KEYWORD_MAX_LENGTH,
    KEYWORD_PATTERN,
    KEYWORD_MIN_ITEMS,
    KEYWORD_MAX_ITEMS,
    KEYWORD_UNIQUE_ITEMS,
    KEYWORD_PREFIX_ITEMS,
    KEYWORD_ITEMS,
    KEYWORD_CONTAINS,
    KEYWORD_MIN_CONTAINS,
    KEYWORD_MAX_CONTAINS,
    KEYWORD_MIN_PROPERTIES,
    KEYWORD_MAX_PROPERTIES,
    KEYWORD_REQUIRED,
    KEYWORD_DEPENDENT_REQUIRED,
    KEYWORD_PROPERTIES,
    KEYWORD_PATTERN_PROPERTIES,
    KEYWORD_ADDITIONAL_PROPERTIES,
    KEYWORD_PROPERTY_NAMES,
    KEYWORD_DEPENDENT_SCHEMAS,
    KEYWORD_ALL_OF,
    KEYWORD_ANY_OF,
    KEYWORD_ONE_OF,
    KEYWORD_NOT,
    KEYWORD_IF,
    KEYWORD_THEN,
    KEYWORD_ELSE,
    KEYWORD_UNEVALUATED_ITEMS,
    KEYWORD_UNEVALUATED_PROPERTIES,
    KEYWORD_COUNT,
};

struct node;

/* One keyword of a schema; what its kind has no use for is zero. */
struct rule {
    enum keyword keyword;
    const struct value *value; /* As it was written. */
    struct node **nodes; /* One for each child of value, or one alone. */
    size_t node_count;
    struct pattern **patterns; /* As nodes. */
    uint32_t count;
    uint32_t kinds; /* 1 << enum json_kind, of each that may be; see RULE_INTEGER. */
};

enum {
    RULE_INTEGER = 1 << 8, /* Numbers, if they are whole. */
};

enum node_state {
    NODE_NEW,
    NODE_UNDER_WAY, /* Its chain is being followed. */
    NODE_FOLLOWED,
};

struct node {
    const struct value *value;
    struct rule *rules;
    size_t rule_count;
    bool is_false; /* Without rules it is true, or this. */
    enum node_state state;
    size_t chain; /* How many nodes at most judge one value from here, itself among them. */
    struct node *next; /* Of the schema. */
};

struct schema {
    struct node *root;
    struct node *nodes; /* All, the newest first. */
    bool has_unevaluated; /* So what is looked at has to be marked. */
};

/* NULL: the node has no such rule. */
const struct rule *node_rule(const struct node *node, enum keyword keyword);

/* ---- Reading: schema_read.c, and references.c for what leads elsewhere. ---- */

/* A name or a reference, and where it stands. */
struct place {
    str name;
    const struct value *value;
    struct rule *rule;
    struct place *next;
};

struct schema_reader {
    struct arena *arena;
    struct schema *schema;
    const struct value *root;
    str id; /* The root's $id; empty: none. */
    struct place *anchors;
    struct place *references; /* Yet to be followed. */
    size_t pattern_count;
};

/* INVALID_ARGUMENT: "#/where: why". */
status schema_fault(struct schema_reader *reader, const struct value *where, const char *format,
                    ...) __attribute__((format(printf, 3, 4)));
/* The node of a place; read if it has not been. */
status schema_read_node(struct schema_reader *reader, struct value *value, struct node **ret);
/* Follows all references, and whatever those lead to; refuses those that go around in circles. */
status schema_follow_references(struct schema_reader *reader);

#endif
