/*
 * Goal:   events that wait for a batch are looked at when the batch's definition changes, and a
 *         trigger goes with the code that drops it.
 * Method: the real partition with a clock that jumps to the times it asks for; a host that offers a
 *         workflow with one trigger and then with another, and no further event.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/json.h"
#include "service/codec/index.h"
#include "service/codec/topic_rows.h"
#include "service/features/publications/publications.h"
#include "service/features/queues/queues.h"
#include "service/features/tasks/tasks.h"
#include "service/features/triggers/triggers.h"
#include "service/partition/partition.h"
#include "service/partition/request.h"
#include "storage/keys.h"
#include "storage/memory_store.h"
#include "storage/store.h"
#include "tests/unit/partition/lone_calls.h"

#define START_MS ((uint64_t)1800000000000)

static char session[64]; /* That the last Welcome named. */

static struct payload *pack(const struct server_message *message)
{
    if (message->kind == SERVER_MESSAGE_WELCOME) {
        snprintf(session, sizeof(session), STR_FMT, STR_ARG(message->welcome.session));
    }
    return payload_copy(STR("-"));
}

static void send(struct host_link *link, struct payload *payload)
{
    (void)link;
    payload_unref(payload);
}

static void close(struct host_link *link, enum code code, enum reason reason, str message)
{
    (void)link, (void)code, (void)reason, (void)message;
}

static bool has_room(const struct host_link *link)
{
    (void)link;
    return true;
}

static const struct host_link_vtable vtable = {
    .pack = pack, .send = send, .has_room = has_room, .close = close};

static void offer_in(struct lone_partition *lone, struct host_link *link, uint32_t batch_size,
                     uint64_t batch_timeout_ms, str queue)
{
    struct queue_default_offer own = {STR("count"), queue};
    struct request *request = request_new(&hello_operation);
    struct trigger_offer trigger = {
        .workflow = STR("count"),
        .topic = STR("clicks"),
        .batch_size = batch_size,
        .batch_timeout_ms = batch_timeout_ms,
    };
    struct host_offer workflow = {TASK_WORKFLOW, STR("count")};
    *link = (struct host_link){.vtable = &vtable};
    hello_request(request)->link = link;
    hello_request(request)->hello = (struct host_hello){
        .host_id = arena_printf(&request->arena, "host-%u", batch_size),
        .deployment = STR("default"),
        .slots = 1,
        .offers = &workflow,
        .offer_count = 1,
    };
    hello_request(request)->triggers = &trigger;
    hello_request(request)->trigger_count = 1;
    hello_request(request)->defaults = &own;
    hello_request(request)->default_count = 1;
    lone_ask(lone, request);
    assert_int_equal(lone->failure.code, CODE_OK);
    request_free(request);
}

static void offer(struct lone_partition *lone, struct host_link *link, uint32_t batch_size,
                  uint64_t batch_timeout_ms)
{
    offer_in(lone, link, batch_size, batch_timeout_ms, STR_EMPTY);
}

static void publish(struct lone_partition *lone, size_t count)
{
    struct request *request = request_new(&publish_operation);
    struct topic_event events[8];
    assert_true(count <= COUNT_OF(events));
    for (size_t i = 0; i < count; i++) {
        events[i] = (struct topic_event){.topic = STR("clicks"), .data = STR("{}")};
    }
    publish_request(request)->events = events;
    publish_request(request)->count = count;
    lone_ask(lone, request);
    assert_int_equal(lone->failure.code, CODE_OK);
    request_free(request);
}

static size_t runs_after(uint32_t batch_size, uint64_t batch_timeout_ms, uint64_t wait_ms)
{
    struct lone_partition lone;
    struct host_link before;
    struct host_link after;
    lone_init(&lone, START_MS);
    offer(&lone, &before, 5, 0);
    publish(&lone, 3);
    lone_advance(&lone, START_MS + 60000);
    assert_int_equal(lone.run_count, 0);
    offer(&lone, &after, batch_size, batch_timeout_ms);
    lone_advance(&lone, START_MS + 60000 + wait_ms);
    size_t runs = lone.run_count;
    lone_fini(&lone);
    return runs;
}

static void test_a_smaller_batch_is_full(void **state)
{
    (void)state;
    assert_int_equal(runs_after(3, 0, 0), 1);
    assert_int_equal(runs_after(1, 0, 0), 3);
    assert_int_equal(runs_after(4, 0, 100000), 0);
}

static void test_a_shorter_timeout_counts_from_the_first_event(void **state)
{
    (void)state;
    assert_int_equal(runs_after(4, 70000, 9999), 0);
    assert_int_equal(runs_after(4, 70000, 10000), 1);
    assert_int_equal(runs_after(4, 50000, 0), 1);
}

