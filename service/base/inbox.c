#include "service/base/inbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct inbox {
    pthread_mutex_t mutex;
    pthread_cond_t not_empty;
    struct inbox_node *first;
    struct inbox_node **last; /* Where the next node's address goes. */
    size_t count;
    size_t count_max;
    void (*wake)(void *context);
    void *context;
};

static void lock(struct inbox *inbox)
{
    int failed = pthread_mutex_lock(&inbox->mutex);
    assert(failed == 0);
    (void)failed;
}

static void unlock(struct inbox *inbox)
{
    int failed = pthread_mutex_unlock(&inbox->mutex);
    assert(failed == 0);
    (void)failed;
}

struct inbox *inbox_new(size_t count_max, void (*wake)(void *context), void *context)
{
    assert(count_max > 0);
    struct inbox *inbox = xcalloc(1, sizeof(*inbox));
    pthread_condattr_t attributes;
    inbox->last = &inbox->first;
    inbox->count_max = count_max;
    inbox->wake = wake;
    inbox->context = context;
    pthread_mutex_init(&inbox->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&inbox->not_empty, &attributes);
    pthread_condattr_destroy(&attributes);
    return inbox;
}

void inbox_free(struct inbox *inbox)
{
    if (inbox == NULL) {
        return;
    }
    assert(inbox->first == NULL && inbox->count == 0);
    pthread_cond_destroy(&inbox->not_empty);
    pthread_mutex_destroy(&inbox->mutex);
    free(inbox);
}

static bool push(struct inbox *inbox, struct inbox_node *node, size_t count_max)
{
    assert(node != NULL);
    lock(inbox);
    if (inbox->count >= count_max) {
        unlock(inbox);
        return false;
    }
    /* Read before the unlock: afterwards the consumer may be done with the inbox. */
    void (*wake)(void *context) = inbox->count == 0 ? inbox->wake : NULL;
    void *context = inbox->context;
    node->next = NULL;
    *inbox->last = node;
    inbox->last = &node->next;
    inbox->count++;
    if (inbox->count == 1) {
        pthread_cond_signal(&inbox->not_empty);
    }
    unlock(inbox);
    if (wake != NULL) {
        wake(context);
    }
    return true;
}

bool inbox_push(struct inbox *inbox, struct inbox_node *node)
{
    return push(inbox, node, inbox->count_max);
}

void inbox_push_always(struct inbox *inbox, struct inbox_node *node)
{
    bool pushed = push(inbox, node, SIZE_MAX);
    assert(pushed);
    (void)pushed;
}

struct inbox_node *inbox_take(struct inbox *inbox, size_t count_max)
{
    assert(count_max > 0);
    lock(inbox);
    struct inbox_node *taken = inbox->first;
    struct inbox_node **end = &inbox->first;
    size_t count = 0;
    while (*end != NULL && count < count_max) {
        end = &(*end)->next;
        count++;
    }
    struct inbox_node *rest = *end;
    *end = NULL;
    inbox->first = rest;
    inbox->count -= count;
    if (rest == NULL) {
        inbox->last = &inbox->first;
    }
    assert((inbox->count == 0) == (inbox->first == NULL));
    unlock(inbox);
    return taken;
}

static struct timespec deadline_in(int64_t timeout_ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += (timeout_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

bool inbox_wait(struct inbox *inbox, int64_t timeout_ms)
{
    assert(timeout_ms >= -1);
    struct timespec deadline = deadline_in(timeout_ms < 0 ? 0 : timeout_ms);
    int waited = 0;
    lock(inbox);
    while (inbox->count == 0 && timeout_ms != 0 && waited != ETIMEDOUT) {
        waited = timeout_ms < 0
                     ? pthread_cond_wait(&inbox->not_empty, &inbox->mutex)
                     : pthread_cond_timedwait(&inbox->not_empty, &inbox->mutex, &deadline);
        assert(waited == 0 || waited == ETIMEDOUT);
    }
    bool one_waits = inbox->count > 0;
    unlock(inbox);
    return one_waits;
}

size_t inbox_count(struct inbox *inbox)
{
    lock(inbox);
    size_t count = inbox->count;
    unlock(inbox);
    return count;
}
