/*
 * children: runs that a run's code started: they are cancelled with it, and it is told of their
 * end.
 */
#ifndef SERVICE_FEATURES_CHILDREN_CHILDREN_H
#define SERVICE_FEATURES_CHILDREN_CHILDREN_H

#include "service/base/uuid.h"
#include "service/partition/feature.h"

extern const struct feature children_feature;

/* A copy of a failed run waits for the children that run had begun, where its wait for them is
 * open; those that have ended are told of. Owed: it is done in this round or in later ones. */
void children_adopt(struct partition *partition, uuid source, struct live_run *successor);

#endif
