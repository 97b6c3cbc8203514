/*
 * Goal:   what a host says first is checked field by field, and brings back exactly what is its
 *         own: by token, by host id after the token was lost, after a restart of the server.
 * Method: hosts and links of the fixture; every message that went out is read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/hosts/fixture.h"

static void refuses_what_is_wrong(void **state)
{
    (void)state;
    struct hosts_options limits = {.slots_max = 4, .offers_max = 3};
    char long_name[130] = {0};
    char pair[300];
    static const struct held_task five[5];
    struct fixture fixture;
    struct test_link link;
    memset(long_name, 'x', 129);
    snprintf(pair, sizeof(pair), "a,@%s", long_name);
    fixture_init(&fixture, &limits);
    link_init(&link);
    const struct {
        const char *host_id;
        uint32_t slots;
        const char *offers;
        size_t held_count;
        const char *field;
    } rows[] = {
        {"", 1, "a", 0, "hello.host_id"},
        {long_name, 1, "a", 0, "hello.host_id"},
        {"h", 0, "a", 0, "hello.slots"},
        {"h", 5, "a", 0, "hello.slots"},
        {"h", 1, "a,b,c,d", 0, "hello.offers.tools"},
        {"h", 1, "a,b c", 0, "hello.offers.tools[1].id"},
        {"h", 1, "a,,b", 0, "hello.offers.tools[1].id"},
        {"h", 1, "a,@b,a", 0, "hello.offers.tools[1].id"},
        {"h", 1, "a,b.c", 0, "hello.offers.tools[1].id"}, /* No model can be told of it. */
        {"h", 1, long_name + 129 - 65, 0, "hello.offers.tools[0].id"},
        {"h", 1, "@a,a,@a", 0, "hello.offers.workflows[1].id"},
        {"h", 1, pair, 0, "hello.offers.workflows[0].id"},
        {"h", 1, "a", 5, "hello.held"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(say_hello(&fixture, &link, rows[i].host_id, rows[i].slots, rows[i].offers,
                                   "", five, rows[i].held_count),
                         CODE_INVALID_ARGUMENT);
        assert_string_equal(fixture.field, rows[i].field);
        assert_true(strlen(fixture.why) > 20);
    }
    assert_int_equal(link.count, 0);
    assert_false(hosts_is_offered(fixture.hosts, TASK_TOOL, STR("a")));
    assert_int_equal(fixture_stats(&fixture).sessions, 0);
    long_name[128] = '\0'; /* 128 bytes are fine, and a tool and a workflow may share a name. */
    assert_int_equal(say_hello(&fixture, &link, long_name, 4, "a,@a", "", five, 4), CODE_OK);
    assert_int_equal(link_next(&link, SERVER_MESSAGE_WELCOME)->lost_count, 4);
    fixture_fini(&fixture);
}

static void refuses_a_long_deployment_and_a_second_hello(void **state)
{
    (void)state;
    char long_name[129];
    struct fixture fixture;
    struct test_link link;
    struct host_session *session;
    struct host_hello hello = {.host_id = STR("h"), .slots = 1};
    memset(long_name, 'x', sizeof(long_name));
    fixture_init(&fixture, NULL);
    link_init(&link);
    hello.deployment = str_make(long_name, sizeof(long_name));
    status refused =
        hosts_hello(fixture.hosts, &link.link, &hello, 1, &fixture.arena, &fixture.field, &session);
    assert_int_equal(refused.code, CODE_INVALID_ARGUMENT);
    assert_string_equal(fixture.field, "hello.deployment");
    hello.deployment.len = 128;
    refused =
        hosts_hello(fixture.hosts, &link.link, &hello, 1, &fixture.arena, &fixture.field, &session);
    assert_int_equal(refused.code, CODE_OK);
    assert_int_equal(say_hello(&fixture, &link, "h", 1, "a", "", NULL, 0),
                     CODE_FAILED_PRECONDITION);
    assert_string_equal(fixture.field, "hello");
    assert_int_equal(fixture_stats(&fixture).connected, 0); /* The caller closes the link. */
    fixture_fini(&fixture);
}

