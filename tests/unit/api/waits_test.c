/*
 * Goal:   a workflow's waits as callers see and end them: suspensions listed, looked at and
 *         answered once; topics published and followed; children found; a cancellation and its end.
 * Method: world.h; a host said by hand orders what a workflow's code would.
 */
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#include "polos/v1/runs.pb-c.h"
#include "polos/v1/suspend.pb-c.h"
#include "polos/v1/topics.pb-c.h"
#include "polos/v1/workflows.pb-c.h"
#include "service/partition/partition.h"
#include "tests/unit/api/world.h"

#define NOBODY ((char *)"01020304-0506-7708-890a-0b0c0d0e0f10")

static uint64_t ms_of(const Google__Protobuf__Timestamp *instant)
{
    assert_non_null(instant);
    return (uint64_t)instant->seconds * 1000 + (uint64_t)instant->nanos / 1000000;
}

/* A run of "flow" on a host, whose code is the test. */
struct play {
    struct world world;
    struct simulated_call *host;
    char run_id[UUID_TEXT_BYTES];
    Polos__V1__ServerMessage *given; /* Its task. */
    uint64_t seq; /* Of the host's last message. */
};

static void play_init(struct play *play)
{
    memset(play, 0, sizeof(*play));
    world_init(&play->world, 0);
    play->host = world_connect_host(&play->world);
    world_rounds(&play->world);
    world_start_workflow(&play->world, play->run_id);
    play->given = last_of(play->host, POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK);
    assert_non_null(play->given);
}

static void play_fini(struct play *play)
{
    free_message(play->given);
    simulated_call_message(play->host, NULL);
    world_rounds(&play->world);
    simulated_call_release(play->host);
    world_fini(&play->world);
}

static void say_order(struct play *play, const char *key, Polos__V1__StepRequest *order)
{
    order->task_id = play->given->task->task_id;
    order->epoch = play->given->task->epoch;
    order->key = (char *)key;
    Polos__V1__HostMessage message = POLOS__V1__HOST_MESSAGE__INIT;
    message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_REQUEST;
    message.step_request = order;
    say_message(play->host, ++play->seq, &message);
    world_rounds(&play->world);
}

static void order_suspend(struct play *play, const char *key)
{
    Polos__V1__Suspend suspend = POLOS__V1__SUSPEND__INIT;
    suspend.data_json = (char *)"{\"ask\":  1}";
    Polos__V1__StepRequest order = POLOS__V1__STEP_REQUEST__INIT;
    order.request_case = POLOS__V1__STEP_REQUEST__REQUEST_SUSPEND;
    order.suspend = &suspend;
    say_order(play, key, &order);
}

/* One or two runs of that name, which its code waits for. */
static void order_runs(struct play *play, const char *key, const char *name, size_t count)
{
    Polos__V1__RunSpec spec = POLOS__V1__RUN_SPEC__INIT;
    Polos__V1__RunSpec *specs[] = {&spec, &spec};
    Polos__V1__StartRuns invoke = POLOS__V1__START_RUNS__INIT;
    Polos__V1__StepRequest order = POLOS__V1__STEP_REQUEST__INIT;
    assert_in_range(count, 1, COUNT_OF(specs));
    spec.kind = POLOS__V1__RUN_KIND__RUN_KIND_WORKFLOW;
    spec.name = (char *)name;
    invoke.runs = specs;
    invoke.n_runs = count;
    invoke.wait = true;
    order.request_case = POLOS__V1__STEP_REQUEST__REQUEST_START_RUNS;
    order.start_runs = &invoke;
    say_order(play, key, &order);
}

static Polos__V1__Run *get_run(struct play *play, Polos__V1__RunServiceGetResponse **ret)
{
    Polos__V1__RunServiceGetRequest request = POLOS__V1__RUN_SERVICE_GET_REQUEST__INIT;
    request.run_id = play->run_id;
    *ret = world_ask(&play->world, "/polos.v1.RunService/Get", &request.base, CODE_OK);
    return (*ret)->run;
}

