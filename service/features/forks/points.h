/*
 * points: where in a run's history a copy of it may end.
 */
#ifndef SERVICE_FEATURES_FORKS_POINTS_H
#define SERVICE_FEATURES_FORKS_POINTS_H

#include "service/base/base.h"
#include "service/base/uuid.h"

struct partition;

struct point {
    uint32_t seq;
    bool is_exact; /* It is the last event of a transition that does not end the run. */
    uint32_t nearest; /* If it is not: the last such event before it. */
    uint64_t time_ms; /* When it happened. */
    status status; /* Its own. */
};

/* Of the run's committed events, by ret->seq, at least 1. DATA_LOSS: the journal is damaged. */
status point_find(struct partition *partition, uuid run, struct point *ret);
/* The last event before all that the run failed of; 0: none. DATA_LOSS as above. */
status point_last_good(struct partition *partition, uuid run, uint32_t *ret);

#endif