/* A callback is offered as its agent's. */
static void callbacks_are_named_by_their_agent(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_fine;
    } rows[] = {
        {"agent/on_start.check.0", true},
        {"check", false},
        {"/check", false},
        {"agent/", false},
        {"a/b/c", false},
        {"a b/c", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fixture fixture;
        struct test_link link;
        struct host_session *session;
        struct host_offer offer = {TASK_CALLBACK, str_of(rows[i].name)};
        struct host_hello hello = {
            .host_id = STR("h"), .slots = 1, .offers = &offer, .offer_count = 1};
        fixture_init(&fixture, NULL);
        link_init(&link);
        status heard = hosts_hello(fixture.hosts, &link.link, &hello, 1, &fixture.arena,
                                   &fixture.field, &session);
        assert_int_equal(heard.code, rows[i].is_fine ? CODE_OK : CODE_INVALID_ARGUMENT);
        assert_int_equal(hosts_is_offered(fixture.hosts, TASK_CALLBACK, offer.name),
                         rows[i].is_fine);
        if (!rows[i].is_fine) {
            assert_string_equal(fixture.field, "hello.offers.callbacks[0].callback");
        }
        fixture_fini(&fixture);
    }
}

static void welcomes(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link other;
    fixture_init(&fixture, NULL);
    link_init(&link);
    assert_int_equal(say_hello(&fixture, &link, "h", 2, "a", "no such session", NULL, 0), CODE_OK);
    const struct wire *welcome = link_next(&link, SERVER_MESSAGE_WELCOME);
    assert_int_equal(welcome->seq, 0);
    assert_int_equal(welcome->lease_ms, LEASE_MS);
    assert_int_equal(welcome->heartbeat_ms, LEASE_MS / 3);
    assert_int_equal(strlen(welcome->token), 32);
    assert_int_equal(strspn(welcome->token, "0123456789abcdef"), 32);
    assert_false(welcome->resumed);
    assert_true(str_is(host_session_host_id(link.link.session), "h"));
    struct host_session *second = connect_host(&fixture, &other, "i", 2, "a");
    assert_string_not_equal(other.wires[0].token, welcome->token);
    assert_int_not_equal(host_session_number(second), host_session_number(link.link.session));
    assert_true(link_is_quiet(&link));
    fixture_fini(&fixture);
}

static void resumes_by_token(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link again;
    struct held_task held[] = {held_number(1, 1), held_number(2, 7), held_number(9, 1)};
    fixture_init(&fixture, NULL);
    struct host_session *session = connect_host(&fixture, &link, "h", 4, "a");
    assert_ptr_equal(dispatch(&fixture, "a", 1, 1), session);
    assert_ptr_equal(dispatch(&fixture, "a", 2, 1), session);
    acknowledge(&fixture, &link, 1);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, 1, 1, 1),
                     HOST_RECEIPT_COMMAND);
    disconnect(&fixture, &link);
    hosts_mark_handled(fixture.hosts, host_session_number(session), 1);
    hosts_stop(fixture.hosts, task_number(2), STOP_RUN_ENDED);
    link_init(&again);
    fixture.now_ms += LEASE_MS - 1;
    assert_int_equal(say_hello(&fixture, &again, "h", 4, "a", link.wires[0].token, held, 3),
                     CODE_OK);
    assert_ptr_equal(again.link.session, session);
    const struct wire *welcome = link_next(&again, SERVER_MESSAGE_WELCOME);
    assert_true(welcome->resumed);
    assert_int_equal(welcome->ack, 0); /* Task 2 was sent before the step settled. */
    assert_string_equal(welcome->token, link.wires[0].token);
    assert_int_equal(welcome->lost_count, 2);
    assert_true(task_ref_equal(welcome->lost[0].task, task_number(2)));
    assert_int_equal(welcome->lost[0].epoch, 7);
    assert_true(task_ref_equal(welcome->lost[1].task, task_number(9)));
    /* Again, in order, what was not acknowledged; task 1 was. */
    assert_int_equal(link_next(&again, SERVER_MESSAGE_TASK)->seq, 2);
    const struct wire *cancel = link_next(&again, SERVER_MESSAGE_STOP);
    assert_int_equal(cancel->seq, 3);
    assert_int_equal(cancel->stop, STOP_RUN_ENDED);
    assert_true(link_is_quiet(&again));
    hosts_flush(fixture.hosts);
    assert_true(link_is_quiet(&again));
    assert_int_equal(fixture.lost_count, 0);
    /* Numbering goes on both ways. */
    assert_int_equal(receive(&fixture, &again, HOST_MESSAGE_STEP_DONE, 1, 1, 1), HOST_RECEIPT_DROP);
    assert_int_equal(receive(&fixture, &again, HOST_MESSAGE_STEP_DONE, 2, 1, 1),
                     HOST_RECEIPT_COMMAND);
    assert_ptr_equal(dispatch(&fixture, "a", 3, 1), session);
    assert_int_equal(link_next(&again, SERVER_MESSAGE_TASK)->seq, 4);
    fixture_fini(&fixture);
}

