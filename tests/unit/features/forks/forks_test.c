/*
 * Goal:   a fork goes on in pieces: nothing is done for it before it is whole, whatever happens in
 *         between.
 * Method: a run with a long history, put into its journal as its host would have; the rounds of the
 *         real partition over the memory store, one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/sys.h"
#include "service/codec/copy_row.h"
#include "service/features/deletions/deletions.h"
#include "service/features/forks/forks.h"
#include "service/features/queues/queues.h"
#include "service/features/starts/starts.h"
#include "service/partition/runs.h"
#include "storage/keys.h"
#include "tests/unit/partition/lone_partition.h"

enum {
    STEPS = 1000,
    AFTER_SEQ = 900,
    PIECE = 256, /* Records in a round, at most. */
    ROUNDS_MAX = 50,
};

#define START_MS ((uint64_t)1800000000000)

struct bed {
    struct lone_partition lone;
    uuid source;
    uuid copy;
    bool is_answered; /* What was posted and not waited for. */
    enum reason reason;
};

static void put_record(struct bed *bed, struct store_batch *batch, struct run *run,
                       struct command *command)
{
    char key[KEY_BYTES_MAX];
    struct buf record = {0};
    struct decision *decision = xcalloc(1, sizeof(*decision));
    command->now_ms = bed->lone.now_ms;
    assert_int_equal(engine_decide(run, command, decision), VERDICT_OK);
    codec_encode(decision->events, decision->count, run->seq + 1, &record);
    store_batch_put(batch, STORE_JOURNAL,
                    key_journal(key, (struct key_space){0}, bed->source, run->seq + 1),
                    buf_str(&record));
    for (size_t i = 0; i < decision->count; i++) {
        engine_apply(run, &decision->events[i]);
    }
    buf_fini(&record);
    free(decision);
}

/* While the process is away. */
static void put_steps(struct bed *bed, struct run *run)
{
    struct store_batch batch = {0};
    struct command grant = {.kind = COMMAND_LEASE_GRANT,
                            .effect = 1,
                            .lease = {.host_id = STR("h"), .deployment = STR("d")}};
    put_record(bed, &batch, run, &grant);
    for (uint32_t i = 1; i <= STEPS; i++) {
        char key[16];
        int len = snprintf(key, sizeof(key), "s%u", i);
        struct command step = {
            .kind = COMMAND_STEP_DONE,
            .effect = 1,
            .attempt = 1,
            .step = {.number = i,
                     .key = str_make(key, (size_t)len),
                     .outcome = {.value = STR("1")}},
        };
        put_record(bed, &batch, run, &step);
    }
    assert_true(status_is_ok(store_commit(&bed->lone.store, &batch)));
    store_batch_fini(&batch);
}

static struct live_run *run_of(const struct bed *bed, uuid id)
{
    struct live_run *run;
    assert_true(status_is_ok(runs_get(bed->lone.partition, id, &run)));
    return run;
}

static void put_queue(struct bed *bed)
{
    struct request *request = request_new(&put_queue_operation);
    put_queue_request(request)->offer = (struct queue_offer){STR("q"), {.concurrency = 1}};
    lone_ask(&bed->lone, request);
    assert_int_equal(bed->lone.failure.code, CODE_OK);
    request_free(request);
}

static void setup(struct bed *bed)
{
    memset(bed, 0, sizeof(*bed));
    lone_init(&bed->lone, START_MS);
    put_queue(bed);
    struct request *request = request_new(&start_operation);
    start_request(request)->spec = (struct run_spec){.kind = RUN_KIND_WORKFLOW,
                                                     .name = STR("flow"),
                                                     .input = STR("1"),
                                                     .options = {.queue = STR("q")}};
    lone_ask(&bed->lone, request);
    assert_int_equal(bed->lone.failure.code, CODE_OK);
    bed->source = start_request(request)->ret_run;
    request_free(request);
    struct run run = run_of(bed, bed->source)->state;
    lone_stop(&bed->lone);
    put_steps(bed, &run);
    lone_begin(&bed->lone);
}

