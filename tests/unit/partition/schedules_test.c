/*
 * Goal:   each tick of a schedule starts one run, whatever happens in between; what was missed is
 *         caught up by one; a run that has not ended is not overtaken.
 * Method: the real runtime with a clock that jumps to the times it asks for, over days when clocks
 *         change, restarts, downtime, commits that fail. Runs say their tick in their input.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "service/base/json.h"
#include "service/schedule/cron.h"
#include "service/schedule/zone.h"
#include "tests/unit/partition/partition.h"

#define MINUTE_MS ((uint64_t)60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

static uint64_t utc_ms(const char *text)
{
    struct tm date = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &date));
    return (uint64_t)timegm(&date) * 1000;
}

static struct partition *begin(const char *time)
{
    struct partition *partition = calloc(1, sizeof(*partition));
    assert_non_null(partition);
    partition_init(partition, utc_ms(time));
    return partition;
}

static void end(struct partition *partition)
{
    partition_fini(partition);
    free(partition);
}

static void advance(struct partition *partition, const char *time)
{
    partition_advance(partition, utc_ms(time));
}

static void restart(struct partition *partition)
{
    partition_stop(partition);
    partition_begin(partition);
}

struct put {
    const char *workflow;
    const char *key;
    const char *cron;
    const char *zone;
    const char *input;
};

/* Its next tick; 0: refused, see partition->failure, whose texts live on in the arena. */
static uint64_t put(struct partition *partition, struct put put)
{
    struct request *request = request_new(REQUEST_PUT_SCHEDULE);
    request->put_schedule.offer = (struct schedule_offer){
        .workflow = str_of(put.workflow == NULL ? "flow" : put.workflow),
        .key = str_of(put.key == NULL ? "global" : put.key),
        .cron = str_of(put.cron),
        .zone = str_of(put.zone == NULL ? "UTC" : put.zone),
        .input = str_of(put.input),
    };
    partition_ask(partition, request);
    struct failure *failure = &partition->failure;
    uint64_t ret = failure->code == CODE_OK ? request->put_schedule.ret_next_ms : 0;
    failure->message = arena_copy(&partition->arena, failure->message);
    failure->field = arena_copy(&partition->arena, failure->field);
    request_free(request);
    return ret;
}

static enum code drop(struct partition *partition, const char *id)
{
    struct request *request = request_new(REQUEST_DELETE_SCHEDULE);
    request->schedules.id = str_of(id);
    partition_ask(partition, request);
    request_free(request);
    return partition->failure.code;
}

/* The caller frees the request. */
static struct request *list(struct partition *partition, const char *workflow, const char *after,
                            size_t limit)
{
    struct request *request = request_new(REQUEST_SCHEDULES);
    request->schedules.workflow = str_of(workflow);
    request->schedules.id = str_of(after);
    request->schedules.limit = limit;
    partition_ask(partition, request);
    assert_int_equal(partition->failure.code, CODE_OK);
    return request;
}

static struct schedule_view only(struct partition *partition)
{
    struct request *request = list(partition, "", "", 10);
    assert_int_equal(request->schedules.ret_count, 1);
    struct schedule_view view = request->schedules.ret[0];
    request_free(request); /* Its numbers live on. */
    return view;
}

/* Takes the first line of what runs were told. False: there is none. */
static bool take_input(struct partition *partition, str *ret)
{
    str all = buf_str(&partition->inputs);
    const char *line_end = all.len == 0 ? NULL : memchr(all.ptr, '\n', all.len);
    if (line_end == NULL) {
        return false;
    }
    size_t len = (size_t)(line_end - all.ptr);
    *ret = arena_copy(&partition->arena, str_make(all.ptr, len));
    memmove(partition->inputs.ptr, line_end + 1, all.len - len - 1);
    partition->inputs.len -= len + 1;
    return true;
}

static void assert_member(str input, const char *name, const char *expected)
{
    str value;
    if (!json_object_get(input, str_of(name), &value) || !str_is(value, expected)) {
        fail_msg("%s is not %s in " STR_FMT, name, expected, STR_ARG(input));
    }
}

