/*
 * inbox: the one queue between threads, many producers and one consumer.
 *
 * Every lock of the program lives in inbox.c. A consumer that polls sockets gives a wake
 * function (one that writes to its eventfd, say) and so can wait for both.
 *
 * Order:     first in, first out, over all producers.
 * Threading: push from any thread; take and wait from the owner only.
 */
#ifndef SERVICE_BASE_INBOX_H
#define SERVICE_BASE_INBOX_H

#include "service/base/base.h"

struct inbox_node {
    struct inbox_node *next;
};

struct inbox;

/* count_max: how many nodes may wait; wake may be NULL, else it is called (outside the
 * lock, on the pushing thread) each time the queue stops being empty. */
struct inbox *inbox_new(size_t count_max, void (*wake)(void *context), void *context);
void inbox_free(struct inbox *inbox); /* Accepts NULL; must be empty. */

/* False when the queue is full: the node stays the caller's. */
[[nodiscard]] bool inbox_push(struct inbox *inbox, struct inbox_node *node);
/* For answers that must arrive (completions, acknowledgements): ignores the limit. */
void inbox_push_always(struct inbox *inbox, struct inbox_node *node);
/* Takes up to count_max nodes as a list, or NULL. */
struct inbox_node *inbox_take(struct inbox *inbox, size_t count_max);
/* Blocks until a node waits or timeout_ms passed (-1: for ever). True when one waits. */
bool inbox_wait(struct inbox *inbox, int64_t timeout_ms);
/* How many wait; from any thread, so it may have changed on return. */
size_t inbox_count(struct inbox *inbox);

#endif
