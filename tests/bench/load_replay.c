/*
 * A long history followed from its start: some callers watch the newest run, which has ended, to
 * its end, one time after the other, for some seconds. With the id of a root: its whole tree.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "polos/v1/runs.pb-c.h"
#include "tests/bench/load.h"

struct reader {
    struct load *load;
    uint64_t begun_us;
};

static char run_id[64];
static struct reader *readers;
static uint64_t until_us;
static unsigned open_count;
static uint64_t facts;

static void seen(void *context, const Polos__V1__RunServiceWatchResponse *event)
{
    (void)context;
    facts += event->event_case == POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__EVENT_FACT;
}

static void watch(struct reader *reader);

static void closed(void *context, const struct polos_error *error)
{
    struct reader *reader = context;
    struct load *load = reader->load;
    load_must(error);
    open_count--;
    tally_add(&load->tally, polos_now_us() - reader->begun_us);
    if (polos_now_us() < until_us) {
        watch(reader);
    } else if (open_count == 0) {
        tally_end(&load->tally);
        polos_loop_stop(load->loop);
    }
}

static void watch(struct reader *reader)
{
    static const struct polos_watch_events events = {.event = seen, .closed = closed};
    reader->begun_us = polos_now_us();
    open_count++;
    if (reader->load->options.run_id != NULL) {
        polos_watch_tree(reader->load->client, reader->load->options.run_id, false, &events,
                         reader);
    } else {
        polos_watch_run(reader->load->client, run_id, false, &events, reader);
    }
}

static void begin(struct load *load)
{
    for (unsigned i = 0; i < load->options.in_flight; i++) {
        readers[i].load = load;
        watch(&readers[i]);
    }
}

static void listed(void *context, const struct polos_error *error, const ProtobufCMessage *answer)
{
    struct load *load = context;
    load_must(error);
    const Polos__V1__RunServiceListResponse *page = (const void *)answer;
    if (page->n_runs == 0 || strlen(page->runs[0]->id) >= sizeof(run_id)) {
        fprintf(stderr, "load: there is no run to follow\n");
        exit(1);
    }
    memcpy(run_id, page->runs[0]->id, strlen(page->runs[0]->id) + 1);
    begin(load);
}

void load_replay(struct load *load)
{
    Polos__V1__RunServiceListRequest request = POLOS__V1__RUN_SERVICE_LIST_REQUEST__INIT;
    readers = calloc(load->options.in_flight, sizeof(*readers));
    if (readers == NULL) {
        return;
    }
    until_us = polos_now_us() + load->options.seconds * (uint64_t)1000000;
    tally_begin(&load->tally);
    request.page_size = 1;
    if (load->options.run_id != NULL) {
        begin(load);
    } else {
        polos_call(load->client, POLOS_RUN_LIST, &request.base, 0, listed, load);
    }
    polos_loop_run(load->loop);
    double replays = (double)load->tally.count;
    printf("{\"bench\": \"replay\", \"facts_per_s\": %.0f, ",
           tally_per_second(&load->tally, (double)facts));
    tally_print(&load->tally, replays);
    printf("}\n");
    free(readers);
}
