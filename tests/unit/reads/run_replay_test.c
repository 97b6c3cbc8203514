/*
 * Goal: whoever follows a run is shown its facts in order, from where it is, a small page a step;
 *       it can stop them at any fact; a run that has ended is known to have, and no other.
 * Method: runs written by hand, replays of them that note what they are shown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/reads/run_replay.h"
#include "tests/unit/reads/shelf.h"

enum {
    RECORDS = 30,
    STATE_BYTES = 50000,
};

static const uuid run_id = {.bytes = {9, 9, 9}};

struct noted {
    uint32_t from;
    uint32_t last;
    uint32_t stop_at; /* It takes no more then. */
} noted;

static bool note(struct run_replay *replay, const struct codec_entry *entry,
                 const struct event *event)
{
    (void)replay, (void)event;
    noted.from = noted.from == 0 ? entry->seq : noted.from;
    assert_true(noted.last == 0 || entry->seq == noted.last + 1);
    noted.last = entry->seq;
    return noted.stop_at == 0 || entry->seq < noted.stop_at;
}

/* Its first record has two facts, each other one a fact of STATE_BYTES. */
static void put_run(struct shelf *shelf, bool ends, struct run *run)
{
    static char state_json[STATE_BYTES];
    memset(state_json, '1', sizeof(state_json));
    struct event begin[2] = {
        {.kind = EVENT_RUN_STARTED,
         .time_ms = 5,
         .run_started = {.id = run_id,
                         .spec = {.kind = RUN_KIND_WORKFLOW,
                                  .name = STR("flow"),
                                  .input = STR("null"),
                                  .root = run_id,
                                  .turns_max = 1}}},
        {.kind = EVENT_TASK_REQUESTED,
         .effect = 1,
         .task_requested = {.kind = EFFECT_BODY, .name = STR("flow")}},
    };
    engine_init(run);
    shelf_put(shelf, run, begin, 2);
    struct event lease = {.kind = EVENT_LEASE_GRANTED, .effect = 1, .attempt = 1};
    shelf_put(shelf, run, &lease, 1);
    for (uint32_t i = 1; i <= RECORDS; i++) {
        struct event step = {.kind = EVENT_STEP_SETTLED, .effect = 1, .attempt = 1};
        step.step_settled.number = i;
        step.step_settled.key = STR("key");
        step.step_settled.outcome.value = str_make(state_json, sizeof(state_json));
        shelf_put(shelf, run, &step, 1);
    }
    if (ends) {
        struct event settled = {.kind = EVENT_TASK_SETTLED, .effect = 1, .attempt = 1};
        struct event end = {.kind = EVENT_RUN_COMPLETED};
        end.run_completed.stop_reason = STR("end");
        shelf_put(shelf, run, &settled, 1);
        shelf_put(shelf, run, &end, 1);
    }
    shelf_put_row(shelf, run, "flow");
}

static struct run_replay *replay(struct shelf *shelf, uint32_t seq, uint32_t stop_at)
{
    struct read *read = read_new(&run_replay_kind);
    noted = (struct noted){.stop_at = stop_at};
    read->run = run_id;
    run_replay(read)->seq = seq;
    run_replay(read)->show = note;
    shelf_read(shelf, read);
    return run_replay(read);
}

static void facts_come_in_small_pages(void **state)
{
    (void)state;
    for (int ends = 0; ends < 2; ends++) {
        struct shelf shelf;
        struct run run;
        shelf_init(&shelf);
        put_run(&shelf, ends == 1, &run);
        struct run_replay *it = replay(&shelf, 0, 0);
        assert_int_equal(shelf.failure.code, CODE_OK);
        assert_int_equal(noted.from, 1);
        assert_int_equal(noted.last, run.seq);
        assert_int_equal(it->seq, run.seq);
        assert_false(it->ret_full);
        assert_int_equal(it->ret_ended, ends == 1);
        assert_in_range(shelf.steps, RECORDS * STATE_BYTES / (128 << 10), RECORDS);
        read_free(&it->read);
        shelf_fini(&shelf);
    }
}

static void it_goes_on_from_any_fact(void **state)
{
    (void)state;
    struct shelf shelf;
    struct run run;
    shelf_init(&shelf);
    put_run(&shelf, true, &run);
    for (uint32_t seq = 1; seq < run.seq; seq++) {
        struct run_replay *it = replay(&shelf, seq, 0);
        assert_int_equal(noted.from, seq + 1);
        assert_int_equal(noted.last, run.seq);
        assert_true(it->ret_ended);
        read_free(&it->read);
    }
    struct run_replay *it = replay(&shelf, run.seq, 0);
    assert_int_equal(noted.last, 0); /* Nothing lies behind. */
    assert_true(it->ret_ended);
    read_free(&it->read);
    shelf_fini(&shelf);
}

static void it_stops_where_it_is_told(void **state)
{
    (void)state;
    struct shelf shelf;
    struct run run;
    shelf_init(&shelf);
    put_run(&shelf, true, &run);
    for (uint32_t at = 1; at <= run.seq; at++) {
        struct run_replay *it = replay(&shelf, 0, at);
        assert_int_equal(noted.last, at);
        assert_int_equal(it->seq, at);
        assert_true(it->ret_full);
        assert_false(it->ret_ended); /* Even after the last: it has to take that first. */
        read_free(&it->read);
    }
    shelf_fini(&shelf);
}

static void what_is_not_there_is_refused(void **state)
{
    (void)state;
    struct shelf shelf;
    struct run run;
    shelf_init(&shelf);
    struct run_replay *it = replay(&shelf, 0, 0);
    assert_int_equal(shelf.failure.code, CODE_NOT_FOUND);
    assert_int_equal(shelf.failure.reason, REASON_RUN_NOT_FOUND);
    read_free(&it->read);
    put_run(&shelf, true, &run);
    it = replay(&shelf, run.seq + 1, 0);
    assert_int_equal(shelf.failure.code, CODE_OUT_OF_RANGE);
    assert_int_equal(shelf.failure.reason, REASON_POSITION_AHEAD);
    assert_true(str_is(shelf.failure.field, "position"));
    read_free(&it->read);
    shelf_fini(&shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_come_in_small_pages),
        cmocka_unit_test(it_goes_on_from_any_fact),
        cmocka_unit_test(it_stops_where_it_is_told),
        cmocka_unit_test(what_is_not_there_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