/* The ticks of the runs since it was called last, in UTC: "2024-03-29T01:30 ...". */
static void assert_ticks(struct partition *partition, const char *expected)
{
    struct buf ticks = {0};
    str input;
    str value;
    while (take_input(partition, &input)) {
        assert_true(json_object_get(input, STR("timestamp"), &value));
        if (ticks.len > 0) {
            buf_put_char(&ticks, ' ');
        }
        assert_true(value.len == strlen("\"2024-03-29T01:30:00Z\""));
        buf_put(&ticks, str_make(value.ptr + 1, strlen("2024-03-29T01:30")));
    }
    buf_put_char(&ticks, '\0');
    assert_string_equal(ticks.ptr, expected);
    buf_fini(&ticks);
}

static void runs_at_each_tick_and_says_which(void **state)
{
    (void)state;
    struct partition *partition = begin("2024-05-01 10:00");
    uint64_t next_ms = put(partition, (struct put){.cron = "0 */6 * * *", .key = "alice@x"});
    assert_int_equal(next_ms, utc_ms("2024-05-01 12:00"));
    partition_advance(partition, next_ms - 1);
    assert_int_equal(partition->run_count, 0);
    advance(partition, "2024-05-01 18:00");
    str first;
    str second;
    assert_true(take_input(partition, &first) && take_input(partition, &second));
    assert_string_equal(first.ptr, "{\"schedule_id\":\"flow/alice@x\",\"key\":\"alice@x\","
                                   "\"timezone\":\"UTC\",\"timestamp\":\"2024-05-01T12:00:00Z\","
                                   "\"last_timestamp\":null,"
                                   "\"upcoming\":\"2024-05-01T18:00:00Z\"}");
    assert_member(second, "timestamp", "\"2024-05-01T18:00:00Z\"");
    assert_member(second, "last_timestamp", "\"2024-05-01T12:00:00Z\"");
    assert_member(second, "upcoming", "\"2024-05-02T00:00:00Z\"");
    assert_int_equal(partition->run_count, 2);
    struct schedule_view view = only(partition);
    assert_int_equal(view.next_ms, utc_ms("2024-05-02 00:00"));
    assert_int_equal(view.last_ms, utc_ms("2024-05-01 18:00"));
    assert_memory_equal(&view.last_run, &partition->newest, sizeof(uuid));
    assert_int_equal(view.skipped, 0);
    end(partition);
}

static void keeps_to_the_wall_when_clocks_change(void **state)
{
    (void)state;
    struct partition *partition = begin("2024-03-29 12:00");
    put(partition, (struct put){.cron = "30 2 * * *", .zone = "Europe/Berlin"});
    advance(partition, "2024-04-01 12:00"); /* The 31st has no 02:30. */
    assert_ticks(partition, "2024-03-30T01:30 2024-03-31T01:00 2024-04-01T00:30");
    end(partition);
    partition = begin("2024-10-25 12:00");
    put(partition, (struct put){.cron = "30 2 * * *", .zone = "Europe/Berlin"});
    advance(partition, "2024-10-28 12:00"); /* The 27th has two. */
    assert_ticks(partition, "2024-10-26T00:30 2024-10-27T00:30 2024-10-28T01:30");
    end(partition);
}

static void runs_each_hour_that_passes(void **state)
{
    (void)state;
    struct partition *partition = begin("2024-03-30 22:59");
    put(partition, (struct put){.cron = "0 * * * *", .zone = "Europe/Berlin"});
    advance(partition, "2024-03-31 21:59");
    assert_int_equal(partition->run_count, 23);
    end(partition);
    partition = begin("2024-10-26 21:59");
    put(partition, (struct put){.cron = "0 * * * *", .zone = "Europe/Berlin"});
    advance(partition, "2024-10-27 22:59");
    assert_int_equal(partition->run_count, 25);
    end(partition);
}

static void goes_on_after_restarts(void **state)
{
    (void)state;
    struct partition *partition = begin("2024-05-01 09:59");
    put(partition, (struct put){.cron = "*/10 * * * *", .zone = "America/New_York"});
    uint64_t start_ms = partition->now_ms;
    for (uint64_t minute = 0; minute <= 61; minute++) {
        partition_advance(partition, start_ms + minute * MINUTE_MS);
        restart(partition); /* At ticks, too. */
    }
    assert_ticks(partition, "2024-05-01T10:00 2024-05-01T10:10 2024-05-01T10:20 2024-05-01T10:30 "
                            "2024-05-01T10:40 2024-05-01T10:50 2024-05-01T11:00");
    end(partition);
}

