#include "polos/v1/tools.pb-c.h"
#include "service/api/methods.h"
#include "service/api/start.h"

static void answer_started(struct api_call *call, char *run_id, Polos__V1__StartOutcome outcome)
{
    Polos__V1__ToolServiceStartResponse response = POLOS__V1__TOOL_SERVICE_START_RESPONSE__INIT;
    assert(run_id != NULL && strlen(run_id) == UUID_TEXT_BYTES - 1);
    response.run_id = run_id;
    response.outcome = outcome;
    api_call_reply(call, &response.base);
}

static void answer_ended(struct api_call *call, Polos__V1__Run *run)
{
    Polos__V1__ToolServiceRunResponse response = POLOS__V1__TOOL_SERVICE_RUN_RESPONSE__INIT;
    assert(run != NULL);
    response.run = run;
    api_call_reply(call, &response.base);
}

static const struct start_answers answers = {
    .started = answer_started,
    .ended = answer_ended,
};

static void begin(struct api_call *call, const char *tool_id, const char *input_json,
                  const Polos__V1__StartOptions *options, bool waits)
{
    struct start_form form = {
        .kind = RUN_KIND_TOOL,
        .name = str_of(tool_id),
        .name_field = "tool_id",
        .input = {.json = str_of(input_json)},
        .options = options,
    };
    start_begin(call, &form, &answers, waits);
}

static void start_tool(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__ToolServiceStartRequest *proto = (const void *)message;
    begin(call, proto->tool_id, proto->input_json, proto->options, false);
}

static void run_tool(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__ToolServiceRunRequest *proto = (const void *)message;
    begin(call, proto->tool_id, proto->input_json, proto->options, true);
}

const struct api_method tools_methods[] = {
    {
        .path = "/polos.v1.ToolService/Start",
        .request = &polos__v1__tool_service_start_request__descriptor,
        .response = &polos__v1__tool_service_start_response__descriptor,
        .start = start_tool,
        .closed = start_closed,
        .released = start_released,
    },
    {
        .path = "/polos.v1.ToolService/Run",
        .request = &polos__v1__tool_service_run_request__descriptor,
        .response = &polos__v1__tool_service_run_response__descriptor,
        .start = run_tool,
        .closed = start_closed,
        .released = start_released,
    },
    {.path = NULL},
};
