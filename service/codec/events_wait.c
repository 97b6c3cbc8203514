/*
 * What a task's code waits for, and what ends it.
 */
#include "service/codec/body.h"
#include "service/codec/events.h"

static void wait_set_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__WaitSet *body = ret->message;
    assert(effect_kind_is_step_request((uint32_t)event->wait_set.kind));
    body->effect = event->effect;
    body->kind = (uint32_t)event->wait_set.kind;
    body->owner = event->wait_set.owner;
    body->key = body_bytes(event->wait_set.key);
    body->data = body_bytes(event->wait_set.data);
    body->due_ms = event->wait_set.due_ms;
    body->children = event->wait_set.children;
    body->answer_schema = body_bytes(event->wait_set.answer_schema);
    body->kept_misfit = body_bytes(event->wait_set.kept_misfit);
}

static status wait_set_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__WaitSet *body = message;
    if (!effect_kind_is_step_request(body->kind)) {
        return events_newer("WAIT_SET: a kind of wait this release does not know");
    }
    ret->effect = body->effect;
    ret->wait_set.kind = (enum effect_kind)body->kind;
    ret->wait_set.owner = body->owner;
    ret->wait_set.key = body_str(body->key);
    ret->wait_set.data = body_str(body->data);
    ret->wait_set.due_ms = body->due_ms;
    ret->wait_set.children = body->children;
    ret->wait_set.answer_schema = body_str(body->answer_schema);
    ret->wait_set.kept_misfit = body_str(body->kept_misfit);
    return STATUS_OK;
}

static void wait_settled_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__WaitSettled *body = ret->message;
    assert(effect_kind_is_step_request((uint32_t)event->wait_settled.kind));
    body->effect = event->effect;
    body->kind = (uint32_t)event->wait_settled.kind;
    body->owner = event->wait_settled.owner;
    body->key = body_bytes(event->wait_settled.key);
    body->outcome = events_put_outcome(&event->wait_settled.outcome, ret);
    body->by = body_bytes(event->wait_settled.by);
}

static status wait_settled_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__WaitSettled *body = message;
    if (!effect_kind_is_step_request(body->kind)) {
        return events_newer("WAIT_SETTLED: a kind of wait this release does not know");
    }
    ret->effect = body->effect;
    ret->wait_settled.kind = (enum effect_kind)body->kind;
    ret->wait_settled.owner = body->owner;
    ret->wait_settled.key = body_str(body->key);
    ret->wait_settled.by = body_str(body->by);
    return events_take_outcome(body->outcome, &ret->wait_settled.outcome);
}

static void child_settled_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__ChildSettled *body = ret->message;
    body->effect = event->effect;
    body->index = event->child_settled.index;
    body->child = events_put_id(&event->child_settled.child);
    body->outcome = events_put_outcome(&event->child_settled.outcome, ret);
    body->account = body_bytes(event->child_settled.account);
}

static status child_settled_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__ChildSettled *body = message;
    if (!events_take_id(body->child, &ret->child_settled.child)) {
        return events_damaged("CHILD_SETTLED: the child's id is not 16 bytes long");
    }
    ret->effect = body->effect;
    ret->child_settled.index = body->index;
    ret->child_settled.account = body_str(body->account);
    return events_take_outcome(body->outcome, &ret->child_settled.outcome);
}

static void resume_kept_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__ResumeKept *body = ret->message;
    body->key = body_bytes(event->resume_kept.key);
    body->data = body_bytes(event->resume_kept.data);
    body->by = body_bytes(event->resume_kept.by);
}

static status resume_kept_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__ResumeKept *body = message;
    ret->resume_kept.key = body_str(body->key);
    ret->resume_kept.data = body_str(body->data);
    ret->resume_kept.by = body_str(body->by);
    return STATUS_OK;
}

static const struct event_row rows[] = {
    [EVENT_WAIT_SET] = {&polos__journal__v1__wait_set__descriptor, wait_set_to, wait_set_from},
    [EVENT_WAIT_SETTLED] = {&polos__journal__v1__wait_settled__descriptor, wait_settled_to,
                            wait_settled_from},
    [EVENT_CHILD_SETTLED] = {&polos__journal__v1__child_settled__descriptor, child_settled_to,
                             child_settled_from},
    [EVENT_RESUME_KEPT] = {&polos__journal__v1__resume_kept__descriptor, resume_kept_to,
                           resume_kept_from},
};

const struct event_rows wait_events = {rows, COUNT_OF(rows)};
