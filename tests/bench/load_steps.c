/*
 * Durable steps: the next step of a run starts when the one before is on the server's disk. In
 * the end each run is asked how many it has.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/load.h"

struct work {
    struct steps *steps;
    struct polos_task *task;
    char run_id[40];
    unsigned done;
    uint64_t said_us;
};

struct steps {
    struct load *load;
    struct work *works;
    unsigned given; /* Tasks. */
    unsigned ended;
    unsigned checked;
};

static struct steps steps;

static void step(struct work *work);

static void settled(void *context, struct polos_task *task, const struct polos_error *error)
{
    static const struct polos_outcome all_done = {.value_json = "true"};
    struct work *work = context;
    struct load *load = work->steps->load;
    load_must(error);
    tally_add(&load->tally, polos_now_us() - work->said_us);
    if (++work->done < load->options.steps) {
        step(work);
        return;
    }
    if (++work->steps->ended == load->options.in_flight) {
        tally_end(&load->tally);
        polos_loop_stop(load->loop);
    }
    polos_task_done(task, &all_done);
}

static void step(struct work *work)
{
    static const struct polos_outcome one = {.value_json = "1"};
    char key[24];
    snprintf(key, sizeof(key), "step-%u", work->done);
    work->said_us = polos_now_us();
    bool wanted = polos_step_done(work->task, key, &one, settled, work);
    assert(wanted);
    (void)wanted;
}

/* Nobody starts before everybody is there: starting runs is not what is measured. */
static void given(void *context, struct polos_task *task)
{
    struct load *load = context;
    struct work *work = &steps.works[steps.given++];
    *work = (struct work){.steps = &steps, .task = task};
    snprintf(work->run_id, sizeof(work->run_id), "%s", polos_task_message(task)->run_id);
    if (steps.given < load->options.in_flight) {
        return;
    }
    tally_begin(&load->tally);
    for (unsigned i = 0; i < steps.given; i++) {
        step(&steps.works[i]);
    }
}

static void found(void *context, const struct polos_error *error, const ProtobufCMessage *answer)
{
    const struct load *load = context;
    const Polos__V1__RunServiceGetResponse *response = (const void *)answer;
    load_must(error);
    if (response->run->step_count != load->options.steps) {
        fprintf(stderr, "load: run %s has %u steps\n", response->run->id,
                response->run->step_count);
        exit(1);
    }
    if (++steps.checked == load->options.in_flight) {
        polos_loop_stop(load->loop);
    }
}

/* What was acknowledged is there. */
static void check(struct load *load)
{
    for (unsigned i = 0; i < load->options.in_flight; i++) {
        Polos__V1__RunServiceGetRequest request = POLOS__V1__RUN_SERVICE_GET_REQUEST__INIT;
        request.run_id = steps.works[i].run_id;
        polos_call(load->client, POLOS_RUN_GET, &request.base, 10000, found, load);
    }
    polos_loop_run(load->loop);
}

void load_steps(struct load *load)
{
    double total = (double)load->options.in_flight * load->options.steps;
    steps.load = load;
    steps.works = calloc(load->options.in_flight, sizeof(*steps.works));
    assert(steps.works != NULL);
    load_host_workflow(load, "bench-steps", load->options.in_flight, given);
    for (unsigned i = 0; i < load->options.in_flight; i++) {
        load_start(load, "bench-steps", load_must_answer);
    }
    polos_loop_run(load->loop);
    check(load);
    printf("{\"bench\": \"steps\", \"in_flight\": %u, \"steps\": %u, \"steps_per_s\": %.0f, ",
           load->options.in_flight, load->options.steps, tally_per_second(&load->tally, total));
    tally_print(&load->tally, total);
    printf("}\n");
    free(steps.works);
}
