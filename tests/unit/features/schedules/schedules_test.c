/*
 * Goal:   each tick of a schedule starts one run, whatever happens in between; what was missed is
 *         caught up by one; a run that has not ended is not overtaken.
 * Method: the real partition with a clock that jumps to the times it asks for, over days when
 * clocks change, restarts, downtime, commits that fail. Runs say their tick in their input.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "service/base/failure.h"
#include "service/base/json.h"
#include "service/codec/index.h"
#include "service/features/schedules/schedules.h"
#include "service/partition/partition.h"
#include "service/partition/request.h"
#include "service/schedule/cron.h"
#include "service/schedule/zone.h"
#include "storage/keys.h"
#include "tests/unit/partition/lone_partition.h"

#define MINUTE_MS ((uint64_t)60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

static uint64_t utc_ms(const char *text)
{
    struct tm date = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &date));
    return (uint64_t)timegm(&date) * 1000;
}

static struct lone_partition *begin(const char *time)
{
    struct lone_partition *lone = calloc(1, sizeof(*lone));
    assert_non_null(lone);
    lone_init(lone, utc_ms(time));
    return lone;
}

static void end(struct lone_partition *lone)
{
    lone_fini(lone);
    free(lone);
}

static void advance(struct lone_partition *lone, const char *time)
{
    lone_advance(lone, utc_ms(time));
}

static void restart(struct lone_partition *lone)
{
    lone_stop(lone);
    lone_begin(lone);
}

struct put {
    const char *workflow;
    const char *key;
    const char *cron;
    const char *zone;
    const char *input;
};

static uint64_t next_tick(struct lone_partition *lone, const struct put *put)
{
    struct request *request = request_new(&get_schedule_operation);
    get_schedule_request(request)->id =
        arena_printf(&request->arena, "%s/%s", put->workflow == NULL ? "flow" : put->workflow,
                     put->key == NULL ? "global" : put->key);
    lone_ask(lone, request);
    uint64_t ret = get_schedule_request(request)->ret.next_ms;
    request_free(request);
    return ret;
}

/* Its next tick; 0: refused, see lone->failure, whose texts live on in the arena. */
static uint64_t put(struct lone_partition *lone, struct put put)
{
    struct request *request = request_new(&put_schedule_operation);
    put_schedule_request(request)->offer = (struct schedule_offer){
        .name = str_of(put.workflow == NULL ? "flow" : put.workflow),
        .key = str_of(put.key == NULL ? "global" : put.key),
        .cron = str_of(put.cron),
        .zone = str_of(put.zone == NULL ? "UTC" : put.zone),
        .input = str_of(put.input),
    };
    lone_ask(lone, request);
    struct failure *failure = &lone->failure;
    if (failure->code == CODE_OK) {
        request_free(request);
        return next_tick(lone, &put);
    }
    failure->message = arena_copy(&lone->arena, failure->message);
    failure->field = arena_copy(&lone->arena, failure->field);
    request_free(request);
    return 0;
}

static enum code drop(struct lone_partition *lone, const char *id)
{
    struct request *request = request_new(&delete_schedule_operation);
    delete_schedule_request(request)->id = str_of(id);
    lone_ask(lone, request);
    request_free(request);
    return lone->failure.code;
}

/* The caller frees the request. */
static struct request *list(struct lone_partition *lone, const char *workflow, const char *after,
                            size_t limit)
{
    struct request *request = request_new(&list_schedules_operation);
    schedules_request(request)->prefix =
        workflow[0] == '\0' ? STR_EMPTY : arena_printf(&request->arena, "%s/", workflow);
    schedules_request(request)->id = str_of(after);
    schedules_request(request)->limit = limit;
    lone_ask(lone, request);
    assert_int_equal(lone->failure.code, CODE_OK);
    return request;
}

static struct schedule_view only(struct lone_partition *lone)
{
    struct request *request = list(lone, "", "", 10);
    assert_int_equal(schedules_request(request)->ret_count, 1);
    struct schedule_view view = schedules_request(request)->ret[0];
    request_free(request); /* Its numbers live on. */
    return view;
}

