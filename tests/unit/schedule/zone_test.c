/*
 * Goal:   a zone says what the C library says, for every zone of the machine; and no name and no
 *         file, however wrong, gets further than a sentence.
 * Method: the C library's localtime_r() is the oracle, around each change and in between. Files
 *         that no machine has are written here; true ones are cut and bent.
 */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/base/buf.h"
#include "service/schedule/calendar.h"
#include "service/schedule/zone.h"
#include "tests/unit/schedule/zone_file.h"

#define ZONES "/usr/share/zoneinfo"
#define YEAR_1850_S (-3786912000)
#define YEAR_2200_S 7258118400

/* nftw() passes nothing on. */
static char refused_zone[256];
static int zones_checked;

static void oracle_use(const char *zone)
{
    assert_int_equal(setenv("TZ", zone, 1), 0);
    tzset();
}

static int32_t oracle_offset(int64_t utc_s)
{
    time_t at = utc_s;
    struct tm date;
    assert_non_null(localtime_r(&at, &date));
    return (int32_t)date.tm_gmtoff;
}

static void check_at(const struct zone *zone, const char *name, int64_t utc_s)
{
    int32_t expected = oracle_offset(utc_s);
    int32_t actual = zone_offset_at(zone, utc_s);
    if (actual != expected) {
        fail_msg("%s at %lld: %d instead of %d", name, (long long)utc_s, actual, expected);
    }
}

/* Each instant is among those of what the wall shows then. */
static void check_instants(const struct zone *zone, const char *name, int64_t utc_s)
{
    int64_t instants[ZONE_INSTANTS_MAX];
    size_t count = zone_instants(zone, utc_s + zone_offset_at(zone, utc_s), instants);
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        found = found || instants[i] == utc_s;
    }
    if (!found) {
        fail_msg("%s: what the wall shows at %lld has no such instant", name, (long long)utc_s);
    }
}

static void check_zone(const struct zone *zone, const char *name, int64_t from_s)
{
    oracle_use(name);
    for (int64_t at = from_s; at < YEAR_2200_S;) {
        struct zone_span span = zone_span_at(zone, at);
        check_at(zone, name, at);
        check_instants(zone, name, at);
        if (span.end_s > YEAR_2200_S) {
            break;
        }
        check_at(zone, name, at + (span.end_s - at) / 2);
        check_at(zone, name, span.end_s - 1);
        check_instants(zone, name, span.end_s - 1);
        at = span.end_s;
    }
    check_at(zone, name, YEAR_2200_S);
    zones_checked++;
}

static int check_file(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    const char *name = path + strlen(ZONES "/");
    struct arena arena;
    struct zone *zone;
    (void)facts;
    (void)place;
    if (kind != FTW_F || strchr(name, '.') != NULL ||
        str_starts_with(str_of(name), STR("right/"))) {
        return 0;
    }
    arena_init(&arena, 0);
    status outcome = zone_open(ZONES, str_of(name), &arena, &zone);
    if (status_is_ok(outcome)) {
        check_zone(zone, name, YEAR_1850_S);
    } else if (strstr(outcome.why, "not a time zone file") == NULL &&
               !str_is(str_of(name), "localtime")) {
        snprintf(refused_zone, sizeof(refused_zone), "%s", name);
    }
    arena_fini(&arena);
    return 0;
}

static void all_zones_are_as_the_c_library_has_them(void **state)
{
    (void)state;
    zones_checked = 0;
    assert_int_equal(nftw(ZONES, check_file, 16, 0), 0);
    assert_string_equal(refused_zone, "");
    assert_in_range(zones_checked, 300, 3000);
}

static status parse_rule(const char *rule, struct arena *arena, struct zone **ret)
{
    struct buf bytes = {0};
    zone_file_rule(&bytes, rule);
    status outcome = zone_parse(buf_str(&bytes), arena, ret);
    buf_fini(&bytes);
    return outcome;
}

