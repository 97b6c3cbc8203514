/*
 * Goal:   an event reaches the code that awaits it and the workflow that it triggers, once: over
 *         restarts, lost commits and failed reads; an event with a key is published once a day.
 * Method: the real partition with a clock that jumps; one host; what it is told is text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "service/codec/topic_rows.h"
#include "service/features/publications/publications.h"
#include "service/features/topics/topics.h"
#include "storage/keys.h"
#include "tests/unit/partition/lone_calls.h"
#include "tests/unit/partition/lone_host.h"

#define START_MS ((uint64_t)1800000000000)
#define DAY_MS ((uint64_t)24 * 3600 * 1000)

enum {
    AGAIN_MS = 500, /* After a failed read. */
    SECOND_MS = 1000,
};

static struct {
    struct lone_partition lone;
    struct lone_host host;
    struct held_task task;
    char text[128];
} bed;

static const char *const offers[] = {"workflow:flow", NULL};

static void begin(void)
{
    memset(&bed, 0, sizeof(bed));
    lone_init(&bed.lone, START_MS);
    bed.lone.leaves_runs_open = true;
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    lone_start_flow(&bed.lone, "flow");
    bed.task = lone_host_task(&bed.host);
    lone_host_told(&bed.host);
}

static void end(void)
{
    lone_fini(&bed.lone);
    lone_host_fini(&bed.host);
}

static void await(const char *key, const char *type, uint64_t length_ms)
{
    lone_host_request(&bed.host, bed.task, key,
                      (struct host_step_request){.kind = STEP_REQUEST_EVENT,
                                                 .topic = STR("news"),
                                                 .event_type = str_of(type),
                                                 .length_ms = length_ms});
}

static void free_it(struct request *request, const struct failure *failure)
{
    (void)failure;
    request_free(request);
}

/* One round commits it; who awaits it is woken by the next. */
static void publish_in_a_round(const char *type)
{
    struct request *request = request_new(&publish_operation);
    struct topic_event *event = arena_zalloc(&request->arena, sizeof(*event));
    *event = (struct topic_event){
        .topic = STR("news"), .type = arena_copy(&request->arena, str_of(type)), .data = STR("1")};
    publish_request(request)->events = event;
    publish_request(request)->count = 1;
    request->done = free_it;
    assert_true(partition_post(bed.lone.partition, request));
    partition_round(bed.lone.partition);
}

static void restart(void)
{
    lone_stop(&bed.lone);
    lone_begin(&bed.lone);
    lone_rounds(&bed.lone);
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    bed.task = lone_host_task(&bed.host);
}

/* ---- Awaits. ---- */

static void only_what_comes_later_counts(void **state)
{
    (void)state;
    begin();
    lone_publish(&bed.lone, "news", "good", "1");
    await("any", "", 0);
    await("good", "good", 0);
    lone_publish(&bed.lone, "olds", "good", "2"); /* Of another topic. */
    assert_string_equal(lone_host_told(&bed.host), "");
    lone_publish(&bed.lone, "news", "bad", "3");
    assert_string_equal(lone_host_told(&bed.host),
                        "outcome any:4={'sequence':2,'topic':'news','event_type':'bad','data':3,"
                        "'created_at_ms':1800000000000,'run_id':''}\n");
    lone_publish(&bed.lone, "news", "good", "4");
    assert_string_equal(lone_host_told(&bed.host),
                        "outcome good:4={'sequence':3,'topic':'news','event_type':'good','data':4,"
                        "'created_at_ms':1800000000000,'run_id':''}\n");
    lone_publish(&bed.lone, "news", "good", "5");
    assert_string_equal(lone_host_told(&bed.host), "");
    assert_int_equal(lone_rows(&bed.lone, INDEX_AWAIT), 0);
    assert_int_equal(lone_rows(&bed.lone, INDEX_AWAIT_TYPE), 0);
    end();
}

static void an_await_may_end_in_vain(void **state)
{
    (void)state;
    begin();
    await("good", "good", SECOND_MS);
    lone_advance(&bed.lone, START_MS + SECOND_MS - 1);
    assert_string_equal(lone_host_told(&bed.host), "");
    lone_advance(&bed.lone, START_MS + SECOND_MS);
    assert_string_equal(lone_host_told(&bed.host),
                        "outcome good:4=!TIMEOUT: nothing came before the step's timeout\n");
    assert_int_equal(lone_rows(&bed.lone, INDEX_AWAIT_TYPE), 0);
    end();
}

static void what_was_published_before_a_death_is_told(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        begin();
        await("it", i == 0 ? "" : "good", 0);
        publish_in_a_round("good");
        lone_host_told(&bed.host);
        restart();
        assert_string_equal(lone_host_told(&bed.host),
                            "welcome\n"
                            "task flow 2 null [it:4={'sequence':1,'topic':'news',"
                            "'event_type':'good','data':1,'created_at_ms':1800000000000,"
                            "'run_id':''}]\n");
        end();
    }
}

static void a_wake_that_was_lost_is_made_up_for(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        begin();
        await("it", i == 0 ? "" : "good", 0);
        publish_in_a_round("good");
        bed.lone.fails_commits = true;
        partition_round(bed.lone.partition);
        bed.lone.fails_commits = false;
        assert_string_equal(lone_host_told(&bed.host), "");
        lone_advance(&bed.lone, START_MS + SECOND_MS);
        assert_int_equal(lone_count(&bed.lone, bed.task.task.run, EVENT_WAIT_SETTLED), 1);
        assert_non_null(strstr(lone_host_told(&bed.host), "outcome it:4={'sequence':1,"));
        end();
    }
}