/* 'a': accepted, 'k': kept for later, '-': another was first, 'c': nobody asks any more. */
static char resume(struct play *play, const char *key)
{
    Polos__V1__SuspendServiceResumeRequest request =
        POLOS__V1__SUSPEND_SERVICE_RESUME_REQUEST__INIT;
    request.run_id = play->run_id;
    request.step_key = (char *)key;
    request.data_json = (char *)"{\"yes\": true}";
    request.answered_by = (char *)"ann";
    Polos__V1__SuspendServiceResumeResponse *response =
        world_ask(&play->world, "/polos.v1.SuspendService/Resume", &request.base, CODE_OK);
    static const char letters[] = {'?', 'a', 'k', '-', 'c'};
    char ret = letters[response->outcome];
    assert_true(ret != 'c' || response->suspension->answer == NULL);
    free_message(response);
    return ret;
}

static Polos__V1__ServerMessage *outcome_of(const struct play *play, const char *key)
{
    Polos__V1__ServerMessage *message =
        last_of(play->host, POLOS__V1__SERVER_MESSAGE__MESSAGE_STEP_RESULT);
    assert_non_null(message);
    assert_string_equal(message->step_result->step->key, key);
    assert_string_equal(message->step_result->task_id, play->given->task->task_id);
    return message;
}

static size_t count_outcomes(const struct play *play)
{
    size_t count = 0;
    for (size_t i = 0; i < play->host->sent_count; i++) {
        Polos__V1__ToolServiceConnectResponse *envelope = simulated_call_sent(play->host, i);
        for (size_t j = 0; j < envelope->n_messages; j++) {
            count += envelope->messages[j]->message_case ==
                     POLOS__V1__SERVER_MESSAGE__MESSAGE_STEP_RESULT;
        }
        free_message(envelope);
    }
    return count;
}

static void a_suspension_is_answered_once(void **state)
{
    (void)state;
    struct play play;
    play_init(&play);
    order_suspend(&play, "approve");
    Polos__V1__RunServiceGetResponse *got;
    Polos__V1__Run *run = get_run(&play, &got);
    assert_int_equal(run->n_waiting, 2); /* The host that works on it, and the answer. */
    assert_int_equal(run->waiting[1]->kind, POLOS__V1__WAITING__KIND__KIND_SUSPENSION);
    assert_string_equal(run->waiting[1]->step_key, "approve");
    free_message(got);
    Polos__V1__SuspendServiceGetRequest get = POLOS__V1__SUSPEND_SERVICE_GET_REQUEST__INIT;
    get.run_id = play.run_id;
    get.step_key = (char *)"approve";
    Polos__V1__SuspendServiceGetResponse *one =
        world_ask(&play.world, "/polos.v1.SuspendService/Get", &get.base, CODE_OK);
    assert_int_equal(one->suspension->state, POLOS__V1__SUSPENSION__STATE__STATE_OPEN);
    assert_string_equal(one->suspension->run_id, play.run_id);
    assert_string_equal(one->suspension->root_run_id, play.run_id);
    assert_string_equal(one->suspension->name, "flow");
    assert_string_equal(one->suspension->data_json, "{\"ask\":  1}");
    assert_null(one->suspension->answer);
    assert_null(one->suspension->deadline);
    free_message(one);
    assert_int_equal(resume(&play, "approve"), 'a');
    Polos__V1__ServerMessage *outcome = outcome_of(&play, "approve");
    assert_non_null(strstr(outcome->step_result->step->outcome->value_json, "{\"yes\": true}"));
    assert_non_null(strstr(outcome->step_result->step->outcome->value_json, "\"ann\""));
    free_message(outcome);
    assert_int_equal(count_outcomes(&play), 1);
    order_suspend(&play, "approve"); /* The same order: the outcome comes again. */
    assert_int_equal(count_outcomes(&play), 2);
    assert_int_equal(resume(&play, "approve"), '-');
    one = world_ask(&play.world, "/polos.v1.SuspendService/Get", &get.base, CODE_OK);
    assert_int_equal(one->suspension->state, POLOS__V1__SUSPENSION__STATE__STATE_ANSWERED);
    assert_string_equal(one->suspension->answer->answered_by, "ann");
    assert_string_equal(one->suspension->answer->data_json, "{\"yes\": true}");
    assert_true(ms_of(one->suspension->answer->answered_at) > ms_of(one->suspension->created_at));
    free_message(one);
    say_task_done(play.host, play.given->task, ++play.seq, "1");
    world_rounds(&play.world);
    get.step_key = (char *)"nothing";
    world_refused(&play.world, "/polos.v1.SuspendService/Get", &get.base, CODE_NOT_FOUND,
                  "SUSPENSION_NOT_FOUND", "step_key");
    get.run_id = NOBODY;
    world_refused(&play.world, "/polos.v1.SuspendService/Get", &get.base, CODE_NOT_FOUND,
                  "RUN_NOT_FOUND", "run_id");
    play_fini(&play);
}

