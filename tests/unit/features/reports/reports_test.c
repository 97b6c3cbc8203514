/*
 * Goal:   what is said of a run that stands still is why: who offers its task, who is of the right
 *         deployment, whose turn it is in its queue; whether the run is in memory or on disk only.
 * Method: the real partition, queues and hosts; the answers as text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "service/features/queues/queues.h"
#include "service/features/reports/reports.h"
#include "storage/keys.h"
#include "tests/unit/partition/lone_calls.h"
#include "tests/unit/partition/lone_host.h"

#define START_MS ((uint64_t)1800000000000)

enum {
    PERIOD_MS = 4000, /* Shorter than a silent host's lease. */
    MINUTE_MS = 60000,
    QUEUES_MAX = 10000,
    HOUR_MS = 3600000,
};

static struct {
    struct lone_partition lone;
    struct lone_host host;
    struct lone_host other;
    char text[512];
} bed;

static const char *const offers[] = {"workflow:flow", NULL};
static const char *const no_flow[] = {"tool:flow", "workflow:child", NULL};

static void begin_with(size_t waiting_runs_max)
{
    memset(&bed, 0, sizeof(bed));
    lone_init_with(&bed.lone, START_MS,
                   (struct partition_options){.waiting_runs_max = waiting_runs_max});
    bed.lone.leaves_runs_open = true;
}

static void begin(void)
{
    begin_with(0);
}

static void end(void)
{
    lone_fini(&bed.lone);
    lone_host_fini(&bed.host);
    lone_host_fini(&bed.other);
}

static void note(struct request *request, const struct failure *failure)
{
    assert_null(failure);
    const struct run_report *report = report_request(request)->ret;
    int len = snprintf(bed.text, sizeof(bed.text), "%s", report->is_in_memory ? "" : "disk ");
    for (size_t i = 0; i < report->task_count; i++) {
        len += snprintf(bed.text + len, sizeof(bed.text) - (size_t)len, "task %u%s%s ",
                        (unsigned)report->tasks[i].effect,
                        report->tasks[i].has_offer ? " offered" : "",
                        report->tasks[i].is_held_back ? " held back" : "");
    }
    snprintf(bed.text + len, sizeof(bed.text) - (size_t)len, "[" STR_FMT "] " STR_FMT,
             STR_ARG(report->queue), STR_ARG(report->queue_sentence));
    request_free(request);
}

/* As it stands in memory or, with a row, where it need not be read. */
static const char *look_with(uuid run, const struct run_row *row)
{
    struct request *request = request_new(&get_operation);
    request->run = run;
    request->done = note;
    get_request(request)->row = row;
    snprintf(bed.text, sizeof(bed.text), "not answered");
    assert_true(partition_post(bed.lone.partition, request));
    lone_rounds(&bed.lone);
    return bed.text;
}

static const char *look(uuid run)
{
    return look_with(run, NULL);
}

static const char *look_at_row(uuid run)
{
    char key[KEY_BYTES_MAX];
    struct run_row row;
    str value;
    status found = store_get(&bed.lone.store, STORE_RUNS, key_run(key, (struct key_space){0}, run),
                             &bed.lone.arena, &value);
    assert_true(status_is_ok(found));
    assert_true(status_is_ok(codec_decode_row(value, &row)));
    return look_with(run, &row);
}

/* ---- Hosts. ---- */

static void a_task_without_a_host_says_so(void **state)
{
    (void)state;
    begin();
    uuid run = lone_start_flow(&bed.lone, "flow");
    assert_string_equal(look(run), "task 1 [] ");
    lone_host_connect(&bed.other, &bed.lone, "other", no_flow); /* Its tool has the same name. */
    assert_string_equal(look(run), "task 1 [] ");
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    assert_string_equal(look(run), "[] ");
    lone_host_done(&bed.host, lone_host_task(&bed.host), "1");
    assert_string_equal(look(run), "[] ");
    end();
}

