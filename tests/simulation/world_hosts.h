/*
 * world_hosts: one host's process, as its two halves know it: what is said and heard
 * (world_hosts.c), and how it comes and goes (world_host_life.c).
 */
#ifndef TESTS_SIMULATION_WORLD_HOSTS_H
#define TESTS_SIMULATION_WORLD_HOSTS_H

#include "tests/simulation/world.h"

enum {
    LATE_MAX = 256,
    HELD_MAX = 64,
    UNACKNOWLEDGED_MAX = 4096,
    INBOX_MAX = 4096,
};

struct sim_link {
    struct host_link link;
    struct sim_host *host;
    bool is_open;
    bool is_closed; /* By the server: nothing may follow. */
    bool is_deaf; /* Looks alive; nothing passes either way. */
    bool is_full; /* The host reads nothing; what was sent before waits on the way. */
    bool is_mute; /* What the host says waits on the way, ... */
    bool is_silent; /* ... or what it is sent. */
    struct request *late[LATE_MAX]; /* Said, and on the way. */
    size_t late_count;
};

enum sim_op_kind {
    OP_STEP,
    OP_SLEEP,
    OP_SUSPEND,
    OP_AWAIT,
    OP_CHILDREN,
    OP_START, /* Children nobody waits for. */
    OP_PUBLISH,
    OP_RESUME,
};

enum sim_op_state {
    OP_STATE_NEW,
    OP_STATE_ASKED,
    OP_STATE_SETTLED,
};

enum {
    OPS_MAX = 6,
};

/* An operation of a task's code; what it is follows from the task's name. */
struct sim_op {
    enum sim_op_kind kind;
    enum sim_op_state state;
    bool is_joined; /* The code goes on when it is settled. */
    uint64_t amount;
    uint32_t tries; /* Of a step: that failed, and are known to have. */
    uint64_t again_ms; /* Of a step: when its next try may begin. */
};

struct sim_task {
    struct task_ref task;
    uint32_t epoch;
    uint32_t steps; /* Said, those that came with the task included. */
    uint32_t durable; /* Of these, that its code was told are. */
    uint32_t facts_told; /* To its code: these, and what it waited for. */
    uint32_t ahead; /* Acknowledged while a result comes in pieces: durable once that is there. */
    bool is_callback;
    uint32_t phase; /* Callback. */
    str input;
    bool is_done; /* Its end was said. */
    bool is_wanted; /* What it waits for needs its place. */
    bool is_parked; /* That the host lets go of it was said. */
    bool is_cancelled; /* It was told so. */
    bool is_shown; /* And its code, which was said. */
    unsigned cleaned; /* What it has done about it. */
    unsigned depth; /* Of its run below a caller's. */
    uint64_t given_ms;
    uint32_t outcomes_seen;
    bool leaves_early; /* Its code ends while something is still awaited. */
    struct sim_op ops[OPS_MAX];
    size_t op_count;
};

struct sim_sent {
    struct host_message message;
    bool is_void; /* Nobody waits for its acknowledgement. */
    bool is_refused; /* The refusal is on its way. */
};

struct sim_host {
    struct world *world;
    unsigned index;
    unsigned incarnation;
    uint64_t number; /* Of the process; late happenings of an earlier one are passed over. */
    char id[32];
    const char *deployment;
    uint32_t slots;
    struct sim_link *link; /* NULL: not connected. */
    bool is_welcomed;
    uint64_t welcomed_ms;
    bool is_leaving;
    bool is_frozen;
    uint64_t spoken_ms; /* True time at which something it said came through last, ... */
    uint64_t steady_ms; /* ... and since when no two of them were far apart; UINT64_MAX: never. */
    str token;
    uint64_t sent;
    uint64_t dealt;
    struct sim_task held[HELD_MAX];
    size_t held_count;
    struct sim_sent unacknowledged[UNACKNOWLEDGED_MAX];
    size_t unacknowledged_count;
    const struct server_message *partial; /* A message that is told in pieces; NULL: none. */
    struct settled_step *pieces; /* What was told of it. */
    size_t piece_count;
    uint32_t facts_told; /* Of it, children too. */
    size_t piece_capacity;
    const struct server_message *inbox[INBOX_MAX]; /* On the way to it. */
    size_t inbox_count;
};

/* world_work.c */
void sim_work_begin(struct sim_host *host, struct sim_task *task, const struct host_task *given);
void sim_work_again(struct sim_host *host, struct sim_task *task, const struct host_task *given);
void sim_work_hear(struct sim_host *host, struct sim_task *task, str key);
void sim_work_later(struct sim_host *host, const struct sim_task *task);

/* world_told.c: what the server tells is judged. */
void sim_judge_task(struct world *world, const struct host_task *task);
void sim_judge_outcome(struct world *world, const struct server_message *message);
/* A piece of what a run has settled. */
void sim_judge_facts(struct world *world, const struct host_facts *piece);

extern const struct host_link_vtable sim_link_vtable;

/* A link's pack() has no context: the world it is in. */
void sim_host_set_world(struct world *world);

bool sim_host_is_connected(const struct sim_host *host);
/* What the host said arrives. */
void sim_host_arrive(struct sim_host *host, struct request *request);
/* It hears what waits for it, one message after the other. */
void sim_host_hear_all(struct sim_host *host);
/* Says it on the present stream, if it can be said. */
void sim_host_post(struct sim_host *host, const struct host_message *message);
/* Numbers it and keeps it until it is acknowledged. */
void sim_host_say(struct sim_host *host, struct host_message message, bool is_void);
/* Nobody waits for what was asked under this key. */
void sim_host_void_request(struct sim_host *host, struct task_ref task, str key);
/* A new session: numbers start at 1, and what nobody waits for is not said again. */
void sim_host_renumber(struct sim_host *host);
/* The stream is over; dials again in a while. */
void sim_host_lose_link(struct sim_host *host, uint64_t again_ms);
/* world_cuts.c: the network between the host and the server, and hosts that stand still */
/* Some accident happens to it, perhaps. With each heartbeat. */
void sim_host_trouble(struct sim_host *host);
/* A task is on its way to it: perhaps it freezes now. */
void sim_host_perhaps_freeze(struct sim_host *host);
/* A host that has slept is told what it holds no more. */
void sim_host_judge_welcome(const struct sim_host *host, const struct server_message *welcome);
/* All that was said arrives, and goes on doing so. */
void sim_link_heal(struct sim_link *link);
/* What was on its way when the stream broke: all, some or none of it arrives. */
void sim_link_lose_late(struct sim_link *link);

/* The agenda's: first message of a new stream. */
void sim_host_dial(struct world *world, void *context, uint64_t number);

#endif
