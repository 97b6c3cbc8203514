/*
 * key_set: the keys there are, and whom they let in.
 *
 * A set never changes: who makes, revokes or lets expire a key makes another set (keyring.h). So a
 * thread that holds one asks it without a lock.
 *
 * Threading: any thread that holds a reference.
 */
#ifndef SERVICE_KEYS_KEY_SET_H
#define SERVICE_KEYS_KEY_SET_H

#include "service/base/arena.h"
#include "service/base/failure.h"
#include "service/base/principal.h"
#include "service/keys/secret.h"

enum {
    KEYS_MAX = 10000,
    KEY_NAME_MAX = 200, /* Bytes. */
    KEY_OFFERS_MAX = 100,
    KEY_OFFER_BYTES_MAX = 128,
};

struct key {
    uint32_t number; /* Of its id; never 0. */
    uint32_t rights; /* enum right. */
    uint64_t created_ms; /* Unix time, these. */
    uint64_t expires_ms; /* 0: never. */
    uint64_t revoked_ms; /* 0: it was not. */
    uint8_t digest[SECRET_DIGEST_BYTES];
    str name; /* For people. */
    const str *offers; /* What a host may offer: names, '*' for anything. None: all. */
    size_t offer_count;
};

/* Whether it is good now: not revoked, not expired. */
bool key_is_good(const struct key *key, uint64_t now_ms);
/* Whether a host with this key may offer what has this name. */
bool key_may_offer(const struct key *key, str name);

struct key_set;

/* Copies them, with one reference. is_open: nobody needs a key. */
struct key_set *key_set_new(const struct key *keys, size_t count, bool is_open);
/* The same, with one more reference, the caller's. */
struct key_set *key_set_ref(struct key_set *set);
void key_set_unref(struct key_set *set); /* Accepts NULL. */
/* Whether nobody needs a key. */
bool key_set_is_open(const struct key_set *set);
/* By its number; NULL: there is none. */
const struct key *key_set_find(const struct key_set *set, uint32_t number);

/* Who calls, by the header "authorization". False: nobody that is let in, and why; the sentence
 * lives in the arena. What is secret stands in no sentence, and a secret that is nearly right is
 * told the same as any other. */
bool key_set_admit(const struct key_set *set, str authorization, uint64_t now_ms, uint32_t project,
                   struct arena *arena, struct principal *ret, struct failure *ret_why);
/* Whether one who was let in still is. False: as above. */
bool key_set_keeps(const struct key_set *set, const struct principal *principal, uint64_t now_ms,
                   struct arena *arena, struct failure *ret_why);

#endif
