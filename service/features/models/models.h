/*
 * models: the model calls in flight, and what comes back from them.
 */
#ifndef SERVICE_FEATURES_MODELS_MODELS_H
#define SERVICE_FEATURES_MODELS_MODELS_H

#include "service/llm/provider.h"
#include "service/partition/feature.h"

extern const struct feature models_feature;

/* Whether a call of the run is in flight. */
bool models_are_calling(const struct partition *partition, const struct live_run *run);
/* Whether no reply is awaited a last time whose call has been withdrawn. */
bool models_are_settled(const struct partition *partition);
/* Waits until no call is in flight and what came back is durable, at most so long. Once, when the
 * partition drains. Threading: any other than the partition's. */
void models_wait_quiet(struct partition *partition, uint64_t wait_ms);
/* Feeds requests; give it to llm_start(). Threading: its functions from any thread. */
struct model_sink models_sink(struct partition *partition);

#endif