static void resuming_takes_over(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link again;
    struct host_hello hello = {.host_id = STR("h"), .slots = 4};
    struct host_session *ret;
    fixture_init(&fixture, NULL);
    struct host_session *session = connect_host(&fixture, &link, "h", 4, "a");
    dispatch(&fixture, "a", 1, 1);
    dispatch(&fixture, "a", 2, 1);
    link_init(&again);
    hello.session = str_of(link.wires[0].token);
    hello.ack = 3;
    status refused = hosts_hello(fixture.hosts, &again.link, &hello, fixture.now_ms, &fixture.arena,
                                 &fixture.field, &ret);
    assert_int_equal(refused.code, CODE_INVALID_ARGUMENT);
    assert_string_equal(fixture.field, "ack");
    assert_false(link.is_closed);
    hello.ack = 1;
    assert_int_equal(hosts_hello(fixture.hosts, &again.link, &hello, fixture.now_ms, &fixture.arena,
                                 &fixture.field, &ret)
                         .code,
                     CODE_OK);
    assert_true(link.is_closed);
    assert_int_equal(link.code, CODE_ABORTED);
    assert_non_null(strstr(link.text, "superseded"));
    assert_ptr_equal(again.link.session, session);
    link_next(&again, SERVER_MESSAGE_WELCOME);
    assert_int_equal(link_next(&again, SERVER_MESSAGE_TASK)->seq, 2);
    assert_int_equal(fixture_stats(&fixture).connected, 1);
    /* It offers what the new hello says. */
    assert_false(hosts_is_offered(fixture.hosts, TASK_TOOL, STR("a")));
    hosts_flush(fixture.hosts);
    fixture_fini(&fixture);
}

static void token_of_another_host(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link thief;
    fixture_init(&fixture, NULL);
    connect_host(&fixture, &link, "h", 4, "a");
    link_init(&thief);
    assert_int_equal(say_hello(&fixture, &thief, "i", 4, "a", link.wires[0].token, NULL, 0),
                     CODE_INVALID_ARGUMENT);
    assert_string_equal(fixture.field, "hello.host_id");
    assert_false(link.is_closed);
    assert_int_equal(fixture_stats(&fixture).connected, 1);
    fixture_fini(&fixture);
}

static void host_id_that_is_alive(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link other;
    fixture_init(&fixture, NULL);
    connect_host(&fixture, &link, "h", 4, "a");
    link_init(&other);
    assert_int_equal(say_hello(&fixture, &other, "h", 4, "a", "", NULL, 0), CODE_ALREADY_EXISTS);
    assert_string_equal(fixture.field, "hello.host_id");
    assert_non_null(strstr(fixture.why, "Another process has the host id \"h\""));
    assert_int_equal(
        say_hello(&fixture, &other, "h", 4, "a", "0123456789abcdef0123456789abcdef", NULL, 0),
        CODE_ALREADY_EXISTS);
    assert_false(link.is_closed);
    fixture_fini(&fixture);
}

