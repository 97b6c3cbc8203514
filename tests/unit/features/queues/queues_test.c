/*
 * Goal:   a queue's limits hold, keys are served in turn, priorities go first, rates hold by the
 * clock, and all of it stays so when code waits, hosts die, runs are cancelled and the server is
 * started again. Method: the real partition over the memory store; a simulated clock; hosts that do
 * as told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/features/queues/queues.h"
#include "tests/unit/features/queues/queue_world.h"

static struct world *world_new(uint32_t slots)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world_init(world, slots);
    world_connect(world, 0, "");
    return world;
}

static void world_end(struct world *world)
{
    assert_null(world_judge(world));
    world_fini(world);
    free(world);
}

static void finish_first(struct world *world)
{
    for (size_t i = 0; i < world->given_count; i++) {
        size_t run = world_given(world, i);
        if (world->runs[run].host >= 0) {
            world_done(world, run);
            return;
        }
    }
    fail_msg("no host holds anything");
}

static void test_limits_hold(void **state)
{
    (void)state;
    struct world *world = world_new(100);
    world_define(world, "mail", (struct queue_limits){.concurrency = 3, .per_key = 2});
    for (int i = 0; i < 6; i++) {
        world_start(world, "mail", "acme", 0);
    }
    assert_int_equal(world_held(world, "mail", NULL), 2);
    for (int i = 0; i < 6; i++) {
        world_start(world, "mail", "bolt", 0);
    }
    assert_int_equal(world_held(world, "mail", "acme"), 2);
    assert_int_equal(world_held(world, "mail", "bolt"), 1);
    world_start(world, "", "", 0);
    assert_int_equal(world_held(world, NULL, NULL), 4); /* Who names no queue waits in none. */
    for (int i = 0; i < 13; i++) {
        finish_first(world);
    }
    assert_int_equal(world->given_count, 13);
    world_end(world);
}

/* A thousand runs of one key do not keep two others waiting. */
static void test_keys_are_served_in_turn(void **state)
{
    (void)state;
    struct world *world = world_new(100);
    size_t served[3] = {0};
    world_define(world, "mail", (struct queue_limits){.concurrency = 1});
    size_t first = world_start(world, "mail", "a", 0);
    for (int i = 0; i < 300; i++) {
        world_start(world, "mail", "a", 0);
    }
    for (int i = 0; i < 10; i++) {
        world_start(world, "mail", "b", 0);
        world_start(world, "mail", "c", 0);
    }
    world_done(world, first);
    for (size_t i = 1; i < 31; i++) {
        served[world->runs[world_given(world, i)].key[0] - 'a']++;
        finish_first(world);
    }
    assert_int_equal(served[0], 10);
    assert_int_equal(served[1], 10);
    assert_int_equal(served[2], 10);
    world_end(world);
}

static void test_priority_goes_first(void **state)
{
    (void)state;
    struct world *world = world_new(100);
    static const int32_t priorities[] = {0, -5, 0, 7, INT32_MAX, INT32_MIN, 7};
    static const size_t order[] = {5, 4, 7, 1, 3, 2, 6}; /* Of starts, the first being 0. */
    world_define(world, "mail", (struct queue_limits){.concurrency = 1});
    world_start(world, "mail", "", 0);
    for (size_t i = 0; i < COUNT_OF(priorities); i++) {
        world_start(world, "mail", "", priorities[i]);
    }
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        finish_first(world);
        assert_int_equal(world_given(world, i + 1), order[i]);
    }
    world_end(world);
}

/* Where hosts are what is short, priority and keys decide too. */
static void test_order_holds_when_hosts_are_busy(void **state)
{
    (void)state;
    struct world *world = world_new(1);
    world_define(world, "mail", (struct queue_limits){0});
    world_start(world, "mail", "a", 0);
    size_t low = world_start(world, "mail", "a", -1);
    size_t high = world_start(world, "mail", "a", 1);
    size_t other = world_start(world, "mail", "b", 0);
    size_t plain = world_start(world, "", "", 0); /* Ready after the queue's. */
    const size_t order[] = {high, plain, other, low};
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        finish_first(world);
        assert_int_equal(world_given(world, i + 1), order[i]);
    }
    assert_int_equal(world->held_max, 1);
    world_end(world);
}

