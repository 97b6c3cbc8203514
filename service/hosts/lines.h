/*
 * lines: for each name, who may run it now and who waits in line for it.
 *
 * A name has a line for each deployment that offers it or is waited for, and one for those whom
 * any suits. Who waits for a deployment gets its hosts only, be they busy, as long as one of them
 * is there; when none is, the hosts of the deployment that dialled in last.
 *
 * The lines that can be served stand in a heap by when they were served last, so that finding the
 * next task costs nothing when there is none and no line starves while others come and go.
 *
 * Invariant: a line exists while somebody offers it or waits in it; a task waits once.
 * Order:     within a line, first in, first out; among lines, the one not served for longest.
 */
#ifndef SERVICE_HOSTS_LINES_H
#define SERVICE_HOSTS_LINES_H

#include "service/base/heap.h"
#include "service/base/map.h"
#include "service/hosts/message.h"

enum {
    LINES_NONE = UINT32_MAX,
};

struct host_session;

/* A session that may be picked, and which of its offers it is. */
struct candidate {
    struct host_session *session;
    uint32_t offer;
};

struct line {
    uint64_t deployment; /* Hash; HOSTS_ANY, HOSTS_NEWEST: offered by nobody. */
    uint64_t turn; /* When it was served or began to wait last. */
    uint64_t newest; /* The highest number of a session that was there since somebody is; 0. */
    struct candidate *candidates;
    size_t candidate_capacity;
    uint32_t candidate_count;
    uint32_t offer_count; /* Sessions that offer it, there or not. */
    uint32_t there_count; /* Those that do not leave, be they away within their lease. */
    uint32_t name;
    uint32_t first; /* In `parked`; LINES_NONE: nobody waits. */
    uint32_t last;
    uint32_t heap_at; /* HEAP_NONE: not ready. */
    uint32_t next; /* Of the name, or among the free. */
};

struct line_name {
    char *text; /* NULL: free. */
    uint32_t len;
    enum task_kind kind;
    uint32_t offer_count; /* Of all its lines. */
    uint32_t candidate_count;
    uint32_t lines; /* The first of them. */
    uint32_t next_free;
};

struct parked_task {
    struct task_ref task;
    uint32_t line; /* LINES_NONE: free. */
    uint32_t prev;
    uint32_t next; /* In its line, or among the free. */
};

struct lines {
    struct line_name *names;
    uint32_t name_used;
    size_t name_capacity;
    uint32_t name_free;
    struct map by_name;
    struct line *lines;
    uint32_t line_used;
    size_t line_capacity;
    uint32_t line_free;
    struct parked_task *parked;
    uint32_t parked_used;
    size_t parked_capacity;
    uint32_t parked_free;
    struct map by_task;
    struct heap ready; /* Of lines, by `turn`. */
    uint64_t turn;
    bool may_move; /* Who waits for a deployment that is not there goes to another one. */
};

void lines_init(struct lines *lines);
void lines_fini(struct lines *lines);

/* NULL: nobody offers it, nobody waits for it. */
const struct line_name *lines_find(const struct lines *lines, enum task_kind kind, str name);
/* The least busy candidate for who waits for this deployment; NULL: none. */
struct host_session *lines_pick(const struct lines *lines, const struct line_name *name,
                                uint64_t deployment);
/* From now on; before, hosts that were there before a restart may still come. */
void lines_let_move(struct lines *lines);

/* The number of the line. */
uint32_t lines_offer(struct lines *lines, enum task_kind kind, str name, uint64_t deployment);
void lines_withdraw(struct lines *lines, uint32_t line); /* Nor there, nor a candidate. */
/* The session is there, or leaves, with all its offers. */
void lines_arrive(struct lines *lines, const struct host_session *session);
void lines_depart(struct lines *lines, const struct host_session *session);
/* The session's offers become candidates, or are no longer. */
void lines_enter(struct lines *lines, struct host_session *session);
void lines_leave(struct lines *lines, struct host_session *session);

bool lines_is_parked(const struct lines *lines, struct task_ref task);
void lines_park(struct lines *lines, enum task_kind kind, str name, uint64_t deployment,
                struct task_ref task);
/* False: it did not wait. */
bool lines_unpark(struct lines *lines, struct task_ref task);
bool lines_next(struct lines *lines, struct task_ref *ret);

static inline uint32_t lines_parked_count(const struct lines *lines)
{
    return lines->by_task.count;
}

#endif
