#include "polos/v1/agents.pb-c.h"
#include "polos/v1/runs.pb-c.h"
#include "polos/v1/suspend.pb-c.h"
#include "polos/v1/tools.pb-c.h"
#include "polos/v1/workflows.pb-c.h"
#include "service/api/api.h"
#include "service/api/handlers.h"

static const struct api_method rows[] = {
    {
        .path = "/polos.v1.AgentService/Register",
        .request = &polos__v1__agent_service_register_request__descriptor,
        .response = &polos__v1__agent_service_register_response__descriptor,
        .start = agent_service_register,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.AgentService/Start",
        .request = &polos__v1__agent_service_start_request__descriptor,
        .response = &polos__v1__agent_service_start_response__descriptor,
        .start = agent_service_start,
        .closed = start_closed,
        .released = start_released,
    },
    {
        .path = "/polos.v1.AgentService/Run",
        .request = &polos__v1__agent_service_run_request__descriptor,
        .response = &polos__v1__agent_service_run_response__descriptor,
        .start = agent_service_run,
        .closed = start_closed,
        .released = start_released,
    },
    {
        .path = "/polos.v1.WorkflowService/Start",
        .request = &polos__v1__workflow_service_start_request__descriptor,
        .response = &polos__v1__workflow_service_start_response__descriptor,
        .start = workflow_service_start,
        .closed = start_closed,
        .released = start_released,
    },
    {
        .path = "/polos.v1.WorkflowService/Run",
        .request = &polos__v1__workflow_service_run_request__descriptor,
        .response = &polos__v1__workflow_service_run_response__descriptor,
        .start = workflow_service_run,
        .closed = start_closed,
        .released = start_released,
    },
    {
        .path = "/polos.v1.WorkflowService/Publish",
        .request = &polos__v1__workflow_service_publish_request__descriptor,
        .response = &polos__v1__workflow_service_publish_response__descriptor,
        .start = workflow_service_publish,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.WorkflowService/Subscribe",
        .kind = API_SERVER_STREAM,
        .request = &polos__v1__workflow_service_subscribe_request__descriptor,
        .response = &polos__v1__workflow_service_subscribe_response__descriptor,
        .start = subscribe_start,
        .writable = subscribe_writable,
        .closed = subscribe_closed,
        .released = subscribe_released,
    },
    {
        .path = "/polos.v1.WorkflowService/PutSchedule",
        .request = &polos__v1__workflow_service_put_schedule_request__descriptor,
        .response = &polos__v1__workflow_service_put_schedule_response__descriptor,
        .start = workflow_service_put_schedule,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.WorkflowService/ListSchedules",
        .request = &polos__v1__workflow_service_list_schedules_request__descriptor,
        .response = &polos__v1__workflow_service_list_schedules_response__descriptor,
        .start = workflow_service_list_schedules,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.WorkflowService/DeleteSchedule",
        .request = &polos__v1__workflow_service_delete_schedule_request__descriptor,
        .response = &polos__v1__workflow_service_delete_schedule_response__descriptor,
        .start = workflow_service_delete_schedule,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.WorkflowService/PutQueue",
        .request = &polos__v1__workflow_service_put_queue_request__descriptor,
        .response = &polos__v1__workflow_service_put_queue_response__descriptor,
        .start = workflow_service_put_queue,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.WorkflowService/ListQueues",
        .request = &polos__v1__workflow_service_list_queues_request__descriptor,
        .response = &polos__v1__workflow_service_list_queues_response__descriptor,
        .start = workflow_service_list_queues,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.WorkflowService/DeleteQueue",
        .request = &polos__v1__workflow_service_delete_queue_request__descriptor,
        .response = &polos__v1__workflow_service_delete_queue_response__descriptor,
        .start = workflow_service_delete_queue,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.ToolService/Connect",
        .kind = API_BIDI,
        .request = &polos__v1__host_message__descriptor,
        .response = &polos__v1__server_message__descriptor,
        .start = connect_start,
        .message = connect_message,
        .closed = connect_closed,
        .released = connect_released,
    },
    {
        .path = "/polos.v1.RunService/Get",
        .request = &polos__v1__run_service_get_request__descriptor,
        .response = &polos__v1__run_service_get_response__descriptor,
        .start = run_service_get,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.RunService/List",
        .request = &polos__v1__run_service_list_request__descriptor,
        .response = &polos__v1__run_service_list_response__descriptor,
        .start = run_service_list,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.RunService/History",
        .request = &polos__v1__run_service_history_request__descriptor,
        .response = &polos__v1__run_service_history_response__descriptor,
        .start = run_service_history,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.RunService/Watch",
        .kind = API_SERVER_STREAM,
        .request = &polos__v1__run_service_watch_request__descriptor,
        .response = &polos__v1__run_service_watch_response__descriptor,
        .start = watch_start,
        .writable = watch_writable,
        .closed = watch_closed,
        .released = watch_released,
    },
    {
        .path = "/polos.v1.RunService/Cancel",
        .request = &polos__v1__run_service_cancel_request__descriptor,
        .response = &polos__v1__run_service_cancel_response__descriptor,
        .start = run_service_cancel,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.RunService/Fork",
        .request = &polos__v1__run_service_fork_request__descriptor,
        .response = &polos__v1__run_service_fork_response__descriptor,
        .start = run_service_fork,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.RunService/Retry",
        .request = &polos__v1__run_service_retry_request__descriptor,
        .response = &polos__v1__run_service_retry_response__descriptor,
        .start = run_service_retry,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.SuspendService/List",
        .request = &polos__v1__suspend_service_list_request__descriptor,
        .response = &polos__v1__suspend_service_list_response__descriptor,
        .start = suspend_service_list,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.SuspendService/Get",
        .request = &polos__v1__suspend_service_get_request__descriptor,
        .response = &polos__v1__suspend_service_get_response__descriptor,
        .start = suspend_service_get,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.SuspendService/Resume",
        .request = &polos__v1__suspend_service_resume_request__descriptor,
        .response = &polos__v1__suspend_service_resume_response__descriptor,
        .start = suspend_service_resume,
        .closed = exchange_closed,
    },
    {.path = NULL},
};

const struct api_method *api_methods(void)
{
    return rows;
}

void api_init(struct api *api, struct partition *partition, size_t input_bytes_max)
{
    enum {
        INPUT_BYTES_MAX = 1 << 20,
    };
    assert(partition != NULL);
    api->partition = partition;
    api->input_bytes_max = input_bytes_max == 0 ? INPUT_BYTES_MAX : input_bytes_max;
    atomic_init(&api->ticket, 0);
}
