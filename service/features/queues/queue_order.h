/*
 * queue_order: who waits in which queue, who holds a place, and who is admitted next.
 *
 * A run waits here until the limits of its queue let its task ask for a host, holds a place while a
 * host has it, and gives it back when the host lets go. Within a key the higher priority goes
 * first, then the run that was started first; among keys, the one that was served longest ago.
 * Where every host is busy, one task of each need stands among the ready for all of them, so that
 * whoever is first when a host gets free goes.
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

/* A task that waits for its run to be admitted, and the hosts it needs. */
struct waiting_task {
    struct task_ref task;
    enum task_kind kind;
    str name;
    uint64_t deployment; /* As it is to be asked for: engine_pin(). */
    bool has_begun; /* It has been on a host before. */
};

struct queue_order;

/* Without queues. Free with queue_order_free(). */
struct queue_order *queue_order_new(void);
void queue_order_free(struct queue_order *order); /* Accepts NULL. */

/* Sets the limits, which hold from now on. */
void queue_order_define(struct queue_order *order, str name, const struct queue_limits *limits);
/* False: nobody has defined it. */
bool queue_order_defined(const struct queue_order *order, str name, struct queue_limits *ret);
/* How many queues have a definition. */
size_t queue_order_defined_count(const struct queue_order *order);
/* One that is defined, and in which nothing waits or runs. */
void queue_order_undefine(struct queue_order *order, str name);
/* The queue of a workflow's runs; an empty one takes it away. */
void queue_order_set_default(struct queue_order *order, str workflow, str queue);
/* Borrowed until it is set anew; empty: none. */
str queue_order_default(const struct queue_order *order, str workflow);
/* Limits and defaults go; those who wait and run stay. */
void queue_order_forget_definitions(struct queue_order *order);

/* What a run's state says of it: it waits. Said twice, it is no news. */
void queue_order_wait(struct queue_order *order, const struct queue_place *place,
                      const struct waiting_task *waiting);
/* It holds a place. Said twice, it is no news. */
void queue_order_run(struct queue_order *order, const struct queue_place *place,
                     struct task_ref task);
/* It neither waits nor holds a place. Unknown ones are passed over. */
void queue_order_leave(struct queue_order *order, uuid run);

/* Who is admitted next, in any queue; false: nobody, for now. The caller then says one of
 * queue_order_run(), queue_order_leave() and queue_order_stall(). */
bool queue_order_next(struct queue_order *order, uint64_t now_ms, struct task_ref *ret);
/* No host is free for the one that queue_order_next() gave: it stands among the ready for all that
 * need such a host. */
void queue_order_stall(struct queue_order *order, uuid run);
/* A host got free for it, or it no longer stands among the ready: its queue is looked at next.
 * False: it does not wait here. */
bool queue_order_wake(struct queue_order *order, uuid run);
/* A run of the queue has begun: counts for its rate. Returns the number of the start. */
uint64_t queue_order_count_start(struct queue_order *order, str queue, uint64_t now_ms);
/* From rows, in any order, after the queue was defined. */
void queue_order_restore_start(struct queue_order *order, str queue, uint64_t number,
                               uint64_t start_ms);
/* Starts that still count, the newest last; false: no more. */
bool queue_order_start_at(const struct queue_order *order, str queue, uint32_t index,
                          uint64_t *ret_number, uint64_t *ret_start_ms);

/* 0: not before something is said; now or earlier: queue_order_next() may have one. */
uint64_t queue_order_next_due_ms(const struct queue_order *order, uint64_t now_ms);

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

/* What holds the run up; false: it does not wait. */
bool queue_order_look(const struct queue_order *order, uuid run, uint64_t now_ms,
                      struct queue_view *ret);
/* Of one queue; an unknown one has none. */
void queue_order_count(const struct queue_order *order, str name, uint32_t *ret_running,
                       uint32_t *ret_waiting);
size_t queue_order_size(const struct queue_order *order); /* Those who wait and those who run. */

#endif
