/*
 * versions: what becomes of runs whose code does not fit their history.
 */
#ifndef SERVICE_FEATURES_VERSIONS_VERSIONS_H
#define SERVICE_FEATURES_VERSIONS_VERSIONS_H

#include "service/hosts/host.h"
#include "service/partition/feature.h"

extern const struct feature versions_feature;

/* A host has dialled in: what it offers of that is to be tried in the next round. */
void versions_hear(struct partition *partition, const struct host_hello *hello);
/* Tries them, when lost leases have been dealt with and before others get the free hosts. */
void versions_work(struct partition *partition);

#endif
