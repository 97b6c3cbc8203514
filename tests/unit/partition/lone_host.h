/*
 * host: a host of a lone partition. It says what the test says; what it is told is kept as text, a
 * line for each message:
 *
 *   task flow 1 null agent=a retry=1 [key:1=value]    name, epoch, input; what else is not empty
 *   outcome key:5='value'        key, kind of step, its value, or !TYPE: message
 *                                before=, durable=: facts of its host, before it and on disk
 *   facts 0 [child:5=1] last     how many were told before, and whether these are the last
 *   cancel | yield | stop 1 | drain why | refused REASON | welcome
 */
#ifndef TESTS_UNIT_PARTITION_LONE_HOST_H
#define TESTS_UNIT_PARTITION_LONE_HOST_H

#include "service/hosts/message.h"
#include "tests/unit/partition/lone_partition.h"

enum {
    LONE_TASKS_KEPT = 16,
};

struct lone_host {
    struct host_link link;
    struct lone_partition *lone;
    const char *id;
    const char *deployment; /* Set before it dials in; NULL: "default". */
    uint32_t slots; /* So too; 0: many. */
    uint64_t seq;
    uint64_t heard;
    struct held_task tasks[LONE_TASKS_KEPT]; /* As they were given, the first one first. */
    size_t task_count;
    struct held_task ended[LONE_TASKS_KEPT]; /* It was told to end these, or not to go on. */
    size_t ended_count;
    bool is_beside_faults; /* What it says may fail: nothing is checked. */
    struct buf told;
    struct buf taken; /* The text that was returned last. */
    bool is_closed;
};

/* Dials in and offers these, "workflow:flow" or "tool:t"; NULL-terminated. Rounds follow. */
void lone_host_connect(struct lone_host *host, struct lone_partition *lone, const char *id,
                       const char *const *offers);
/* The same, of a process that still holds this task of a session that is gone. */
void lone_host_connect_holding(struct lone_host *host, struct lone_partition *lone, const char *id,
                               const char *const *offers, struct held_task held);
void lone_host_fini(struct lone_host *host);
/* Its stream breaks. It may dial again with lone_host_connect(). */
void lone_host_vanish(struct lone_host *host);
/* What it was told since it was asked last, with # for ids of runs and ' for "; valid until the
 * next call. */
const char *lone_host_told(struct lone_host *host);
/* The task that was given last. */
struct held_task lone_host_task(const struct lone_host *host);
/* Says it about the task; rounds follow. */
void lone_host_say(struct lone_host *host, struct held_task task, struct host_message message);
/* The task's code is done with this JSON. */
void lone_host_done(struct lone_host *host, struct held_task task, const char *value);
/* It failed with this type; the message is "no". */
void lone_host_failed(struct lone_host *host, struct held_task task, const char *type,
                      bool is_retryable);
/* It ended because it was told to. */
void lone_host_cancelled(struct lone_host *host, struct held_task task);
void lone_host_request(struct lone_host *host, struct held_task task, const char *key,
                       struct host_step_request wanted);
/* Asks for runs of this kind and name, and waits for them. */
void lone_host_start(struct lone_host *host, struct held_task task, const char *key,
                     const struct host_child *children, size_t count);

#endif
