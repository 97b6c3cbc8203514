/*
 * Goal:   numbers, acknowledgements and refusals: what is new is told once, what is repeated is
 *         dropped and acknowledged again, what breaks a rule ends the stream and not the session.
 * Method: one host, message by message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/hosts/leases.h"
#include "service/hosts/window.h"
#include "tests/unit/hosts/fixture.h"

static uint64_t number_of(const struct test_link *link)
{
    return host_session_number(link->link.session);
}

/* Dials again with the session of `link`, and reads the Welcome. */
static const struct wire *dial_again(struct fixture *fixture, const struct test_link *link,
                                     struct test_link *again)
{
    link_init(again);
    assert_int_equal(say_hello(fixture, again, "h", 8, "a", link->wires[0].token, NULL, 0),
                     CODE_OK);
    return link_next(again, SERVER_MESSAGE_WELCOME);
}

static void start(struct fixture *fixture, struct test_link *link)
{
    fixture_init(fixture, NULL);
    connect_host(fixture, link, "h", 8, "a");
    dispatch(fixture, "a", 1, 1);
    link_next(link, SERVER_MESSAGE_TASK);
}

static void acknowledges_in_order_only(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    start(&fixture, &link);
    for (uint64_t seq = 1; seq <= 40; seq++) {
        assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, seq, 1, 1),
                         HOST_RECEIPT_COMMAND);
    }
    hosts_flush(fixture.hosts);
    assert_true(link_is_quiet(&link));
    for (uint64_t seq = 40; seq > 2; seq--) {
        hosts_mark_handled(fixture.hosts, number_of(&link), seq);
    }
    hosts_flush(fixture.hosts);
    assert_true(link_is_quiet(&link));
    hosts_mark_handled(fixture.hosts, number_of(&link), 1);
    hosts_mark_handled(fixture.hosts, number_of(&link), 1);
    hosts_mark_handled(fixture.hosts, number_of(&link), 77);
    hosts_flush(fixture.hosts);
    const struct wire *ack = link_next(&link, SERVER_MESSAGE_ACK);
    assert_int_equal(ack->ack, 1);
    assert_int_equal(ack->seq, 0);
    hosts_mark_handled(fixture.hosts, number_of(&link), 2);
    /* A message that goes out anyway carries it. */
    dispatch(&fixture, "a", 2, 1);
    assert_int_equal(link_next(&link, SERVER_MESSAGE_TASK)->ack, 40);
    hosts_flush(fixture.hosts);
    assert_true(link_is_quiet(&link));
    fixture_fini(&fixture);
}

static void drops_repetitions(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    start(&fixture, &link);
    receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, 1, 1, 1);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, 1, 1, 1), HOST_RECEIPT_DROP);
    hosts_mark_handled(fixture.hosts, number_of(&link), 1);
    hosts_flush(fixture.hosts);
    assert_int_equal(link_next(&link, SERVER_MESSAGE_ACK)->ack, 1);
    /* The acknowledgement was lost, say: it is sent again. */
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, 1, 1, 1), HOST_RECEIPT_DROP);
    hosts_flush(fixture.hosts);
    assert_int_equal(link_next(&link, SERVER_MESSAGE_ACK)->ack, 1);
    fixture_fini(&fixture);
}

