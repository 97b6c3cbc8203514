/*
 * waits: what the code of a task waits for, beyond what the engine's state holds.
 *
 * The state keeps a hash of a step's key; the key itself and the topic are in the journal and,
 * while the run is in memory, here.
 */
#ifndef SERVICE_FEATURES_WAITS_WAITS_H
#define SERVICE_FEATURES_WAITS_WAITS_H

#include "service/base/uuid.h"
#include "service/engine/engine.h"
#include "service/features/waits/step_keys.h"
#include "service/hosts/host.h"
#include "service/partition/feature.h"

extern const struct feature waits_feature;

/* What the state does not hold of an open wait. */
struct live_wait {
    struct live_wait *next;
    uint32_t effect;
    uint32_t seq; /* Of its WAIT_SET. */
    bool has_schema; /* EFFECT_SUSPENSION: its answer has to fit the one in its WAIT_SET. */
    uint8_t topic[16]; /* EFFECT_EVENT. */
    str key; /* The step's. */
    str event_type; /* EFFECT_EVENT; empty: any. */
    char bytes[]; /* Of both. */
};

/* One of the run's open waits. DATA_LOSS when the journal lacks it. Borrowed until the run next
 * changes. */
status wait_find(struct partition *partition, struct live_run *run, uint32_t effect,
                 const struct live_wait **ret);

/* As wait_find(), without a look into the journal. NULL: the run was read again since. */
const struct live_wait *wait_known(struct partition *partition, const struct live_run *run,
                                   uint32_t effect);

/* Which keys the run's tasks have used. */
struct step_keys *waits_step_keys(struct partition *partition, const struct live_run *run);
/* The row of what a host may ask for. */
const struct wait_kind *waits_kind_for(struct partition *partition, enum step_request_kind request);

#endif
