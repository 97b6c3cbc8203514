/*
 * Runs that wait: for an answer, an event, a child. What is measured is how long after the cause
 * the code knows. Sleepers only wait.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/load.h"

enum {
    CALLS_AT_ONCE = 256,
    SLEEPER_SLOTS = 1000,
    HOUR_MS = 3600 * 1000,
    PARKED_US = 3 * 1000, /* After which a park is taken for dealt with. */
};

struct waiter;

struct wait {
    const char *name;
    void (*order)(struct waiter *waiter, const char *key);
    void (*cause)(struct waiter *waiter, const char *key); /* NULL: the order is the cause. */
    bool parks;
};

struct waiter {
    struct load *load;
    struct polos_task *task;
    struct polos_timer parked;
    char run_id[40];
    unsigned index;
    unsigned round;
    unsigned rounds;
    uint64_t began_us; /* This round. */
    uint64_t caused_us;
};

struct waits {
    const struct wait *wait;
    struct waiter *waiters;
    struct tally rounds; /* Whole ones, in order, when there is one run. */
    unsigned given;
    unsigned ended;
    unsigned started; /* Sleepers. */
    unsigned parked;
};

static struct waits waits;

static void next_round(struct waiter *waiter);

static void key_of(const struct waiter *waiter, char ret[24])
{
    snprintf(ret, 24, "wait-%u", waiter->round);
}

/* The code knows. */
static void woken(struct waiter *waiter, const Polos__V1__TaskOutcome *outcome)
{
    static const struct polos_outcome all_done = {.value_json = "true"};
    struct load *load = waiter->load;
    if (outcome->result_case != POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON) {
        fprintf(stderr, "load: a wait failed: %s %s\n", outcome->error->type,
                outcome->error->message);
        exit(1);
    }
    tally_add(&load->tally, polos_now_us() - waiter->caused_us);
    tally_add(&waits.rounds, polos_now_us() - waiter->began_us);
    if (++waiter->round < waiter->rounds) {
        next_round(waiter);
        return;
    }
    polos_task_done(waiter->task, &all_done);
    if (++waits.ended == load->options.in_flight) {
        tally_end(&load->tally);
        polos_loop_stop(load->loop);
    }
}

static void came(void *context, struct polos_task *task, const struct polos_error *error,
                 const Polos__V1__TaskOutcome *outcome)
{
    struct waiter *waiter = context;
    (void)task;
    load_must(error);
    woken(waiter, outcome);
}

static void cause(struct waiter *waiter)
{
    char key[24];
    key_of(waiter, key);
    waiter->caused_us = polos_now_us();
    waits.wait->cause(waiter, key);
}

static void parked(void *context)
{
    cause(context);
}

/* The step came after the order: both are on disk. */
static void asked(void *context, struct polos_task *task, const struct polos_error *error)
{
    struct waiter *waiter = context;
    load_must(error);
    if (!waits.wait->parks) {
        cause(waiter);
        return;
    }
    waiter->task = NULL;
    polos_task_park(task);
    waiter->parked = (struct polos_timer){.due = parked, .context = waiter};
    polos_timer_set(waiter->load->loop, &waiter->parked, polos_now_us() + PARKED_US);
}

static void next_round(struct waiter *waiter)
{
    static const struct polos_outcome one = {.value_json = "1"};
    char key[24];
    char step[40];
    key_of(waiter, key);
    snprintf(step, sizeof(step), "asked-%u", waiter->round);
    waiter->began_us = waiter->caused_us = polos_now_us();
    waits.wait->order(waiter, key);
    if (waits.wait->cause != NULL) {
        bool wanted = polos_step_done(waiter->task, step, &one, asked, waiter);
        assert(wanted);
        (void)wanted;
    }
}

static struct waiter *waiter_of(const char *run_id)
{
    for (unsigned i = 0; i < waits.given; i++) {
        if (strcmp(waits.waiters[i].run_id, run_id) == 0) {
            return &waits.waiters[i];
        }
    }
    return NULL;
}

static void given_again(struct waiter *waiter, struct polos_task *task)
{
    char key[24];
    waiter->task = task;
    key_of(waiter, key);
    const Polos__V1__TaskOutcome *outcome = polos_task_settled(task, key);
    if (outcome == NULL) {
        fprintf(stderr, "load: run %s was given without what it waits for\n", waiter->run_id);
        exit(1);
    }
    woken(waiter, outcome);
}

static void given(void *context, struct polos_task *task)
{
    struct load *load = context;
    struct waiter *waiter = waiter_of(polos_task_message(task)->run_id);
    if (waiter != NULL) {
        given_again(waiter, task);
        return;
    }
    waiter = &waits.waiters[waits.given];
    *waiter = (struct waiter){.load = load, .task = task, .index = waits.given++};
    waiter->rounds = load->options.count / load->options.in_flight;
    snprintf(waiter->run_id, sizeof(waiter->run_id), "%s", polos_task_message(task)->run_id);
    if (waits.given < load->options.in_flight) {
        return;
    }
    tally_begin(&load->tally);
    for (unsigned i = 0; i < waits.given; i++) {
        next_round(&waits.waiters[i]);
    }
}

static void child_given(void *context, struct polos_task *task)
{
    static const struct polos_outcome done = {.value_json = "1"};
    (void)context;
    polos_task_done(task, &done);
}