static void ends_streams_that_break_rules(void **state)
{
    (void)state;
    static const struct {
        struct host_message message;
        const char *reason;
    } rows[] = {
        {{.seq = 3, .kind = HOST_MESSAGE_HEARTBEAT}, "SEQUENCE_GAP"},
        {{.seq = UINT64_MAX, .kind = HOST_MESSAGE_STEP_DONE}, "SEQUENCE_GAP"},
        {{.kind = HOST_MESSAGE_STEP_DONE}, "UNNUMBERED"},
        {{.kind = HOST_MESSAGE_TASK_DONE}, "UNNUMBERED"},
        {{.kind = HOST_MESSAGE_STEP_REQUEST}, "UNNUMBERED"},
        {{.kind = HOST_MESSAGE_PARK}, "UNNUMBERED"},
        {{.kind = HOST_MESSAGE_DRAIN}, "UNNUMBERED"},
        {{.ack = 2, .kind = HOST_MESSAGE_HEARTBEAT}, "ACK_BEYOND"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fixture fixture;
        struct test_link link;
        struct test_link again;
        start(&fixture, &link);
        receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, 1, 1, 1);
        assert_int_equal(
            hosts_receive(fixture.hosts, link.link.session, &rows[i].message, fixture.now_ms),
            HOST_RECEIPT_CLOSED);
        assert_true(link.is_closed);
        assert_null(link.link.session);
        assert_int_equal(link.code, CODE_FAILED_PRECONDITION);
        assert_string_equal(link.reason, rows[i].reason);
        assert_true(strlen(link.text) > 30);
        assert_null(dispatch(&fixture, "a", 2, 1));
        /* The session goes on where it was. */
        assert_true(dial_again(&fixture, &link, &again)->resumed);
        assert_int_equal(receive(&fixture, &again, HOST_MESSAGE_STEP_DONE, 2, 1, 1),
                         HOST_RECEIPT_COMMAND);
        assert_int_equal(fixture.lost_count, 0);
        fixture_fini(&fixture);
    }
}

static void too_many_open(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link again;
    start(&fixture, &link);
    for (uint64_t seq = 1; seq <= WINDOW_MAX; seq++) {
        assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, seq, 1, 1),
                         HOST_RECEIPT_COMMAND);
    }
    uint64_t number = number_of(&link);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, WINDOW_MAX + 1, 1, 1),
                     HOST_RECEIPT_CLOSED);
    assert_int_equal(link.code, CODE_RESOURCE_EXHAUSTED);
    hosts_mark_handled(fixture.hosts, number, 1);
    assert_int_equal(dial_again(&fixture, &link, &again)->ack, 0); /* The task comes first. */
    assert_int_equal(receive(&fixture, &again, HOST_MESSAGE_STEP_DONE, WINDOW_MAX + 1, 1, 1),
                     HOST_RECEIPT_COMMAND);
    fixture_fini(&fixture);
}

static void refuses_answers_for_what_is_not_held(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link other;
    uint64_t seq = 0;
    start(&fixture, &link);
    struct host_session *session = link.link.session;
    connect_host(&fixture, &other, "i", 1, "b");
    dispatch(&fixture, "b", 2, 1);
    hosts_reserve(fixture.hosts, session, task_number(3), 1);
    static const struct {
        uint32_t task;
        uint32_t epoch;
    } rows[] = {{1, 2}, {1, 0}, {2, 1}, {3, 1}, {4, 1}};
    static const enum host_message_kind kinds[] = {HOST_MESSAGE_STEP_DONE,
                                                   HOST_MESSAGE_STEP_REQUEST,
                                                   HOST_MESSAGE_TASK_DONE, HOST_MESSAGE_PARK};
    for (size_t i = 0; i < COUNT_OF(rows) * COUNT_OF(kinds); i++) {
        uint32_t task = rows[i / COUNT_OF(kinds)].task;
        uint32_t epoch = rows[i / COUNT_OF(kinds)].epoch;
        seq++;
        assert_int_equal(receive(&fixture, &link, kinds[i % COUNT_OF(kinds)], seq, task, epoch),
                         HOST_RECEIPT_DROP);
        const struct wire *refused = link_next(&link, SERVER_MESSAGE_REFUSED);
        assert_string_equal(refused->reason, "STALE_EPOCH");
        assert_int_equal(refused->refused_seq, seq);
        assert_int_equal(refused->ack, seq);
        assert_int_equal(refused->seq, 1 + seq);
        assert_true(refused->has_task);
        assert_true(task_ref_equal(refused->task.task, task_number(task)));
    }
    hosts_flush(fixture.hosts);
    assert_true(link_is_quiet(&link));
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        assert_int_equal(receive(&fixture, &link, kinds[i], ++seq, 1, 1), HOST_RECEIPT_COMMAND);
    }
    fixture_fini(&fixture);
}

