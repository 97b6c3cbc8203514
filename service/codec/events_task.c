/*
 * Tasks: their leases, their steps, their ends.
 */
#include "service/codec/body.h"
#include "service/codec/events.h"

static bool is_task(uint32_t kind)
{
    return kind == EFFECT_TOOL || kind == EFFECT_BODY || kind == EFFECT_CALLBACK;
}

static void task_requested_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__TaskRequested *body = ret->message;
    assert(is_task(event->task_requested.kind));
    body->effect = event->effect;
    body->kind = (uint32_t)event->task_requested.kind;
    body->name = body_bytes(event->task_requested.name);
    body->call_id = body_bytes(event->task_requested.call_id);
    body->input = body_bytes(event->task_requested.input);
    body->deadline_ms = event->task_requested.deadline_ms;
    body->at_most_once = event->task_requested.at_most_once;
    body->phase = (uint32_t)event->task_requested.phase;
    body->index = event->task_requested.index;
    body->about = event->task_requested.about;
}

static status task_requested_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__TaskRequested *body = message;
    bool is_callback = body->kind == EFFECT_CALLBACK;
    if (!is_task(body->kind) || body->phase >= CALLBACK_PHASE_COUNT || body->index > UINT8_MAX ||
        is_callback != (body->phase != CALLBACK_NONE)) {
        return events_newer("TASK_REQUESTED: a kind of task this release does not know");
    }
    ret->effect = body->effect;
    ret->task_requested.kind = (enum effect_kind)body->kind;
    ret->task_requested.name = body_str(body->name);
    ret->task_requested.call_id = body_str(body->call_id);
    ret->task_requested.input = body_str(body->input);
    ret->task_requested.deadline_ms = body->deadline_ms;
    ret->task_requested.at_most_once = body->at_most_once;
    ret->task_requested.phase = (enum callback_phase)body->phase;
    ret->task_requested.index = body->index;
    ret->task_requested.about = body->about;
    return STATUS_OK;
}

static void task_settled_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__TaskSettled *body = ret->message;
    body->effect = event->effect;
    body->attempt = event->attempt;
    body->outcome = events_put_outcome(&event->task_settled.outcome, ret);
    body->state = body_bytes(event->task_settled.state.json);
    body->state_type = body_bytes(event->task_settled.state.type);
}

static status task_settled_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__TaskSettled *body = message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->task_settled.state.json = body_str(body->state);
    ret->task_settled.state.type = body_str(body->state_type);
    return events_take_outcome(body->outcome, &ret->task_settled.outcome);
}

static void step_settled_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__StepSettled *body = ret->message;
    body->effect = event->effect;
    body->attempt = event->attempt;
    body->number = event->step_settled.number;
    body->key = body_bytes(event->step_settled.key);
    body->outcome = events_put_outcome(&event->step_settled.outcome, ret);
    body->state = body_bytes(event->step_settled.state.json);
    body->state_type = body_bytes(event->step_settled.state.type);
}

static status step_settled_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__StepSettled *body = message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->step_settled.number = body->number;
    ret->step_settled.key = body_str(body->key);
    ret->step_settled.state.json = body_str(body->state);
    ret->step_settled.state.type = body_str(body->state_type);
    return events_take_outcome(body->outcome, &ret->step_settled.outcome);
}

static void cancel_shown_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__CancelShown *body = ret->message;
    body->effect = event->effect;
    body->attempt = event->attempt;
    body->number = event->cancel_shown.number;
}

static status cancel_shown_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__CancelShown *body = message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->cancel_shown.number = body->number;
    return STATUS_OK;
}

static void withdrawn_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__Withdrawn *body = ret->message;
    body->effect = event->effect;
    body->attempt = event->attempt;
    body->number = event->withdrawn.number;
    body->key = body_bytes(event->withdrawn.key);
    body->facts_seen = event->withdrawn.facts_seen;
    body->retries = event->withdrawn.retries;
}

static status withdrawn_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__Withdrawn *body = message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->withdrawn.number = body->number;
    ret->withdrawn.key = body_str(body->key);
    ret->withdrawn.facts_seen = body->facts_seen;
    ret->withdrawn.retries = body->retries;
    return STATUS_OK;
}

static void step_tried_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__StepTried *body = ret->message;
    body->effect = event->effect;
    body->attempt = event->attempt;
    body->number = event->step_tried.number;
    body->key = body_bytes(event->step_tried.key);
    body->try_number = event->step_tried.try_number;
    body->outcome = events_put_outcome(&event->step_tried.outcome, ret);
    body->retry_at_ms = event->step_tried.retry_at_ms;
}

static status step_tried_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__StepTried *body = message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->step_tried.number = body->number;
    ret->step_tried.key = body_str(body->key);
    ret->step_tried.try_number = body->try_number;
    ret->step_tried.retry_at_ms = body->retry_at_ms;
    return events_take_outcome(body->outcome, &ret->step_tried.outcome);
}

