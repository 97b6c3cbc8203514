/*
 * events: one row per kind of event, which ties the engine's struct to its protobuf body.
 *
 * Only codec.c uses it.
 */
#ifndef SERVICE_CODEC_EVENTS_H
#define SERVICE_CODEC_EVENTS_H

#include "polos/journal/v1/journal.pb-c.h"
#include "service/engine/engine.h"

/* A body on the stack, with the messages inside it. */
struct event_body {
    union {
        ProtobufCMessage message;
        Polos__Journal__V1__RunStarted run_started;
        Polos__Journal__V1__RunCompleted run_completed;
        Polos__Journal__V1__RunFailed run_failed;
        Polos__Journal__V1__RunCancelled run_cancelled;
        Polos__Journal__V1__ModelRequested model_requested;
        Polos__Journal__V1__ModelReplied model_replied;
        Polos__Journal__V1__ModelFailed model_failed;
        Polos__Journal__V1__TaskRequested task_requested;
        Polos__Journal__V1__TaskSettled task_settled;
        Polos__Journal__V1__StepSettled step_settled;
        Polos__Journal__V1__LeaseGranted lease_granted;
        Polos__Journal__V1__LeaseLost lease_lost;
        Polos__Journal__V1__WaitSet wait_set;
        Polos__Journal__V1__WaitSettled wait_settled;
        Polos__Journal__V1__ChildSettled child_settled;
        Polos__Journal__V1__ResumeKept resume_kept;
        Polos__Journal__V1__TaskParked task_parked;
        Polos__Journal__V1__TaskFailed task_failed;
        Polos__Journal__V1__TaskRequeued task_requeued;
        Polos__Journal__V1__AdmissionAsked admission_asked;
        Polos__Journal__V1__AdmissionGiven admission_given;
        Polos__Journal__V1__CancelRequested cancel_requested;
    };
    Polos__Journal__V1__Outcome outcome;
    Polos__Journal__V1__ModelUsage usage;
};

struct event_row {
    const ProtobufCMessageDescriptor *descriptor;
    /* The body is initialised; what is set borrows from the event. */
    void (*to_body)(const struct event *event, struct event_body *ret);
    /* The event is zeroed but for its envelope; what is set borrows from the message. */
    status (*from_body)(const ProtobufCMessage *message, struct event *ret);
};

/* NULL for EVENT_NONE and what lies beyond the last kind. */
const struct event_row *event_row_of(unsigned kind);

#endif
