/*
 * histories: a run's history has a limit of bytes: one that passes it fails, and says so.
 */
#ifndef SERVICE_FEATURES_HISTORIES_HISTORIES_H
#define SERVICE_FEATURES_HISTORIES_HISTORIES_H

#include "service/partition/feature.h"

extern const struct feature histories_feature;

#endif
