#include "service/codec/events.h"

#include "service/codec/body.h"
#include "service/codec/start_options.h"

/* What is on disk is read by these numbers for ever. */
static_assert(EVENT_RUN_STARTED == 1 && EVENT_RUN_COMPLETED == 2 && EVENT_RUN_FAILED == 3, "disk");
static_assert(EVENT_RUN_CANCELLED == 4 && EVENT_MODEL_REQUESTED == 5, "disk");
static_assert(EVENT_MODEL_REPLIED == 6 && EVENT_MODEL_FAILED == 7, "disk");
static_assert(EVENT_TASK_REQUESTED == 8 && EVENT_TASK_SETTLED == 9, "disk");
static_assert(EVENT_STEP_SETTLED == 10 && EVENT_LEASE_GRANTED == 11, "disk");
static_assert(EVENT_LEASE_LOST == 12 && EVENT_WAIT_SET == 13 && EVENT_WAIT_SETTLED == 14, "disk");
static_assert(EVENT_CHILD_SETTLED == 15 && EVENT_RESUME_KEPT == 16, "disk");
static_assert(EVENT_TASK_PARKED == 17 && EVENT_TASK_FAILED == 18, "disk");
static_assert(EVENT_TASK_REQUEUED == 19 && EVENT_CANCEL_REQUESTED == 20, "disk");
static_assert(EVENT_ADMISSION_ASKED == 21 && EVENT_ADMISSION_GIVEN == 22, "disk");
static_assert(EVENT_COUNT == 23, "a new kind needs a row below");
static_assert(RUN_KIND_AGENT == 1 && RUN_KIND_WORKFLOW == 2 && RUN_KIND_TOOL == 3, "disk");
static_assert(EFFECT_MODEL == 1 && EFFECT_TOOL == 2 && EFFECT_BODY == 3, "disk");
static_assert(EFFECT_SLEEP == 4 && EFFECT_SUSPENSION == 5 && EFFECT_EVENT == 6, "disk");
static_assert(EFFECT_CHILDREN == 7 && EFFECT_AT_ONCE == 8 && EFFECT_KIND_COUNT == 9, "disk");
static_assert(REPLY_STOP_END == 0 && REPLY_STOP_TOOLS == 1 && REPLY_STOP_LENGTH == 2, "disk");
static_assert(REPLY_STOP_CONTENT_FILTER == 3 && REPLY_STOP_REFUSAL == 4, "disk");
static_assert(REPLY_STOP_PAUSE == 5, "disk");

static status newer(const char *why)
{
    return status_make(CODE_FAILED_PRECONDITION, why);
}

static status damaged(const char *why)
{
    return status_make(CODE_DATA_LOSS, why);
}

/* A zero id is not written. */
static ProtobufCBinaryData id_bytes(const uuid *id)
{
    return body_bytes(uuid_is_zero(*id) ? STR_EMPTY : str_make(id->bytes, sizeof(id->bytes)));
}

/* Absent: zero. */
static bool id_read(ProtobufCBinaryData bytes, uuid *ret)
{
    *ret = (uuid){{0}};
    if (bytes.len == sizeof(ret->bytes)) {
        memcpy(ret->bytes, bytes.data, sizeof(ret->bytes));
    }
    return bytes.len == sizeof(ret->bytes) || bytes.len == 0;
}

static void run_started_to(const struct event *event, struct event_body *ret)
{
    const struct run_spec *spec = &event->run_started.spec;
    Polos__Journal__V1__RunStarted *body = &ret->run_started;
    assert(spec->kind > RUN_KIND_NONE && spec->kind < RUN_KIND_COUNT);
    body->id = id_bytes(&event->run_started.id);
    body->kind = (uint32_t)spec->kind;
    body->name = body_bytes(spec->name);
    body->input = body_bytes(spec->input);
    body->options = body_bytes(spec->provider_options);
    body->definition_hash = body_bytes(spec->definition_hash);
    body->parent = id_bytes(&spec->parent);
    body->root = id_bytes(&spec->root);
    body->deadline_ms = spec->deadline_ms;
    body->tokens_max = spec->tokens_max;
    body->turns_max = spec->turns_max;
    body->retries_max = spec->retries_max;
    body->parent_effect = spec->parent_effect;
    body->parent_index = spec->parent_index;
    start_options_pack(&spec->options, body);
}

