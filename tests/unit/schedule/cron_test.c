/*
 * Goal:   expressions mean what crontab(5) and cron.h say, and refusals name field and place.
 * Method: tables of known answers. Ticks are given in UTC, worked out by hand from the days on
 *         which the clocks of the place were changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "service/schedule/cron.h"
#include "service/schedule/zone.h"
#include "tests/unit/schedule/zone_file.h"

#define ZONES "/usr/share/zoneinfo"

enum {
    TICKS_MAX = 6,
};

struct ticks_row {
    const char *zone;
    const char *text;
    const char *after; /* UTC, as the ticks are. */
    const char *ticks[TICKS_MAX];
};

static const struct ticks_row plain_rows[] = {
    {"UTC", "* * * * *", "1970-01-01 00:00", {"1970-01-01 00:01", "1970-01-01 00:02"}},
    {"UTC", "*/20 * * * *", "2024-05-01 10:30", {"2024-05-01 10:40", "2024-05-01 11:00"}},
    {"UTC", "*/25 * * * *", "2024-05-01 10:30", {"2024-05-01 10:50", "2024-05-01 11:00"}},
    {"UTC", "5-59/20 3 * * *", "2024-05-01 03:10", {"2024-05-01 03:25", "2024-05-01 03:45"}},
    {"UTC", "59 23 31 12 *", "2024-05-01 00:00", {"2024-12-31 23:59", "2025-12-31 23:59"}},
    {"UTC", "@hourly", "2024-12-31 22:59", {"2024-12-31 23:00", "2025-01-01 00:00"}},
    {"UTC", "@daily", "2024-02-28 00:00", {"2024-02-29 00:00", "2024-03-01 00:00"}},
    {"UTC", "@midnight", "2023-02-28 00:00", {"2023-03-01 00:00"}},
    {"UTC", "@weekly", "2024-05-01 00:00", {"2024-05-05 00:00", "2024-05-12 00:00"}},
    {"UTC", "@monthly", "2024-01-31 12:00", {"2024-02-01 00:00", "2024-03-01 00:00"}},
    {"UTC", "@yearly", "2024-01-01 00:00", {"2025-01-01 00:00", "2026-01-01 00:00"}},
    {"UTC", "@annually", "2024-05-01 00:00", {"2025-01-01 00:00"}},
    {"UTC", "0 0 31 * *", "2024-01-31 00:00", {"2024-03-31 00:00", "2024-05-31 00:00"}},
    {"UTC", "0 0 29 2 *", "2024-02-29 00:00", {"2028-02-29 00:00", "2032-02-29 00:00"}},
    {"UTC", "0 0 29 2 *", "2096-02-29 00:00", {"2104-02-29 00:00"}},
    {"UTC", "0 0 29 2 */7", "2088-02-29 00:00", {"2128-02-29 00:00"}},
    {"UTC", "0 0 * * 7", "2024-05-01 00:00", {"2024-05-05 00:00"}},
    {"UTC", "0 0 * * 0", "2024-05-01 00:00", {"2024-05-05 00:00"}},
    {"UTC", "0 9 * * sat-Sun", "2024-05-01 00:00", {"2024-05-04 09:00", "2024-05-05 09:00"}},
    {"UTC", "0 9 1 jan,JUL *", "2024-01-02 00:00", {"2024-07-01 09:00", "2025-01-01 09:00"}},
    /* Both days restricted: either will do. */
    {"UTC",
     "0 0 13 * FRI",
     "2024-09-10 00:00",
     {"2024-09-13 00:00", "2024-09-20 00:00", "2024-09-27 00:00", "2024-10-04 00:00",
      "2024-10-11 00:00", "2024-10-13 00:00"}},
    /* A field that begins with a star is not a restriction: both must fit. */
    {"UTC", "0 0 */2 * MON", "2024-09-01 00:00", {"2024-09-09 00:00", "2024-09-23 00:00"}},
    {"UTC", "0 0 1-7 * */7", "2024-08-31 00:00", {"2024-09-01 00:00", "2024-10-06 00:00"}},
    {"Asia/Kolkata", "30 9 * * 1-5", "2024-01-05 04:00", {"2024-01-08 04:00"}},
    {"Asia/Kolkata", "0 0 29 2 *", "2024-02-28 18:30", {"2028-02-28 18:30"}},
};