static void refuses_what_is_wrong_in_itself(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    static const enum host_message_kind kinds[] = {HOST_MESSAGE_STEP_DONE,
                                                   HOST_MESSAGE_STEP_REQUEST};
    start(&fixture, &link);
    for (uint64_t seq = 1; seq <= COUNT_OF(kinds); seq++) {
        struct host_message message = host_says(kinds[seq - 1], seq, 1, 1);
        message.fault = STR("order.sleep.until_ms: it is required");
        assert_int_equal(hosts_receive(fixture.hosts, link.link.session, &message, fixture.now_ms),
                         HOST_RECEIPT_DROP);
        const struct wire *refused = link_next(&link, SERVER_MESSAGE_REFUSED);
        assert_string_equal(refused->reason, "INVALID_FIELD");
        assert_string_equal(refused->text, "order.sleep.until_ms: it is required");
        assert_int_equal(refused->refused_seq, seq);
        assert_int_equal(refused->ack, seq);
        assert_true(task_ref_equal(refused->task.task, task_number(1)));
    }
    /* The stream and the task go on. */
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_TASK_DONE, 3, 1, 1),
                     HOST_RECEIPT_COMMAND);
    fixture_fini(&fixture);
}

static void send_outcome(struct fixture *fixture, uint32_t task, const char *key)
{
    struct outcome outcome = {.value = STR("{\"n\": 1}")};
    hosts_send_outcome(fixture->hosts, task_number(task), str_of(key), SETTLED_SLEEP, &outcome, 0);
}

static void outcomes_are_kept_until_acknowledged(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link again;
    start(&fixture, &link);
    struct host_session *session = link.link.session;
    send_outcome(&fixture, 1, "first");
    const struct wire *outcome = link_next(&link, SERVER_MESSAGE_OUTCOME);
    assert_int_equal(outcome->seq, 2);
    assert_true(task_ref_equal(outcome->task.task, task_number(1)));
    assert_string_equal(outcome->text, "first");
    assert_string_equal(outcome->value, "{\"n\": 1}");
    acknowledge(&fixture, &link, 2);
    /* Of nobody's task, and of one that will bring it along when it is given. */
    hosts_reserve(fixture.hosts, session, task_number(2), 1);
    send_outcome(&fixture, 2, "along");
    send_outcome(&fixture, 999, "nobody's");
    assert_true(link_is_quiet(&link));
    send_outcome(&fixture, 1, "second");
    disconnect(&fixture, &link);
    send_outcome(&fixture, 1, "third");
    dial_again(&fixture, &link, &again);
    outcome = link_next(&again, SERVER_MESSAGE_OUTCOME);
    assert_int_equal(outcome->seq, 3);
    assert_string_equal(outcome->text, "second");
    outcome = link_next(&again, SERVER_MESSAGE_OUTCOME);
    assert_int_equal(outcome->seq, 4);
    assert_string_equal(outcome->text, "third");
    assert_true(link_is_quiet(&again));
    fixture_fini(&fixture);
}

/* Ten messages for a stream that takes none, then some, then breaks: each comes once, in order. */
static void is_fed_as_it_reads(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link again;
    start(&fixture, &link);
    link.is_full = true;
    for (int i = 0; i < 10; i++) {
        send_outcome(&fixture, 1, "owed");
    }
    hosts_flush(fixture.hosts);
    assert_true(link_is_quiet(&link));
    assert_false(link.is_closed);
    hosts_writable(fixture.hosts, link.link.session);
    assert_true(link_is_quiet(&link));
    link.is_full = false;
    hosts_writable(fixture.hosts, link.link.session);
    for (uint64_t seq = 2; seq <= 11; seq++) {
        assert_int_equal(link_next(&link, SERVER_MESSAGE_OUTCOME)->seq, seq);
    }
    hosts_flush(fixture.hosts);
    link_next(&link, SERVER_MESSAGE_ACK);
    acknowledge(&fixture, &link, 5);
    assert_true(link_is_quiet(&link));
    disconnect(&fixture, &link);
    dial_again(&fixture, &link, &again);
    for (uint64_t seq = 6; seq <= 11; seq++) {
        assert_int_equal(link_next(&again, SERVER_MESSAGE_OUTCOME)->seq, seq);
    }
    assert_true(link_is_quiet(&again));
    fixture_fini(&fixture);
}

