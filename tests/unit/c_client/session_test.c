/*
 * Goal: the host protocol of the C client keeps its promises message by message.
 * Method: server messages are made by hand and given to the session; what it calls back and what
 * it wants to send is written down as text and compared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/c_client/fixture.h"

static void test_nothing_is_said_before_welcome(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_begin(&fixture);
    fixture_dial(&fixture);
    polos_session_heartbeat(fixture.session);
    fixture_expect_said(&fixture, "");
    assert_string_equal(fixture.hello, "0 session=");
    assert_false(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    fixture_close(&fixture);
}

static void test_a_task_goes_from_given_to_durable(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_step(&fixture, "a"));
    polos_task_progress(fixture.task, "half");
    polos_task_done(fixture.task, &fixture_value);
    fixture_expect_said(&fixture, "delta half;1^1 step a#1 e1;2^1 done e1;");
    assert_int_equal(polos_session_held(fixture.session), 1);
    assert_true(fixture_receive_ack(&fixture, 1));
    fixture_expect_log(&fixture, "given r.1;durable a;");
    assert_true(fixture_receive_ack(&fixture, 2));
    assert_int_equal(polos_session_held(fixture.session), 0);
    assert_true(polos_session_is_settled(fixture.session));
    fixture_close(&fixture);
}

static void test_steps_count_on_from_those_that_came(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 3));
    assert_non_null(polos_task_settled(fixture.task, "before"));
    assert_null(polos_task_settled(fixture.task, "d"));
    assert_true(fixture_step(&fixture, "d"));
    fixture_expect_said(&fixture, "1^1 step d#4 e1;");
    polos_task_done(fixture.task, &fixture_value);
    fixture_close(&fixture);
}

static void test_repetitions_are_passed_over_and_gaps_are_errors(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    fixture_expect_log(&fixture, "given r.1;");
    assert_false(fixture_receive_task(&fixture, 3, "r.2", 1, 0));
    assert_false(fixture_receive_ack(&fixture, 1));
    polos_task_done(fixture.task, &fixture_value);
    fixture_close(&fixture);
}

static void test_a_task_in_pieces_is_given_whole(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_more(&fixture, 1, "r.1", true));
    assert_true(fixture_receive_facts(&fixture, "r.1", 0, false));
    assert_true(fixture_receive_facts(&fixture, "r.1", 1, false));
    assert_false(polos_session_owes_ack(fixture.session));
    fixture_expect_log(&fixture, "");
    assert_true(fixture_receive_facts(&fixture, "r.1", 2, true));
    fixture_expect_log(&fixture, "given r.1;");
    assert_true(polos_session_owes_ack(fixture.session));
    assert_string_equal(polos_task_settled(fixture.task, "children")->value_json, "[1,0]");
    assert_string_equal(polos_task_message(fixture.task)->state_json, "{}");
    polos_task_done(fixture.task, &fixture_value);
    fixture_close(&fixture);
}

static void test_pieces_that_do_not_come_are_not_waited_for(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_more(&fixture, 1, "r.1", true));
    assert_true(fixture_receive_facts(&fixture, "r.1", 0, false));
    assert_true(fixture_receive_task(&fixture, 2, "r.2", 1, 0));
    fixture_expect_log(&fixture, "given r.2;");
    assert_true(fixture_receive_facts(&fixture, "r.1", 1, true));
    polos_task_done(fixture.task, &fixture_value);
    assert_true(fixture_receive_more(&fixture, 3, "r.3", false));
    assert_false(fixture_receive_facts(&fixture, "r.3", 1, true)); /* Piece 0 is missing. */
    fixture_close(&fixture);
}

static void test_an_acknowledgement_is_owed_once(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(polos_session_owes_ack(fixture.session));
    polos_session_ack(fixture.session);
    fixture_expect_said(&fixture, "^1;");
    assert_false(polos_session_owes_ack(fixture.session));
    polos_task_done(fixture.task, &fixture_value);
    fixture_close(&fixture);
}