/* Takes the first line of what runs were told. False: there is none. */
static bool take_input(struct lone_partition *lone, str *ret)
{
    str all = buf_str(&lone->inputs);
    const char *line_end = all.len == 0 ? NULL : memchr(all.ptr, '\n', all.len);
    if (line_end == NULL) {
        return false;
    }
    size_t len = (size_t)(line_end - all.ptr);
    *ret = arena_copy(&lone->arena, str_make(all.ptr, len));
    memmove(lone->inputs.ptr, line_end + 1, all.len - len - 1);
    lone->inputs.len -= len + 1;
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
static void assert_ticks(struct lone_partition *lone, const char *expected)
{
    struct buf ticks = {0};
    str input;
    str value;
    while (take_input(lone, &input)) {
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
    struct lone_partition *lone = begin("2024-05-01 10:00");
    uint64_t next_ms = put(lone, (struct put){.cron = "0 */6 * * *", .key = "alice@x"});
    assert_int_equal(next_ms, utc_ms("2024-05-01 12:00"));
    lone_advance(lone, next_ms - 1);
    assert_int_equal(lone->run_count, 0);
    advance(lone, "2024-05-01 18:00");
    str first;
    str second;
    assert_true(take_input(lone, &first) && take_input(lone, &second));
    assert_string_equal(first.ptr, "{\"schedule_id\":\"flow/alice@x\",\"key\":\"alice@x\","
                                   "\"timezone\":\"UTC\",\"timestamp\":\"2024-05-01T12:00:00Z\","
                                   "\"last_timestamp\":null,"
                                   "\"upcoming\":\"2024-05-01T18:00:00Z\"}");
    assert_member(second, "timestamp", "\"2024-05-01T18:00:00Z\"");
    assert_member(second, "last_timestamp", "\"2024-05-01T12:00:00Z\"");
    assert_member(second, "upcoming", "\"2024-05-02T00:00:00Z\"");
    assert_int_equal(lone->run_count, 2);
    struct schedule_view view = only(lone);
    assert_int_equal(view.next_ms, utc_ms("2024-05-02 00:00"));
    assert_int_equal(view.last_ms, utc_ms("2024-05-01 18:00"));
    assert_memory_equal(&view.last_run, &lone->newest, sizeof(uuid));
    assert_int_equal(view.skipped, 0);
    end(lone);
}

static void keeps_to_the_wall_when_clocks_change(void **state)
{
    (void)state;
    struct lone_partition *lone = begin("2024-03-29 12:00");
    put(lone, (struct put){.cron = "30 2 * * *", .zone = "Europe/Berlin"});
    advance(lone, "2024-04-01 12:00"); /* The 31st has no 02:30. */
    assert_ticks(lone, "2024-03-30T01:30 2024-03-31T01:00 2024-04-01T00:30");
    end(lone);
    lone = begin("2024-10-25 12:00");
    put(lone, (struct put){.cron = "30 2 * * *", .zone = "Europe/Berlin"});
    advance(lone, "2024-10-28 12:00"); /* The 27th has two. */
    assert_ticks(lone, "2024-10-26T00:30 2024-10-27T00:30 2024-10-28T01:30");
    end(lone);
}

static void runs_each_hour_that_passes(void **state)
{
    (void)state;
    struct lone_partition *lone = begin("2024-03-30 22:59");
    put(lone, (struct put){.cron = "0 * * * *", .zone = "Europe/Berlin"});
    advance(lone, "2024-03-31 21:59");
    assert_int_equal(lone->run_count, 23);
    end(lone);
    lone = begin("2024-10-26 21:59");
    put(lone, (struct put){.cron = "0 * * * *", .zone = "Europe/Berlin"});
    advance(lone, "2024-10-27 22:59");
    assert_int_equal(lone->run_count, 25);
    end(lone);
}

static void goes_on_after_restarts(void **state)
{
    (void)state;
    struct lone_partition *lone = begin("2024-05-01 09:59");
    put(lone, (struct put){.cron = "*/10 * * * *", .zone = "America/New_York"});
    uint64_t start_ms = lone->now_ms;
    for (uint64_t minute = 0; minute <= 61; minute++) {
        lone_advance(lone, start_ms + minute * MINUTE_MS);
        restart(lone); /* At ticks, too. */
    }
    assert_ticks(lone, "2024-05-01T10:00 2024-05-01T10:10 2024-05-01T10:20 2024-05-01T10:30 "
                       "2024-05-01T10:40 2024-05-01T10:50 2024-05-01T11:00");
    end(lone);
}

/* A damaged row between theirs stops none of them. */
static void keeps_the_others_when_one_is_damaged(void **state)
{
    (void)state;
    struct lone_partition *lone = begin("2024-05-01 09:59");
    static const char *const keys[] = {"a", "b", "c"};
    char key[KEY_BYTES_MAX];
    struct store_batch batch = {0};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        put(lone, (struct put){.key = keys[i], .cron = "0 10 * * *"});
    }
    lone_stop(lone);
    store_batch_put(&batch, STORE_INDEX,
                    key_index(key, (struct key_space){0}, INDEX_SCHEDULE, STR("flow/b")),
                    STR("\xff\xff"));
    assert_true(status_is_ok(store_commit(&lone->store, &batch)));
    store_batch_fini(&batch);
    lone_begin(lone);
    advance(lone, "2024-05-01 10:00");
    assert_ticks(lone, "2024-05-01T10:00 2024-05-01T10:00");
    end(lone);
}

static void catches_up_with_one_run(void **state)
{
    (void)state;
    struct lone_partition *lone = begin("2024-05-01 09:59");
    put(lone, (struct put){.cron = "*/10 * * * *"});
    advance(lone, "2024-05-01 10:15");
    assert_ticks(lone, "2024-05-01T10:00 2024-05-01T10:10");
    lone_stop(lone);
    lone->now_ms = utc_ms("2024-06-11 17:37");
    lone_begin(lone);
    lone_advance(lone, lone->now_ms);
    str input;
    assert_true(take_input(lone, &input));
    assert_member(input, "timestamp", "\"2024-06-11T17:30:00Z\"");
    assert_member(input, "last_timestamp", "\"2024-05-01T10:10:00Z\"");
    assert_member(input, "upcoming", "\"2024-06-11T17:40:00Z\"");
    assert_int_equal(lone->run_count, 3);
    restart(lone);
    advance(lone, "2024-06-11 17:50");
    assert_ticks(lone, "2024-06-11T17:40 2024-06-11T17:50");
    end(lone);
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
        struct lone_partition *lone = begin("2023-06-24 00:59");
        struct cron cron;
        struct zone *zone;
        assert_true(status_is_ok(cron_parse(str_of(text), &lone->arena, &cron)));
        assert_true(status_is_ok(
            zone_open("/usr/share/zoneinfo", STR("Europe/Berlin"), &lone->arena, &zone)));
        uint64_t walked_ms = lone->now_ms;
        uint64_t next_ms = put(lone, (struct put){.cron = text, .zone = "Europe/Berlin"});
        lone_stop(lone);
        lone->now_ms = next_ms + downtimes_ms[i / COUNT_OF(expressions)];
        while ((next_ms = cron_next_ms(&cron, zone, walked_ms)) <= lone->now_ms) {
            walked_ms = next_ms;
        }
        lone_begin(lone);
        lone_advance(lone, lone->now_ms);
        assert_int_equal(lone->run_count, 1);
        assert_int_equal(only(lone).last_ms, walked_ms);
        assert_int_equal(only(lone).next_ms, next_ms);
        end(lone);
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
        struct lone_partition *lone = begin("2024-05-01 09:30");
        uint64_t next_ms = put(lone, (struct put){.cron = "0 * * * *"});
        lone_advance(lone, next_ms - 1);
        memory_store_fault(&lone->store, faults[i]);
        advance(lone, "2024-05-01 11:30");
        assert_ticks(lone, "2024-05-01T10:00 2024-05-01T11:00");
        assert_int_equal(lone->run_count, 2);
        assert_int_equal(only(lone).skipped, 0);
        end(lone);
    }
}

