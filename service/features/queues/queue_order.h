/*
 * queues: who waits for its turn in which queue, and whose turn it is.
 *
 * A run takes its turn with the task of its code: it waits here until the limits of its queue let
 * it ask for a host, holds a place while a host has it, and gives it back when the host lets go.
 * Within a key the higher priority goes first, then the run that was started first; among keys,
 * the one that was served longest ago. Where every host is busy, one task of each kind stands in
 * the hosts' line for all of them, so that whoever is first when a host gets free goes.
 *
 * All of it is derived from the runs' states: it may be dropped at any moment and rebuilt.
 *
 * Invariant: a run waits once or holds one place. A key is known while one of its runs does either.
 * Threading: owned by one partition thread.
 */
#ifndef SERVICE_FEATURES_QUEUES_QUEUE_ORDER_H
#define SERVICE_FEATURES_QUEUES_QUEUE_ORDER_H

#include "service/base/base.h"
#include "service/hosts/host.h"

enum {
    QUEUES_RATE_MAX = 10000,
};

/* 0: no limit. */
struct queue_limits {
    uint32_t concurrency; /* Of the whole queue. */
    uint32_t per_key;
    uint32_t rate; /* Runs that begin within any rate_period_ms. */
    uint64_t rate_period_ms;
};

/* Where a run belongs. */
struct queue_place {
    str queue;
    str key;
    int32_t priority;
};

/* A task that waits for its turn. */
struct queue_asker {
    struct task_ref task;
    enum task_kind kind;
    str name;
    uint64_t deployment; /* As it is to be asked for: engine_pin(). */
    bool has_begun; /* It has been on a host before. */
};

struct queues;

struct queues *queues_new(void);
void queues_free(struct queues *queues); /* Accepts NULL. */

/* Sets the limits, which hold from now on. */
void queues_define(struct queues *queues, str name, const struct queue_limits *limits);
/* False: nobody has defined it. */
bool queues_defined(const struct queues *queues, str name, struct queue_limits *ret);
size_t queues_defined_count(const struct queues *queues);
/* Nothing waits or runs in it. */
void queues_undefine(struct queues *queues, str name);
/* The queue of a workflow's runs; an empty one takes it away. Empty: none. */
void queues_set_default(struct queues *queues, str workflow, str queue);
str queues_default(const struct queues *queues, str workflow);
/* Limits and defaults go; those who wait and run stay. */
void queues_forget_definitions(struct queues *queues);

/* What a run's state says of it. Said twice, it is no news. */
void queues_wait(struct queues *queues, const struct queue_place *place,
                 const struct queue_asker *asker);
void queues_run(struct queues *queues, const struct queue_place *place, struct task_ref task);
void queues_leave(struct queues *queues, uuid run); /* Unknown ones are passed over. */

/* Whose turn it is, in any queue; false: nobody's, for now. The caller then says one of
 * queues_run(), queues_leave() and queues_stall(). */
bool queues_next(struct queues *queues, uint64_t now_ms, struct task_ref *ret);
/* No host is free for it: it stands in the hosts' line for all of its line. */
void queues_stall(struct queues *queues, uuid run);
/* It came to the front of the hosts' line, or is no longer in it: its queue is looked at next.
 * False: it does not wait here. */
bool queues_wake(struct queues *queues, uuid run);
/* A run of the queue has begun: counts for its rate. Returns the number of the start. */
uint64_t queues_count_start(struct queues *queues, str queue, uint64_t now_ms);
/* From rows, in any order, after the queue was defined. */
void queues_restore_start(struct queues *queues, str queue, uint64_t number, uint64_t start_ms);
/* Starts that still count, the newest last; false: no more. */
bool queues_start_at(const struct queues *queues, str queue, uint32_t index, uint64_t *ret_number,
                     uint64_t *ret_start_ms);

/* 0: not before something is said; now or earlier: queues_next() may have one. */
uint64_t queues_next_due_ms(const struct queues *queues, uint64_t now_ms);

enum queue_obstacle {
    QUEUE_OBSTACLE_NONE, /* Of the queue: a host is all that lacks. */
    QUEUE_OBSTACLE_LIMIT,
    QUEUE_OBSTACLE_KEY,
    QUEUE_OBSTACLE_RATE,
};

struct queue_view {
    enum queue_obstacle obstacle;
    struct queue_limits limits;
    uint32_t running;
    uint32_t key_running;
    uint32_t ahead; /* Of its key. */
    uint64_t due_ms; /* RATE: when the next may begin. */
};

/* False: it does not wait. */
bool queues_look(const struct queues *queues, uuid run, uint64_t now_ms, struct queue_view *ret);
void queues_count(const struct queues *queues, str name, uint32_t *ret_running,
                  uint32_t *ret_waiting);
size_t queues_size(const struct queues *queues); /* Those who wait and those who run. */

#endif
