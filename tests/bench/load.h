/*
 * load: what the modes of the load generator share.
 *
 * A mode is a function of the load that sets work going in the loop and stops the loop when it
 * has its figures; it then prints one line of JSON.
 */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include "clients/c/polos_host.h"
#include "tests/bench/tally.h"

struct load_options {
    const char *address;
    unsigned in_flight;
    unsigned count; /* Runs. */
    unsigned steps; /* Of each run. */
    unsigned watchers;
    unsigned rate; /* Deltas per second; 0: as many as go. */
    unsigned seconds;
    unsigned connections;
    unsigned server_pid;
    unsigned bytes; /* Of each step's value; 0: one digit. */
    const char *run_id; /* NULL: none. */
    const char *model_url; /* NULL: the scripted model. */
};

struct load {
    struct load_options options;
    struct polos_loop *loop;
    struct polos_client *client;
    struct polos_host *host;
    bool is_connected; /* It was; what comes later is a server that was away. */
    struct tally tally;
};

void load_steps(struct load *load);
void load_agents(struct load *load);
void load_watch(struct load *load);
void load_list(struct load *load);
void load_replay(struct load *load);
void load_park(struct load *load);
void load_live(struct load *load);
void load_flat(struct load *load);
void load_pipeline(struct load *load);
void load_abandon(struct load *load);
void load_resume(struct load *load);
void load_sleepers(struct load *load);
void load_suspend(struct load *load);
void load_wake(struct load *load);
void load_events(struct load *load);
void load_children(struct load *load);
void load_tree(struct load *load);
void load_fork(struct load *load);
void load_definitions(struct load *load);

/* A host without offers; load_host_start() returns once it is connected. */
void load_host_make(struct load *load, uint32_t slots);
void load_host_start(struct load *load);
/* Returns when all that the host said is on the server's disk. */
void load_host_stop(struct load *load);
/* A host with one offer, connected. */
void load_host_workflow(struct load *load, const char *id, uint32_t slots, polos_task_given *given);
void load_host_tool(struct load *load, const char *name, uint32_t slots, polos_task_given *given);
/* Starts a run of a workflow. A refusal ends the program. */
void load_start(struct load *load, const char *workflow, polos_answered *started);
/* Ends the program when there is an error. */
void load_must(const struct polos_error *error);
/* For callers who want nothing but that. */
void load_must_answer(void *context, const struct polos_error *error,
                      const ProtobufCMessage *answer);

#endif
