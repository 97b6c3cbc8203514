#include "service/api/host_step_request.h"

#include "service/api/options.h"
#include "service/api/run_input.h"
#include "service/api/times.h"
#include "service/schema/schema.h"

/* The path of one of the runs to be started. */
#define CHILD "step_request.start_runs.runs[%zu]."

static_assert((int)SETTLED_CODE == (int)POLOS__V1__STEP_KIND__STEP_KIND_CODE, "as they are");
static_assert((int)SETTLED_SLEEP == (int)POLOS__V1__STEP_KIND__STEP_KIND_SLEEP, "as they are");
static_assert((int)SETTLED_SUSPENSION == (int)POLOS__V1__STEP_KIND__STEP_KIND_SUSPENSION,
              "as they are");
static_assert((int)SETTLED_EVENT == (int)POLOS__V1__STEP_KIND__STEP_KIND_EVENT, "as they are");
static_assert((int)SETTLED_CHILDREN == (int)POLOS__V1__STEP_KIND__STEP_KIND_CHILDREN,
              "as they are");
static_assert((int)SETTLED_AT_ONCE == (int)POLOS__V1__STEP_KIND__STEP_KIND_AT_ONCE, "as they are");
static_assert((int)SETTLED_CANCEL_SHOWN == (int)POLOS__V1__STEP_KIND__STEP_KIND_CANCEL_SHOWN,
              "as they are");
static_assert((int)SETTLED_WITHDRAWN == (int)POLOS__V1__STEP_KIND__STEP_KIND_WITHDRAWN,
              "as they are");
static_assert((int)SETTLED_TRY == (int)POLOS__V1__STEP_KIND__STEP_KIND_TRY, "as they are");
static_assert((int)RUN_KIND_COUNT == (int)POLOS__V1__RUN_KIND__RUN_KIND_TOOL + 1, "taken as it is");

static bool take_sleep(struct check *check, const Polos__V1__Sleep *proto,
                       struct host_step_request *ret)
{
    ret->kind = STEP_REQUEST_SLEEP;
    if (proto->end_case == POLOS__V1__SLEEP__END_UNTIL) {
        const char *field = "step_request.sleep.until";
        return check_instant(check, field, proto->until, &ret->due_ms) &&
               (ret->due_ms > 0 || check_fault(check, field, "it is after the year 1970 began"));
    }
    if (proto->end_case != POLOS__V1__SLEEP__END_DURATION) {
        return check_fault(check, "step_request.sleep", "set duration or until");
    }
    return check_length(check, "step_request.sleep.duration", proto->duration, 1,
                        TIMES_LENGTH_MS_MAX, &ret->length_ms);
}

/* Unset: for ever. */
static bool take_timeout(struct check *check, const char *field,
                         const Google__Protobuf__Duration *timeout, struct host_step_request *ret)
{
    return timeout == NULL ||
           check_length(check, field, timeout, 1, TIMES_LENGTH_MS_MAX, &ret->length_ms);
}

/* Empty: none. It is read here, beside the partition; there it is only judged by. */
static bool take_schema(struct check *check, const char *field, str text, str *ret)
{
    struct arena arena;
    struct schema *schema;
    if (text.len == 0) {
        return true;
    }
    arena_init(&arena, 0);
    status read = schema_read(text, &arena, &schema);
    bool is_fine = status_is_ok(read) || check_fault(check, field, "%s", read.why);
    arena_fini(&arena);
    *ret = arena_copy(check->arena, text);
    return is_fine;
}

static bool take_suspend(struct check *check, const Polos__V1__Suspend *proto,
                         struct host_step_request *ret)
{
    ret->kind = STEP_REQUEST_SUSPENSION;
    return check_value_or_null(check, "step_request.suspend.data_json", str_of(proto->data_json),
                               &ret->data) &&
           take_schema(check, "step_request.suspend.answer_schema_json",
                       str_of(proto->answer_schema_json), &ret->answer_schema) &&
           take_timeout(check, "step_request.suspend.timeout", proto->timeout, ret);
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
    return check_code_name(check, check_path(check, CHILD "name", index), kind == RUN_KIND_TOOL,
                           ret->name) &&
           run_input_take(check, check_path(check, CHILD, index), kind, &input, &ret->input) &&
           take_child_options(check, check_path(check, CHILD "options.", index), kind, proto, ret);
}

