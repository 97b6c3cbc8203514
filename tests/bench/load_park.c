/* Runs that are there and do nothing: waiting for a host, or at work on one. */
#include <stdio.h>
#include <unistd.h>

#include "tests/bench/load.h"

enum {
    CALLS_AT_ONCE = 256,
};

struct park {
    const char *workflow;
    unsigned called;
    unsigned answered;
    unsigned given;
};

static struct park park;

static void started(void *context, const struct polos_error *error, const ProtobufCMessage *answer);

static void start_next(struct load *load)
{
    if (park.called < load->options.count) {
        park.called++;
        load_start(load, park.workflow, started);
    }
}

static void stop_when_there(struct load *load)
{
    bool all_given = load->host == NULL || park.given == load->options.count;
    if (park.answered == load->options.count && all_given) {
        tally_end(&load->tally);
        polos_loop_stop(load->loop);
    }
}

static void started(void *context, const struct polos_error *error, const ProtobufCMessage *answer)
{
    struct load *load = context;
    (void)answer;
    load_must(error);
    park.answered++;
    start_next(load);
    stop_when_there(load);
}

static void start_all(struct load *load, const char *workflow)
{
    park.workflow = workflow;
    tally_begin(&load->tally);
    for (unsigned i = 0; i < CALLS_AT_ONCE; i++) {
        start_next(load);
    }
    polos_loop_run(load->loop);
}

static void print(struct load *load, const char *name)
{
    double total = load->options.count;
    printf("{\"bench\": \"%s\", \"count\": %u, \"starts_per_s\": %.0f, ", name, load->options.count,
           tally_per_second(&load->tally, total));
    tally_print(&load->tally, total);
    printf("}\n");
    fflush(stdout);
}

void load_park(struct load *load)
{
    start_all(load, "bench-nobody-hosts-this");
    print(load, "park");
}

static void given(void *context, struct polos_task *task)
{
    struct load *load = context;
    (void)task; /* At work, for ever. */
    park.given++;
    stop_when_there(load);
}

/* Standard input is read on this thread: the runs are held, not served, meanwhile. */
void load_live(struct load *load)
{
    char byte;
    load_host_workflow(load, "bench-live", load->options.count, given);
    start_all(load, "bench-live");
    print(load, "live");
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    _exit(0);
}