static void an_answer_counts_for_what_it_names(void **state)
{
    (void)state;
    struct play play;
    play_init(&play);
    order_suspend(&play, "approve");
    Polos__V1__SuspendServiceResumeRequest request =
        POLOS__V1__SUSPEND_SERVICE_RESUME_REQUEST__INIT;
    request.run_id = play.run_id;
    request.step_key = (char *)"aprove";
    world_refused(&play.world, "/polos.v1.SuspendService/Resume", &request.base,
                  CODE_FAILED_PRECONDITION, "OTHER_SUSPENSIONS_OPEN", "step_key");
    request.step_key = (char *)"approve";
    request.workflow_id = (char *)"another";
    world_refused(&play.world, "/polos.v1.SuspendService/Resume", &request.base,
                  CODE_FAILED_PRECONDITION, "WORKFLOW_MISMATCH", "workflow_id");
    request.workflow_id = (char *)"flow";
    request.suspension_id = (char *)"7";
    world_refused(&play.world, "/polos.v1.SuspendService/Resume", &request.base,
                  CODE_INVALID_ARGUMENT, "INVALID_FIELD", "suspension_id");
    Polos__V1__SuspendServiceGetRequest get = POLOS__V1__SUSPEND_SERVICE_GET_REQUEST__INIT;
    get.run_id = play.run_id;
    get.step_key = (char *)"approve";
    Polos__V1__SuspendServiceGetResponse *one =
        world_ask(&play.world, "/polos.v1.SuspendService/Get", &get.base, CODE_OK);
    request.suspension_id = one->suspension->id;
    world_refused(&play.world, "/polos.v1.SuspendService/Resume", &request.base,
                  CODE_INVALID_ARGUMENT, "INVALID_FIELD", "suspension_id");
    request.run_id = request.step_key = (char *)"";
    static const struct {
        const char *by;
        Polos__V1__ResumeOutcome outcome;
    } rows[] = {
        {"ann", POLOS__V1__RESUME_OUTCOME__RESUME_OUTCOME_ACCEPTED},
        {"ann", POLOS__V1__RESUME_OUTCOME__RESUME_OUTCOME_ALREADY_ANSWERED},
        {"bob", POLOS__V1__RESUME_OUTCOME__RESUME_OUTCOME_ALREADY_ANSWERED},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        request.answered_by = (char *)rows[i].by;
        Polos__V1__SuspendServiceResumeResponse *response =
            world_ask(&play.world, "/polos.v1.SuspendService/Resume", &request.base, CODE_OK);
        assert_int_equal(response->outcome, rows[i].outcome);
        assert_int_equal(response->suspension == NULL, i == 0);
        if (i > 0) {
            assert_string_equal(response->suspension->answer->answered_by, "ann");
            assert_string_equal(response->suspension->id, request.suspension_id);
        }
        free_message(response);
    }
    char other[64];
    (void)snprintf(other, sizeof(other), "%s.99", play.run_id);
    request.suspension_id = other;
    world_refused(&play.world, "/polos.v1.SuspendService/Resume", &request.base, CODE_NOT_FOUND,
                  "SUSPENSION_NOT_FOUND", "suspension_id");
    free_message(one);
    play_fini(&play);
}

static void an_early_answer_is_kept(void **state)
{
    (void)state;
    struct play play;
    play_init(&play);
    assert_int_equal(resume(&play, "later"), 'k');
    order_suspend(&play, "later");
    free_message(outcome_of(&play, "later"));
    assert_int_equal(resume(&play, "later"), '-');
    say_task_done(play.host, play.given->task, ++play.seq, "1");
    world_rounds(&play.world);
    Polos__V1__SuspendServiceResumeRequest request =
        POLOS__V1__SUSPEND_SERVICE_RESUME_REQUEST__INIT;
    request.run_id = play.run_id;
    request.step_key = (char *)"never";
    world_refused(&play.world, "/polos.v1.SuspendService/Resume", &request.base,
                  CODE_FAILED_PRECONDITION, "RUN_ENDED", "run_id");
    play_fini(&play);
}

