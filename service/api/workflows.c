#include "polos/v1/workflows.pb-c.h"
#include "service/api/methods.h"
#include "service/api/start.h"

static_assert((int)RUN_KIND_WORKFLOW == (int)POLOS__V1__RUN_KIND__RUN_KIND_WORKFLOW);
static_assert((int)RUN_KIND_TOOL == (int)POLOS__V1__RUN_KIND__RUN_KIND_TOOL);

static void answer_started(struct api_call *call, char *run_id, bool existed)
{
    Polos__V1__WorkflowServiceStartResponse response =
        POLOS__V1__WORKFLOW_SERVICE_START_RESPONSE__INIT;
    assert(run_id != NULL && strlen(run_id) == UUID_TEXT_BYTES - 1);
    response.run_id = run_id;
    response.existed = existed;
    api_call_reply(call, &response.base);
}

static void answer_ended(struct api_call *call, Polos__V1__Run *run)
{
    Polos__V1__WorkflowServiceRunResponse response = POLOS__V1__WORKFLOW_SERVICE_RUN_RESPONSE__INIT;
    assert(run != NULL);
    response.run = run;
    api_call_reply(call, &response.base);
}

static const struct start_answers answers = {
    .started = answer_started,
    .ended = answer_ended,
};

/* False: the call was answered. */
static bool kind_of(struct api_call *call, Polos__V1__RunKind kind, enum run_kind *ret)
{
    if (kind == POLOS__V1__RUN_KIND__RUN_KIND_AGENT) {
        api_call_reject(call, "kind", "kind: agents are started by AgentService.Start");
        return false;
    }
    if (kind > POLOS__V1__RUN_KIND__RUN_KIND_TOOL || (int)kind < 0) {
        api_call_reject(call, "kind", "kind: %d is none; use RUN_KIND_WORKFLOW or RUN_KIND_TOOL",
                        (int)kind);
        return false;
    }
    *ret = kind == POLOS__V1__RUN_KIND__RUN_KIND_TOOL ? RUN_KIND_TOOL : RUN_KIND_WORKFLOW;
    return true;
}

static void start_workflow(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__WorkflowServiceStartRequest *proto = (const void *)message;
    struct start_form form = {
        .name = str_of(proto->workflow_id),
        .name_field = "workflow_id",
        .input_json = str_of(proto->input_json),
        .options = proto->options,
    };
    if (kind_of(call, proto->kind, &form.kind)) {
        start_begin(call, &form, &answers, false);
    }
}

static void run_workflow(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__WorkflowServiceRunRequest *proto = (const void *)message;
    struct start_form form = {
        .name = str_of(proto->workflow_id),
        .name_field = "workflow_id",
        .input_json = str_of(proto->input_json),
        .options = proto->options,
    };
    if (kind_of(call, proto->kind, &form.kind)) {
        start_begin(call, &form, &answers, true);
    }
}

const struct api_method workflows_methods[] = {
    {
        .path = "/polos.v1.WorkflowService/Start",
        .request = &polos__v1__workflow_service_start_request__descriptor,
        .response = &polos__v1__workflow_service_start_response__descriptor,
        .start = start_workflow,
        .closed = start_closed,
        .released = start_released,
    },
    {
        .path = "/polos.v1.WorkflowService/Run",
        .request = &polos__v1__workflow_service_run_request__descriptor,
        .response = &polos__v1__workflow_service_run_response__descriptor,
        .start = run_workflow,
        .closed = start_closed,
        .released = start_released,
    },
    {.path = NULL},
};
