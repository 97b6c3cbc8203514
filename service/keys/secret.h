/*
 * secret: what a caller shows to come in, and what is kept of it.
 *
 *   polos_1f9d02aa_Yk3vJ0l6W2b0m8Qd5sC1xN7uT4eR9aZpHgFiKoLjMnE
 *   \----id------/ \---------256 random bits, base64url-------/
 *
 * The prefix is fixed, for those who look for secrets where none belong. Only the digest is kept:
 * of 256 random bits nothing slower than SHA-256 is needed.
 *
 * Threading: pure.
 */
#ifndef SERVICE_KEYS_SECRET_H
#define SERVICE_KEYS_SECRET_H

#include "service/base/base.h"

enum {
    SECRET_RANDOM_BYTES = 32,
    SECRET_DIGEST_BYTES = 32,
    SECRET_ID_BYTES = 6 + 8,
    SECRET_BYTES = SECRET_ID_BYTES + 1 + 43,
};

/* The id of a key by its number: "polos_1f9d02aa". In ret, without a NUL. */
str secret_id(char ret[SECRET_ID_BYTES], uint32_t number);
/* The number of an id. False: it is none. */
bool secret_read_id(str id, uint32_t *ret);
/* The whole of it. In ret, without a NUL; to be forgotten after use. */
str secret_make(char ret[SECRET_BYTES], uint32_t number, const uint8_t random[SECRET_RANDOM_BYTES]);
/* The number of the key that a secret says it is of. False: it does not look like one. */
bool secret_read(str secret, uint32_t *ret);
/* SHA-256 of all of it. */
void secret_digest(str secret, uint8_t ret[SECRET_DIGEST_BYTES]);
/* Takes as long whether they are equal or not. */
bool secret_digests_equal(const uint8_t a[SECRET_DIGEST_BYTES],
                          const uint8_t b[SECRET_DIGEST_BYTES]);
/* Overwrites it, whatever the compiler thinks of that. */
void secret_forget(void *bytes, size_t len);

#endif
