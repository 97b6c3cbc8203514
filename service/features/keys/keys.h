/*
 * keys: who may come in: keys are made, listed and revoked, and run out.
 *
 * What changes is given to the partition's keyring at the end of the round, once it is durable.
 */
#ifndef SERVICE_FEATURES_KEYS_KEYS_H
#define SERVICE_FEATURES_KEYS_KEYS_H

#include "service/features/keys/key_table.h"
#include "service/keys/keyring.h"
#include "service/partition/feature.h"
#include "service/partition/request.h"

extern const struct feature keys_feature;

/* As key_table_create(). */
struct create_key_request {
    struct request request;
    struct key_order order; /* Its number and random bytes are filled in. */
    struct key ret; /* Its texts are good in `done`. */
    char ret_secret[SECRET_BYTES]; /* Whoever answers forgets it. */
    struct keyring_wait wait; /* The caller's, these. */
    void *poster;
};
extern const struct operation create_key_operation;

/* As key_table_revoke(). */
struct revoke_key_request {
    struct request request;
    uint32_t number;
    struct key ret; /* Its texts are good in `done`. */
    struct keyring_wait wait; /* The caller's, these. */
    void *poster;
};
extern const struct operation revoke_key_operation;

/* As key_table_list(). */
struct list_keys_request {
    struct request request;
    uint32_t after; /* 0: from the first. */
    size_t limit;
    const struct key *ret; /* In the request's arena; their texts are good in `done`. */
    size_t ret_count;
    bool ret_more;
};
extern const struct operation list_keys_operation;

static inline struct create_key_request *create_key_request(struct request *request)
{
    assert(request->operation == &create_key_operation);
    return container_of(request, struct create_key_request, request);
}

static inline struct revoke_key_request *revoke_key_request(struct request *request)
{
    assert(request->operation == &revoke_key_operation);
    return container_of(request, struct revoke_key_request, request);
}

static inline struct list_keys_request *list_keys_request(struct request *request)
{
    assert(request->operation == &list_keys_operation);
    return container_of(request, struct list_keys_request, request);
}

#endif
