/*
 * sim: hosts and an engine of little mind around the real module, joined by streams that break.
 *
 * Every choice comes from the seed. The engine keeps what would be in the journal, so a restart
 * of the server keeps it and nothing else. What must never happen calls sim_fail().
 *
 *   sim_host.c    a process that runs tasks, as the protocol asks of it
 *   sim_server.c  the partition around struct hosts: rounds, commits, grants, restarts
 *   sim.c         the streams between them, the schedule, the end
 */
#ifndef TESTS_UNIT_HOSTS_SIM_H
#define TESTS_UNIT_HOSTS_SIM_H

#include "service/base/arena.h"
#include "service/hosts/host.h"
#include "service/hosts/leases.h"
#include "service/hosts/placement.h"

enum {
    SIM_HOSTS = 3,
    SIM_NAMES = 3,
    SIM_TASKS = 10,
    SIM_STEPS_MAX = 4,
    SIM_WORK_MAX = 4 * SIM_TASKS, /* A parked task may come back before its park is acknowledged. */
    SIM_SLOTS_MAX = 3,
    SIM_UNACKED_MAX = 512,
    SIM_QUEUE_MAX = 1024,
    SIM_LINKS_MAX = 1024,
    SIM_PENDING_MAX = 1024,
    SIM_TAKEN_MAX = 4096,
    SIM_LEASE_MS = 1000,
};

struct sim;

/* What a ServerMessage says, packed. */
struct sim_wire {
    uint64_t seq;
    uint64_t ack;
    enum server_message_kind kind;
    struct held_task task;
    uint32_t steps; /* TASK: how many are settled. OUTCOME: which one it settles. */
    bool is_interrupted; /* TASK, CANCEL: the code is to end, and to say so. */
    char token[33];
    bool resumed;
    struct held_task lost[SIM_WORK_MAX];
    uint32_t lost_count;
    bool is_stale; /* REFUSED. */
};

struct sim_hello {
    char token[33];
    uint64_t ack;
    struct held_task held[SIM_WORK_MAX];
    uint32_t held_count;
};

/* A stream. Both ends hold it until they know that it is over. */
struct sim_link {
    struct host_link link;
    struct sim *sim;
    uint32_t host; /* Index. */
    uint32_t incarnation;
    bool is_closed; /* By the server. */
    bool is_left; /* By the host; the server does not know yet. */
    bool is_over; /* The server knows, too. */
    bool is_hello_read;
    struct sim_hello hello;
    struct host_message up[SIM_QUEUE_MAX];
    uint32_t up_count;
    uint32_t up_read;
    struct payload *down[SIM_QUEUE_MAX];
    uint32_t down_count;
    uint32_t down_read;
};

struct sim_work {
    struct held_task held;
    uint32_t steps; /* Sent, or known to be settled. */
    bool is_waiting; /* For the outcome of the next step, a step request. */
    bool is_interrupted;
    bool is_done; /* TaskDone or Park was sent, but not acknowledged. */
};

struct sim_host {
    uint32_t index;
    uint32_t incarnation;
    uint32_t slots;
    uint32_t offers; /* Bits of names. */
    struct sim_link *link; /* NULL: not connected. */
    bool is_welcome;
    bool is_draining;
    char token[33];
    struct sim_work work[SIM_WORK_MAX];
    uint32_t work_count;
    struct host_message unacked[SIM_UNACKED_MAX];
    uint32_t unacked_count;
    uint64_t sent;
    uint64_t handled; /* The server's highest number. */
};

enum sim_task_state {
    SIM_TASK_READY,
    SIM_TASK_LEASED,
    SIM_TASK_PARKED, /* Only waits for the outcome of a step request. */
    SIM_TASK_OVER,
};

/* The journal's view. */
struct sim_task {
    enum sim_task_state state;
    uint32_t name;
    uint32_t plan; /* Steps it takes. */
    uint32_t step_requests; /* Bits of the steps, from step 1, that are step requests. */
    uint32_t settled;
    bool is_asked; /* The next step is a step request, and its outcome is awaited. */
    bool is_interrupted; /* Nothing settles any more; the code has to end it. */
    bool never_parks; /* So that an outcome that is lost on the way is missed for ever. */
    uint32_t epoch;
    uint32_t host; /* That the epoch was granted to. */
    uint32_t incarnation;
};

/* A command that was handed to the engine. */
struct sim_taken {
    uint64_t session;
    struct host_message message;
};

struct sim_grant {
    struct host_session *session;
    struct held_task held;
};

struct sim {
    uint64_t random;
    uint64_t now_ms;
    const char *failure; /* NULL: none yet. */
    struct arena arena;
    struct hosts *hosts;
    struct sim_host host[SIM_HOSTS];
    struct sim_task tasks[SIM_TASKS];
    struct sim_link *links[SIM_LINKS_MAX]; /* That the server has not seen the end of. */
    uint32_t link_count;
    struct sim_taken pending[SIM_PENDING_MAX]; /* Wait for the round's commit. */
    uint32_t pending_count;
    struct sim_taken taken[SIM_TAKEN_MAX]; /* All that were not forgotten. */
    uint32_t taken_count;
    struct sim_grant grants[SIM_TASKS * SIM_HOSTS];
    uint32_t grant_count;
    struct held_task lost[SIM_PENDING_MAX];
    uint32_t lost_count;
    uint64_t tokens;
};

/* Runs one seed; NULL: nothing that must not happen did. */
const char *sim_run(uint64_t seed);

void sim_fail(struct sim *sim, const char *failure);
uint32_t sim_below(struct sim *sim, uint32_t limit);
bool sim_chance(struct sim *sim, uint32_t percent);
struct task_ref sim_task_ref(uint32_t task);
/* Whether the step after `steps` is a step request, and how many of `steps` are. */
bool sim_is_step_request(const struct sim_task *task, uint32_t steps);
uint32_t sim_step_requests(const struct sim_task *task, uint32_t steps);

void sim_host_start(struct sim *sim, uint32_t index);
void sim_host_dial(struct sim *sim, struct sim_host *host);
void sim_host_leave(struct sim *sim, struct sim_host *host);
void sim_host_read(struct sim *sim, struct sim_host *host);
void sim_host_work(struct sim *sim, struct sim_host *host);
void sim_host_say(struct sim *sim, struct sim_host *host, enum host_message_kind kind);
void sim_host_repeat(struct sim *sim, struct sim_host *host);

void sim_server_start(struct sim *sim);
void sim_server_restart(struct sim *sim);
void sim_server_read(struct sim *sim, struct sim_link *link);
void sim_server_gone(struct sim *sim, struct sim_link *link);
void sim_server_round(struct sim *sim, bool commits);
void sim_server_cancel(struct sim *sim, uint32_t task);
void sim_server_interrupt(struct sim *sim, uint32_t task);
void sim_host_id(const struct sim_link *link, char ret[16]);

#endif
