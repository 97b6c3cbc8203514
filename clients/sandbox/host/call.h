/*
 * call: one tool's call in one sandbox, from its start to its answer.
 *
 * Threading: call_run() blocks; each call has a thread of its own. call_stop() is for any other.
 */
#ifndef CLIENTS_SANDBOX_HOST_CALL_H
#define CLIENTS_SANDBOX_HOST_CALL_H

#include "clients/sandbox/host/local.h"
#include "service/base/buf.h"

enum {
    CALL_GRACE_S = 30, /* What the box has beyond the timeout of its command. */
};

struct call {
    const struct local_options *sandbox;
    str request; /* As clients/sandbox/box/request.h has it. */
    uint64_t timeout_s; /* Of its command. */
    /* What a command printed, well-formed and without NULs; on the call's thread. */
    void (*shown)(void *context, str text);
    void *context;
    int stop_fd; /* The call's: see call_init(). */
};

/* RESOURCE_EXHAUSTED: there is no descriptor left. The other members are the caller's to set. */
status call_init(struct call *call);
void call_fini(struct call *call);
/* The result, a JSON object, is appended. CANCELLED: it was stopped; else why the tool failed, or
 * why there is no sandbox. Sentences live in the arena. When it returns nothing of it is left. */
status call_run(const struct call *call, struct arena *arena, struct buf *ret);
/* It ends soon, and everything it started. */
void call_stop(const struct call *call);

#endif
