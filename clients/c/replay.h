/*
 * replay: the steps a task came with, by their key.
 *
 * The index is made when the first is looked for: most tasks come without steps.
 */
#ifndef CLIENTS_C_REPLAY_H
#define CLIENTS_C_REPLAY_H

#include <stddef.h>
#include <stdint.h>

#include "polos/v1/host.pb-c.h"

/* Zero-initialised is valid. */
struct replay {
    uint32_t *slots; /* 1 + the step's place; 0: empty. */
    size_t slot_count; /* A power of two. */
};

/* The first step with this key; NULL: none. The task is the same in every call. */
const Polos__V1__SettledStep *polos_replay_find(struct replay *replay, const Polos__V1__Task *task,
                                                const char *key);
/* Frees the index; it is valid afterwards. */
void polos_replay_fini(struct replay *replay);

/* Of any text. */
size_t polos_hash(const char *text);

#endif