/* The key finds what it made. */
static void ask_fork(struct bed *bed, enum reason reason)
{
    struct request *request = request_new(&fork_operation);
    request->run = bed->source;
    fork_request(request)->after_seq = AFTER_SEQ;
    fork_request(request)->idempotency_key = STR("once");
    lone_ask(&bed->lone, request);
    assert_int_equal(bed->lone.failure.reason, reason);
    assert_int_equal(fork_request(request)->ret_existed, !uuid_is_zero(bed->copy));
    assert_true(uuid_is_zero(bed->copy) || uuid_equal(bed->copy, request->run));
    bed->copy = request->run;
    request_free(request);
}

/* As events: their kinds, and that each comes after the other. */
static bool check_record(void *context, str key, str value)
{
    (void)key;
    uint32_t *seq = context;
    size_t cursor = 0;
    struct codec_entry entry;
    bool at_end;
    while (status_is_ok(codec_next(value, &cursor, &entry, &at_end)) && !at_end) {
        assert_int_equal(entry.seq, ++*seq);
        bool is_step = entry.seq > 3 && entry.seq <= AFTER_SEQ;
        bool is_end = entry.kind == EVENT_CANCEL_REQUESTED || entry.kind == EVENT_RUN_CANCELLED;
        assert_true(!is_step || is_end || entry.kind == EVENT_STEP_SETTLED);
        assert_true(entry.seq != AFTER_SEQ || entry.time_ms == START_MS);
    }
    return true;
}

static uint32_t seq_on_disk(const struct bed *bed)
{
    char key[KEY_BYTES_MAX];
    uint32_t seq = 0;
    assert_true(status_is_ok(store_scan(&bed->lone.store, STORE_JOURNAL,
                                        key_run(key, (struct key_space){0}, bed->copy), STR_EMPTY,
                                        false, SIZE_MAX, check_record, &seq)));
    return seq;
}

static bool has_copy_row(struct bed *bed)
{
    char key[KEY_BYTES_MAX];
    str row;
    struct index_tail tail = copy_row_tail(bed->copy);
    return status_is_ok(
        store_get(&bed->lone.store, STORE_INDEX,
                  key_index(key, (struct key_space){0}, INDEX_COPY, index_tail_str(&tail)),
                  &bed->lone.arena, &row));
}

static void expect_half(struct bed *bed)
{
    const struct live_run *run = run_of(bed, bed->copy);
    assert_true(run->is_copying && has_copy_row(bed));
    assert_int_equal(run->state.seq, seq_on_disk(bed));
    assert_true(run->state.seq < AFTER_SEQ);
    assert_int_equal(run->row.status, RUN_STATUS_WAITING);
    assert_int_equal(run->row.next_deadline_ms, 0);
}

/* Until it is whole; how many rounds that took. */
static int go_on(struct bed *bed)
{
    int rounds = 0;
    while (run_of(bed, bed->copy)->is_copying) {
        uint32_t before = seq_on_disk(bed);
        assert_true(rounds++ < ROUNDS_MAX);
        partition_round(bed->lone.partition);
        assert_in_range(seq_on_disk(bed), before,
                        before + PIECE + 2); /* And what it begins with. */
    }
    assert_false(has_copy_row(bed));
    return rounds;
}

static void expect_whole(struct bed *bed)
{
    const struct live_run *run = run_of(bed, bed->copy);
    assert_int_equal(seq_on_disk(bed), AFTER_SEQ + 1); /* And that the lease is lost. */
    assert_int_equal(run->state.effects[0].state, EFFECT_READY);
    assert_int_equal(run->state.steps, AFTER_SEQ - 3);
}

