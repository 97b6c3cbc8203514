/*
 * idempotency: which request a key of a start was used for, so that the same call, made again, has
 * the first one's run.
 */
#ifndef SERVICE_FEATURES_IDEMPOTENCY_IDEMPOTENCY_H
#define SERVICE_FEATURES_IDEMPOTENCY_IDEMPOTENCY_H

#include "service/base/failure.h"
#include "service/codec/codec.h"
#include "service/partition/feature.h"

extern const struct feature idempotency_feature;

enum {
    IDEMPOTENCY_HASH_BYTES = 16,
};

/* False: the key is new. Also those of this very round. */
bool idempotency_find(struct partition *partition, const uint8_t key[IDEMPOTENCY_HASH_BYTES],
                      struct idempotency_row *ret);
/* Into the batch. */
void idempotency_put(struct partition *partition, const uint8_t key[IDEMPOTENCY_HASH_BYTES],
                     const struct idempotency_row *row);

/* By the key as the caller gave it, which is not empty. False: it is new. *ret_differs: it was used
 * for another request. */
bool idempotency_ask(struct partition *partition, str key, const uint8_t digest[16],
                     struct idempotency_row *ret, bool *ret_differs);
/* The request of this key and digest has started the run. Into the batch. */
void idempotency_note(struct partition *partition, str key, const uint8_t digest[16], uuid run);
/* That a key was used for another request. field: where the key stands; static. */
struct failure idempotency_refusal(const char *field);

#endif
