/*
 * Goal:   a run whose code does not fit its history is tried again by itself after a while, and at
 *         once when other code dials in; one whose history gets too large, or is damaged, ends or
 *         rests by itself.
 * Method: the real partition with small limits; a host that does as the test says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/engine/engine.h"
#include "tests/unit/partition/lone_calls.h"
#include "tests/unit/partition/lone_host.h"

#define START_MS ((uint64_t)1800000000000)

enum {
    HISTORY_MAX = 4000,
    STEP_BYTES = 1000,
    DAY_MS = 24 * 3600 * 1000,
};

static struct {
    struct lone_partition lone;
    struct lone_host host;
    struct lone_host next;
    struct lone_host stranger;
    uuid run;
} bed;

static const char *const offers[] = {"workflow:flow", NULL};
static const char *const others[] = {"workflow:other", "tool:flow", NULL};

static void begin(void)
{
    memset(&bed, 0, sizeof(bed));
    lone_init_with(
        &bed.lone, START_MS,
        (struct partition_options){.history_bytes_max = HISTORY_MAX, .waiting_runs_max = 1});
    bed.lone.leaves_runs_open = true;
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    bed.run = lone_start(&bed.lone, (struct run_spec){.kind = RUN_KIND_WORKFLOW,
                                                      .name = STR("flow"),
                                                      .options = {.max_retries = 1}});
    lone_host_told(&bed.host);
}

static void end(void)
{
    lone_fini(&bed.lone);
    lone_host_fini(&bed.host);
    lone_host_fini(&bed.next);
    lone_host_fini(&bed.stranger);
}

static void mismatch(void)
{
    lone_host_failed(&bed.host, lone_host_task(&bed.host), ENGINE_NON_DETERMINISM, false);
}

/* ---- Code that does not fit. ---- */

static void other_code_is_tried_at_once(void **state)
{
    (void)state;
    begin();
    mismatch();
    assert_string_equal(lone_host_told(&bed.host), "");
    lone_host_connect(&bed.stranger, &bed.lone, "stranger", others); /* Does not offer it. */
    assert_string_equal(lone_host_told(&bed.stranger), "welcome\n");
    bed.next.deployment = "v2";
    lone_host_connect(&bed.next, &bed.lone, "next", offers);
    assert_string_equal(lone_host_told(&bed.next), "welcome\n"
                                                   "task flow 2 null\n");
    assert_string_equal(lone_journal(&bed.lone, bed.run, &bed.run, 1),
                        "RUN_STARTED flow null root=#1\n"
                        "TASK_REQUESTED 1\n"
                        "LEASE_GRANTED 1\n"
                        "TASK_FAILED 1 error=NON_DETERMINISM\n"
                        "TASK_REQUEUED 1\n"
                        "LEASE_GRANTED 1\n");
    lone_host_done(&bed.next, lone_host_task(&bed.next), "1");
    assert_int_equal(lone_count(&bed.lone, bed.run, EVENT_RUN_COMPLETED), 1);
    end();
}

static void it_is_tried_by_itself(void **state)
{
    (void)state;
    begin();
    mismatch();
    lone_stop(&bed.lone); /* Nobody remembers that it waits for code. */
    lone_begin(&bed.lone);
    lone_advance(&bed.lone, START_MS + DAY_MS);
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    assert_string_equal(lone_host_told(&bed.host), "welcome\n"
                                                   "task flow 2 null\n");
    end();
}

/* Each is called once, whichever it is of those that stopped. */
static void all_that_stopped_are_called(void **state)
{
    (void)state;
    uuid runs[4];
    begin();
    runs[0] = bed.run;
    for (size_t i = 1; i < COUNT_OF(runs); i++) {
        runs[i] = lone_start_flow(&bed.lone, "flow");
    }
    for (size_t i = 0; i < COUNT_OF(runs); i++) {
        lone_host_failed(&bed.host, bed.host.tasks[i], ENGINE_NON_DETERMINISM, false);
    }
    lone_cancel(&bed.lone, runs[1]); /* That one is over. */
    lone_host_told(&bed.host);
    bed.next.deployment = "v2";
    lone_host_connect(&bed.next, &bed.lone, "next", offers);
    assert_int_equal(bed.next.task_count, COUNT_OF(runs) - 1);
    for (size_t i = 0; i < COUNT_OF(runs); i++) {
        assert_int_equal(lone_count(&bed.lone, runs[i], EVENT_LEASE_GRANTED), i == 1 ? 1 : 2);
    }
    end();
}

/* The first of them cannot be read for a while. */
static void who_cannot_be_read_is_called_later(void **state)
{
    (void)state;
    begin();
    mismatch();
    lone_start_flow(&bed.lone, "nobody"); /* The one that may stay in memory. */
    lone_rounds(&bed.lone);
    bed.next.deployment = "v2";
    bed.lone.read_failure = CODE_UNAVAILABLE;
    bed.lone.unread = STORE_JOURNAL;
    lone_host_connect(&bed.next, &bed.lone, "next", offers);
    bed.lone.read_failure = CODE_OK;
    lone_advance(&bed.lone, bed.lone.now_ms + 1000);
    lone_rounds(&bed.lone);
    assert_int_equal(bed.next.task_count, 1);
    end();
}

/* ---- Histories. ---- */

static void grow(uint32_t number)
{
    static char text[STEP_BYTES + 1];
    memset(text, '1', STEP_BYTES);
    lone_host_say(&bed.host, lone_host_task(&bed.host),
                  (struct host_message){.kind = HOST_MESSAGE_STEP_DONE,
                                        .number = number,
                                        .key = STR("k"),
                                        .outcome = {.value = str_of(text)}});
}

static void a_history_may_not_grow_for_ever(void **state)
{
    (void)state;
    begin();
    for (uint32_t i = 1; i <= 3; i++) {
        grow(i);
    }
    assert_int_equal(lone_count(&bed.lone, bed.run, EVENT_RUN_FAILED), 0);
    grow(4);
    assert_string_equal(lone_journal(&bed.lone, bed.run, &bed.run, 1),
                        "RUN_STARTED flow null root=#1\n"
                        "TASK_REQUESTED 1\n"
                        "LEASE_GRANTED 1\n"
                        "STEP_SETTLED 1\n"
                        "STEP_SETTLED 1\n"
                        "STEP_SETTLED 1\n"
                        "STEP_SETTLED 1\n"
                        "RUN_FAILED reason=HISTORY_TOO_LARGE\n");
    end();
}

/* It has grown in a server that allowed more. */
static void a_large_history_is_found_at_the_start(void **state)
{
    (void)state;
    begin();
    grow(1);
    grow(2);
    lone_stop(&bed.lone);
    bed.lone.options.history_bytes_max = STEP_BYTES;
    lone_begin(&bed.lone);
    lone_rounds(&bed.lone);
    assert_int_equal(lone_count(&bed.lone, bed.run, EVENT_RUN_FAILED), 1);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_code_is_tried_at_once),
        cmocka_unit_test(it_is_tried_by_itself),
        cmocka_unit_test(all_that_stopped_are_called),
        cmocka_unit_test(who_cannot_be_read_is_called_later),
        cmocka_unit_test(a_history_may_not_grow_for_ever),
        cmocka_unit_test(a_large_history_is_found_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
