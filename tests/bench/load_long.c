/*
 * One run with many steps: whether the gap between two grows, what pipelining gives, and how long
 * a new host waits for a run with a long history.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/load.h"

enum {
    GAPS_FROM = 5, /* Connections and caches are warm by then. */
    GAPS_COUNT = 100,
    LOOK_AGAIN_US = 5 * 1000,
};

struct long_run {
    struct load *load;
    struct polos_task *task;
    unsigned window; /* Steps on their way at once. */
    char *value; /* Of each step, as JSON. */
    unsigned said;
    unsigned done;
    unsigned runs; /* Started. */
    uint64_t last_us; /* When the last step was durable. */
    uint32_t *first_gaps_us;
    uint32_t *last_gaps_us;
    size_t first_count;
    size_t last_count;
    struct polos_timer look;
    uint64_t dialled_us;
    bool is_given; /* To the new host. */
};

static struct long_run long_run;

static void note_gap(unsigned number, uint64_t gap_us)
{
    unsigned steps = long_run.load->options.steps;
    uint32_t gap = gap_us > UINT32_MAX ? UINT32_MAX : (uint32_t)gap_us;
    if (long_run.first_gaps_us == NULL) {
        return;
    }
    if (number >= GAPS_FROM && number < GAPS_FROM + GAPS_COUNT) {
        long_run.first_gaps_us[long_run.first_count++] = gap;
    }
    if (number >= steps - GAPS_COUNT) {
        long_run.last_gaps_us[long_run.last_count++] = gap;
    }
}

static void step(void);

/* The next run, or the end. */
static void end_run(struct polos_task *task)
{
    static const struct polos_outcome all_done = {.value_json = "true"};
    struct load *load = long_run.load;
    if (long_run.runs == load->options.count) {
        tally_end(&load->tally);
        polos_loop_stop(load->loop);
        long_run.task = task; /* Its end is the caller's. */
        return;
    }
    polos_task_done(task, &all_done);
    long_run.runs++;
    load_start(load, "bench-long", load_must_answer);
}

static void settled(void *context, struct polos_task *task, const struct polos_error *error)
{
    uint64_t now_us = polos_now_us();
    (void)context;
    load_must(error);
    tally_add(&long_run.load->tally, now_us - long_run.last_us);
    note_gap(long_run.done, now_us - long_run.last_us);
    long_run.last_us = now_us;
    if (++long_run.done == long_run.load->options.steps) {
        end_run(task);
    } else {
        step();
    }
}

static void step(void)
{
    const struct polos_outcome outcome = {.value_json = long_run.value};
    char key[24];
    while (long_run.said < long_run.load->options.steps &&
           long_run.said - long_run.done < long_run.window) {
        snprintf(key, sizeof(key), "step-%u", long_run.said++);
        bool wanted = polos_step_done(long_run.task, key, &outcome, settled, NULL);
        assert(wanted);
        (void)wanted;
    }
}

static void given(void *context, struct polos_task *task)
{
    struct load *load = context;
    long_run.task = task;
    long_run.said = long_run.done = 0;
    if (load->tally.began_us == 0) {
        tally_begin(&load->tally);
    }
    long_run.last_us = polos_now_us();
    step();
}

/* A text of so many bytes, or a digit. */
static char *make_value(unsigned bytes)
{
    enum {
        QUOTES = 2,
    };
    size_t size = bytes <= QUOTES ? 1 : bytes;
    char *value = malloc(size + 1);
    assert(value != NULL);
    memset(value, size == 1 ? '1' : 'x', size);
    if (size > 1) {
        value[0] = value[size - 1] = '"';
    }
    value[size] = '\0';
    return value;
}

static void run_all(struct load *load, unsigned window)
{
    long_run.value = make_value(load->options.bytes);
    long_run.load = load;
    long_run.window = window;
    long_run.runs = 1;
    load_host_workflow(load, "bench-long", 2, given);
    load_start(load, "bench-long", load_must_answer);
    polos_loop_run(load->loop);
}

static void end_last(void)
{
    static const struct polos_outcome all_done = {.value_json = "true"};
    polos_task_done(long_run.task, &all_done);
    free(long_run.value);
}

