#include "service/features/waits/step_keys.h"

#include <stdlib.h>

#include "service/base/map.h"

enum {
    SLOTS_MIN = 16,
};

static_assert((SLOTS_MIN & (SLOTS_MIN - 1)) == 0, "slots are found by a mask");

static uint32_t hash_of(uint32_t task, uint64_t key)
{
    uint32_t hash = (uint32_t)(map_hash_u64(key + task) >> 32);
    return hash == 0 ? 1 : hash;
}

/* The hash's slot, or the free one where it belongs. */
static uint32_t *slot_of(const struct step_keys *keys, uint32_t hash)
{
    assert(hash != 0 && keys->slot_count > 0);
    uint32_t at = hash;
    for (;;) {
        uint32_t *slot = &keys->slots[at & (keys->slot_count - 1)];
        if (*slot == 0 || *slot == hash) {
            return slot;
        }
        at++;
    }
}

static void grow(struct step_keys *keys)
{
    struct step_keys grown = {
        .slot_count = keys->slot_count == 0 ? SLOTS_MIN : 2 * keys->slot_count,
        .count = keys->count,
        .is_complete = keys->is_complete,
    };
    assert(grown.slot_count > keys->slot_count); /* It has not wrapped. */
    grown.slots = xcalloc(grown.slot_count, sizeof(grown.slots[0]));
    for (uint32_t i = 0; i < keys->slot_count; i++) {
        if (keys->slots[i] != 0) {
            *slot_of(&grown, keys->slots[i]) = keys->slots[i];
        }
    }
    assert(grown.slot_count > grown.count);
    free(keys->slots);
    *keys = grown;
}

void step_keys_fini(struct step_keys *keys)
{
    free(keys->slots);
    *keys = (struct step_keys){0};
}

void step_keys_add(struct step_keys *keys, uint32_t task, uint64_t key)
{
    uint32_t hash = hash_of(task, key);
    if (keys->count >= keys->slot_count / 8 * 7) {
        grow(keys);
    }
    assert(keys->count < keys->slot_count); /* There is always a free one. */
    uint32_t *slot = slot_of(keys, hash);
    keys->count += *slot == 0;
    *slot = hash;
}

bool step_keys_has(const struct step_keys *keys, uint32_t task, uint64_t key)
{
    return keys->count > 0 && *slot_of(keys, hash_of(task, key)) != 0;
}
