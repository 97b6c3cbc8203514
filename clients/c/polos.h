/*
 * polos: a client of polosd in C.
 *
 * There is one thread: everything happens inside polos_loop_run(), and every function here is
 * called from there or while the loop does not run. Only polos_loop_post() is for any thread.
 * Hosting tools and workflows: polos_host.h.
 *
 * Order:   loop, client, then what uses the client; freed the other way round. A client is freed
 *          when its calls have been answered and its watches have ended.
 * Memory:  const pointers given to a callback last as long as the callback. Running out of memory
 *          ends the process.
 */
#ifndef CLIENTS_C_POLOS_H
#define CLIENTS_C_POLOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "polos/v1/agents.pb-c.h"
#include "polos/v1/common.pb-c.h"
#include "polos/v1/host.pb-c.h"
#include "polos/v1/queues.pb-c.h"
#include "polos/v1/runs.pb-c.h"
#include "polos/v1/schedules.pb-c.h"
#include "polos/v1/suspend.pb-c.h"
#include "polos/v1/topics.pb-c.h"
#include "polos/v1/workflows.pb-c.h"

/* ---- the loop ---- */

struct polos_loop;

/* Never NULL. */
struct polos_loop *polos_loop_new(void);
void polos_loop_free(struct polos_loop *loop); /* Accepts NULL. */
/* Calls back until polos_loop_stop(). May be run again. */
void polos_loop_run(struct polos_loop *loop);
/* polos_loop_run() returns when what is being dealt with is done. */
void polos_loop_stop(struct polos_loop *loop);
/* From any thread: calls run(context) in the loop. */
void polos_loop_post(struct polos_loop *loop, void (*run)(void *context), void *context);
/* CLOCK_MONOTONIC. */
uint64_t polos_now_us(void);

/* Fires once, then may be set again. The caller's memory; zero-initialised is not set. */
struct polos_timer {
    void (*due)(void *context);
    void *context;
    /* The loop's: */
    uint64_t due_us;
    struct polos_timer *next;
    struct polos_timer *previous;
};

/* Setting a timer that is set moves it. Precise to about a millisecond. */
void polos_timer_set(struct polos_loop *loop, struct polos_timer *timer, uint64_t due_us);
/* Also one that is not set. */
void polos_timer_clear(struct polos_loop *loop, struct polos_timer *timer);

/* ---- calls ---- */

struct polos_client;

/* Why something failed. A NULL pointer to one: it did not. */
struct polos_error {
    int code; /* gRPC's: 14 is UNAVAILABLE. */
    const char *reason; /* A stable word in capitals; empty: the server gave none. */
    const char *field; /* Of the request; empty: none in particular. */
    const char *message; /* For people. */
};

/* The calls that have one answer. */
enum polos_method {
    POLOS_AGENT_REGISTER,
    POLOS_AGENT_START,
    POLOS_AGENT_RUN,
    POLOS_WORKFLOW_START,
    POLOS_WORKFLOW_RUN,
    POLOS_RUN_GET,
    POLOS_RUN_LIST,
    POLOS_RUN_HISTORY,
    POLOS_RUN_CANCEL,
    POLOS_RUN_DELETE,
    POLOS_RUN_FORK,
    POLOS_TOPIC_PUBLISH,
    POLOS_TOPIC_LIST,
    POLOS_TOPIC_DELETE,
    POLOS_QUEUE_PUT,
    POLOS_QUEUE_GET,
    POLOS_QUEUE_LIST,
    POLOS_QUEUE_DELETE,
    POLOS_SCHEDULE_PUT,
    POLOS_SCHEDULE_GET,
    POLOS_SCHEDULE_LIST,
    POLOS_SCHEDULE_DELETE,
    POLOS_SCHEDULE_PAUSE,
    POLOS_SCHEDULE_UNPAUSE,
    POLOS_SCHEDULE_TRIGGER,
    POLOS_SUSPEND_LIST,
    POLOS_SUSPEND_GET,
    POLOS_SUSPEND_RESUME,
    POLOS_METHOD_COUNT,
};

/* "127.0.0.1:8080"; calls are spread over so many connections, at least one. */
struct polos_client *polos_client_new(struct polos_loop *loop, const char *address,
                                      unsigned connections);
void polos_client_free(struct polos_client *client); /* Accepts NULL. */

/* `response` is the method's response message; NULL when there is an error. */
typedef void polos_answered(void *context, const struct polos_error *error,
                            const ProtobufCMessage *response);

/* The request must be the method's request message. timeout_ms 0: none. */
void polos_call(struct polos_client *client, enum polos_method method,
                const ProtobufCMessage *request, uint64_t timeout_ms, polos_answered *answered,
                void *context);

/* ---- watching a run ---- */

struct polos_watch;

struct polos_watch_events {
    /* Facts, deltas, caught_up, and at last `ended`. */
    void (*event)(void *context, const Polos__V1__RunServiceWatchResponse *event);
    /* Nothing follows. NULL: the run has ended. The watch is gone when this returns. */
    void (*closed)(void *context, const struct polos_error *error);
};

/* A watch whose stream is cut dials again and goes on at its position. */
struct polos_watch *polos_watch_run(struct polos_client *client, const char *run_id, bool deltas,
                                    const struct polos_watch_events *events, void *context);
/* As polos_watch_run(), of a root and of all runs below it, in one order: `run_id` of an event says
 * of which, empty: of the root. Text of calls in flight is shown anew after a cut; see
 * Delta.offset. */
struct polos_watch *polos_watch_tree(struct polos_client *client, const char *run_id, bool deltas,
                                     const struct polos_watch_events *events, void *context);
/* `closed` follows, with code CANCELLED. */
void polos_watch_cancel(struct polos_watch *watch);

#endif