/* Three pieces of two facts each. */
static bool three_pieces(void *context, struct facts_cursor *cursor, struct host_facts *ret)
{
    (void)context;
    *ret = (struct host_facts){
        .task = cursor->task, .epoch = cursor->epoch, .first = cursor->told, .count = 2};
    cursor->told += 2;
    ret->is_last = cursor->told == 6;
    return true;
}

/* The second of them cannot be read. */
static bool one_piece(void *context, struct facts_cursor *cursor, struct host_facts *ret)
{
    return cursor->told == 0 && three_pieces(context, cursor, ret);
}

static void begin_pieces_by(struct fixture *fixture, struct test_link *link,
                            bool (*read)(void *context, struct facts_cursor *cursor,
                                         struct host_facts *ret))
{
    fixture_init(fixture, &(struct hosts_options){.read_facts = read});
    connect_host(fixture, link, "h", 8, "a");
    dispatch(fixture, "a", 1, 1);
    link_next(link, SERVER_MESSAGE_TASK);
    hosts_send_facts(fixture->hosts, task_number(1),
                     (struct facts_cursor){.task = task_number(1), .until = 9});
    send_outcome(fixture, 1, "behind");
    assert_int_equal(link_next(link, SERVER_MESSAGE_OUTCOME)->seq, 2);
}

static void begin_pieces(struct fixture *fixture, struct test_link *link)
{
    begin_pieces_by(fixture, link, three_pieces);
}

static void expect_pieces(struct test_link *link, uint32_t from)
{
    for (uint32_t first = from; first < 6; first += 2) {
        assert_int_equal(link_next(link, SERVER_MESSAGE_FACTS)->first, first);
    }
    assert_string_equal(link_next(link, SERVER_MESSAGE_OUTCOME)->text, "behind");
    assert_true(link_is_quiet(link));
}

/* They come as the stream has room, before what was sent later, and all again on a new stream. */
static void pieces_follow_their_message(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link again;
    begin_pieces(&fixture, &link);
    link.is_full = true;
    hosts_flush(fixture.hosts);
    assert_int_equal(link_next(&link, SERVER_MESSAGE_FACTS)->first, 0);
    assert_true(link_is_quiet(&link));
    assert_false(hosts_owe_pieces(fixture.hosts));
    link.is_full = false;
    hosts_writable(fixture.hosts, link.link.session);
    assert_true(hosts_owe_pieces(fixture.hosts));
    hosts_flush(fixture.hosts);
    link_next(&link, SERVER_MESSAGE_ACK);
    expect_pieces(&link, 2);
    assert_false(hosts_owe_pieces(fixture.hosts));
    acknowledge(&fixture, &link, 1);
    disconnect(&fixture, &link);
    dial_again(&fixture, &link, &again);
    assert_int_equal(link_next(&again, SERVER_MESSAGE_OUTCOME)->seq, 2);
    hosts_flush(fixture.hosts);
    expect_pieces(&again, 0);
    acknowledge(&fixture, &again, 3);
    fixture_fini(&fixture);
}

/* Nobody waits for the rest of a task that is the host's no more, or that was acknowledged. */
/* Its stream breaks before they are told. */
static void pieces_wait_for_their_stream(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    begin_pieces(&fixture, &link);
    disconnect(&fixture, &link);
    assert_false(hosts_owe_pieces(fixture.hosts));
    hosts_flush(fixture.hosts);
    fixture_fini(&fixture);
}

