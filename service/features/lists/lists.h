/*
 * lists: the rows by which runs are listed, written when a run starts and when it ends.
 *
 * Nobody asks the feature for a list: service/reads has them. A store of a release without these
 * rows gets them after the start, some runs a round; until they are complete its lists look at all
 * runs.
 */
#ifndef SERVICE_FEATURES_LISTS_LISTS_H
#define SERVICE_FEATURES_LISTS_LISTS_H

#include "service/partition/feature.h"

extern const struct feature lists_feature;

#endif
