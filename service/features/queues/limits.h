/*
 * limits: queues as they are defined: their limits, the workflows that go to them, the starts that
 * a rate counts; all of them rows.
 */
#ifndef SERVICE_FEATURES_QUEUES_LIMITS_H
#define SERVICE_FEATURES_QUEUES_LIMITS_H

#include "service/features/queues/queue_order.h"

struct partition;

/* The state of the feature: made by queues.c. */
struct queues_feature {
    struct partition *partition;
    struct queue_order *order;
};

/* Who waits and who runs, in the order of their admission. */
struct queue_order *queues_in(const struct partition *partition);

/* Into the batch: a start is one of as many rows as the rate allows, one after the other. `rate` is
 * not 0. */
void limits_put_start(struct partition *partition, str queue, uint32_t rate, uint64_t number,
                      uint64_t start_ms);
/* From the rows: at the start, and after a round that failed. Damaged ones are passed over, and
 * logged. */
status limits_load(struct partition *partition);

#endif
