/*
 * Goal:   schedules can be put, listed and deleted by callers, and offered by hosts; what is wrong
 *         with one is said with its field.
 * Method: the handlers over the real partition; times are the simulated clock's. Ticks themselves:
 *         tests/unit/features/schedules/schedules_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "polos/v1/runs.pb-c.h"
#include "polos/v1/workflows.pb-c.h"
#include "tests/unit/api/world.h"

#define PUT "/polos.v1.WorkflowService/PutSchedule"
#define LIST "/polos.v1.WorkflowService/ListSchedules"
#define DELETE "/polos.v1.WorkflowService/DeleteSchedule"
#define HOUR_MS ((uint64_t)3600 * 1000)

enum {
    KEY_LIMIT_BYTES = 120,
};

static Polos__V1__WorkflowServicePutScheduleRequest put_request(const char *workflow,
                                                                const char *key, const char *cron)
{
    Polos__V1__WorkflowServicePutScheduleRequest request =
        POLOS__V1__WORKFLOW_SERVICE_PUT_SCHEDULE_REQUEST__INIT;
    request.workflow_id = (char *)workflow;
    request.key = (char *)key;
    request.cron = (char *)cron;
    return request;
}

static uint64_t next_hour(const struct world *world)
{
    return (world->now_ms / HOUR_MS + 1) * HOUR_MS;
}

static void put(struct world *world, const char *workflow, const char *key, const char *cron)
{
    Polos__V1__WorkflowServicePutScheduleRequest request = put_request(workflow, key, cron);
    free_message(world_ask(world, PUT, &request.base, CODE_OK));
}

static Polos__V1__WorkflowServiceListSchedulesResponse *list(struct world *world, int page_size,
                                                             const char *token)
{
    Polos__V1__WorkflowServiceListSchedulesRequest request =
        POLOS__V1__WORKFLOW_SERVICE_LIST_SCHEDULES_REQUEST__INIT;
    request.page_size = page_size;
    request.page_token = (char *)token;
    return world_ask(world, LIST, &request.base, CODE_OK);
}

static void keeps_what_it_is_told(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Polos__V1__WorkflowServicePutScheduleRequest request = put_request("flow", "", "@hourly");
    request.input_json = (char *)"{\"a\": 1}";
    Polos__V1__WorkflowServicePutScheduleResponse *response =
        world_ask(&world, PUT, &request.base, CODE_OK);
    assert_string_equal(response->schedule_id, "flow/global");
    assert_int_equal(response->next_tick_ms, next_hour(&world));
    free_message(response);
    Polos__V1__WorkflowServiceListSchedulesResponse *page = list(&world, 0, "");
    assert_int_equal(page->n_schedules, 1);
    const Polos__V1__WorkflowSchedule *found = page->schedules[0];
    assert_string_equal(found->schedule_id, "flow/global");
    assert_string_equal(found->workflow_id, "flow");
    assert_string_equal(found->key, "global");
    assert_string_equal(found->cron, "@hourly");
    assert_string_equal(found->timezone, "UTC");
    assert_string_equal(found->input_json, "{\"a\": 1}");
    assert_int_equal(found->next_tick_ms, next_hour(&world));
    assert_int_equal(found->last_tick_ms, 0);
    assert_string_equal(found->last_run_id, "");
    assert_int_equal(found->skipped_ticks, 0);
    assert_in_range(found->created_at_ms, 1, world.now_ms);
    assert_string_equal(found->problem, "");
    assert_string_equal(page->next_page_token, "");
    free_message(page);
    world_fini(&world);
}

static void shows_its_last_run(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    put(&world, "flow", "", "@hourly");
    uint64_t tick_ms = next_hour(&world);
    world.now_ms = tick_ms;
    world_rounds(&world);
    world.now_ms = tick_ms + HOUR_MS; /* The run is still there. */
    world_rounds(&world);
    Polos__V1__WorkflowServiceListSchedulesResponse *page = list(&world, 0, "");
    assert_int_equal(page->schedules[0]->last_tick_ms, tick_ms);
    assert_int_equal(page->schedules[0]->skipped_ticks, 1);
    Polos__V1__RunServiceGetRequest get = POLOS__V1__RUN_SERVICE_GET_REQUEST__INIT;
    get.run_id = page->schedules[0]->last_run_id;
    Polos__V1__RunServiceGetResponse *got =
        world_ask(&world, "/polos.v1.RunService/Get", &get.base, CODE_OK);
    assert_string_equal(got->run->name, "flow");
    free_message(got);
    free_message(page);
    world_fini(&world);
}

