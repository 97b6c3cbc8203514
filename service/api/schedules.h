/*
 * schedules: when the clock starts a workflow, as callers and hosts word it.
 */
#ifndef SERVICE_API_SCHEDULES_H
#define SERVICE_API_SCHEDULES_H

#include "service/agents/definition.h"
#include "service/api/check.h"
#include "service/features/schedules/schedules.h"

enum {
    SCHEDULE_KEY_BYTES_MAX = 120,
    SCHEDULE_ID_BYTES_MAX = NAME_BYTES_MAX + 1 + SCHEDULE_KEY_BYTES_MAX,
};

/* Key and zone, or what stands for an empty one; the rest of the offer is there. Whether it ever
 * comes due is for the partition to say, which has the zones. */
bool schedule_take(struct check *check, const char *prefix, const char *key, const char *timezone,
                   struct schedule_offer *ret);

#endif
