/*
 * polos_task: a task that a host was given: its durable steps, what it asks the server for, its
 * end.
 *
 * Threading: as polos.h.
 */
#ifndef CLIENTS_C_POLOS_TASK_H
#define CLIENTS_C_POLOS_TASK_H

#include "clients/c/polos.h"

struct polos_task;

/* How a step or a task ended. Everything is copied. */
struct polos_outcome {
    const char *value_json; /* NULL: it failed, and the others say why. */
    const char *error_type; /* A stable word. */
    const char *error_message; /* For people and for the model. */
};

/* As it arrived. Borrowed until polos_task_done(). */
const Polos__V1__Task *polos_task_message(const struct polos_task *task);
/* For the owner's use; NULL at first. */
void polos_task_set_context(struct polos_task *task, void *context);
/* What was set last. */
void *polos_task_context(const struct polos_task *task);

/* How the run settled this step or step request before; NULL: not yet, do it. */
const Polos__V1__TaskOutcome *polos_task_settled(struct polos_task *task, const char *key);

/* NULL: the step is on the server's disk. Otherwise it is not, and will not be. */
typedef void polos_step_settled(void *context, struct polos_task *task,
                                const struct polos_error *error);

/*
 * A step of the task is settled: makes it durable. Steps may follow each other without waiting.
 * Every step needs a key of its own in the task, 1 to 512 bytes.
 * False: nobody wants to know any more; `settled` is not called.
 */
bool polos_step_done(struct polos_task *task, const char *key, const struct polos_outcome *outcome,
                     polos_step_settled *settled, void *context);

/* Shows progress to watchers; never a fact. At most 64 KiB of UTF-8. */
void polos_task_progress(struct polos_task *task, const char *text);

/* ---- step requests: steps that the server does, which outlive the task's code ---- */

/* Without an error: what was asked for has come about, or failed as `outcome` says; both last as
 * long as the call. Not called once the task was parked or done. */
typedef void polos_request_settled(void *context, struct polos_task *task,
                                   const struct polos_error *error,
                                   const Polos__V1__TaskOutcome *outcome);

/*
 * Asks for something under a key of its own in the task. What an earlier life of the task asked for
 * is asked for again, unless polos_task_settled() knows how it ended. `request` is copied; its
 * task_id, epoch and key are set here. The others below are for one kind each.
 * False: nobody wants to know any more; `settled` is not called.
 */
bool polos_request_step(struct polos_task *task, const char *key,
                        const Polos__V1__StepRequest *request, polos_request_settled *settled,
                        void *context);
/* For a length, from when the server takes it; 1 ms or more. */
bool polos_request_sleep(struct polos_task *task, const char *key, uint64_t length_ms,
                         polos_request_settled *settled, void *context);
/* Until somebody answers, or its deadline. */
bool polos_request_suspend(struct polos_task *task, const char *key,
                           const Polos__V1__Suspend *suspend, polos_request_settled *settled,
                           void *context);
/* Starts runs, and waits for them if it says so. */
bool polos_request_start(struct polos_task *task, const char *key,
                         const Polos__V1__StartRuns *start, polos_request_settled *settled,
                         void *context);
/* The next event of a topic, or its deadline. */
bool polos_request_await(struct polos_task *task, const char *key,
                         const Polos__V1__AwaitEvent *awaited, polos_request_settled *settled,
                         void *context);
/* One event; has come about at once. */
bool polos_request_publish(struct polos_task *task, const char *key,
                           const Polos__V1__Publish *publish, polos_request_settled *settled,
                           void *context);

/* ---- its end ---- */

/* The task's answer is no longer wanted: stop(task, cause) is called at most once. Optional. */
void polos_task_on_stop(struct polos_task *task,
                        void (*stop)(struct polos_task *task, const char *cause));

/* The task's run is being cancelled: cancel(task) is called at most once, and the task may clean
 * up with steps before it ends. Optional: without it such a task ends as cancelled by itself, and
 * stop(task, "cancelled") is called. */
void polos_task_on_cancel(struct polos_task *task, void (*cancel)(struct polos_task *task));

/* Its run holds a place in a queue that a run below it needs: yield(task) is called at most once,
 * and polos_task_park() is to be called as soon as the task only waits for what it asked for.
 * Optional: without it the place is free when the task is parked for another reason, or has ended.
 */
void polos_task_on_yield(struct polos_task *task, void (*yield)(struct polos_task *task));

/* The task has ended. One of these four must be called once for each task, also when it was
 * stopped; the pointer is dead afterwards. The answer is sent until the server has it. */
void polos_task_done(struct polos_task *task, const struct polos_outcome *outcome);
/* It ended because its run is being cancelled; `cause` is for people. */
void polos_task_cancelled(struct polos_task *task, const char *cause);
/* It only waits for what it asked for: it is given again, with its steps, when something of that
 * has ended. */
void polos_task_park(struct polos_task *task);
/* It is given back unfinished, to be given to another host at once; `cause` is for people. */
void polos_task_release(struct polos_task *task, const char *cause);

#endif