static void a_long_history_is_copied_in_pieces(void **state)
{
    (void)state;
    struct bed bed;
    setup(&bed);
    ask_fork(&bed, REASON_NONE);
    expect_half(&bed);
    ask_fork(&bed, REASON_NONE); /* The same run, while it is copied. */
    assert_in_range(go_on(&bed), 1, 1 + AFTER_SEQ / PIECE);
    expect_whole(&bed);
    assert_int_equal(run_of(&bed, bed.source)->state.seq, STEPS + 3);
    lone_fini(&bed.lone);
}

static void a_restart_goes_on_from_what_is_there(void **state)
{
    (void)state;
    struct bed bed;
    setup(&bed);
    ask_fork(&bed, REASON_NONE);
    uint32_t before = seq_on_disk(&bed);
    for (int i = 0; i < 2; i++) {
        lone_stop(&bed.lone);
        lone_begin(&bed.lone);
        expect_half(&bed);
    }
    assert_int_equal(seq_on_disk(&bed), before);
    go_on(&bed);
    expect_whole(&bed);
    lone_fini(&bed.lone);
}

static void noted(struct request *request, const struct failure *failure)
{
    struct bed *bed = request->context;
    bed->is_answered = true;
    bed->reason = failure == NULL ? REASON_NONE : failure->reason;
}

static void what_is_asked_of_it_waits(void **state)
{
    (void)state;
    struct bed bed;
    setup(&bed);
    ask_fork(&bed, REASON_NONE);
    struct request *request = request_new(&retry_operation);
    request->run = bed.copy;
    request->done = noted;
    request->context = &bed;
    assert_true(partition_post(bed.lone.partition, request));
    partition_round(bed.lone.partition);
    expect_half(&bed);
    assert_false(bed.is_answered);
    go_on(&bed);
    partition_round(bed.lone.partition);
    assert_true(bed.is_answered);
    assert_int_equal(bed.reason, REASON_RUN_NOT_FAILED);
    request_free(request);
    lone_fini(&bed.lone);
}

static void ask_deletion(struct bed *bed, uuid run, enum reason reason)
{
    struct request *request = request_new(&delete_operation);
    request->run = run;
    lone_ask(&bed->lone, request);
    assert_int_equal(bed->lone.failure.reason, reason);
    request_free(request);
}

static void its_cancellation_ends_it_where_it_is(void **state)
{
    (void)state;
    struct bed bed;
    setup(&bed);
    ask_fork(&bed, REASON_NONE);
    ask_deletion(&bed, bed.copy, REASON_RUN_NOT_ENDED);
    expect_half(&bed);
    uint32_t before = seq_on_disk(&bed);
    bed.lone.newest = bed.copy;
    lone_cancel_newest(&bed.lone);
    assert_int_equal(run_of(&bed, bed.copy)->state.state, RUN_CANCELLED);
    assert_false(has_copy_row(&bed));
    assert_int_equal(seq_on_disk(&bed), before + 2);
    ask_deletion(&bed, bed.copy, REASON_NONE);
    lone_fini(&bed.lone);
}

/* Its last piece may have been among them: then it stood in its queue already. */
static void lost_pieces_take_no_place(void **state)
{
    (void)state;
    struct bed bed;
    setup(&bed);
    ask_fork(&bed, REASON_NONE);
    for (int rounds = 0; run_of(&bed, bed.copy)->is_copying; rounds++) {
        assert_true(rounds < ROUNDS_MAX);
        bed.lone.fails_commits = true;
        partition_round(bed.lone.partition);
        bed.lone.fails_commits = false;
        expect_half(&bed);
        assert_int_equal(queues_report(bed.lone.partition, STR("q")).waiting, 0);
        partition_round(bed.lone.partition);
    }
    expect_whole(&bed);
    assert_int_equal(queues_report(bed.lone.partition, STR("q")).waiting, 1);
    lone_fini(&bed.lone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_history_is_copied_in_pieces),
        cmocka_unit_test(a_restart_goes_on_from_what_is_there),
        cmocka_unit_test(what_is_asked_of_it_waits),
        cmocka_unit_test(its_cancellation_ends_it_where_it_is),
        cmocka_unit_test(lost_pieces_take_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