static void lists_in_pages(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    put(&world, "a", "2", "@daily");
    put(&world, "a", "1", "@daily");
    put(&world, "b", "1", "@daily");
    Polos__V1__WorkflowServiceListSchedulesResponse *page = list(&world, 2, "");
    assert_int_equal(page->n_schedules, 2);
    assert_string_equal(page->schedules[0]->schedule_id, "a/1");
    assert_string_equal(page->next_page_token, "a/2");
    Polos__V1__WorkflowServiceListSchedulesResponse *second =
        list(&world, 2, page->next_page_token);
    assert_int_equal(second->n_schedules, 1);
    assert_string_equal(second->schedules[0]->schedule_id, "b/1");
    assert_string_equal(second->next_page_token, "");
    free_message(second);
    free_message(page);
    world_fini(&world);
}

static void ends_a_page_of_large_inputs(void **state)
{
    (void)state;
    enum {
        COUNT = 5,
        BYTES = 900 * 1024,
    };
    struct world world;
    world_init(&world, 0);
    world.api.input_bytes_max = 1 << 20;
    char *input = xmalloc(BYTES + 1);
    memset(input, '1', BYTES);
    input[BYTES] = '\0';
    for (int i = 0; i < COUNT; i++) {
        char key[2] = {(char)('a' + i), '\0'};
        Polos__V1__WorkflowServicePutScheduleRequest request = put_request("flow", key, "@daily");
        request.input_json = input;
        free_message(world_ask(&world, PUT, &request.base, CODE_OK));
    }
    Polos__V1__WorkflowServiceListSchedulesResponse *page = list(&world, 0, "");
    assert_int_equal(page->n_schedules, 3);
    assert_true(polos__v1__workflow_service_list_schedules_response__get_packed_size(page) <
                4 << 20);
    Polos__V1__WorkflowServiceListSchedulesResponse *rest = list(&world, 0, page->next_page_token);
    assert_int_equal(rest->n_schedules, 2);
    assert_string_equal(rest->next_page_token, "");
    free_message(rest);
    free_message(page);
    free(input);
    world_fini(&world);
}

static void deletes(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    put(&world, "flow", "", "@daily");
    put(&world, "flow", "alice@example.com", "@daily");
    Polos__V1__WorkflowServiceDeleteScheduleRequest request =
        POLOS__V1__WORKFLOW_SERVICE_DELETE_SCHEDULE_REQUEST__INIT;
    request.workflow_id = (char *)"flow";
    free_message(world_ask(&world, DELETE, &request.base, CODE_OK));
    world_refused(&world, DELETE, &request.base, CODE_NOT_FOUND, "SCHEDULE_NOT_FOUND", "key");
    request.key = (char *)"alice@example.com";
    free_message(world_ask(&world, DELETE, &request.base, CODE_OK));
    request.workflow_id = (char *)"";
    world_refused(&world, DELETE, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "workflow_id");
    Polos__V1__WorkflowServiceListSchedulesResponse *page = list(&world, 0, "");
    assert_int_equal(page->n_schedules, 0);
    free_message(page);
    world_fini(&world);
}

static void refuse_put(struct world *world,
                       const Polos__V1__WorkflowServicePutScheduleRequest *request,
                       const char *field)
{
    world_refused(world, PUT, &request->base, CODE_INVALID_ARGUMENT, "INVALID_FIELD", field);
}