static status run_started_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__RunStarted *body = (const Polos__Journal__V1__RunStarted *)message;
    struct run_spec *spec = &ret->run_started.spec;
    if (body->kind == RUN_KIND_NONE || body->kind >= RUN_KIND_COUNT) {
        return newer("RUN_STARTED: a kind of run this release does not know");
    }
    if (!id_read(body->id, &ret->run_started.id) || !id_read(body->parent, &spec->parent) ||
        !id_read(body->root, &spec->root)) {
        return damaged("RUN_STARTED: an id is not 16 bytes long");
    }
    if (body->definition_hash.len != 0 && body->definition_hash.len != 16) {
        return damaged("RUN_STARTED: the definition's hash is not 16 bytes long");
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
    return STATUS_OK;
}

static void run_completed_to(const struct event *event, struct event_body *ret)
{
    ret->run_completed.stop_reason = body_bytes(event->run_completed.stop_reason);
}

static status run_completed_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__RunCompleted *body =
        (const Polos__Journal__V1__RunCompleted *)message;
    ret->run_completed.stop_reason = body_str(body->stop_reason);
    return STATUS_OK;
}

static void run_failed_to(const struct event *event, struct event_body *ret)
{
    ret->run_failed.reason = body_bytes(event->run_failed.reason);
    ret->run_failed.message = body_bytes(event->run_failed.message);
}

static status run_failed_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__RunFailed *body = (const Polos__Journal__V1__RunFailed *)message;
    ret->run_failed.reason = body_str(body->reason);
    ret->run_failed.message = body_str(body->message);
    return STATUS_OK;
}

static void run_cancelled_to(const struct event *event, struct event_body *ret)
{
    ret->run_cancelled.cause = body_bytes(event->run_cancelled.cause);
}

static status run_cancelled_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__RunCancelled *body =
        (const Polos__Journal__V1__RunCancelled *)message;
    ret->run_cancelled.cause = body_str(body->cause);
    return STATUS_OK;
}

static void model_requested_to(const struct event *event, struct event_body *ret)
{
    ret->model_requested.effect = event->effect;
    ret->model_requested.attempt = event->attempt;
}

static status model_requested_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__ModelRequested *body =
        (const Polos__Journal__V1__ModelRequested *)message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    return STATUS_OK;
}

static void model_replied_to(const struct event *event, struct event_body *ret)
{
    const struct engine_usage *usage = &event->model_replied.usage;
    assert(event->model_replied.stop < REPLY_STOP_COUNT);
    polos__journal__v1__model_usage__init(&ret->usage);
    ret->usage.input = usage->input;
    ret->usage.output = usage->output;
    ret->usage.cache_read = usage->cache_read;
    ret->usage.cache_write = usage->cache_write;
    ret->usage.reasoning = usage->reasoning;
    ret->usage.known = usage->known;
    ret->model_replied.effect = event->effect;
    ret->model_replied.attempt = event->attempt;
    ret->model_replied.reply = body_bytes(event->model_replied.reply);
    ret->model_replied.stop = (uint32_t)event->model_replied.stop;
    ret->model_replied.usage = &ret->usage;
}

static status model_replied_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__ModelReplied *body =
        (const Polos__Journal__V1__ModelReplied *)message;
    struct engine_usage *usage = &ret->model_replied.usage;
    if (body->stop >= REPLY_STOP_COUNT) {
        return newer("MODEL_REPLIED: a stop this release does not know");
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
    ret->model_failed.effect = event->effect;
    ret->model_failed.attempt = event->attempt;
    ret->model_failed.reason = body_bytes(event->model_failed.reason);
    ret->model_failed.message = body_bytes(event->model_failed.message);
    ret->model_failed.retry_at_ms = event->model_failed.retry_at_ms;
}

static status model_failed_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__ModelFailed *body = (const Polos__Journal__V1__ModelFailed *)message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->model_failed.reason = body_str(body->reason);
    ret->model_failed.message = body_str(body->message);
    ret->model_failed.retry_at_ms = body->retry_at_ms;
    return STATUS_OK;
}

static void task_requested_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__TaskRequested *body = &ret->task_requested;
    assert(event->task_requested.kind == EFFECT_TOOL || event->task_requested.kind == EFFECT_BODY);
    body->effect = event->effect;
    body->kind = (uint32_t)event->task_requested.kind;
    body->name = body_bytes(event->task_requested.name);
    body->call_id = body_bytes(event->task_requested.call_id);
    body->input = body_bytes(event->task_requested.input);
    body->deadline_ms = event->task_requested.deadline_ms;
    body->at_most_once = event->task_requested.at_most_once;
}

