/*
 * zone_rule: the POSIX TZ rule at the end of a zone file, for times after its table.
 *
 * "CET-1CEST,M3.5.0,M10.5.0/3": offsets are written the other way round (west is positive), and
 * each change is at a local time of the offset that it ends.
 */
#ifndef SERVICE_SCHEDULE_ZONE_RULE_H
#define SERVICE_SCHEDULE_ZONE_RULE_H

#include "service/schedule/zone.h"

enum zone_day {
    ZONE_DAY_OF_365, /* Jn: 1 to 365, February 29 is never counted. */
    ZONE_DAY_OF_366, /* n: 0 to 365. */
    ZONE_DAY_OF_MONTH, /* Mm.w.d: the w-th weekday d of month m; the fifth is the last. */
};

struct zone_change {
    enum zone_day kind;
    int day;
    int month;
    int week;
    int weekday;
    int32_t time_s; /* After that day's midnight; may be negative or over a day. */
};

struct zone_rule {
    int32_t standard_s;
    int32_t summer_s;
    bool has_summer;
    struct zone_change begin; /* Of summer time. */
    struct zone_change end;
};

/* False: not a rule as RFC 8536 has it. */
bool zone_rule_parse(str text, struct zone_rule *ret);
/* The span around utc_s if the rule had always held. */
struct zone_span zone_rule_span(const struct zone_rule *rule, int64_t utc_s);

#endif
