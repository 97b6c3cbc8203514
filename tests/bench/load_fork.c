/*
 * A run is forked where it is: how long it takes until the fork has all the history it begins with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/load.h"

enum {
    LOOK_AGAIN_US = 2 * 1000,
};

static char fork_id[64];
static double megabytes;
static struct polos_timer look_again;

static void look(void *context);

static void looked(void *context, const struct polos_error *error, const ProtobufCMessage *answer)
{
    struct load *load = context;
    const Polos__V1__RunServiceGetResponse *response = (const void *)answer;
    load_must(error);
    const Polos__V1__Run *run = response->run;
    if (run->n_waiting > 0 && run->waiting[0]->kind == POLOS__V1__WAITING__KIND__KIND_COPY) {
        look_again = (struct polos_timer){.due = look, .context = load};
        polos_timer_set(load->loop, &look_again, polos_now_us() + LOOK_AGAIN_US);
        return;
    }
    tally_end(&load->tally);
    polos_loop_stop(load->loop);
}

static void look(void *context)
{
    struct load *load = context;
    Polos__V1__RunServiceGetRequest request = POLOS__V1__RUN_SERVICE_GET_REQUEST__INIT;
    request.run_id = fork_id;
    polos_call(load->client, POLOS_RUN_GET, &request.base, 0, looked, load);
}

static void forked(void *context, const struct polos_error *error, const ProtobufCMessage *answer)
{
    struct load *load = context;
    const Polos__V1__RunServiceForkResponse *response = (const void *)answer;
    load_must(error);
    snprintf(fork_id, sizeof(fork_id), "%s", response->run->id);
    tally_add(&load->tally, polos_now_us() - load->tally.began_us);
    look(load);
}

/* After its last event. */
static void found(void *context, const struct polos_error *error, const ProtobufCMessage *answer)
{
    struct load *load = context;
    const Polos__V1__RunServiceGetResponse *response = (const void *)answer;
    Polos__V1__RunServiceForkRequest request = POLOS__V1__RUN_SERVICE_FORK_REQUEST__INIT;
    load_must(error);
    megabytes = (double)response->run->history_bytes / 1e6;
    request.run_id = (char *)load->options.run_id;
    request.after_seq = response->run->last_seq;
    tally_begin(&load->tally);
    polos_call(load->client, POLOS_RUN_FORK, &request.base, 0, forked, load);
}

void load_fork(struct load *load)
{
    Polos__V1__RunServiceGetRequest request = POLOS__V1__RUN_SERVICE_GET_REQUEST__INIT;
    if (load->options.run_id == NULL) {
        fprintf(stderr, "load: fork needs --run-id, as abandon prints it\n");
        exit(2);
    }
    request.run_id = (char *)load->options.run_id;
    polos_call(load->client, POLOS_RUN_GET, &request.base, 0, found, load);
    polos_loop_run(load->loop);
    printf("{\"bench\": \"fork\", \"mb_per_s\": %.1f, ", tally_per_second(&load->tally, megabytes));
    tally_print(&load->tally, 1);
    printf("}\n");
}
