/*
 * Goal:   a run of any size is read in pages of bounded bytes, its history as a whole and its
 * newest facts from the end; what a read holds of it is bounded too. Method: runs of 300 steps of 1
 * MB, and agents of many turns, put on a shelf record by record.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/agents/transcript.h"
#include "service/reads/history.h"
#include "service/reads/run_read.h"
#include "tests/unit/reads/shelf.h"

enum {
    STEPS = 300,
    LARGE = 1000000,
    TURNS = 40,
    TURN_BYTES = 200000,
};

static const uuid id = {{1, 2, 3}};

static char *filled(struct shelf *shelf, size_t bytes)
{
    char *text = arena_alloc(&shelf->arena, bytes);
    memset(text, 'x', bytes);
    text[0] = text[bytes - 1] = '"';
    return text;
}

static void start(struct shelf *shelf, struct run *state, enum run_kind kind, str code_state)
{
    struct event events[] = {
        {.kind = EVENT_RUN_STARTED,
         .time_ms = 5,
         .run_started = {.id = id,
                         .spec = {.kind = kind,
                                  .name = STR("flow"),
                                  .input = STR("null"),
                                  .options.state.json = code_state,
                                  .root = id,
                                  .turns_max = 100}}},
        kind == RUN_KIND_AGENT
            ? (struct event){.kind = EVENT_MODEL_REQUESTED, .effect = 1, .attempt = 1}
            : (struct event){.kind = EVENT_TASK_REQUESTED,
                             .effect = 1,
                             .task_requested = {.kind = EFFECT_BODY, .name = STR("flow")}},
    };
    engine_init(state);
    shelf_put(shelf, state, events, COUNT_OF(events));
}

static void lease(struct shelf *shelf, struct run *state)
{
    struct event event = {
        .kind = EVENT_LEASE_GRANTED,
        .effect = 1,
        .attempt = 1,
        .lease_granted = {.host_id = STR("host-1"), .deployment = STR("v1")},
    };
    shelf_put(shelf, state, &event, 1);
}

static void put_steps(struct shelf *shelf, struct run *state, str code_state_at_half)
{
    str value = str_make(filled(shelf, LARGE), LARGE);
    for (uint32_t i = 1; i <= STEPS; i++) {
        struct event event = {
            .kind = EVENT_STEP_SETTLED,
            .effect = 1,
            .attempt = 1,
            .step_settled = {.number = i, .key = STR("s"), .outcome = {.value = value}},
        };
        event.step_settled.state.json = i == STEPS / 2 ? code_state_at_half : STR_EMPTY;
        shelf_put(shelf, state, &event, 1);
    }
}

static void large_histories_are_read_in_pages(void **unused)
{
    (void)unused;
    struct shelf shelf;
    struct run state;
    uint32_t next = 1;
    size_t pages = 0;
    shelf_init(&shelf);
    start(&shelf, &state, RUN_KIND_WORKFLOW, STR_EMPTY);
    lease(&shelf, &state);
    put_steps(&shelf, &state, STR_EMPTY);
    shelf_put_row(&shelf, &state, "flow");
    while (next != 0) {
        struct read *read = read_new(&history_kind);
        read->run = id;
        history_read(read)->from_seq = next;
        history_read(read)->limit = 1000;
        shelf_read(&shelf, read);
        assert_int_equal(shelf.failure.code, CODE_OK);
        assert_true(history_read(read)->ret_count > 0);
        assert_true(read->arena.bytes < 4 << 20);
        next = history_read(read)->ret_next;
        pages++;
        read_free(read);
    }
    assert_true(pages >= STEPS - 3 && pages <= STEPS + 3);
    struct read *read = read_new(&history_kind); /* Backwards: a page of the newest. */
    read->run = id;
    history_read(read)->from_seq = UINT32_MAX;
    history_read(read)->backwards = true;
    history_read(read)->limit = 1000;
    shelf_read(&shelf, read);
    assert_int_equal(shelf.failure.code, CODE_OK);
    assert_true(history_read(read)->ret_count > 0 && history_read(read)->ret_count < 5);
    assert_true(read->arena.bytes < 4 << 20);
    read_free(read);
    shelf_fini(&shelf);
}

