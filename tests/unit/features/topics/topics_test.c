/*
 * Goal:   there may be any number of topics: those nobody follows are on disk only, and go on where
 *         they were.
 * Method: the real partition over the memory store; events in more topics than are kept in memory,
 *         with and without a subscriber, and commits that fail between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/failure.h"
#include "service/codec/topic_rows.h"
#include "service/features/publications/publications.h"
#include "service/features/topics/topics.h"
#include "service/partition/partition.h"
#include "service/partition/request.h"
#include "tests/unit/partition/lone_partition.h"

enum {
    TOPICS = 3000,
    KEPT_MAX = 1000,
};

struct follower {
    struct subscriber subscriber;
    size_t pushed;
    bool has_ended;
};

static str name_of(struct request *request, int topic)
{
    return arena_printf(&request->arena, "topic-%d", topic);
}

static uint64_t publish(struct lone_partition *lone, int topic)
{
    struct request *request = request_new(&publish_operation);
    struct topic_event event = {.topic = name_of(request, topic), .data = STR("{}")};
    publish_request(request)->events = &event;
    publish_request(request)->count = 1;
    lone_ask(lone, request);
    uint64_t first = lone->failure.code == CODE_OK ? publish_request(request)->ret_first : 0;
    request_free(request);
    return first;
}

static size_t topics_in_memory(struct lone_partition *lone)
{
    while (partition_round(lone->partition) == lone->now_ms) {
    }
    partition_round(lone->partition); /* Forgets what was not needed in the round before. */
    return topics_count(lone->partition);
}

static void push(struct subscriber *subscriber, const struct topic_event *event)
{
    struct follower *follower = container_of(subscriber, struct follower, subscriber);
    follower->pushed++;
    assert_int_equal(event->sequence, follower->pushed);
}

static void caught_up(struct subscriber *subscriber)
{
    (void)subscriber;
}

static bool never_stalls(struct subscriber *subscriber)
{
    (void)subscriber;
    return false;
}

static void end(struct subscriber *subscriber, const struct failure *failure)
{
    (void)failure;
    container_of(subscriber, struct follower, subscriber)->has_ended = true;
}

static void subscribe(struct lone_partition *lone, const struct operation *operation,
                      struct follower *follower, int topic)
{
    struct request *request = request_new(operation);
    subscribe_request(request)->topic = name_of(request, topic);
    subscribe_request(request)->subscriber = &follower->subscriber;
    lone_ask(lone, request);
    assert_int_equal(lone->failure.code, CODE_OK);
    request_free(request);
}

static void test_topics_are_forgotten_and_go_on(void **state)
{
    (void)state;
    struct lone_partition lone;
    lone_init(&lone, 1000);
    for (int i = 0; i < TOPICS; i++) {
        assert_int_equal(publish(&lone, i), 1);
    }
    assert_in_range(topics_in_memory(&lone), 1, KEPT_MAX);
    for (int i = 0; i < TOPICS; i++) {
        assert_int_equal(publish(&lone, i), 2);
    }
    assert_in_range(topics_in_memory(&lone), 1, KEPT_MAX);
    lone_fini(&lone);
}

static void test_a_topic_with_a_subscriber_is_kept(void **state)
{
    (void)state;
    struct lone_partition lone;
    struct follower follower = {.subscriber = {.push = push,
                                               .stalls = never_stalls,
                                               .caught_up = caught_up,
                                               .end = end,
                                               .follows = true}};
    lone_init(&lone, 1000);
    subscribe(&lone, &subscribe_operation, &follower, 0);
    for (int i = 0; i < TOPICS; i++) {
        publish(&lone, i);
    }
    publish(&lone, 0);
    assert_in_range(topics_in_memory(&lone), 1, KEPT_MAX + 1);
    assert_int_equal(follower.pushed, 2);
    subscribe(&lone, &subscribe_end_operation, &follower, 0);
    publish(&lone, 0);
    assert_in_range(topics_in_memory(&lone), 1, KEPT_MAX);
    assert_int_equal(follower.pushed, 2);
    assert_false(follower.has_ended);
    lone_fini(&lone);
}

/* A number that was not committed is given again, also when the topic was not in memory. */
static void test_a_lost_commit_takes_its_numbers_back(void **state)
{
    (void)state;
    struct lone_partition lone;
    lone_init(&lone, 1000);
    for (int i = 0; i < TOPICS; i++) {
        publish(&lone, i);
    }
    for (int i = 0; i < TOPICS; i += 50) {
        memory_store_fault(&lone.store, MEMORY_STORE_FAULT_LOST);
        assert_int_equal(publish(&lone, i), 0);
        assert_int_equal(publish(&lone, i), 2);
    }
    assert_in_range(topics_in_memory(&lone), 1, KEPT_MAX);
    lone_fini(&lone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topics_are_forgotten_and_go_on),
        cmocka_unit_test(test_a_topic_with_a_subscriber_is_kept),
        cmocka_unit_test(test_a_lost_commit_takes_its_numbers_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
