/*
 * polos_host: runs tools and workflows of this process for polosd.
 *
 * A task is given to a function, which returns at once and settles the task later, from the
 * loop: so one thread works on thousands. Work that blocks belongs on a thread of its own, whose
 * result comes back through polos_loop_post(). The host dials again for as long as it lives;
 * tasks go on meanwhile, and what they settled is sent again when the server is back.
 *
 * Threading: as polos.h.
 */
#ifndef CLIENTS_C_POLOS_HOST_H
#define CLIENTS_C_POLOS_HOST_H

#include "clients/c/polos.h"
#include "clients/c/polos_task.h"

struct polos_host;

struct polos_host_options {
    const char *host_id; /* Unique to this process. NULL: made from its name and chance. */
    const char *deployment; /* The code version. NULL: "default". */
    uint32_t slots; /* Tasks at once, 1 to 10,000. 0: 100. */
    /* Optional: the server said Welcome. resumed: to the session that was cut. */
    void (*connected)(void *context, bool resumed);
    /* Optional: the server refuses this host, and dialling again will not help. */
    void (*refused)(void *context, const struct polos_error *error);
    void *context;
};

/* The task is yours until polos_task_done(). */
typedef void polos_task_given(void *context, struct polos_task *task);

/* Never NULL. The options' texts are copied. Nothing is dialled yet. */
struct polos_host *polos_host_new(struct polos_client *client,
                                  const struct polos_host_options *options);
/* Offers are made before polos_host_start(); what is passed is copied. */
void polos_host_offer_tool(struct polos_host *host, const Polos__V1__ToolDefinition *tool,
                           polos_task_given *given, void *context);
/* As polos_host_offer_tool(); description may be NULL. */
void polos_host_offer_workflow(struct polos_host *host, const char *id, const char *description,
                               polos_task_given *given, void *context);
/* An agent that this host defines; its loop runs in the server. */
void polos_host_offer_agent(struct polos_host *host, const Polos__V1__AgentDefinition *agent);
/* Dials, once; from then on it takes tasks. */
void polos_host_start(struct polos_host *host);
/* Takes no more tasks, leaves when those at work are settled, and calls stopped(context). */
void polos_host_stop(struct polos_host *host, void (*stopped)(void *context), void *context);
/* As polos_host_stop(), but what it holds is given back at once, and its owners are told to stop.
 */
void polos_host_leave(struct polos_host *host, void (*stopped)(void *context), void *context);
void polos_host_free(struct polos_host *host); /* After `stopped`, or never started. NULL too. */

#endif
