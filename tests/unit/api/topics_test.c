/*
 * Goal:   topics are listed by their names, followed from where a caller says, and dropped; what is
 *         dropped is seen no more, then deleted a few events a round, and numbers go on.
 * Method: the handlers over the real partition and the memory store. Publishing once for each key:
 *         publications_test.c; streams that stall or break off: waits_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "google/protobuf/timestamp.pb-c.h"
#include "polos/v1/topics.pb-c.h"
#include "service/partition/partition.h"
#include "storage/keys.h"
#include "tests/unit/api/world.h"

#define PUBLISH "/polos.v1.TopicService/Publish"
#define SUBSCRIBE "/polos.v1.TopicService/Subscribe"
#define LIST "/polos.v1.TopicService/List"
#define DELETE "/polos.v1.TopicService/Delete"

enum {
    EVENTS_MAX = 1000,
    PER_ROUND = 256, /* Deletions of one topic. */
};

static int64_t publish(struct world *world, const char *topic, const char *type, size_t count)
{
    Polos__V1__NewEvent event = POLOS__V1__NEW_EVENT__INIT;
    static Polos__V1__NewEvent *events[EVENTS_MAX];
    Polos__V1__TopicServicePublishRequest request = POLOS__V1__TOPIC_SERVICE_PUBLISH_REQUEST__INIT;
    event.event_type = (char *)type;
    for (size_t i = 0; i < count; i++) {
        events[i] = &event;
    }
    request.topic = (char *)topic;
    request.events = events;
    request.n_events = count;
    Polos__V1__TopicServicePublishResponse *response =
        world_ask(world, PUBLISH, &request.base, CODE_OK);
    int64_t first = response->sequences[0];
    free_message(response);
    return first;
}

static Polos__V1__TopicServiceListResponse *list(struct world *world, const char *prefix, int size,
                                                 const char *token)
{
    Polos__V1__TopicServiceListRequest request = POLOS__V1__TOPIC_SERVICE_LIST_REQUEST__INIT;
    request.prefix = (char *)prefix;
    request.page_size = size;
    request.page_token = (char *)token;
    return world_ask(world, LIST, &request.base, CODE_OK);
}

static void delete (struct world *world, const char *topic, int64_t up_to)
{
    Polos__V1__TopicServiceDeleteRequest request = POLOS__V1__TOPIC_SERVICE_DELETE_REQUEST__INIT;
    request.topic = (char *)topic;
    request.up_to_sequence = up_to;
    free_message(world_ask(world, DELETE, &request.base, CODE_OK));
}

static Polos__V1__TopicServiceSubscribeRequest from(const char *topic)
{
    Polos__V1__TopicServiceSubscribeRequest request =
        POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__INIT;
    request.topic = (char *)topic;
    return request;
}

/* What a stream that does not stay is sent: these sequences, then the end at that position. */
static void expect(struct world *world, const Polos__V1__TopicServiceSubscribeRequest *request,
                   const int64_t *sequences, size_t count, const char *end)
{
    struct simulated_call *call = simulated_call_start(&world->api, SUBSCRIBE, &request->base);
    for (int i = 0; i < 8 && call->finishes == 0; i++) {
        world_rounds(world);
    }
    assert_int_equal(call->finishes, 1);
    assert_int_equal(call->error.code, CODE_OK);
    assert_int_equal(call->sent_count, count + 1);
    for (size_t i = 0; i <= count; i++) {
        Polos__V1__TopicServiceSubscribeResponse *sent = simulated_call_sent(call, i);
        if (i < count) {
            assert_int_equal(sent->event->sequence, sequences[i]);
        } else {
            assert_null(sent->event);
            assert_string_equal(sent->position, end);
        }
        free_message(sent);
    }
    simulated_call_release(call);
}