static void catches_up_with_one_run(void **state)
{
    (void)state;
    struct partition *partition = begin("2024-05-01 09:59");
    put(partition, (struct put){.cron = "*/10 * * * *"});
    advance(partition, "2024-05-01 10:15");
    assert_ticks(partition, "2024-05-01T10:00 2024-05-01T10:10");
    partition_stop(partition);
    partition->now_ms = utc_ms("2024-06-11 17:37");
    partition_begin(partition);
    partition_advance(partition, partition->now_ms);
    str input;
    assert_true(take_input(partition, &input));
    assert_member(input, "timestamp", "\"2024-06-11T17:30:00Z\"");
    assert_member(input, "last_timestamp", "\"2024-05-01T10:10:00Z\"");
    assert_member(input, "upcoming", "\"2024-06-11T17:40:00Z\"");
    assert_int_equal(partition->run_count, 3);
    restart(partition);
    advance(partition, "2024-06-11 17:50");
    assert_ticks(partition, "2024-06-11T17:40 2024-06-11T17:50");
    end(partition);
}

/* Against a walk from tick to tick. */
static void catches_up_the_latest_tick(void **state)
{
    (void)state;
    static const char *const expressions[] = {
        "* * * * *", "*/7 3-5 * * *", "0 0 1 * *", "15 12 * * SUN", "0 0 29 2 *", "30 2 * * *",
    };
    static const uint64_t downtimes_ms[] = {
        MINUTE_MS, 59 * MINUTE_MS, 5 * HOUR_MS, 8 * DAY_MS, 40 * DAY_MS, 300 * DAY_MS,
    };
    for (size_t i = 0; i < COUNT_OF(expressions) * COUNT_OF(downtimes_ms); i++) {
        const char *text = expressions[i % COUNT_OF(expressions)];
        struct partition *partition = begin("2023-06-24 00:59");
        struct cron cron;
        struct zone *zone;
        assert_true(status_is_ok(cron_parse(str_of(text), &partition->arena, &cron)));
        assert_true(status_is_ok(
            zone_open("/usr/share/zoneinfo", STR("Europe/Berlin"), &partition->arena, &zone)));
        uint64_t walked_ms = partition->now_ms;
        uint64_t next_ms = put(partition, (struct put){.cron = text, .zone = "Europe/Berlin"});
        partition_stop(partition);
        partition->now_ms = next_ms + downtimes_ms[i / COUNT_OF(expressions)];
        while ((next_ms = cron_next_ms(&cron, zone, walked_ms)) <= partition->now_ms) {
            walked_ms = next_ms;
        }
        partition_begin(partition);
        partition_advance(partition, partition->now_ms);
        assert_int_equal(partition->run_count, 1);
        assert_int_equal(only(partition).last_ms, walked_ms);
        assert_int_equal(only(partition).next_ms, next_ms);
        end(partition);
    }
}

static void starts_one_run_though_commits_fail(void **state)
{
    (void)state;
    static const enum memory_store_fault faults[] = {
        MEMORY_STORE_FAULT_REFUSE,
        MEMORY_STORE_FAULT_LOST,
        MEMORY_STORE_FAULT_UNKNOWN,
    };
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        struct partition *partition = begin("2024-05-01 09:30");
        uint64_t next_ms = put(partition, (struct put){.cron = "0 * * * *"});
        partition_advance(partition, next_ms - 1);
        memory_store_fault(&partition->store, faults[i]);
        advance(partition, "2024-05-01 11:30");
        assert_ticks(partition, "2024-05-01T10:00 2024-05-01T11:00");
        assert_int_equal(partition->run_count, 2);
        assert_int_equal(only(partition).skipped, 0);
        end(partition);
    }
}

static void forgets_what_was_not_committed(void **state)
{
    (void)state;
    struct partition *partition = begin("2024-05-01 09:30");
    memory_store_fault(&partition->store, MEMORY_STORE_FAULT_LOST);
    put(partition, (struct put){.cron = "0 * * * *"});
    assert_int_equal(partition->failure.code, CODE_UNAVAILABLE);
    advance(partition, "2024-05-01 12:30");
    assert_int_equal(partition->run_count, 0);
    put(partition, (struct put){.cron = "0 * * * *"});
    memory_store_fault(&partition->store, MEMORY_STORE_FAULT_REFUSE);
    assert_int_equal(drop(partition, "flow/global"), CODE_RESOURCE_EXHAUSTED);
    advance(partition, "2024-05-01 13:00");
    assert_ticks(partition, "2024-05-01T13:00");
    end(partition);
}