static void put_try(struct shelf *shelf, struct run *state, uint32_t number, const char *key)
{
    struct event event = {
        .kind = EVENT_STEP_TRIED,
        .time_ms = 5000 + number,
        .effect = 1,
        .attempt = 1,
        .step_tried = {.number = number,
                       .key = str_of(key),
                       .try_number = number,
                       .retry_at_ms = 9000 + number,
                       .outcome = {.failed = true, .error_message = STR("no card")}},
    };
    shelf_put(shelf, state, &event, 1);
}

static void steps_between_their_tries_are_told(void **unused)
{
    (void)unused;
    struct shelf shelf;
    struct run state;
    shelf_init(&shelf);
    start(&shelf, &state, RUN_KIND_WORKFLOW, STR_EMPTY);
    lease(&shelf, &state);
    put_try(&shelf, &state, 1, "old"); /* More than so many records ago. */
    for (uint32_t i = 2; i < RUN_TRIED_RECORDS + 2; i++) {
        put_try(&shelf, &state, i, i % 2 == 0 ? "a" : "b");
    }
    shelf_put_row(&shelf, &state, "flow");
    struct read *read = read_new(&run_kind);
    read->run = id;
    shelf_read(&shelf, read);
    run_read_live(run_read(read), &state, 0);
    shelf_read(&shelf, read);
    const struct run_facts *facts = &run_read(read)->ret;
    assert_int_equal(facts->tried_count, 2);
    assert_true(str_is(facts->tried[0].key, "b") && str_is(facts->tried[1].key, "a"));
    assert_int_equal(facts->tried[0].try_number, RUN_TRIED_RECORDS + 1);
    assert_int_equal(facts->tried[0].retry_at_ms, 9001 + RUN_TRIED_RECORDS);
    assert_true(str_is(facts->tried[0].failure, "no card"));
    read_free(read);
    shelf_fini(&shelf);
}

