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

#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "polos/v1/agents.pb-c.h"
#include "polos/v1/runs.pb-c.h"
#include "polos/v1/schedules.pb-c.h"
#include "tests/unit/api/world.h"

#define PUT "/polos.v1.ScheduleService/Put"
#define GET "/polos.v1.ScheduleService/Get"
#define PAUSE "/polos.v1.ScheduleService/Pause"
#define UNPAUSE "/polos.v1.ScheduleService/Unpause"
#define TRIGGER "/polos.v1.ScheduleService/Trigger"
#define LIST "/polos.v1.ScheduleService/List"
#define DELETE "/polos.v1.ScheduleService/Delete"
#define HOUR_MS ((uint64_t)3600 * 1000)

enum {
    KEY_LIMIT_BYTES = 120,
};

static Polos__V1__ScheduleServicePutRequest put_request(const char *workflow, const char *key,
                                                        const char *cron)
{
    static Polos__V1__ScheduleSpec spec;
    Polos__V1__ScheduleServicePutRequest request = POLOS__V1__SCHEDULE_SERVICE_PUT_REQUEST__INIT;
    polos__v1__schedule_spec__init(&spec);
    spec.key = (char *)key;
    spec.cron = (char *)cron;
    request.name = (char *)workflow;
    request.spec = &spec;
    return request;
}

static uint64_t ms_of(const Google__Protobuf__Timestamp *instant)
{
    assert_non_null(instant);
    return (uint64_t)instant->seconds * 1000 + (uint64_t)instant->nanos / 1000000;
}

static uint64_t next_hour(const struct world *world)
{
    return (world->now_ms / HOUR_MS + 1) * HOUR_MS;
}

static void put(struct world *world, const char *workflow, const char *key, const char *cron)
{
    Polos__V1__ScheduleServicePutRequest request = put_request(workflow, key, cron);
    free_message(world_ask(world, PUT, &request.base, CODE_OK));
}

static Polos__V1__ScheduleServiceListResponse *list(struct world *world, int page_size,
                                                    const char *token)
{
    Polos__V1__ScheduleServiceListRequest request = POLOS__V1__SCHEDULE_SERVICE_LIST_REQUEST__INIT;
    request.page_size = page_size;
    request.page_token = (char *)token;
    return world_ask(world, LIST, &request.base, CODE_OK);
}

static void keeps_what_it_is_told(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Polos__V1__ScheduleServicePutRequest request = put_request("flow", "", "@hourly");
    request.input_json = (char *)"{\"a\": 1}";
    Polos__V1__ScheduleServicePutResponse *response =
        world_ask(&world, PUT, &request.base, CODE_OK);
    assert_string_equal(response->schedule->id, "flow/global");
    assert_int_equal(ms_of(response->schedule->next_tick), next_hour(&world));
    free_message(response);
    Polos__V1__ScheduleServiceListResponse *page = list(&world, 0, "");
    assert_int_equal(page->n_schedules, 1);
    const Polos__V1__Schedule *found = page->schedules[0];
    assert_string_equal(found->id, "flow/global");
    assert_int_equal(found->kind, POLOS__V1__RUN_KIND__RUN_KIND_WORKFLOW);
    assert_string_equal(found->name, "flow");
    assert_string_equal(found->spec->key, "global");
    assert_string_equal(found->spec->cron, "@hourly");
    assert_string_equal(found->spec->timezone, "UTC");
    assert_null(found->options);
    assert_false(found->paused);
    assert_string_equal(found->input_json, "{\"a\": 1}");
    assert_int_equal(ms_of(found->next_tick), next_hour(&world));
    assert_null(found->last_tick);
    assert_string_equal(found->last_run_id, "");
    assert_int_equal(found->skipped_ticks, 0);
    assert_in_range(ms_of(found->created_at), 1, world.now_ms);
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
    Polos__V1__ScheduleServiceListResponse *page = list(&world, 0, "");
    assert_int_equal(ms_of(page->schedules[0]->last_tick), tick_ms);
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
    Polos__V1__ScheduleServiceListResponse *page = list(&world, 2, "");
    assert_int_equal(page->n_schedules, 2);
    assert_string_equal(page->schedules[0]->id, "a/1");
    Polos__V1__ScheduleServiceListResponse *second = list(&world, 2, page->next_page_token);
    assert_int_equal(second->n_schedules, 1);
    assert_string_equal(second->schedules[0]->id, "b/1");
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
        Polos__V1__ScheduleServicePutRequest request = put_request("flow", key, "@daily");
        request.input_json = input;
        free_message(world_ask(&world, PUT, &request.base, CODE_OK));
    }
    Polos__V1__ScheduleServiceListResponse *page = list(&world, 0, "");
    assert_int_equal(page->n_schedules, 3);
    assert_true(polos__v1__schedule_service_list_response__get_packed_size(page) < 4 << 20);
    Polos__V1__ScheduleServiceListResponse *rest = list(&world, 0, page->next_page_token);
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
    Polos__V1__ScheduleServiceDeleteRequest request =
        POLOS__V1__SCHEDULE_SERVICE_DELETE_REQUEST__INIT;
    request.schedule_id = (char *)"flow/global";
    free_message(world_ask(&world, DELETE, &request.base, CODE_OK));
    world_refused(&world, DELETE, &request.base, CODE_NOT_FOUND, "SCHEDULE_NOT_FOUND",
                  "schedule_id");
    request.schedule_id = (char *)"flow/alice@example.com";
    free_message(world_ask(&world, DELETE, &request.base, CODE_OK));
    request.schedule_id = (char *)"";
    world_refused(&world, DELETE, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "schedule_id");
    Polos__V1__ScheduleServiceListResponse *page = list(&world, 0, "");
    assert_int_equal(page->n_schedules, 0);
    free_message(page);
    world_fini(&world);
}

