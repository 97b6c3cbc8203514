/*
 * schedules: when the clock starts runs, as callers and hosts word it.
 */
#ifndef SERVICE_API_SCHEDULES_H
#define SERVICE_API_SCHEDULES_H

#include "polos/v1/schedules.pb-c.h"
#include "service/agents/definition.h"
#include "service/api/check.h"
#include "service/features/schedules/schedules.h"

enum {
    SCHEDULE_KEY_BYTES_MAX = 120,
    SCHEDULE_ID_BYTES_MAX = NAME_BYTES_MAX + 1 + SCHEDULE_KEY_BYTES_MAX,
};

/* Cron, key and zone, or what stands for an empty one; the rest of the offer is there. Whether it
 * ever comes due is for the partition to say, which has the zones. */
bool schedule_take(struct check *check, const char *prefix, const Polos__V1__ScheduleSpec *spec,
                   struct schedule_offer *ret);

#endif
