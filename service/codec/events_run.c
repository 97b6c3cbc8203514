/*
 * What begins and ends a run.
 */
#include "service/codec/body.h"
#include "service/codec/events.h"
#include "service/codec/start_options.h"

static_assert(RUN_KIND_AGENT == 1 && RUN_KIND_WORKFLOW == 2 && RUN_KIND_TOOL == 3, "disk");

static void run_started_to(const struct event *event, struct event_body *ret)
{
    const struct run_spec *spec = &event->run_started.spec;
    Polos__Journal__V1__RunStarted *body = ret->message;
    assert(spec->kind > RUN_KIND_NONE && spec->kind < RUN_KIND_COUNT);
    body->id = events_put_id(&event->run_started.id);
    body->kind = (uint32_t)spec->kind;
    body->name = body_bytes(spec->name);
    body->input = body_bytes(spec->input);
    body->options = body_bytes(spec->provider_options);
    body->definition_hash = body_bytes(spec->definition_hash);
    body->parent = events_put_id(&spec->parent);
    body->root = events_put_id(&spec->root);
    body->deadline_ms = spec->deadline_ms;
    body->tokens_max = spec->tokens_max;
    body->turns_max = spec->turns_max;
    body->retries_max = spec->retries_max;
    body->parent_effect = spec->parent_effect;
    body->parent_index = spec->parent_index;
    start_options_pack(&spec->options, body);
    body->depth = spec->depth;
    body->output_tries = spec->output_tries;
    body->has_order = spec->has_order;
    body->cause = (uint32_t)spec->cause;
    body->started_by = body_bytes(spec->started_by);
    body->origin = events_put_id(&spec->origin);
    body->callbacks = body_bytes(spec->callbacks);
    body->guardrail_retries = spec->guardrail_retries;
    if (spec->callbacks.len > 0) {
        body->callback_counts = body_bytes(
            str_make((const char *)spec->callback_counts, sizeof(spec->callback_counts)));
    }
}

static status run_started_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__RunStarted *body = message;
    struct run_spec *spec = &ret->run_started.spec;
    if (body->kind == RUN_KIND_NONE || body->kind >= RUN_KIND_COUNT) {
        return events_newer("RUN_STARTED: a kind of run this release does not know");
    }
    if (!events_take_id(body->id, &ret->run_started.id) ||
        !events_take_id(body->parent, &spec->parent) || !events_take_id(body->root, &spec->root) ||
        !events_take_id(body->origin, &spec->origin)) {
        return events_damaged("RUN_STARTED: an id is not 16 bytes long");
    }
    if (body->definition_hash.len != 0 && body->definition_hash.len != 16) {
        return events_damaged("RUN_STARTED: the definition's hash is not 16 bytes long");
    }
    if (body->output_tries > ENGINE_OUTPUT_TRIES_MAX) {
        return events_newer("RUN_STARTED: more tries of an answer than this release knows");
    }
    spec->kind = (enum run_kind)body->kind;
    spec->name = body_str(body->name);
    spec->input = body_str(body->input);
    spec->provider_options = body_str(body->options);
    spec->definition_hash = body_str(body->definition_hash);
    spec->deadline_ms = body->deadline_ms;
    spec->tokens_max = body->tokens_max;
    spec->turns_max = body->turns_max;
    spec->retries_max = body->retries_max;
    spec->parent_effect = body->parent_effect;
    spec->parent_index = body->parent_index;
    start_options_unpack(body, &spec->options);
    spec->depth = body->depth;
    spec->output_tries = body->output_tries;
    spec->has_order = body->has_order;
    spec->cause =
        body->cause < START_CAUSE_COUNT ? (enum start_cause)body->cause : START_CAUSE_UNKNOWN;
    spec->started_by = body_str(body->started_by);
    spec->callbacks = body_str(body->callbacks);
    if (body->guardrail_retries > ENGINE_GUARDRAIL_RETRIES_MAX) {
        return events_damaged("RUN_STARTED: more retries than a guardrail may have");
    }
    spec->guardrail_retries = body->guardrail_retries;
    if ((body->callback_counts.len == 0) != (spec->callbacks.len == 0) ||
        body->callback_counts.len > sizeof(spec->callback_counts)) {
        return events_damaged("RUN_STARTED: its callbacks are not counted");
    }
    if (body->callback_counts.len > 0) {
        memcpy(spec->callback_counts, body->callback_counts.data, body->callback_counts.len);
    }
    return STATUS_OK;
}

static void run_completed_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__RunCompleted *body = ret->message;
    body->stop_reason = body_bytes(event->run_completed.stop_reason);
}

static status run_completed_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__RunCompleted *body = message;
    ret->run_completed.stop_reason = body_str(body->stop_reason);
    return STATUS_OK;
}

static void run_failed_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__RunFailed *body = ret->message;
    body->reason = body_bytes(event->run_failed.reason);
    body->message = body_bytes(event->run_failed.message);
}

static status run_failed_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__RunFailed *body = message;
    ret->run_failed.reason = body_str(body->reason);
    ret->run_failed.message = body_str(body->message);
    return STATUS_OK;
}

static void run_cancelled_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__RunCancelled *body = ret->message;
    body->cause = body_bytes(event->run_cancelled.cause);
}

static status run_cancelled_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__RunCancelled *body = message;
    ret->run_cancelled.cause = body_str(body->cause);
    return STATUS_OK;
}

static void cancel_requested_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__CancelRequested *body = ret->message;
    body->cause = body_bytes(event->cancel_requested.cause);
    body->deadline_ms = event->cancel_requested.deadline_ms;
}

static status cancel_requested_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__CancelRequested *body = message;
    ret->cancel_requested.cause = body_str(body->cause);
    ret->cancel_requested.deadline_ms = body->deadline_ms;
    return STATUS_OK;
}

static const struct event_row rows[] = {
    [EVENT_RUN_STARTED] = {&polos__journal__v1__run_started__descriptor, run_started_to,
                           run_started_from},
    [EVENT_RUN_COMPLETED] = {&polos__journal__v1__run_completed__descriptor, run_completed_to,
                             run_completed_from},
    [EVENT_RUN_FAILED] = {&polos__journal__v1__run_failed__descriptor, run_failed_to,
                          run_failed_from},
    [EVENT_RUN_CANCELLED] = {&polos__journal__v1__run_cancelled__descriptor, run_cancelled_to,
                             run_cancelled_from},
    [EVENT_CANCEL_REQUESTED] = {&polos__journal__v1__cancel_requested__descriptor,
                                cancel_requested_to, cancel_requested_from},
};

const struct event_rows run_events = {rows, COUNT_OF(rows)};
