/*
 * Goal:   what is read of a run is that run, whole: a journal with a gap, one that goes on after
 *         its end and another run's set it apart, another run's snapshot is passed over. At a start
 *         all runs are found, however many there are.
 * Method: records are taken out and put elsewhere while the partition is away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/features/deletions/deletions.h"
#include "service/features/reports/reports.h"
#include "tests/unit/partition/lone_calls.h"
#include "tests/unit/partition/lone_host.h"

#define START_MS ((uint64_t)1800000000000)

enum {
    MANY = 1100, /* Runs; more than are read at a time. */
    HELD_MAX = 10,
    TIMEOUT_MS = 60000,
};

static struct {
    struct lone_partition lone;
    struct lone_host host;
    uuid ended;
    uuid waiting;
} bed;

static void begin(struct partition_options limits)
{
    static const char *const offers[] = {"workflow:flow", NULL};
    memset(&bed, 0, sizeof(bed));
    lone_init_with(&bed.lone, START_MS, limits);
    bed.lone.leaves_runs_open = true;
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
}

static void end(void)
{
    lone_fini(&bed.lone);
    lone_host_fini(&bed.host);
}

/* One has ended, at its sixth fact; the other has more of them, and goes on. */
static void start_both(void)
{
    bed.ended = lone_start_flow(&bed.lone, "flow");
    lone_host_done(&bed.host, lone_host_task(&bed.host), "1");
    bed.waiting = lone_start_flow(&bed.lone, "flow");
    for (uint32_t i = 1; i <= 4; i++) {
        lone_host_say(&bed.host, lone_host_task(&bed.host),
                      (struct host_message){.kind = HOST_MESSAGE_STEP_DONE,
                                            .number = i,
                                            .key = STR("k"),
                                            .outcome = {.value = STR("1")}});
    }
    lone_stop(&bed.lone);
}

static str key_of(uuid run, uint32_t seq, char ret[KEY_BYTES_MAX])
{
    return key_journal(ret, (struct key_space){0}, run, seq);
}

static void commit(struct store_batch *batch)
{
    assert_true(status_is_ok(store_commit(&bed.lone.store, batch)));
    store_batch_fini(batch);
}

/* A record of one run at that place of another. */
static void copy_record(uuid from, uuid to, uint32_t seq)
{
    char key[KEY_BYTES_MAX];
    struct store_batch batch = {.count = 0};
    str record;
    assert_true(status_is_ok(store_get(&bed.lone.store, STORE_JOURNAL, key_of(from, seq, key),
                                       &bed.lone.arena, &record)));
    store_batch_put(&batch, STORE_JOURNAL, key_of(to, seq, key), record);
    commit(&batch);
}

static void drop_record(uuid run, uint32_t seq)
{
    char key[KEY_BYTES_MAX];
    struct store_batch batch = {.count = 0};
    store_batch_delete(&batch, STORE_JOURNAL, key_of(run, seq, key));
    commit(&batch);
}

static enum reason cancel(uuid run)
{
    struct request *request = request_new(&cancel_operation);
    request->run = run;
    cancel_request(request)->cause = STR("test");
    lone_begin(&bed.lone);
    lone_rounds(&bed.lone);
    lone_ask(&bed.lone, request);
    request_free(request);
    return bed.lone.failure.reason;
}

static void a_journal_with_a_gap_is_no_run(void **state)
{
    (void)state;
    begin((struct partition_options){0});
    start_both();
    drop_record(bed.waiting, 5);
    assert_int_equal(cancel(bed.waiting), REASON_RUN_UNREADABLE);
    end();
}

static void a_journal_does_not_go_on_after_its_end(void **state)
{
    (void)state;
    begin((struct partition_options){0});
    start_both();
    assert_int_equal(cancel(bed.ended), REASON_RUN_ENDED);
    lone_stop(&bed.lone);
    copy_record(bed.waiting, bed.ended, 6);
    assert_int_equal(cancel(bed.ended), REASON_RUN_UNREADABLE);
    end();
}

static void another_runs_journal_is_no_run(void **state)
{
    (void)state;
    begin((struct partition_options){0});
    start_both();
    for (uint32_t seq = 3; seq <= 7; seq++) {
        drop_record(bed.waiting, seq);
    }
    copy_record(bed.ended, bed.waiting, 1);
    assert_int_equal(cancel(bed.waiting), REASON_RUN_UNREADABLE);
    end();
}

static void another_runs_snapshot_is_passed_over(void **state)
{
    (void)state;
    char key[KEY_BYTES_MAX];
    struct key_space space = {0};
    struct store_batch batch = {.count = 0};
    str snapshot;
    begin((struct partition_options){.snapshot_every = 1});
    start_both();
    assert_true(
        status_is_ok(store_get(&bed.lone.store, STORE_SNAPSHOTS, key_run(key, space, bed.ended),
                               &bed.lone.arena, &snapshot)));
    store_batch_put(&batch, STORE_SNAPSHOTS, key_run(key, space, bed.waiting), snapshot);
    commit(&batch);
    assert_int_equal(cancel(bed.waiting), REASON_NONE);
    assert_int_equal(lone_count(&bed.lone, bed.waiting, EVENT_CANCEL_REQUESTED), 1);
    end();
}