static status task_requested_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__TaskRequested *body =
        (const Polos__Journal__V1__TaskRequested *)message;
    if (body->kind != EFFECT_TOOL && body->kind != EFFECT_BODY) {
        return newer("TASK_REQUESTED: a kind of task this release does not know");
    }
    ret->effect = body->effect;
    ret->task_requested.kind = (enum effect_kind)body->kind;
    ret->task_requested.name = body_str(body->name);
    ret->task_requested.call_id = body_str(body->call_id);
    ret->task_requested.input = body_str(body->input);
    ret->task_requested.deadline_ms = body->deadline_ms;
    ret->task_requested.at_most_once = body->at_most_once;
    return STATUS_OK;
}

static Polos__Journal__V1__Outcome *outcome_to(const struct outcome *outcome,
                                               struct event_body *ret)
{
    polos__journal__v1__outcome__init(&ret->outcome);
    ret->outcome.failed = outcome->failed;
    ret->outcome.value = body_bytes(outcome->value);
    ret->outcome.error_type = body_bytes(outcome->error_type);
    ret->outcome.error_message = body_bytes(outcome->error_message);
    ret->outcome.error_stack = body_bytes(outcome->error_stack);
    return &ret->outcome;
}

static status outcome_from(const Polos__Journal__V1__Outcome *body, struct outcome *ret)
{
    if (body == NULL) {
        return damaged("the outcome is missing");
    }
    ret->failed = body->failed;
    ret->value = body_str(body->value);
    ret->error_type = body_str(body->error_type);
    ret->error_message = body_str(body->error_message);
    ret->error_stack = body_str(body->error_stack);
    return STATUS_OK;
}

static void task_settled_to(const struct event *event, struct event_body *ret)
{
    ret->task_settled.effect = event->effect;
    ret->task_settled.attempt = event->attempt;
    ret->task_settled.outcome = outcome_to(&event->task_settled.outcome, ret);
    ret->task_settled.state = body_bytes(event->task_settled.state);
}

static status task_settled_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__TaskSettled *body = (const Polos__Journal__V1__TaskSettled *)message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->task_settled.state = body_str(body->state);
    return outcome_from(body->outcome, &ret->task_settled.outcome);
}

static void step_settled_to(const struct event *event, struct event_body *ret)
{
    ret->step_settled.effect = event->effect;
    ret->step_settled.attempt = event->attempt;
    ret->step_settled.number = event->step_settled.number;
    ret->step_settled.key = body_bytes(event->step_settled.key);
    ret->step_settled.outcome = outcome_to(&event->step_settled.outcome, ret);
    ret->step_settled.state = body_bytes(event->step_settled.state);
}

static status step_settled_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__StepSettled *body = (const Polos__Journal__V1__StepSettled *)message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->step_settled.number = body->number;
    ret->step_settled.key = body_str(body->key);
    ret->step_settled.state = body_str(body->state);
    return outcome_from(body->outcome, &ret->step_settled.outcome);
}

static void lease_granted_to(const struct event *event, struct event_body *ret)
{
    ret->lease_granted.effect = event->effect;
    ret->lease_granted.attempt = event->attempt;
    ret->lease_granted.host_id = body_bytes(event->lease_granted.host_id);
    ret->lease_granted.deployment = body_bytes(event->lease_granted.deployment);
}

static status lease_granted_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__LeaseGranted *body =
        (const Polos__Journal__V1__LeaseGranted *)message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->lease_granted.host_id = body_str(body->host_id);
    ret->lease_granted.deployment = body_str(body->deployment);
    return STATUS_OK;
}

static void lease_lost_to(const struct event *event, struct event_body *ret)
{
    ret->lease_lost.effect = event->effect;
    ret->lease_lost.attempt = event->attempt;
    ret->lease_lost.cause = body_bytes(event->lease_lost.cause);
    ret->lease_lost.excused = event->lease_lost.is_excused;
}

static status lease_lost_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__LeaseLost *body = (const Polos__Journal__V1__LeaseLost *)message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->lease_lost.cause = body_str(body->cause);
    ret->lease_lost.is_excused = body->excused;
    return STATUS_OK;
}

/* What a task's code may ask for. */
static bool is_step_request(uint32_t kind)
{
    return kind >= EFFECT_SLEEP && kind <= EFFECT_AT_ONCE;
}

static void wait_set_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__WaitSet *body = &ret->wait_set;
    assert(is_step_request((uint32_t)event->wait_set.kind));
    body->effect = event->effect;
    body->kind = (uint32_t)event->wait_set.kind;
    body->owner = event->wait_set.owner;
    body->key = body_bytes(event->wait_set.key);
    body->data = body_bytes(event->wait_set.data);
    body->due_ms = event->wait_set.due_ms;
    body->children = event->wait_set.children;
}