/* 2024: Berlin jumps from 02:00 to 03:00 on March 31 and back from 03:00 on October 27, both at
 * 01:00 UTC. New York on March 10 (07:00 UTC) and November 3 (06:00 UTC). Lord Howe goes from
 * 02:00 back to 01:30 at 15:00 UTC of April 6, and from 02:00 to 02:30 at 15:30 UTC of October 5.
 * Apia left out December 30, 2011, at 10:00 UTC. Sao Paulo jumped at midnight. */
static const struct ticks_row change_rows[] = {
    /* Missing times, hour and minute named. */
    {"Europe/Berlin",
     "30 2 * * *",
     "2024-03-30 00:00",
     {"2024-03-30 01:30", "2024-03-31 01:00", "2024-04-01 00:30"}},
    {"Europe/Berlin",
     "0,30 2 * * *",
     "2024-03-30 01:15",
     {"2024-03-30 01:30", "2024-03-31 01:00", "2024-04-01 00:00"}},
    {"Europe/Berlin",
     "30 2,3 * * *",
     "2024-03-30 12:00",
     {"2024-03-31 01:00", "2024-03-31 01:30", "2024-04-01 00:30"}},
    {"Europe/Berlin", "0 2,3 * * *", "2024-03-30 12:00", {"2024-03-31 01:00", "2024-04-01 00:00"}},
    {"Europe/Berlin", "30 2 31 3 *", "2023-12-31 00:00", {"2024-03-31 01:00", "2025-03-31 00:30"}},
    {"America/New_York",
     "15 2 * * SUN",
     "2024-03-09 00:00",
     {"2024-03-10 07:00", "2024-03-17 06:15"}},
    {"Australia/Lord_Howe",
     "15 2 * * *",
     "2024-10-05 00:00",
     {"2024-10-05 15:30", "2024-10-06 15:15"}},
    {"America/Sao_Paulo", "@daily", "2018-11-03 12:00", {"2018-11-04 03:00", "2018-11-05 02:00"}},
    /* Missing times, minute open. */
    {"Europe/Berlin", "*/30 2 * * *", "2024-03-30 12:00", {"2024-03-31 01:00", "2024-04-01 00:00"}},
    /* Missing times, hour open. */
    {"Europe/Berlin",
     "30 * * * *",
     "2024-03-31 00:00",
     {"2024-03-31 00:30", "2024-03-31 01:30", "2024-03-31 02:30"}},
    {"Europe/Berlin", "30 */2 * * *", "2024-03-30 23:00", {"2024-03-30 23:30", "2024-03-31 02:30"}},
    {"Europe/Berlin", "5 0-23 * * *", "2024-03-31 00:10", {"2024-03-31 01:05"}},
    {"Australia/Lord_Howe",
     "0 * * * *",
     "2024-10-05 14:00",
     {"2024-10-05 14:30", "2024-10-05 16:00"}},
    /* Times shown twice. */
    {"Europe/Berlin", "30 2 * * *", "2024-10-26 12:00", {"2024-10-27 00:30", "2024-10-28 01:30"}},
    {"Europe/Berlin", "30 2 * * *", "2024-10-27 01:00", {"2024-10-28 01:30"}},
    {"Europe/Berlin", "0 3 * * *", "2024-10-26 12:00", {"2024-10-27 02:00", "2024-10-28 02:00"}},
    {"America/New_York",
     "30 1 * * *",
     "2024-11-03 00:00",
     {"2024-11-03 05:30", "2024-11-04 06:30"}},
    {"Australia/Lord_Howe",
     "45 1 * * *",
     "2024-04-06 00:00",
     {"2024-04-06 14:45", "2024-04-07 15:15"}},
    {"Europe/Berlin",
     "*/30 2 * * *",
     "2024-10-26 12:00",
     {"2024-10-27 00:00", "2024-10-27 00:30", "2024-10-27 01:00", "2024-10-27 01:30",
      "2024-10-28 01:00"}},
    {"Europe/Berlin",
     "30 * * * *",
     "2024-10-26 23:00",
     {"2024-10-26 23:30", "2024-10-27 00:30", "2024-10-27 01:30", "2024-10-27 02:30"}},
    {"Australia/Lord_Howe",
     "*/15 * * * *",
     "2024-04-06 14:20",
     {"2024-04-06 14:30", "2024-04-06 14:45", "2024-04-06 15:00", "2024-04-06 15:15",
      "2024-04-06 15:30"}},
    /* A day that was never there. */
    {"Pacific/Apia",
     "0 12 * * *",
     "2011-12-29 00:00",
     {"2011-12-29 22:00", "2011-12-30 10:00", "2011-12-30 22:00", "2011-12-31 22:00"}},
    {"Pacific/Apia", "0 0 * * FRI", "2011-12-24 00:00", {"2011-12-30 10:00", "2012-01-05 10:00"}},
    {"Pacific/Apia", "0 0 31 12 *", "2011-12-24 00:00", {"2011-12-30 10:00", "2012-12-30 10:00"}},
    {"Pacific/Apia",
     "0 * * * *",
     "2011-12-30 08:30",
     {"2011-12-30 09:00", "2011-12-30 10:00", "2011-12-30 11:00"}},
};