static void does_not_overtake_a_run(void **state)
{
    (void)state;
    struct partition *partition = begin("2024-05-01 09:30");
    partition->leaves_runs_open = true;
    put(partition, (struct put){.cron = "0 * * * *"});
    put(partition, (struct put){.cron = "30 12 * * *", .key = "other"});
    advance(partition, "2024-05-01 11:30"); /* It waits for a host, and has left the memory. */
    assert_ticks(partition, "2024-05-01T10:00");
    restart(partition);
    advance(partition, "2024-05-01 12:15");
    assert_ticks(partition, "");
    partition_cancel_newest(partition);
    advance(partition, "2024-05-01 13:15"); /* The other schedule's run is none of its own. */
    str input;
    assert_true(take_input(partition, &input));
    assert_member(input, "schedule_id", "\"flow/other\"");
    assert_true(take_input(partition, &input));
    assert_member(input, "schedule_id", "\"flow/global\"");
    assert_member(input, "timestamp", "\"2024-05-01T13:00:00Z\"");
    assert_member(input, "last_timestamp", "\"2024-05-01T10:00:00Z\"");
    struct request *request = list(partition, "flow", "", 10);
    assert_int_equal(request->schedules.ret[0].skipped, 2);
    assert_int_equal(request->schedules.ret[1].skipped, 0);
    request_free(request);
    end(partition);
}

static void changes_from_now_on(void **state)
{
    (void)state;
    struct partition *partition = begin("2024-05-01 09:30");
    put(partition, (struct put){.cron = "0 * * * *"});
    advance(partition, "2024-05-01 10:30");
    struct partition_stats before;
    struct partition_stats after;
    partition_stats(partition->partition, &before);
    assert_int_equal(put(partition, (struct put){.cron = "0 * * * *"}), utc_ms("2024-05-01 11:00"));
    partition_stats(partition->partition, &after);
    assert_int_equal(before.commits, after.commits); /* As it was: nothing is written. */
    assert_int_equal(put(partition, (struct put){.cron = "15 * * * *"}),
                     utc_ms("2024-05-01 11:15")); /* Not 10:15. */
    assert_int_equal(put(partition, (struct put){.cron = "15 * * * *", .zone = "Asia/Kolkata"}),
                     utc_ms("2024-05-01 10:45"));
    advance(partition, "2024-05-01 11:00");
    assert_ticks(partition, "2024-05-01T10:00 2024-05-01T10:45");
    assert_int_equal(only(partition).last_ms, utc_ms("2024-05-01 10:45"));
    end(partition);
}

static void gives_the_input_it_was_given(void **state)
{
    (void)state;
    struct partition *partition = begin("2024-05-01 09:30");
    str input;
    put(partition, (struct put){.cron = "0 * * * *", .input = "{\"a\": 1.0}"});
    restart(partition);
    advance(partition, "2024-05-01 10:00");
    assert_true(take_input(partition, &input));
    assert_string_equal(input.ptr, "{\"a\": 1.0}");
    put(partition, (struct put){.cron = "0 * * * *", .input = "[2]"});
    restart(partition);
    advance(partition, "2024-05-01 11:00");
    assert_true(take_input(partition, &input));
    assert_string_equal(input.ptr, "[2]");
    struct request *request = list(partition, "", "", 1);
    assert_true(str_is(request->schedules.ret[0].input, "[2]"));
    request_free(request);
    put(partition, (struct put){.cron = "0 * * * *"});
    restart(partition);
    advance(partition, "2024-05-01 12:00");
    assert_ticks(partition, "2024-05-01T12:00");
    end(partition);
}

static bool count_row(void *context, str key, str value)
{
    (void)key;
    (void)value;
    ++*(size_t *)context;
    return true;
}

/* Schedules and their inputs; runs without children leave no links. */
static size_t links_on_disk(struct partition *partition)
{
    size_t count = 0;
    status scanned = store_scan(&partition->store, STORE_INDEX, STR_EMPTY, STR_EMPTY, false,
                                SIZE_MAX, count_row, &count);
    assert_true(status_is_ok(scanned));
    return count;
}

