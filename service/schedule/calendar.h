/*
 * calendar: days and dates of the Gregorian calendar, carried on before it began.
 *
 * A day is a number: 0 is 1970-01-01. Pure sums; nothing here knows a zone or a clock.
 */
#ifndef SERVICE_SCHEDULE_CALENDAR_H
#define SERVICE_SCHEDULE_CALENDAR_H

#include "service/base/base.h"

enum {
    DAY_SECONDS = 86400,
    DAY_MINUTES = 1440,
};

struct date {
    int64_t year;
    int month; /* From 1. */
    int day; /* From 1. */
    int weekday; /* 0: Sunday. */
};

/* The date of a day. */
struct date calendar_date(int64_t day);
/* Day 0 or 32 of a month is a day of its neighbour. */
int64_t calendar_day(int64_t year, int month, int day);
/* How many days the month has: 28 to 31. */
int calendar_month_days(int64_t year, int month);

enum {
    CALENDAR_TEXT_BYTES = 32,
};

/* "2026-11-22T09:00:00Z" of a Unix time; with milliseconds where there are any. */
void calendar_text(uint64_t unix_ms, char ret[CALENDAR_TEXT_BYTES]);

/* Rounds down, also below 0. */
static inline int64_t calendar_floor(int64_t value, int64_t unit)
{
    assert(unit > 0);
    return value / unit - (value % unit < 0);
}

#endif