static uint64_t utc_ms(const char *text)
{
    struct tm date = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &date));
    return (uint64_t)timegm(&date) * 1000;
}

static struct cron parsed(const char *text, struct arena *arena)
{
    struct cron cron;
    status outcome = cron_parse(str_of(text), arena, &cron);
    if (!status_is_ok(outcome)) {
        fail_msg("%s: %s", text, outcome.why);
    }
    return cron;
}

static const struct zone *opened(const char *name, struct arena *arena)
{
    struct zone *zone = NULL;
    status outcome = zone_open(ZONES, str_of(name), arena, &zone);
    if (!status_is_ok(outcome)) {
        fail_msg("%s (the package tzdata is needed)", outcome.why);
    }
    return zone;
}

static void check_ticks(const struct ticks_row *rows, size_t count)
{
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < count; i++) {
        const struct ticks_row *row = &rows[i];
        struct cron cron = parsed(row->text, &arena);
        const struct zone *zone = opened(row->zone, &arena);
        uint64_t at = utc_ms(row->after);
        for (size_t k = 0; k < TICKS_MAX && row->ticks[k] != NULL; k++) {
            at = cron_next_ms(&cron, zone, at);
            if (at != utc_ms(row->ticks[k])) {
                fail_msg("%s in %s: tick %zu is at %llu s, not at %s", row->text, row->zone, k,
                         (unsigned long long)at / 1000, row->ticks[k]);
            }
        }
    }
    arena_fini(&arena);
}

static void ticks_without_changes_of_clocks(void **state)
{
    (void)state;
    check_ticks(plain_rows, COUNT_OF(plain_rows));
}

static void ticks_where_clocks_change(void **state)
{
    (void)state;
    check_ticks(change_rows, COUNT_OF(change_rows));
}

/* At 03:00 of April 11 the clock goes back to 01:00; half an hour later it goes on to 03:30. */
static void two_changes_may_share_a_night(void **state)
{
    static const struct {
        const char *text;
        const char *first;
        const char *second;
    } rows[] = {
        {"15 1 * * *", "2023-04-11 04:15", "2023-04-12 04:15"},
        {"15 2 * * *", "2023-04-11 05:15", "2023-04-12 05:15"},
        {"15 3 * * *", "2023-04-11 06:30", "2023-04-12 06:15"},
        {"*/15 2 * * *", "2023-04-11 05:00", "2023-04-11 05:15"},
        {"15-59/15 3 * * *", "2023-04-11 06:30", "2023-04-11 06:45"},
        {"50-59/5 2 * * *", "2023-04-11 05:50", "2023-04-11 05:55"},
    };
    struct buf bytes = {0};
    struct arena arena;
    struct zone *zone;
    (void)state;
    arena_init(&arena, 0);
    zone_file_rule(&bytes, "AAA3BBB5,100/3,100/1:30");
    assert_true(status_is_ok(zone_parse(buf_str(&bytes), &arena, &zone)));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct cron cron = parsed(rows[i].text, &arena);
        uint64_t first = cron_next_ms(&cron, zone, utc_ms("2023-04-10 12:00"));
        assert_int_equal(first, utc_ms(rows[i].first));
        assert_int_equal(cron_next_ms(&cron, zone, first), utc_ms(rows[i].second));
    }
    struct cron late = parsed("50-59/5 2 * * *", &arena);
    assert_int_equal(cron_next_ms(&late, zone, utc_ms("2023-04-11 05:55")),
                     utc_ms("2023-04-12 05:50"));
    buf_fini(&bytes);
    arena_fini(&arena);
}