/* It stays with the deployment that has begun it, while a host of that is there. */
static void a_run_stays_with_its_deployment(void **state)
{
    (void)state;
    begin();
    bed.host.deployment = "v1";
    bed.other.deployment = "v2";
    bed.host.slots = 1;
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    uuid run = lone_start_flow(&bed.lone, "flow");
    lone_host_request(&bed.host, lone_host_task(&bed.host), "nap",
                      (struct host_step_request){.length_ms = PERIOD_MS});
    lone_host_say(&bed.host, lone_host_task(&bed.host),
                  (struct host_message){.kind = HOST_MESSAGE_PARK});
    assert_string_equal(look(run), "[] ");
    lone_start_flow(&bed.lone, "flow");
    lone_host_connect(&bed.other, &bed.lone, "other", offers);
    lone_advance(&bed.lone, START_MS + PERIOD_MS);
    lone_rounds(&bed.lone);
    assert_string_equal(look(run), "task 1 offered held back [] ");
    assert_string_equal(look_at_row(run), "task 1 offered held back [] ");
    assert_int_equal(bed.other.task_count, 0);
    lone_host_done(&bed.host, lone_host_task(&bed.host), "1");
    assert_int_equal(bed.host.task_count, 3);
    assert_string_equal(look(run), "[] ");
    lone_host_vanish(&bed.host);
    lone_advance(&bed.lone, START_MS + 2 * MINUTE_MS);
    lone_host_connect(&bed.other, &bed.lone, "third", offers);
    assert_int_equal(bed.other.task_count, 1);
    end();
}

static void rows_say_the_same(void **state)
{
    (void)state;
    begin();
    uuid run = lone_start_flow(&bed.lone, "flow");
    lone_advance(&bed.lone, START_MS + HOUR_MS);
    assert_string_equal(look_at_row(run), "disk task 1 [] ");
    lone_host_connect(&bed.other, &bed.lone, "other", no_flow);
    assert_string_equal(look_at_row(run), "disk task 1 [] ");
    end();
}

/* ---- Queues. ---- */

static void put_queue(const char *name, struct queue_limits limits)
{
    struct request *request = request_new(&put_queue_operation);
    put_queue_request(request)->offer =
        (struct queue_offer){.name = str_of(name), .limits = limits};
    lone_ask(&bed.lone, request);
    assert_int_equal(bed.lone.failure.code, CODE_OK);
    request_free(request);
}

static uuid start_in(const char *queue, const char *key)
{
    return lone_start(&bed.lone, (struct run_spec){.kind = RUN_KIND_WORKFLOW,
                                                   .name = STR("flow"),
                                                   .options = {.queue = str_of(queue),
                                                               .concurrency_key = str_of(key)}});
}

static const char *look_at_queue(const char *name)
{
    struct request *request = request_new(&get_queue_operation);
    get_queue_request(request)->name = arena_copy(&request->arena, str_of(name));
    lone_ask(&bed.lone, request);
    if (bed.lone.failure.code != CODE_OK) {
        snprintf(bed.text, sizeof(bed.text), "%s", reason_name(bed.lone.failure.reason));
    } else {
        const struct queue_report *report = &get_queue_request(request)->ret;
        snprintf(bed.text, sizeof(bed.text), "%u/%u/%u per %llu: %u run, %u wait",
                 report->limits.concurrency, report->limits.per_key, report->limits.rate,
                 (unsigned long long)report->limits.rate_period_ms, report->running,
                 report->waiting);
    }
    request_free(request);
    return bed.text;
}

static void who_waits_for_its_turn_says_whose(void **state)
{
    (void)state;
    begin();
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    put_queue("two", (struct queue_limits){.concurrency = 2});
    uuid runs[5];
    for (int i = 0; i < 5; i++) {
        runs[i] = start_in("two", "");
    }
    assert_string_equal(look(runs[0]), "[two] ");
    assert_string_equal(look(runs[2]), "task 1 offered [two] queue two runs 2 of 2; it is next");
    assert_string_equal(look(runs[3]),
                        "task 1 offered [two] queue two runs 2 of 2; 1 is ahead of it");
    assert_string_equal(look(runs[4]),
                        "task 1 offered [two] queue two runs 2 of 2; 2 are ahead of it");
    assert_string_equal(look_at_queue("two"), "2/0/0 per 0: 2 run, 3 wait");
    lone_host_done(&bed.host, bed.host.tasks[0], "1");
    assert_string_equal(look(runs[2]), "[two] ");
    assert_string_equal(look(runs[3]), "task 1 offered [two] queue two runs 2 of 2; it is next");
    lone_cancel(&bed.lone, runs[3]);
    assert_string_equal(look(runs[4]), "task 1 offered [two] queue two runs 2 of 2; it is next");
    assert_string_equal(look_at_queue("two"), "2/0/0 per 0: 2 run, 1 wait");
    lone_advance(&bed.lone, START_MS + HOUR_MS);
    assert_string_equal(look_at_row(runs[4]), "disk task 1 [two] ");
    end();
}

