/*
 * queue_world: the real partition over the memory store, with runs that queue.
 *
 * Invented: the clock, the hosts, the callers. A host holds what it was given until the test says
 * what becomes of it. The world counts what hosts hold, so that a limit that is passed is seen at
 * once, and by other means than the partition's.
 */
#ifndef TESTS_UNIT_FEATURES_QUEUES_QUEUE_WORLD_H
#define TESTS_UNIT_FEATURES_QUEUES_QUEUE_WORLD_H

#include "service/base/arena.h"
#include "service/base/uuid.h"
#include "service/engine/engine.h"
#include "service/features/queues/queues.h"
#include "service/hosts/host.h"
#include "storage/store.h"

enum {
    WORLD_HOSTS = 3,
    WORLD_RUNS_MAX = 4096,
    WORLD_GIVEN_MAX = 65536,
    WORLD_LEASE_MS = 15000,
    WORLD_REDIAL_MS = 5000,
};

/* A run as its caller knows it. */
struct world_run {
    uuid id;
    char queue[32];
    char key[32];
    int32_t priority;
    uint32_t naps;
    uint32_t epoch; /* Of the task, as given last; 0: it has not begun. */
    int host; /* Who holds it; -1: nobody. */
    bool is_cancelling; /* It cleans up: no limit holds. */
    bool is_over;
};

struct world_host {
    struct host_link link;
    struct world *world;
    int number;
    uint32_t life; /* Each hello has a host id of its own. */
    uint64_t seq;
    uint64_t heard; /* The server's last number. */
    bool is_connected;
};

struct world_limits {
    char queue[32];
    struct queue_limits limits;
};

struct world {
    struct partition *partition;
    struct store store;
    struct arena arena;
    uint64_t now_ms;
    uint64_t random;
    struct world_host hosts[WORLD_HOSTS];
    uint32_t slots;
    struct world_limits limits[8];
    size_t limits_count;
    struct world_run runs[WORLD_RUNS_MAX];
    size_t run_count;
    struct {
        size_t run;
        uint64_t at_ms;
        bool is_start;
    } given[WORLD_GIVEN_MAX]; /* In order. */
    size_t given_count;
    size_t held_max; /* Most that were held at once, of all queues. */
    const char *broken; /* The law; NULL while all is well. */
};

void world_init(struct world *world, uint32_t slots);
void world_fini(struct world *world);
void world_round(struct world *world); /* Until nothing is due now. */
void world_pass(struct world *world, uint64_t ms); /* Time, with its rounds. */
void world_define(struct world *world, const char *queue, struct queue_limits limits);
/* The reason of its refusal; "": it is gone. */
const char *world_delete(struct world *world, const char *queue);
/* Said by a host's hello rather than by a caller. */
void world_connect(struct world *world, int host, const char *default_queue);
void world_lose(struct world *world, int host); /* It dies; it may dial again for so long. */
void world_restart(struct world *world); /* Hosts die with it. */
void world_fail_next_commit(struct world *world);
void world_heal(struct world *world); /* It does not fail after all. */

/* The run's number; SIZE_MAX: refused, the reason in *ret_reason. */
size_t world_try_start(struct world *world, enum run_kind kind, const char *queue, const char *key,
                       int32_t priority, const char **ret_reason);
size_t world_start(struct world *world, const char *queue, const char *key, int32_t priority);
void world_done(struct world *world, size_t run);
/* Its code sleeps, and its host lets go of it. */
void world_sleep(struct world *world, size_t run, uint64_t ms);
void world_cancel(struct world *world, size_t run);
size_t world_held(const struct world *world, const char *queue, const char *key); /* NULL: any. */
/* The n-th give, from 0: which run. */
size_t world_given(const struct world *world, size_t index);
/* What the run waits for in its queue. */
void world_sentence(struct world *world, size_t run, char ret[256]);
struct queue_report world_queue(struct world *world, const char *queue);
/* NULL, or which law what was given breaks: rates. */
const char *world_judge(const struct world *world);

#endif
