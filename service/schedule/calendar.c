#include "service/schedule/calendar.h"

#include <stdio.h>
#include <time.h>

/* Years are counted from March here, so that a leap day is the last day of its year. */
enum {
    ERA_YEARS = 400,
    ERA_DAYS = 146097,
    DAYS_BEFORE_1970 = 719468, /* Since 0000-03-01. */
};

/* Of a year's days before its month: from March, 0 to 11. */
static int days_before_month(int month_of_march)
{
    assert(month_of_march >= 0 && month_of_march < 12);
    return (153 * month_of_march + 2) / 5;
}

struct date calendar_date(int64_t day)
{
    int64_t shifted = day + DAYS_BEFORE_1970;
    int64_t era = calendar_floor(shifted, ERA_DAYS);
    int of_era = (int)(shifted - era * ERA_DAYS);
    int year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int march = (5 * of_year + 2) / 153;
    int month = march < 10 ? march + 3 : march - 9;
    int64_t weeks = calendar_floor(day + 4, 7);
    assert(of_era >= 0 && of_era < ERA_DAYS);
    assert(of_year >= 0 && of_year <= 365);
    assert(month >= 1 && month <= 12);
    assert(weeks * 7 <= day + 4 && day + 4 - weeks * 7 < 7);
    return (struct date){
        .year = era * ERA_YEARS + year_of_era + (month <= 2),
        .month = month,
        .day = of_year - days_before_month(march) + 1,
        .weekday = (int)(day + 4 - weeks * 7),
    };
}

int64_t calendar_day(int64_t year, int month, int day)
{
    int64_t from_march = month <= 2 ? year - 1 : year;
    int64_t era = calendar_floor(from_march, ERA_YEARS);
    int64_t of_era = from_march - era * ERA_YEARS;
    assert(of_era >= 0 && of_era < ERA_YEARS);
    int of_year = days_before_month(month <= 2 ? month + 9 : month - 3) + day - 1;
    assert(month >= 1 && month <= 12);
    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - DAYS_BEFORE_1970;
}

int calendar_month_days(int64_t year, int month)
{
    int64_t first = calendar_day(year, month, 1);
    int64_t next = month == 12 ? calendar_day(year + 1, 1, 1) : calendar_day(year, month + 1, 1);
    assert(next - first >= 28 && next - first <= 31);
    return (int)(next - first);
}

void calendar_text(uint64_t unix_ms, char ret[CALENDAR_TEXT_BYTES])
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm parts;
    size_t len = 0;
    ret[0] = '\0';
    if (gmtime_r(&seconds, &parts) != NULL) {
        len = strftime(ret, CALENDAR_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
    }
    assert(len < CALENDAR_TEXT_BYTES - sizeof(".999Z"));
    unsigned ms = (unsigned)(unix_ms % 1000);
    if (ms != 0) {
        snprintf(ret + len, CALENDAR_TEXT_BYTES - len, ".%03uZ", ms);
        return;
    }
    snprintf(ret + len, CALENDAR_TEXT_BYTES - len, "Z");
}