/* The keys on a page, each a letter; the token of the next page in ret_token. */
static void list_page(struct play *play, const char *run_id, char *ret_token, char *ret_keys)
{
    Polos__V1__SuspendServiceListRequest request = POLOS__V1__SUSPEND_SERVICE_LIST_REQUEST__INIT;
    request.page_size = 2;
    request.page_token = ret_token;
    request.run_id = (char *)run_id;
    Polos__V1__SuspendServiceListResponse *page =
        world_ask(&play->world, "/polos.v1.SuspendService/List", &request.base, CODE_OK);
    for (size_t i = 0; i < page->n_suspensions; i++) {
        assert_int_equal(strlen(page->suspensions[i]->step_key), 1);
        assert_int_equal(page->suspensions[i]->state, POLOS__V1__SUSPENSION__STATE__STATE_OPEN);
        ret_keys[i] = page->suspensions[i]->step_key[0];
    }
    ret_keys[page->n_suspensions] = '\0';
    assert_true(strlen(page->next_page_token) < 64);
    memcpy(ret_token, page->next_page_token, strlen(page->next_page_token) + 1);
    free_message(page);
}

static void suspensions_come_in_pages(void **state)
{
    (void)state;
    static const char *const keys[] = {"a", "b", "c", "d", "e"};
    struct play play;
    play_init(&play);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        order_suspend(&play, keys[i]);
    }
    assert_int_equal(resume(&play, "b"), 'a');
    char token[64] = "";
    char page[4];
    list_page(&play, "", token, page);
    assert_string_equal(page, "ac");
    list_page(&play, play.run_id, token, page);
    assert_string_equal(page, "de");
    assert_string_equal(token, "");
    list_page(&play, NOBODY, token, page);
    assert_string_equal(page, "");
    play_fini(&play);
}

static void a_suspension_names_its_run_and_its_root(void **state)
{
    (void)state;
    struct play play;
    play_init(&play);
    order_runs(&play, "child", "flow", 1);
    free_message(play.given);
    play.given = last_of(play.host, POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK);
    const char *child = play.given->task->run_id;
    assert_string_not_equal(child, play.run_id);
    order_suspend(&play, "a");
    Polos__V1__SuspendServiceListRequest request = POLOS__V1__SUSPEND_SERVICE_LIST_REQUEST__INIT;
    Polos__V1__SuspendServiceListResponse *page =
        world_ask(&play.world, "/polos.v1.SuspendService/List", &request.base, CODE_OK);
    assert_int_equal(page->n_suspensions, 1);
    assert_string_equal(page->suspensions[0]->run_id, child);
    assert_string_equal(page->suspensions[0]->root_run_id, play.run_id);
    free_message(page);
    play_fini(&play);
}

static void a_bad_suspension_call_names_the_field(void **state)
{
    (void)state;
    static char key[514];
    memset(key, 'k', sizeof(key) - 1);
    static char json[1002];
    memset(json, '1', sizeof(json) - 1);
    static const struct {
        const char *run_id;
        const char *key;
        const char *data;
        const char *by;
        const char *field;
    } rows[] = {
        {"", "k", "1", "", "run_id"},         {"7", "k", "1", "", "run_id"},
        {NULL, "", "1", "", "step_key"},      {NULL, key, "1", "", "step_key"},
        {NULL, "k", "{1}", "", "data_json"},  {NULL, "k", json, "", "data_json"},
        {NULL, "k", "1", key, "answered_by"},
    };
    struct world world;
    world_init(&world, 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Polos__V1__SuspendServiceResumeRequest request =
            POLOS__V1__SUSPEND_SERVICE_RESUME_REQUEST__INIT;
        request.run_id = rows[i].run_id == NULL ? NOBODY : (char *)rows[i].run_id;
        request.step_key = (char *)rows[i].key;
        request.data_json = (char *)rows[i].data;
        request.answered_by = (char *)rows[i].by;
        world_refused(&world, "/polos.v1.SuspendService/Resume", &request.base,
                      CODE_INVALID_ARGUMENT, "INVALID_FIELD", rows[i].field);
    }
    Polos__V1__SuspendServiceResumeRequest good = POLOS__V1__SUSPEND_SERVICE_RESUME_REQUEST__INIT;
    good.run_id = NOBODY;
    good.step_key = (char *)"k";
    world_refused(&world, "/polos.v1.SuspendService/Resume", &good.base, CODE_NOT_FOUND,
                  "RUN_NOT_FOUND", "run_id");
    static const char *const tokens[] = {
        "x",
        "0000018bcfe56800-01020304-0506-7708-890a-0b0c0d0e0f1000000001",
        "0000018bcfe5680001020304-0506-7708-890a-0b0c0d0e0f100000000X",
        "0000018BCFE5680001020304-0506-7708-890a-0b0c0d0e0f1000000001",
    };
    for (size_t i = 0; i < COUNT_OF(tokens); i++) {
        Polos__V1__SuspendServiceListRequest list = POLOS__V1__SUSPEND_SERVICE_LIST_REQUEST__INIT;
        list.page_token = (char *)tokens[i];
        world_refused(&world, "/polos.v1.SuspendService/List", &list.base, CODE_INVALID_ARGUMENT,
                      "INVALID_FIELD", "page_token");
    }
    world_fini(&world);
}

