/*
 * send_queue: what waits to be sent to one peer, in order.
 *
 * Threading: the loop's thread.
 */
#ifndef SERVICE_RPC_SEND_QUEUE_H
#define SERVICE_RPC_SEND_QUEUE_H

#include "service/base/payload.h"

/* A ring. Zero-initialised is empty. */
struct send_queue {
    struct payload **payloads;
    uint32_t capacity; /* 0, or a power of two. */
    uint32_t first;
    uint32_t len;
};

void send_queue_fini(struct send_queue *queue); /* It must be empty. */
/* Takes the reference. */
void send_queue_push(struct send_queue *queue, struct payload *payload);
/* The oldest, with its reference. There must be one. */
struct payload *send_queue_pop(struct send_queue *queue);

#endif
