#include "polos/v1/workflows.pb-c.h"
#include "service/api/methods.h"
#include "service/api/start.h"

static void answer_started(struct api_call *call, char *run_id, Polos__V1__StartOutcome outcome)
{
    Polos__V1__WorkflowServiceStartResponse response =
        POLOS__V1__WORKFLOW_SERVICE_START_RESPONSE__INIT;
    assert(run_id != NULL && strlen(run_id) == UUID_TEXT_BYTES - 1);
    response.run_id = run_id;
    response.outcome = outcome;
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

static void begin(struct api_call *call, const char *workflow_id, const char *input_json,
                  const Polos__V1__StartOptions *options, bool waits)
{
    struct start_form form = {
        .kind = RUN_KIND_WORKFLOW,
        .name = str_of(workflow_id),
        .name_field = "workflow_id",
        .input = {.json = str_of(input_json)},
        .options = options,
    };
    start_begin(call, &form, &answers, waits);
}

static void start_workflow(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__WorkflowServiceStartRequest *proto = (const void *)message;
    begin(call, proto->workflow_id, proto->input_json, proto->options, false);
}

static void run_workflow(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__WorkflowServiceRunRequest *proto = (const void *)message;
    begin(call, proto->workflow_id, proto->input_json, proto->options, true);
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
