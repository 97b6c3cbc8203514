#include "service/base/map.h"

#include <stdlib.h>

enum {
    MAP_SLOTS_MIN = 8,
};

void map_init(struct map *map, const struct map_keys *keys, const void *context)
{
    assert(keys->hash != NULL && keys->equal != NULL);
    *map = (struct map){.keys = keys, .context = context};
}

void map_fini(struct map *map)
{
    free(map->slots);
    *map = (struct map){.keys = map->keys, .context = map->context};
}

uint64_t map_hash_u64(uint64_t value)
{
    /* The finaliser of splitmix64: every bit of the input moves every bit of the output. */
    value ^= value >> 30;
    value *= 0xbf58476d1ce4e5b9u;
    value ^= value >> 27;
    value *= 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

/* Where the search for this hash begins. A weak hash of the caller's is mixed first. */
static uint32_t home_of(const struct map *map, uint64_t hash)
{
    return (uint32_t)map_hash_u64(hash) & (map->slot_count - 1);
}

static uint32_t home_of_number(const struct map *map, uint32_t number)
{
    return home_of(map, map->keys->hash(map->context, number));
}

bool map_find(const struct map *map, uint64_t hash, const void *key, uint32_t *ret)
{
    if (map->count == 0) {
        return false;
    }
    uint32_t mask = map->slot_count - 1;
    for (uint32_t at = home_of(map, hash); map->slots[at] != 0; at = (at + 1) & mask) {
        if (map->keys->equal(map->context, map->slots[at] - 1, key)) {
            *ret = map->slots[at] - 1;
            return true;
        }
    }
    return false;
}

static void place(struct map *map, uint32_t number)
{
    uint32_t at = home_of_number(map, number);
    while (map->slots[at] != 0) {
        assert(map->slots[at] != number + 1 && "the number is already there");
        at = (at + 1) & (map->slot_count - 1);
    }
    map->slots[at] = number + 1;
}

static void grow(struct map *map)
{
    uint32_t *old = map->slots;
    uint32_t old_count = map->slot_count;
    map->slot_count = old_count == 0 ? MAP_SLOTS_MIN : old_count * 2;
    assert(map->slot_count > old_count);
    map->slots = xcalloc(map->slot_count, sizeof(*map->slots));
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i] != 0) {
            place(map, old[i] - 1);
        }
    }
    free(old);
}

void map_add(struct map *map, uint32_t number)
{
    assert(number < UINT32_MAX);
    if ((uint64_t)(map->count + 1) * 4 > (uint64_t)map->slot_count * 3) {
        grow(map);
    }
    place(map, number);
    map->count++;
}

/* The slot is free: moves up what was pushed past it, so that no search ends too early. */
static void close_hole(struct map *map, uint32_t hole)
{
    uint32_t mask = map->slot_count - 1;
    for (uint32_t at = (hole + 1) & mask; map->slots[at] != 0; at = (at + 1) & mask) {
        uint32_t home = home_of_number(map, map->slots[at] - 1);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            map->slots[at] = 0;
            hole = at;
        }
    }
}

void map_remove(struct map *map, uint32_t number)
{
    assert(map->count > 0);
    uint32_t at = home_of_number(map, number);
    while (map->slots[at] != number + 1) {
        assert(map->slots[at] != 0 && "the number is not there");
        at = (at + 1) & (map->slot_count - 1);
    }
    map->slots[at] = 0;
    map->count--;
    close_hole(map, at);
}