static void rules_are_as_the_c_library_has_them(void **state)
{
    static const char *const rules[] = {
        "UTC0",
        "IST-5:30",
        "<+0545>-5:45",
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "EST5EDT,M3.2.0,M11.1.0",
        "EST5EDT4,M3.2.0/2:30:15,M11.1.0/+1",
        "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
        "IST-1GMT0,M10.5.0,M3.5.0/1",
        "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
        "EET-2EEST,M3.4.4/50,M10.4.4/50",
        "AAA3BBB,J60/0,J300/5",
        "AAA3BBB,59/0,299/5",
        "AAA-3BBB,M2.5.3,M12.5.6/26",
    };
    struct arena arena;
    struct zone *zone;
    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        assert_true(status_is_ok(parse_rule(rules[i], &arena, &zone)));
        check_zone(zone, rules[i], 0);
    }
    arena_fini(&arena);
}

static void summer_may_last_all_year(void **state)
{
    struct arena arena;
    struct zone *zone;
    (void)state;
    arena_init(&arena, 0);
    assert_true(status_is_ok(parse_rule("EST5EDT,0/0,J365/25", &arena, &zone)));
    for (int64_t day = 0; day < 40000; day++) {
        assert_int_equal(zone_offset_at(zone, day * DAY_SECONDS + 5 * 3600), -4 * 3600);
        assert_int_equal(zone_offset_at(zone, day * DAY_SECONDS + 5 * 3600 - 1), -4 * 3600);
    }
    arena_fini(&arena);
}

static void bad_rules_are_refused(void **state)
{
    static const char *const rules[] = {
        "CET",
        "CE-1",
        "-1",
        "CET-1CEST",
        "CET-1CEST,M3.5.0",
        "CET-25",
        "CET-1:60",
        "CET-1 ",
        "CET-1CEST,M3.5.0,",
        "CET-1CEST,M3.5.0,M13.1.0",
        "<CET-1",
        "CET-1,M3.5.0",
        "CET-0001",
        "CET-1CEST,J0,J365",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,0,366",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,M3.5.0/168,M10.5.0",
        "CET-1CEST,M3.5.0,M10.5.0/3x",
    };
    struct arena arena;
    struct zone *zone;
    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        status outcome = parse_rule(rules[i], &arena, &zone);
        if (outcome.code != CODE_DATA_LOSS) {
            fail_msg("%s was taken", rules[i]);
        }
        assert_string_equal(outcome.why, "its footer is not a rule");
    }
    arena_fini(&arena);
}

static void version_1_has_32_bits_and_no_rule(void **state)
{
    struct buf bytes = {0};
    struct arena arena;
    struct zone *zone;
    (void)state;
    arena_init(&arena, 0);
    zone_file_header(&bytes, 0, 0, 2, 2);
    zone_file_number(&bytes, (uint32_t)-1000, 4);
    zone_file_number(&bytes, 1000, 4);
    zone_file_number(&bytes, 0x0100, 2);
    zone_file_type(&bytes, -3600);
    zone_file_type(&bytes, 7200);
    zone_file_number(&bytes, 0, 4);
    assert_true(status_is_ok(zone_parse(buf_str(&bytes), &arena, &zone)));
    assert_int_equal(zone_offset_at(zone, -1001), -3600);
    assert_int_equal(zone_offset_at(zone, -1000), 7200);
    assert_int_equal(zone_offset_at(zone, 999), 7200);
    assert_int_equal(zone_offset_at(zone, 1000), -3600);
    assert_int_equal(zone_offset_at(zone, ZONE_TIME_S_MAX), -3600);
    for (size_t len = 0; len < bytes.len; len++) {
        assert_false(status_is_ok(zone_parse(str_make(bytes.ptr, len), &arena, &zone)));
    }
    buf_fini(&bytes);
    arena_fini(&arena);
}

static void check_damage(struct buf *bytes, size_t at, uint8_t value, const char *why)
{
    struct arena arena;
    struct zone *zone;
    char before = bytes->ptr[at];
    arena_init(&arena, 0);
    bytes->ptr[at] = (char)value;
    status outcome = zone_parse(buf_str(bytes), &arena, &zone);
    assert_false(status_is_ok(outcome));
    assert_string_equal(outcome.why, why);
    bytes->ptr[at] = before;
    arena_fini(&arena);
}

