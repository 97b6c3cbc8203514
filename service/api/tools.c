#include "polos/v1/tools.pb-c.h"
#include "service/api/methods.h"
#include "service/api/offer_calls.h"
#include "service/api/start.h"
#include "service/api/text.h"
#include "service/api/times.h"

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

/* ---- Get, List, Delete. ---- */

static Polos__V1__Tool *view(const struct offer_record *offer, uint32_t hosts, struct arena *arena)
{
    Polos__V1__Tool *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__tool__init(ret);
    ret->definition = offer_view_tool(&offer->tool, arena);
    ret->deployment = text_of(arena, offer->deployment);
    ret->hosts = hosts;
    ret->offered_at = times_instant(arena, offer->offered_ms);
    return ret;
}

static void answer_got(struct api_call *call, const struct offer_record *offer, uint32_t hosts,
                       struct arena *arena)
{
    Polos__V1__ToolServiceGetResponse response = POLOS__V1__TOOL_SERVICE_GET_RESPONSE__INIT;
    response.tool = view(offer, hosts, arena);
    api_call_reply(call, &response.base);
}

static void answer_listed(struct api_call *call, const struct offer_record *offers,
                          const struct offered_name *names, size_t count, char *next_page_token,
                          struct arena *arena)
{
    Polos__V1__ToolServiceListResponse response = POLOS__V1__TOOL_SERVICE_LIST_RESPONSE__INIT;
    response.tools = arena_alloc(arena, (count + 1) * sizeof(response.tools[0]));
    for (size_t i = 0; i < count; i++) {
        response.tools[response.n_tools++] = view(&offers[i], names[i].ret_hosts, arena);
    }
    response.next_page_token = next_page_token;
    api_call_reply(call, &response.base);
}

static void answer_deleted(struct api_call *call)
{
    Polos__V1__ToolServiceDeleteResponse response = POLOS__V1__TOOL_SERVICE_DELETE_RESPONSE__INIT;
    api_call_reply(call, &response.base);
}

static const struct offer_words words = {
    .kind = TASK_TOOL,
    .field = "tool_id",
    .got = answer_got,
    .listed = answer_listed,
    .deleted = answer_deleted,
};

static void get_tool(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__ToolServiceGetRequest *proto = (const void *)message;
    offer_get(call, &words, proto->tool_id);
}

static void list_tools(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__ToolServiceListRequest *proto = (const void *)message;
    offer_list(call, &words, proto->page_size, proto->page_token);
}

static void delete_tool(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__ToolServiceDeleteRequest *proto = (const void *)message;
    offer_delete(call, &words, proto->tool_id);
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
    {
        .path = "/polos.v1.ToolService/Get",
        .is_read = true,
        .request = &polos__v1__tool_service_get_request__descriptor,
        .response = &polos__v1__tool_service_get_response__descriptor,
        .start = get_tool,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.ToolService/List",
        .is_read = true,
        .request = &polos__v1__tool_service_list_request__descriptor,
        .response = &polos__v1__tool_service_list_response__descriptor,
        .start = list_tools,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.ToolService/Delete",
        .request = &polos__v1__tool_service_delete_request__descriptor,
        .response = &polos__v1__tool_service_delete_response__descriptor,
        .start = delete_tool,
        .closed = exchange_closed,
    },
    {.path = NULL},
};
