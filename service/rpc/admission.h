/*
 * admission: who comes in: each call is held against the keys there are, and what its method asks
 * for, before its handler hears of it.
 *
 * Threading: pure; on the call's thread.
 */
#ifndef SERVICE_RPC_ADMISSION_H
#define SERVICE_RPC_ADMISSION_H

#include "service/api/call.h"
#include "service/keys/key_set.h"

/* What a call is held against. */
struct admission {
    const struct key_set *keys;
    uint64_t now_ms; /* Unix time. */
};

/* By the header "authorization". False: it is to be ended, and why; the sentence lives in the
 * arena. */
bool admission_admit(struct api_call *call, uint32_t rights, const struct admission *by,
                     struct arena *arena, struct failure *ret_why);

#endif
