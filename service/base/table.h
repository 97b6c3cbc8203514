/*
 * table: finds things by a key inside them, where map.h finds numbers of things.
 *
 * Each thing carries the link that chains it, so the table allocates nothing for it and a thing
 * never moves. There is no way to walk it: what is done in order is done along lists, and so never
 * depends on a hash.
 *
 * Invariant: no two things have equal keys; a thing in the table keeps its key.
 */
#ifndef SERVICE_BASE_TABLE_H
#define SERVICE_BASE_TABLE_H

#include "service/base/base.h"

struct table_link {
    struct table_link *next;
    uint64_t hash;
};

struct table {
    bool (*is)(const struct table_link *link, const void *key);
    struct table_link **chains;
    size_t chain_count; /* 0 or a power of two. */
    size_t count;
};

/* is: whether the thing around the link has that key. */
void table_init(struct table *table, bool (*is)(const struct table_link *link, const void *key));
void table_fini(struct table *table); /* Forgets the things. */
void table_reserve(struct table *table, size_t count); /* So many fit without a pause. */

/* NULL: there is none. A weak hash of the caller's is mixed first. */
struct table_link *table_find(const struct table *table, uint64_t hash, const void *key);
void table_add(struct table *table, struct table_link *link, uint64_t hash); /* Its key is new. */
void table_remove(struct table *table, struct table_link *link); /* It must be there. */

#endif
