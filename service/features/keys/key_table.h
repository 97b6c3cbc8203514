/*
 * key_table: the keys that a store holds, and what may be done to them.
 *
 * For the server, and for the command that makes and revokes keys while no server runs.
 */
#ifndef SERVICE_FEATURES_KEYS_KEY_TABLE_H
#define SERVICE_FEATURES_KEYS_KEY_TABLE_H

#include "service/keys/key_set.h"
#include "storage/keys.h"
#include "storage/store.h"

/* Zero-initialised is empty; freed by key_table_fini(). */
struct key_table {
    struct key_space space;
    struct arena arena; /* Of the texts. */
    struct key *keys; /* As they were read or made. */
    size_t count;
    size_t capacity;
    bool is_damaged; /* Some could not be read, and let nobody in. */
};

/* A key to be made. Checked by key_table_create(). */
struct key_order {
    str name;
    uint32_t rights;
    const str *offers;
    size_t offer_count;
    uint64_t lifetime_ms; /* 0: for ever. */
    uint32_t number; /* Random, these. */
    uint8_t random[SECRET_RANDOM_BYTES];
};

void key_table_init(struct key_table *table, struct key_space space);
void key_table_fini(struct key_table *table);
/* Anew, from the rows. What is damaged is passed over, and said. */
status key_table_load(struct key_table *table, const struct store *store);
/* By its number; NULL: there is none. Valid until the table changes. */
const struct key *key_table_find(const struct key_table *table, uint32_t number);
/* Whether a key could have this number. */
bool key_table_is_free(const struct key_table *table, uint32_t number);

/* Puts the key's row into the batch; its number must be free. NULL: refused. Its texts are copied.
 * INVALID_FIELD, KEYS_EXHAUSTED, KEY_NOT_ADMIN: the first key has to be an administrator's. */
const struct key *key_table_create(struct key_table *table, const struct key_order *order,
                                   uint64_t now_ms, struct store_batch *batch,
                                   struct failure *ret_why);
/* As above. One that was revoked before stays as it was. NULL: KEY_NOT_FOUND. */
const struct key *key_table_revoke(struct key_table *table, uint32_t number, uint64_t now_ms,
                                   struct store_batch *batch, struct failure *ret_why);
/* By name, then number, behind the key `after` (0: from the first), at most `limit` of them. They
 * live in the arena, their texts in the table. */
const struct key *key_table_list(const struct key_table *table, uint32_t after, size_t limit,
                                 struct arena *arena, size_t *ret_count, bool *ret_more);
/* With one reference. Open while there never was a key. */
struct key_set *key_table_set(const struct key_table *table);

#endif
