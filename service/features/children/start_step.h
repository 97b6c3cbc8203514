/*
 * start_step: the step request that starts runs, and waits for them or not.
 */
#ifndef SERVICE_FEATURES_CHILDREN_START_STEP_H
#define SERVICE_FEATURES_CHILDREN_START_STEP_H

#include "service/features/waits/wait_kind.h"

extern const struct wait_kind start_step_kind;

#endif
