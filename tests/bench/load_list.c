/*
 * Pages of lists: some callers ask for one after the other, for some seconds.
 *
 * Each page looks at as many rows as a page may: its filter fits the index that is looked at, and
 * none of its runs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "polos/v1/runs.pb-c.h"
#include "tests/bench/load.h"

struct asked {
    struct load *load;
    uint64_t asked_us;
};

static uint64_t until_us;
static unsigned open_count;

static void listed(void *context, const struct polos_error *error, const ProtobufCMessage *answer);

static void ask(struct asked *asked)
{
    Polos__V1__RunServiceListRequest request = POLOS__V1__RUN_SERVICE_LIST_REQUEST__INIT;
    Polos__V1__RunFilter filter = POLOS__V1__RUN_FILTER__INIT;
    filter.name = (char *)"bench-nobody-hosts-this";
    filter.deployment = (char *)"none";
    request.filter = &filter;
    asked->asked_us = polos_now_us();
    open_count++;
    polos_call(asked->load->client, POLOS_RUN_LIST, &request.base, 0, listed, asked);
}

static void listed(void *context, const struct polos_error *error, const ProtobufCMessage *answer)
{
    struct asked *asked = context;
    struct load *load = asked->load;
    (void)answer;
    load_must(error);
    open_count--;
    tally_add(&load->tally, polos_now_us() - asked->asked_us);
    if (polos_now_us() < until_us) {
        ask(asked);
    } else if (open_count == 0) {
        tally_end(&load->tally);
        polos_loop_stop(load->loop);
    }
}

void load_list(struct load *load)
{
    struct asked *asked = calloc(load->options.in_flight, sizeof(*asked));
    until_us = polos_now_us() + load->options.seconds * (uint64_t)1000000;
    tally_begin(&load->tally);
    for (unsigned i = 0; asked != NULL && i < load->options.in_flight; i++) {
        asked[i].load = load;
        ask(&asked[i]);
    }
    polos_loop_run(load->loop);
    double pages = (double)load->tally.count;
    printf("{\"bench\": \"list\", \"pages_per_s\": %.0f, ", tally_per_second(&load->tally, pages));
    tally_print(&load->tally, pages);
    printf("}\n");
    free(asked);
}
