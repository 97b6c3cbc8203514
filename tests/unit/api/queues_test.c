/*
 * Goal:   queues can be defined by callers and hosts, listed page by page, and named by a start;
 *         what is wrong is said with its field; a run that waits for admission says so.
 * Method: the handlers over the real partition. Admission itself:
 * tests/unit/features/queues/queues_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "google/protobuf/duration.pb-c.h"
#include "polos/v1/queues.pb-c.h"
#include "polos/v1/runs.pb-c.h"
#include "polos/v1/workflows.pb-c.h"
#include "tests/unit/api/world.h"

#define PUT "/polos.v1.QueueService/Put"
#define GET "/polos.v1.QueueService/Get"
#define LIST "/polos.v1.QueueService/List"
#define START "/polos.v1.WorkflowService/Start"

static Polos__V1__QueueDefinition definition(const char *name, uint32_t limit)
{
    Polos__V1__QueueDefinition ret = POLOS__V1__QUEUE_DEFINITION__INIT;
    ret.name = (char *)name;
    ret.concurrency_limit = limit;
    return ret;
}

static Polos__V1__QueueServicePutResponse *put(struct world *world,
                                               Polos__V1__QueueDefinition queue)
{
    Polos__V1__QueueServicePutRequest request = POLOS__V1__QUEUE_SERVICE_PUT_REQUEST__INIT;
    request.queue = &queue;
    return world_ask(world, PUT, &request.base, CODE_OK);
}

static Polos__V1__QueueServiceListResponse *list(struct world *world, int page_size,
                                                 const char *token)
{
    Polos__V1__QueueServiceListRequest request = POLOS__V1__QUEUE_SERVICE_LIST_REQUEST__INIT;
    request.page_size = page_size;
    request.page_token = (char *)token;
    return world_ask(world, LIST, &request.base, CODE_OK);
}

static void keeps_what_it_is_told(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Polos__V1__QueueDefinition queue = definition("mail", 5);
    queue.per_key_limit = 2;
    queue.rate_limit = 10;
    Google__Protobuf__Duration minute = GOOGLE__PROTOBUF__DURATION__INIT;
    minute.seconds = 60;
    queue.rate_period = &minute;
    free_message(put(&world, definition("mail", 1)));
    free_message(put(&world, queue));
    Polos__V1__QueueServiceListResponse *page = list(&world, 0, "");
    assert_int_equal(page->n_queues, 1);
    assert_string_equal(page->queues[0]->definition->name, "mail");
    assert_int_equal(page->queues[0]->definition->concurrency_limit, 5);
    assert_int_equal(page->queues[0]->definition->per_key_limit, 2);
    assert_int_equal(page->queues[0]->definition->rate_limit, 10);
    assert_int_equal(page->queues[0]->definition->rate_period->seconds, 60);
    assert_int_equal(page->queues[0]->running, 0);
    assert_int_equal(page->queues[0]->waiting, 0);
    assert_string_equal(page->next_page_token, "");
    free_message(page);
    world_fini(&world);
}

/* Each limit by itself is a change. */
static void takes_a_new_period_alone(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Google__Protobuf__Duration period = GOOGLE__PROTOBUF__DURATION__INIT;
    Polos__V1__QueueDefinition queue = definition("mail", 5);
    queue.rate_limit = 10;
    queue.rate_period = &period;
    for (period.seconds = 60; period.seconds <= 120; period.seconds += 60) {
        free_message(put(&world, queue));
        Polos__V1__QueueServiceListResponse *page = list(&world, 0, "");
        assert_int_equal(page->queues[0]->definition->rate_period->seconds, period.seconds);
        free_message(page);
    }
    world_fini(&world);
}

static void gets_one(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    free_message(put(&world, definition("mail", 5)));
    Polos__V1__QueueServiceGetRequest request = POLOS__V1__QUEUE_SERVICE_GET_REQUEST__INIT;
    request.name = (char *)"mail";
    Polos__V1__QueueServiceGetResponse *got = world_ask(&world, GET, &request.base, CODE_OK);
    assert_string_equal(got->queue->definition->name, "mail");
    assert_int_equal(got->queue->definition->concurrency_limit, 5);
    assert_null(got->queue->definition->rate_period);
    free_message(got);
    request.name = (char *)"post";
    world_refused(&world, GET, &request.base, CODE_NOT_FOUND, "QUEUE_NOT_FOUND", "name");
    request.name = (char *)"";
    world_refused(&world, GET, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "name");
    world_fini(&world);
}

