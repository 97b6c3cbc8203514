/*
 * Goal:   an idempotency key publishes once to its topic, for a day, whatever becomes of the call;
 *         with other events it is refused; what is kept of old keys goes away.
 * Method: the handlers over the real partition and the memory store, under a clock set by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "polos/v1/topics.pb-c.h"
#include "storage/keys.h"
#include "storage/memory_store.h"
#include "tests/unit/api/world.h"

#define PUBLISH "/polos.v1.TopicService/Publish"
#define DAY_MS ((uint64_t)24 * 3600 * 1000)

enum {
    EVENTS_MAX = 3,
    ROW_KIND = 11, /* links.h */
    AGE_KIND = 12,
};

struct publication {
    Polos__V1__TopicServicePublishRequest request;
    Polos__V1__NewEvent event;
    Polos__V1__NewEvent *events[EVENTS_MAX];
};

static const ProtobufCMessage *make(struct publication *it, const char *topic, const char *key,
                                    const char *data, size_t count)
{
    polos__v1__topic_service_publish_request__init(&it->request);
    polos__v1__new_event__init(&it->event);
    it->event.event_type = (char *)"said";
    it->event.data_json = (char *)data;
    for (size_t i = 0; i < count; i++) {
        it->events[i] = &it->event;
    }
    it->request.topic = (char *)topic;
    it->request.idempotency_key = (char *)key;
    it->request.events = it->events;
    it->request.n_events = count;
    return &it->request.base;
}

static void expect(Polos__V1__TopicServicePublishResponse *answer, int64_t first, size_t count,
                   bool existed)
{
    assert_int_equal(answer->n_sequences, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(answer->sequences[i], first + (int64_t)i);
    }
    assert_int_equal(answer->existed, existed);
    free_message(answer);
}

static void publish(struct world *world, const char *topic, const char *key, int64_t first,
                    bool existed)
{
    struct publication it;
    expect(world_ask(world, PUBLISH, make(&it, topic, key, "1", 2), CODE_OK), first, 2, existed);
}

static void a_key_publishes_once(void **state)
{
    (void)state;
    struct world world;
    struct publication it;
    world_init(&world, 0);
    publish(&world, "news", "k", 1, false);
    publish(&world, "news", "k", 1, true);
    publish(&world, "news", "", 3, false);
    publish(&world, "news", "", 5, false);
    publish(&world, "news", "other", 7, false);
    publish(&world, "newsk", "", 1, false); /* Where one ends and the other begins is part of it. */
    publish(&world, "new", "sk", 1, false);
    publish(&world, "news", "k", 1, true);
    world_refused(&world, PUBLISH, make(&it, "news", "k", "2", 2), CODE_ALREADY_EXISTS,
                  "IDEMPOTENCY_KEY_REUSED", "idempotency_key");
    world_refused(&world, PUBLISH, make(&it, "news", "k", "1", 1), CODE_ALREADY_EXISTS,
                  "IDEMPOTENCY_KEY_REUSED", "idempotency_key");
    publish(&world, "news", "", 9, false); /* Nothing came of those. */
    char key[202];
    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    world_refused(&world, PUBLISH, make(&it, "news", key, "1", 1), CODE_INVALID_ARGUMENT,
                  "INVALID_FIELD", "idempotency_key");
    world_fini(&world);
}

static void calls_of_one_turn_share_a_key(void **state)
{
    (void)state;
    struct world world;
    struct publication it[3];
    struct simulated_call *calls[3];
    world_init(&world, 0);
    for (size_t i = 0; i < 3; i++) {
        const char *data = i == 2 ? "2" : "1";
        calls[i] = simulated_call_start(&world.api, PUBLISH, make(&it[i], "news", "k", data, 1));
    }
    world_rounds(&world);
    expect(simulated_call_sent(calls[0], 0), 1, 1, false);
    expect(simulated_call_sent(calls[1], 0), 1, 1, true);
    assert_int_equal(calls[2]->error.code, CODE_ALREADY_EXISTS);
    for (size_t i = 0; i < 3; i++) {
        simulated_call_release(calls[i]);
    }
    world_fini(&world);
}

static void a_commit_that_fails_keeps_no_key(void **state)
{
    (void)state;
    struct world world;
    struct publication it;
    world_init(&world, 0);
    memory_store_fault(&world.store, MEMORY_STORE_FAULT_LOST);
    world_ask(&world, PUBLISH, make(&it, "news", "k", "1", 2), CODE_UNAVAILABLE);
    memory_store_fault(&world.store, MEMORY_STORE_FAULT_NONE);
    publish(&world, "news", "k", 1, false);
    publish(&world, "news", "k", 1, true);
    world_fini(&world);
}

static bool count_row(void *context, str key, str value)
{
    (void)key;
    (void)value;
    ++*(size_t *)context;
    return true;
}

static size_t rows_of(struct world *world, uint8_t kind)
{
    char key[KEY_BYTES_MAX];
    size_t count = 0;
    struct key_space space = {0};
    status scanned = store_scan(&world->store, STORE_INDEX, key_index(key, space, kind, STR_EMPTY),
                                STR_EMPTY, false, SIZE_MAX, count_row, &count);
    assert_int_equal(scanned.code, CODE_OK);
    return count;
}

static void keys_are_kept_for_a_day(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    publish(&world, "news", "k", 1, false);
    world.now_ms += DAY_MS - 60000;
    publish(&world, "news", "k", 1, true);
    world.now_ms += 60000;
    publish(&world, "news", "k", 3, false);
    publish(&world, "news", "k", 3, true);
    world.now_ms -= 3600000; /* A clock that is set back forgets nothing. */
    publish(&world, "news", "k", 3, true);
    assert_int_equal(rows_of(&world, ROW_KIND), 1);
    world_fini(&world);
}

static void old_keys_go_away(void **state)
{
    (void)state;
    struct world world;
    char key[16];
    world_init(&world, 0);
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "old-%d", i);
        publish(&world, "news", key, 1 + 2 * i, false);
    }
    assert_int_equal(rows_of(&world, ROW_KIND), 20);
    assert_int_equal(rows_of(&world, AGE_KIND), 20);
    world.now_ms += DAY_MS;
    for (int i = 0; i < 6; i++) { /* "old-19" among them, which is swept when it is due. */
        snprintf(key, sizeof(key), i == 0 ? "old-19" : "new-%d", i);
        publish(&world, "news", key, 41 + 2 * i, false);
    }
    assert_int_equal(rows_of(&world, ROW_KIND), 6);
    assert_int_equal(rows_of(&world, AGE_KIND), 6);
    publish(&world, "news", "old-19", 41, true);
    publish(&world, "news", "old-3", 53, false);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_publishes_once),
        cmocka_unit_test(calls_of_one_turn_share_a_key),
        cmocka_unit_test(a_commit_that_fails_keeps_no_key),
        cmocka_unit_test(keys_are_kept_for_a_day),
        cmocka_unit_test(old_keys_go_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
