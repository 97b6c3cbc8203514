/*
 * triggers: workflows that a topic's events start, singly or in batches.
 */
#ifndef SERVICE_FEATURES_TRIGGERS_TRIGGERS_H
#define SERVICE_FEATURES_TRIGGERS_TRIGGERS_H

#include "service/partition/feature.h"

extern const struct feature triggers_feature;

/* A workflow of a hello that a topic's events start. */
struct trigger_offer {
    str workflow;
    str topic;
    uint32_t batch_size; /* 0 or 1: a run per event. */
    uint64_t batch_timeout_ms; /* 0: only full batches. */
};

/* Into the batch. One that is new begins with what comes after it. */
void triggers_offer(struct partition *partition, const struct trigger_offer *offer);
/* The workflow has none any more, if it had one. Into the batch. */
void triggers_drop(struct partition *partition, str workflow);

#endif