/* Those of an earlier attempt, which its host has no more. */
static void pieces_are_of_their_attempt(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    begin_pieces(&fixture, &link);
    hosts_release(fixture.hosts, task_number(1));
    dispatch(&fixture, "a", 1, 2);
    hosts_flush(fixture.hosts);
    assert_true(link_is_quiet(&link) || link.wires[link.read].kind != SERVER_MESSAGE_FACTS);
    fixture_fini(&fixture);
}

static void pieces_end_with_their_task(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    begin_pieces(&fixture, &link);
    hosts_release(fixture.hosts, task_number(1));
    hosts_flush(fixture.hosts);
    expect_pieces(&link, 6);
    fixture_fini(&fixture);
    begin_pieces(&fixture, &link);
    acknowledge(&fixture, &link, 2);
    hosts_flush(fixture.hosts);
    expect_pieces(&link, 6);
    fixture_fini(&fixture);
}

/* Else it would work on, in a slot that has something else by then. */
static void who_cannot_be_told_the_rest_is_stopped(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    begin_pieces_by(&fixture, &link, one_piece);
    hosts_flush(fixture.hosts);
    assert_int_equal(link_next(&link, SERVER_MESSAGE_FACTS)->first, 0);
    assert_string_equal(link_next(&link, SERVER_MESSAGE_OUTCOME)->text, "behind");
    const struct wire *stop = link_next(&link, SERVER_MESSAGE_STOP);
    assert_int_equal(stop->task.epoch, 1);
    assert_int_equal(stop->stop, STOP_LEASE_LOST);
    assert_true(link_is_quiet(&link));
    assert_int_equal(fixture_stats(&fixture).held, 0);
    assert_false(hosts_owe_pieces(fixture.hosts));
    fixture_fini(&fixture);
}

/* What the hello says was handled is not told again. */
static void a_hello_acknowledges_pieces(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link again;
    begin_pieces(&fixture, &link);
    hosts_flush(fixture.hosts);
    expect_pieces(&link, 0);
    disconnect(&fixture, &link);
    fixture.hello_ack = 3;
    dial_again(&fixture, &link, &again);
    hosts_flush(fixture.hosts);
    assert_true(link_is_quiet(&again));
    fixture_fini(&fixture);
}

/* A host that can't be sent more is acknowledged what it said as soon as it can. */
static void acknowledges_once_there_is_room(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    start(&fixture, &link);
    link.is_full = true;
    receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, 1, 1, 1);
    hosts_mark_handled(fixture.hosts, number_of(&link), 1);
    hosts_flush(fixture.hosts);
    assert_true(link_is_quiet(&link));
    link.is_full = false;
    hosts_writable(fixture.hosts, link.link.session);
    hosts_flush(fixture.hosts);
    assert_int_equal(link_next(&link, SERVER_MESSAGE_ACK)->ack, 1);
    assert_true(link_is_quiet(&link));
    fixture_fini(&fixture);
}

static void the_engine_refuses(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link again;
    struct task_ref task = task_number(1);
    start(&fixture, &link);
    uint64_t number = number_of(&link);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, seq, 1, 1);
    }
    hosts_refuse(fixture.hosts, number, 2, REASON_STEP_GAP, STR("A step is missing."), &task);
    const struct wire *refused = link_next(&link, SERVER_MESSAGE_REFUSED);
    assert_int_equal(refused->refused_seq, 2);
    assert_int_equal(refused->ack, 0);
    assert_string_equal(refused->text, "A step is missing.");
    hosts_refuse(fixture.hosts, number, 2, REASON_STEP_GAP, STR("Twice."), NULL); /* Handled. */
    assert_true(link_is_quiet(&link));
    disconnect(&fixture, &link);
    /* Refused and handled while the host is away: it hears of both. */
    hosts_refuse(fixture.hosts, number, 1, REASON_STEP_GAP, STR("x"), NULL);
    hosts_mark_handled(fixture.hosts, number, 3);
    hosts_flush(fixture.hosts);
    assert_int_equal(dial_again(&fixture, &link, &again)->ack,
                     0); /* Not ahead of what comes again. */
    link_next(&again, SERVER_MESSAGE_TASK);
    assert_int_equal(link_next(&again, SERVER_MESSAGE_REFUSED)->refused_seq, 2);
    assert_int_equal(link_next(&again, SERVER_MESSAGE_REFUSED)->refused_seq, 1);
    assert_true(link_is_quiet(&again));
    assert_int_equal(receive(&fixture, &again, HOST_MESSAGE_STEP_DONE, 3, 1, 1), HOST_RECEIPT_DROP);
    hosts_flush(fixture.hosts);
    assert_int_equal(link_next(&again, SERVER_MESSAGE_ACK)->ack, 3);
    fixture_fini(&fixture);
}

