#include "service/rpc/loop.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/base/sys.h"
#include "service/keys/keyring.h"
#include "service/rpc/call.h"
#include "service/rpc/wire.h"

enum {
    ACCEPTS_ARMED = 32,
    POSTS_PER_WAKE = 1024,
    PASSED_MANY = 64 << 20,
    QUIET_US = 1000 * 1000, /* Without so many more. */
};

static _Thread_local const struct loop *current;

static void wake(void *context)
{
    struct loop *loop = (struct loop *)context;
    grpc_call_error failed = grpc_call_start_batch(loop->waker, NULL, 0, &loop->woken, NULL);
    assert(failed == GRPC_CALL_OK);
    (void)failed;
}

static void run_posts(void *owner, bool ok)
{
    struct loop *loop = (struct loop *)owner;
    struct inbox_node *node = inbox_take(loop->inbox, POSTS_PER_WAKE);
    size_t count = 0;
    assert(ok);
    (void)ok;
    while (node != NULL) {
        struct loop_post *post = container_of(node, struct loop_post, node);
        node = node->next;
        post->run(post);
        count++;
    }
    if (count == POSTS_PER_WAKE) {
        wake(loop); /* There may be more, and nobody else wakes a queue that is not empty. */
    }
}

void loop_init(struct loop *loop, grpc_server *server, const struct methods *methods,
               struct loop_streams *streams, struct keyring *keyring, size_t message_bytes_max,
               size_t receive_bytes_max)
{
    *loop = (struct loop){
        .server = server,
        .streams = streams,
        .methods = methods,
        .keyring = keyring,
        .keys = keyring_get(keyring),
        .queue = grpc_completion_queue_create_for_next(NULL),
        .message_bytes_max = message_bytes_max,
    };
    loop->woken = (struct loop_op){run_posts, loop};
    loop->inbox = inbox_new(1, wake, loop);
    receive_init(&loop->receive, receive_bytes_max, message_bytes_max);
    arena_init(&loop->arena, wire_unpacked_bytes_max(message_bytes_max));
    grpc_server_register_completion_queue(server, loop->queue, NULL);
    loop->waker_channel =
        grpc_lame_client_channel_create("waker", GRPC_STATUS_UNAVAILABLE, "waker");
    loop->waker = grpc_channel_create_call(loop->waker_channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                           loop->queue, grpc_slice_from_static_string("/waker"),
                                           NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    assert(loop->waker != NULL);
}

static void flush_dirty(struct loop *loop)
{
    while (loop->dirty != NULL) {
        struct rpc_call *call = loop->dirty;
        assert(call->dirty && call->loop == loop);
        loop->dirty = call->dirty_next;
        call->dirty = false;
        call_flush(call);
    }
    if (loop->stopping && loop->call_count == 0 && !loop->idle_told) {
        loop->idle_told = true;
        inbox_push_always(loop->idle_inbox, &loop->idle);
    }
}

void loop_passed(struct loop *loop, size_t bytes)
{
    assert(loop_is_current(loop));
    loop->passed_bytes += bytes;
    if (loop->passed_bytes >= PASSED_MANY) {
        loop->passed_bytes = 0;
        loop->give_back_us = sys_monotonic_us() + QUIET_US;
    }
}

static grpc_event next_event(struct loop *loop)
{
    gpr_timespec end = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (loop->give_back_us != 0 || loop->receive.waiting > 0) {
        end = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                           gpr_time_from_micros(QUIET_US, GPR_TIMESPAN));
    }
    return grpc_completion_queue_next(loop->queue, end, NULL);
}

static void give_back(struct loop *loop)
{
    if (loop->give_back_us != 0 && sys_monotonic_us() >= loop->give_back_us) {
        sys_return_memory();
        loop->give_back_us = 0;
    }
}

/* Now and then while calls wait for a place. */
static void hurry(struct loop *loop)
{
    if (loop->receive.waiting == 0) {
        loop->hurry_us = 0;
        return;
    }
    uint64_t now_us = sys_monotonic_us();
    if (loop->hurry_us == 0) {
        loop->hurry_us = now_us + QUIET_US;
    } else if (now_us >= loop->hurry_us) {
        loop->hurry_us = now_us + QUIET_US;
        receive_hurry(loop);
        flush_dirty(loop);
    }
}

static void *run(void *context)
{
    struct loop *loop = (struct loop *)context;
    current = loop;
    for (;;) {
        grpc_event event = next_event(loop);
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            return NULL;
        }
        if (event.type == GRPC_OP_COMPLETE) {
            struct loop_op *op = (struct loop_op *)event.tag;
            op->done(op->owner, event.success != 0);
            flush_dirty(loop);
        }
        hurry(loop);
        give_back(loop);
    }
}

void loop_start(struct loop *loop, uint32_t index)
{
    char name[16];
    sigset_t all;
    sigset_t before;
    for (int i = 0; i < ACCEPTS_ARMED; i++) {
        call_arm(loop);
    }
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&loop->thread, NULL, run, loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert(failed == 0);
    (void)failed;
    snprintf(name, sizeof(name), "rpc-%u", index);
    pthread_setname_np(loop->thread, name);
}

void loop_stop(struct loop *loop)
{
    assert(loop->idle_told);
    /* Whoever posted last may still be about to wake us. */
    while (atomic_load_explicit(&loop->posting, memory_order_acquire) > 0) {
        sched_yield();
    }
    grpc_completion_queue_shutdown(loop->queue);
    pthread_join(loop->thread, NULL);
}

void loop_fini(struct loop *loop)
{
    assert(loop->call_count == 0 && loop->calls == NULL);
    assert(loop->dirty == NULL);
    grpc_call_unref(loop->waker);
    grpc_channel_destroy(loop->waker_channel);
    grpc_completion_queue_destroy(loop->queue);
    inbox_free(loop->inbox);
    key_set_unref(loop->keys);
    arena_fini(&loop->arena);
}

void loop_post(struct loop *loop, struct loop_post *post)
{
    assert(post->run != NULL);
    atomic_fetch_add_explicit(&loop->posting, 1, memory_order_relaxed);
    inbox_push_always(loop->inbox, &post->node);
    atomic_fetch_sub_explicit(&loop->posting, 1, memory_order_release);
}

bool loop_is_current(const struct loop *loop)
{
    return current == loop;
}

void loop_quiesce(struct loop *loop, struct inbox *inbox)
{
    assert(loop_is_current(loop));
    assert(!loop->stopping && inbox != NULL);
    loop->stopping = true;
    loop->idle_inbox = inbox;
}
