/*
 * task: what a session and the owners of its tasks share.
 */
#ifndef CLIENTS_C_TASK_H
#define CLIENTS_C_TASK_H

#include "clients/c/held.h"

/* Takes over a message; message->steps are what it has settled. */
struct polos_task *polos_task_new(struct polos_session *session, Polos__V1__Task *message);
/* The session's word on how the task ends. */
void polos_task_answer(struct polos_task *task, const struct polos_outcome *outcome,
                       bool is_cancelled);
/* Its run is being cancelled: tells the owner, once. */
void polos_task_cancel(struct polos_task *task);
/* Its run's place in a queue is wanted: tells the owner, once. */
void polos_task_want(struct polos_task *task);
/* Nothing said of the task counts any more: calls who waits. It may be gone afterwards. */
void polos_task_stop(struct polos_task *task, const char *cause);
/* What was asked for under this key has ended. */
void polos_task_came(struct polos_task *task, struct said *node,
                     const Polos__V1__TaskOutcome *outcome);
/* Nobody is told of how they end. */
void polos_task_forget_requests(struct polos_task *task);

#endif