static void host_id_whose_stream_is_gone(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link again;
    struct held_task held[] = {held_number(1, 1)};
    fixture_init(&fixture, NULL);
    struct host_session *session = connect_host(&fixture, &link, "h", 5, "a");
    uint64_t number = host_session_number(session);
    dispatch(&fixture, "a", 1, 1);
    disconnect(&fixture, &link);
    /* Who has not its token may not have its tasks, nor send them elsewhere. */
    link_init(&again);
    assert_int_equal(say_hello(&fixture, &again, "h", 5, "a", "", held, COUNT_OF(held)),
                     CODE_ALREADY_EXISTS);
    assert_string_equal(fixture.field, "hello.host_id");
    assert_int_equal(fixture.lost_count, 0);
    /* Once it holds nothing, there is nothing to be taken. */
    hosts_release(fixture.hosts, task_number(1));
    hosts_reserve(fixture.hosts, session, task_number(4), 1);
    hosts_release(fixture.hosts, task_number(4));
    assert_int_equal(say_hello(&fixture, &again, "h", 5, "a", "", held, COUNT_OF(held)), CODE_OK);
    const struct wire *welcome = link_next(&again, SERVER_MESSAGE_WELCOME);
    assert_false(welcome->resumed);
    assert_int_equal(welcome->ack, 0);
    assert_string_not_equal(welcome->token, link.wires[0].token);
    assert_int_equal(welcome->lost_count, 1);
    assert_int_equal(fixture_stats(&fixture).held, 0);
    assert_int_equal(fixture_stats(&fixture).sessions, 1);
    /* The old session is over: its gift does nothing, and nothing stale counts. */
    hosts_give(fixture.hosts, session, &(struct host_task){.task = task_number(4), .epoch = 1});
    hosts_reserve(fixture.hosts, session, task_number(6), 1);
    hosts_mark_handled(fixture.hosts, number, 1);
    hosts_mark_settled(fixture.hosts, number, 1);
    hosts_refuse(fixture.hosts, number, 1, REASON_STEP_GAP, STR("x"), NULL);
    hosts_forget(fixture.hosts, number, 1);
    hosts_flush(fixture.hosts);
    assert_true(link_is_quiet(&again));
    assert_int_equal(fixture_stats(&fixture).held, 0);
    /* Numbering starts at 1, and the old token is worth nothing. */
    dispatch(&fixture, "a", 7, 1);
    assert_int_equal(link_next(&again, SERVER_MESSAGE_TASK)->seq, 1);
    assert_int_equal(receive(&fixture, &again, HOST_MESSAGE_STEP_DONE, 1, 7, 1),
                     HOST_RECEIPT_COMMAND);
    fixture_fini(&fixture);
}

/* The numbers of the tasks that changed over, in a string of digits. */
static const char *taken_over(struct fixture *fixture)
{
    static char digits[16];
    size_t count = 0;
    struct task_ref task;
    while (hosts_next_taken_over(fixture->hosts, &task)) {
        assert_true(task.effect < 10 && count + 1 < sizeof(digits));
        digits[count++] = (char)('0' + task.effect);
    }
    digits[count] = '\0';
    return digits;
}

static void tells_what_changed_over(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link links[2];
    struct held_task held[] = {held_number(3, 1), held_number(1, 1), held_number(2, 1)};
    struct outcome outcome = {.value = STR("null")};
    fixture_init(&fixture, NULL);
    hosts_expect(fixture.hosts, task_number(3), 1, host_hash_of(STR("h")), fixture.now_ms);
    /* What an expected host has to know waits until it has come. */
    hosts_send_outcome(fixture.hosts, task_number(3), STR("k"), SETTLED_SLEEP, &outcome, 0);
    hosts_interrupt(fixture.hosts, task_number(3), 1000);
    link_init(&links[0]);
    assert_int_equal(say_hello(&fixture, &links[0], "h", 5, "a", "", held, 1), CODE_OK);
    assert_string_equal(taken_over(&fixture), "3");
    assert_string_equal(taken_over(&fixture), "");
    dispatch(&fixture, "a", 1, 1);
    dispatch(&fixture, "a", 2, 1);
    dispatch(&fixture, "a", 4, 1);
    /* The session goes on: nothing of it was lost on the way. */
    disconnect(&fixture, &links[0]);
    link_init(&links[1]);
    assert_int_equal(say_hello(&fixture, &links[1], "h", 5, "a", links[0].wires[0].token, held, 3),
                     CODE_OK);
    assert_string_equal(taken_over(&fixture), "");
    hosts_send_outcome(fixture.hosts, task_number(2), STR("k"), SETTLED_SLEEP, &outcome, 0);
    link_next(&links[1], SERVER_MESSAGE_WELCOME);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        assert_int_equal(link_next(&links[1], SERVER_MESSAGE_TASK)->seq, seq);
    }
    assert_int_equal(link_next(&links[1], SERVER_MESSAGE_OUTCOME)->seq, 4);
    fixture_fini(&fixture);
}

