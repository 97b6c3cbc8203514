/* heartbeat: what a host says beside its stream. */
#include "polos/v1/tools.pb-c.h"
#include "service/api/api.h"
#include "service/api/exchange.h"
#include "service/api/methods.h"
#include "service/api/times.h"
#include "service/features/tasks/tasks.h"

static void heard(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    Polos__V1__ToolServiceHeartbeatResponse response =
        POLOS__V1__TOOL_SERVICE_HEARTBEAT_RESPONSE__INIT;
    assert(beat_request(request)->lease_ms > 0);
    response.lease = times_length(&request->arena, beat_request(request)->lease_ms);
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void heartbeat(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__ToolServiceHeartbeatRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &beat_operation, heard);
    struct check check = {.arena = &request->arena};
    str token = check_copy(&check, proto->host_token);
    beat_request(request)->token = token;
    exchange_post_checked(request, check_some(&check, "host_token", token, NAME_BYTES_MAX), &check);
}

const struct api_method heartbeat_methods[] = {
    {
        .path = "/polos.v1.ToolService/Heartbeat",
        .request = &polos__v1__tool_service_heartbeat_request__descriptor,
        .response = &polos__v1__tool_service_heartbeat_response__descriptor,
        .start = heartbeat,
        .closed = exchange_closed,
    },
    {.path = NULL},
};
