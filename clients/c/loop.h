/*
 * loop: the completion queue behind everything, and what runs beside it.
 *
 * Work that many callbacks of one event ask for (writing to a stream) is done once, after it.
 */
#ifndef CLIENTS_C_LOOP_H
#define CLIENTS_C_LOOP_H

#include <grpc/grpc.h>

#include "clients/c/polos.h"

/* What an operation on the queue calls when it is done. Embedded in its owner. */
struct polos_loop_tag {
    void (*done)(struct polos_loop_tag *tag, bool ok);
};

/* What runs after the event that is being dealt with. Embedded; zero-initialised is not due. */
struct polos_loop_soon {
    void (*run)(struct polos_loop_soon *soon);
    struct polos_loop_soon *next;
    bool is_due;
};

/* Where operations whose tag begins with struct polos_loop_tag complete. */
grpc_completion_queue *polos_loop_queue(struct polos_loop *loop);
/* Makes it due, once, behind those that are. */
void polos_loop_soon(struct polos_loop *loop, struct polos_loop_soon *soon);
/* Not due any more. */
void polos_loop_not_soon(struct polos_loop *loop, struct polos_loop_soon *soon);

#endif