static void refuse_put(struct world *world, const Polos__V1__ScheduleServicePutRequest *request,
                       const char *field)
{
    world_refused(world, PUT, &request->base, CODE_INVALID_ARGUMENT, "INVALID_FIELD", field);
}

static Polos__V1__Schedule *get(struct world *world, const char *id)
{
    Polos__V1__ScheduleServiceGetRequest request = POLOS__V1__SCHEDULE_SERVICE_GET_REQUEST__INIT;
    request.schedule_id = (char *)id;
    Polos__V1__ScheduleServiceGetResponse *got = world_ask(world, GET, &request.base, CODE_OK);
    Polos__V1__Schedule *schedule = got->schedule;
    got->schedule = NULL;
    free_message(got);
    return schedule;
}

static void rests_while_it_is_paused(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    put(&world, "flow", "", "@hourly");
    Polos__V1__ScheduleServicePauseRequest pause = POLOS__V1__SCHEDULE_SERVICE_PAUSE_REQUEST__INIT;
    pause.schedule_id = (char *)"flow/global";
    pause.cause = (char *)"holidays";
    Polos__V1__ScheduleServicePauseResponse *paused =
        world_ask(&world, PAUSE, &pause.base, CODE_OK);
    assert_true(paused->schedule->paused);
    assert_string_equal(paused->schedule->problem, "it is paused: holidays");
    assert_null(paused->schedule->next_tick);
    free_message(paused);
    world.now_ms += 3 * HOUR_MS;
    world_rounds(&world);
    put(&world, "flow", "", "@daily"); /* What pauses it stays. */
    put(&world, "flow", "", "@hourly");
    Polos__V1__Schedule *seen = get(&world, "flow/global");
    assert_true(seen->paused);
    assert_null(seen->last_tick);
    polos__v1__schedule__free_unpacked(seen, NULL);
    Polos__V1__ScheduleServiceUnpauseRequest unpause =
        POLOS__V1__SCHEDULE_SERVICE_UNPAUSE_REQUEST__INIT;
    unpause.schedule_id = (char *)"flow/global";
    Polos__V1__ScheduleServiceUnpauseResponse *gone_on =
        world_ask(&world, UNPAUSE, &unpause.base, CODE_OK);
    assert_false(gone_on->schedule->paused);
    assert_int_equal(ms_of(gone_on->schedule->next_tick), next_hour(&world));
    assert_null(gone_on->schedule->last_tick);
    free_message(gone_on);
    pause.schedule_id = (char *)"flow/other";
    world_refused(&world, PAUSE, &pause.base, CODE_NOT_FOUND, "SCHEDULE_NOT_FOUND", "schedule_id");
    world_fini(&world);
}

