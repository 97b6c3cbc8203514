#include "service/api/host_step_request.h"

#include "service/api/options.h"
#include "service/api/run_input.h"

/* The end of the year 9999. */
#define DUE_MS_MAX ((int64_t)253402300799999)
/* The path of one of the runs to be started. */
#define CHILD "order.invoke.children[%zu]."

static_assert((int)RUN_KIND_COUNT == (int)POLOS__V1__RUN_KIND__RUN_KIND_TOOL + 1, "taken as it is");

static bool take_sleep(struct check *check, const Polos__V1__Sleep *proto,
                       struct host_step_request *ret)
{
    ret->kind = STEP_REQUEST_SLEEP;
    ret->due_ms = (uint64_t)proto->until_ms;
    return check_range(check, "order.sleep.until_ms", proto->until_ms, 1, DUE_MS_MAX);
}

static bool take_suspend(struct check *check, const Polos__V1__Suspend *proto,
                         struct host_step_request *ret)
{
    ret->kind = STEP_REQUEST_SUSPENSION;
    ret->due_ms = (uint64_t)proto->deadline_ms;
    return check_value_or_null(check, "order.suspend.data_json", str_of(proto->data_json),
                               &ret->data) &&
           check_range(check, "order.suspend.deadline_ms", proto->deadline_ms, 0, DUE_MS_MAX);
}

static bool take_child_options(struct check *check, const char *prefix, enum run_kind kind,
                               const Polos__V1__RunSpec *proto, struct host_child *ret)
{
    assert(kind > RUN_KIND_NONE && kind < RUN_KIND_COUNT);
    bool is_fine =
        options_take_provider(check, prefix, kind, proto->options, &ret->provider_options) &&
        options_take(check, prefix, kind, proto->options, &ret->options);
    ret->options.idempotency_key = STR_EMPTY; /* The step's own key does what it would. */
    return is_fine;
}

static bool take_child(struct check *check, size_t index, const Polos__V1__RunSpec *proto,
                       struct host_child *ret)
{
    enum run_kind kind = (enum run_kind)proto->kind;
    assert(index < HOST_CHILDREN_MAX);
    if ((int)proto->kind <= RUN_KIND_NONE || (int)proto->kind >= RUN_KIND_COUNT) {
        return check_fault(check, check_path(check, CHILD "kind", index),
                           "%d is none; use RUN_KIND_WORKFLOW, RUN_KIND_TOOL or RUN_KIND_AGENT",
                           (int)proto->kind);
    }
    ret->kind = kind;
    ret->name = check_copy(check, proto->name);
    struct run_input input = {
        .json = str_of(proto->input_json),
        .text = str_of(proto->input),
        .messages = proto->messages,
        .message_count = proto->n_messages,
    };
    return check_name(check, check_path(check, CHILD "name", index), ret->name) &&
           run_input_take(check, check_path(check, CHILD, index), kind, &input, &ret->input) &&
           take_child_options(check, check_path(check, CHILD "options.", index), kind, proto, ret);
}

static bool take_invoke(struct check *check, const Polos__V1__Invoke *proto,
                        struct host_step_request *ret)
{
    if (!check_range(check, "order.invoke.children", (int64_t)proto->n_children, 1,
                     HOST_CHILDREN_MAX)) {
        return false;
    }
    struct host_child *children = arena_zalloc(check->arena, proto->n_children * sizeof(*children));
    assert(ret->children == NULL);
    for (size_t i = 0; i < proto->n_children; i++) {
        if (!take_child(check, i, proto->children[i], &children[i])) {
            return false;
        }
    }
    ret->kind = STEP_REQUEST_START;
    ret->children = children;
    ret->child_count = proto->n_children;
    ret->waits = proto->wait;
    return true;
}

static bool take_await(struct check *check, const Polos__V1__AwaitEvent *proto,
                       struct host_step_request *ret)
{
    ret->kind = STEP_REQUEST_EVENT;
    ret->topic = check_copy(check, proto->topic);
    ret->event_type = check_copy(check, proto->event_type);
    ret->due_ms = (uint64_t)proto->deadline_ms;
    return check_some(check, "order.await_event.topic", ret->topic, CHECK_TOPIC_BYTES_MAX) &&
           check_bytes(check, "order.await_event.event_type", ret->event_type,
                       CHECK_EVENT_TYPE_BYTES_MAX) &&
           check_range(check, "order.await_event.deadline_ms", proto->deadline_ms, 0, DUE_MS_MAX);
}

static bool take_publish(struct check *check, const Polos__V1__Publish *proto,
                         struct host_step_request *ret)
{
    ret->kind = STEP_REQUEST_PUBLISH;
    ret->topic = check_copy(check, proto->topic);
    ret->event_type = check_copy(check, proto->event_type);
    return check_some(check, "order.publish.topic", ret->topic, CHECK_TOPIC_BYTES_MAX) &&
           check_bytes(check, "order.publish.event_type", ret->event_type,
                       CHECK_EVENT_TYPE_BYTES_MAX) &&
           check_value_or_null(check, "order.publish.data_json", str_of(proto->data_json),
                               &ret->data);
}

static bool take_resume(struct check *check, const Polos__V1__ResumeRun *proto,
                        struct host_step_request *ret)
{
    ret->kind = STEP_REQUEST_RESUME;
    ret->step_key = check_copy(check, proto->step_key);
    ret->workflow = check_copy(check, proto->workflow_id);
    return check_suspension(check, "order.resume.", str_of(proto->suspension_id),
                            str_of(proto->run_id), ret->step_key, &ret->run, &ret->effect) &&
           check_value_or_null(check, "order.resume.data_json", str_of(proto->data_json),
                               &ret->data);
}

bool host_step_request_take(struct check *check, const Polos__V1__Order *proto,
                            struct host_step_request *ret)
{
    assert(proto != NULL);
    assert(check->error.code == CODE_OK); /* Else an old fault would refuse a good request. */
    *ret = (struct host_step_request){0};
    switch ((int)proto->order_case) {
    case POLOS__V1__ORDER__ORDER_SLEEP:
        return take_sleep(check, proto->sleep, ret);
    case POLOS__V1__ORDER__ORDER_SUSPEND:
        return take_suspend(check, proto->suspend, ret);
    case POLOS__V1__ORDER__ORDER_INVOKE:
        return take_invoke(check, proto->invoke, ret);
    case POLOS__V1__ORDER__ORDER_AWAIT_EVENT:
        return take_await(check, proto->await_event, ret);
    case POLOS__V1__ORDER__ORDER_PUBLISH:
        return take_publish(check, proto->publish, ret);
    case POLOS__V1__ORDER__ORDER_RESUME:
        return take_resume(check, proto->resume, ret);
    case POLOS__V1__ORDER__ORDER__NOT_SET:
    default:
        return check_fault(check, "order",
                           "set one of sleep, suspend, invoke, await_event, publish and resume, "
                           "as this server's protos have them");
    }
}
