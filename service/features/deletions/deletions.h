/*
 * deletions: runs that have ended are deleted, each with all the runs below it.
 *
 * From the answer on there is no such run; what is below it and the rest of its records go as owed
 * work, some in each round. What was not deleted and is below it stays: a run that has not ended,
 * where its tree was not counted.
 */
#ifndef SERVICE_FEATURES_DELETIONS_DELETIONS_H
#define SERVICE_FEATURES_DELETIONS_DELETIONS_H

#include "service/partition/feature.h"
#include "service/partition/request.h"

extern const struct feature deletions_feature;

/* Of request->run: a root that has ended, with its tree, or any run that cannot be read. */
extern const struct operation delete_operation;

#endif
