/*
 * queue_lanes: the inside of one queue.
 *
 * A key's waiting runs stand in lanes: one for each need of hosts, and apart those that have begun,
 * which no rate holds up. Each need has heaps of its lanes whose key has room, by when their key
 * was served last. So the next is found without looking at those who may not go, be they a hundred
 * thousand keys.
 *
 * Invariant: a lane has a waiter; it is in its need's heap exactly while its key has room.
 */
#ifndef SERVICE_FEATURES_QUEUES_QUEUE_LANES_H
#define SERVICE_FEATURES_QUEUES_QUEUE_LANES_H

#include "service/base/heap.h"
#include "service/base/map.h"
#include "service/features/queues/queue_order.h"

enum {
    LANE_NONE = UINT32_MAX,
};

struct queue_lane {
    struct queue_key *key;
    struct host_need *need;
    struct queue_lane *next; /* Of the key. */
    bool has_begun;
    uint32_t heap_at; /* In the need's heap; HEAP_NONE: its key has no room. */
    struct heap waiting; /* Numbers of waiters, the first to go on top. */
};

/* What hosts some of a queue's waiting runs need, and the lanes of those runs. */
struct host_need {
    struct host_need *next; /* Of the queue. */
    enum task_kind kind;
    char *name;
    uint64_t deployment;
    uint32_t lane_count;
    bool is_blocked; /* No host is free; blocked_by stands among the ready for all of them. */
    uuid blocked_by;
    struct heap heaps[2]; /* Of lanes whose key has room, by has_begun. */
};

struct queue_key {
    struct queue *queue;
    char *text;
    uint32_t number; /* In the queue. */
    uint32_t running;
    uint64_t served; /* The queue's count when it was served last, or became known. */
    struct queue_lane *lanes;
};

struct queue {
    char *name;
    bool is_defined;
    struct queue_limits limits;
    uint32_t running;
    uint32_t waiting;
    uint64_t served; /* Counts each time a key is served or becomes known. */
    struct queue_key **keys; /* By number; NULL: free. */
    uint32_t *free_keys;
    uint32_t free_key_count;
    size_t free_key_capacity;
    uint32_t key_used;
    size_t key_capacity;
    struct map by_text;
    struct waiter **waiters; /* Of struct queue_order. */
    struct host_need *needs;
    struct queue_start {
        uint64_t number;
        uint64_t start_ms;
    } * starts; /* The last ones, as many as the rate allows, by number. */
    uint32_t start_count;
    uint64_t start_number; /* The next one's. */
    /* Of struct queue_order: */
    bool is_busy;
    bool is_throttled;
    uint64_t due_ms;
    struct queue *busy_next;
    struct queue *throttled_next;
};

/* A run that waits in a queue, or holds one of its places. */
struct waiter {
    struct task_ref task;
    int32_t priority;
    uint32_t at; /* In its lane's heap; of a free one: the next free. */
    bool is_running;
    struct queue_key *key;
    struct queue_lane *lane; /* NULL: it does not wait. */
};

/* Empty and without limits. Copies the name; *waiters is the owner's array, which may move. */
struct queue *queue_new(str name, struct waiter **waiters);
/* With its keys, lanes and needs; the waiters stay the owner's. */
void queue_free(struct queue *queue);
/* They hold from now on. A smaller rate keeps the newest starts. */
void queue_set_limits(struct queue *queue, const struct queue_limits *limits);
/* Whether one more may work, by the limit of the whole queue. */
bool queue_has_room(const struct queue *queue);
/* The number of the waiter to be admitted next; LANE_NONE: none may be now. *ret_due_ms: when the
 * rate lets one begin who waits for nothing else; 0: there is none. */
uint32_t queue_choose(struct queue *queue, uint64_t now_ms, uint64_t *ret_due_ms);
/* When the rate lets the next run begin, Unix ms; 0: now. */
uint64_t queue_rate_due_ms(const struct queue *queue, uint64_t now_ms);
/* Counts a start for the rate; one that is counted already, or too old to count, is passed over. */
void queue_add_start(struct queue *queue, uint64_t number, uint64_t start_ms);

/* The key with this text, made if need be. Borrowed until it is forgotten. */
struct queue_key *queue_key_intern(struct queue *queue, str text);
/* Frees a key in which nobody waits or runs; else it stays. */
void queue_key_forget_unused(struct queue_key *key);
/* Whether one more of its runs may work, by the limit of a key. */
bool queue_key_has_room(const struct queue_key *key);
/* One of its runs takes a place: the key has been served. */
void queue_key_hold(struct queue_key *key);
/* Gives back a place that was taken. */
void queue_key_release(struct queue_key *key);
/* How many of the key's waiters go before this one. */
uint32_t queue_key_ahead(const struct queue_key *key, uint32_t number);

/* The key's lane for such a task, made if need be; a waiter is to be added to it at once. */
struct queue_lane *lane_intern(struct queue_key *key, const struct waiting_task *waiting);
/* Whether such a task waits in this lane, and in no other of its key. */
bool lane_is_of(const struct queue_lane *lane, const struct waiting_task *waiting);
/* A waiter that neither waits nor runs. */
void lane_add(struct queue_lane *lane, uint32_t number);
/* A waiter of this lane. A lane that gets empty is freed. */
void lane_remove(struct queue_lane *lane, uint32_t number);

#endif
