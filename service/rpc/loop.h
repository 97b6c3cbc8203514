/*
 * loop: one completion queue, its thread, and the calls that live on it.
 *
 * Everything that happens to a call happens on the thread of its loop, so calls need no lock.
 * Other threads post; a post wakes the thread through an empty batch on a call that goes
 * nowhere, which is the only way the C core offers from plain C.
 *
 * Order:     a loop's posts run in the order they were posted; calls touched by an event or by a
 *            batch of posts are flushed once, after it.
 * Threading: loop_post from any thread, loop_is_current too; the rest says so.
 */
#ifndef SERVICE_RPC_LOOP_H
#define SERVICE_RPC_LOOP_H

#include <pthread.h>
#include <stdatomic.h>

#include <grpc/grpc.h>

#include "service/base/arena.h"
#include "service/base/inbox.h"
#include "service/rpc/receive.h"

struct key_set;
struct keyring;
struct methods;
struct rpc_call;

/* A completion queue's tag. */
struct loop_op {
    void (*done)(void *owner, bool ok);
    void *owner;
};

/* A message to a loop. `run` owns it: frees it or knows who does. */
struct loop_post {
    struct inbox_node node;
    void (*run)(struct loop_post *post);
};

/* What waits for the peers of all streams that the server alone sends on, of all loops. */
struct loop_streams {
    atomic_size_t queued_bytes;
    size_t queued_bytes_max; /* Over it, each of them stalls that has anything queued. */
};

struct loop {
    grpc_server *server;
    struct loop_streams *streams;
    const struct methods *methods;
    struct keyring *keyring;
    struct key_set *keys; /* What calls are held against; see key_change.h. */
    grpc_completion_queue *queue;
    pthread_t thread;
    struct inbox *inbox;
    atomic_uint posting; /* Threads inside loop_post. */
    grpc_channel *waker_channel;
    grpc_call *waker;
    struct loop_op woken;
    struct arena arena; /* Of the request being handled. */
    size_t message_bytes_max;

    struct rpc_call *calls; /* Every call, armed ones too. */
    struct rpc_call *dirty; /* To be flushed before the thread waits again. */
    uint32_t call_count;
    struct receive receive;
    uint64_t hurry_us; /* When those that wait are looked after; 0: none waits. */
    size_t passed_bytes; /* Of messages, since memory was to be given back. */
    uint64_t give_back_us; /* When it is given back, by the monotonic clock; 0: it need not be. */

    bool stopping; /* No calls will come; tell `idle` when the last has gone. */
    bool idle_told;
    struct inbox *idle_inbox;
    struct inbox_node idle;
};

/* Before the server starts. `streams` and the keyring outlive it. receive_bytes_max: as of
 * receive_init(). */
void loop_init(struct loop *loop, grpc_server *server, const struct methods *methods,
               struct loop_streams *streams, struct keyring *keyring, size_t message_bytes_max,
               size_t receive_bytes_max);
/* Arms the accepts and starts the thread; after the server was started. */
void loop_start(struct loop *loop, uint32_t index);
/* Ends the thread. Every call must have gone. */
void loop_stop(struct loop *loop);
/* Frees what it holds; after loop_stop(), or when it was never started. */
void loop_fini(struct loop *loop);

/* `run` is called on the loop's thread, soon; never from here. */
void loop_post(struct loop *loop, struct loop_post *post);
/* Whether the caller is on the loop's thread. */
bool loop_is_current(const struct loop *loop);

/* On the loop's thread: a message of so many bytes came or went. After many of them, when no more
 * come as fast, what the allocator kept for them is given back to the system. */
void loop_passed(struct loop *loop, size_t bytes);
/* On the loop's thread: no calls will come; `idle` is pushed to `inbox` when all have gone. */
void loop_quiesce(struct loop *loop, struct inbox *inbox);

#endif