static void test_rate_counts_starts(void **state)
{
    (void)state;
    struct world *world = world_new(100);
    char sentence[256];
    world_define(world, "mail", (struct queue_limits){.rate = 3, .rate_period_ms = 1000});
    for (int i = 0; i < 10; i++) {
        world_start(world, "mail", "", 0);
    }
    assert_int_equal(world->given_count, 3);
    world_pass(world, 400);
    world_sentence(world, 9, sentence);
    assert_string_equal(sentence, "queue mail begins 3 runs in 1000 ms; the next may begin in "
                                  "600 ms; 6 are ahead of it");
    world_pass(world, 599);
    assert_int_equal(world->given_count, 3);
    /* To go on after a wait is no start. */
    world_sleep(world, 0, 100);
    world_pass(world, 1);
    assert_int_equal(world->given_count, 6);
    world_pass(world, 99);
    assert_int_equal(world->given_count, 7);
    assert_int_equal(world_given(world, 6), 0);
    world_pass(world, 900);
    assert_int_equal(world->given_count, 7);
    world_pass(world, 1);
    assert_int_equal(world->given_count, 10);
    world_pass(world, 1000);
    assert_int_equal(world->given_count, 11);
    world_end(world);
}

static void test_rate_survives_a_restart(void **state)
{
    (void)state;
    struct world *world = world_new(100);
    world_define(world, "mail", (struct queue_limits){.rate = 2, .rate_period_ms = 60000});
    for (int i = 0; i < 6; i++) {
        world_start(world, "mail", "", 0);
    }
    world_done(world, 0);
    world_done(world, 1);
    world_pass(world, 30000);
    world_restart(world);
    world_connect(world, 0, "");
    world_pass(world, 29999);
    assert_int_equal(world->given_count, 2);
    world_pass(world, 1);
    assert_int_equal(world->given_count, 4);
    /* Raised, it counts what has begun. */
    world_define(world, "mail", (struct queue_limits){.rate = 3, .rate_period_ms = 60000});
    assert_int_equal(world->given_count, 5);
    world_restart(world);
    world_connect(world, 0, "");
    assert_int_equal(world->given_count, 5);
    world_pass(world, 60000);
    assert_true(world->given_count >= 6);
    world->limits_count = 0; /* The rate was not always what it is. */
    world_end(world);
}

/* What a queue without a rate has forgotten stays forgotten. */
static void test_a_restart_brings_no_start_back(void **state)
{
    (void)state;
    struct world *world = world_new(100);
    world_define(world, "mail", (struct queue_limits){.rate = 2, .rate_period_ms = 60000});
    world_start(world, "mail", "", 0);
    world_start(world, "mail", "", 0);
    world_define(world, "mail", (struct queue_limits){0});
    world_define(world, "mail", (struct queue_limits){.rate = 1, .rate_period_ms = 60000});
    world_restart(world);
    world_connect(world, 0, "");
    world_start(world, "mail", "", 0);
    assert_int_equal(world->given_count, 3);
    world_start(world, "mail", "", 0);
    assert_int_equal(world->given_count, 3);
    world->limits_count = 0; /* The rate was not always what it is. */
    world_end(world);
}

static void test_waiting_frees_the_place(void **state)
{
    (void)state;
    struct world *world = world_new(100);
    world_define(world, "mail", (struct queue_limits){.concurrency = 1});
    size_t first = world_start(world, "mail", "", 0);
    size_t second = world_start(world, "mail", "", 0);
    size_t third = world_start(world, "mail", "", 0);
    world_sleep(world, first, 1000);
    assert_int_equal(world_given(world, 1), second);
    world_pass(world, 1000); /* It is ready again, and the oldest; but there is no place. */
    assert_int_equal(world->given_count, 2);
    world_done(world, second);
    assert_int_equal(world_given(world, 2), first);
    world_done(world, first);
    assert_int_equal(world_given(world, 3), third);
    world_end(world);
}