static void deletes_one(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    free_message(put(&world, definition("mail", 5)));
    free_message(put(&world, definition("post", 5)));
    Polos__V1__QueueServiceDeleteRequest request = POLOS__V1__QUEUE_SERVICE_DELETE_REQUEST__INIT;
    const char *path = "/polos.v1.QueueService/Delete";
    request.name = (char *)"";
    world_refused(&world, path, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "name");
    request.name = (char *)"mail";
    free_message(world_ask(&world, path, &request.base, CODE_OK));
    world_refused(&world, path, &request.base, CODE_NOT_FOUND, "QUEUE_NOT_FOUND", "name");
    Polos__V1__QueueServiceListResponse *page = list(&world, 0, "");
    assert_int_equal(page->n_queues, 1);
    assert_string_equal(page->queues[0]->definition->name, "post");
    free_message(page);
    world_fini(&world);
}

static void refuses_tokens_that_are_none(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    static const char *const tokens[] = {"mail", "00000000mail", "12345678", "q1"};
    for (size_t i = 0; i < COUNT_OF(tokens); i++) {
        Polos__V1__QueueServiceListRequest request = POLOS__V1__QUEUE_SERVICE_LIST_REQUEST__INIT;
        request.page_token = (char *)tokens[i];
        world_refused(&world, LIST, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                      "page_token");
    }
    world_fini(&world);
}

static void lists_page_by_page(void **state)
{
    (void)state;
    struct world world;
    char token[64] = "";
    world_init(&world, 0);
    for (int i = 0; i < 7; i++) {
        char name[16];
        snprintf(name, sizeof(name), "q%d", 6 - i);
        free_message(put(&world, definition(name, 1)));
    }
    for (int i = 0; i < 7; i++) {
        Polos__V1__QueueServiceListResponse *page = list(&world, i < 6 ? 1 : 2, token);
        assert_int_equal(page->n_queues, 1);
        assert_int_equal(page->queues[0]->definition->name[1], '0' + i);
        snprintf(token, sizeof(token), "%s", page->next_page_token);
        assert_int_equal(token[0] == '\0', i == 6);
        free_message(page);
    }
    world_fini(&world);
}

static void refuses_what_makes_no_sense(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Google__Protobuf__Duration period = GOOGLE__PROTOBUF__DURATION__INIT;
    period.seconds = 1;
    Google__Protobuf__Duration negative = GOOGLE__PROTOBUF__DURATION__INIT;
    negative.seconds = -1;
    Polos__V1__QueueDefinition wrong[7];
    static const char *const fields[] = {
        "queue.name",        "queue.concurrency_limit", "queue.per_key_limit", "queue.rate_limit",
        "queue.rate_period", "queue.rate_period",       "queue.rate_period",
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        wrong[i] = definition("mail", 1);
    }
    wrong[0].name = (char *)"no name";
    wrong[1].concurrency_limit = 1000001;
    wrong[2].per_key_limit = UINT32_MAX;
    wrong[3].rate_limit = 10001;
    wrong[3].rate_period = &period;
    wrong[4].rate_limit = 1;
    wrong[5].rate_period = &period;
    wrong[6].rate_limit = 1;
    wrong[6].rate_period = &negative;
    Polos__V1__QueueServicePutRequest request = POLOS__V1__QUEUE_SERVICE_PUT_REQUEST__INIT;
    world_refused(&world, PUT, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "queue");
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        request.queue = &wrong[i];
        world_refused(&world, PUT, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                      fields[i]);
    }
    Polos__V1__QueueServiceListResponse *page = list(&world, 0, "");
    assert_int_equal(page->n_queues, 0);
    free_message(page);
    world_fini(&world);
}

