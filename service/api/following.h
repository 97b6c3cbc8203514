/*
 * following: a call that follows something until it is finished; see partition/following.h.
 *
 *   start --the thing's own operation--> read for --&follow_join_operation--> live --end()-->
 * finished ^    ^                            | |    +----------------------------+ too much came
 * meanwhile
 *                                         +-- writable --&follow_more_operation-- stalled
 *
 * In every state: closed --&follow_end_operation --end() or done()--> finished.
 */
#ifndef SERVICE_API_FOLLOWING_H
#define SERVICE_API_FOLLOWING_H

#include <stdatomic.h>

#include "service/api/exchange.h"
#include "service/partition/following.h"
#include "service/reads/reads.h"

/* Part of what call->user points to. */
struct following {
    struct exchange_stream stream;
    struct follower *follower; /* Constant. The partition thread's, once posted. */
    atomic_bool is_closed; /* Nobody hears: what is read for it can stop. */
};

/* For its follower's functions, of the same names. */
void following_push(struct following *following, struct payload *payload);
bool following_stalls(struct following *following);
void following_end(struct following *following, const struct failure *failure);
/* `done` of the read that was begun for it: ends it, and tells the partition how far it came. */
void following_joins(struct following *following, struct read *read, uint64_t number, bool is_full,
                     bool has_all, const struct failure *failure);
/* For the call's functions. */
void following_writable(struct following *following);
void following_closed(struct following *following);

#endif