static void damaged_files_are_refused(void **state)
{
    struct buf bytes = {0};
    struct arena arena;
    struct zone *zone;
    (void)state;
    arena_init(&arena, 0);
    zone_file_header(&bytes, '2', 0, 0, 1);
    zone_file_type(&bytes, 0);
    zone_file_number(&bytes, 0, 4);
    size_t second = bytes.len;
    zone_file_header(&bytes, '2', 0, 2, 1);
    zone_file_number(&bytes, 1000, 8);
    zone_file_number(&bytes, 2000, 8);
    zone_file_number(&bytes, 0, 2);
    zone_file_type(&bytes, 3600);
    zone_file_number(&bytes, 0, 4);
    buf_put(&bytes, STR("\nCET-1\n"));
    assert_true(status_is_ok(zone_parse(buf_str(&bytes), &arena, &zone)));
    for (size_t len = 0; len < bytes.len; len++) {
        assert_false(status_is_ok(zone_parse(str_make(bytes.ptr, len), &arena, &zone)));
    }
    size_t body = second + 44;
    check_damage(&bytes, 0, 'X', "it is not a time zone file");
    check_damage(&bytes, second, 'X', "it is not a time zone file");
    check_damage(&bytes, second + 32, 0xff, "it is cut short");
    check_damage(&bytes, second + 39, 0, "its header counts no type of local time, or too many");
    check_damage(&bytes, body, 0x7f, "its changes are not in order");
    check_damage(&bytes, body + 16, 1, "a change names a type that is not there");
    check_damage(&bytes, body + 18, 0x7f, "an offset is over 26 hours");
    check_damage(&bytes, body + 18, 0x80, "an offset is over 26 hours");
    check_damage(&bytes, body + 28, 'x', "its footer is missing");
    check_damage(&bytes, bytes.len - 1, 'x', "its footer does not end");
    buf_fini(&bytes);
    arena_fini(&arena);
}

static void names_stay_in_the_folder(void **state)
{
    static const char *const names[] = {
        "",
        "/",
        "/etc/passwd",
        "../zoneinfo/UTC",
        "Europe/../UTC",
        "Europe//Berlin",
        "UTC/",
        "Europe/.",
        ".",
        "..",
        "zone.tab",
        "Europe/Ber lin",
        "U\nTC",
        "localtime",
        "Europe\\Berlin",
        "\xc3\xa4",
        "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    struct arena arena;
    struct zone *zone;
    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        status outcome = zone_open(ZONES, str_of(names[i]), &arena, &zone);
        assert_int_equal(outcome.code, CODE_INVALID_ARGUMENT);
        assert_string_equal(outcome.why, "time zone: this is not the name of one; use a name such "
                                         "as \"Europe/Berlin\" or \"UTC\"");
    }
    assert_int_equal(zone_open(ZONES, str_make("UTC\0x", 5), &arena, &zone).code,
                     CODE_INVALID_ARGUMENT);
    arena_fini(&arena);
}

static void unknown_zones_are_refused(void **state)
{
    struct arena arena;
    struct zone *zone;
    (void)state;
    arena_init(&arena, 0);
    status outcome = zone_open(ZONES, STR("Europe/Berlni"), &arena, &zone);
    assert_int_equal(outcome.code, CODE_INVALID_ARGUMENT);
    assert_string_equal(outcome.why, "time zone: there is no \"Europe/Berlni\"; use a name such as "
                                     "\"Europe/Berlin\" or \"UTC\"");
    assert_int_equal(zone_open(ZONES, STR("Europe"), &arena, &zone).code, CODE_INVALID_ARGUMENT);
    assert_int_equal(zone_open(ZONES, STR("UTC/x"), &arena, &zone).code, CODE_INVALID_ARGUMENT);
    outcome = zone_open("/nowhere", STR("Europe/Berlin"), &arena, &zone);
    assert_int_equal(outcome.code, CODE_FAILED_PRECONDITION);
    assert_string_equal(outcome.why, "time zone: there are no zones in /nowhere; install the "
                                     "package tzdata, or use \"UTC\"");
    assert_true(status_is_ok(zone_open("/nowhere", STR("UTC"), &arena, &zone)));
    assert_int_equal(zone_offset_at(zone, 1700000000), 0);
    arena_fini(&arena);
}

