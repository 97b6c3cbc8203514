/*
 * principal: who asks, for which project, and what they may do.
 *
 * Every call has one from the door on, and so has every request and every read that is made for
 * it. A project is whose a thing is: its runs and all names (of agents, workflows, tools, queues,
 * topics, schedules, hosts, idempotency keys) are its own, in memory and in the store, where its
 * number is in every key. A partition serves one project.
 */
#ifndef SERVICE_BASE_PRINCIPAL_H
#define SERVICE_BASE_PRINCIPAL_H

#include "service/base/base.h"

enum {
    PROJECT_DEFAULT = 0, /* Of the stores of all releases so far. */
};

/* Each a bit, of a key and of a method, which asks for any of its own. */
enum right {
    RIGHT_CALL = 1, /* Starts, steers, cancels and reads runs; publishes. */
    RIGHT_HOST = 2, /* Connects as a host, registers what it offers. */
    RIGHT_ANSWER = 4, /* Reads suspensions and answers them. */
    RIGHT_READ = 8, /* Reads everything of its project. */
    RIGHT_ADMIN = 16, /* All of the above, and keys, limits, deletion. */
    RIGHT_ALL = 31, /* That a key may have. */
    RIGHT_PUBLIC = 32, /* Of methods alone: whoever reaches the server, without a key. */
};

enum principal_kind {
    PRINCIPAL_NONE, /* Not filled in: may do nothing. */
    PRINCIPAL_SERVER, /* What the server does by itself, within a partition. */
    PRINCIPAL_UNKNOWN, /* Who was not asked, for what is everybody's. */
    PRINCIPAL_ANYONE, /* Whoever reaches the server. */
    PRINCIPAL_KEY, /* Who showed a key. */
};

struct principal {
    uint32_t project;
    enum principal_kind kind;
    uint32_t rights; /* Of enum right. */
    uint32_t key; /* Its number; 0: none. */
};

/* Whoever reaches the server may do everything in the one project there is. */
static inline struct principal principal_anyone(uint32_t project)
{
    return (struct principal){.project = project, .kind = PRINCIPAL_ANYONE, .rights = RIGHT_ALL};
}

/* The server itself, within a partition, whose project it is. */
static inline struct principal principal_server(void)
{
    return (struct principal){.kind = PRINCIPAL_SERVER, .rights = RIGHT_ALL};
}

/* Whether what is asked may be asked of that project's partition. */
static inline bool principal_is_of(const struct principal *principal, uint32_t project)
{
    return principal->kind == PRINCIPAL_SERVER ||
           (principal->kind != PRINCIPAL_NONE && principal->project == project);
}

/* Who was not asked for a key, and so may do no more than that. */
static inline struct principal principal_unknown(void)
{
    return (struct principal){.kind = PRINCIPAL_UNKNOWN, .rights = RIGHT_PUBLIC};
}

/* Whether it has one of the rights; an administrator has them all. */
static inline bool principal_may(const struct principal *principal, uint32_t rights)
{
    return (principal->rights & (rights | RIGHT_ADMIN)) != 0;
}

#endif
