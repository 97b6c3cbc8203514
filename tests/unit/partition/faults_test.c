/*
 * Goal:   a request fails where a read of the store does that it needs, whichever it is: what
 * cannot be read is never taken for what is not there. Method: each request again and again, in a
 * new process each time so that all has to be read, with the first, the second, ... of its reads of
 * the store failing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/features/definitions/definitions.h"
#include "service/features/deletions/deletions.h"
#include "service/features/forks/forks.h"
#include "service/features/inputs/inputs.h"
#include "service/features/publications/publications.h"
#include "service/features/reports/reports.h"
#include "service/features/schedules/schedules.h"
#include "service/features/starts/starts.h"
#include "service/features/suspensions/suspensions.h"
#include "tests/unit/partition/lone_calls.h"
#include "tests/unit/partition/lone_host.h"

#define START_MS ((uint64_t)1800000000000)

enum {
    READS_MAX = 100, /* Of the store, by one request. */
};

static struct {
    struct lone_partition lone;
    struct lone_host host;
    uuid asking; /* A run on disk that asks a question. */
    uuid failed;
    uuid done;
} bed;

static const struct run_spec flow = {.kind = RUN_KIND_WORKFLOW, .name = {"flow", 4}};

static void set_up(void)
{
    static const char *const offers[] = {"workflow:flow", NULL};
    memset(&bed, 0, sizeof(bed));
    lone_init(&bed.lone, START_MS);
    bed.lone.leaves_runs_open = true;
    lone_register(&bed.lone, (struct agent_definition){.id = STR("helper")});
    lone_host_connect(&bed.host, &bed.lone, "host", offers);
    bed.failed = lone_start(&bed.lone, flow);
    lone_host_failed(&bed.host, lone_host_task(&bed.host), "Boom", false);
    bed.done = lone_start(&bed.lone, flow);
    lone_host_done(&bed.host, lone_host_task(&bed.host), "1");
    bed.asking = lone_start(&bed.lone, flow);
    struct held_task task = lone_host_task(&bed.host);
    lone_host_request(&bed.host, task, "ask",
                      (struct host_step_request){.kind = STEP_REQUEST_SUSPENSION,
                                                 .data = STR("{}"),
                                                 .answer_schema = STR("{}")});
    lone_host_say(&bed.host, task, (struct host_message){.kind = HOST_MESSAGE_PARK});
    lone_publish(&bed.lone, "news", "good", "1");
    struct request *request = request_new(&put_schedule_operation);
    put_schedule_request(request)->offer = (struct schedule_offer){
        .name = STR("flow"),
        .key = STR("k"),
        .cron = STR("0 0 1 1 *"),
        .zone = STR("UTC"),
        .input = STR("{\"large\":1}"),
    };
    lone_ask(&bed.lone, request);
    assert_int_equal(bed.lone.failure.code, CODE_OK);
    request_free(request);
    lone_rounds(&bed.lone);
}

static void tear_down(void)
{
    lone_fini(&bed.lone);
    lone_host_fini(&bed.host);
}

/* ---- The requests. ---- */

static struct request *get_suspension(void)
{
    struct request *request = request_new(&get_suspension_operation);
    request->run = bed.asking;
    suspension_request(request)->step_key = STR("ask");
    return request;
}

static struct request *get_run(void)
{
    struct request *request = request_new(&get_operation);
    request->run = bed.asking;
    return request;
}

static struct request *get_schedule(void)
{
    struct request *request = request_new(&get_schedule_operation);
    get_schedule_request(request)->id = STR("flow/k");
    return request;
}

static struct request *list_schedules(void)
{
    struct request *request = request_new(&list_schedules_operation);
    schedules_request(request)->limit = 10;
    return request;
}

static struct request *resume(void)
{
    struct request *request = request_new(&resume_operation);
    request->run = bed.asking;
    resume_request(request)->key = STR("ask");
    resume_request(request)->data = STR("1");
    resume_request(request)->by = STR("test");
    return request;
}

static struct request *fork_run(void)
{
    struct request *request = request_new(&fork_operation);
    request->run = bed.done;
    fork_request(request)->after_seq = 2;
    return request;
}

static struct request *retry(void)
{
    struct request *request = request_new(&retry_operation);
    request->run = bed.failed;
    return request;
}

static struct request *start_agent(void)
{
    struct request *request = request_new(&start_operation);
    start_request(request)->spec =
        (struct run_spec){.kind = RUN_KIND_AGENT,
                          .name = STR("helper"),
                          .input = STR("\"hi\""),
                          .options = {.idempotency_key = STR("never used")}};
    return request;
}

static struct request *publish(void)
{
    static const struct topic_event event = {.topic = {"news", 4}, .data = {"1", 1}};
    struct request *request = request_new(&publish_operation);
    publish_request(request)->events = &event;
    publish_request(request)->count = 1;
    publish_request(request)->key = STR("k");
    return request;
}

static struct request *cancel(void)
{
    struct request *request = request_new(&cancel_operation);
    request->run = bed.asking;
    cancel_request(request)->cause = STR("test");
    return request;
}

/* With how many reads of what follows from it, which may fail by themselves: where the store does
 * not answer for now, and where it is damaged. */
static const struct {
    struct request *(*make)(void);
    size_t following;
    size_t following_damaged;
} requests[] = {
    {get_suspension, 0, 0}, {get_run, 0, 0},  {get_schedule, 0, 0}, {list_schedules, 0, 0},
    {resume, 0, 1},         {fork_run, 0, 0}, {retry, 1, 3},        {start_agent, 0, 1},
    {publish, 0, 0},        {cancel, 1, 1},
};

/* With the last of `left` reads failing; it is no answer at all where more reads were left. */
static enum code ask_once(struct request *(*make)(void), size_t left, enum code failure)
{
    struct request *request = make();
    lone_stop(&bed.lone);
    lone_begin(&bed.lone);
    lone_rounds(&bed.lone);
    bed.lone.reads_left = left;
    bed.lone.left_failure = failure;
    lone_ask(&bed.lone, request);
    request_free(request);
    return bed.lone.failure.code;
}

/* How many of its reads may fail while it is served. */
static size_t sweep(struct request *(*make)(void), enum code failure)
{
    size_t served = 0;
    size_t count = 0;
    for (;;) {
        enum code code = ask_once(make, ++count, failure);
        if (bed.lone.reads_left > 0) {
            break; /* It takes fewer. */
        }
        served += code == CODE_OK ? 1 : 0;
        assert_in_range(count, 1, READS_MAX);
    }
    assert_in_range(count, 2, READS_MAX);
    return served;
}

static void a_request_fails_with_the_store(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        set_up();
        assert_int_equal(sweep(requests[i].make, CODE_UNAVAILABLE), requests[i].following);
        tear_down();
    }
}

static void a_request_fails_where_the_store_is_damaged(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        set_up();
        assert_int_equal(sweep(requests[i].make, CODE_DATA_LOSS), requests[i].following_damaged);
        tear_down();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_fails_with_the_store),
        cmocka_unit_test(a_request_fails_where_the_store_is_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
