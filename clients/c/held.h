/*
 * held: a task, and the tasks of a session by their id.
 */
#ifndef CLIENTS_C_HELD_H
#define CLIENTS_C_HELD_H

#include "clients/c/polos_host.h"
#include "clients/c/replay.h"
#include "clients/c/said.h"

struct polos_session;

struct polos_task {
    struct polos_task *next; /* In its bucket. */
    struct polos_session *session; /* NULL: it was freed. */
    Polos__V1__Task *message;
    uint32_t epoch;
    uint32_t steps; /* Settled, those that came with the task included. */
    uint32_t outcomes; /* Of step requests; those that came with the task included. */
    struct said_list waiting; /* Step requests the server has, without an outcome. */
    struct replay replay; /* Of message->steps. */
    size_t nodes; /* Messages about it that are kept. */
    bool is_held; /* Its answer is wanted or on its way. */
    bool is_done; /* Its TaskDone was given. */
    bool is_owned; /* Its owner has not called polos_task_done() or another end. */
    bool is_cancelling; /* Its owner was told. */
    bool is_wanted; /* Its place in a queue; its owner was told. */
    bool is_answer_refused;
    void (*stop)(struct polos_task *task, const char *cause);
    void (*cancel)(struct polos_task *task);
    void (*yield)(struct polos_task *task);
    void *context;
};

/* Zero-initialised is empty and valid. */
struct polos_held {
    struct polos_task **buckets;
    size_t bucket_count; /* A power of two. */
    size_t count;
};

/* NULL: none has this id. */
struct polos_task *polos_held_find(const struct polos_held *held, const char *id);
/* One whose id is not in it. */
void polos_held_add(struct polos_held *held, struct polos_task *task);
/* One that is in it; it is not freed. */
void polos_held_remove(struct polos_held *held, struct polos_task *task);
/* Frees the table, not the tasks; it is empty and valid afterwards. */
void polos_held_fini(struct polos_held *held);

/* What its owner says counts. */
bool polos_task_is_at_work(const struct polos_task *task);
/* Frees it when neither its owner nor a message needs it. */
void polos_task_let_go(struct polos_task *task);

/* The server did it. */
static inline bool polos_step_is_request(const Polos__V1__SettledStep *step)
{
    return step->kind > POLOS__V1__STEP_KIND__STEP_KIND_CODE &&
           step->kind <= POLOS__V1__STEP_KIND__STEP_KIND_AT_ONCE;
}

#endif
