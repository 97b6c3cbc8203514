#include "clients/c/replay.h"

#include <assert.h>

#include "clients/c/memory.h"

size_t polos_hash(const char *text)
{
    uint64_t hash = 14695981039346656037u;
    for (; *text != '\0'; text++) {
        hash = (hash ^ (uint8_t)*text) * 1099511628211u;
    }
    return (size_t)(hash ^ hash >> 32);
}

/* Where the key is, or would be. */
static uint32_t *slot_of(struct replay *replay, const Polos__V1__Task *task, const char *key)
{
    size_t at = polos_hash(key) & (replay->slot_count - 1);
    while (replay->slots[at] != 0 && strcmp(task->steps[replay->slots[at] - 1]->key, key) != 0) {
        at = (at + 1) & (replay->slot_count - 1);
    }
    return &replay->slots[at];
}

static void make(struct replay *replay, const Polos__V1__Task *task)
{
    replay->slot_count = 16;
    while (replay->slot_count < 2 * task->n_steps) {
        replay->slot_count *= 2;
    }
    assert((replay->slot_count & (replay->slot_count - 1)) == 0);
    replay->slots = memory_zeroed(replay->slot_count, sizeof(*replay->slots));
    for (size_t i = 0; i < task->n_steps; i++) {
        const Polos__V1__SettledStep *step = task->steps[i];
        if (step->kind <= POLOS__V1__STEP_KIND__STEP_KIND_AT_ONCE) {
            uint32_t *slot = slot_of(replay, task, step->key);
            *slot = *slot == 0 ? (uint32_t)i + 1 : *slot;
        }
    }
}

const Polos__V1__SettledStep *polos_replay_find(struct replay *replay, const Polos__V1__Task *task,
                                                const char *key)
{
    if (task->n_steps == 0) {
        return NULL;
    }
    if (replay->slots == NULL) {
        make(replay, task);
    }
    assert(replay->slot_count >= 2 * task->n_steps);
    uint32_t found = *slot_of(replay, task, key);
    return found == 0 ? NULL : task->steps[found - 1];
}

void polos_replay_fini(struct replay *replay)
{
    free(replay->slots);
    *replay = (struct replay){0};
}