/* Publishes that many; the first sequence. */
static int64_t publish(struct world *world, size_t count)
{
    Polos__V1__NewEvent event = POLOS__V1__NEW_EVENT__INIT;
    event.event_type = (char *)"created";
    event.data_json = (char *)"{\"n\":  1}";
    Polos__V1__NewEvent *events[8];
    for (size_t i = 0; i < count; i++) {
        events[i] = &event;
    }
    Polos__V1__TopicServicePublishRequest request = POLOS__V1__TOPIC_SERVICE_PUBLISH_REQUEST__INIT;
    request.topic = (char *)"orders";
    request.events = events;
    request.n_events = count;
    Polos__V1__TopicServicePublishResponse *response =
        world_ask(world, "/polos.v1.TopicService/Publish", &request.base, CODE_OK);
    assert_int_equal(response->n_sequences, count);
    int64_t first = response->sequences[0];
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(response->sequences[i], first + (int64_t)i);
    }
    free_message(response);
    return first;
}

static struct simulated_call *subscribe(struct world *world, int64_t after, bool follow)
{
    Polos__V1__TopicServiceSubscribeRequest request =
        POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__INIT;
    request.topic = (char *)"orders";
    request.start_case = after < 0
                             ? POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__START_ONLY_NEW
                             : POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__START_AFTER_SEQUENCE;
    if (after < 0) {
        request.only_new = true;
    } else {
        request.after_sequence = after;
    }
    request.follow = follow;
    struct simulated_call *call =
        simulated_call_start(&world->api, "/polos.v1.TopicService/Subscribe", &request.base);
    world_rounds(world);
    return call;
}

/* It was sent exactly these, and once that it has seen all there was. */
static void expect_events(const struct simulated_call *call, int64_t first, size_t count)
{
    size_t marks = 0;
    assert_int_equal(call->sent_count, count + 1);
    for (size_t i = 0; i < count + marks; i++) {
        Polos__V1__TopicServiceSubscribeResponse *sent = simulated_call_sent(call, i);
        char position[32];
        snprintf(position, sizeof(position), "%lld", (long long)first + (long long)(i - marks));
        if (sent->event == NULL) {
            marks++;
            free_message(sent);
            continue;
        }
        assert_string_equal(sent->position, position);
        assert_int_equal(sent->event->sequence, first + (int64_t)(i - marks));
        assert_string_equal(sent->event->topic, "orders");
        assert_string_equal(sent->event->event_type, "created");
        assert_string_equal(sent->event->data_json, "{\"n\":  1}");
        assert_string_equal(sent->event->run_id, "");
        assert_true(sent->event->created_at->seconds > 0);
        free_message(sent);
    }
}

static void topics_are_followed(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    assert_int_equal(publish(&world, 3), 1);
    struct simulated_call *all = subscribe(&world, 0, false);
    expect_events(all, 1, 3);
    assert_int_equal(all->finishes, 1);
    assert_int_equal(all->error.code, CODE_OK);
    simulated_call_release(all);
    struct simulated_call *rest = subscribe(&world, 2, true);
    struct simulated_call *fresh = subscribe(&world, -1, true);
    expect_events(rest, 3, 1);
    expect_events(fresh, 4, 0);
    assert_int_equal(publish(&world, 2), 4);
    world_rounds(&world);
    expect_events(rest, 3, 3);
    expect_events(fresh, 4, 2);
    /* One that takes nothing more is sent nothing more until it does. */
    fresh->stalls = true;
    publish(&world, 3);
    world_rounds(&world);
    size_t stalled_at = fresh->sent_count;
    publish(&world, 5);
    world_rounds(&world);
    assert_int_equal(fresh->sent_count, stalled_at);
    expect_events(rest, 3, 11);
    fresh->stalls = false;
    fresh->api.method->writable(&fresh->api);
    world_rounds(&world);
    expect_events(fresh, 4, 10);
    simulated_call_closed(rest);
    simulated_call_closed(fresh);
    world_rounds(&world);
    assert_int_equal(rest->error.code, CODE_CANCELLED);
    publish(&world, 1); /* To nobody. */
    simulated_call_release(rest);
    simulated_call_release(fresh);
    world_fini(&world);
}