static void measure(struct load *load, const struct wait *wait)
{
    unsigned in_flight = load->options.in_flight;
    unsigned rounds = load->options.count / in_flight;
    double total = (double)in_flight * (rounds == 0 ? 1 : rounds);
    load->options.count = (unsigned)total;
    waits.wait = wait;
    waits.waiters = calloc(in_flight, sizeof(*waits.waiters));
    assert(waits.waiters != NULL);
    load_host_make(load, 2 * in_flight);
    polos_host_offer_workflow(load->host, "bench-waiter", "", given, load);
    polos_host_offer_workflow(load->host, "bench-child", "", child_given, load);
    load_host_start(load);
    for (unsigned i = 0; i < in_flight; i++) {
        load_start(load, "bench-waiter", load_must_answer);
    }
    polos_loop_run(load->loop);
    load_host_stop(load);
    printf("{\"bench\": \"%s\", \"in_flight\": %u, \"count\": %.0f, \"per_s\": %.0f, ", wait->name,
           in_flight, total, tally_per_second(&load->tally, total));
    if (in_flight == 1) {
        printf("\"growth\": %.3f, ", tally_growth(&waits.rounds));
    }
    tally_print(&load->tally, total);
    printf("}\n");
    tally_fini(&waits.rounds);
    free(waits.waiters);
}

/* ---- an answer ---- */

static void order_suspend(struct waiter *waiter, const char *key)
{
    Polos__V1__Suspend suspend = POLOS__V1__SUSPEND__INIT;
    suspend.data_json = (char *)"{\"amount\":120}";
    polos_request_suspend(waiter->task, key, &suspend, came, waiter);
}

static void resume(struct waiter *waiter, const char *key)
{
    Polos__V1__SuspendServiceResumeRequest request =
        POLOS__V1__SUSPEND_SERVICE_RESUME_REQUEST__INIT;
    request.run_id = waiter->run_id;
    request.step_key = (char *)key;
    request.data_json = (char *)"{\"approved\":true}";
    polos_call(waiter->load->client, POLOS_SUSPEND_RESUME, &request.base, 10000, load_must_answer,
               waiter->load);
}

void load_suspend(struct load *load)
{
    static const struct wait wait = {"suspend", order_suspend, resume, false};
    measure(load, &wait);
}

void load_wake(struct load *load)
{
    static const struct wait wait = {"wake", order_suspend, resume, true};
    measure(load, &wait);
}

/* ---- an event ---- */

static void order_event(struct waiter *waiter, const char *key)
{
    Polos__V1__AwaitEvent awaited = POLOS__V1__AWAIT_EVENT__INIT;
    char topic[40];
    snprintf(topic, sizeof(topic), "bench-%u", waiter->index);
    awaited.topic = topic;
    polos_request_await(waiter->task, key, &awaited, came, waiter);
}

static void publish(struct waiter *waiter, const char *key)
{
    Polos__V1__TopicServicePublishRequest request = POLOS__V1__TOPIC_SERVICE_PUBLISH_REQUEST__INIT;
    Polos__V1__NewEvent event = POLOS__V1__NEW_EVENT__INIT;
    Polos__V1__NewEvent *events[] = {&event};
    char topic[40];
    (void)key;
    snprintf(topic, sizeof(topic), "bench-%u", waiter->index);
    request.topic = topic;
    event.data_json = (char *)"{\"n\":1}";
    request.n_events = 1;
    request.events = events;
    polos_call(waiter->load->client, POLOS_TOPIC_PUBLISH, &request.base, 10000, load_must_answer,
               waiter->load);
}

void load_events(struct load *load)
{
    static const struct wait wait = {"events", order_event, publish, false};
    measure(load, &wait);
}

/* ---- a child ---- */

static void order_child(struct waiter *waiter, const char *key)
{
    Polos__V1__StartRuns start = POLOS__V1__START_RUNS__INIT;
    Polos__V1__RunSpec child = POLOS__V1__RUN_SPEC__INIT;
    Polos__V1__RunSpec *children[] = {&child};
    child.kind = POLOS__V1__RUN_KIND__RUN_KIND_WORKFLOW;
    child.name = (char *)"bench-child";
    child.input_json = (char *)"1";
    start.n_runs = 1;
    start.runs = children;
    start.wait = true;
    polos_request_start(waiter->task, key, &start, came, waiter);
}

void load_children(struct load *load)
{
    static const struct wait wait = {"children", order_child, NULL, false};
    measure(load, &wait);
}

/* ---- sleepers ---- */

static void too_early(void *context, struct polos_task *task, const struct polos_error *error,
                      const Polos__V1__TaskOutcome *outcome)
{
    (void)context;
    (void)task;
    (void)error;
    (void)outcome;
    fprintf(stderr, "load: an hour went by\n");
    exit(1);
}

static void sleep_given(void *context, struct polos_task *task)
{
    struct load *load = context;
    polos_request_sleep(task, "sleep", HOUR_MS, too_early, load);
    polos_task_park(task);
    if (++waits.parked == load->options.count) {
        polos_loop_stop(load->loop);
    }
}

static void sleeper_started(void *context, const struct polos_error *error,
                            const ProtobufCMessage *answer);

static void start_sleeper(struct load *load)
{
    if (waits.started < load->options.count) {
        waits.started++;
        load_start(load, "bench-sleeper", sleeper_started);
    }
}

static void sleeper_started(void *context, const struct polos_error *error,
                            const ProtobufCMessage *answer)
{
    (void)answer;
    load_must(error);
    start_sleeper(context);
}

void load_sleepers(struct load *load)
{
    double total = load->options.count;
    load_host_workflow(load, "bench-sleeper", SLEEPER_SLOTS, sleep_given);
    tally_begin(&load->tally);
    for (unsigned i = 0; i < CALLS_AT_ONCE; i++) {
        start_sleeper(load);
    }
    polos_loop_run(load->loop);
    load_host_stop(load);
    tally_end(&load->tally);
    printf("{\"bench\": \"sleepers\", \"count\": %.0f, \"parks_per_s\": %.0f, ", total,
           tally_per_second(&load->tally, total));
    tally_print(&load->tally, total);
    printf("}\n");
}