static void lease_granted_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__LeaseGranted *body = ret->message;
    body->effect = event->effect;
    body->attempt = event->attempt;
    body->host_id = body_bytes(event->lease_granted.host_id);
    body->deployment = body_bytes(event->lease_granted.deployment);
    body->language = body_bytes(event->lease_granted.language);
}

static status lease_granted_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__LeaseGranted *body = message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->lease_granted.host_id = body_str(body->host_id);
    ret->lease_granted.deployment = body_str(body->deployment);
    ret->lease_granted.language = body_str(body->language);
    return STATUS_OK;
}

static void lease_lost_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__LeaseLost *body = ret->message;
    body->effect = event->effect;
    body->attempt = event->attempt;
    body->cause = body_bytes(event->lease_lost.cause);
    body->excused = event->lease_lost.is_excused;
}

static status lease_lost_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__LeaseLost *body = message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->lease_lost.cause = body_str(body->cause);
    ret->lease_lost.is_excused = body->excused;
    return STATUS_OK;
}

static void task_parked_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__TaskParked *body = ret->message;
    body->effect = event->effect;
    body->attempt = event->attempt;
    body->is_ready = event->task_parked.is_ready;
}

static status task_parked_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__TaskParked *body = message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->task_parked.is_ready = body->is_ready;
    return STATUS_OK;
}

static void task_failed_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__TaskFailed *body = ret->message;
    body->effect = event->effect;
    body->attempt = event->attempt;
    body->outcome = events_put_outcome(&event->task_failed.outcome, ret);
    body->state = body_bytes(event->task_failed.state.json);
    body->state_type = body_bytes(event->task_failed.state.type);
    body->retry_at_ms = event->task_failed.retry_at_ms;
    body->is_mismatch = event->task_failed.is_mismatch;
    body->keeps_children = event->task_failed.keeps_children;
}

static status task_failed_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__TaskFailed *body = message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->task_failed.state.json = body_str(body->state);
    ret->task_failed.state.type = body_str(body->state_type);
    ret->task_failed.retry_at_ms = body->retry_at_ms;
    ret->task_failed.is_mismatch = body->is_mismatch;
    ret->task_failed.keeps_children = body->keeps_children;
    return events_take_outcome(body->outcome, &ret->task_failed.outcome);
}

static void task_requeued_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__TaskRequeued *body = ret->message;
    body->effect = event->effect;
    body->attempt = event->attempt;
}

static status task_requeued_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__TaskRequeued *body = message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    return STATUS_OK;
}

static void amended_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__Amended *body = ret->message;
    body->effect = event->effect;
    body->about = event->amended.about;
    body->value = body_bytes(event->amended.value);
}

static status amended_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__Amended *body = message;
    ret->effect = body->effect;
    ret->amended.about = body->about;
    ret->amended.value = body_str(body->value);
    return STATUS_OK;
}

static const struct event_row rows[] = {
    [EVENT_TASK_REQUESTED] = {&polos__journal__v1__task_requested__descriptor, task_requested_to,
                              task_requested_from},
    [EVENT_TASK_SETTLED] = {&polos__journal__v1__task_settled__descriptor, task_settled_to,
                            task_settled_from},
    [EVENT_STEP_SETTLED] = {&polos__journal__v1__step_settled__descriptor, step_settled_to,
                            step_settled_from},
    [EVENT_LEASE_GRANTED] = {&polos__journal__v1__lease_granted__descriptor, lease_granted_to,
                             lease_granted_from},
    [EVENT_LEASE_LOST] = {&polos__journal__v1__lease_lost__descriptor, lease_lost_to,
                          lease_lost_from},
    [EVENT_TASK_PARKED] = {&polos__journal__v1__task_parked__descriptor, task_parked_to,
                           task_parked_from},
    [EVENT_TASK_FAILED] = {&polos__journal__v1__task_failed__descriptor, task_failed_to,
                           task_failed_from},
    [EVENT_TASK_REQUEUED] = {&polos__journal__v1__task_requeued__descriptor, task_requeued_to,
                             task_requeued_from},
    [EVENT_CANCEL_SHOWN] = {&polos__journal__v1__cancel_shown__descriptor, cancel_shown_to,
                            cancel_shown_from},
    [EVENT_WITHDRAWN] = {&polos__journal__v1__withdrawn__descriptor, withdrawn_to, withdrawn_from},
    [EVENT_STEP_TRIED] = {&polos__journal__v1__step_tried__descriptor, step_tried_to,
                          step_tried_from},
    [EVENT_INPUT_AMENDED] = {&polos__journal__v1__amended__descriptor, amended_to, amended_from},
    [EVENT_CALL_AMENDED] = {&polos__journal__v1__amended__descriptor, amended_to, amended_from},
    [EVENT_RESULT_AMENDED] = {&polos__journal__v1__amended__descriptor, amended_to, amended_from},
};

const struct event_rows task_events = {rows, COUNT_OF(rows)};