static void lists_them_by_name(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    publish(&world, "orders", "", 3);
    publish(&world, "news/a", "", 1);
    publish(&world, "news/b", "", 2);
    Polos__V1__TopicServiceListResponse *page = list(&world, "", 2, "");
    assert_int_equal(page->n_topics, 2);
    assert_string_equal(page->topics[0]->name, "news/a");
    assert_string_equal(page->topics[1]->name, "news/b");
    Polos__V1__TopicServiceListResponse *next = list(&world, "", 2, page->next_page_token);
    assert_int_equal(next->n_topics, 1);
    assert_string_equal(next->topics[0]->name, "orders");
    assert_int_equal(next->topics[0]->first_sequence, 1);
    assert_int_equal(next->topics[0]->last_sequence, 3);
    assert_int_equal(next->topics[0]->last_published_at->seconds, world.now_ms / 1000);
    assert_string_equal(next->next_page_token, "");
    free_message(next);
    free_message(page);
    page = list(&world, "news/", 1, "");
    assert_int_equal(page->n_topics, 1);
    next = list(&world, "news/", 1, page->next_page_token);
    assert_string_equal(next->topics[0]->name, "news/b");
    assert_string_equal(next->next_page_token, "");
    Polos__V1__TopicServiceListRequest request = POLOS__V1__TOPIC_SERVICE_LIST_REQUEST__INIT;
    request.prefix = (char *)"o";
    request.page_token = page->next_page_token; /* Of another list. */
    world_refused(&world, LIST, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "page_token");
    request.prefix = (char *)"";
    request.page_token = (char *)"news/a";
    world_refused(&world, LIST, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "page_token");
    free_message(next);
    free_message(page);
    world_fini(&world);
}

/* More than are looked up in one step of a read. */
static void lists_many(void **state)
{
    (void)state;
    enum {
        COUNT = 300,
    };
    struct world world;
    world_init(&world, 0);
    for (int i = 0; i < COUNT; i++) {
        char name[16];
        snprintf(name, sizeof(name), "t%03d", i);
        publish(&world, name, "", 1);
    }
    Polos__V1__TopicServiceListResponse *page = list(&world, "", 1000, "");
    assert_int_equal(page->n_topics, COUNT);
    for (int i = 0; i < COUNT; i++) {
        char name[16];
        snprintf(name, sizeof(name), "t%03d", i);
        assert_string_equal(page->topics[i]->name, name);
        assert_int_equal(page->topics[i]->last_sequence, 1);
    }
    assert_string_equal(page->next_page_token, "");
    free_message(page);
    world_fini(&world);
}

static void follows_from_where_it_is_told(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    publish(&world, "t", "a", 2);
    uint64_t between_ms = world.now_ms;
    world.now_ms += 5000;
    publish(&world, "t", "b", 1);
    publish(&world, "t", "a", 1);
    static const int64_t all[] = {1, 2, 3, 4};
    static const int64_t of_b[] = {3};
    Polos__V1__TopicServiceSubscribeRequest request = from("t");
    expect(&world, &request, all, 4, "4");
    request.event_type = (char *)"b";
    expect(&world, &request, of_b, 1, "4");
    request.event_type = (char *)"";
    request.start_case = POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__START_POSITION;
    request.position = (char *)"3";
    expect(&world, &request, all + 3, 1, "4");
    request.start_case = POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__START_AFTER_TIME;
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    request.after_time = &time;
    expect(&world, &request, all, 4, "4");
    time.seconds = (int64_t)between_ms / 1000;
    time.nanos = (int32_t)(between_ms % 1000) * 1000000;
    expect(&world, &request, all + 2, 2, "4");
    time.seconds += 3600;
    expect(&world, &request, NULL, 0, "4");
    request.start_case = POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__START_ONLY_NEW;
    request.only_new = true;
    expect(&world, &request, NULL, 0, "4");
    request = from("nothing");
    expect(&world, &request, NULL, 0, "0");
    world_fini(&world);
}