static void names_the_field_that_is_wrong(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    char long_text[KEY_LIMIT_BYTES + 2];
    memset(long_text, 'k', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    Polos__V1__WorkflowServicePutScheduleRequest request = put_request("fl ow", "", "@daily");
    refuse_put(&world, &request, "workflow_id");
    request = put_request("flow", long_text, "@daily");
    refuse_put(&world, &request, "key");
    request = put_request("flow", "", "");
    refuse_put(&world, &request, "cron");
    request = put_request("flow", "", "61 * * * *");
    refuse_put(&world, &request, "cron");
    request = put_request("flow", "", "0 0 31 4 *");
    refuse_put(&world, &request, "cron");
    request = put_request("flow", "", "@daily");
    request.timezone = long_text;
    refuse_put(&world, &request, "timezone");
    request.timezone = (char *)"UTC";
    request.input_json = (char *)"{";
    refuse_put(&world, &request, "input_json");
    request = put_request("flow", "", "@daily");
    request.timezone = (char *)"Europe/Berlin"; /* This world has no zones. */
    world_refused(&world, PUT, &request.base, CODE_FAILED_PRECONDITION, "ZONES_MISSING",
                  "timezone");
    Polos__V1__WorkflowServiceListSchedulesRequest listing =
        POLOS__V1__WORKFLOW_SERVICE_LIST_SCHEDULES_REQUEST__INIT;
    listing.page_size = 1001;
    world_refused(&world, LIST, &listing.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "page_size");
    world_fini(&world);
}

static struct simulated_call *connect_host(struct world *world, const char *cron)
{
    struct simulated_call *call =
        simulated_call_start(&world->api, "/polos.v1.ToolService/Connect", NULL);
    Polos__V1__Schedule schedule = POLOS__V1__SCHEDULE__INIT;
    schedule.cron = (char *)cron;
    Polos__V1__WorkflowDefinition plain = POLOS__V1__WORKFLOW_DEFINITION__INIT;
    plain.id = (char *)"plain";
    Polos__V1__WorkflowDefinition flow = POLOS__V1__WORKFLOW_DEFINITION__INIT;
    flow.id = (char *)"flow";
    flow.schedule = &schedule;
    Polos__V1__WorkflowDefinition *flows[] = {&plain, &flow};
    Polos__V1__Offers offers = POLOS__V1__OFFERS__INIT;
    offers.workflows = flows;
    offers.n_workflows = COUNT_OF(flows);
    Polos__V1__Hello hello = POLOS__V1__HELLO__INIT;
    hello.protocol = 1;
    hello.host_id = (char *)"host-1";
    hello.slots = 1;
    hello.offers = &offers;
    say_hello(call, &hello);
    world_rounds(world);
    return call;
}

static void leave(struct world *world, struct simulated_call *call)
{
    simulated_call_message(call, NULL);
    world_rounds(world);
    simulated_call_release(call);
}

static void takes_what_a_host_offers(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Polos__V1__WorkflowServicePutScheduleRequest request = put_request("flow", "", "@daily");
    request.input_json = (char *)"7";
    free_message(world_ask(&world, PUT, &request.base, CODE_OK));
    world.now_ms = next_hour(&world) - 1000; /* Within the host's lease. */
    struct simulated_call *host = connect_host(&world, "@hourly");
    assert_int_equal(host->finishes, 0);
    Polos__V1__WorkflowServiceListSchedulesResponse *page = list(&world, 0, "");
    assert_int_equal(page->n_schedules, 1);
    assert_string_equal(page->schedules[0]->cron, "@hourly");
    assert_string_equal(page->schedules[0]->input_json, "7");
    free_message(page);
    world.now_ms = next_hour(&world);
    world_rounds(&world);
    Polos__V1__ServerMessage *given = last_of(host, POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK);
    assert_non_null(given);
    assert_string_equal(given->task->input_json, "7");
    free_message(given);
    leave(&world, host);
    page = list(&world, 0, ""); /* It stays. */
    assert_int_equal(page->n_schedules, 1);
    free_message(page);
    world_fini(&world);
}

static void refuses_a_host_with_a_bad_one(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    struct simulated_call *host = connect_host(&world, "0 25 * * *");
    assert_int_equal(host->finishes, 1);
    assert_int_equal(host->error.code, CODE_INVALID_ARGUMENT);
    assert_true(str_is(host->error.field, "hello.offers.workflows[1].schedule.cron"));
    leave(&world, host);
    Polos__V1__WorkflowServiceListSchedulesResponse *page = list(&world, 0, "");
    assert_int_equal(page->n_schedules, 0);
    free_message(page);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_it_is_told),
        cmocka_unit_test(shows_its_last_run),
        cmocka_unit_test(lists_in_pages),
        cmocka_unit_test(ends_a_page_of_large_inputs),
        cmocka_unit_test(deletes),
        cmocka_unit_test(names_the_field_that_is_wrong),
        cmocka_unit_test(takes_what_a_host_offers),
        cmocka_unit_test(refuses_a_host_with_a_bad_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