static void a_tick_is_strictly_after(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    struct cron cron = parsed("* * * * *", &arena);
    const struct zone *utc = opened("UTC", &arena);
    assert_int_equal(cron_next_ms(&cron, utc, 59999), 60000);
    assert_int_equal(cron_next_ms(&cron, utc, 60000), 120000);
    assert_int_equal(cron_next_ms(&cron, utc, 60001), 120000);
    arena_fini(&arena);
}

static void what_never_comes_is_0(void **state)
{
    static const char *const never[] = {"0 0 30 2 *", "0 0 31 4,6,9,11 *", "* * 30-31 FEB *"};
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    const struct zone *berlin = opened("Europe/Berlin", &arena);
    for (size_t i = 0; i < COUNT_OF(never); i++) {
        struct cron cron = parsed(never[i], &arena);
        assert_int_equal(cron_next_ms(&cron, berlin, utc_ms("2024-01-01 00:00")), 0);
    }
    struct cron cron = parsed("* * * * *", &arena);
    assert_int_equal(cron_next_ms(&cron, berlin, utc_ms("9999-12-31 23:58")),
                     utc_ms("9999-12-31 23:59"));
    assert_int_equal(cron_next_ms(&cron, berlin, utc_ms("9999-12-31 23:59")), 0);
    assert_int_equal(cron_next_ms(&cron, berlin, UINT64_MAX), 0);
    arena_fini(&arena);
}

static void fields_are_sets(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    struct cron cron = parsed(" 0,30-34/2,59\t*/12  01 dec 5-7 ", &arena);
    assert_true(cron.minutes == (1ull | 1ull << 30 | 1ull << 32 | 1ull << 34 | 1ull << 59));
    assert_int_equal(cron.hours, 1 | 1 << 12);
    assert_int_equal(cron.days, 1 << 1);
    assert_int_equal(cron.months, 1 << 12);
    assert_int_equal(cron.weekdays, 1 | 1 << 5 | 1 << 6);
    assert_true(cron.minutes_open && cron.hours_open && cron.either_day);
    cron = parsed("0-58 1 * * MON-SUN", &arena);
    assert_false(cron.minutes_open || cron.hours_open || cron.either_day);
    assert_int_equal(cron.weekdays, 0x7f);
    cron = parsed("0-59 0-23 *,1 * 1", &arena);
    assert_true(cron.minutes_open && cron.hours_open && !cron.either_day);
    cron = parsed("*/60 */24 1,* * SUN", &arena);
    assert_true(cron.minutes == 1 && cron.hours == 1 && cron.either_day);
    arena_fini(&arena);
}