static void starts_a_run_by_hand(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Polos__V1__StartOptions options = POLOS__V1__START_OPTIONS__INIT;
    options.session_id = (char *)"session-1";
    Google__Protobuf__Duration timeout = GOOGLE__PROTOBUF__DURATION__INIT;
    timeout.seconds = 5;
    options.run_timeout = &timeout;
    Polos__V1__ScheduleServicePutRequest request = put_request("flow", "", "@daily");
    request.options = &options;
    free_message(world_ask(&world, PUT, &request.base, CODE_OK));
    Polos__V1__ScheduleServiceTriggerRequest trigger =
        POLOS__V1__SCHEDULE_SERVICE_TRIGGER_REQUEST__INIT;
    trigger.schedule_id = (char *)"flow/global";
    trigger.idempotency_key = (char *)"k";
    Polos__V1__ScheduleServiceTriggerResponse *first =
        world_ask(&world, TRIGGER, &trigger.base, CODE_OK);
    assert_int_equal(first->outcome, POLOS__V1__START_OUTCOME__START_OUTCOME_STARTED);
    Polos__V1__ScheduleServiceTriggerResponse *again =
        world_ask(&world, TRIGGER, &trigger.base, CODE_OK);
    assert_int_equal(again->outcome, POLOS__V1__START_OUTCOME__START_OUTCOME_FOUND);
    assert_string_equal(again->run_id, first->run_id);
    free_message(again);
    trigger.idempotency_key = (char *)"other";
    world_refused(&world, TRIGGER, &trigger.base, CODE_FAILED_PRECONDITION, "SCHEDULE_BUSY", "");
    Polos__V1__RunServiceGetRequest look = POLOS__V1__RUN_SERVICE_GET_REQUEST__INIT;
    look.run_id = first->run_id;
    Polos__V1__RunServiceGetResponse *got =
        world_ask(&world, "/polos.v1.RunService/Get", &look.base, CODE_OK);
    assert_string_equal(got->run->session_id, "session-1");
    assert_int_equal(got->run->run_timeout->seconds, 5);
    free_message(got);
    Polos__V1__Schedule *seen = get(&world, "flow/global");
    assert_string_equal(seen->last_run_id, first->run_id);
    assert_in_range(ms_of(seen->last_tick), 1, world.now_ms);
    assert_string_equal(seen->options->session_id, "session-1");
    polos__v1__schedule__free_unpacked(seen, NULL);
    free_message(first);
    world_fini(&world);
}

static void starts_agents(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Polos__V1__ScheduleServicePutRequest request = put_request("writer", "", "@hourly");
    request.kind = POLOS__V1__RUN_KIND__RUN_KIND_AGENT;
    refuse_put(&world, &request, "input_json");
    request.input_json = (char *)"7";
    refuse_put(&world, &request, "input_json");
    request.input_json = (char *)"\"write\"";
    world_refused(&world, PUT, &request.base, CODE_NOT_FOUND, "AGENT_NOT_FOUND", "name");
    Polos__V1__AgentDefinition agent = POLOS__V1__AGENT_DEFINITION__INIT;
    agent.id = (char *)"writer";
    (void)world_model(&agent, "gpt");
    Polos__V1__AgentServiceRegisterRequest registered =
        POLOS__V1__AGENT_SERVICE_REGISTER_REQUEST__INIT;
    registered.agent = &agent;
    free_message(world_ask(&world, "/polos.v1.AgentService/Register", &registered.base, CODE_OK));
    free_message(world_ask(&world, PUT, &request.base, CODE_OK));
    Polos__V1__ScheduleServicePutRequest workflow = put_request("writer", "", "@hourly");
    world_refused(&world, PUT, &workflow.base, CODE_FAILED_PRECONDITION, "SCHEDULE_KIND",
                  "spec.key");
    world.now_ms = next_hour(&world);
    world_rounds(&world);
    Polos__V1__Schedule *seen = get(&world, "writer/global");
    assert_int_equal(seen->kind, POLOS__V1__RUN_KIND__RUN_KIND_AGENT);
    Polos__V1__RunServiceGetRequest look = POLOS__V1__RUN_SERVICE_GET_REQUEST__INIT;
    look.run_id = seen->last_run_id;
    Polos__V1__RunServiceGetResponse *got =
        world_ask(&world, "/polos.v1.RunService/Get", &look.base, CODE_OK);
    assert_int_equal(got->run->kind, POLOS__V1__RUN_KIND__RUN_KIND_AGENT);
    assert_string_equal(got->run->input_json, "\"write\"");
    free_message(got);
    polos__v1__schedule__free_unpacked(seen, NULL);
    world_fini(&world);
}