static void test_resume_says_again_what_was_not_acknowledged(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_step(&fixture, "a"));
    assert_true(fixture_step(&fixture, "b"));
    fixture_expect_said(&fixture, "1^1 step a#1 e1;2^1 step b#2 e1;");
    fixture_dial(&fixture);
    assert_string_equal(fixture.hello, "1 session=s1 r.1/1");
    polos_task_done(fixture.task, &fixture_value);
    fixture_expect_said(&fixture, "");
    assert_true(fixture_receive_welcome(&fixture, "s1", true, 1, NULL));
    fixture_expect_log(&fixture, "given r.1;durable a;welcome back;");
    fixture_expect_said(&fixture, "2^1 step b#2 e1;3^1 done e1;");
    fixture_close(&fixture);
}

static void test_a_new_session_renumbers(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_step(&fixture, "a"));
    fixture_expect_said(&fixture, "1^1 step a#1 e1;");
    assert_true(fixture_receive_ack(&fixture, 1));
    assert_true(fixture_step(&fixture, "b"));
    polos_task_done(fixture.task, &fixture_value);
    fixture_dial(&fixture);
    assert_true(fixture_receive_welcome(&fixture, "s2", false, 0, NULL));
    fixture_expect_said(&fixture, "1^0 step b#2 e1;2^0 done e1;");
    assert_true(fixture_receive_task(&fixture, 1, "r.2", 1, 0));
    assert_true(fixture_receive_ack(&fixture, 2));
    fixture_expect_log(&fixture, "given r.1;durable a;welcome;given r.2;durable b;");
    polos_task_done(fixture.task, &fixture_value);
    fixture_close(&fixture);
}

static void test_a_lost_task_is_stopped(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_step(&fixture, "a"));
    fixture_dial(&fixture);
    fixture.holds_on = true;
    assert_true(fixture_receive_welcome(&fixture, "s2", false, 0, "r.1"));
    fixture_expect_log(&fixture, "given r.1;TASK_STOPPED a;stop r.1 lease lost;welcome;");
    fixture_expect_said(&fixture, "");
    assert_false(fixture_step(&fixture, "b"));
    polos_task_progress(fixture.task, "nobody listens");
    polos_task_done(fixture.task, &fixture_value);
    fixture_expect_said(&fixture, "");
    fixture_close(&fixture);
}

static void test_a_task_is_stopped_once(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 2, 0));
    assert_true(
        fixture_receive_stop(&fixture, 2, "r.1", 1, POLOS__V1__STOP_TASK__REASON__REASON_DEADLINE));
    fixture_expect_log(&fixture, "given r.1;");
    assert_true(
        fixture_receive_stop(&fixture, 3, "r.1", 2, POLOS__V1__STOP_TASK__REASON__REASON_DEADLINE));
    assert_true(
        fixture_receive_stop(&fixture, 4, "r.1", 2, POLOS__V1__STOP_TASK__REASON__REASON_DEADLINE));
    fixture_expect_log(&fixture, "stop r.1 its time is up;");
    fixture_expect_said(&fixture, "");
    fixture_close(&fixture);
}

static void test_a_higher_epoch_takes_over_the_work(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_step(&fixture, "a"));
    fixture_expect_said(&fixture, "1^1 step a#1 e1;");
    assert_true(fixture_receive_task(&fixture, 2, "r.1", 2, 0));
    fixture_expect_said(&fixture, "2^2 step a#1 e2;");
    assert_true(fixture_receive_ack(&fixture, 1));
    fixture_expect_log(&fixture, "given r.1;");
    assert_true(fixture_receive_ack(&fixture, 2));
    fixture_expect_log(&fixture, "durable a;");
    polos_task_done(fixture.task, &fixture_value);
    fixture_expect_said(&fixture, "3^2 done e2;");
    fixture_close(&fixture);
}

static void test_a_refused_step_gives_its_number_back(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_step(&fixture, "a"));
    fixture_expect_said(&fixture, "1^1 step a#1 e1;");
    assert_true(fixture_receive_refused(&fixture, 2, 1, "INVALID_FIELD"));
    fixture_expect_log(&fixture, "given r.1;INVALID_FIELD a;");
    assert_true(fixture_step(&fixture, "b"));
    fixture_expect_said(&fixture, "2^2 step b#1 e1;");
    polos_task_done(fixture.task, &fixture_value);
    fixture_close(&fixture);
}