static void limits_of_keys_and_rates_say_so(void **state)
{
    (void)state;
    begin();
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    put_queue("keys", (struct queue_limits){.per_key = 1});
    start_in("keys", "a");
    assert_string_equal(look(start_in("keys", "a")),
                        "task 1 offered [keys] queue keys runs 1 of 1 for key a; it is next");
    assert_string_equal(look(start_in("keys", "b")), "[keys] ");
    start_in("keys", "");
    assert_string_equal(look(start_in("keys", "")),
                        "task 1 offered [keys] queue keys runs 1 of 1 for key ''; it is next");
    put_queue("rate", (struct queue_limits){.rate = 1, .rate_period_ms = PERIOD_MS});
    start_in("rate", "");
    uuid late = start_in("rate", "");
    assert_string_equal(
        look(late), "task 1 offered [rate] queue rate begins 1 runs in 4000 ms; the next may begin "
                    "in 4000 ms; it is next");
    lone_advance(&bed.lone, START_MS + PERIOD_MS - 1);
    assert_string_equal(
        look(late), "task 1 offered [rate] queue rate begins 1 runs in 4000 ms; the next may begin "
                    "in 1 ms; it is next");
    lone_advance(&bed.lone, START_MS + PERIOD_MS);
    lone_rounds(&bed.lone);
    assert_string_equal(look(late), "[rate] ");
    assert_string_equal(look_at_queue("rate"), "0/0/1 per 4000: 2 run, 0 wait");
    assert_string_equal(look_at_queue("none"), "QUEUE_NOT_FOUND");
    end();
}

/* And the last of them can still be changed. */
static void queues_are_limited(void **state)
{
    (void)state;
    begin();
    struct request *request = request_new(&put_queue_operation);
    char name[32];
    for (int i = 0; i <= QUEUES_MAX; i++) {
        snprintf(name, sizeof(name), "queue-%d", i);
        put_queue_request(request)->offer = (struct queue_offer){.name = str_of(name)};
        lone_ask(&bed.lone, request);
        assert_int_equal(bed.lone.failure.reason,
                         i < QUEUES_MAX ? REASON_NONE : REASON_QUEUES_EXHAUSTED);
    }
    request_free(request);
    put_queue("queue-7", (struct queue_limits){.concurrency = 3});
    assert_string_equal(look_at_queue("queue-7"), "3/0/0 per 0: 0 run, 0 wait");
    lone_stop(&bed.lone);
    lone_begin(&bed.lone);
    assert_string_equal(look_at_queue("queue-7"), "3/0/0 per 0: 0 run, 0 wait");
    end();
}

static void a_row_says_whose_turn_it_is(void **state)
{
    (void)state;
    begin_with(1);
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    put_queue("keys", (struct queue_limits){.concurrency = 3, .per_key = 1});
    uuid runs[4];
    for (size_t i = 0; i < COUNT_OF(runs); i++) {
        runs[i] = start_in("keys", "a");
    }
    lone_start_flow(&bed.lone, "nobody"); /* One may stay in memory: that. */
    assert_string_equal(look_at_row(runs[1]),
                        "disk task 1 offered [keys] queue keys runs 1 of 1 for key a; it is next");
    assert_string_equal(
        look_at_row(runs[3]),
        "disk task 1 offered [keys] queue keys runs 1 of 1 for key a; 2 are ahead of it");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_without_a_host_says_so),
        cmocka_unit_test(a_run_stays_with_its_deployment),
        cmocka_unit_test(rows_say_the_same),
        cmocka_unit_test(who_waits_for_its_turn_says_whose),
        cmocka_unit_test(limits_of_keys_and_rates_say_so),
        cmocka_unit_test(a_row_says_whose_turn_it_is),
        cmocka_unit_test(queues_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