static void forgets_what_was_not_committed(void **state)
{
    (void)state;
    struct lone_partition *lone = begin("2024-05-01 09:30");
    memory_store_fault(&lone->store, MEMORY_STORE_FAULT_LOST);
    put(lone, (struct put){.cron = "0 * * * *"});
    assert_int_equal(lone->failure.code, CODE_UNAVAILABLE);
    advance(lone, "2024-05-01 12:30");
    assert_int_equal(lone->run_count, 0);
    put(lone, (struct put){.cron = "0 * * * *"});
    memory_store_fault(&lone->store, MEMORY_STORE_FAULT_REFUSE);
    assert_int_equal(drop(lone, "flow/global"), CODE_RESOURCE_EXHAUSTED);
    advance(lone, "2024-05-01 13:00");
    assert_ticks(lone, "2024-05-01T13:00");
    end(lone);
}

static void does_not_overtake_a_run(void **state)
{
    (void)state;
    struct lone_partition *lone = begin("2024-05-01 09:30");
    lone->leaves_runs_open = true;
    put(lone, (struct put){.cron = "0 * * * *"});
    put(lone, (struct put){.cron = "30 12 * * *", .key = "other"});
    advance(lone, "2024-05-01 11:30"); /* It waits for a host, and has left the memory. */
    assert_ticks(lone, "2024-05-01T10:00");
    restart(lone);
    advance(lone, "2024-05-01 12:15");
    assert_ticks(lone, "");
    lone_cancel_newest(lone);
    advance(lone, "2024-05-01 13:15"); /* The other schedule's run is none of its own. */
    str input;
    assert_true(take_input(lone, &input));
    assert_member(input, "schedule_id", "\"flow/other\"");
    assert_true(take_input(lone, &input));
    assert_member(input, "schedule_id", "\"flow/global\"");
    assert_member(input, "timestamp", "\"2024-05-01T13:00:00Z\"");
    assert_member(input, "last_timestamp", "\"2024-05-01T10:00:00Z\"");
    struct request *request = list(lone, "flow", "", 10);
    assert_int_equal(schedules_request(request)->ret[0].skipped, 2);
    assert_int_equal(schedules_request(request)->ret[1].skipped, 0);
    request_free(request);
    end(lone);
}

