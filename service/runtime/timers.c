#include "service/runtime/timers.h"

#include <stdlib.h>

enum {
    NODES_MIN = 64,
    NONE = 0, /* Node 0 is never used. */
};

struct node {
    uuid run;
    uint64_t due_ms;
    uint32_t position; /* In the heap. */
    uint32_t next; /* In its bucket, or in the free list. */
};

/* A binary heap of node numbers, and a chained index from run to node. */
struct timers {
    struct node *nodes;
    uint32_t *heap;
    uint32_t *buckets;
    uint32_t capacity; /* Nodes, node 0 included; a power of two, also of buckets. */
    uint32_t count;
    uint32_t unused; /* Head of the free list. */
};

static uint32_t *bucket_of(const struct timers *timers, uuid run)
{
    uint64_t tail;
    memcpy(&tail, run.bytes + 8, sizeof(tail)); /* The random half of a version 7 id. */
    tail *= 0x9E3779B97F4A7C15u;
    return &timers->buckets[(tail >> 32) & (timers->capacity - 1)];
}

static uint32_t find(const struct timers *timers, uuid run)
{
    uint32_t node = *bucket_of(timers, run);
    while (node != NONE && !uuid_equal(timers->nodes[node].run, run)) {
        node = timers->nodes[node].next;
    }
    return node;
}

static bool is_before(const struct timers *timers, uint32_t a, uint32_t b)
{
    const struct node *left = &timers->nodes[a];
    const struct node *right = &timers->nodes[b];
    if (left->due_ms != right->due_ms) {
        return left->due_ms < right->due_ms;
    }
    return memcmp(left->run.bytes, right->run.bytes, sizeof(left->run.bytes)) < 0;
}

static void place(struct timers *timers, uint32_t position, uint32_t node)
{
    timers->heap[position] = node;
    timers->nodes[node].position = position;
}

static void sift_up(struct timers *timers, uint32_t position)
{
    uint32_t node = timers->heap[position];
    while (position > 0 && is_before(timers, node, timers->heap[(position - 1) / 2])) {
        place(timers, position, timers->heap[(position - 1) / 2]);
        position = (position - 1) / 2;
    }
    place(timers, position, node);
}

static void sift_down(struct timers *timers, uint32_t position)
{
    uint32_t node = timers->heap[position];
    for (;;) {
        uint32_t child = 2 * position + 1;
        if (child + 1 < timers->count &&
            is_before(timers, timers->heap[child + 1], timers->heap[child])) {
            child++;
        }
        if (child >= timers->count || !is_before(timers, timers->heap[child], node)) {
            break;
        }
        place(timers, position, timers->heap[child]);
        position = child;
    }
    place(timers, position, node);
}

static void chain(struct timers *timers, uint32_t node)
{
    uint32_t *bucket = bucket_of(timers, timers->nodes[node].run);
    timers->nodes[node].next = *bucket;
    *bucket = node;
}

static void grow(struct timers *timers)
{
    uint32_t before = timers->capacity;
    timers->capacity = before == 0 ? NODES_MIN : before * 2;
    timers->nodes = xrealloc(timers->nodes, timers->capacity * sizeof(timers->nodes[0]));
    timers->heap = xrealloc(timers->heap, timers->capacity * sizeof(timers->heap[0]));
    free(timers->buckets);
    timers->buckets = xcalloc(timers->capacity, sizeof(timers->buckets[0]));
    for (uint32_t i = 0; i < timers->count; i++) {
        chain(timers, timers->heap[i]);
    }
    for (uint32_t node = timers->capacity - 1; node >= (before == 0 ? 1 : before); node--) {
        timers->nodes[node].next = timers->unused;
        timers->unused = node;
    }
}

static void unchain(struct timers *timers, uint32_t node)
{
    uint32_t *link = bucket_of(timers, timers->nodes[node].run);
    while (*link != node) {
        assert(*link != NONE);
        link = &timers->nodes[*link].next;
    }
    *link = timers->nodes[node].next;
}

static void remove_node(struct timers *timers, uint32_t node)
{
    uint32_t position = timers->nodes[node].position;
    assert(timers->heap[position] == node);
    unchain(timers, node);
    timers->count--;
    if (position < timers->count) {
        place(timers, position, timers->heap[timers->count]);
        sift_up(timers, position);
        sift_down(timers, timers->nodes[timers->heap[position]].position);
    }
    timers->nodes[node].next = timers->unused;
    timers->unused = node;
}

static void add(struct timers *timers, uuid run, uint64_t due_ms)
{
    if (timers->unused == NONE) {
        grow(timers);
    }
    uint32_t node = timers->unused;
    timers->unused = timers->nodes[node].next;
    timers->nodes[node].run = run;
    timers->nodes[node].due_ms = due_ms;
    chain(timers, node);
    place(timers, timers->count++, node);
    sift_up(timers, timers->count - 1);
}

struct timers *timers_new(void)
{
    struct timers *timers = xcalloc(1, sizeof(*timers));
    grow(timers);
    return timers;
}

void timers_free(struct timers *timers)
{
    if (timers == NULL) {
        return;
    }
    free(timers->nodes);
    free(timers->heap);
    free(timers->buckets);
    free(timers);
}

void timers_arm(struct timers *timers, uuid run, uint64_t due_ms)
{
    uint32_t node = find(timers, run);
    if (node == NONE) {
        if (due_ms != 0) {
            add(timers, run, due_ms);
        }
        return;
    }
    if (due_ms == 0) {
        remove_node(timers, node);
        return;
    }
    timers->nodes[node].due_ms = due_ms;
    sift_up(timers, timers->nodes[node].position);
    sift_down(timers, timers->nodes[node].position);
}

bool timers_pop_due(struct timers *timers, uint64_t now_ms, uuid *ret)
{
    if (timers->count == 0 || timers->nodes[timers->heap[0]].due_ms > now_ms) {
        return false;
    }
    *ret = timers->nodes[timers->heap[0]].run;
    remove_node(timers, timers->heap[0]);
    return true;
}

uint64_t timers_next_ms(const struct timers *timers)
{
    return timers->count == 0 ? 0 : timers->nodes[timers->heap[0]].due_ms;
}

size_t timers_count(const struct timers *timers)
{
    return timers->count;
}
