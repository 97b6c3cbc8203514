/*
 * outbox: the numbered messages that a host has not acknowledged, to be sent again.
 *
 * Invariant: holds exactly the numbers (acknowledged, sent].
 */
#ifndef SERVICE_HOSTS_OUTBOX_H
#define SERVICE_HOSTS_OUTBOX_H

#include "service/base/payload.h"

/* Zero-initialised is empty and valid. */
struct outbox_item {
    struct payload *payload;
    uint64_t ack; /* What was acknowledged when it was queued. */
};

struct outbox {
    uint64_t sent;
    uint64_t acknowledged;
    struct outbox_item *items; /* A ring. */
    uint32_t capacity;
    size_t bytes; /* Of the payloads. */
};

/* Drops what it holds; it is empty again. */
void outbox_fini(struct outbox *outbox);
/* Numbers the next message sent + 1; takes the reference. */
void outbox_push(struct outbox *outbox, struct payload *payload, uint64_t ack);
/* Drops everything up to this number. False when it was never sent; then nothing changes. */
bool outbox_acknowledge(struct outbox *outbox, uint64_t seq);
/* Borrowed. acknowledged < seq <= sent. */
struct payload *outbox_get(const struct outbox *outbox, uint64_t seq);
/* Of the same. */
uint64_t outbox_ack(const struct outbox *outbox, uint64_t seq);

/* Messages that are not acknowledged. */
static inline uint64_t outbox_count(const struct outbox *outbox)
{
    return outbox->sent - outbox->acknowledged;
}

#endif