static void forgets_what_was_not_durable(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link again;
    start(&fixture, &link);
    uint64_t number = number_of(&link);
    for (uint64_t seq = 1; seq <= 4; seq++) {
        receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, seq, 1, 1);
    }
    hosts_mark_handled(fixture.hosts, number, 3);
    hosts_forget(fixture.hosts, number, 2);
    assert_true(link.is_closed);
    assert_int_equal(link.code, CODE_UNAVAILABLE);
    hosts_forget(fixture.hosts, number, 2);
    hosts_forget(fixture.hosts, number, 4);
    hosts_refuse(fixture.hosts, number, 4, REASON_STEP_GAP, STR("x"),
                 NULL); /* Not open any more. */
    assert_int_equal(dial_again(&fixture, &link, &again)->ack, 0);
    const enum host_receipt receipts[] = {HOST_RECEIPT_DROP, HOST_RECEIPT_COMMAND,
                                          HOST_RECEIPT_DROP, HOST_RECEIPT_COMMAND,
                                          HOST_RECEIPT_COMMAND};
    for (uint64_t seq = 1; seq <= 5; seq++) {
        assert_int_equal(receive(&fixture, &again, HOST_MESSAGE_STEP_DONE, seq, 1, 1),
                         receipts[seq - 1]);
        hosts_mark_handled(fixture.hosts, number, seq);
    }
    link_next(&again, SERVER_MESSAGE_TASK);
    hosts_flush(fixture.hosts);
    assert_int_equal(link_next(&again, SERVER_MESSAGE_ACK)->ack, 5);
    fixture_fini(&fixture);
}

static void shows_deltas_of_held_tasks(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    start(&fixture, &link);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_DELTA, 0, 1, 1), HOST_RECEIPT_SHOW);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_DELTA, 0, 1, 2), HOST_RECEIPT_DROP);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_DELTA, 0, 2, 1), HOST_RECEIPT_DROP);
    hosts_flush(fixture.hosts);
    assert_true(link_is_quiet(&link));
    fixture_fini(&fixture);
}

static void host_drains(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link again;
    start(&fixture, &link);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_DRAIN, 1, 0, 0), HOST_RECEIPT_DROP);
    hosts_flush(fixture.hosts);
    assert_int_equal(link_next(&link, SERVER_MESSAGE_ACK)->ack, 1);
    assert_null(dispatch(&fixture, "a", 2, 1));
    assert_true(hosts_is_offered(fixture.hosts, TASK_TOOL, STR("a")));
    disconnect(&fixture, &link);
    dial_again(&fixture, &link, &again);
    assert_null(dispatch(&fixture, "a", 2, 1));
    hosts_release(fixture.hosts, task_number(1));
    disconnect(&fixture, &again);
    assert_int_equal(fixture_stats(&fixture).sessions, 0); /* Nothing to come back for. */
    assert_false(hosts_is_offered(fixture.hosts, TASK_TOOL, STR("a")));
    assert_int_equal(fixture.lost_count, 0);
    fixture_fini(&fixture);
}

