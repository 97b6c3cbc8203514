/*
 * hash: 128 bits that name bytes: definitions, requests, keys.
 *
 * SipHash-2-4 with a key that never changes, because the hashes are on disk. Good against
 * accidents at any scale; no defence against somebody who builds collisions on purpose, so
 * nothing may be trusted because of its hash.
 */
#ifndef SERVICE_BASE_HASH_H
#define SERVICE_BASE_HASH_H

#include "service/base/base.h"

enum {
    HASH_BYTES = 16,
};

/* Equal bytes give equal hashes in every process and release. */
void hash128(str bytes, uint8_t ret[HASH_BYTES]);
/* With a key of the caller's: what the published test vectors need. */
void hash128_keyed(const uint8_t key[16], str bytes, uint8_t ret[HASH_BYTES]);

#endif
