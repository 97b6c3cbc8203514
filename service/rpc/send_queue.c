#include "service/rpc/send_queue.h"

#include <stdlib.h>

enum {
    CAPACITY_FIRST = 8,
};

void send_queue_fini(struct send_queue *queue)
{
    assert(queue->len == 0);
    free(queue->payloads);
}

static void grow(struct send_queue *queue)
{
    uint32_t capacity = queue->capacity == 0 ? CAPACITY_FIRST : 2 * queue->capacity;
    assert(capacity > queue->capacity);
    struct payload **payloads = xmalloc(capacity * sizeof(payloads[0]));
    for (uint32_t i = 0; i < queue->len; i++) {
        payloads[i] = queue->payloads[(queue->first + i) & (queue->capacity - 1)];
    }
    free(queue->payloads);
    queue->payloads = payloads;
    queue->capacity = capacity;
    queue->first = 0;
}

void send_queue_push(struct send_queue *queue, struct payload *payload)
{
    if (queue->len == queue->capacity) {
        grow(queue);
    }
    assert(queue->len < queue->capacity);
    queue->payloads[(queue->first + queue->len) & (queue->capacity - 1)] = payload;
    queue->len++;
}

struct payload *send_queue_pop(struct send_queue *queue)
{
    assert(queue->len > 0);
    struct payload *payload = queue->payloads[queue->first];
    queue->first = (queue->first + 1) & (queue->capacity - 1);
    queue->len--;
    return payload;
}