static enum reason delete_run(uuid run)
{
    struct request *request = request_new(&delete_operation);
    request->run = run;
    lone_ask(&bed.lone, request);
    request_free(request);
    enum reason reason = bed.lone.failure.reason;
    lone_rounds(&bed.lone);
    return reason;
}

/* It counts no more among those that keep its root. */
static void a_child_that_cannot_be_read_is_deleted_by_itself(void **state)
{
    (void)state;
    static const struct host_child child = {.kind = RUN_KIND_WORKFLOW, .name = {"nobody", 6}};
    uuid run;
    begin((struct partition_options){0});
    bed.ended = lone_start_flow(&bed.lone, "flow");
    lone_host_start(&bed.host, lone_host_task(&bed.host), "one", &child, 1);
    assert_int_equal(lone_children(&bed.lone, bed.ended, &run, 1), 1);
    lone_host_done(&bed.host, lone_host_task(&bed.host), "1");
    assert_int_equal(delete_run(bed.ended), REASON_RUN_NOT_ENDED);
    assert_int_equal(delete_run(run), REASON_RUN_NOT_ROOT);
    lone_stop(&bed.lone);
    assert_int_equal(lone_rows(&bed.lone, INDEX_TREE), 1);
    copy_record(bed.ended, run, 4); /* Its third is nowhere. */
    assert_int_equal(cancel(run), REASON_RUN_UNREADABLE);
    assert_int_equal(delete_run(run), REASON_NONE);
    assert_int_equal(lone_rows(&bed.lone, INDEX_TREE), 0);
    assert_int_equal(delete_run(bed.ended), REASON_NONE);
    assert_int_equal(delete_run(bed.ended), REASON_RUN_NOT_FOUND);
    end();
}

static void a_deadline_says_what_was_waited_for(void **state)
{
    (void)state;
    begin((struct partition_options){0});
    lone_register(&bed.lone, (struct agent_definition){.id = STR("helper")});
    uuid run = lone_start(&bed.lone, (struct run_spec){.kind = RUN_KIND_AGENT,
                                                       .name = STR("helper"),
                                                       .input = STR("\"hi\""),
                                                       .options = {.timeout_ms = TIMEOUT_MS}});
    lone_advance(&bed.lone, START_MS + TIMEOUT_MS - 1);
    assert_string_equal(lone_why_failed(&bed.lone, run), "");
    lone_advance(&bed.lone, START_MS + TIMEOUT_MS);
    assert_string_equal(lone_why_failed(&bed.lone, run),
                        "the run's deadline passed while the model 'm' was answering, attempt 1");
    assert_int_equal(bed.lone.model_cancels, 1);
    end();
}

static void all_runs_are_found_at_a_start(void **state)
{
    (void)state;
    begin((struct partition_options){0});
    lone_register(&bed.lone, (struct agent_definition){.id = STR("helper")});
    for (size_t i = 0; i < MANY; i++) {
        lone_start(&bed.lone, (struct run_spec){.kind = RUN_KIND_AGENT,
                                                .name = STR("helper"),
                                                .input = STR("\"hi\"")});
    }
    assert_int_equal(bed.lone.model_calls, MANY);
    lone_stop(&bed.lone);
    lone_begin(&bed.lone);
    lone_rounds(&bed.lone);
    assert_int_equal(bed.lone.model_calls, 2 * MANY);
    end();
}

/* No more and no fewer than memory is meant to hold. */
static void who_waits_stays_in_memory_where_there_is_room(void **state)
{
    (void)state;
    struct partition_stats stats;
    begin((struct partition_options){.waiting_runs_max = HELD_MAX});
    partition_stats(bed.lone.partition, &stats);
    uint64_t commits = stats.commits;
    uint64_t stored = stats.store.commits;
    assert_int_equal(stats.hosts.connected, 1);
    for (size_t i = 0; i < HELD_MAX + 2; i++) {
        lone_start_flow(&bed.lone, "nobody");
        partition_stats(bed.lone.partition, &stats);
        assert_int_equal(stats.runs_in_memory, i < HELD_MAX ? i + 1 : HELD_MAX);
        assert_int_equal(stats.commits, commits + i + 1);
        assert_int_equal(stats.store.commits, stored + i + 1);
    }
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_journal_with_a_gap_is_no_run),
        cmocka_unit_test(a_journal_does_not_go_on_after_its_end),
        cmocka_unit_test(another_runs_journal_is_no_run),
        cmocka_unit_test(another_runs_snapshot_is_passed_over),
        cmocka_unit_test(a_child_that_cannot_be_read_is_deleted_by_itself),
        cmocka_unit_test(a_deadline_says_what_was_waited_for),
        cmocka_unit_test(all_runs_are_found_at_a_start),
        cmocka_unit_test(who_waits_stays_in_memory_where_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
