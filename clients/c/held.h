/*
 * held: the tasks of a session by their id.
 */
#ifndef CLIENTS_C_HELD_H
#define CLIENTS_C_HELD_H

#include "clients/c/polos_host.h"

struct polos_session;

struct polos_task {
    struct polos_task *next; /* In its bucket. */
    struct polos_session *session; /* NULL: it was freed. */
    Polos__V1__Task *message;
    uint32_t epoch;
    uint32_t steps; /* Settled, those that came with the task included. */
    size_t nodes; /* Messages about it that are kept. */
    bool is_held; /* Its answer is wanted or on its way. */
    bool is_done; /* Its TaskDone was given. */
    bool is_owned; /* Its owner has not called polos_task_done(). */
    bool is_answer_refused;
    void (*stop)(struct polos_task *task, const char *cause);
    void *context;
};

/* Zero-initialised is empty and valid. */
struct polos_held {
    struct polos_task **buckets;
    size_t bucket_count; /* A power of two. */
    size_t count;
};

struct polos_task *polos_held_find(const struct polos_held *held, const char *id);
void polos_held_add(struct polos_held *held, struct polos_task *task);
void polos_held_remove(struct polos_held *held, struct polos_task *task);
void polos_held_fini(struct polos_held *held);

#endif