/* What released it was never committed: its host is not told, and goes on. In another epoch, or
 * without the session, it is expected as after a restart. */
static void what_was_released_for_nothing_stays(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    uint64_t host = host_hash_of(STR("h"));
    fixture_init(&fixture, NULL);
    connect_host(&fixture, &link, "h", 1, "a");
    dispatch(&fixture, "a", 1, 2);
    hosts_release(fixture.hosts, task_number(1));
    hosts_expect(fixture.hosts, task_number(1), 2, host, fixture.now_ms);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, 1, 1, 2),
                     HOST_RECEIPT_COMMAND);
    hosts_release(fixture.hosts, task_number(1));
    hosts_expect(fixture.hosts, task_number(1), 3, host, fixture.now_ms);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, 2, 1, 3), HOST_RECEIPT_DROP);
    fixture_fini(&fixture);
}

/* Its slot was given to another task meanwhile. */
static void what_was_released_stays_where_a_slot_is_free(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    uint64_t host = host_hash_of(STR("h"));
    fixture_init(&fixture, NULL);
    connect_host(&fixture, &link, "h", 1, "a");
    dispatch(&fixture, "a", 1, 2);
    hosts_release(fixture.hosts, task_number(1));
    dispatch(&fixture, "a", 2, 1);
    hosts_expect(fixture.hosts, task_number(1), 2, host, fixture.now_ms);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, 1, 1, 2), HOST_RECEIPT_DROP);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, 2, 2, 1),
                     HOST_RECEIPT_COMMAND);
    fixture_fini(&fixture);
}

/* Each task that is found says that its host may still come. */
static void an_expected_host_has_a_lease_from_its_last_task_on(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t host = host_hash_of(STR("h"));
    fixture_init(&fixture, NULL);
    hosts_expect(fixture.hosts, task_number(1), 1, host, fixture.now_ms);
    fixture.now_ms += LEASE_MS - 1;
    hosts_expect(fixture.hosts, task_number(2), 1, host, fixture.now_ms);
    fixture.now_ms += LEASE_MS - 1;
    hosts_tick(fixture.hosts, fixture.now_ms, fixture.now_ms);
    assert_int_equal(fixture.lost_count, 0);
    fixture.now_ms += 1;
    hosts_tick(fixture.hosts, fixture.now_ms, fixture.now_ms);
    assert_int_equal(fixture.lost_count, 2);
    assert_true(fixture.lost[0].is_excused);
    fixture_fini(&fixture);
}

/* Those of before a restart, whose token nobody knows any more. */
static void claims_no_more_than_its_slots(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link again;
    struct held_task held[] = {held_number(2, 1), held_number(1, 1)};
    fixture_init(&fixture, NULL);
    for (uint32_t task = 1; task <= 2; task++) {
        hosts_expect(fixture.hosts, task_number(task), 1, host_hash_of(STR("h")), fixture.now_ms);
    }
    link_init(&again);
    assert_int_equal(say_hello(&fixture, &again, "h", 1, "a", "", held, 2), CODE_OK);
    assert_int_equal(link_next(&again, SERVER_MESSAGE_WELCOME)->lost_count, 1);
    assert_int_equal(fixture.lost_count, 1);
    assert_true(task_ref_equal(fixture.lost[0].held.task, task_number(1)));
    assert_null(dispatch(&fixture, "a", 3, 1));
    fixture_fini(&fixture);
}

static void claims_nothing_of_others(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link other;
    struct held_task held = held_number(1, 1);
    fixture_init(&fixture, NULL);
    connect_host(&fixture, &link, "h", 2, "a");
    dispatch(&fixture, "a", 1, 1);
    link_init(&other);
    assert_int_equal(say_hello(&fixture, &other, "i", 1, "a", "", &held, 1), CODE_OK);
    assert_int_equal(link_next(&other, SERVER_MESSAGE_WELCOME)->lost_count, 1);
    assert_int_equal(fixture.lost_count, 0);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_TASK_DONE, 1, 1, 1),
                     HOST_RECEIPT_COMMAND);
    fixture_fini(&fixture);
}