static void test_a_refused_answer_becomes_an_error(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    polos_task_done(fixture.task, &fixture_value);
    fixture_expect_said(&fixture, "1^1 done e1;");
    assert_true(fixture_receive_refused(&fixture, 2, 1, "INVALID_FIELD"));
    fixture_expect_said(&fixture, "2^2 done e1 error;");
    assert_true(fixture_receive_refused(&fixture, 3, 2, "INVALID_FIELD"));
    fixture_expect_said(&fixture, "");
    assert_int_equal(polos_session_held(fixture.session), 0);
    fixture_close(&fixture);
}

static void test_a_stale_answer_ends_the_task(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_step(&fixture, "a"));
    fixture_expect_said(&fixture, "1^1 step a#1 e1;");
    assert_true(fixture_receive_refused(&fixture, 2, 1, "STALE_EPOCH"));
    fixture_expect_log(&fixture, "given r.1;TASK_STOPPED a;stop r.1 no;");
    assert_int_equal(polos_session_held(fixture.session), 0);
    fixture_close(&fixture);
}

static void test_a_drain_is_said_once_in_every_session(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    polos_session_drain(fixture.session, "over");
    fixture_expect_said(&fixture, "1^0 drain;");
    fixture_dial(&fixture);
    assert_true(fixture_receive_welcome(&fixture, "s2", false, 0, NULL));
    fixture_expect_said(&fixture, "1^0 drain;");
    assert_false(polos_session_is_settled(fixture.session));
    assert_true(fixture_receive_ack(&fixture, 1));
    fixture_dial(&fixture);
    assert_true(fixture_receive_welcome(&fixture, "s3", false, 0, NULL));
    fixture_expect_said(&fixture, "1^0 drain;");
    fixture_close(&fixture);
}

static void test_a_welcome_that_makes_no_sense_is_an_error(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_begin(&fixture);
    fixture_dial(&fixture);
    assert_false(fixture_receive_ack(&fixture, 0));
    assert_false(fixture_receive_welcome(&fixture, "s1", true, 0, NULL)); /* There was none. */
    assert_true(fixture_receive_welcome(&fixture, "s1", false, 0, NULL));
    assert_true(polos_session_is_open(fixture.session));
    assert_false(fixture_receive_welcome(&fixture, "s1", true, 0, NULL)); /* It is open. */
    polos_session_cut(fixture.session);
    assert_false(polos_session_is_open(fixture.session));
    fixture_dial(&fixture);
    assert_string_equal(fixture.hello, "0 session=s1");
    assert_false(fixture_receive_welcome(&fixture, "s1", true, 1, NULL)); /* Nothing was said. */
    fixture_close(&fixture);
}

static void test_a_heartbeat_is_said_when_it_is_open(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    fixture_expect_said(&fixture, "");
    polos_session_heartbeat(fixture.session);
    fixture_expect_said(&fixture, "^0;");
    fixture_expect_said(&fixture, "");
    polos_session_ack(fixture.session); /* None is owed. */
    fixture_expect_said(&fixture, "");
    fixture_close(&fixture);
}

static void test_a_released_task_goes_back(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 4, 0));
    polos_task_release(fixture.task, "no room");
    fixture_expect_said(&fixture, "1^1 release e4 no room;");
    assert_int_equal(polos_session_held(fixture.session), 1); /* Until the server knows. */
    assert_true(fixture_receive_ack(&fixture, 1));
    assert_int_equal(polos_session_held(fixture.session), 0);
    fixture_expect_log(&fixture, "given r.1;");
    /* One that is refused is over all the same. */
    assert_true(fixture_receive_task(&fixture, 2, "r.2", 1, 0));
    polos_task_release(fixture.task, "no room");
    fixture_expect_said(&fixture, "2^2 release e1 no room;");
    assert_true(fixture_receive_refused(&fixture, 3, 2, "INVALID_FIELD"));
    assert_int_equal(polos_session_held(fixture.session), 0);
    fixture_close(&fixture);
}

