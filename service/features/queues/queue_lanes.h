/*
 * queue_lanes: the inside of one queue.
 *
 * A key's waiting runs stand in lanes: one for each sort of host they need, and apart those that
 * have begun, which no rate holds up. The lanes of one sort are its line: a heap by when their key
 * was served last, of the lanes whose key has room. So the next is found without looking at those
 * who may not go, be they a hundred thousand keys.
 *
 * Invariant: a lane has somebody; it is in its line's heap exactly while its key has room.
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
    struct queue_line *line;
    struct queue_lane *next; /* Of the key. */
    bool has_begun;
    uint32_t heap_at; /* In the line's heap; HEAP_NONE: its key has no room. */
    struct heap waiting; /* Numbers of waiters, the first to go on top. */
};

/* All who wait in a queue for the same hosts. */
struct queue_line {
    struct queue_line *next; /* Of the queue. */
    enum task_kind kind;
    char *name;
    uint64_t deployment;
    uint32_t lane_count;
    bool is_blocked; /* No host is free; one of them stands in the hosts' line. */
    uuid blocked_by;
    struct heap heaps[2]; /* Of lanes whose key has room, by has_begun. */
};

struct queue_key {
    struct queue *queue;
    char *text;
    uint32_t number; /* In the queue. */
    uint32_t running;
    uint64_t turn; /* When it was served last, or became known. */
    struct queue_lane *lanes;
};

struct queue {
    char *name;
    bool is_defined;
    struct queue_limits limits;
    uint32_t running;
    uint32_t waiting;
    uint64_t turn;
    struct queue_key **keys; /* By number; NULL: free. */
    uint32_t *free_keys;
    uint32_t free_key_count;
    size_t free_key_capacity;
    uint32_t key_used;
    size_t key_capacity;
    struct map by_text;
    struct waiter **waiters; /* Of struct queues. */
    struct queue_line *lines;
    struct queue_start {
        uint64_t number;
        uint64_t start_ms;
    } * starts; /* The last ones, as many as the rate allows, by number. */
    uint32_t start_count;
    uint64_t start_number; /* The next one's. */
    /* Of struct queues: */
    bool is_busy;
    bool is_throttled;
    uint64_t due_ms;
    struct queue *busy_next;
    struct queue *throttled_next;
};

struct waiter {
    struct task_ref task;
    int32_t priority;
    uint32_t at; /* In its lane's heap; of a free one: the next free. */
    bool is_running;
    struct queue_key *key;
    struct queue_lane *lane; /* NULL: it does not wait. */
};

struct queue *queue_new(str name, struct waiter **waiters); /* An array that may move. */
void queue_free(struct queue *queue);
void queue_set_limits(struct queue *queue, const struct queue_limits *limits);
bool queue_has_room(const struct queue *queue);
/* The number of the waiter whose turn it is; LANE_NONE: nobody's. *ret_due_ms: when the rate lets
 * one begin who waits for nothing else; 0: there is none. */
uint32_t queue_choose(struct queue *queue, uint64_t now_ms, uint64_t *ret_due_ms);
/* 0: one may begin now. */
uint64_t queue_rate_due_ms(const struct queue *queue, uint64_t now_ms);
void queue_add_start(struct queue *queue, uint64_t number, uint64_t start_ms);

struct queue_key *queue_key_intern(struct queue *queue, str text);
void queue_key_forget_unused(struct queue_key *key);
bool queue_key_has_room(const struct queue_key *key);
/* One of its runs takes a place: the key has been served. */
void queue_key_hold(struct queue_key *key);
void queue_key_release(struct queue_key *key);
/* How many of the key's waiters go before this one. */
uint32_t queue_key_ahead(const struct queue_key *key, uint32_t number);

struct queue_lane *lane_intern(struct queue_key *key, const struct queue_asker *asker);
bool lane_is_of(const struct queue_lane *lane, const struct queue_asker *asker);
void lane_add(struct queue_lane *lane, uint32_t number);
void lane_remove(struct queue_lane *lane, uint32_t number); /* An empty lane is freed. */

#endif