static void expected_after_a_restart(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link other;
    struct held_task held[] = {held_number(1, 3), held_number(2, 4), held_number(4, 1)};
    uint64_t host = host_hash_of(STR("h"));
    fixture_init(&fixture, NULL);
    hosts_expect(fixture.hosts, task_number(1), 3, host, fixture.now_ms);
    hosts_expect(fixture.hosts, task_number(2), 3, host, fixture.now_ms);
    hosts_expect(fixture.hosts, task_number(3), 1, host, fixture.now_ms);
    hosts_expect(fixture.hosts, task_number(4), 1, host_hash_of(STR("gone")), fixture.now_ms);
    hosts_expect(fixture.hosts, task_number(5), 1, host_hash_of(STR("gone")), fixture.now_ms);
    hosts_stop(fixture.hosts, task_number(5), STOP_RUN_ENDED);
    assert_int_equal(fixture_stats(&fixture).expected, 4);
    assert_int_equal(fixture_stats(&fixture).sessions, 0);
    assert_int_equal(hosts_next_deadline(fixture.hosts), fixture.now_ms + LEASE_MS);
    /* A stranger gets nothing by claiming. */
    link_init(&other);
    assert_int_equal(say_hello(&fixture, &other, "i", 4, "a", "", held, 3), CODE_OK);
    assert_int_equal(link_next(&other, SERVER_MESSAGE_WELCOME)->lost_count, 3);
    link_init(&link);
    assert_int_equal(say_hello(&fixture, &link, "h", 4, "a", "from before", held, 3), CODE_OK);
    const struct wire *welcome = link_next(&link, SERVER_MESSAGE_WELCOME);
    assert_int_equal(welcome->lost_count, 2);
    assert_int_equal(welcome->lost[0].epoch, 4);
    assert_true(task_ref_equal(welcome->lost[1].task, task_number(4)));
    /* The unclaimed are lost at once, with the epoch that the journal had. */
    assert_int_equal(fixture.lost_count, 2);
    assert_int_equal(fixture.lost[0].held.epoch, 3);
    assert_true(task_ref_equal(fixture.lost[1].held.task, task_number(3)));
    assert_int_equal(fixture_stats(&fixture).held, 1);
    assert_int_equal(fixture_stats(&fixture).expected, 1);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_TASK_DONE, 1, 1, 3),
                     HOST_RECEIPT_COMMAND);
    fixture.now_ms += LEASE_MS;
    receive(&fixture, &link, HOST_MESSAGE_HEARTBEAT, 0, 0, 0);
    receive(&fixture, &other, HOST_MESSAGE_HEARTBEAT, 0, 0, 0);
    hosts_tick(fixture.hosts, fixture.now_ms, fixture.now_ms);
    assert_int_equal(fixture.lost_count, 3);
    assert_true(task_ref_equal(fixture.lost[2].held.task, task_number(4)));
    assert_string_equal(fixture.lost[2].cause, "lease expired");
    assert_int_equal(fixture_stats(&fixture).expected, 0);
    for (size_t i = 0; i < fixture.lost_count; i++) {
        assert_true(fixture.lost[i].is_excused); /* Nobody knows whether they were ever given. */
    }
    fixture_fini(&fixture);
}

static void expected_of_a_host_that_is_there(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link again;
    struct held_task held[] = {held_number(1, 1)};
    fixture_init(&fixture, NULL);
    connect_host(&fixture, &link, "h", 4, "a");
    hosts_expect(fixture.hosts, task_number(1), 1, host_hash_of(STR("h")), fixture.now_ms);
    hosts_expect(fixture.hosts, task_number(2), 1, host_hash_of(STR("h")), fixture.now_ms);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, 1, 1, 1), HOST_RECEIPT_DROP);
    disconnect(&fixture, &link);
    link_init(&again);
    assert_int_equal(say_hello(&fixture, &again, "h", 4, "a", link.wires[0].token, held, 1),
                     CODE_OK);
    assert_int_equal(link_next(&again, SERVER_MESSAGE_WELCOME)->lost_count, 0);
    assert_int_equal(fixture.lost_count, 1);
    assert_int_equal(fixture_stats(&fixture).held, 1);
    fixture_fini(&fixture);
}