static void histories_end(void **unused)
{
    (void)unused;
    struct shelf shelf;
    struct run state;
    shelf_init(&shelf);
    start(&shelf, &state, RUN_KIND_WORKFLOW, STR_EMPTY);
    shelf_put_row(&shelf, &state, "flow");
    static const struct {
        uuid run;
        uint32_t from;
        enum code code;
        size_t count;
    } cases[] = {
        {{{1, 2, 3}}, 2, CODE_OK, 1}, /* It stands in the record of the first. */
        {{{1, 2, 3}}, 3, CODE_OK, 0},
        {{{9}}, 1, CODE_NOT_FOUND, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct read *read = read_new(&history_kind);
        read->run = cases[i].run;
        history_read(read)->from_seq = cases[i].from;
        history_read(read)->limit = 10;
        shelf_read(&shelf, read);
        assert_int_equal(shelf.failure.code, cases[i].code);
        if (cases[i].count > 0) {
            assert_true(history_read(read)->ret_count >= cases[i].count);
        }
        assert_int_equal(history_read(read)->ret_next, 0);
        read_free(read);
    }
    shelf_fini(&shelf);
}

static struct run_read *read_run(struct shelf *shelf)
{
    struct read *read = read_new(&run_kind);
    read->run = id;
    shelf_read(shelf, read);
    assert_int_equal(shelf->failure.code, CODE_OK);
    return run_read(read);
}

/* Its state is folded from the journal, but its steps are read once and none of them is kept. */
static void a_large_run_is_read(void **unused)
{
    (void)unused;
    struct shelf shelf;
    struct run state;
    shelf_init(&shelf);
    start(&shelf, &state, RUN_KIND_WORKFLOW, STR_EMPTY);
    lease(&shelf, &state);
    put_steps(&shelf, &state, STR("{\"half\":true}"));
    shelf_put_row(&shelf, &state, "flow");
    struct run_read *read = read_run(&shelf);
    assert_true(read->needs_live);
    run_read_live(read, NULL, 0);
    shelf_read(&shelf, &read->read);
    assert_int_equal(shelf.failure.code, CODE_OK);
    assert_memory_equal(&read->ret.state, &state, sizeof(state));
    assert_true(str_is(read->ret.name, "flow"));
    assert_true(str_is(read->ret.state_json, "{\"half\":true}"));
    assert_true(str_is(read->ret.deployment, "v1"));
    assert_true(str_is(read->ret.hosts[0], "host-1"));
    assert_true(str_is(read->ret.effect_names[0], "flow"));
    assert_int_equal(read->ret.record_count, 2);
    assert_true(read->read.arena.bytes < 4 << 20);
    read_free(&read->read);
    /* With its state told, nothing is read that is not looked for. */
    read = read_run(&shelf);
    state.code_state = CODE_STATE_NONE;
    state.effect_count = 0;
    run_read_live(read, &state, 77);
    shelf_read(&shelf, &read->read);
    assert_true(shelf.steps <= 3);
    assert_int_equal(read->ret.history_bytes, 77); /* As the partition told. */
    assert_true(str_is(read->ret.deployment, "v1"));
    read_free(&read->read);
    shelf_fini(&shelf);
}

static void put_turn(struct shelf *shelf, struct run *state, str text, bool is_last)
{
    const struct model_block block = {.kind = MODEL_BLOCK_TEXT, .text = text};
    struct model_reply reply = {.blocks = &block, .block_count = 1, .model = STR("m")};
    struct buf packed = {0};
    uint32_t effect = state->effects[0].id;
    transcript_pack_reply(&reply, STR("scripted/m"), &packed);
    struct event events[] = {
        {.kind = EVENT_MODEL_REPLIED,
         .effect = effect,
         .attempt = 1,
         .model_replied = {.reply = buf_str(&packed),
                           .stop = is_last ? REPLY_STOP_END : REPLY_STOP_PAUSE}},
        is_last ? (struct event){.kind = EVENT_RUN_COMPLETED}
                : (struct event){.kind = EVENT_MODEL_REQUESTED, .effect = effect + 1, .attempt = 1},
    };
    shelf_put(shelf, state, events, COUNT_OF(events));
    buf_fini(&packed);
}

/* The newest turns, up to 2 MiB of them; the older ones are only counted. */
static void an_agents_newest_turns_are_read(void **unused)
{
    (void)unused;
    struct shelf shelf;
    struct run state;
    shelf_init(&shelf);
    start(&shelf, &state, RUN_KIND_AGENT, STR_EMPTY);
    for (int i = 0; i < TURNS; i++) {
        put_turn(&shelf, &state, str_make(filled(&shelf, TURN_BYTES), TURN_BYTES), i + 1 == TURNS);
    }
    shelf_put_row(&shelf, &state, "flow");
    struct run_read *read = read_run(&shelf);
    assert_false(read->needs_live); /* It has ended: the store has it all. */
    assert_memory_equal(&read->ret.state, &state, sizeof(state));
    size_t kept = 1 + RUN_TURNS_BYTES / TURN_BYTES;
    assert_true(read->ret.record_count >= kept && read->ret.record_count <= kept + 1);
    assert_true(read->read.arena.bytes < 8 << 20);
    read_free(&read->read);
    shelf_fini(&shelf);
}

static void no_run(void **unused)
{
    (void)unused;
    struct shelf shelf;
    shelf_init(&shelf);
    struct read *read = read_new(&run_kind);
    read->run = id;
    shelf_read(&shelf, read);
    assert_int_equal(shelf.failure.code, CODE_NOT_FOUND);
    assert_int_equal(shelf.failure.reason, REASON_RUN_NOT_FOUND);
    read_free(read);
    shelf_fini(&shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_histories_are_read_in_pages),  cmocka_unit_test(histories_end),
        cmocka_unit_test(steps_between_their_tries_are_told), cmocka_unit_test(a_large_run_is_read),
        cmocka_unit_test(an_agents_newest_turns_are_read),    cmocka_unit_test(no_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
