/*
 * start: runs of any kind are started here, whichever service was asked.
 *
 * The digest that an idempotency key is bound to covers what the run would be, not the bytes of
 * the request: Start and Run of the same are the same request.
 */
#ifndef SERVICE_API_START_H
#define SERVICE_API_START_H

#include "polos/v1/start.pb-c.h"
#include "service/api/exchange.h"
#include "service/api/run_input.h"
#include "service/engine/engine.h"

/* A start request in neutral form; borrowed for start_begin(). */
struct start_form {
    enum run_kind kind;
    str name;
    const char *name_field;
    struct run_input input;
    const Polos__V1__StartOptions *options; /* NULL: none. */
};

/* How one service words its answers. */
struct start_answers {
    void (*started)(struct api_call *call, char *run_id, Polos__V1__StartOutcome outcome);
    exchange_answer_run *ended; /* Of calls that wait. */
};

/* `answers` is static. waits: answer when the run has ended, not when it has started. */
void start_begin(struct api_call *call, const struct start_form *form,
                 const struct start_answers *answers, bool waits);
/* `closed` of every call that starts a run: nobody waits for its end any more. */
void start_closed(struct api_call *call);
/* `released` of the same: frees what start_begin() kept. */
void start_released(struct api_call *call);

#endif
