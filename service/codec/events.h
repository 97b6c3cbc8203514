/*
 * events: one row per kind of event, which ties the engine's struct to its protobuf body.
 *
 * The rows are in events_run.c, events_model.c, events_task.c and events_wait.c. Only codec.c looks
 * for them.
 */
#ifndef SERVICE_CODEC_EVENTS_H
#define SERVICE_CODEC_EVENTS_H

#include <stddef.h>

#include "polos/journal/v1/journal.pb-c.h"
#include "service/engine/engine.h"

/* A body on the stack, with the messages inside it. */
struct event_body {
    void *message; /* Of the row's type, in `room`. */
    Polos__Journal__V1__Outcome outcome;
    Polos__Journal__V1__ModelUsage usage;
    max_align_t room[32];
};

struct event_row {
    const ProtobufCMessageDescriptor *descriptor;
    /* The body is initialised; what is set borrows from the event. */
    void (*to_body)(const struct event *event, struct event_body *ret);
    /* The event is zeroed but for its envelope; what is set borrows from the message, which is of
     * the row's type. */
    status (*from_body)(const void *message, struct event *ret);
};

/* By kind; where other files have the row, it is empty. */
struct event_rows {
    const struct event_row *rows;
    size_t count;
};

extern const struct event_rows run_events, model_events, task_events, wait_events;

/* NULL for EVENT_NONE and what lies beyond the last kind. */
const struct event_row *event_row_of(unsigned kind);

/* What several kinds have. A zero id is not written; false: it is not 16 bytes long. */
ProtobufCBinaryData events_put_id(const uuid *id);
bool events_take_id(ProtobufCBinaryData bytes, uuid *ret);
/* In the body; it borrows from the outcome. */
Polos__Journal__V1__Outcome *events_put_outcome(const struct outcome *outcome,
                                                struct event_body *ret);
/* DATA_LOSS when there is none. */
status events_take_outcome(const Polos__Journal__V1__Outcome *body, struct outcome *ret);
status events_newer(const char *why); /* FAILED_PRECONDITION: a newer release wrote it. */
status events_damaged(const char *why); /* DATA_LOSS. */

#endif
