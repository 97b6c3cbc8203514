#include "service/schedule/zone_rule.h"

#include "service/schedule/calendar.h"

enum {
    HOUR_S = 3600,
    OFFSET_HOURS_MAX = 24,
    CHANGE_HOURS_MAX = 167, /* Version 3 of the format: up to a week. */
};

static bool take_char(str *text, char wanted)
{
    if (text->len == 0 || text->ptr[0] != wanted) {
        return false;
    }
    *text = str_make(text->ptr + 1, text->len - 1);
    return true;
}

static bool take_number(str *text, int min, int max, int *ret)
{
    assert(min <= max && max <= 999);
    size_t digits = 0;
    int value = 0;
    while (digits < text->len && text->ptr[digits] >= '0' && text->ptr[digits] <= '9') {
        value = value * 10 + (text->ptr[digits] - '0');
        if (++digits > 3) {
            return false;
        }
    }
    if (digits == 0 || value < min || value > max) {
        return false;
    }
    *text = str_make(text->ptr + digits, text->len - digits);
    *ret = value;
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* At least three letters, or <anything>. Names mean nothing to us. */
static bool take_name(str *text)
{
    size_t len = 0;
    bool quoted = take_char(text, '<');
    while (len < text->len && (quoted ? text->ptr[len] != '>' : is_letter(text->ptr[len]))) {
        len++;
    }
    *text = str_make(text->ptr + len, text->len - len);
    return len >= 3 && (!quoted || take_char(text, '>'));
}

/* [+-]hours[:minutes[:seconds]] */
static bool take_time(str *text, int hours_max, int32_t *ret)
{
    bool negative = take_char(text, '-');
    int hours = 0;
    int minutes = 0;
    int seconds = 0;
    if (!negative) {
        (void)take_char(text, '+');
    }
    if (!take_number(text, 0, hours_max, &hours)) {
        return false;
    }
    if (take_char(text, ':') && !take_number(text, 0, 59, &minutes)) {
        return false;
    }
    if (take_char(text, ':') && !take_number(text, 0, 59, &seconds)) {
        return false;
    }
    int32_t value = hours * HOUR_S + minutes * 60 + seconds;
    *ret = negative ? -value : value;
    return true;
}

static bool take_day(str *text, struct zone_change *ret)
{
    if (take_char(text, 'J')) {
        ret->kind = ZONE_DAY_OF_365;
        return take_number(text, 1, 365, &ret->day);
    }
    if (take_char(text, 'M')) {
        ret->kind = ZONE_DAY_OF_MONTH;
        return take_number(text, 1, 12, &ret->month) && take_char(text, '.') &&
               take_number(text, 1, 5, &ret->week) && take_char(text, '.') &&
               take_number(text, 0, 6, &ret->weekday);
    }
    ret->kind = ZONE_DAY_OF_366;
    return take_number(text, 0, 365, &ret->day);
}

static bool take_change(str *text, struct zone_change *ret)
{
    *ret = (struct zone_change){.time_s = 2 * HOUR_S};
    if (!take_char(text, ',') || !take_day(text, ret)) {
        return false;
    }
    return !take_char(text, '/') || take_time(text, CHANGE_HOURS_MAX, &ret->time_s);
}

bool zone_rule_parse(str text, struct zone_rule *ret)
{
    struct zone_rule rule = {0};
    int32_t west = 0;
    if (!take_name(&text) || !take_time(&text, OFFSET_HOURS_MAX, &west)) {
        return false;
    }
    rule.standard_s = -west;
    if (text.len > 0) {
        rule.has_summer = true;
        west -= HOUR_S;
        if (!take_name(&text)) {
            return false;
        }
        if (text.len > 0 && text.ptr[0] != ',' && !take_time(&text, OFFSET_HOURS_MAX, &west)) {
            return false;
        }
        rule.summer_s = -west;
        if (!take_change(&text, &rule.begin) || !take_change(&text, &rule.end) || text.len > 0) {
            return false;
        }
    }
    *ret = rule;
    return true;
}

static int64_t day_of_month_change(const struct zone_change *change, int64_t year)
{
    int64_t first = calendar_day(year, change->month, 1);
    int ahead = (change->weekday - calendar_date(first).weekday + 7) % 7;
    assert(ahead >= 0 && ahead < 7);
    int day = ahead + (change->week - 1) * 7;
    assert(change->week >= 1 && change->week <= 5);
    if (day >= calendar_month_days(year, change->month)) {
        day -= 7;
    }
    assert(day >= 0 && day < calendar_month_days(year, change->month));
    return first + day;
}

static int64_t day_of_change(const struct zone_change *change, int64_t year)
{
    int64_t january = calendar_day(year, 1, 1);
    switch (change->kind) {
    case ZONE_DAY_OF_365: {
        bool has_leap_day = calendar_month_days(year, 2) == 29;
        return january + change->day - 1 + (has_leap_day && change->day >= 60);
    }
    case ZONE_DAY_OF_366:
        return january + change->day;
    case ZONE_DAY_OF_MONTH:
        return day_of_month_change(change, year);
    }
    assert(false);
    return january;
}

static int64_t change_utc(const struct zone_change *change, int64_t year, int32_t before_s)
{
    return day_of_change(change, year) * DAY_SECONDS + change->time_s - before_s;
}

/* One more change: is it the last before utc_s, or the first after it? */
static void narrow(struct zone_span *span, int64_t utc_s, int64_t change_s, int32_t offset_s)
{
    if (change_s > utc_s) {
        span->end_s = change_s < span->end_s ? change_s : span->end_s;
    } else if (change_s >= span->start_s) {
        span->start_s = change_s;
        span->offset_s = offset_s;
    }
}

struct zone_span zone_rule_span(const struct zone_rule *rule, int64_t utc_s)
{
    struct zone_span span = {INT64_MIN, INT64_MAX, rule->standard_s};
    if (!rule->has_summer) {
        return span;
    }
    /* A change may be a week outside of its year. Where a summer ends as the next begins (all
     * year round), the later year is looked at later and wins. */
    int64_t year = calendar_date(calendar_floor(utc_s, DAY_SECONDS)).year;
    for (int64_t near = year - 2; near <= year + 2; near++) {
        narrow(&span, utc_s, change_utc(&rule->begin, near, rule->standard_s), rule->summer_s);
        narrow(&span, utc_s, change_utc(&rule->end, near, rule->summer_s), rule->standard_s);
    }
    assert(span.start_s <= utc_s && utc_s < span.end_s);
    return span;
}