static void a_failed_read_is_tried_again_in_a_while(void **state)
{
    (void)state;
    begin();
    await("it", "good", 0);
    publish_in_a_round("good");
    bed.lone.read_failure = CODE_UNAVAILABLE;
    bed.lone.unread = STORE_TOPICS;
    assert_int_equal(partition_round(bed.lone.partition), START_MS + AGAIN_MS);
    bed.lone.read_failure = CODE_OK;
    lone_advance(&bed.lone, START_MS + AGAIN_MS - 1);
    assert_string_equal(lone_host_told(&bed.host), "");
    lone_advance(&bed.lone, START_MS + AGAIN_MS);
    assert_string_equal(lone_host_told(&bed.host),
                        "outcome it:4={'sequence':1,'topic':'news','event_type':'good','data':1,"
                        "'created_at_ms':1800000000000,'run_id':''}\n");
    end();
}

/* The damage stays: nothing is tried in vain for ever, and the next event finds it as it is. */
static void a_damaged_topic_is_left_alone(void **state)
{
    (void)state;
    begin();
    await("it", "good", 0);
    publish_in_a_round("good");
    bed.lone.read_failure = CODE_DATA_LOSS;
    bed.lone.unread = STORE_TOPICS;
    assert_int_not_equal(partition_round(bed.lone.partition), START_MS);
    lone_advance(&bed.lone, START_MS + SECOND_MS);
    assert_string_equal(lone_host_told(&bed.host), "");
    bed.lone.read_failure = CODE_OK;
    lone_publish(&bed.lone, "news", "bad", "2");
    lone_publish(&bed.lone, "news", "good", "3");
    assert_string_equal(lone_host_told(&bed.host),
                        "outcome it:4={'sequence':1,'topic':'news','event_type':'good','data':1,"
                        "'created_at_ms':1800000000000,'run_id':''}\n");
    end();
}

/* ---- Publications. ---- */

static const char *publish_keyed(const char *topic, const char *key, uint8_t digest)
{
    struct topic_event events[2] = {{.topic = str_of(topic), .data = STR("1")},
                                    {.topic = str_of(topic), .data = STR("2")}};
    struct request *request = request_new(&publish_operation);
    publish_request(request)->events = events;
    publish_request(request)->count = 2;
    publish_request(request)->key = str_of(key);
    publish_request(request)->digest[15] = digest;
    lone_ask(&bed.lone, request);
    snprintf(bed.text, sizeof(bed.text), "%s%llu%s",
             bed.lone.failure.code == CODE_OK ? "" : reason_name(bed.lone.failure.reason),
             (unsigned long long)publish_request(request)->ret_first,
             publish_request(request)->ret_existed ? " existed" : "");
    request_free(request);
    lone_rounds(&bed.lone);
    return bed.text;
}

static void a_key_publishes_once(void **state)
{
    (void)state;
    begin();
    assert_string_equal(publish_keyed("news", "k", 1), "1");
    assert_string_equal(publish_keyed("news", "k", 1), "1 existed");
    assert_string_equal(publish_keyed("news", "k", 2), "IDEMPOTENCY_KEY_REUSED0");
    assert_string_equal(publish_keyed("olds", "k", 2), "1");
    assert_string_equal(publish_keyed("news", "l", 1), "3");
    lone_stop(&bed.lone);
    lone_begin(&bed.lone);
    bed.lone.now_ms = START_MS + DAY_MS - 1;
    assert_string_equal(publish_keyed("news", "k", 1), "1 existed");
    assert_int_equal(lone_rows(&bed.lone, INDEX_PUBLICATION), 3);
    bed.lone.now_ms = START_MS + DAY_MS;
    assert_string_equal(publish_keyed("news", "k", 2), "5"); /* It may be used again. */
    assert_string_equal(publish_keyed("news", "k", 2), "5 existed");
    assert_int_equal(lone_rows(&bed.lone, INDEX_PUBLICATION), 1); /* The others went too. */
    assert_int_equal(lone_rows(&bed.lone, INDEX_PUBLICATION_AGE), 1);
    end();
}

static void a_lost_publication_was_none(void **state)
{
    (void)state;
    begin();
    bed.lone.fails_commits = true;
    publish_keyed("news", "k", 1);
    assert_int_not_equal(bed.lone.failure.code, CODE_OK);
    bed.lone.fails_commits = false;
    assert_string_equal(publish_keyed("news", "k", 2), "1");
    bed.lone.now_ms += DAY_MS;
    assert_string_equal(publish_keyed("news", "l", 2), "3");
    assert_int_equal(lone_rows(&bed.lone, INDEX_PUBLICATION), 1);
    end();
}

/* It is told apart from a key that is not there. */
static void an_unread_key_publishes_nothing(void **state)
{
    (void)state;
    begin();
    assert_string_equal(publish_keyed("news", "k", 1), "1");
    bed.lone.read_failure = CODE_DATA_LOSS;
    bed.lone.unread = STORE_INDEX;
    publish_keyed("news", "k", 1);
    assert_int_equal(bed.lone.failure.code, CODE_DATA_LOSS);
    bed.lone.read_failure = CODE_OK;
    assert_string_equal(publish_keyed("news", "l", 1), "3");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_comes_later_counts),
        cmocka_unit_test(an_await_may_end_in_vain),
        cmocka_unit_test(what_was_published_before_a_death_is_told),
        cmocka_unit_test(a_wake_that_was_lost_is_made_up_for),
        cmocka_unit_test(a_failed_read_is_tried_again_in_a_while),
        cmocka_unit_test(a_damaged_topic_is_left_alone),
        cmocka_unit_test(a_key_publishes_once),
        cmocka_unit_test(a_lost_publication_was_none),
        cmocka_unit_test(an_unread_key_publishes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