static status wait_set_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__WaitSet *body = (const Polos__Journal__V1__WaitSet *)message;
    if (!is_step_request(body->kind)) {
        return newer("WAIT_SET: a kind of wait this release does not know");
    }
    ret->effect = body->effect;
    ret->wait_set.kind = (enum effect_kind)body->kind;
    ret->wait_set.owner = body->owner;
    ret->wait_set.key = body_str(body->key);
    ret->wait_set.data = body_str(body->data);
    ret->wait_set.due_ms = body->due_ms;
    ret->wait_set.children = body->children;
    return STATUS_OK;
}

static void wait_settled_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__WaitSettled *body = &ret->wait_settled;
    assert(is_step_request((uint32_t)event->wait_settled.kind));
    body->effect = event->effect;
    body->kind = (uint32_t)event->wait_settled.kind;
    body->owner = event->wait_settled.owner;
    body->key = body_bytes(event->wait_settled.key);
    body->outcome = outcome_to(&event->wait_settled.outcome, ret);
    body->by = body_bytes(event->wait_settled.by);
}

static status wait_settled_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__WaitSettled *body = (const Polos__Journal__V1__WaitSettled *)message;
    if (!is_step_request(body->kind)) {
        return newer("WAIT_SETTLED: a kind of wait this release does not know");
    }
    ret->effect = body->effect;
    ret->wait_settled.kind = (enum effect_kind)body->kind;
    ret->wait_settled.owner = body->owner;
    ret->wait_settled.key = body_str(body->key);
    ret->wait_settled.by = body_str(body->by);
    return outcome_from(body->outcome, &ret->wait_settled.outcome);
}

static void child_settled_to(const struct event *event, struct event_body *ret)
{
    ret->child_settled.effect = event->effect;
    ret->child_settled.index = event->child_settled.index;
    ret->child_settled.child = id_bytes(&event->child_settled.child);
    ret->child_settled.outcome = outcome_to(&event->child_settled.outcome, ret);
    ret->child_settled.account = body_bytes(event->child_settled.account);
}

static status child_settled_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__ChildSettled *body =
        (const Polos__Journal__V1__ChildSettled *)message;
    if (!id_read(body->child, &ret->child_settled.child)) {
        return damaged("CHILD_SETTLED: the child's id is not 16 bytes long");
    }
    ret->effect = body->effect;
    ret->child_settled.index = body->index;
    ret->child_settled.account = body_str(body->account);
    return outcome_from(body->outcome, &ret->child_settled.outcome);
}

static void resume_kept_to(const struct event *event, struct event_body *ret)
{
    ret->resume_kept.key = body_bytes(event->resume_kept.key);
    ret->resume_kept.data = body_bytes(event->resume_kept.data);
    ret->resume_kept.by = body_bytes(event->resume_kept.by);
}

static status resume_kept_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__ResumeKept *body = (const Polos__Journal__V1__ResumeKept *)message;
    ret->resume_kept.key = body_str(body->key);
    ret->resume_kept.data = body_str(body->data);
    ret->resume_kept.by = body_str(body->by);
    return STATUS_OK;
}

static void task_parked_to(const struct event *event, struct event_body *ret)
{
    ret->task_parked.effect = event->effect;
    ret->task_parked.attempt = event->attempt;
    ret->task_parked.is_ready = event->task_parked.is_ready;
}

static status task_parked_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__TaskParked *body = (const Polos__Journal__V1__TaskParked *)message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->task_parked.is_ready = body->is_ready;
    return STATUS_OK;
}

static void task_failed_to(const struct event *event, struct event_body *ret)
{
    ret->task_failed.effect = event->effect;
    ret->task_failed.attempt = event->attempt;
    ret->task_failed.outcome = outcome_to(&event->task_failed.outcome, ret);
    ret->task_failed.state = body_bytes(event->task_failed.state);
    ret->task_failed.retry_at_ms = event->task_failed.retry_at_ms;
    ret->task_failed.is_mismatch = event->task_failed.is_mismatch;
    ret->task_failed.keeps_children = event->task_failed.keeps_children;
}

static status task_failed_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__TaskFailed *body = (const Polos__Journal__V1__TaskFailed *)message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->task_failed.state = body_str(body->state);
    ret->task_failed.retry_at_ms = body->retry_at_ms;
    ret->task_failed.is_mismatch = body->is_mismatch;
    ret->task_failed.keeps_children = body->keeps_children;
    return outcome_from(body->outcome, &ret->task_failed.outcome);
}

