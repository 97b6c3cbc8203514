/*
 * queue_rows: what is kept of queues: their limits, whose default they are, and the starts that
 * their rates count.
 *
 *   queue          queue's name            -> u32 concurrency | u32 per_key | u32 rate
 *                                             | u64 rate_period_ms
 *   queue default  workflow's name         -> queue's name
 *   queue start    queue's name | u32 slot -> u64 number | u64 start_ms
 *
 * Little-endian. A start is one of as many rows as the rate allows, taken in turn: its slot is its
 * number modulo the rate.
 */
#ifndef SERVICE_CODEC_QUEUE_ROWS_H
#define SERVICE_CODEC_QUEUE_ROWS_H

#include "service/base/buf.h"

enum {
    QUEUE_NAME_BYTES_MAX = 128,
};

/* Limits; 0: none. */
struct queue_row {
    uint32_t concurrency; /* Of the whole queue. */
    uint32_t per_key;
    uint32_t rate; /* Runs that begin within any rate_period_ms. */
    uint64_t rate_period_ms; /* 0 where the rate is. */
};

/* Appends the value; the queue's name is the key. */
void queue_row_encode(const struct queue_row *row, struct buf *ret);
/* Of a key's tail, which must be a name, and a value. DATA_LOSS: one is damaged. */
status queue_row_decode(str name, str value, struct queue_row *ret);

/* The value is a queue's name as it is. DATA_LOSS: it cannot be one. */
status queue_default_row_decode(str value, str *ret_queue);

struct queue_start_row {
    str queue;
    uint32_t slot;
    uint64_t number; /* Counts the queue's starts. */
    uint64_t start_ms; /* Unix time. */
};

/* Appends the key's tail. */
void queue_start_row_put_tail(str queue, uint32_t slot, struct buf *ret);
/* Is `tail` that of a start of this queue? Those of longer names may begin with its name too. */
bool queue_start_row_is_of(str tail, str queue);
/* Appends the value. */
void queue_start_row_encode(const struct queue_start_row *row, struct buf *ret);
/* Of a key's tail and a value; the name points into the tail. DATA_LOSS: one is damaged. */
status queue_start_row_decode(str tail, str value, struct queue_start_row *ret);

#endif
