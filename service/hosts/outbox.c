#include "service/hosts/outbox.h"

#include <stdlib.h>

enum {
    OUTBOX_CAPACITY_MIN = 8,
};

void outbox_fini(struct outbox *outbox)
{
    bool known = outbox_acknowledge(outbox, outbox->sent);
    assert(known);
    assert(outbox->bytes == 0);
    free(outbox->items);
    *outbox = (struct outbox){0};
}

static struct outbox_item *item_of(const struct outbox *outbox, uint64_t seq)
{
    return &outbox->items[seq & (outbox->capacity - 1)];
}

static void grow(struct outbox *outbox)
{
    struct outbox wider = *outbox;
    wider.capacity = outbox->capacity == 0 ? OUTBOX_CAPACITY_MIN : outbox->capacity * 2;
    assert(wider.capacity > outbox->capacity);
    wider.items = xcalloc(wider.capacity, sizeof(wider.items[0]));
    for (uint64_t seq = outbox->acknowledged + 1; seq <= outbox->sent; seq++) {
        *item_of(&wider, seq) = *item_of(outbox, seq);
    }
    free(outbox->items);
    *outbox = wider;
}

void outbox_push(struct outbox *outbox, struct payload *payload, uint64_t ack)
{
    assert(payload != NULL);
    if (outbox_count(outbox) == outbox->capacity) {
        grow(outbox);
    }
    outbox->sent++;
    *item_of(outbox, outbox->sent) = (struct outbox_item){payload, ack};
    outbox->bytes += payload_bytes(payload).len;
}

bool outbox_acknowledge(struct outbox *outbox, uint64_t seq)
{
    if (seq > outbox->sent) {
        return false;
    }
    while (outbox->acknowledged < seq) {
        struct payload *payload = outbox_get(outbox, outbox->acknowledged + 1);
        outbox->bytes -= payload_bytes(payload).len;
        payload_unref(payload);
        outbox->acknowledged++;
    }
    return true;
}

struct payload *outbox_get(const struct outbox *outbox, uint64_t seq)
{
    assert(seq > outbox->acknowledged && seq <= outbox->sent);
    return item_of(outbox, seq)->payload;
}

uint64_t outbox_ack(const struct outbox *outbox, uint64_t seq)
{
    assert(seq > outbox->acknowledged && seq <= outbox->sent);
    return item_of(outbox, seq)->ack;
}
