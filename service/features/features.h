/*
 * features: the ones that polosd has, in the order of their hooks.
 */
#ifndef SERVICE_FEATURES_FEATURES_H
#define SERVICE_FEATURES_FEATURES_H

#include "service/partition/feature.h"

/* NULL-terminated; for struct partition_options. */
extern const struct feature *const features_all[];

#endif
