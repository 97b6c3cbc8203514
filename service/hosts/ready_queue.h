/*
 * ready_queue: for each name, who may run it now and which ready tasks wait for a host.
 *
 * A name (a tool or a workflow) has a pool for each version of code (a deployment and a language)
 * that offers it or is waited for, and one for the tasks that any suits. A pool is the hosts of its
 * version that offer the name, and the tasks that wait for them. A task that waits for a deployment
 * gets one of its hosts only, even when all are busy, as long as one of them is present; when none
 * is, it falls back to the hosts of the deployment that dialled in last. One that waits for a
 * language as well never gets hosts of another.
 *
 * The pools that can be served stand in a heap by when they were served last, so that finding the
 * next task costs nothing when there is none and no pool starves while others come and go.
 *
 * Invariant: a pool exists while somebody offers it or waits in it; a task waits once.
 * Order:     within a pool, first in, first out; among pools, the one not served for longest.
 */
#ifndef SERVICE_HOSTS_READY_QUEUE_H
#define SERVICE_HOSTS_READY_QUEUE_H

#include "service/base/heap.h"
#include "service/base/map.h"
#include "service/hosts/message.h"

enum {
    READY_NONE = UINT32_MAX,
};

struct host_session;

/* A session that may be picked, and which of its offers it is. */
struct candidate {
    struct host_session *session;
    uint32_t offer;
};

struct ready_pool {
    uint64_t version; /* CODE_VERSION_ANY, CODE_VERSION_NEWEST and their like: offered by nobody. */
    uint64_t served_at; /* By ready_queue.clock: it was served or began to wait last. */
    uint64_t newest; /* The highest number of a session present since somebody is; 0: nobody. */
    struct candidate *candidates;
    size_t candidate_capacity;
    uint32_t candidate_count;
    uint32_t offer_count; /* Sessions that offer it, present or not. */
    uint32_t present_count; /* Those that do not leave; they may be away within their lease. */
    uint32_t name;
    uint32_t first; /* In `tasks`; READY_NONE: nobody waits. */
    uint32_t last;
    uint32_t heap_at; /* HEAP_NONE: it can't be served. */
    uint32_t next; /* Of the name, or among the free. */
};

struct ready_name {
    char *text; /* NULL: free. */
    uint32_t len;
    enum task_kind kind;
    uint32_t offer_count; /* Of all its pools. */
    uint32_t candidate_count;
    uint32_t pools; /* The first of them. */
    uint32_t next_free;
};

struct ready_task {
    struct task_ref task;
    uint32_t pool; /* READY_NONE: free. */
    uint32_t prev;
    uint32_t next; /* In its pool, or among the free. */
};

struct ready_queue {
    struct ready_name *names;
    uint32_t name_used;
    size_t name_capacity;
    uint32_t name_free;
    struct map by_name;
    struct ready_pool *pools;
    uint32_t pool_used;
    size_t pool_capacity;
    uint32_t pool_free;
    struct ready_task *tasks;
    uint32_t task_used;
    size_t task_capacity;
    uint32_t task_free;
    struct map by_task;
    struct heap servable; /* Of pools, by `served_at`. */
    uint64_t clock; /* Counts what was served and what began to wait. */
    bool may_fall_back; /* Tasks of a deployment that is not present go to another one. */
};

/* Empty, and no task may fall back yet. */
void ready_queue_init(struct ready_queue *queue);
/* Frees what it holds; the tasks in it are forgotten. */
void ready_queue_fini(struct ready_queue *queue);

/* NULL: nobody offers the name, nobody waits for it. Valid until the queue changes. */
const struct ready_name *ready_queue_find(const struct ready_queue *queue, enum task_kind kind,
                                          str name);
/* The least busy candidate for a task that waits for this version; NULL: none. */
struct host_session *ready_queue_pick(const struct ready_queue *queue,
                                      const struct ready_name *name, uint64_t version);
/* The version whose hosts dialled in last; 0: nobody is present. */
uint64_t ready_queue_newest(const struct ready_queue *queue, const struct ready_name *name);
/* Whether a session, present or not, offers it in the language of this version. */
bool ready_queue_speaks(const struct ready_queue *queue, const struct ready_name *name,
                        uint64_t version);
/* From now on tasks may fall back; before, hosts of before a restart may still come. */
void ready_queue_allow_fallback(struct ready_queue *queue);

/* Counts one session more that offers the name. The number of the pool. */
uint32_t ready_queue_add_offer(struct ready_queue *queue, enum task_kind kind, str name,
                               uint64_t version);
/* The session neither counts as present in this pool nor is a candidate any more. */
void ready_queue_remove_offer(struct ready_queue *queue, uint32_t pool);
/* The session counts as present in the pools of all its offers. */
void ready_queue_add_present(struct ready_queue *queue, const struct host_session *session);
/* It counts no more. */
void ready_queue_remove_present(struct ready_queue *queue, const struct host_session *session);
/* The session may be picked for all its offers; their `place` is set. */
void ready_queue_add_candidate(struct ready_queue *queue, struct host_session *session);
/* It may be picked no more. */
void ready_queue_remove_candidate(struct ready_queue *queue, struct host_session *session);

/* Whether the task waits. */
bool ready_queue_has(const struct ready_queue *queue, struct task_ref task);
/* The task waits behind the others of its pool; it must not wait already. */
void ready_queue_add(struct ready_queue *queue, enum task_kind kind, str name, uint64_t version,
                     struct task_ref task);
/* False: it did not wait. */
bool ready_queue_remove(struct ready_queue *queue, struct task_ref task);
/* Takes the oldest task out of the pool that was not served for longest, among those that can be
 * served. False: none. */
bool ready_queue_pop(struct ready_queue *queue, struct task_ref *ret);

/* Tasks that wait. */
static inline uint32_t ready_queue_count(const struct ready_queue *queue)
{
    return queue->by_task.count;
}

#endif
