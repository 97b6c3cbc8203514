/*
 * Goal: the host protocol of the C client keeps its promises message by message.
 * Method: server messages are made by hand and given to the session; what it calls back and what
 * it wants to send is written down as text and compared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
