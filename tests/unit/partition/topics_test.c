/*
 * Goal:   there may be any number of topics: those nobody follows are on disk only, and go on where
 *         they were.
 * Method: the real runtime over the memory store; events in more topics than are kept in memory,
 *         with and without a subscriber, and commits that fail between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/partition/partition.h"

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

static uint64_t publish(struct partition *partition, int topic)
{
    struct request *request = request_new(REQUEST_PUBLISH);
    struct topic_event event = {.topic = name_of(request, topic), .data = STR("{}")};
    request->publish.events = &event;
    request->publish.count = 1;
    partition_ask(partition, request);
    uint64_t first = partition->failure.code == CODE_OK ? request->publish.ret_first : 0;
    request_free(request);
    return first;
}

static size_t topics_in_memory(struct partition *partition)
{
    struct partition_stats stats;
    while (partition_round(partition->partition) == partition->now_ms) {
    }
    partition_round(partition->partition); /* Forgets what was not needed in the turn before. */
    partition_stats(partition->partition, &stats);
    return stats.topics;
}

static void push(struct subscriber *subscriber, const struct topic_event *event)
{
    struct follower *follower = container_of(subscriber, struct follower, subscriber);
    follower->pushed++;
    assert_int_equal(event->sequence, follower->pushed);
}

static size_t nothing_queued(struct subscriber *subscriber)
{
    (void)subscriber;
    return 0;
}

static void end(struct subscriber *subscriber, const struct failure *failure)
{
    (void)failure;
    container_of(subscriber, struct follower, subscriber)->has_ended = true;
}

static void subscribe(struct partition *partition, enum request_kind kind,
                      struct follower *follower, int topic)
{
    struct request *request = request_new(kind);
    request->text = name_of(request, topic);
    request->subscribe.subscriber = &follower->subscriber;
    partition_ask(partition, request);
    assert_int_equal(partition->failure.code, CODE_OK);
    request_free(request);
}

static void test_topics_are_forgotten_and_go_on(void **state)
{
    (void)state;
    struct partition partition;
    partition_init(&partition, 1000);
    for (int i = 0; i < TOPICS; i++) {
        assert_int_equal(publish(&partition, i), 1);
    }
    assert_in_range(topics_in_memory(&partition), 1, KEPT_MAX);
    for (int i = 0; i < TOPICS; i++) {
        assert_int_equal(publish(&partition, i), 2);
    }
    assert_in_range(topics_in_memory(&partition), 1, KEPT_MAX);
    partition_fini(&partition);
}

static void test_a_topic_with_a_subscriber_is_kept(void **state)
{
    (void)state;
    struct partition partition;
    struct follower follower = {
        .subscriber = {.push = push, .queued_bytes = nothing_queued, .end = end, .follows = true}};
    partition_init(&partition, 1000);
    subscribe(&partition, REQUEST_SUBSCRIBE, &follower, 0);
    for (int i = 0; i < TOPICS; i++) {
        publish(&partition, i);
    }
    publish(&partition, 0);
    assert_in_range(topics_in_memory(&partition), 1, KEPT_MAX + 1);
    assert_int_equal(follower.pushed, 2);
    subscribe(&partition, REQUEST_SUBSCRIBE_END, &follower, 0);
    publish(&partition, 0);
    assert_in_range(topics_in_memory(&partition), 1, KEPT_MAX);
    assert_int_equal(follower.pushed, 2);
    assert_false(follower.has_ended);
    partition_fini(&partition);
}

/* A number that was not committed is given again, also when the topic was not in memory. */
static void test_a_lost_commit_takes_its_numbers_back(void **state)
{
    (void)state;
    struct partition partition;
    partition_init(&partition, 1000);
    for (int i = 0; i < TOPICS; i++) {
        publish(&partition, i);
    }
    for (int i = 0; i < TOPICS; i += 50) {
        memory_store_fault(&partition.store, MEMORY_STORE_FAULT_LOST);
        assert_int_equal(publish(&partition, i), 0);
        assert_int_equal(publish(&partition, i), 2);
    }
    assert_in_range(topics_in_memory(&partition), 1, KEPT_MAX);
    partition_fini(&partition);
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