static void test_a_lost_host_keeps_the_place_while_it_may_dial_again(void **state)
{
    (void)state;
    struct world *world = world_new(100);
    world_define(world, "mail", (struct queue_limits){.concurrency = 2});
    for (int i = 0; i < 4; i++) {
        world_start(world, "mail", "", 0);
    }
    world_lose(world, 0);
    world_connect(world, 1, "");
    world_pass(world, WORLD_REDIAL_MS - 1);
    assert_int_equal(world->given_count, 2);
    world_pass(world, 2);
    assert_int_equal(world->given_count, 4);
    assert_int_equal(world_given(world, 2), 0); /* In order: the oldest goes on first. */
    assert_int_equal(world_given(world, 3), 1);
    world_end(world);
}

static void test_restart_keeps_order_and_places(void **state)
{
    (void)state;
    struct world *world = world_new(100);
    world_define(world, "mail", (struct queue_limits){.concurrency = 2, .per_key = 1});
    for (int i = 0; i < 4; i++) {
        world_start(world, "mail", "a", i);
        world_start(world, "mail", "b", -i);
    }
    struct queue_report before = world_queue(world, "mail");
    assert_int_equal(before.running, 2);
    assert_int_equal(before.waiting, 6);
    world_restart(world);
    struct queue_report after = world_queue(world, "mail");
    assert_int_equal(after.limits.concurrency, before.limits.concurrency);
    assert_int_equal(after.limits.per_key, before.limits.per_key);
    assert_int_equal(after.limits.rate, before.limits.rate);
    assert_int_equal(after.running, 2);
    assert_int_equal(after.waiting, 6);
    world_connect(world, 1, "");
    assert_int_equal(world->given_count, 2); /* What the old hosts hold is not lost yet. */
    world_pass(world, WORLD_LEASE_MS + 1);
    static const size_t order[2][4] = {{6, 4, 2, 0}, {1, 3, 5, 7}}; /* By key. */
    size_t served[2] = {0};
    for (size_t i = 2; i < 10; i++) {
        size_t run = world_given(world, i);
        size_t key = (size_t)(world->runs[run].key[0] - 'a');
        assert_int_equal(run, order[key][served[key]++]);
        world_done(world, run);
    }
    assert_int_equal(world_queue(world, "mail").waiting, 0);
    world_end(world);
}

static void test_cancel_while_queued(void **state)
{
    (void)state;
    struct world *world = world_new(100);
    world_define(world, "mail", (struct queue_limits){.concurrency = 1});
    size_t first = world_start(world, "mail", "", 0);
    size_t second = world_start(world, "mail", "", 0);
    size_t third = world_start(world, "mail", "", 0);
    world_cancel(world, second);
    assert_int_equal(world_queue(world, "mail").waiting, 1);
    world_cancel(world, first); /* Its code cleans up, in the place it has. */
    assert_int_equal(world->given_count, 1);
    world_done(world, first);
    assert_int_equal(world_given(world, 1), third);
    world_end(world);
}

/* It would run out of time in a queue. */
static void test_cleaning_up_needs_no_place(void **state)
{
    (void)state;
    struct world *world = world_new(100);
    world_define(world, "mail", (struct queue_limits){.concurrency = 1});
    size_t first = world_start(world, "mail", "", 0);
    world_sleep(world, first, 100000);
    size_t second = world_start(world, "mail", "", 0);
    assert_int_equal(world_given(world, 1), second);
    world_cancel(world, first);
    assert_int_equal(world_given(world, 2), first);
    world_done(world, first);
    world_done(world, second);
    assert_int_equal(world_queue(world, "mail").running, 0);
    world_end(world);
}

/* The one that the hosts know for all of them is cancelled. */
static void test_the_one_that_hosts_know_may_go(void **state)
{
    (void)state;
    struct world *world = world_new(1);
    world_define(world, "mail", (struct queue_limits){0});
    size_t first = world_start(world, "mail", "", 0);
    size_t second = world_start(world, "mail", "", 0);
    size_t third = world_start(world, "mail", "", 0);
    world_cancel(world, second);
    world_done(world, first);
    assert_int_equal(world_given(world, 1), third);
    world_end(world);
}

