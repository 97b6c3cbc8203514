/*
 * keyring: the newest set of keys, and whoever has to hear of it.
 *
 * The partition's thread puts sets, the transport's threads take them. A set is in force when every
 * thread of the transport has it and has ended the calls that it no longer lets in.
 *
 * Threading: put, await and pass_by from one thread, the partition's; the rest from any.
 */
#ifndef SERVICE_KEYS_KEYRING_H
#define SERVICE_KEYS_KEYRING_H

#include "service/keys/key_set.h"

struct keyring;

/* Who waits until a set is in force. */
struct keyring_wait {
    struct keyring_wait *next;
    void (*done)(struct keyring_wait *wait); /* Once, on any thread. */
};

/* now_ms: Unix time, by which keys expire; from any thread. */
struct keyring *keyring_new(uint64_t (*now_ms)(void *context), void *context);
void keyring_free(struct keyring *ring); /* Accepts NULL. Nobody follows it, nobody waits. */
/* The time by which keys expire. */
uint64_t keyring_now_ms(const struct keyring *ring);

/* Takes the reference. Those who were noted by keyring_await() wait for this one. */
void keyring_put(struct keyring *ring, struct key_set *set);
/* To be told once the next set that is put is in force. */
void keyring_await(struct keyring *ring, struct keyring_wait *wait);
/* The newest, with a reference for the caller; open while none was put. */
struct key_set *keyring_get(struct keyring *ring);

/* One follows: `changed` is called for each set that is put, on the thread that puts it, with a
 * reference that is the callee's; it calls keyring_told() once the set is in force. NULL: nobody
 * does from now on. On return no call of `changed` is under way. */
typedef void keyring_changed(void *context, struct key_set *set, struct keyring_wait *waits);
void keyring_follow(struct keyring *ring, keyring_changed *changed, void *context);
/* The set that came with these is in force. Any thread; needs no ring. */
void keyring_told(struct keyring_wait *waits);

#endif