static void names_the_field_that_is_wrong(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    char long_text[KEY_LIMIT_BYTES + 2];
    memset(long_text, 'k', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    Polos__V1__ScheduleServicePutRequest request = put_request("fl ow", "", "@daily");
    refuse_put(&world, &request, "name");
    request = put_request("flow", long_text, "@daily");
    refuse_put(&world, &request, "spec.key");
    request = put_request("flow", "", "");
    refuse_put(&world, &request, "spec.cron");
    request = put_request("flow", "", "61 * * * *");
    refuse_put(&world, &request, "spec.cron");
    request = put_request("flow", "", "0 0 31 4 *");
    refuse_put(&world, &request, "spec.cron");
    request = put_request("flow", "", "@daily");
    request.spec->timezone = long_text;
    refuse_put(&world, &request, "spec.timezone");
    request.spec->timezone = (char *)"UTC";
    request.input_json = (char *)"{";
    refuse_put(&world, &request, "input_json");
    request = put_request("flow", "", "@daily");
    request.spec->timezone = (char *)"Europe/Berlin"; /* This world has no zones. */
    world_refused(&world, PUT, &request.base, CODE_FAILED_PRECONDITION, "ZONES_MISSING",
                  "spec.timezone");
    Polos__V1__ScheduleServiceListRequest listing = POLOS__V1__SCHEDULE_SERVICE_LIST_REQUEST__INIT;
    listing.page_size = 1001;
    world_refused(&world, LIST, &listing.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "page_size");
    listing.page_size = 0;
    listing.page_token = (char *)"flow/global";
    world_refused(&world, LIST, &listing.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "page_token");
    request = put_request("flow", "", "@daily");
    request.kind = POLOS__V1__RUN_KIND__RUN_KIND_TOOL;
    refuse_put(&world, &request, "kind");
    request = put_request("flow", "", "@daily");
    request.spec = NULL;
    refuse_put(&world, &request, "spec");
    Polos__V1__StartOptions options = POLOS__V1__START_OPTIONS__INIT;
    options.queue = (char *)"nowhere";
    request = put_request("flow", "", "@daily");
    request.options = &options;
    world_refused(&world, PUT, &request.base, CODE_NOT_FOUND, "QUEUE_NOT_FOUND", "options.queue");
    world_fini(&world);
}

static struct simulated_call *connect_host(struct world *world, const char *cron)
{
    struct simulated_call *call =
        simulated_call_start(&world->api, "/polos.v1.ToolService/Connect", NULL);
    Polos__V1__ScheduleSpec schedule = POLOS__V1__SCHEDULE_SPEC__INIT;
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
    Polos__V1__ScheduleServicePutRequest request = put_request("flow", "", "@daily");
    request.input_json = (char *)"7";
    free_message(world_ask(&world, PUT, &request.base, CODE_OK));
    world.now_ms = next_hour(&world) - 1000; /* Within the host's lease. */
    struct simulated_call *host = connect_host(&world, "@hourly");
    assert_int_equal(host->finishes, 0);
    Polos__V1__ScheduleServiceListResponse *page = list(&world, 0, "");
    assert_int_equal(page->n_schedules, 1);
    assert_string_equal(page->schedules[0]->spec->cron, "@hourly");
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
    Polos__V1__ScheduleServiceListResponse *page = list(&world, 0, "");
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
        cmocka_unit_test(rests_while_it_is_paused),
        cmocka_unit_test(starts_a_run_by_hand),
        cmocka_unit_test(starts_agents),
        cmocka_unit_test(names_the_field_that_is_wrong),
        cmocka_unit_test(takes_what_a_host_offers),
        cmocka_unit_test(refuses_a_host_with_a_bad_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