static void test_a_commit_that_fails_takes_nobodys_place(void **state)
{
    (void)state;
    struct world *world = world_new(100);
    const char *reason = NULL;
    world_define(world, "mail", (struct queue_limits){.concurrency = 1});
    size_t first = world_start(world, "mail", "", 0);
    world_fail_next_commit(world);
    assert_int_equal(world_try_start(world, RUN_KIND_WORKFLOW, "mail", "", 0, &reason), SIZE_MAX);
    size_t second = world_start(world, "mail", "", 0);
    assert_int_equal(world_queue(world, "mail").waiting, 1);
    world_fail_next_commit(world);
    world_done(world, first); /* Is not heard; the host dials again, without it. */
    assert_int_equal(world->given_count, 1);
    assert_int_equal(world_queue(world, "mail").running, 1);
    world_connect(world, 1, "");
    world_pass(world, WORLD_LEASE_MS + 1000);
    assert_int_equal(world_given(world, 1), first);
    world_done(world, first);
    assert_int_equal(world_given(world, 2), second);
    world_end(world);
}

static void test_limits_may_change(void **state)
{
    (void)state;
    struct world *world = world_new(100);
    world_define(world, "mail", (struct queue_limits){.per_key = 1});
    for (int i = 0; i < 6; i++) {
        world_start(world, "mail", "a", 0);
    }
    assert_int_equal(world->given_count, 1);
    world_define(world, "mail", (struct queue_limits){.per_key = 4});
    assert_int_equal(world->given_count, 4);
    world_define(world, "mail", (struct queue_limits){.concurrency = 2});
    world_done(world, 0);
    world_done(world, 1);
    assert_int_equal(world->given_count, 4);
    world_done(world, 2);
    assert_int_equal(world->given_count, 5);
    world_end(world);
}

static void test_the_workflows_own_queue(void **state)
{
    (void)state;
    struct world *world = world_new(100);
    world_define(world, "mail", (struct queue_limits){.concurrency = 1});
    world_connect(world, 1, "mail");
    size_t first = world_start(world, "", "", 0);
    world_start(world, "", "", 0);
    assert_int_equal(world->given_count, 1);
    assert_int_equal(world_queue(world, "mail").waiting, 1);
    world_restart(world);
    world_start(world, "", "", 0);
    assert_int_equal(world_queue(world, "mail").waiting, 2);
    world_connect(world, 2, ""); /* The workflow's newest definition has none. */
    world_start(world, "", "", 0);
    assert_int_equal(world_queue(world, "mail").waiting, 2);
    assert_int_equal(world->runs[first].epoch, 1);
    world->limits_count = 0; /* The world knows the queue of none of these. */
    world_end(world);
}

static void test_deletion(void **state)
{
    (void)state;
    struct world *world = world_new(100);
    const struct queue_limits slow = {.concurrency = 1, .rate = 2, .rate_period_ms = 60000};
    const char *reason = "";
    assert_string_equal(world_delete(world, "mail"), "QUEUE_NOT_FOUND");
    world_define(world, "mail", slow);
    world_define(world, "mailer", (struct queue_limits){.rate = 1, .rate_period_ms = 60000});
    size_t first = world_start(world, "mail", "", 0);
    size_t second = world_start(world, "mail", "", 0);
    world_done(world, world_start(world, "mailer", "", 0));
    assert_string_equal(world_delete(world, "mail"), "QUEUE_IN_USE");
    world_cancel(world, second);
    assert_string_equal(world_delete(world, "mail"), "QUEUE_IN_USE");
    world_done(world, first);
    assert_string_equal(world_delete(world, "mail"), "");
    assert_string_equal(world_delete(world, "mail"), "QUEUE_NOT_FOUND");
    assert_int_equal(world_try_start(world, RUN_KIND_WORKFLOW, "mail", "", 0, &reason), SIZE_MAX);
    assert_string_equal(reason, "QUEUE_NOT_FOUND");
    world_restart(world);
    world_connect(world, 0, "");
    assert_string_equal(world_delete(world, "mail"), "QUEUE_NOT_FOUND");
    /* Defined again it has forgotten whom it let begin; its neighbour has not. */
    world_define(world, "mail", slow);
    world_restart(world);
    world_connect(world, 0, "");
    world_done(world, world_start(world, "mail", "", 0));
    size_t last = world_start(world, "mail", "", 0);
    assert_int_equal(world->runs[last].epoch, 1);
    size_t waiting = world_start(world, "mailer", "", 0);
    assert_int_equal(world->runs[waiting].epoch, 0);
    world->limits_count = 0; /* The world counts what the first queue of the name let begin. */
    world_end(world);
}

