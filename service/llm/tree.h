/*
 * tree: JSON as a tree to look things up in, where nothing of it is passed on: cJSON, without
 * its traps.
 *
 * Text that json_check() refuses is no tree, so that the two readers of this program never
 * differ about what JSON is. Within a tree characters win over bytes: a lone surrogate is
 * U+FFFD, an escaped NUL is dropped (it would end a C string), numbers are doubles. What must
 * go on as it came (tool arguments, schemas, opaque blocks) is read with json.h instead.
 *
 * Invariant: null and absent are the same, and every getter takes NULL for an absent value.
 */
#ifndef SERVICE_LLM_TREE_H
#define SERVICE_LLM_TREE_H

#include "service/base/json.h"

enum {
    TREE_BYTES_MAX = 1 << 20, /* Of text; its tree may take forty times as much. */
};

struct cJSON; /* One value; what it is made of only tree.c knows. */

struct cJSON *tree_new(str text); /* NULL: no JSON, or longer than the most. Blanks are fine. */
void tree_free(struct cJSON *root); /* Accepts NULL. */

enum json_kind tree_kind(const struct cJSON *value); /* JSON_NONE: absent. */
/* The last member of exactly that name, or NULL. */
const struct cJSON *tree_get(const struct cJSON *object, const char *name);
/* The members or elements, nulls among them. */
const struct cJSON *tree_first(const struct cJSON *container);
/* Of the same container; NULL: that was the last. */
const struct cJSON *tree_next(const struct cJSON *value);
str tree_name(const struct cJSON *member); /* Empty when absent. */

str tree_str(const struct cJSON *value); /* Empty when it is no string. */
/* Whole numbers from 0 to 2^53, which a double holds exactly. */
bool tree_u64(const struct cJSON *value, uint64_t *ret);
/* False, and nothing changed, when it is none. */
bool tree_bool(const struct cJSON *value, bool *ret);

#endif
