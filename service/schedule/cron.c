#include "service/schedule/cron.h"

#include "service/schedule/calendar.h"
#include "service/schedule/zone.h"

enum {
    MINUTE_S = 60,
    MS = 1000,
};
#define NEVER INT64_MAX
#define HORIZON_S ((int64_t)CRON_YEARS_MAX * 366 * DAY_SECONDS)
#define YEAR_10000_S ((int64_t)253402300800)
/* No two clocks are further apart. */
#define LOOK_BACK_S (2 * (int64_t)ZONE_OFFSET_S_MAX)

static unsigned lowest(uint64_t bits)
{
    assert(bits != 0);
    return (unsigned)__builtin_ctzll(bits);
}

static bool day_fits(const struct cron *cron, const struct date *date)
{
    bool of_month = cron->days >> date->day & 1;
    bool of_week = cron->weekdays >> date->weekday & 1;
    return cron->either_day ? of_month || of_week : of_month && of_week;
}

/* The first minute of a day that fits, from of_day on; DAY_MINUTES if there is none. */
static int64_t fitting_minute(const struct cron *cron, int64_t of_day)
{
    int64_t hour = of_day / 60;
    uint64_t minutes = cron->minutes >> (of_day % 60) << (of_day % 60);
    assert(of_day >= 0 && of_day < DAY_MINUTES);
    assert(cron->minutes != 0); /* Or the search for the next hour's first would find none. */
    if ((cron->hours >> hour & 1) && minutes != 0) {
        return hour * 60 + lowest(minutes);
    }
    uint32_t hours = cron->hours >> hour >> 1;
    if (hours == 0) {
        return DAY_MINUTES;
    }
    return (hour + 1 + lowest(hours)) * 60 + lowest(cron->minutes);
}

static int64_t next_month(const struct date *date)
{
    return date->month == 12 ? calendar_day(date->year + 1, 1, 1)
                             : calendar_day(date->year, date->month + 1, 1);
}

/* The first time on the wall that fits, in [from_s, end_s); or NEVER. */
static int64_t fitting_time(const struct cron *cron, int64_t from_s, int64_t end_s)
{
    int64_t minute = -calendar_floor(-from_s, MINUTE_S);
    int64_t day = calendar_floor(minute, DAY_MINUTES);
    int64_t of_day = minute - day * DAY_MINUTES;
    assert(of_day >= 0 && of_day < DAY_MINUTES);
    while (day * DAY_SECONDS < end_s) {
        struct date date = calendar_date(day);
        bool month_fits = cron->months >> date.month & 1;
        if (month_fits && day_fits(cron, &date)) {
            int64_t found = fitting_minute(cron, of_day);
            if (found < DAY_MINUTES) {
                int64_t time_s = day * DAY_SECONDS + found * MINUTE_S;
                assert(time_s >= from_s);
                return time_s < end_s ? time_s : NEVER;
            }
        }
        day = month_fits ? day + 1 : next_month(&date);
        of_day = 0;
    }
    return NEVER;
}

/* The latest that the wall has shown before start_s. */
static int64_t shown_before(const struct zone *zone, int64_t start_s)
{
    int64_t shown_s = INT64_MIN;
    int64_t at = start_s;
    assert(start_s != INT64_MIN);
    while (at > start_s - LOOK_BACK_S) {
        struct zone_span span = zone_span_at(zone, at - 1);
        assert(span.end_s <= start_s); /* So it is no bound that lies for ever ahead. */
        int64_t end_s = span.end_s + span.offset_s;
        shown_s = end_s > shown_s ? end_s : shown_s;
        if (span.start_s == INT64_MIN) {
            break;
        }
        at = span.start_s;
    }
    return shown_s;
}

/* The first tick at from_s or later within the span; or NEVER. */
static int64_t tick_in_span(const struct cron *cron, const struct zone *zone,
                            const struct zone_span *span, int64_t from_s, int64_t limit_s)
{
    bool named = !cron->hours_open && !cron->minutes_open;
    bool has_past = span->start_s != INT64_MIN;
    int64_t shown_s = has_past ? shown_before(zone, span->start_s) : INT64_MIN;
    int64_t at = from_s > span->start_s ? from_s : span->start_s;
    int64_t end_s = span->end_s < limit_s ? span->end_s : limit_s;
    assert(at < end_s);
    if (has_past && at == span->start_s && !cron->hours_open &&
        fitting_time(cron, shown_s, at + span->offset_s) != NEVER) {
        return at;
    }
    int64_t wall_s = at + span->offset_s;
    if (named && wall_s < shown_s) {
        wall_s = shown_s;
    }
    int64_t found = fitting_time(cron, wall_s, end_s + span->offset_s);
    return found == NEVER ? NEVER : found - span->offset_s;
}

uint64_t cron_next_ms(const struct cron *cron, const struct zone *zone, uint64_t after_ms)
{
    assert(cron->minutes != 0 && cron->hours != 0 && cron->months != 0);
    assert(cron->days != 0 && cron->weekdays != 0);
    if (after_ms / MS >= YEAR_10000_S) {
        return 0;
    }
    int64_t from_s = (int64_t)(after_ms / MS) + 1;
    int64_t limit_s = from_s + HORIZON_S < YEAR_10000_S ? from_s + HORIZON_S : YEAR_10000_S;
    for (int64_t at = from_s; at < limit_s;) {
        struct zone_span span = zone_span_at(zone, at);
        int64_t tick_s = tick_in_span(cron, zone, &span, from_s, limit_s);
        if (tick_s != NEVER) {
            assert(tick_s >= from_s);
            return (uint64_t)tick_s * MS;
        }
        assert(span.end_s > at);
        at = span.end_s;
    }
    return 0;
}
