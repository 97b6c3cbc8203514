#include "clients/c/loop.h"

#include <assert.h>
#include <time.h>

#include "clients/c/memory.h"

struct polos_loop {
    grpc_completion_queue *queue;
    grpc_channel *post_channel; /* Leads nowhere; */
    grpc_call *post_call; /* empty batches on its call wake the queue from any thread. */
    struct polos_timer *timers; /* The next one first. */
    struct polos_loop_soon *soon;
    struct polos_loop_soon **soon_tail;
    bool is_stopped;
};

struct post {
    struct polos_loop_tag tag;
    void (*run)(void *context);
    void *context;
};

uint64_t polos_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

struct polos_loop *polos_loop_new(void)
{
    struct polos_loop *loop = memory_zeroed(1, sizeof(*loop));
    grpc_init();
    loop->queue = grpc_completion_queue_create_for_next(NULL);
    loop->soon_tail = &loop->soon;
    loop->post_channel =
        grpc_lame_client_channel_create("polos:loop", GRPC_STATUS_UNAVAILABLE, "not a server");
    loop->post_call =
        grpc_channel_create_call(loop->post_channel, NULL, GRPC_PROPAGATE_DEFAULTS, loop->queue,
                                 grpc_slice_from_static_string("/polos/loop"), NULL,
                                 gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    return loop;
}

static void dispatch(grpc_event event)
{
    struct polos_loop_tag *tag = event.tag;
    assert(tag->done != NULL);
    tag->done(tag, event.success != 0);
}

void polos_loop_free(struct polos_loop *loop)
{
    if (loop == NULL) {
        return;
    }
    assert(loop->soon == NULL);
    grpc_call_unref(loop->post_call);
    grpc_channel_destroy(loop->post_channel);
    grpc_completion_queue_shutdown(loop->queue);
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(loop->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            break;
        }
        dispatch(event);
    }
    grpc_completion_queue_destroy(loop->queue);
    grpc_shutdown();
    free(loop);
}

static void run_soon(struct polos_loop *loop)
{
    while (loop->soon != NULL) {
        struct polos_loop_soon *soon = loop->soon;
        assert(soon->is_due && soon->run != NULL);
        loop->soon = soon->next;
        if (loop->soon == NULL) {
            loop->soon_tail = &loop->soon;
        }
        soon->is_due = false;
        soon->run(soon);
    }
}

static void run_timers(struct polos_loop *loop)
{
    /* A timer that is set again for now waits for the next pass. */
    uint64_t now_us = loop->timers == NULL ? 0 : polos_now_us();
    while (loop->timers != NULL && loop->timers->due_us <= now_us) {
        struct polos_timer *timer = loop->timers;
        polos_timer_clear(loop, timer);
        timer->due(timer->context);
    }
}

static gpr_timespec deadline(const struct polos_loop *loop)
{
    if (loop->timers == NULL) {
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    }
    uint64_t now_us = polos_now_us();
    uint64_t due_us = loop->timers->due_us;
    return gpr_time_add(
        gpr_now(GPR_CLOCK_MONOTONIC),
        gpr_time_from_micros(due_us > now_us ? (int64_t)(due_us - now_us) : 0, GPR_TIMESPAN));
}

void polos_loop_run(struct polos_loop *loop)
{
    loop->is_stopped = false;
    run_soon(loop);
    while (!loop->is_stopped) {
        grpc_event event = grpc_completion_queue_next(loop->queue, deadline(loop), NULL);
        if (event.type == GRPC_OP_COMPLETE) {
            dispatch(event);
        }
        run_timers(loop);
        run_soon(loop);
    }
}

void polos_loop_stop(struct polos_loop *loop)
{
    loop->is_stopped = true;
}

static void posted(struct polos_loop_tag *tag, bool ok)
{
    struct post *post = memory_owner(tag, struct post, tag);
    (void)ok;
    post->run(post->context);
    free(post);
}

void polos_loop_post(struct polos_loop *loop, void (*run)(void *context), void *context)
{
    struct post *post = memory_zeroed(1, sizeof(*post));
    post->tag.done = posted;
    post->run = run;
    post->context = context;
    grpc_call_error refused = grpc_call_start_batch(loop->post_call, NULL, 0, &post->tag, NULL);
    assert(refused == GRPC_CALL_OK);
    (void)refused;
}

void polos_timer_set(struct polos_loop *loop, struct polos_timer *timer, uint64_t due_us)
{
    struct polos_timer *before = NULL;
    struct polos_timer *after;
    assert(timer->due != NULL);
    polos_timer_clear(loop, timer);
    for (after = loop->timers; after != NULL && after->due_us <= due_us; after = after->next) {
        before = after;
    }
    timer->due_us = due_us;
    timer->previous = before;
    timer->next = after;
    if (after != NULL) {
        after->previous = timer;
    }
    if (before != NULL) {
        before->next = timer;
    } else {
        loop->timers = timer;
    }
}

void polos_timer_clear(struct polos_loop *loop, struct polos_timer *timer)
{
    if (timer->previous == NULL && loop->timers != timer) {
        return;
    }
    assert(timer->previous == NULL || timer->previous->next == timer);
    assert(timer->next == NULL || timer->next->previous == timer);
    if (timer->previous != NULL) {
        timer->previous->next = timer->next;
    } else {
        loop->timers = timer->next;
    }
    if (timer->next != NULL) {
        timer->next->previous = timer->previous;
    }
    timer->next = timer->previous = NULL;
}

grpc_completion_queue *polos_loop_queue(struct polos_loop *loop)
{
    return loop->queue;
}

void polos_loop_soon(struct polos_loop *loop, struct polos_loop_soon *soon)
{
    if (soon->is_due) {
        return;
    }
    assert(soon->run != NULL && *loop->soon_tail == NULL);
    soon->is_due = true;
    soon->next = NULL;
    *loop->soon_tail = soon;
    loop->soon_tail = &soon->next;
}

void polos_loop_not_soon(struct polos_loop *loop, struct polos_loop_soon *soon)
{
    struct polos_loop_soon **at = &loop->soon;
    while (*at != NULL && *at != soon) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = soon->next;
        loop->soon_tail = soon->next == NULL ? at : loop->soon_tail;
    }
    soon->is_due = false;
}
