/*
 * idempotency: which request a key of a start was used for, so that the same call, made again, has
 * the first one's run. The row of a key outlives the run: one that was deleted does not start again
 * by a call that is repeated.
 */
#ifndef SERVICE_FEATURES_IDEMPOTENCY_IDEMPOTENCY_H
#define SERVICE_FEATURES_IDEMPOTENCY_IDEMPOTENCY_H

#include "service/base/failure.h"
#include "service/codec/codec.h"
#include "service/partition/feature.h"
#include "service/partition/request.h"

extern const struct feature idempotency_feature;

enum {
    IDEMPOTENCY_HASH_BYTES = 16,
};

/* By the key as the caller gave it, which is not empty. False: it is new. *ret_failure: it was used
 * for another request, its run was deleted, or nobody can say, as the store failed; else ret->run
 * is its run. field: where the key stands; static. */
bool idempotency_ask(struct partition *partition, str key, const uint8_t digest[16],
                     const char *field, struct idempotency_row *ret, struct failure *ret_failure);
/* The request of this key and digest has started the run. Into the batch. */
void idempotency_note(struct partition *partition, str key, const uint8_t digest[16], uuid run);

#endif
