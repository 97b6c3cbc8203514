/*
 * outcome: how a step, a wait or a task ended: with a value or with an error.
 *
 * The engine decides on it, hosts send and receive it. Its texts are borrowed: whoever keeps one
 * for longer than the call it came with copies them.
 */
#ifndef SERVICE_BASE_OUTCOME_H
#define SERVICE_BASE_OUTCOME_H

#include "service/base/base.h"

struct outcome {
    bool failed;
    str value; /* JSON text; empty: it failed, or has no value. */
    str value_type; /* What hosts need beside it, theirs alone to read; empty: nothing. */
    str error_type; /* This and the next two: empty unless it failed. */
    str error_message;
    str error_stack;
};

#endif