static void test_a_batch_is_a_list_of_its_events(void **state)
{
    (void)state;
    static const char begins[] = "{\"events\":[";
    struct lone_partition lone;
    struct host_link link;
    lone_init(&lone, START_MS);
    offer(&lone, &link, 2, 0);
    publish(&lone, 2);
    lone_advance(&lone, START_MS + 1000);
    assert_int_equal(lone.run_count, 1);
    str input = str_trim(buf_str(&lone.inputs));
    assert_true(str_starts_with(input, STR(begins)));
    assert_true(json_check(input));
    lone_fini(&lone);
}

/* More than are started in a round. */
static void test_many_events_start_as_many_runs(void **state)
{
    (void)state;
    enum {
        CALLS = 40,
        EVENTS = 8,
        ROUNDS = 5,
    };
    struct lone_partition lone;
    struct host_link link;
    lone_init(&lone, START_MS);
    offer(&lone, &link, 1, 0);
    publish(&lone, 1);
    for (int i = 0; i < ROUNDS; i++) {
        (void)partition_round(lone.partition);
    }
    size_t rows = lone_rows(&lone, INDEX_RUN);
    for (int i = 0; i < CALLS; i++) {
        struct request *request = request_new(&publish_operation);
        struct topic_event *events = arena_alloc(&request->arena, EVENTS * sizeof(events[0]));
        for (size_t j = 0; j < EVENTS; j++) {
            events[j] = (struct topic_event){.topic = STR("clicks"), .data = STR("{}")};
        }
        publish_request(request)->events = events;
        publish_request(request)->count = EVENTS;
        partition_post_always(lone.partition, request);
    }
    for (int i = 0; i < ROUNDS; i++) {
        (void)partition_round(lone.partition);
    }
    assert_int_equal(lone_rows(&lone, INDEX_RUN), (CALLS * EVENTS + 1) * rows);
    lone_fini(&lone);
}

/* The clock is set back after a restart: what was due before it still is. */
static void test_a_batch_does_not_wait_for_the_clock(void **state)
{
    (void)state;
    struct lone_partition lone;
    struct host_link link;
    lone_init(&lone, START_MS);
    offer(&lone, &link, 5, 10000);
    publish(&lone, 1);
    lone_advance(&lone, START_MS + 9000);
    lone_stop(&lone);
    lone.now_ms = START_MS + 20000;
    lone_begin(&lone);
    lone.now_ms = START_MS + 12000;
    assert_int_equal(lone.run_count, 0);
    lone_advance(&lone, START_MS + 12000);
    assert_int_equal(lone.run_count, 1);
    lone_fini(&lone);
}

static void put_queue(struct lone_partition *lone)
{
    struct request *request = request_new(&put_queue_operation);
    put_queue_request(request)->offer = (struct queue_offer){.name = STR("narrow")};
    lone_ask(lone, request);
    assert_int_equal(lone->failure.code, CODE_OK);
    request_free(request);
}

/* Its workflow's queue was deleted: the clock would stand still if it were tried at once. */
static void test_a_refused_start_is_tried_again(void **state)
{
    (void)state;
    struct lone_partition lone;
    struct host_link link;
    lone_init(&lone, START_MS);
    put_queue(&lone);
    offer_in(&lone, &link, 1, 0, STR("narrow"));
    struct request *request = request_new(&delete_queue_operation);
    delete_queue_request(request)->name = STR("narrow");
    lone_ask(&lone, request);
    assert_int_equal(lone.failure.code, CODE_OK);
    request_free(request);
    publish(&lone, 2);
    lone_advance(&lone, START_MS + 60000);
    assert_int_equal(lone.run_count, 0);
    put_queue(&lone);
    lone_advance(&lone, START_MS + 70000);
    assert_int_equal(lone.run_count, 2);
    lone_fini(&lone);
}

static void damage_row(struct lone_partition *lone)
{
    char key[KEY_BYTES_MAX];
    struct buf value = {0};
    struct store_batch batch = {0};
    const struct trigger_row row = {.topic = STR("clicks"), .batch_timeout_ms = 1000};
    trigger_row_encode(&row, &value);
    store_batch_put(&batch, STORE_INDEX,
                    key_index(key, (struct key_space){0}, INDEX_TRIGGER, STR("count")),
                    buf_str(&value));
    assert_true(status_is_ok(store_commit(&lone->store, &batch)));
    store_batch_fini(&batch);
    buf_fini(&value);
}

/* Batches of none: no event would ever be enough, or each too many. */
static void test_a_row_without_a_batch_size_is_passed_over(void **state)
{
    (void)state;
    struct lone_partition lone;
    struct host_link link;
    lone_init(&lone, START_MS);
    lone_stop(&lone);
    damage_row(&lone);
    lone_begin(&lone);
    publish(&lone, 1);
    lone_advance(&lone, START_MS + 60000);
    assert_int_equal(lone.run_count, 0);
    offer(&lone, &link, 1, 0);
    publish(&lone, 1);
    lone_advance(&lone, START_MS + 60000);
    assert_int_equal(lone.run_count, 1);
    lone_fini(&lone);
}

