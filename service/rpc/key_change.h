/*
 * key_change: another set of keys, and the calls that it lets in no more.
 *
 * Each loop has a reference of its own to the set its calls are held against. When another one is
 * put into the keyring, each takes it and ends those calls; once all have, the set is in force.
 *
 * Threading: any.
 */
#ifndef SERVICE_RPC_KEY_CHANGE_H
#define SERVICE_RPC_KEY_CHANGE_H

#include "service/keys/keyring.h"
#include "service/rpc/loop.h"

/* Every loop is to take the set; then those who wait for it are told. Takes the reference. */
void key_change(struct loop *loops, uint32_t loop_count, struct key_set *set,
                struct keyring_wait *waits);

#endif
