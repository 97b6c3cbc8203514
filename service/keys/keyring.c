#include "service/keys/keyring.h"

#include <pthread.h>
#include <stdlib.h>

struct keyring {
    uint64_t (*now_ms)(void *context);
    void *now_context;
    pthread_mutex_t lock; /* Of what follows. */
    struct key_set *set;
    struct keyring_wait *waits;
    keyring_changed *changed; /* NULL: nobody follows. */
    void *context;
};

struct keyring *keyring_new(uint64_t (*now_ms)(void *context), void *context)
{
    struct keyring *ring = xcalloc(1, sizeof(*ring));
    assert(now_ms != NULL);
    ring->now_ms = now_ms;
    ring->now_context = context;
    pthread_mutex_init(&ring->lock, NULL);
    ring->set = key_set_new(NULL, 0, true);
    return ring;
}

void keyring_free(struct keyring *ring)
{
    if (ring == NULL) {
        return;
    }
    assert(ring->changed == NULL && ring->waits == NULL);
    key_set_unref(ring->set);
    pthread_mutex_destroy(&ring->lock);
    free(ring);
}

uint64_t keyring_now_ms(const struct keyring *ring)
{
    return ring->now_ms(ring->now_context);
}

void keyring_told(struct keyring_wait *waits)
{
    while (waits != NULL) {
        struct keyring_wait *next = waits->next;
        waits->done(waits);
        waits = next;
    }
}

void keyring_put(struct keyring *ring, struct key_set *set)
{
    assert(set != NULL);
    pthread_mutex_lock(&ring->lock);
    struct key_set *before = ring->set;
    struct keyring_wait *waits = ring->waits;
    bool is_followed = ring->changed != NULL;
    ring->set = set;
    ring->waits = NULL;
    if (is_followed) {
        ring->changed(ring->context, key_set_ref(set), waits);
    }
    pthread_mutex_unlock(&ring->lock);
    key_set_unref(before);
    if (!is_followed) {
        keyring_told(waits);
    }
}

void keyring_await(struct keyring *ring, struct keyring_wait *wait)
{
    assert(wait->done != NULL);
    pthread_mutex_lock(&ring->lock);
    wait->next = ring->waits;
    ring->waits = wait;
    pthread_mutex_unlock(&ring->lock);
}

struct key_set *keyring_get(struct keyring *ring)
{
    pthread_mutex_lock(&ring->lock);
    struct key_set *set = key_set_ref(ring->set);
    pthread_mutex_unlock(&ring->lock);
    return set;
}

void keyring_follow(struct keyring *ring, keyring_changed *changed, void *context)
{
    pthread_mutex_lock(&ring->lock);
    assert(changed == NULL || ring->changed == NULL); /* There is one. */
    ring->changed = changed;
    ring->context = context;
    pthread_mutex_unlock(&ring->lock);
}