static void test_a_deletion_that_does_not_commit(void **state)
{
    (void)state;
    struct world *world = world_new(100);
    world_define(world, "mail", (struct queue_limits){.concurrency = 1});
    world_fail_next_commit(world);
    assert_string_not_equal(world_delete(world, "mail"), "");
    world_heal(world);
    world_start(world, "mail", "", 0);
    assert_int_equal(world_queue(world, "mail").running, 1);
    world_end(world);
}

static void test_refusals(void **state)
{
    (void)state;
    struct world *world = world_new(100);
    const struct {
        enum run_kind kind;
        const char *queue;
        const char *key;
        int32_t priority;
        const char *reason;
    } rows[] = {
        {RUN_KIND_WORKFLOW, "nowhere", "", 0, "QUEUE_NOT_FOUND"},
        {RUN_KIND_TOOL, "nowhere", "", 0, "QUEUE_NOT_FOUND"},
        {RUN_KIND_WORKFLOW, "", "acme", 0, "INVALID_FIELD"},
        {RUN_KIND_WORKFLOW, "", "", 1, "INVALID_FIELD"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *reason = "";
        size_t run = world_try_start(world, rows[i].kind, rows[i].queue, rows[i].key,
                                     rows[i].priority, &reason);
        assert_int_equal(run, SIZE_MAX);
        assert_string_equal(reason, rows[i].reason);
    }
    world_end(world);
}

static void test_sentences(void **state)
{
    (void)state;
    struct world *world = world_new(2);
    char sentence[256];
    world_define(world, "mail", (struct queue_limits){.concurrency = 2, .per_key = 1});
    world_start(world, "mail", "acme", 0);
    size_t second = world_start(world, "mail", "acme", 0);
    size_t third = world_start(world, "mail", "acme", 0);
    world_sentence(world, second, sentence);
    assert_string_equal(sentence, "queue mail runs 1 of 1 for key acme; it is next");
    world_start(world, "mail", "", 0);
    size_t unkeyed = world_start(world, "mail", "", 0);
    world_sentence(world, third, sentence);
    assert_string_equal(sentence, "queue mail runs 2 of 2; 1 is ahead of it");
    world_define(world, "mail", (struct queue_limits){.per_key = 1});
    world_sentence(world, unkeyed, sentence);
    assert_string_equal(sentence, "queue mail runs 1 of 1 for key ''; it is next");
    world_define(world, "mail", (struct queue_limits){0});
    world_sentence(world, unkeyed, sentence);
    assert_string_equal(sentence, ""); /* Only a host is missing. */
    world_end(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_hold),
        cmocka_unit_test(test_keys_are_served_in_turn),
        cmocka_unit_test(test_priority_goes_first),
        cmocka_unit_test(test_order_holds_when_hosts_are_busy),
        cmocka_unit_test(test_rate_counts_starts),
        cmocka_unit_test(test_rate_survives_a_restart),
        cmocka_unit_test(test_a_restart_brings_no_start_back),
        cmocka_unit_test(test_waiting_frees_the_place),
        cmocka_unit_test(test_a_lost_host_keeps_the_place_while_it_may_dial_again),
        cmocka_unit_test(test_restart_keeps_order_and_places),
        cmocka_unit_test(test_cancel_while_queued),
        cmocka_unit_test(test_cleaning_up_needs_no_place),
        cmocka_unit_test(test_the_one_that_hosts_know_may_go),
        cmocka_unit_test(test_a_commit_that_fails_takes_nobodys_place),
        cmocka_unit_test(test_limits_may_change),
        cmocka_unit_test(test_the_workflows_own_queue),
        cmocka_unit_test(test_deletion),
        cmocka_unit_test(test_a_deletion_that_does_not_commit),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_sentences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