static void changes_from_now_on(void **state)
{
    (void)state;
    struct lone_partition *lone = begin("2024-05-01 09:30");
    put(lone, (struct put){.cron = "0 * * * *"});
    advance(lone, "2024-05-01 10:30");
    struct partition_stats before;
    struct partition_stats after;
    partition_stats(lone->partition, &before);
    assert_int_equal(put(lone, (struct put){.cron = "0 * * * *"}), utc_ms("2024-05-01 11:00"));
    partition_stats(lone->partition, &after);
    assert_int_equal(before.commits, after.commits); /* As it was: nothing is written. */
    assert_int_equal(put(lone, (struct put){.cron = "15 * * * *"}),
                     utc_ms("2024-05-01 11:15")); /* Not 10:15. */
    assert_int_equal(put(lone, (struct put){.cron = "15 * * * *", .zone = "Asia/Kolkata"}),
                     utc_ms("2024-05-01 10:45"));
    advance(lone, "2024-05-01 11:00");
    assert_ticks(lone, "2024-05-01T10:00 2024-05-01T10:45");
    assert_int_equal(only(lone).last_ms, utc_ms("2024-05-01 10:45"));
    end(lone);
}

static void gives_the_input_it_was_given(void **state)
{
    (void)state;
    struct lone_partition *lone = begin("2024-05-01 09:30");
    str input;
    put(lone, (struct put){.cron = "0 * * * *", .input = "{\"a\": 1.0}"});
    restart(lone);
    advance(lone, "2024-05-01 10:00");
    assert_true(take_input(lone, &input));
    assert_string_equal(input.ptr, "{\"a\": 1.0}");
    put(lone, (struct put){.cron = "0 * * * *", .input = "[2]"});
    restart(lone);
    advance(lone, "2024-05-01 11:00");
    assert_true(take_input(lone, &input));
    assert_string_equal(input.ptr, "[2]");
    struct request *request = list(lone, "", "", 1);
    assert_true(str_is(schedules_request(request)->ret[0].input, "[2]"));
    request_free(request);
    put(lone, (struct put){.cron = "0 * * * *"});
    restart(lone);
    advance(lone, "2024-05-01 12:00");
    assert_ticks(lone, "2024-05-01T12:00");
    end(lone);
}

static bool count_row(void *context, str key, str value)
{
    str tail;
    (void)value;
    assert_true(key_read_index(key, &tail));
    uint8_t kind = (uint8_t)tail.ptr[-1];
    *(size_t *)context += kind == INDEX_SCHEDULE || kind == INDEX_SCHEDULE_INPUT;
    return true;
}

