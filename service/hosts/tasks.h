/*
 * tasks: which session holds which task.
 *
 * Invariant: a task is in the table once.
 * Order:     a session's tasks are linked in the order it was given them.
 */
#ifndef SERVICE_HOSTS_TASKS_H
#define SERVICE_HOSTS_TASKS_H

#include "service/base/map.h"
#include "service/hosts/message.h"

enum {
    TASKS_NONE = UINT32_MAX,
};

enum hold_state {
    HOLD_RESERVED, /* The host does not know of the task. */
    HOLD_GIVEN,
    HOLD_TAKEN_OVER, /* Given, but to an earlier session; hosts_next_taken_over() has not told so.
                      */
};

struct task_entry {
    struct held_task held;
    struct host_session *session; /* NULL: the entry is free. */
    uint32_t prev; /* Among the session's; TASKS_NONE ends. */
    uint32_t next; /* Or among the free. */
    enum hold_state state;
};

/* A session's part of the table. */
struct task_list {
    uint32_t first;
    uint32_t last;
    uint32_t count;
};

struct tasks {
    struct task_entry *entries;
    uint32_t used; /* Entries that were ever taken. */
    size_t capacity;
    uint32_t free;
    struct map by_ref;
};

#define TASK_LIST_EMPTY ((struct task_list){TASKS_NONE, TASKS_NONE, 0})

/* Empty. */
void tasks_init(struct tasks *tasks);
/* Frees the table; the lists of the sessions are void with it. */
void tasks_fini(struct tasks *tasks);
/* NULL: nobody holds it. Valid until the next tasks_add(). */
struct task_entry *tasks_find(const struct tasks *tasks, struct task_ref task);
/* The task must not be held. At the end of the session's list. */
struct task_entry *tasks_add(struct tasks *tasks, struct task_list *list,
                             struct host_session *session, struct held_task held,
                             enum hold_state state);
/* From the table and from the list of its session; the entry is dead. */
void tasks_remove(struct tasks *tasks, struct task_list *list, struct task_entry *entry);
/* NULL: the list is empty. */
struct task_entry *tasks_first(const struct tasks *tasks, const struct task_list *list);

/* For maps; the same in every process. */
uint64_t task_ref_hash(struct task_ref task);

/* The host, or one before it, was sent the task. */
static inline bool task_entry_is_given(const struct task_entry *entry)
{
    return entry->state != HOLD_RESERVED;
}

#endif
