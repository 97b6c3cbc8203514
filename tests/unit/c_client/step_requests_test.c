/*
 * Goal: step requests, parking and cancellation in the C client, message by message.
 * Method: as session_test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/c_client/fixture.h"

static void test_a_cancelled_task_may_clean_up(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    fixture.cleans_up = true;
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_request(&fixture, "a"));
    assert_true(fixture_receive_cancel(&fixture, 2, "r.1", 1));
    assert_true(fixture_receive_cancel(&fixture, 3, "r.1", 1));
    fixture_expect_log(&fixture, "given r.1;cancel r.1;");
    assert_true(fixture_step(&fixture, "tidy"));
    polos_task_cancelled(fixture.task, "the run was cancelled");
    fixture_expect_said(&fixture, "1^3 request a(4) e1;2^3 step tidy#1 e1;3^3 done e1 cancelled;");
    assert_true(fixture_receive_ack(&fixture, 3));
    fixture_expect_log(&fixture, "durable tidy;");
    assert_true(polos_session_is_settled(fixture.session));
    fixture_close(&fixture);
}

static void test_a_task_whose_place_is_wanted_is_parked(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_receive_yield(&fixture, 2, "r.1", 1)); /* Its owner does not ask. */
    fixture.parks = true;
    assert_true(fixture_receive_task(&fixture, 3, "r.2", 2, 0));
    assert_true(fixture_request(&fixture, "a"));
    assert_true(fixture_receive_yield(&fixture, 4, "r.2", 1)); /* Of a lease that is over. */
    assert_true(fixture_receive_yield(&fixture, 5, "r.3", 1)); /* Nobody has it. */
    fixture_expect_log(&fixture, "given r.1;given r.2;");
    assert_true(fixture_receive_yield(&fixture, 6, "r.2", 2));
    assert_true(fixture_receive_yield(&fixture, 7, "r.2", 2));
    fixture_expect_log(&fixture, "yield r.2;");
    fixture_expect_said(&fixture, "1^7 request a(4) e2;2^7 park e2 seen 0;");
    fixture_close(&fixture);
}

static void test_a_cancelled_task_without_cleanup_ends_by_itself(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    fixture.holds_on = true;
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_receive_cancel(&fixture, 2, "r.1", 1));
    fixture_expect_log(&fixture, "given r.1;stop r.1 cancelled;");
    assert_false(fixture_step(&fixture, "late"));
    assert_false(fixture_request(&fixture, "late"));
    assert_true(fixture_receive_stop(&fixture, 3, "r.1", 1,
                                     POLOS__V1__STOP_TASK__REASON__REASON_LEASE_LOST));
    polos_task_done(fixture.task, &fixture_value);
    fixture_expect_said(&fixture, "1^3 done e1 cancelled;");
    fixture_expect_log(&fixture, "");
    fixture_close(&fixture);
}

static void test_a_task_may_come_to_be_cancelled(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    fixture.cleans_up = fixture.is_cancelling = true;
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 2, 1));
    fixture_expect_log(&fixture, "given r.1;cancel r.1;");
    assert_true(fixture_receive_cancel(&fixture, 2, "r.1", 2)); /* It knows. */
    fixture_expect_log(&fixture, "");
    polos_task_cancelled(fixture.task, "the run was cancelled");
    fixture_expect_said(&fixture, "1^2 done e2 cancelled;");
    fixture_close(&fixture);
}

/* It is at work here already, and learns of it with its new epoch. */
static void test_a_task_may_come_again_to_be_cancelled(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    fixture.cleans_up = true;
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    fixture_expect_log(&fixture, "given r.1;");
    fixture.is_cancelling = true;
    assert_true(fixture_receive_task(&fixture, 2, "r.1", 2, 0));
    fixture_expect_log(&fixture, "cancel r.1;");
    polos_task_done(fixture.task, &fixture_value);
    fixture_expect_said(&fixture, "1^2 done e2;");
    fixture_close(&fixture);
}

