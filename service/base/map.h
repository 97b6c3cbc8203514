/*
 * map: finds what the caller keeps in an array, by a key that is inside it.
 *
 * It holds numbers (indexes of that array) and no keys, so an entry costs 5 to 11 bytes. There
 * is no way to walk it: what is done in order is done along arrays and lists, and so never
 * depends on a hash.
 *
 * Invariant: a number in the map keeps its key; no two numbers have equal keys.
 */
#ifndef SERVICE_BASE_MAP_H
#define SERVICE_BASE_MAP_H

#include "service/base/base.h"

/* What the map asks about the caller's things. */
struct map_keys {
    uint64_t (*hash)(const void *context, uint32_t number);
    bool (*equal)(const void *context, uint32_t number, const void *key);
};

struct map {
    const struct map_keys *keys;
    const void *context;
    uint32_t *slots; /* number + 1; 0: free. */
    uint32_t slot_count; /* 0 or a power of two. */
    uint32_t count;
};

/* Empty. `keys` is static; `context` is passed to its functions. */
void map_init(struct map *map, const struct map_keys *keys, const void *context);
void map_fini(struct map *map); /* Frees what is the map's; the things stay. */

/* False: none has this key. `hash` is the key's, as keys->hash() would give it. */
bool map_find(const struct map *map, uint64_t hash, const void *key, uint32_t *ret);
void map_add(struct map *map, uint32_t number); /* < UINT32_MAX; its key must be new. */
void map_remove(struct map *map, uint32_t number); /* It must be there, its key unchanged. */

/* Spreads numbers that follow each other. */
uint64_t map_hash_u64(uint64_t value);

#endif