static void task_requeued_to(const struct event *event, struct event_body *ret)
{
    ret->task_requeued.effect = event->effect;
    ret->task_requeued.attempt = event->attempt;
}

static status task_requeued_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__TaskRequeued *body =
        (const Polos__Journal__V1__TaskRequeued *)message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    return STATUS_OK;
}

static void cancel_requested_to(const struct event *event, struct event_body *ret)
{
    ret->cancel_requested.cause = body_bytes(event->cancel_requested.cause);
    ret->cancel_requested.deadline_ms = event->cancel_requested.deadline_ms;
}

static status cancel_requested_from(const ProtobufCMessage *message, struct event *ret)
{
    const Polos__Journal__V1__CancelRequested *body =
        (const Polos__Journal__V1__CancelRequested *)message;
    ret->cancel_requested.cause = body_str(body->cause);
    ret->cancel_requested.deadline_ms = body->deadline_ms;
    return STATUS_OK;
}

static void admission_asked_to(const struct event *event, struct event_body *ret)
{
    ret->admission_asked.effect = event->effect;
}

static status admission_asked_from(const ProtobufCMessage *message, struct event *ret)
{
    ret->effect = ((const Polos__Journal__V1__AdmissionAsked *)message)->effect;
    return STATUS_OK;
}

static void admission_given_to(const struct event *event, struct event_body *ret)
{
    ret->admission_given.effect = event->effect;
}

static status admission_given_from(const ProtobufCMessage *message, struct event *ret)
{
    ret->effect = ((const Polos__Journal__V1__AdmissionGiven *)message)->effect;
    return STATUS_OK;
}

static const struct event_row rows[] = {
    [EVENT_NONE] = {NULL, NULL, NULL},
    [EVENT_RUN_STARTED] = {&polos__journal__v1__run_started__descriptor, run_started_to,
                           run_started_from},
    [EVENT_RUN_COMPLETED] = {&polos__journal__v1__run_completed__descriptor, run_completed_to,
                             run_completed_from},
    [EVENT_RUN_FAILED] = {&polos__journal__v1__run_failed__descriptor, run_failed_to,
                          run_failed_from},
    [EVENT_RUN_CANCELLED] = {&polos__journal__v1__run_cancelled__descriptor, run_cancelled_to,
                             run_cancelled_from},
    [EVENT_MODEL_REQUESTED] = {&polos__journal__v1__model_requested__descriptor, model_requested_to,
                               model_requested_from},
    [EVENT_MODEL_REPLIED] = {&polos__journal__v1__model_replied__descriptor, model_replied_to,
                             model_replied_from},
    [EVENT_MODEL_FAILED] = {&polos__journal__v1__model_failed__descriptor, model_failed_to,
                            model_failed_from},
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
    [EVENT_WAIT_SET] = {&polos__journal__v1__wait_set__descriptor, wait_set_to, wait_set_from},
    [EVENT_WAIT_SETTLED] = {&polos__journal__v1__wait_settled__descriptor, wait_settled_to,
                            wait_settled_from},
    [EVENT_CHILD_SETTLED] = {&polos__journal__v1__child_settled__descriptor, child_settled_to,
                             child_settled_from},
    [EVENT_RESUME_KEPT] = {&polos__journal__v1__resume_kept__descriptor, resume_kept_to,
                           resume_kept_from},
    [EVENT_TASK_PARKED] = {&polos__journal__v1__task_parked__descriptor, task_parked_to,
                           task_parked_from},
    [EVENT_TASK_FAILED] = {&polos__journal__v1__task_failed__descriptor, task_failed_to,
                           task_failed_from},
    [EVENT_TASK_REQUEUED] = {&polos__journal__v1__task_requeued__descriptor, task_requeued_to,
                             task_requeued_from},
    [EVENT_CANCEL_REQUESTED] = {&polos__journal__v1__cancel_requested__descriptor,
                                cancel_requested_to, cancel_requested_from},
    [EVENT_ADMISSION_ASKED] = {&polos__journal__v1__admission_asked__descriptor, admission_asked_to,
                               admission_asked_from},
    [EVENT_ADMISSION_GIVEN] = {&polos__journal__v1__admission_given__descriptor, admission_given_to,
                               admission_given_from},
};
static_assert(COUNT_OF(rows) == EVENT_COUNT, "one row per kind of event");

const struct event_row *event_row_of(unsigned kind)
{
    return kind > EVENT_NONE && kind < EVENT_COUNT ? &rows[kind] : NULL;
}
