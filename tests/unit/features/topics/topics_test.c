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

struct someone {
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

static struct payload *format_event(const struct topic_event *event)
{
    struct payload *payload = payload_new(sizeof(event->sequence));
    memcpy(payload_data(payload), &event->sequence, sizeof(event->sequence));
    return payload;
}

static struct payload *format_caught_up(uint64_t sequence)
{
    (void)sequence;
    return payload_new(0);
}

static const struct topic_format topic_format = {.event = format_event,
                                                 .caught_up = format_caught_up};

static struct someone *someone_of(struct follower *follower)
{
    return container_of(subscriber_of(follower), struct someone, subscriber);
}

static void push(struct follower *follower, struct payload *payload)
{
    struct someone *someone = someone_of(follower);
    uint64_t sequence;
    if (payload_bytes(payload).len > 0) {
        memcpy(&sequence, payload_bytes(payload).ptr, sizeof(sequence));
        someone->pushed++;
        assert_int_equal(sequence, someone->pushed);
    }
    payload_unref(payload);
}

static bool never_stalls(struct follower *follower)
{
    (void)follower;
    return false;
}

static void end(struct follower *follower, const struct failure *failure)
{
    (void)failure;
    someone_of(follower)->has_ended = true;
}

static void subscribe(struct lone_partition *lone, struct someone *someone, int topic)
{
    struct request *request = request_new(&subscribe_operation);
    subscribe_request(request)->topic = name_of(request, topic);
    subscribe_request(request)->subscriber = &someone->subscriber;
    lone_ask(lone, request);
    assert_int_equal(lone->failure.code, CODE_OK);
    request_free(request);
}

static void leave(struct lone_partition *lone, struct someone *someone)
{
    struct request *request = request_new(&follow_end_operation);
    follow_request(request)->follower = &someone->subscriber.follower;
    lone_ask(lone, request);
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

/* It need not be in memory. */
static void test_a_topic_that_is_forgotten_is_followed(void **state)
{
    (void)state;
    struct lone_partition lone;
    struct someone someone = {
        .subscriber = {
            .follower = {.push = push, .stalls = never_stalls, .end = end, .number = UINT64_MAX},
            .follows = true}};
    lone_init(&lone, 1000);
    lone_stop(&lone);
    lone.topic_format = &topic_format;
    lone_begin(&lone);
    subscribe(&lone, &someone, 0);
    for (int i = 0; i < TOPICS; i++) {
        publish(&lone, i);
    }
    assert_in_range(topics_in_memory(&lone), 1, KEPT_MAX);
    publish(&lone, 0);
    assert_int_equal(someone.pushed, 2);
    leave(&lone, &someone);
    publish(&lone, 0);
    assert_in_range(topics_in_memory(&lone), 1, KEPT_MAX);
    assert_int_equal(someone.pushed, 2);
    assert_false(someone.has_ended);
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
        cmocka_unit_test(test_a_topic_that_is_forgotten_is_followed),
        cmocka_unit_test(test_a_lost_commit_takes_its_numbers_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