/* Schedules and their inputs. */
static size_t links_on_disk(struct lone_partition *lone)
{
    size_t count = 0;
    status scanned = store_scan(&lone->store, STORE_INDEX, STR_EMPTY, STR_EMPTY, false, SIZE_MAX,
                                count_row, &count);
    assert_true(status_is_ok(scanned));
    return count;
}

static void stops_when_deleted(void **state)
{
    (void)state;
    struct lone_partition *lone = begin("2024-05-01 09:30");
    put(lone, (struct put){.cron = "0 * * * *", .input = "1"});
    put(lone, (struct put){.cron = "0 * * * *", .key = "a"});
    put(lone, (struct put){.cron = "0 * * * *", .key = "b"});
    assert_int_equal(drop(lone, "flow/global"), CODE_OK);
    assert_int_equal(drop(lone, "flow/global"), CODE_NOT_FOUND);
    assert_int_equal(drop(lone, "flow/a"), CODE_OK);
    assert_int_equal(links_on_disk(lone), 1);
    restart(lone);
    advance(lone, "2024-05-01 10:30");
    str input;
    assert_true(take_input(lone, &input));
    assert_member(input, "key", "\"b\"");
    assert_int_equal(lone->run_count, 1);
    put(lone, (struct put){.cron = "0 * * * *"}); /* A new one, without the old one's input. */
    assert_int_equal(drop(lone, "flow/b"), CODE_OK);
    advance(lone, "2024-05-01 11:30");
    assert_true(take_input(lone, &input));
    assert_member(input, "last_timestamp", "null");
    assert_int_equal(drop(lone, "flow/global"), CODE_OK);
    assert_int_equal(links_on_disk(lone), 0);
    end(lone);
}

static void waits_for_room_on_the_disk(void **state)
{
    (void)state;
    struct lone_partition *lone = begin("2024-05-01 09:30");
    put(lone, (struct put){.cron = "*/10 * * * *"});
    lone->is_low_on_space = true;
    advance(lone, "2024-05-01 10:05");
    assert_int_equal(lone->run_count, 0);
    lone->is_low_on_space = false;
    advance(lone, "2024-05-01 10:06");
    assert_ticks(lone, "2024-05-01T10:00");
    end(lone);
}

static void repeats_nothing_when_the_clock_is_set_back(void **state)
{
    (void)state;
    struct lone_partition *lone = begin("2024-05-01 09:30");
    put(lone, (struct put){.cron = "*/10 * * * *"});
    advance(lone, "2024-05-01 10:00");
    lone->now_ms = utc_ms("2024-05-01 09:35");
    put(lone, (struct put){.cron = "*/5 * * * *"}); /* Changed while it is wrong, too. */
    restart(lone);
    advance(lone, "2024-05-01 10:05");
    assert_ticks(lone, "2024-05-01T09:40 2024-05-01T09:50 2024-05-01T10:00 2024-05-01T10:05");
    end(lone);
}

static void keeps_thousands_apart(void **state)
{
    (void)state;
    enum {
        COUNT = 600, /* More than one round starts. */
    };
    struct lone_partition *lone = begin("2024-05-01 09:30");
    for (int i = 0; i < COUNT; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%03d", i);
        put(lone, (struct put){.cron = "0 * * * *", .key = key});
    }
    put(lone, (struct put){.cron = "0 12 * * *", .workflow = "flow-2", .key = "a"});
    lone->now_ms = utc_ms("2024-05-01 10:00");
    int rounds = 0;
    while (partition_round(lone->partition) <= lone->now_ms) {
        rounds++;
    }
    assert_in_range(rounds, 2, 10);
    struct request *request = list(lone, "flow", "", 2 * COUNT);
    assert_int_equal(schedules_request(request)->ret_count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(schedules_request(request)->ret[i].last_ms, lone->now_ms);
        assert_false(uuid_is_zero(schedules_request(request)->ret[i].last_run));
    }
    request_free(request);
    lone_fini(lone);
    free(lone);
}