static bool take_start(struct check *check, const Polos__V1__StartRuns *proto,
                       struct host_step_request *ret)
{
    if (!check_range(check, "step_request.start_runs.runs", (int64_t)proto->n_runs, 1,
                     HOST_CHILDREN_MAX)) {
        return false;
    }
    struct host_child *children = arena_zalloc(check->arena, proto->n_runs * sizeof(*children));
    assert(ret->children == NULL);
    for (size_t i = 0; i < proto->n_runs; i++) {
        if (!take_child(check, i, proto->runs[i], &children[i])) {
            return false;
        }
        children[i].options.outlives_parent = proto->outlive_parent;
    }
    ret->kind = STEP_REQUEST_START;
    ret->children = children;
    ret->child_count = proto->n_runs;
    ret->waits = proto->wait;
    return true;
}

static bool take_await(struct check *check, const Polos__V1__AwaitEvent *proto,
                       struct host_step_request *ret)
{
    ret->kind = STEP_REQUEST_EVENT;
    ret->topic = check_copy(check, proto->topic);
    ret->event_type = check_copy(check, proto->event_type);
    return check_some(check, "step_request.await_event.topic", ret->topic, CHECK_TOPIC_BYTES_MAX) &&
           check_bytes(check, "step_request.await_event.event_type", ret->event_type,
                       CHECK_EVENT_TYPE_BYTES_MAX) &&
           take_timeout(check, "step_request.await_event.timeout", proto->timeout, ret);
}

static bool take_publish(struct check *check, const Polos__V1__Publish *proto,
                         struct host_step_request *ret)
{
    ret->kind = STEP_REQUEST_PUBLISH;
    ret->topic = check_copy(check, proto->topic);
    ret->event_type = check_copy(check, proto->event_type);
    return check_some(check, "step_request.publish.topic", ret->topic, CHECK_TOPIC_BYTES_MAX) &&
           check_bytes(check, "step_request.publish.event_type", ret->event_type,
                       CHECK_EVENT_TYPE_BYTES_MAX) &&
           check_value_or_null(check, "step_request.publish.data_json", str_of(proto->data_json),
                               &ret->data);
}

static bool take_resume(struct check *check, const Polos__V1__Resume *proto,
                        struct host_step_request *ret)
{
    ret->kind = STEP_REQUEST_RESUME;
    ret->step_key = check_copy(check, proto->step_key);
    ret->workflow = check_copy(check, proto->workflow_id);
    return check_suspension(check, "step_request.resume.", str_of(proto->suspension_id),
                            str_of(proto->run_id), ret->step_key, &ret->run, &ret->effect) &&
           check_value_or_null(check, "step_request.resume.data_json", str_of(proto->data_json),
                               &ret->data);
}

bool host_step_request_take(struct check *check, const Polos__V1__StepRequest *proto,
                            struct host_step_request *ret)
{
    assert(proto != NULL);
    assert(check->error.code == CODE_OK); /* Else an old fault would refuse a good request. */
    *ret = (struct host_step_request){0};
    switch ((int)proto->request_case) {
    case POLOS__V1__STEP_REQUEST__REQUEST_SLEEP:
        return take_sleep(check, proto->sleep, ret);
    case POLOS__V1__STEP_REQUEST__REQUEST_SUSPEND:
        return take_suspend(check, proto->suspend, ret);
    case POLOS__V1__STEP_REQUEST__REQUEST_START_RUNS:
        return take_start(check, proto->start_runs, ret);
    case POLOS__V1__STEP_REQUEST__REQUEST_AWAIT_EVENT:
        return take_await(check, proto->await_event, ret);
    case POLOS__V1__STEP_REQUEST__REQUEST_PUBLISH:
        return take_publish(check, proto->publish, ret);
    case POLOS__V1__STEP_REQUEST__REQUEST_RESUME:
        return take_resume(check, proto->resume, ret);
    case POLOS__V1__STEP_REQUEST__REQUEST__NOT_SET:
    default:
        return check_fault(
            check, "step_request",
            "set one of sleep, suspend, start_runs, await_event, publish and resume, "
            "as this server's protos have them");
    }
}