/* It goes away before, while and after the partition hears of it. */
static void a_subscriber_that_goes_away_is_forgotten(void **state)
{
    (void)state;
    for (int when = 0; when < 4; when++) {
        struct world world;
        world_init(&world, 0);
        publish(&world, 2);
        Polos__V1__TopicServiceSubscribeRequest request =
            POLOS__V1__TOPIC_SERVICE_SUBSCRIBE_REQUEST__INIT;
        request.topic = (char *)"orders";
        request.follow = true;
        struct simulated_call *call =
            simulated_call_start(&world.api, "/polos.v1.TopicService/Subscribe", &request.base);
        for (int round = 0; round < when; round++) {
            partition_round(world.partition);
        }
        simulated_call_closed(call);
        world_rounds(&world);
        assert_int_equal(call->finishes, 1);
        simulated_call_release(call);
        publish(&world, 1);
        world_fini(&world);
    }
}

static void children_are_found_by_their_parent(void **state)
{
    (void)state;
    struct play play;
    play_init(&play);
    order_runs(&play, "both", "other", 2);
    Polos__V1__RunServiceListRequest list = POLOS__V1__RUN_SERVICE_LIST_REQUEST__INIT;
    Polos__V1__RunFilter filter = POLOS__V1__RUN_FILTER__INIT;
    filter.parent_run_id = play.run_id;
    list.filter = &filter;
    Polos__V1__RunServiceListResponse *runs =
        world_ask(&play.world, "/polos.v1.RunService/List", &list.base, CODE_OK);
    assert_int_equal(runs->n_runs, 2);
    assert_string_equal(runs->runs[0]->name, "other");
    free_message(runs);
    Polos__V1__RunServiceGetResponse *got;
    Polos__V1__Run *run = get_run(&play, &got);
    assert_int_equal(run->waiting[run->n_waiting - 1]->kind,
                     POLOS__V1__WAITING__KIND__KIND_CHILDREN);
    static const char *const says = "it waits for 2 of the runs it started to end: other ";
    const char *message = run->waiting[run->n_waiting - 1]->message;
    assert_int_equal(strncmp(message, says, strlen(says)), 0);
    assert_non_null(strstr(message, "no connected host offers workflow other"));
    free_message(got);
    filter.parent_run_id = (char *)"mother";
    world_refused(&play.world, "/polos.v1.RunService/List", &list.base, CODE_INVALID_ARGUMENT,
                  "INVALID_FIELD", "filter.parent_run_id");
    play_fini(&play);
}

static void a_cancelled_run_cleans_up(void **state)
{
    (void)state;
    struct play play;
    play_init(&play);
    Polos__V1__RunServiceCancelRequest request = POLOS__V1__RUN_SERVICE_CANCEL_REQUEST__INIT;
    request.run_id = play.run_id;
    request.cause = (char *)"changed my mind";
    Polos__V1__RunServiceCancelResponse *asked =
        world_ask(&play.world, "/polos.v1.RunService/Cancel", &request.base, CODE_OK);
    assert_true(asked->run->cancelling);
    assert_null(asked->run->error);
    free_message(asked);
    Polos__V1__ServerMessage *told =
        last_of(play.host, POLOS__V1__SERVER_MESSAGE__MESSAGE_CANCEL_TASK);
    assert_non_null(told);
    assert_string_equal(told->cancel_task->task_id, play.given->task->task_id);
    free_message(told);
    Polos__V1__TaskError error = POLOS__V1__TASK_ERROR__INIT;
    Polos__V1__TaskOutcome outcome = POLOS__V1__TASK_OUTCOME__INIT;
    outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT_ERROR;
    outcome.error = &error;
    Polos__V1__TaskDone done = POLOS__V1__TASK_DONE__INIT;
    done.task_id = play.given->task->task_id;
    done.epoch = play.given->task->epoch;
    done.result_case = POLOS__V1__TASK_DONE__RESULT_OUTCOME;
    done.outcome = &outcome;
    done.cancelled = true;
    done.state_json = (char *)"{\"swept\": true}";
    Polos__V1__HostMessage message = POLOS__V1__HOST_MESSAGE__INIT;
    message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_TASK_DONE;
    message.task_done = &done;
    say_message(play.host, ++play.seq, &message);
    world_rounds(&play.world);
    Polos__V1__RunServiceGetResponse *got;
    Polos__V1__Run *run = get_run(&play, &got);
    assert_int_equal(run->status, POLOS__V1__RUN_STATUS__RUN_STATUS_CANCELLED);
    assert_false(run->cancelling);
    assert_string_equal(run->error->reason, "CANCELLED");
    assert_string_equal(run->error->message, "changed my mind");
    assert_string_equal(run->state_json, "{\"swept\": true}");
    free_message(got);
    play_fini(&play);
}

