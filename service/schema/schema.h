/*
 * schema: JSON Schema, draft 2020-12: whether a value fits, and if not, what to change where.
 *
 * A schema is read once: what is not supported is refused there, by name, and never passed over.
 * Neither a schema nor a value can take more than it is given: sizes, depths and steps are bounded,
 * and no pattern goes back and forth (pattern.h).
 *
 * Not for two threads at once.
 */
#ifndef SERVICE_SCHEMA_SCHEMA_H
#define SERVICE_SCHEMA_SCHEMA_H

#include "service/base/arena.h"

struct schema;

enum {
    SCHEMA_BYTES_MAX = 64 << 10, /* Of a schema's text. */
    SCHEMA_MISFITS_MAX = 10, /* Told of one value. */
};

/* INVALID_ARGUMENT says where it is no schema, or holds what is not supported: "#/items/minimum:
 * must be a number". It lives as long as the arena, which holds all of its memory. */
status schema_read(str text, struct arena *arena, struct schema **ret);

/* OK: the JSON text fits. INVALID_ARGUMENT: it does not, or is no JSON; why says where and what,
 * SCHEMA_MISFITS_MAX times at most: "answer.amount: must be a number, is a string; ...", for a root
 * called "answer". RESOURCE_EXHAUSTED: to judge it takes more steps than there are. */
status schema_judge(struct schema *schema, str text, const char *root, struct arena *arena);

#endif
