/*
 * Model calls, the admission that they wait for, and what is said to the model meanwhile.
 */
#include "service/codec/body.h"
#include "service/codec/events.h"

static_assert(REPLY_STOP_END == 0 && REPLY_STOP_TOOLS == 1 && REPLY_STOP_LENGTH == 2, "disk");
static_assert(REPLY_STOP_CONTENT_FILTER == 3 && REPLY_STOP_REFUSAL == 4, "disk");
static_assert(REPLY_STOP_PAUSE == 5, "disk");
static_assert(REJECTED_BY_SCHEMA == 0 && REJECTED_BY_GUARDRAIL == 1, "disk");

static void model_requested_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__ModelRequested *body = ret->message;
    body->effect = event->effect;
    body->attempt = event->attempt;
    body->guardrail = event->model_requested.guardrail;
}

static status model_requested_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__ModelRequested *body = message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->model_requested.guardrail = body->guardrail;
    return STATUS_OK;
}

static void put_usage(const struct engine_usage *usage, struct event_body *ret)
{
    polos__journal__v1__model_usage__init(&ret->usage);
    ret->usage.input = usage->input;
    ret->usage.output = usage->output;
    ret->usage.cache_read = usage->cache_read;
    ret->usage.cache_write = usage->cache_write;
    ret->usage.reasoning = usage->reasoning;
    ret->usage.known = usage->known;
}

static void take_usage(const Polos__Journal__V1__ModelUsage *usage, struct engine_usage *ret)
{
    if (usage != NULL) {
        ret->input = usage->input;
        ret->output = usage->output;
        ret->cache_read = usage->cache_read;
        ret->cache_write = usage->cache_write;
        ret->reasoning = usage->reasoning;
        ret->known = usage->known;
    }
}

static void model_replied_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__ModelReplied *body = ret->message;
    assert(event->model_replied.stop < REPLY_STOP_COUNT);
    put_usage(&event->model_replied.usage, ret);
    body->is_judged = event->model_replied.is_judged;
    body->effect = event->effect;
    body->attempt = event->attempt;
    body->reply = body_bytes(event->model_replied.reply);
    body->stop = (uint32_t)event->model_replied.stop;
    body->usage = &ret->usage;
}

static status model_replied_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__ModelReplied *body = message;
    if (body->stop >= REPLY_STOP_COUNT) {
        return events_newer("MODEL_REPLIED: a stop this release does not know");
    }
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->model_replied.reply = body_str(body->reply);
    ret->model_replied.stop = (enum reply_stop)body->stop;
    ret->model_replied.is_judged = body->is_judged;
    take_usage(body->usage, &ret->model_replied.usage);
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
    body->guardrail = body_bytes(event->reply_rejected.guardrail);
}

static status reply_rejected_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__ReplyRejected *body = message;
    if (body->by >= REJECTED_BY_COUNT) {
        return events_newer("REPLY_REJECTED: by whom this release does not know");
    }
    ret->reply_rejected.by = (enum rejected_by)body->by;
    ret->reply_rejected.feedback = body_str(body->feedback);
    ret->reply_rejected.guardrail = body_str(body->guardrail);
    return STATUS_OK;
}

static void reply_amended_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__ReplyAmended *body = ret->message;
    assert(event->reply_amended.stop < REPLY_STOP_COUNT);
    body->effect = event->effect;
    body->reply = body_bytes(event->reply_amended.reply);
    body->stop = (uint32_t)event->reply_amended.stop;
}

static status reply_amended_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__ReplyAmended *body = message;
    if (body->stop >= REPLY_STOP_COUNT) {
        return events_newer("REPLY_AMENDED: a stop this release does not know");
    }
    ret->effect = body->effect;
    ret->reply_amended.reply = body_str(body->reply);
    ret->reply_amended.stop = (enum reply_stop)body->stop;
    return STATUS_OK;
}

static void reply_judged_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__ReplyJudged *body = ret->message;
    put_usage(&event->reply_judged.usage, ret);
    body->effect = event->effect;
    body->attempt = event->attempt;
    body->passed = event->reply_judged.passed;
    body->reason = body_bytes(event->reply_judged.reason);
    body->usage = &ret->usage;
}

static status reply_judged_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__ReplyJudged *body = message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->reply_judged.passed = body->passed;
    ret->reply_judged.reason = body_str(body->reason);
    take_usage(body->usage, &ret->reply_judged.usage);
    return STATUS_OK;
}

static void reply_passed_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__ReplyPassed *body = ret->message;
    body->effect = event->effect;
}

static status reply_passed_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__ReplyPassed *body = message;
    ret->effect = body->effect;
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
    body->guardrail = event->model_requested.guardrail;
}

static status admission_asked_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__AdmissionAsked *body = message;
    ret->effect = body->effect;
    ret->model_requested.guardrail = body->guardrail;
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
    [EVENT_REPLY_AMENDED] = {&polos__journal__v1__reply_amended__descriptor, reply_amended_to,
                             reply_amended_from},
    [EVENT_REPLY_JUDGED] = {&polos__journal__v1__reply_judged__descriptor, reply_judged_to,
                            reply_judged_from},
    [EVENT_REPLY_PASSED] = {&polos__journal__v1__reply_passed__descriptor, reply_passed_to,
                            reply_passed_from},
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