/* What is not a zone in a folder of zones: large, with leap seconds, without magic. */
static void check_planted(const char *folder, str bytes, const char *why)
{
    struct arena arena;
    struct zone *zone;
    arena_init(&arena, 0);
    str path = arena_printf(&arena, "%s/Planted", folder);
    FILE *file = fopen(path.ptr, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
    status outcome = zone_open(folder, STR("Planted"), &arena, &zone);
    assert_int_equal(outcome.code, CODE_INVALID_ARGUMENT);
    if (strstr(outcome.why, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", outcome.why, why);
    }
    assert_int_equal(unlink(path.ptr), 0);
    arena_fini(&arena);
}

static void other_files_are_refused(void **state)
{
    const char *root = getenv("TEST_TMPDIR");
    char folder[512];
    struct buf bytes = {0};
    (void)state;
    snprintf(folder, sizeof(folder), "%s/zonesXXXXXX", root == NULL ? "/tmp" : root);
    assert_non_null(mkdtemp(folder));
    check_planted(folder, STR("#!/bin/sh\n"), "\"Planted\" cannot be used: it is not a time zone");
    zone_file_header(&bytes, 0, 1, 0, 1);
    zone_file_type(&bytes, 0);
    zone_file_number(&bytes, 0, 4);
    zone_file_number(&bytes, 0, 8);
    check_planted(folder, buf_str(&bytes), "it counts leap seconds");
    buf_reserve(&bytes, ZONE_FILE_BYTES_MAX);
    memset(bytes.ptr + bytes.len, 0, ZONE_FILE_BYTES_MAX);
    bytes.len += ZONE_FILE_BYTES_MAX;
    check_planted(folder, buf_str(&bytes), "there is no \"Planted\"");
    assert_int_equal(rmdir(folder), 0);
    buf_fini(&bytes);
}

static size_t berlin_instants(const char *local, int64_t ret[ZONE_INSTANTS_MAX])
{
    struct tm date = {0};
    struct arena arena;
    struct zone *zone;
    arena_init(&arena, 0);
    assert_true(status_is_ok(zone_open(ZONES, STR("Europe/Berlin"), &arena, &zone)));
    assert_non_null(strptime(local, "%Y-%m-%d %H:%M:%S", &date));
    size_t count = zone_instants(zone, timegm(&date), ret);
    arena_fini(&arena);
    return count;
}

static void a_time_on_the_wall_has_0_to_2_instants(void **state)
{
    int64_t at[ZONE_INSTANTS_MAX];
    (void)state;
    assert_int_equal(berlin_instants("2024-03-31 01:59:59", at), 1);
    assert_int_equal(at[0], 1711846799);
    assert_int_equal(berlin_instants("2024-03-31 02:00:00", at), 0);
    assert_int_equal(berlin_instants("2024-03-31 02:59:59", at), 0);
    assert_int_equal(berlin_instants("2024-03-31 03:00:00", at), 1);
    assert_int_equal(at[0], 1711846800);
    assert_int_equal(berlin_instants("2024-10-27 01:59:59", at), 1);
    assert_int_equal(berlin_instants("2024-10-27 02:00:00", at), 2);
    assert_int_equal(at[0], 1729987200);
    assert_int_equal(at[1], 1729990800);
    assert_int_equal(berlin_instants("2024-10-27 02:59:59", at), 2);
    assert_int_equal(berlin_instants("2024-10-27 03:00:00", at), 1);
}

static void dates_are_as_the_c_library_has_them(void **state)
{
    (void)state;
    for (int64_t day = -200000; day <= 400000; day++) {
        time_t at = day * DAY_SECONDS;
        struct tm expected;
        struct date date = calendar_date(day);
        assert_non_null(gmtime_r(&at, &expected));
        if (date.year != expected.tm_year + 1900 || date.month != expected.tm_mon + 1 ||
            date.day != expected.tm_mday || date.weekday != expected.tm_wday ||
            calendar_day(date.year, date.month, date.day) != day) {
            fail_msg("day %lld is %lld-%d-%d, weekday %d", (long long)day, (long long)date.year,
                     date.month, date.day, date.weekday);
        }
    }
    assert_int_equal(calendar_month_days(1900, 2), 28);
    assert_int_equal(calendar_month_days(2000, 2), 29);
    assert_int_equal(calendar_month_days(2023, 12), 31);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_as_the_c_library_has_them),
        cmocka_unit_test(all_zones_are_as_the_c_library_has_them),
        cmocka_unit_test(rules_are_as_the_c_library_has_them),
        cmocka_unit_test(summer_may_last_all_year),
        cmocka_unit_test(bad_rules_are_refused),
        cmocka_unit_test(version_1_has_32_bits_and_no_rule),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(names_stay_in_the_folder),
        cmocka_unit_test(unknown_zones_are_refused),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(a_time_on_the_wall_has_0_to_2_instants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
