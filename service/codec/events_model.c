/*
 * Model calls, the admission that they wait for, and what is said to the model meanwhile.
 */
#include "service/codec/body.h"
#include "service/codec/events.h"

static_assert(REPLY_STOP_END == 0 && REPLY_STOP_TOOLS == 1 && REPLY_STOP_LENGTH == 2, "disk");
static_assert(REPLY_STOP_CONTENT_FILTER == 3 && REPLY_STOP_REFUSAL == 4, "disk");
static_assert(REPLY_STOP_PAUSE == 5, "disk");
static_assert(REJECTED_BY_SCHEMA == 0, "disk");

static void model_requested_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__ModelRequested *body = ret->message;
    body->effect = event->effect;
    body->attempt = event->attempt;
}

static status model_requested_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__ModelRequested *body = message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    return STATUS_OK;
}

static void model_replied_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__ModelReplied *body = ret->message;
    const struct engine_usage *usage = &event->model_replied.usage;
    assert(event->model_replied.stop < REPLY_STOP_COUNT);
    polos__journal__v1__model_usage__init(&ret->usage);
    ret->usage.input = usage->input;
    ret->usage.output = usage->output;
    ret->usage.cache_read = usage->cache_read;
    ret->usage.cache_write = usage->cache_write;
    ret->usage.reasoning = usage->reasoning;
    ret->usage.known = usage->known;
    body->effect = event->effect;
    body->attempt = event->attempt;
    body->reply = body_bytes(event->model_replied.reply);
    body->stop = (uint32_t)event->model_replied.stop;
    body->usage = &ret->usage;
}

static status model_replied_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__ModelReplied *body = message;
    struct engine_usage *usage = &ret->model_replied.usage;
    if (body->stop >= REPLY_STOP_COUNT) {
        return events_newer("MODEL_REPLIED: a stop this release does not know");
    }
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->model_replied.reply = body_str(body->reply);
    ret->model_replied.stop = (enum reply_stop)body->stop;
    if (body->usage != NULL) {
        usage->input = body->usage->input;
        usage->output = body->usage->output;
        usage->cache_read = body->usage->cache_read;
        usage->cache_write = body->usage->cache_write;
        usage->reasoning = body->usage->reasoning;
        usage->known = body->usage->known;
    }
    return STATUS_OK;
}

static void model_failed_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__ModelFailed *body = ret->message;
    body->effect = event->effect;
    body->attempt = event->attempt;
    body->reason = body_bytes(event->model_failed.reason);
    body->message = body_bytes(event->model_failed.message);
    body->retry_at_ms = event->model_failed.retry_at_ms;
}

static status model_failed_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__ModelFailed *body = message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->model_failed.reason = body_str(body->reason);
    ret->model_failed.message = body_str(body->message);
    ret->model_failed.retry_at_ms = body->retry_at_ms;
    return STATUS_OK;
}

static void reply_rejected_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__ReplyRejected *body = ret->message;
    assert(event->reply_rejected.by < REJECTED_BY_COUNT);
    body->by = (uint32_t)event->reply_rejected.by;
    body->feedback = body_bytes(event->reply_rejected.feedback);
}

static status reply_rejected_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__ReplyRejected *body = message;
    if (body->by >= REJECTED_BY_COUNT) {
        return events_newer("REPLY_REJECTED: by whom this release does not know");
    }
    ret->reply_rejected.by = (enum rejected_by)body->by;
    ret->reply_rejected.feedback = body_str(body->feedback);
    return STATUS_OK;
}

static void input_accepted_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__InputAccepted *body = ret->message;
    body->number = event->input_accepted.number;
    body->data = body_bytes(event->input_accepted.data);
    body->key = body_bytes(event->input_accepted.key);
}

static status input_accepted_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__InputAccepted *body = message;
    ret->input_accepted.number = body->number;
    ret->input_accepted.data = body_str(body->data);
    ret->input_accepted.key = body_str(body->key);
    return STATUS_OK;
}

static void input_taken_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__InputTaken *body = ret->message;
    body->number = event->input_taken.number;
    body->turn = event->input_taken.turn;
}

static status input_taken_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__InputTaken *body = message;
    ret->input_taken.number = body->number;
    ret->input_taken.turn = body->turn;
    return STATUS_OK;
}

static void input_returned_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__InputReturned *body = ret->message;
    body->number = event->input_returned.number;
}

static status input_returned_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__InputReturned *body = message;
    ret->input_returned.number = body->number;
    return STATUS_OK;
}

static void admission_asked_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__AdmissionAsked *body = ret->message;
    body->effect = event->effect;
}

static status admission_asked_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__AdmissionAsked *body = message;
    ret->effect = body->effect;
    return STATUS_OK;
}

static void admission_given_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__AdmissionGiven *body = ret->message;
    body->effect = event->effect;
}

static status admission_given_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__AdmissionGiven *body = message;
    ret->effect = body->effect;
    return STATUS_OK;
}

static const struct event_row rows[] = {
    [EVENT_MODEL_REQUESTED] = {&polos__journal__v1__model_requested__descriptor, model_requested_to,
                               model_requested_from},
    [EVENT_MODEL_REPLIED] = {&polos__journal__v1__model_replied__descriptor, model_replied_to,
                             model_replied_from},
    [EVENT_MODEL_FAILED] = {&polos__journal__v1__model_failed__descriptor, model_failed_to,
                            model_failed_from},
    [EVENT_ADMISSION_ASKED] = {&polos__journal__v1__admission_asked__descriptor, admission_asked_to,
                               admission_asked_from},
    [EVENT_REPLY_REJECTED] = {&polos__journal__v1__reply_rejected__descriptor, reply_rejected_to,
                              reply_rejected_from},
    [EVENT_INPUT_ACCEPTED] = {&polos__journal__v1__input_accepted__descriptor, input_accepted_to,
                              input_accepted_from},
    [EVENT_INPUT_TAKEN] = {&polos__journal__v1__input_taken__descriptor, input_taken_to,
                           input_taken_from},
    [EVENT_INPUT_RETURNED] = {&polos__journal__v1__input_returned__descriptor, input_returned_to,
                              input_returned_from},
    [EVENT_ADMISSION_GIVEN] = {&polos__journal__v1__admission_given__descriptor, admission_given_to,
                               admission_given_from},
};

const struct event_rows model_events = {rows, COUNT_OF(rows)};