static void stops_when_deleted(void **state)
{
    (void)state;
    struct partition *partition = begin("2024-05-01 09:30");
    put(partition, (struct put){.cron = "0 * * * *", .input = "1"});
    put(partition, (struct put){.cron = "0 * * * *", .key = "a"});
    put(partition, (struct put){.cron = "0 * * * *", .key = "b"});
    assert_int_equal(drop(partition, "flow/global"), CODE_OK);
    assert_int_equal(drop(partition, "flow/global"), CODE_NOT_FOUND);
    assert_int_equal(drop(partition, "flow/a"), CODE_OK);
    assert_int_equal(links_on_disk(partition), 1);
    restart(partition);
    advance(partition, "2024-05-01 10:30");
    str input;
    assert_true(take_input(partition, &input));
    assert_member(input, "key", "\"b\"");
    assert_int_equal(partition->run_count, 1);
    put(partition, (struct put){.cron = "0 * * * *"}); /* A new one, without the old one's input. */
    assert_int_equal(drop(partition, "flow/b"), CODE_OK);
    advance(partition, "2024-05-01 11:30");
    assert_true(take_input(partition, &input));
    assert_member(input, "last_timestamp", "null");
    assert_int_equal(drop(partition, "flow/global"), CODE_OK);
    assert_int_equal(links_on_disk(partition), 0);
    end(partition);
}

static void waits_for_room_on_the_disk(void **state)
{
    (void)state;
    struct partition *partition = begin("2024-05-01 09:30");
    put(partition, (struct put){.cron = "*/10 * * * *"});
    partition->is_low_on_space = true;
    advance(partition, "2024-05-01 10:05");
    assert_int_equal(partition->run_count, 0);
    partition->is_low_on_space = false;
    advance(partition, "2024-05-01 10:06");
    assert_ticks(partition, "2024-05-01T10:00");
    end(partition);
}

static void repeats_nothing_when_the_clock_is_set_back(void **state)
{
    (void)state;
    struct partition *partition = begin("2024-05-01 09:30");
    put(partition, (struct put){.cron = "*/10 * * * *"});
    advance(partition, "2024-05-01 10:00");
    partition->now_ms = utc_ms("2024-05-01 09:35");
    put(partition, (struct put){.cron = "*/5 * * * *"}); /* Changed while it is wrong, too. */
    restart(partition);
    advance(partition, "2024-05-01 10:05");
    assert_ticks(partition, "2024-05-01T09:40 2024-05-01T09:50 2024-05-01T10:00 2024-05-01T10:05");
    end(partition);
}

static void keeps_thousands_apart(void **state)
{
    (void)state;
    enum {
        COUNT = 600, /* More than one turn starts. */
    };
    struct partition *partition = begin("2024-05-01 09:30");
    for (int i = 0; i < COUNT; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%03d", i);
        put(partition, (struct put){.cron = "0 * * * *", .key = key});
    }
    put(partition, (struct put){.cron = "0 12 * * *", .workflow = "flow-2", .key = "a"});
    partition->now_ms = utc_ms("2024-05-01 10:00");
    int turns = 0;
    while (partition_round(partition->partition) <= partition->now_ms) {
        turns++;
    }
    assert_in_range(turns, 2, 10);
    struct request *request = list(partition, "flow", "", 2 * COUNT);
    assert_int_equal(request->schedules.ret_count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(request->schedules.ret[i].last_ms, partition->now_ms);
        assert_false(uuid_is_zero(request->schedules.ret[i].last_run));
    }
    request_free(request);
    partition_fini(partition);
    free(partition);
}

static void lists_in_pages(void **state)
{
    (void)state;
    struct partition *partition = begin("2024-05-01 09:30");
    put(partition, (struct put){.cron = "1 * * * *", .workflow = "b", .key = "1"});
    put(partition, (struct put){.cron = "2 * * * *", .workflow = "a", .key = "2"});
    put(partition, (struct put){.cron = "3 * * * *", .workflow = "a", .key = "1"});
    put(partition, (struct put){.cron = "4 * * * *", .workflow = "a-b", .key = "1"});
    struct request *page = list(partition, "", "", 2);
    assert_int_equal(page->schedules.ret_count, 2);
    assert_true(page->schedules.ret_more);
    assert_true(str_is(page->schedules.ret[0].id, "a-b/1"));
    assert_true(str_is(page->schedules.ret[1].id, "a/1"));
    request_free(page);
    page = list(partition, "", "a/1", 2);
    assert_int_equal(page->schedules.ret_count, 2);
    assert_false(page->schedules.ret_more);
    assert_true(str_is(page->schedules.ret[0].cron, "2 * * * *"));
    assert_true(str_is(page->schedules.ret[1].workflow, "b"));
    request_free(page);
    page = list(partition, "a", "", 10);
    assert_int_equal(page->schedules.ret_count, 2);
    request_free(page);
    end(partition);
}