static void host_gives_all_back(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    start(&fixture, &link);
    struct host_message message = host_says(HOST_MESSAGE_DRAIN, 1, 0, 0);
    message.releases_all = true;
    uint32_t held = (uint32_t)fixture_stats(&fixture).held;
    assert_int_equal(hosts_receive(fixture.hosts, link.link.session, &message, fixture.now_ms),
                     HOST_RECEIPT_DROP);
    assert_int_equal(fixture.lost_count, held);
    assert_true(held > 0 && fixture.lost[0].is_excused);
    assert_int_equal(fixture_stats(&fixture).held, 0);
    assert_false(link.is_closed);
    /* What it says of them now does not count. */
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, 2, 1, 1), HOST_RECEIPT_DROP);
    assert_string_equal(link_next(&link, SERVER_MESSAGE_REFUSED)->reason, "STALE_EPOCH");
    fixture_fini(&fixture);
}

static void server_drains(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link other;
    struct test_link again;
    struct test_link late;
    start(&fixture, &link);
    connect_host(&fixture, &other, "i", 1, "a");
    disconnect(&fixture, &other);
    hosts_drain(fixture.hosts, "shutting down");
    const struct wire *drain = link_next(&link, SERVER_MESSAGE_DRAIN);
    assert_string_equal(drain->text, "shutting down");
    assert_int_equal(drain->seq, 2);
    assert_null(dispatch(&fixture, "a", 2, 1));
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_TASK_DONE, 1, 1, 1),
                     HOST_RECEIPT_COMMAND);
    disconnect(&fixture, &link);
    dial_again(&fixture, &link, &again);
    link_next(&again, SERVER_MESSAGE_TASK);
    link_next(&again, SERVER_MESSAGE_DRAIN);
    assert_true(link_is_quiet(&again)); /* Said once, sent again. */
    connect_host(&fixture, &late, "j", 1, "a");
    link_next(&late, SERVER_MESSAGE_DRAIN);
    assert_null(dispatch(&fixture, "a", 2, 1));
    fixture_fini(&fixture);
}

static void host_that_does_not_acknowledge(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    uint32_t given = 0;
    fixture_init(&fixture, NULL);
    connect_host(&fixture, &link, "h", 8, "a");
    while (dispatch(&fixture, "a", ++given, 1) != NULL) {
        hosts_release(fixture.hosts, task_number(given));
        assert_true(given < 1000);
    }
    assert_int_equal(given - 1, 8 * 2 + 64);
    acknowledge(&fixture, &link, 1);
    assert_non_null(dispatch(&fixture, "a", given, 1));
    acknowledge(&fixture, &link, 1); /* Again: no harm. */
    fixture_fini(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledges_in_order_only),
        cmocka_unit_test(drops_repetitions),
        cmocka_unit_test(ends_streams_that_break_rules),
        cmocka_unit_test(too_many_open),
        cmocka_unit_test(refuses_answers_for_what_is_not_held),
        cmocka_unit_test(refuses_what_is_wrong_in_itself),
        cmocka_unit_test(outcomes_are_kept_until_acknowledged),
        cmocka_unit_test(is_fed_as_it_reads),
        cmocka_unit_test(pieces_follow_their_message),
        cmocka_unit_test(pieces_wait_for_their_stream),
        cmocka_unit_test(pieces_are_of_their_attempt),
        cmocka_unit_test(pieces_end_with_their_task),
        cmocka_unit_test(who_cannot_be_told_the_rest_is_stopped),
        cmocka_unit_test(a_hello_acknowledges_pieces),
        cmocka_unit_test(acknowledges_once_there_is_room),
        cmocka_unit_test(the_engine_refuses),
        cmocka_unit_test(forgets_what_was_not_durable),
        cmocka_unit_test(shows_deltas_of_held_tasks),
        cmocka_unit_test(host_drains),
        cmocka_unit_test(host_gives_all_back),
        cmocka_unit_test(server_drains),
        cmocka_unit_test(host_that_does_not_acknowledge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
