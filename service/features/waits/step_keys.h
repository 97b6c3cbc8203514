/*
 * step_keys: which keys of step requests a run's tasks have used, near enough.
 *
 * 32 bits of a hash each, 4.6 to 9.2 bytes with the room between them: a run that has waited
 * 100,000 times holds 512 KiB while it is at work, and nothing once it has left memory. A key that
 * was used is always found; one that was not may be, once in thousands of millions, so who finds
 * one asks the journal.
 */
#ifndef SERVICE_FEATURES_WAITS_STEP_KEYS_H
#define SERVICE_FEATURES_WAITS_STEP_KEYS_H

#include "service/base/base.h"

/* Zero-initialised is empty. */
struct step_keys {
    uint32_t *slots; /* Hashes, never 0; 0: free. */
    uint32_t slot_count; /* 0 or a power of two. */
    uint32_t count;
    bool is_complete; /* It has every key of the run. */
};

/* Leaves it empty. */
void step_keys_fini(struct step_keys *keys);
/* `key` is engine_key() of the step request's. */
void step_keys_add(struct step_keys *keys, uint32_t task, uint64_t key);
/* True also, once in thousands of millions, of a key that was never added. */
bool step_keys_has(const struct step_keys *keys, uint32_t task, uint64_t key);

#endif