/* Up to the largest number that a topic can reach; "0" is before the first event. */
static void any_number_is_a_position(void **state)
{
    (void)state;
    static const int64_t last[] = {11};
    static const int64_t all[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    struct world world;
    world_init(&world, 0);
    publish(&world, "news", "", 11);
    Polos__V1__TopicServiceSubscribeRequest request = from("news");
    request.start_case = POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__START_POSITION;
    request.position = (char *)"0";
    expect(&world, &request, all, COUNT_OF(all), "11");
    request.position = (char *)"10";
    expect(&world, &request, last, COUNT_OF(last), "11");
    request.position = (char *)"11";
    expect(&world, &request, NULL, 0, "11");
    world_fini(&world);
}

static void refuses_starts_that_are_none(void **state)
{
    (void)state;
    static const char *const positions[] = {"", "x", "01", "-1", "99999999999999999999", "1 "};
    struct world world;
    world_init(&world, 0);
    Polos__V1__TopicServiceSubscribeRequest request = from("t");
    request.start_case = POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__START_POSITION;
    for (size_t i = 0; i < COUNT_OF(positions); i++) {
        request.position = (char *)positions[i];
        world_refused(&world, SUBSCRIBE, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                      "position");
    }
    request.start_case = POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__START_AFTER_SEQUENCE;
    request.after_sequence = -1;
    world_refused(&world, SUBSCRIBE, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "after_sequence");
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.nanos = -1;
    request.start_case = POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__START_AFTER_TIME;
    request.after_time = &time;
    world_refused(&world, SUBSCRIBE, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "after_time");
    world_fini(&world);
}

static bool count_row(void *context, str key, str value)
{
    (void)key, (void)value;
    ++*(size_t *)context;
    return true;
}

static size_t count_rows(struct world *world)
{
    size_t count = 0;
    char prefix[KEY_BYTES_MAX];
    struct key_space space = {0};
    status scanned = store_scan(&world->store, STORE_TOPICS, key_prefix_space(prefix, space),
                                STR_EMPTY, false, SIZE_MAX, count_row, &count);
    assert_int_equal(scanned.code, CODE_OK);
    return count;
}

static void drops_its_oldest_events(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    publish(&world, "t", "", 5);
    delete (&world, "t", 3);
    static const int64_t rest[] = {4, 5};
    Polos__V1__TopicServiceSubscribeRequest request = from("t");
    expect(&world, &request, rest, 2, "5");
    Polos__V1__TopicServiceListResponse *page = list(&world, "", 0, "");
    assert_int_equal(page->topics[0]->first_sequence, 4);
    free_message(page);
    delete (&world, "t", 2); /* They are gone. */
    delete (&world, "t", 9);
    page = list(&world, "", 0, "");
    assert_int_equal(page->topics[0]->first_sequence, 0);
    assert_int_equal(page->topics[0]->last_sequence, 5);
    assert_null(page->topics[0]->last_published_at);
    free_message(page);
    assert_int_equal(publish(&world, "t", "", 1), 6);
    expect(&world, &request, (const int64_t[]){6}, 1, "6");
    world_fini(&world);
}

static void drops_a_topic(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    publish(&world, "t", "", 2);
    delete (&world, "t", 0);
    Polos__V1__TopicServiceListResponse *page = list(&world, "", 0, "");
    assert_int_equal(page->n_topics, 0);
    free_message(page);
    Polos__V1__TopicServiceSubscribeRequest request = from("t");
    expect(&world, &request, NULL, 0, "2");
    Polos__V1__TopicServiceDeleteRequest again = POLOS__V1__TOPIC_SERVICE_DELETE_REQUEST__INIT;
    again.topic = (char *)"t";
    world_refused(&world, DELETE, &again.base, CODE_NOT_FOUND, "TOPIC_NOT_FOUND", "topic");
    again.topic = (char *)"never";
    world_refused(&world, DELETE, &again.base, CODE_NOT_FOUND, "TOPIC_NOT_FOUND", "topic");
    again.topic = (char *)"";
    world_refused(&world, DELETE, &again.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "topic");
    again.topic = (char *)"t";
    again.up_to_sequence = -1;
    world_refused(&world, DELETE, &again.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "up_to_sequence");
    assert_int_equal(publish(&world, "t", "", 1), 3); /* Numbers go on. */
    page = list(&world, "", 0, "");
    assert_int_equal(page->n_topics, 1);
    assert_int_equal(page->topics[0]->first_sequence, 3);
    free_message(page);
    world_fini(&world);
}

static void deletes_a_few_a_round(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    publish(&world, "t", "", EVENTS_MAX);
    publish(&world, "other", "", 1);
    size_t rows = count_rows(&world);
    Polos__V1__TopicServiceDeleteRequest request = POLOS__V1__TOPIC_SERVICE_DELETE_REQUEST__INIT;
    request.topic = (char *)"t";
    struct simulated_call *call = simulated_call_start(&world.api, DELETE, &request.base);
    size_t left = rows;
    for (int i = 0; i < EVENTS_MAX && left > rows - EVENTS_MAX; i++) {
        partition_round(world.partition);
        assert_true(left - count_rows(&world) <= PER_ROUND);
        left = count_rows(&world);
    }
    assert_int_equal(left, rows - EVENTS_MAX);
    assert_int_equal(call->error.code, CODE_OK);
    simulated_call_release(call);
    Polos__V1__TopicServiceSubscribeRequest other = from("other");
    expect(&world, &other, (const int64_t[]){1}, 1, "1");
    world_fini(&world);
}

static void a_bad_topic_call_names_the_field(void **state)
{
    (void)state;
    static char text[1102];
    memset(text, '1', sizeof(text) - 1);
    static char topic[514];
    memset(topic, 't', sizeof(topic) - 1);
    static const struct {
        const char *topic;
        size_t count;
        const char *type;
        const char *data;
        const char *field;
    } rows[] = {
        {"", 1, "", "1", "topic"},
        {topic, 1, "", "1", "topic"},
        {"t", 0, "", "1", "events"},
        {"t", 1001, "", "1", "events"},
        {"t", 2, text, "1", "events[0].event_type"},
        {"t", 2, "", "{", "events[0].data_json"},
        {"t", 2, "", text, "events[0].data_json"},
    };
    struct world world;
    world_init(&world, 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Polos__V1__NewEvent event = POLOS__V1__NEW_EVENT__INIT;
        event.event_type = (char *)rows[i].type;
        event.data_json = (char *)rows[i].data;
        static Polos__V1__NewEvent *events[1001];
        for (size_t n = 0; n < rows[i].count; n++) {
            events[n] = &event;
        }
        Polos__V1__TopicServicePublishRequest request =
            POLOS__V1__TOPIC_SERVICE_PUBLISH_REQUEST__INIT;
        request.topic = (char *)rows[i].topic;
        request.events = events;
        request.n_events = rows[i].count;
        world_refused(&world, PUBLISH, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                      rows[i].field);
    }
    Polos__V1__TopicServiceSubscribeRequest follow =
        POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__INIT;
    world_refused(&world, SUBSCRIBE, &follow.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "topic");
    struct simulated_call *call = simulated_call_start(&world.api, SUBSCRIBE, &follow.base);
    simulated_call_closed(call); /* Late: the partition has never heard of this subscriber. */
    world_rounds(&world);
    simulated_call_release(call);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_them_by_name),
        cmocka_unit_test(lists_many),
        cmocka_unit_test(follows_from_where_it_is_told),
        cmocka_unit_test(any_number_is_a_position),
        cmocka_unit_test(refuses_starts_that_are_none),
        cmocka_unit_test(drops_its_oldest_events),
        cmocka_unit_test(drops_a_topic),
        cmocka_unit_test(deletes_a_few_a_round),
        cmocka_unit_test(a_bad_topic_call_names_the_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