static void test_a_step_request_is_answered_once(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_request(&fixture, "a"));
    assert_true(fixture_request(&fixture, "b"));
    fixture_expect_said(&fixture, "1^1 request a(4) e1;2^1 request b(4) e1;");
    assert_true(fixture_receive_ack(&fixture, 1));
    assert_true(fixture_receive_outcome(&fixture, 2, 1, "r.1", "b"));
    assert_true(fixture_receive_outcome(&fixture, 3, 2, "r.1", "b"));
    assert_true(fixture_receive_outcome(&fixture, 4, 2, "r.1", "never asked"));
    assert_true(fixture_receive_outcome(&fixture, 5, 2, "r.9", "a"));
    fixture_expect_log(&fixture, "given r.1;true b;");
    assert_true(fixture_receive_outcome(&fixture, 6, 2, "r.1", "a"));
    fixture_expect_log(&fixture, "true a;");
    assert_true(fixture_step(&fixture, "c"));
    fixture_expect_said(&fixture, "3^6 step c#1 e1;");
    polos_task_done(fixture.task, &fixture_value);
    fixture_close(&fixture);
}

static void test_step_requests_of_every_kind(void **state)
{
    Polos__V1__Suspend suspend = POLOS__V1__SUSPEND__INIT;
    Polos__V1__StartRuns start = POLOS__V1__START_RUNS__INIT;
    Polos__V1__AwaitEvent awaited = POLOS__V1__AWAIT_EVENT__INIT;
    Polos__V1__Publish publish = POLOS__V1__PUBLISH__INIT;
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(polos_request_suspend(fixture.task, "s", &suspend, fixture_came, NULL));
    assert_true(polos_request_start(fixture.task, "i", &start, fixture_came, NULL));
    assert_true(polos_request_await(fixture.task, "a", &awaited, fixture_came, NULL));
    assert_true(polos_request_publish(fixture.task, "p", &publish, fixture_came, NULL));
    fixture_expect_said(&fixture, "1^1 request s(5) e1;2^1 request i(7) e1;3^1 request a(6) e1;"
                                  "4^1 request p(8) e1;");
    polos_task_done(fixture.task, &fixture_value);
    fixture_close(&fixture);
}

static void test_a_refused_step_request_is_an_error(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_request(&fixture, "a"));
    fixture_expect_said(&fixture, "1^1 request a(4) e1;");
    assert_true(fixture_receive_refused(&fixture, 2, 1, "INVALID_FIELD"));
    fixture_expect_log(&fixture, "given r.1;INVALID_FIELD a;");
    assert_true(fixture_receive_outcome(&fixture, 3, 1, "r.1", "a"));
    fixture_expect_log(&fixture, "");
    assert_true(fixture_request(&fixture, "b"));
    assert_true(
        fixture_receive_stop(&fixture, 4, "r.1", 1, POLOS__V1__STOP_TASK__REASON__REASON_DEADLINE));
    fixture_expect_log(&fixture, "TASK_STOPPED b;stop r.1 its time is up;");
    fixture_close(&fixture);
}

static void test_step_requests_are_said_again_in_a_new_session(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_request(&fixture, "a"));
    assert_true(fixture_request(&fixture, "b"));
    fixture_expect_said(&fixture, "1^1 request a(4) e1;2^1 request b(4) e1;");
    assert_true(fixture_receive_outcome(&fixture, 2, 2, "r.1", "b"));
    fixture_dial(&fixture);
    assert_true(fixture_receive_welcome(&fixture, "s1", true, 2, NULL));
    fixture_expect_said(&fixture, "");
    assert_true(fixture_step(&fixture, "c"));
    fixture_dial(&fixture);
    assert_true(fixture_receive_welcome(&fixture, "s2", false, 0, NULL));
    fixture_expect_said(&fixture, "1^0 request a(4) e1;2^0 step c#1 e1;");
    fixture_expect_log(&fixture, "given r.1;true b;welcome back;welcome;");
    polos_task_done(fixture.task, &fixture_value);
    fixture_close(&fixture);
}