/* Offers the workflow, with the trigger or without. */
static void deploy(struct lone_partition *lone, struct host_link *link, const char *deployment,
                   const char *resumed, bool is_triggered)
{
    static const struct trigger_offer trigger = {.workflow = {"count", 5}, .topic = {"clicks", 6}};
    static const struct host_offer workflow = {TASK_WORKFLOW, {"count", 5}};
    struct request *request = request_new(&hello_operation);
    *link = (struct host_link){.vtable = &vtable};
    hello_request(request)->link = link;
    hello_request(request)->hello = (struct host_hello){
        .host_id = str_of(deployment),
        .deployment = str_of(deployment),
        .slots = 1,
        .session = str_of(resumed),
        .offers = &workflow,
        .offer_count = 1,
    };
    hello_request(request)->triggers = &trigger;
    hello_request(request)->trigger_count = is_triggered ? 1 : 0;
    lone_ask(lone, request);
    assert_int_equal(lone->failure.code, CODE_OK);
    request_free(request);
}

static void expect_runs(struct lone_partition *lone, size_t count)
{
    lone_advance(lone, lone->now_ms + 1000);
    assert_int_equal(lone->run_count, count);
}

static void test_a_trigger_goes_with_the_code_that_drops_it(void **state)
{
    (void)state;
    struct lone_partition lone;
    struct host_link old;
    struct host_link again;
    struct host_link new;
    lone_init(&lone, START_MS);
    deploy(&lone, &old, "v1", "", true);
    char old_session[sizeof(session)];
    memcpy(old_session, session, sizeof(session));
    publish(&lone, 1);
    expect_runs(&lone, 1);
    deploy(&lone, &new, "v2", "", false);
    publish(&lone, 2);
    expect_runs(&lone, 1);
    deploy(&lone, &again, "v1", old_session, true); /* It was overtaken. */
    publish(&lone, 1);
    expect_runs(&lone, 1);
    lone_stop(&lone);
    lone_begin(&lone);
    publish(&lone, 1);
    expect_runs(&lone, 1);
    deploy(&lone, &new, "v3", "", true);
    publish(&lone, 1);
    expect_runs(&lone, 2);
    lone_fini(&lone);
}

static struct lone_partition *open_now;
static struct lone_partition *unread; /* Its index cannot be read, once. */

static status fail_once(void *self, enum store_table table, str prefix, str from, bool reverse,
                        size_t limit, store_visit *visit, void *context)
{
    char key[KEY_BYTES_MAX];
    str triggers = key_index(key, (struct key_space){0}, INDEX_TRIGGER, STR_EMPTY);
    if (unread != NULL && table == STORE_INDEX && str_equal(prefix, triggers)) {
        unread = NULL;
        return status_make(CODE_UNAVAILABLE, "the disk does not answer");
    }
    return open_now->store.vtable->scan(self, table, prefix, from, reverse, limit, visit, context);
}

/* What the batch that was lost had changed is read anew, again and again if need be. */
static void test_triggers_outlive_a_lost_commit_and_a_failed_read(void **state)
{
    (void)state;
    struct lone_partition lone;
    struct host_link link;
    lone_init(&lone, START_MS);
    open_now = &lone;
    lone.vtable.scan = fail_once;
    offer(&lone, &link, 1, 0);
    unread = &lone;
    memory_store_fault(&lone.store, MEMORY_STORE_FAULT_LOST);
    struct topic_event event = {.topic = STR("clicks"), .data = STR("{}")};
    struct request *request = request_new(&publish_operation);
    publish_request(request)->events = &event;
    publish_request(request)->count = 1;
    lone_ask(&lone, request);
    assert_int_not_equal(lone.failure.code, CODE_OK);
    request_free(request);
    assert_null(unread);
    lone_advance(&lone, START_MS + 1000); /* It is read again. */
    publish(&lone, 2);
    lone_advance(&lone, START_MS + 60000);
    assert_int_equal(lone.run_count, 2);
    lone_fini(&lone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_smaller_batch_is_full),
        cmocka_unit_test(test_a_shorter_timeout_counts_from_the_first_event),
        cmocka_unit_test(test_a_batch_is_a_list_of_its_events),
        cmocka_unit_test(test_many_events_start_as_many_runs),
        cmocka_unit_test(test_a_batch_does_not_wait_for_the_clock),
        cmocka_unit_test(test_a_refused_start_is_tried_again),
        cmocka_unit_test(test_a_row_without_a_batch_size_is_passed_over),
        cmocka_unit_test(test_a_trigger_goes_with_the_code_that_drops_it),
        cmocka_unit_test(test_triggers_outlive_a_lost_commit_and_a_failed_read),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
#ifdef MUTANT
    /* The report goes by the last line: what failed above had to fail. */
    printf("%s\n", failed > 0 ? "1 passed, 0 failed, 0 skipped" : "the planted bug was not caught");
    return failed > 0 ? 0 : 1;
#else
    return failed;
#endif
}
