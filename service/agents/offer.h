/*
 * offer: a tool or a workflow as a host offered it last: what is known of it when no host is there.
 */
#ifndef SERVICE_AGENTS_OFFER_H
#define SERVICE_AGENTS_OFFER_H

#include "service/agents/definition.h"

struct offer_record {
    str deployment; /* Of the host. */
    uint64_t offered_ms; /* Unix time. */
    /* Its name and description; of a workflow no more of it. */
    struct tool_definition tool;
    /* Of a workflow: */
    str queue; /* Empty: none. */
    str topic; /* Its events start runs; empty: none do. */
    uint32_t batch_size;
    uint64_t batch_timeout_ms;
    str cron; /* When the clock starts runs; empty: never. */
    str zone;
    str schedule_key;
};

/* Whether they say the same, whenever they were offered. */
bool offer_is_same(const struct offer_record *a, const struct offer_record *b);
/* The bytes that are stored (the journal's OfferRecord message). */
void offer_encode(const struct offer_record *offer, struct buf *ret);
/* Points into `bytes`. DATA_LOSS: they are damaged. */
status offer_decode(str bytes, struct arena *arena, struct offer_record *ret);

#endif
