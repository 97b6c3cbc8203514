/*
 * idempotency: which request a key of a start was used for, so that the same call, made again, has
 * the first one's run.
 */
#ifndef SERVICE_FEATURES_IDEMPOTENCY_IDEMPOTENCY_H
#define SERVICE_FEATURES_IDEMPOTENCY_IDEMPOTENCY_H

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

#endif