static void lists_in_pages(void **state)
{
    (void)state;
    struct lone_partition *lone = begin("2024-05-01 09:30");
    put(lone, (struct put){.cron = "1 * * * *", .workflow = "b", .key = "1"});
    put(lone, (struct put){.cron = "2 * * * *", .workflow = "a", .key = "2"});
    put(lone, (struct put){.cron = "3 * * * *", .workflow = "a", .key = "1"});
    put(lone, (struct put){.cron = "4 * * * *", .workflow = "a-b", .key = "1"});
    struct request *page = list(lone, "", "", 2);
    assert_int_equal(schedules_request(page)->ret_count, 2);
    assert_true(schedules_request(page)->ret_more);
    assert_true(str_is(schedules_request(page)->ret[0].id, "a-b/1"));
    assert_true(str_is(schedules_request(page)->ret[1].id, "a/1"));
    request_free(page);
    page = list(lone, "", "a/1", 2);
    assert_int_equal(schedules_request(page)->ret_count, 2);
    assert_false(schedules_request(page)->ret_more);
    assert_true(str_is(schedules_request(page)->ret[0].cron, "2 * * * *"));
    assert_true(str_is(schedules_request(page)->ret[1].name, "b"));
    request_free(page);
    page = list(lone, "a", "", 10);
    assert_int_equal(schedules_request(page)->ret_count, 2);
    request_free(page);
    end(lone);
}

static void assert_refused(struct lone_partition *lone, struct put refused, enum code code,
                           const char *reason, const char *field, const char *why)
{
    assert_int_equal(put(lone, refused), 0);
    const struct failure *failure = &lone->failure;
    assert_int_equal(failure->code, code);
    assert_string_equal(reason_name(failure->reason), reason);
    assert_true(str_is(failure->field, field));
    if (memmem(failure->message.ptr, failure->message.len, why, strlen(why)) == NULL) {
        fail_msg("\"%s\" is not in: " STR_FMT, why, STR_ARG(failure->message));
    }
}

static void refuses_what_never_comes(void **state)
{
    (void)state;
    struct lone_partition *lone = begin("2024-05-01 09:30");
    assert_refused(lone, (struct put){.cron = "60 * * * *"}, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                   "cron", "minute");
    assert_refused(lone, (struct put){.cron = "0 0 30 2 *"}, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                   "cron", "never");
    assert_refused(lone, (struct put){.cron = "0 0 * * *", .zone = "Mars/Phobos"},
                   CODE_INVALID_ARGUMENT, "INVALID_FIELD", "timezone", "Mars/Phobos");
    lone_stop(lone);
    lone->zone_folder = "/nowhere";
    lone_begin(lone);
    assert_refused(lone, (struct put){.cron = "0 0 * * *", .zone = "Europe/Berlin"},
                   CODE_FAILED_PRECONDITION, "ZONES_MISSING", "timezone", "/nowhere");
    assert_true(put(lone, (struct put){.cron = "0 0 * * *"}) > 0);
    lone_stop(lone);
    lone->zone_folder = NULL;
    lone_begin(lone);
    assert_refused(lone, (struct put){.cron = "0 0 * * *", .zone = "Europe/Berlin"},
                   CODE_FAILED_PRECONDITION, "ZONES_MISSING", "timezone", "UTC");
    end(lone);
}

static void rests_while_its_zone_is_gone(void **state)
{
    (void)state;
    struct lone_partition *lone = begin("2024-05-01 09:30");
    put(lone, (struct put){.cron = "0 12 * * *", .zone = "Europe/Berlin"});
    lone_stop(lone);
    lone->zone_folder = "/nowhere";
    lone_begin(lone);
    advance(lone, "2024-05-01 11:00");
    assert_int_equal(lone->run_count, 0);
    struct request *request = list(lone, "", "", 1);
    assert_true(schedules_request(request)->ret[0].problem.len > 0);
    assert_int_equal(schedules_request(request)->ret[0].next_ms, 0);
    request_free(request);
    lone_stop(lone);
    lone->zone_folder = "/usr/share/zoneinfo";
    lone_begin(lone);
    advance(lone, "2024-05-01 11:30");
    assert_ticks(lone, "2024-05-01T10:00");
    end(lone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_at_each_tick_and_says_which),
        cmocka_unit_test(keeps_to_the_wall_when_clocks_change),
        cmocka_unit_test(runs_each_hour_that_passes),
        cmocka_unit_test(goes_on_after_restarts),
        cmocka_unit_test(keeps_the_others_when_one_is_damaged),
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