static void test_a_higher_epoch_takes_over_the_step_requests(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_request(&fixture, "asked"));
    assert_true(fixture_request(&fixture, "b"));
    fixture_expect_said(&fixture, "1^1 request asked(4) e1;2^1 request b(4) e1;");
    assert_true(fixture_receive_ack(&fixture, 1));
    assert_true(fixture_receive_task_with(&fixture, 2, "r.1", 2, 0, 1));
    fixture_expect_log(&fixture, "given r.1;true asked;");
    fixture_expect_said(&fixture, "3^2 request b(4) e2;4^2 request asked(4) e2;");
    assert_true(fixture_receive_outcome(&fixture, 3, 4, "r.1", "asked"));
    assert_true(fixture_receive_outcome(&fixture, 4, 4, "r.1", "b"));
    fixture_expect_log(&fixture, "true b;");
    polos_task_done(fixture.task, &fixture_value);
    fixture_close(&fixture);
}

static void test_a_parked_task_is_given_anew(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task_with(&fixture, 1, "r.1", 1, 2, 1));
    assert_non_null(polos_task_settled(fixture.task, "asked"));
    assert_true(fixture_step(&fixture, "a"));
    assert_true(fixture_request(&fixture, "b"));
    polos_task_park(fixture.task);
    fixture_expect_said(&fixture, "1^1 step a#3 e1;2^1 request b(4) e1;3^1 park e1 seen 1;");
    assert_true(fixture_receive_outcome(&fixture, 2, 2, "r.1", "b"));
    assert_int_equal(polos_session_held(fixture.session), 1);
    fixture.ack = 3;
    assert_true(fixture_receive_task_with(&fixture, 3, "r.1", 2, 3, 2));
    fixture_expect_log(&fixture, "given r.1;durable a;given r.1;");
    assert_true(fixture_request(&fixture, "c"));
    polos_task_park(fixture.task);
    fixture_expect_said(&fixture, "4^3 request c(4) e2;5^3 park e2 seen 2;");
    assert_true(fixture_receive_ack(&fixture, 5));
    assert_true(polos_session_is_settled(fixture.session));
    fixture_close(&fixture);
}

static void test_a_park_that_was_lost_is_said_again(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_request(&fixture, "a"));
    fixture_expect_said(&fixture, "1^1 request a(4) e1;");
    polos_task_park(fixture.task);
    fixture_dial(&fixture);
    assert_true(fixture_receive_welcome(&fixture, "s2", false, 0, NULL));
    fixture_expect_said(&fixture, "1^0 request a(4) e1;2^0 park e1 seen 0;");
    assert_true(fixture_receive_refused(&fixture, 1, 2, "STALE_EPOCH"));
    assert_int_equal(polos_session_held(fixture.session), 0);
    fixture_expect_log(&fixture, "given r.1;welcome;");
    fixture_close(&fixture);
}

static void test_a_task_may_come_before_its_park_is_acknowledged(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    assert_true(fixture_receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(fixture_request(&fixture, "a"));
    polos_task_park(fixture.task);
    fixture_expect_said(&fixture, "1^1 request a(4) e1;2^1 park e1 seen 0;");
    assert_true(fixture_receive_task(&fixture, 2, "r.1", 2, 0));
    fixture_expect_log(&fixture, "given r.1;given r.1;");
    assert_true(fixture_receive_ack(&fixture, 2));
    assert_int_equal(polos_session_held(fixture.session), 1);
    polos_task_done(fixture.task, &fixture_value);
    fixture_expect_said(&fixture, "3^2 done e2;");
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cancelled_task_may_clean_up),
        cmocka_unit_test(test_a_task_whose_place_is_wanted_is_parked),
        cmocka_unit_test(test_a_cancelled_task_without_cleanup_ends_by_itself),
        cmocka_unit_test(test_a_task_may_come_to_be_cancelled),
        cmocka_unit_test(test_a_task_may_come_again_to_be_cancelled),
        cmocka_unit_test(test_a_step_request_is_answered_once),
        cmocka_unit_test(test_step_requests_of_every_kind),
        cmocka_unit_test(test_a_refused_step_request_is_an_error),
        cmocka_unit_test(test_step_requests_are_said_again_in_a_new_session),
        cmocka_unit_test(test_a_higher_epoch_takes_over_the_step_requests),
        cmocka_unit_test(test_a_parked_task_is_given_anew),
        cmocka_unit_test(test_a_park_that_was_lost_is_said_again),
        cmocka_unit_test(test_a_task_may_come_before_its_park_is_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