static void test_an_error_is_said_whole(void **state)
{
    static struct polos_session_envelope envelope;
    static const struct polos_outcome outcomes[] = {{.error_type = "Oops", .error_message = "why"},
                                                    {.error_type = "Oops"}};
    (void)state;
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
        struct fixture fixture;
        fixture_open(&fixture);
        assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
        polos_task_done(fixture.task, &outcomes[i]);
        assert_true(polos_session_next(fixture.session, &envelope));
        const Polos__V1__TaskOutcome *outcome = envelope.messages[0]->task_done->outcome;
        assert_int_equal(envelope.messages[0]->task_done->result_case,
                         POLOS__V1__TASK_DONE__RESULT_OUTCOME);
        assert_int_equal(outcome->result_case, POLOS__V1__TASK_OUTCOME__RESULT_ERROR);
        assert_string_equal(outcome->error->type, "Oops");
        assert_string_equal(outcome->error->message, i == 0 ? "why" : "");
        fixture_close(&fixture);
    }
}

static void test_all_tasks_are_given_back_at_once(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    fixture_expect_log(&fixture, "given r.1;");
    polos_session_release_all(fixture.session, "over");
    fixture_expect_log(&fixture, "stop r.1 over;");
    assert_int_equal(polos_session_held(fixture.session), 0);
    fixture_expect_said(&fixture, "1^1 drain all;");
    assert_false(polos_session_is_settled(fixture.session));
    assert_true(fixture_receive_ack(&fixture, 1));
    assert_true(polos_session_is_settled(fixture.session));
    fixture_dial(&fixture);
    assert_true(fixture_receive_welcome(&fixture, "s2", false, 0, NULL));
    fixture_expect_said(&fixture, "1^0 drain;"); /* It still wants no more. */
    fixture_close(&fixture);
}

static void test_a_stop_says_why(void **state)
{
    static const struct {
        Polos__V1__StopTask__Reason reason;
        const char *log;
    } rows[] = {
        {POLOS__V1__STOP_TASK__REASON__REASON_RUN_ENDED, "given r.1;stop r.1 its run has ended;"},
        {POLOS__V1__STOP_TASK__REASON__REASON_DEADLINE, "given r.1;stop r.1 its time is up;"},
        {POLOS__V1__STOP_TASK__REASON__REASON_LEASE_LOST, "given r.1;stop r.1 lease lost;"},
        {POLOS__V1__STOP_TASK__REASON__REASON_UNSPECIFIED,
         "given r.1;stop r.1 the server says so;"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture fixture;
        fixture_open(&fixture);
        assert_true(fixture_receive_task(&fixture, 1, "r.1", 2, 0));
        assert_true(fixture_receive_stop(&fixture, 2, "r.1", 1, rows[i].reason)); /* Of before. */
        assert_int_equal(polos_session_held(fixture.session), 1);
        assert_true(fixture_receive_stop(&fixture, 3, "r.1", 2, rows[i].reason));
        assert_int_equal(polos_session_held(fixture.session), 0);
        fixture_expect_log(&fixture, rows[i].log);
        fixture_close(&fixture);
    }
}

static void test_the_server_may_go_away(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_drain(&fixture, 1));
    fixture_expect_log(&fixture, "draining;");
    assert_true(polos_session_owes_ack(fixture.session));
    fixture_close(&fixture);
}

/* As many as there may be: each is found by its id, and no envelope holds too many. */
static void test_many_tasks_are_kept_apart(void **state)
{
    enum {
        TASKS = 300,
    };
    static struct polos_session_envelope envelope;
    static struct polos_task *tasks[TASKS];
    struct fixture fixture;
    size_t said = 0;
    (void)state;
    fixture_open(&fixture);
    for (unsigned i = 0; i < TASKS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "r%u.1", i);
        assert_true(fixture_receive_task(&fixture, i + 1, id, 1, 0));
        tasks[i] = fixture.task;
        fixture.log[0] = '\0';
    }
    assert_int_equal(polos_session_held(fixture.session), TASKS);
    for (unsigned i = 0; i < TASKS; i += 3) {
        char id[16];
        char expected[64];
        snprintf(id, sizeof(id), "r%u.1", i);
        snprintf(expected, sizeof(expected), "stop %s its time is up;", id);
        assert_true(fixture_receive_stop(&fixture, TASKS + 1 + i / 3, id, 1,
                                         POLOS__V1__STOP_TASK__REASON__REASON_DEADLINE));
        fixture_expect_log(&fixture, expected);
    }
    assert_int_equal(polos_session_held(fixture.session), TASKS - TASKS / 3);
    for (unsigned i = 0; i < TASKS; i++) {
        if (i % 3 != 0) {
            polos_task_done(tasks[i], &fixture_value);
        }
    }
    while (polos_session_next(fixture.session, &envelope)) {
        assert_in_range(envelope.envelope.n_messages, 1, ENVELOPE_MESSAGES_MAX);
        assert_int_equal(envelope.envelope.first_seq, said + 1);
        said += envelope.envelope.n_messages;
    }
    assert_int_equal(said, TASKS - TASKS / 3);
    assert_true(fixture_receive_ack(&fixture, said));
    assert_true(polos_session_is_settled(fixture.session));
    fixture_close(&fixture);
}

