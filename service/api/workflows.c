#include "polos/v1/workflows.pb-c.h"
#include "service/api/methods.h"
#include "service/api/offer_calls.h"
#include "service/api/start.h"
#include "service/api/text.h"
#include "service/api/times.h"

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

/* ---- Get, List, Delete. ---- */

static Polos__V1__Workflow *view(const struct offer_record *offer, uint32_t hosts,
                                 struct arena *arena)
{
    Polos__V1__Workflow *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__workflow__init(ret);
    ret->definition = offer_view_workflow(offer, arena);
    ret->deployment = text_of(arena, offer->deployment);
    ret->hosts = hosts;
    ret->offered_at = times_instant(arena, offer->offered_ms);
    return ret;
}

static void answer_got(struct api_call *call, const struct offer_record *offer, uint32_t hosts,
                       struct arena *arena)
{
    Polos__V1__WorkflowServiceGetResponse response = POLOS__V1__WORKFLOW_SERVICE_GET_RESPONSE__INIT;
    response.workflow = view(offer, hosts, arena);
    api_call_reply(call, &response.base);
}

static void answer_listed(struct api_call *call, const struct offer_record *offers,
                          const struct offered_name *names, size_t count, char *next_page_token,
                          struct arena *arena)
{
    Polos__V1__WorkflowServiceListResponse response =
        POLOS__V1__WORKFLOW_SERVICE_LIST_RESPONSE__INIT;
    response.workflows = arena_alloc(arena, (count + 1) * sizeof(response.workflows[0]));
    for (size_t i = 0; i < count; i++) {
        response.workflows[response.n_workflows++] = view(&offers[i], names[i].ret_hosts, arena);
    }
    response.next_page_token = next_page_token;
    api_call_reply(call, &response.base);
}

static void answer_deleted(struct api_call *call)
{
    Polos__V1__WorkflowServiceDeleteResponse response =
        POLOS__V1__WORKFLOW_SERVICE_DELETE_RESPONSE__INIT;
    api_call_reply(call, &response.base);
}

static const struct offer_words words = {
    .kind = TASK_WORKFLOW,
    .field = "workflow_id",
    .got = answer_got,
    .listed = answer_listed,
    .deleted = answer_deleted,
};

static void get_workflow(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__WorkflowServiceGetRequest *proto = (const void *)message;
    offer_get(call, &words, proto->workflow_id);
}

static void list_workflows(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__WorkflowServiceListRequest *proto = (const void *)message;
    offer_list(call, &words, proto->page_size, proto->page_token);
}

static void delete_workflow(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__WorkflowServiceDeleteRequest *proto = (const void *)message;
    offer_delete(call, &words, proto->workflow_id);
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
    {
        .path = "/polos.v1.WorkflowService/Get",
        .is_read = true,
        .request = &polos__v1__workflow_service_get_request__descriptor,
        .response = &polos__v1__workflow_service_get_response__descriptor,
        .start = get_workflow,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.WorkflowService/List",
        .is_read = true,
        .request = &polos__v1__workflow_service_list_request__descriptor,
        .response = &polos__v1__workflow_service_list_response__descriptor,
        .start = list_workflows,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.WorkflowService/Delete",
        .request = &polos__v1__workflow_service_delete_request__descriptor,
        .response = &polos__v1__workflow_service_delete_response__descriptor,
        .start = delete_workflow,
        .closed = exchange_closed,
    },
    {.path = NULL},
};
