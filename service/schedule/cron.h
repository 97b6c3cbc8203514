/*
 * cron: when an expression such as "30 9 * * MON-FRI" comes due next, in a time zone.
 *
 * Five fields (minute hour day-of-month month day-of-week) of lists, ranges, steps and names, as
 * Vixie cron has them; or @hourly @daily @weekly @monthly @yearly. Where both day fields are
 * restricted, a day that fits either is enough; a field that begins with a star is not.
 *
 * The surprising idea is what happens when clocks change. The minute or hour field is open if it
 * has a star or a step, or lists all its values; else its values are named.
 *   Both named ("30 2 * * *"): comes due once for each such time of the calendar, at the first
 *     instant when the clock on the wall shows that time or has jumped past it. So a missing time
 *     comes due at the end of its gap, and one that is shown twice comes due the first time.
 *   Hour named, minute open ("0-50/10 2 * * *"): comes due whenever the clock shows such a time,
 *     in both passes of an hour that comes twice; and once at the end of a gap that swallowed any.
 *   Hour open ("30 * * * *"): comes due whenever the clock shows such a time, in both passes;
 *     what a gap swallowed is dropped, since the rhythm of real time goes on without it.
 * Times that fall on one instant are one tick. Debian's cron is close to this, but drops the gap's
 * ticks in the second case too, and takes a jump of over three hours for a correction.
 *
 * Order: cron_next_ms() is a pure function; its answers, each fed into the next call, only grow.
 */
#ifndef SERVICE_SCHEDULE_CRON_H
#define SERVICE_SCHEDULE_CRON_H

#include "service/base/arena.h"
#include "service/base/base.h"

struct zone;

/* A plain value, filled by cron_parse(). Bit n: the value n is in the field. */
struct cron {
    uint64_t minutes;
    uint32_t hours;
    uint32_t days; /* From bit 1. */
    uint32_t months; /* From bit 1. */
    uint32_t weekdays; /* Bit 0: Sunday. */
    bool minutes_open;
    bool hours_open;
    bool either_day; /* Both day fields are restricted. */
};

enum {
    CRON_BYTES_MAX = 256,
    /* Longer than the rarest date takes: a February 29 on a Sunday, across a year like 2100. */
    CRON_YEARS_MAX = 40,
};

/* INVALID_ARGUMENT: `why` names the field, what is wrong and where: "minute: 60 is not in 0-59
 * (character 1)". */
status cron_parse(str text, struct arena *arena, struct cron *ret);
/* The first tick after after_ms, never at it. 0: none within CRON_YEARS_MAX (February 30), or
 * none before the year 10000. */
uint64_t cron_next_ms(const struct cron *cron, const struct zone *zone, uint64_t after_ms);

#endif