static void starts_name_a_queue(void **state)
{
    (void)state;
    struct world world;
    char long_key[202];
    world_init(&world, 0);
    memset(long_key, 'k', sizeof(long_key) - 1);
    long_key[sizeof(long_key) - 1] = '\0';
    Polos__V1__StartOptions options = POLOS__V1__START_OPTIONS__INIT;
    Polos__V1__WorkflowServiceStartRequest request =
        POLOS__V1__WORKFLOW_SERVICE_START_REQUEST__INIT;
    request.workflow_id = (char *)"flow";
    request.options = &options;
    options.queue = (char *)"mail";
    world_refused(&world, START, &request.base, CODE_NOT_FOUND, "QUEUE_NOT_FOUND", "options.queue");
    options.queue = (char *)"no name";
    world_refused(&world, START, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "options.queue");
    options.queue = (char *)"";
    options.concurrency_key = (char *)"acme";
    world_refused(&world, START, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "options.queue");
    options.concurrency_key = long_key;
    world_refused(&world, START, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "options.concurrency_key");
    world_fini(&world);
}

static void start_in(struct world *world, const char *key, char ret[UUID_TEXT_BYTES])
{
    Polos__V1__StartOptions options = POLOS__V1__START_OPTIONS__INIT;
    Polos__V1__WorkflowServiceStartRequest request =
        POLOS__V1__WORKFLOW_SERVICE_START_REQUEST__INIT;
    request.workflow_id = (char *)"flow";
    request.options = &options;
    options.queue = (char *)"mail";
    options.concurrency_key = (char *)key;
    Polos__V1__WorkflowServiceStartResponse *response =
        world_ask(world, START, &request.base, CODE_OK);
    snprintf(ret, UUID_TEXT_BYTES, "%s", response->run_id);
    free_message(response);
}

static void says_that_it_waits_for_its_turn(void **state)
{
    (void)state;
    struct world world;
    char first[UUID_TEXT_BYTES];
    char second[UUID_TEXT_BYTES];
    world_init(&world, 0);
    Polos__V1__QueueDefinition queue = definition("mail", 0);
    queue.per_key_limit = 1;
    struct simulated_call *host = world_connect_host(&world);
    free_message(put(&world, queue));
    start_in(&world, "acme", first);
    start_in(&world, "acme", second);
    Polos__V1__RunServiceGetRequest get = POLOS__V1__RUN_SERVICE_GET_REQUEST__INIT;
    get.run_id = second;
    Polos__V1__RunServiceGetResponse *got =
        world_ask(&world, "/polos.v1.RunService/Get", &get.base, CODE_OK);
    assert_int_equal(got->run->status, POLOS__V1__RUN_STATUS__RUN_STATUS_WAITING);
    assert_int_equal(got->run->n_waiting, 1);
    assert_int_equal(got->run->waiting[0]->kind, POLOS__V1__WAITING__KIND__KIND_QUEUE);
    assert_string_equal(got->run->waiting[0]->name, "mail");
    assert_string_equal(got->run->waiting[0]->message,
                        "queue mail runs 1 of 1 for key acme; it is next");
    free_message(got);
    Polos__V1__QueueServicePutResponse *now = put(&world, queue);
    assert_int_equal(now->queue->running, 1);
    assert_int_equal(now->queue->waiting, 1);
    free_message(now);
    Polos__V1__ServerMessage *task = last_of(host, POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK);
    say_task_done(host, task->task, 1, "1");
    world_rounds(&world);
    Polos__V1__ServerMessage *next = last_of(host, POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK);
    assert_string_equal(next->task->run_id, second);
    free_message(task);
    free_message(next);
    simulated_call_closed(host);
    world_rounds(&world);
    simulated_call_release(host);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_it_is_told),
        cmocka_unit_test(takes_a_new_period_alone),
        cmocka_unit_test(gets_one),
        cmocka_unit_test(deletes_one),
        cmocka_unit_test(refuses_tokens_that_are_none),
        cmocka_unit_test(lists_page_by_page),
        cmocka_unit_test(refuses_what_makes_no_sense),
        cmocka_unit_test(starts_name_a_queue),
        cmocka_unit_test(says_that_it_waits_for_its_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