void load_flat(struct load *load)
{
    size_t gaps = (size_t)GAPS_COUNT * load->options.count;
    if (load->options.steps < GAPS_FROM + 2 * GAPS_COUNT) {
        load->options.steps = GAPS_FROM + 2 * GAPS_COUNT;
    }
    long_run.first_gaps_us = calloc(gaps, sizeof(uint32_t));
    long_run.last_gaps_us = calloc(gaps, sizeof(uint32_t));
    assert(long_run.first_gaps_us != NULL && long_run.last_gaps_us != NULL);
    run_all(load, 1);
    end_last();
    uint32_t first = tally_median(long_run.first_gaps_us, long_run.first_count);
    uint32_t last = tally_median(long_run.last_gaps_us, long_run.last_count);
    printf("{\"bench\": \"flat\", \"steps\": %u, \"count\": %u, \"first_p50_us\": %u, "
           "\"last_p50_us\": %u, \"growth\": %.3f, ",
           load->options.steps, load->options.count, first, last, (double)last / first);
    tally_print(&load->tally, (double)load->options.steps * load->options.count);
    printf("}\n");
    free(long_run.first_gaps_us);
    free(long_run.last_gaps_us);
}

void load_pipeline(struct load *load)
{
    double total = load->options.steps;
    load->options.count = 1;
    run_all(load, load->options.in_flight);
    end_last();
    printf("{\"bench\": \"pipeline\", \"in_flight\": %u, \"steps\": %u, \"steps_per_s\": %.0f, ",
           load->options.in_flight, load->options.steps, tally_per_second(&load->tally, total));
    tally_print(&load->tally, total);
    printf("}\n");
}

/* The host dies without a word. */
void load_abandon(struct load *load)
{
    load->options.count = 1;
    run_all(load, load->options.in_flight);
    printf("{\"bench\": \"abandon\", \"steps\": %u, \"run_id\": \"%s\"}\n", load->options.steps,
           polos_task_message(long_run.task)->run_id);
    fflush(stdout);
    _exit(0);
}

/* ---- taken over ---- */

static void look(void *context);

/* Until its lease is over the run counts as at work. */
static void looked(void *context, const struct polos_error *error, const ProtobufCMessage *answer)
{
    struct load *load = context;
    const Polos__V1__RunServiceGetResponse *response = (const void *)answer;
    load_must(error);
    const Polos__V1__Run *run = response->run;
    if (run->n_waiting > 0 && strstr(run->waiting[0]->message, "no connected host") != NULL) {
        polos_loop_stop(load->loop);
        return;
    }
    long_run.look = (struct polos_timer){.due = look, .context = load};
    polos_timer_set(load->loop, &long_run.look, polos_now_us() + LOOK_AGAIN_US);
}

static void look(void *context)
{
    struct load *load = context;
    Polos__V1__RunServiceGetRequest request = POLOS__V1__RUN_SERVICE_GET_REQUEST__INIT;
    request.run_id = (char *)load->options.run_id;
    polos_call(load->client, POLOS_RUN_GET, &request.base, 10000, looked, load);
}

/* Finds every step, as the code would. */
static unsigned replay(struct polos_task *task)
{
    unsigned found = 0;
    char key[40];
    for (size_t i = 0; i < polos_task_message(task)->n_steps; i++) {
        snprintf(key, sizeof(key), "step-%zu", i);
        found += polos_task_settled(task, key) != NULL;
    }
    return found;
}

static void given_again(void *context, struct polos_task *task)
{
    static const struct polos_outcome all_done = {.value_json = "true"};
    struct load *load = context;
    uint64_t given_us = polos_now_us();
    unsigned found = replay(task);
    tally_end(&load->tally);
    printf("{\"bench\": \"resume\", \"steps\": %u, \"resume_us\": %llu, \"replay_us\": %llu, ",
           found, (unsigned long long)(given_us - long_run.dialled_us),
           (unsigned long long)(polos_now_us() - given_us));
    polos_task_done(task, &all_done);
    long_run.is_given = true;
    polos_loop_stop(load->loop);
}

void load_resume(struct load *load)
{
    if (load->options.run_id == NULL) {
        fprintf(stderr, "load: resume needs --run-id, as abandon prints it\n");
        exit(2);
    }
    look(load);
    polos_loop_run(load->loop);
    load_host_make(load, 1);
    polos_host_offer_workflow(load->host, "bench-long", "", given_again, load);
    tally_begin(&load->tally);
    long_run.dialled_us = polos_now_us();
    load_host_start(load);
    if (!long_run.is_given) {
        polos_loop_run(load->loop);
    }
    load_host_stop(load);
    tally_print(&load->tally, 1);
    printf("}\n");
}