/* One that is larger than an envelope goes alone. */
static void test_envelopes_are_bounded_by_bytes(void **state)
{
    static struct polos_session_envelope envelope;
    static char value[ENVELOPE_BYTES_MAX + 16];
    const struct polos_outcome large = {.value_json = value};
    struct fixture fixture;
    size_t counts[2] = {0};
    (void)state;
    memset(value, '1', sizeof(value) - 1);
    for (int is_large = 0; is_large <= 1; is_large++) {
        fixture_open(&fixture);
        assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
        for (int i = 0; i < 2; i++) {
            assert_true(polos_step_done(fixture.task, i == 0 ? "a" : "b",
                                        is_large ? &large : &fixture_value, fixture_settled,
                                        (void *)"x"));
        }
        while (polos_session_next(fixture.session, &envelope)) {
            counts[is_large]++;
        }
        polos_task_done(fixture.task, &fixture_value);
        fixture_close(&fixture);
    }
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[1], 2);
}

static void test_a_result_in_pieces_comes_whole(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_request(&fixture, "children"));
    fixture_expect_log(&fixture, "given r.1;");
    assert_true(fixture_receive_more(&fixture, 2, "r.1", false));
    assert_true(fixture_receive_facts(&fixture, "r.1", 0, false));
    assert_true(fixture_receive_facts(&fixture, "r.1", 1, false));
    assert_true(fixture_receive_facts(&fixture, "r.1", 2, true));
    fixture_expect_log(&fixture, "[1,0] children;");
    polos_task_done(fixture.task, &fixture_value);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_said_before_welcome),
        cmocka_unit_test(test_a_task_goes_from_given_to_durable),
        cmocka_unit_test(test_steps_count_on_from_those_that_came),
        cmocka_unit_test(test_repetitions_are_passed_over_and_gaps_are_errors),
        cmocka_unit_test(test_a_task_in_pieces_is_given_whole),
        cmocka_unit_test(test_pieces_that_do_not_come_are_not_waited_for),
        cmocka_unit_test(test_an_acknowledgement_is_owed_once),
        cmocka_unit_test(test_resume_says_again_what_was_not_acknowledged),
        cmocka_unit_test(test_a_new_session_renumbers),
        cmocka_unit_test(test_a_lost_task_is_stopped),
        cmocka_unit_test(test_a_task_is_stopped_once),
        cmocka_unit_test(test_a_higher_epoch_takes_over_the_work),
        cmocka_unit_test(test_a_refused_step_gives_its_number_back),
        cmocka_unit_test(test_a_refused_answer_becomes_an_error),
        cmocka_unit_test(test_a_stale_answer_ends_the_task),
        cmocka_unit_test(test_a_drain_is_said_once_in_every_session),
        cmocka_unit_test(test_a_welcome_that_makes_no_sense_is_an_error),
        cmocka_unit_test(test_a_heartbeat_is_said_when_it_is_open),
        cmocka_unit_test(test_a_released_task_goes_back),
        cmocka_unit_test(test_an_error_is_said_whole),
        cmocka_unit_test(test_all_tasks_are_given_back_at_once),
        cmocka_unit_test(test_a_stop_says_why),
        cmocka_unit_test(test_the_server_may_go_away),
        cmocka_unit_test(test_many_tasks_are_kept_apart),
        cmocka_unit_test(test_envelopes_are_bounded_by_bytes),
        cmocka_unit_test(test_a_result_in_pieces_comes_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