static void assert_refused(struct partition *partition, struct put refused, enum code code,
                           const char *reason, const char *field, const char *why)
{
    assert_int_equal(put(partition, refused), 0);
    const struct failure *failure = &partition->failure;
    assert_int_equal(failure->code, code);
    assert_string_equal(failure->reason, reason);
    assert_true(str_is(failure->field, field));
    if (memmem(failure->message.ptr, failure->message.len, why, strlen(why)) == NULL) {
        fail_msg("\"%s\" is not in: " STR_FMT, why, STR_ARG(failure->message));
    }
}

static void refuses_what_never_comes(void **state)
{
    (void)state;
    struct partition *partition = begin("2024-05-01 09:30");
    assert_refused(partition, (struct put){.cron = "60 * * * *"}, CODE_INVALID_ARGUMENT,
                   "INVALID_FIELD", "cron", "minute");
    assert_refused(partition, (struct put){.cron = "0 0 30 2 *"}, CODE_INVALID_ARGUMENT,
                   "INVALID_FIELD", "cron", "never");
    assert_refused(partition, (struct put){.cron = "0 0 * * *", .zone = "Mars/Phobos"},
                   CODE_INVALID_ARGUMENT, "INVALID_FIELD", "timezone", "Mars/Phobos");
    partition_stop(partition);
    partition->zone_folder = "/nowhere";
    partition_begin(partition);
    assert_refused(partition, (struct put){.cron = "0 0 * * *", .zone = "Europe/Berlin"},
                   CODE_FAILED_PRECONDITION, "ZONES_MISSING", "timezone", "/nowhere");
    assert_true(put(partition, (struct put){.cron = "0 0 * * *"}) > 0);
    partition_stop(partition);
    partition->zone_folder = NULL;
    partition_begin(partition);
    assert_refused(partition, (struct put){.cron = "0 0 * * *", .zone = "Europe/Berlin"},
                   CODE_FAILED_PRECONDITION, "ZONES_MISSING", "timezone", "UTC");
    end(partition);
}

static void rests_while_its_zone_is_gone(void **state)
{
    (void)state;
    struct partition *partition = begin("2024-05-01 09:30");
    put(partition, (struct put){.cron = "0 12 * * *", .zone = "Europe/Berlin"});
    partition_stop(partition);
    partition->zone_folder = "/nowhere";
    partition_begin(partition);
    advance(partition, "2024-05-01 11:00");
    assert_int_equal(partition->run_count, 0);
    struct request *request = list(partition, "", "", 1);
    assert_true(request->schedules.ret[0].problem.len > 0);
    assert_int_equal(request->schedules.ret[0].next_ms, 0);
    request_free(request);
    partition_stop(partition);
    partition->zone_folder = "/usr/share/zoneinfo";
    partition_begin(partition);
    advance(partition, "2024-05-01 11:30");
    assert_ticks(partition, "2024-05-01T10:00");
    end(partition);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_at_each_tick_and_says_which),
        cmocka_unit_test(keeps_to_the_wall_when_clocks_change),
        cmocka_unit_test(runs_each_hour_that_passes),
        cmocka_unit_test(goes_on_after_restarts),
        cmocka_unit_test(catches_up_with_one_run),
        cmocka_unit_test(catches_up_the_latest_tick),
        cmocka_unit_test(starts_one_run_though_commits_fail),
        cmocka_unit_test(forgets_what_was_not_committed),
        cmocka_unit_test(does_not_overtake_a_run),
        cmocka_unit_test(changes_from_now_on),
        cmocka_unit_test(gives_the_input_it_was_given),
        cmocka_unit_test(stops_when_deleted),
        cmocka_unit_test(waits_for_room_on_the_disk),
        cmocka_unit_test(repeats_nothing_when_the_clock_is_set_back),
        cmocka_unit_test(keeps_thousands_apart),
        cmocka_unit_test(lists_in_pages),
        cmocka_unit_test(refuses_what_never_comes),
        cmocka_unit_test(rests_while_its_zone_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