static void an_order_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct play play;
    play_init(&play);
    Polos__V1__Sleep sleep = POLOS__V1__SLEEP__INIT;
    Polos__V1__StepRequest order = POLOS__V1__STEP_REQUEST__INIT;
    order.request_case = POLOS__V1__STEP_REQUEST__REQUEST_SLEEP;
    order.sleep = &sleep;
    say_order(&play, "nap", &order);
    Polos__V1__ServerMessage *refused =
        last_of(play.host, POLOS__V1__SERVER_MESSAGE__MESSAGE_REFUSED);
    assert_non_null(refused);
    assert_string_equal(refused->refused->reason, "INVALID_FIELD");
    assert_string_equal(refused->refused->message, "step_request.sleep: set duration or until");
    assert_string_equal(refused->refused->task_id, play.given->task->task_id);
    free_message(refused);
    assert_int_equal(play.host->finishes, 0);
    order_suspend(&play, "nap"); /* The task goes on. */
    assert_int_equal(resume(&play, "nap"), 'a');
    play_fini(&play);
}

static void states_and_retries_of_a_start(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 0);
    Polos__V1__StartOptions options = POLOS__V1__START_OPTIONS__INIT;
    options.idempotency_key = (char *)"k";
    options.initial_state_json = (char *)"{\"n\": 1}";
    Polos__V1__RetryPolicy retry = POLOS__V1__RETRY_POLICY__INIT;
    retry.max_retries = 3;
    options.retry = &retry;
    Polos__V1__WorkflowServiceStartRequest request =
        POLOS__V1__WORKFLOW_SERVICE_START_REQUEST__INIT;
    request.workflow_id = (char *)"flow";
    request.options = &options;
    const char *path = "/polos.v1.WorkflowService/Start";
    Polos__V1__WorkflowServiceStartResponse *started =
        world_ask(&world, path, &request.base, CODE_OK);
    Polos__V1__RunServiceGetRequest get = POLOS__V1__RUN_SERVICE_GET_REQUEST__INIT;
    get.run_id = started->run_id;
    Polos__V1__RunServiceGetResponse *got =
        world_ask(&world, "/polos.v1.RunService/Get", &get.base, CODE_OK);
    assert_string_equal(got->run->state_json, "{\"n\": 1}");
    free_message(got);
    free_message(started);
    started = world_ask(&world, path, &request.base, CODE_OK);
    assert_int_equal(started->outcome, POLOS__V1__START_OUTCOME__START_OUTCOME_FOUND);
    free_message(started);
    retry.max_retries = 4; /* Another request. */
    world_refused(&world, path, &request.base, CODE_ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED",
                  "options.idempotency_key");
    retry.max_retries = 3;
    options.initial_state_type = (char *)"{\"/n\":\"int\"}"; /* And another. */
    world_refused(&world, path, &request.base, CODE_ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED",
                  "options.idempotency_key");
    options.initial_state_json = (char *)"";
    world_refused(&world, path, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "options.initial_state_type");
    options.initial_state_type = (char *)"";
    retry.max_retries = 101;
    world_refused(&world, path, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "options.retry.max_retries");
    options.initial_state_json = (char *)"{n}";
    world_refused(&world, path, &request.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "options.initial_state_json");
    world_fini(&world);
}

