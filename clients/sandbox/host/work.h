/*
 * work: a task of this host: asked about if it must be, carried out in its sandbox, settled.
 *
 * A task that waits for somebody's answer is parked: it is given again with the answer, to this
 * host or another, and holds nothing meanwhile.
 *
 * Threading: the loop's; the call itself blocks on a thread of its own.
 */
#ifndef CLIENTS_SANDBOX_HOST_WORK_H
#define CLIENTS_SANDBOX_HOST_WORK_H

#include "clients/c/polos_host.h"
#include "clients/sandbox/host/sandboxes.h"
#include "clients/sandbox/host/settings.h"
#include "clients/sandbox/host/tools.h"

/* What all tasks share. */
struct work_place {
    struct polos_loop *loop;
    const struct settings *settings;
    struct sandboxes *sandboxes;
};

/* Settles the task, sooner or later. */
void work_begin(const struct work_place *place, const struct tool_row *tool,
                struct polos_task *task);

#endif