static const struct {
    const char *text;
    const char *why;
} refusals[] = {
    {"60 * * * *", "minute: 60 is not in 0-59 (character 1)"},
    {"0 24 * * *", "hour: 24 is not in 0-23 (character 3)"},
    {"0 0 0 * *", "day-of-month: 0 is not in 1-31 (character 5)"},
    {"0 0 1,32 * *", "day-of-month: 32 is not in 1-31 (character 7)"},
    {"0 0 1 13 *", "month: 13 is not in 1-12 (character 7)"},
    {"0 0 1 0 *", "month: 0 is not in 1-12 (character 7)"},
    {"  0  0  *  *  8", "day-of-week: 8 is not in 0-7 (character 15)"},
    {"4294967296 * * * *", "minute: 4294967296 is not in 0-59 (character 1)"},
    {"* * * JUNE *", "month: \"JUNE\" is not a name; use JAN to DEC (character 7)"},
    {"* * * * MON,XYZ", "day-of-week: \"XYZ\" is not a name; use SUN to SAT (character 13)"},
    {"JAN * * * *", "minute: unexpected \"J\" (character 1)"},
    {"0 22-6 * * *",
     "hour: the range 22-6 runs backwards; write two ranges with a comma (character 3)"},
    {"0 0 * * FRI-MON",
     "day-of-week: the range FRI-MON runs backwards; write two ranges with a comma (character 9)"},
    {"5/15 * * * *",
     "minute: a step needs a star or a range before it, such as 0-59/2 (character 2)"},
    {"*/0 * * * *", "minute: step 0 is not in 1-60 (character 3)"},
    {"*/61 * * * *", "minute: step 61 is not in 1-60 (character 3)"},
    {"* * * * */8", "day-of-week: step 8 is not in 1-7 (character 11)"},
    {"*/ * * * *", "minute: a value is missing (character 3)"},
    {"1- * * * *", "minute: a value is missing (character 3)"},
    {"1, * * * *", "minute: a value is missing (character 3)"},
    {",1 * * * *", "minute: unexpected \",\" (character 1)"},
    {"1-5-9 * * * *", "minute: unexpected \"-\" (character 4)"},
    {"-1 * * * *", "minute: unexpected \"-\" (character 1)"},
    {"*5 * * * *", "minute: unexpected \"5\" (character 2)"},
    {"* * L * *", "day-of-month: unexpected \"L\" (character 5)"},
    {"* * ? * *", "day-of-month: unexpected \"?\" (character 5)"},
    {"* * * * 5#2", "day-of-week: unexpected \"#\" (character 10)"},
    {"* *\n* * * *", "hour: unexpected byte 0x0a (character 4)"},
    {"\xc3\xa4 * * * *", "minute: unexpected byte 0xc3 (character 1)"},
    {"* * * *", "cron: 4 fields instead of 5: minute hour day-of-month month day-of-week"},
    {"9", "cron: 1 field instead of 5: minute hour day-of-month month day-of-week"},
    {"0 0 9 * * *", "cron: 6 fields instead of 5: minute hour day-of-month month day-of-week"},
    {"", "cron: it is empty; use five fields such as \"0 9 * * MON-FRI\""},
    {" \t ", "cron: it is empty; use five fields such as \"0 9 * * MON-FRI\""},
    {"@reboot", "cron: this name is not known; use @hourly, @daily, @weekly, @monthly, @yearly or "
                "five fields"},
};

static void refusals_name_field_and_place(void **state)
{
    struct arena arena;
    struct cron cron;
    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        status outcome = cron_parse(str_of(refusals[i].text), &arena, &cron);
        assert_int_equal(outcome.code, CODE_INVALID_ARGUMENT);
        assert_string_equal(outcome.why, refusals[i].why);
    }
    char text[300];
    memset(text, ' ', sizeof(text));
    memcpy(text, "* * * * *", 9);
    assert_true(status_is_ok(cron_parse(str_make(text, CRON_BYTES_MAX), &arena, &cron)));
    status outcome = cron_parse(str_make(text, CRON_BYTES_MAX + 1), &arena, &cron);
    assert_int_equal(outcome.code, CODE_INVALID_ARGUMENT);
    outcome = cron_parse(str_make("* *\0* * * *", 11), &arena, &cron);
    assert_string_equal(outcome.why, "hour: unexpected byte 0x00 (character 4)");
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_without_changes_of_clocks),
        cmocka_unit_test(ticks_where_clocks_change),
        cmocka_unit_test(two_changes_may_share_a_night),
        cmocka_unit_test(a_tick_is_strictly_after),
        cmocka_unit_test(what_never_comes_is_0),
        cmocka_unit_test(fields_are_sets),
        cmocka_unit_test(refusals_name_field_and_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