/* With the step: code that goes on elsewhere has it. */
static void a_state_is_kept_with_its_step(void **state)
{
    (void)state;
    struct play play;
    play_init(&play);
    Polos__V1__TaskOutcome outcome = POLOS__V1__TASK_OUTCOME__INIT;
    outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON;
    outcome.value_json = (char *)"1";
    Polos__V1__StepDone done = POLOS__V1__STEP_DONE__INIT;
    done.task_id = play.given->task->task_id;
    done.epoch = play.given->task->epoch;
    done.number = 1;
    done.key = (char *)"fetch";
    done.outcome = &outcome;
    done.state_json = (char *)"{\"n\":  1}";
    Polos__V1__HostMessage message = POLOS__V1__HOST_MESSAGE__INIT;
    message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_DONE;
    message.step_done = &done;
    say_message(play.host, ++play.seq, &message);
    world_rounds(&play.world);
    Polos__V1__RunServiceGetResponse *got;
    assert_string_equal(get_run(&play, &got)->state_json, "{\"n\":  1}");
    free_message(got);
    done.number = 2;
    done.key = (char *)"look"; /* It leaves the state as it was. */
    done.state_json = (char *)"";
    say_message(play.host, ++play.seq, &message);
    world_rounds(&play.world);
    assert_string_equal(get_run(&play, &got)->state_json, "{\"n\":  1}");
    free_message(got);
    play_fini(&play);
}

static void forks_and_retries(void **state)
{
    (void)state;
    struct play play;
    play_init(&play);
    Polos__V1__RunServiceForkRequest fork = POLOS__V1__RUN_SERVICE_FORK_REQUEST__INIT;
    const char *path = "/polos.v1.RunService/Fork";
    fork.run_id = play.run_id;
    world_refused(&play.world, path, &fork.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD",
                  "after_seq");
    fork.idempotency_key = (char *)"copy";
    fork.after_seq = 2; /* The start: RUN_STARTED, TASK_REQUESTED. */
    Polos__V1__RunServiceForkResponse *forked = world_ask(&play.world, path, &fork.base, CODE_OK);
    assert_string_not_equal(forked->run->id, play.run_id);
    assert_false(forked->existed);
    Polos__V1__RunServiceForkResponse *again = world_ask(&play.world, path, &fork.base, CODE_OK);
    assert_string_equal(again->run->id, forked->run->id);
    assert_true(again->existed);
    free_message(again);
    free_message(forked);
    fork.after_seq = 1; /* Another request. */
    world_refused(&play.world, path, &fork.base, CODE_ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED",
                  "idempotency_key");
    fork.idempotency_key = (char *)"";
    fork.run_id = NOBODY;
    world_refused(&play.world, path, &fork.base, CODE_NOT_FOUND, "RUN_NOT_FOUND", "run_id");
    Polos__V1__RunServiceRetryRequest retry = POLOS__V1__RUN_SERVICE_RETRY_REQUEST__INIT;
    path = "/polos.v1.RunService/Retry";
    retry.run_id = (char *)"";
    world_refused(&play.world, path, &retry.base, CODE_INVALID_ARGUMENT, "INVALID_FIELD", "run_id");
    retry.run_id = play.run_id;
    world_refused(&play.world, path, &retry.base, CODE_FAILED_PRECONDITION, "RUN_NOT_FAILED",
                  "run_id");
    say_task_done(play.host, play.given->task, ++play.seq, "NaN"); /* No JSON: it failed. */
    world_rounds(&play.world);
    Polos__V1__RunServiceRetryResponse *anew = world_ask(&play.world, path, &retry.base, CODE_OK);
    assert_true(anew->run->status == POLOS__V1__RUN_STATUS__RUN_STATUS_RUNNING ||
                anew->run->status == POLOS__V1__RUN_STATUS__RUN_STATUS_WAITING);
    free_message(anew);
    play_fini(&play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_suspension_is_answered_once),
        cmocka_unit_test(an_answer_counts_for_what_it_names),
        cmocka_unit_test(an_early_answer_is_kept),
        cmocka_unit_test(suspensions_come_in_pages),
        cmocka_unit_test(a_suspension_names_its_run_and_its_root),
        cmocka_unit_test(a_bad_suspension_call_names_the_field),
        cmocka_unit_test(topics_are_followed),
        cmocka_unit_test(a_subscriber_that_goes_away_is_forgotten),
        cmocka_unit_test(children_are_found_by_their_parent),
        cmocka_unit_test(a_cancelled_run_cleans_up),
        cmocka_unit_test(an_order_that_makes_no_sense_is_refused),
        cmocka_unit_test(states_and_retries_of_a_start),
        cmocka_unit_test(a_state_is_kept_with_its_step),
        cmocka_unit_test(forks_and_retries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