/* After a failed commit the partition reads a run again and expects what it finds. */
static void expected_while_it_is_held(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    uint64_t host = host_hash_of(STR("h"));
    fixture_init(&fixture, NULL);
    connect_host(&fixture, &link, "h", 4, "a");
    dispatch(&fixture, "a", 1, 1);
    link_next(&link, SERVER_MESSAGE_TASK);
    hosts_expect(fixture.hosts, task_number(1), 1, host, fixture.now_ms);
    assert_int_equal(fixture_stats(&fixture).expected, 0);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, 1, 1, 1),
                     HOST_RECEIPT_COMMAND);
    /* Another epoch is in the journal: this host's is worth nothing. */
    hosts_expect(fixture.hosts, task_number(1), 2, host, fixture.now_ms);
    assert_int_equal(link_next(&link, SERVER_MESSAGE_STOP)->task.epoch, 1);
    hosts_expect(fixture.hosts, task_number(1), 2, host, fixture.now_ms);
    assert_int_equal(fixture_stats(&fixture).expected, 1);
    assert_int_equal(fixture_stats(&fixture).held, 0);
    fixture_fini(&fixture);
}

static void sessions_are_limited(void **state)
{
    (void)state;
    struct hosts_options limits = {.sessions_max = 2};
    struct fixture fixture;
    struct test_link links[4];
    fixture_init(&fixture, &limits);
    connect_host(&fixture, &links[0], "a", 1, "x");
    connect_host(&fixture, &links[1], "b", 1, "y");
    link_init(&links[2]);
    assert_int_equal(say_hello(&fixture, &links[2], "c", 1, "z", "", NULL, 0),
                     CODE_RESOURCE_EXHAUSTED);
    /* One that is away and holds a task is kept, one that holds nothing makes room. */
    dispatch(&fixture, "x", 1, 1);
    disconnect(&fixture, &links[0]);
    assert_int_equal(say_hello(&fixture, &links[2], "c", 1, "z", "", NULL, 0),
                     CODE_RESOURCE_EXHAUSTED);
    disconnect(&fixture, &links[1]);
    assert_int_equal(say_hello(&fixture, &links[2], "c", 1, "z", "", NULL, 0), CODE_OK);
    assert_int_equal(fixture_stats(&fixture).sessions, 2);
    assert_false(hosts_is_offered(fixture.hosts, TASK_TOOL, STR("y")));
    assert_true(hosts_is_offered(fixture.hosts, TASK_TOOL, STR("x")));
    /* A host that comes back needs no room of its own. */
    link_init(&links[3]);
    assert_int_equal(say_hello(&fixture, &links[3], "a", 1, "x", links[0].wires[0].token, NULL, 0),
                     CODE_OK);
    hosts_flush(fixture.hosts);
    fixture_fini(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_wrong),
        cmocka_unit_test(refuses_a_long_deployment_and_a_second_hello),
        cmocka_unit_test(callbacks_are_named_by_their_agent),
        cmocka_unit_test(welcomes),
        cmocka_unit_test(resumes_by_token),
        cmocka_unit_test(resuming_takes_over),
        cmocka_unit_test(token_of_another_host),
        cmocka_unit_test(host_id_that_is_alive),
        cmocka_unit_test(host_id_whose_stream_is_gone),
        cmocka_unit_test(tells_what_changed_over),
        cmocka_unit_test(what_was_released_for_nothing_stays),
        cmocka_unit_test(what_was_released_stays_where_a_slot_is_free),
        cmocka_unit_test(an_expected_host_has_a_lease_from_its_last_task_on),
        cmocka_unit_test(claims_no_more_than_its_slots),
        cmocka_unit_test(claims_nothing_of_others),
        cmocka_unit_test(expected_after_a_restart),
        cmocka_unit_test(expected_of_a_host_that_is_there),
        cmocka_unit_test(expected_while_it_is_held),
        cmocka_unit_test(sessions_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
