#include "polos/v1/agents.pb-c.h"
#include "service/api/check.h"
#include "service/api/definition.h"
#include "service/api/exchange.h"
#include "service/api/may_offer.h"
#include "service/api/methods.h"
#include "service/api/start.h"
#include "service/api/text.h"
#include "service/base/failure.h"
#include "service/features/definitions/definitions.h"
#include "service/partition/request.h"

static void registered(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    Polos__V1__AgentServiceRegisterResponse response =
        POLOS__V1__AGENT_SERVICE_REGISTER_RESPONSE__INIT;
    response.definition_hash =
        text_of_hash(&request->arena, str_make(register_request(request)->ret_hash,
                                               sizeof(register_request(request)->ret_hash)));
    response.model_reach = register_request(request)->ret_reach == MODEL_CALLABLE
                               ? POLOS__V1__MODEL_REACH__MODEL_REACH_CALLABLE
                               : POLOS__V1__MODEL_REACH__MODEL_REACH_NO_KEY;
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static bool take_agent(struct check *check, const Polos__V1__AgentDefinition *agent,
                       struct request *request)
{
    if (agent == NULL) {
        return check_fault(check, "agent", "it is required");
    }
    struct agent_definition *definition = arena_zalloc(check->arena, sizeof(*definition));
    assert(register_request(request)->definition == NULL);
    register_request(request)->definition = definition;
    return definition_take(check, "agent.", agent, definition);
}

static void register_agent(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__AgentServiceRegisterRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &register_operation, registered);
    struct check check = {.arena = &request->arena};
    bool is_fine =
        take_agent(&check, proto->agent, request) &&
        check_agent_offer(&check, call, "agent.id", register_request(request)->definition->id);
    exchange_post_checked(request, is_fine, &check);
}

static void answer_started(struct api_call *call, char *run_id, Polos__V1__StartOutcome outcome)
{
    Polos__V1__AgentServiceStartResponse response = POLOS__V1__AGENT_SERVICE_START_RESPONSE__INIT;
    assert(run_id != NULL && strlen(run_id) == UUID_TEXT_BYTES - 1);
    response.run_id = run_id;
    response.outcome = outcome;
    api_call_reply(call, &response.base);
}

static void answer_ended(struct api_call *call, Polos__V1__Run *run)
{
    Polos__V1__AgentServiceRunResponse response = POLOS__V1__AGENT_SERVICE_RUN_RESPONSE__INIT;
    assert(run != NULL);
    response.run = run;
    api_call_reply(call, &response.base);
}

static const struct start_answers answers = {
    .started = answer_started,
    .ended = answer_ended,
};

static void begin(struct api_call *call, const char *agent_id, const struct run_input *input,
                  const Polos__V1__StartOptions *options, bool waits)
{
    struct start_form form = {
        .kind = RUN_KIND_AGENT,
        .name = str_of(agent_id),
        .name_field = "agent_id",
        .input = *input,
        .options = options,
    };
    start_begin(call, &form, &answers, waits);
}

static void start_agent(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__AgentServiceStartRequest *proto = (const void *)message;
    struct run_input input = {.text = str_of(proto->input),
                              .messages = proto->messages,
                              .message_count = proto->n_messages};
    begin(call, proto->agent_id, &input, proto->options, false);
}

static void run_agent(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__AgentServiceRunRequest *proto = (const void *)message;
    struct run_input input = {.text = str_of(proto->input),
                              .messages = proto->messages,
                              .message_count = proto->n_messages};
    begin(call, proto->agent_id, &input, proto->options, true);
}

const struct api_method agents_methods[] = {
    {
        .path = "/polos.v1.AgentService/Register",
        .request = &polos__v1__agent_service_register_request__descriptor,
        .response = &polos__v1__agent_service_register_response__descriptor,
        .start = register_agent,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.AgentService/Start",
        .request = &polos__v1__agent_service_start_request__descriptor,
        .response = &polos__v1__agent_service_start_response__descriptor,
        .start = start_agent,
        .closed = start_closed,
        .released = start_released,
    },
    {
        .path = "/polos.v1.AgentService/Run",
        .request = &polos__v1__agent_service_run_request__descriptor,
        .response = &polos__v1__agent_service_run_response__descriptor,
        .start = run_agent,
        .closed = start_closed,
        .released = start_released,
    },
    {.path = NULL},
};
