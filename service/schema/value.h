/*
 * value: JSON as a tree that keeps its text: to be judged by a schema, or to be one.
 *
 * Strings may hold U+0000, numbers are exact (decimal.h), a doubled name counts as it does for
 * every peer: the last one wins.
 */
#ifndef SERVICE_SCHEMA_VALUE_H
#define SERVICE_SCHEMA_VALUE_H

#include "service/base/json.h"
#include "service/schema/decimal.h"

enum {
    VALUES_MAX = 100000, /* Of one tree, itself among them. */
};

struct value {
    enum json_kind kind;
    str raw; /* As it was written. */
    const struct value *parent; /* NULL: the root. */
    str name; /* As the member of an object. */
    uint32_t index; /* As the element of an array, and among all members. */
    uint32_t count; /* Of members or elements. */
    struct value *first; /* In the order of the text. */
    struct value *next;
    const struct value **sorted; /* An object's members by name. */
    union {
        bool is_true;
        str text; /* Of a string: its characters. */
        struct decimal number;
    };
    void *meaning; /* Whoever made the tree keeps here what it made of this value. */
};

/* INVALID_ARGUMENT: no JSON, or more than VALUES_MAX values. The tree borrows the text. */
status value_read(str text, struct arena *arena, struct value **ret);
/* NULL: no object, or it has no such member. */
struct value *value_member(const struct value *object, str name);
/* A total order; 0: the same value, as JSON Schema means it. Each pair of values that is looked at
 * adds 1 to steps. */
int value_compare(const struct value *a, const struct value *b, uint64_t *steps);
/* "null", "a number", "an object". */
const char *value_kind_words(const struct value *value);
/* Appends where it stands: "answer.items[2].amount", for a root called "answer". */
void value_put_path(const struct value *value, const char *root, struct buf *ret);
/* Appends where it stands as a JSON Pointer: "#/properties/amount". */
void value_put_pointer(const struct value *value, struct buf *ret);

#endif
