/* Who offers what, told to those who list it. */
#include "service/features/tasks/tasks.h"
#include "service/partition/state.h"

static uint32_t count_hosts(const struct hosts *hosts, const struct offered_name *name)
{
    switch (name->kind) {
    case OFFERED_TOOL:
        return hosts_offering(hosts, TASK_TOOL, name->name);
    case OFFERED_WORKFLOW:
        return hosts_offering(hosts, TASK_WORKFLOW, name->name);
    case OFFERED_AGENT_VERSION:
        assert(name->name.len == HOST_AGENT_BYTES);
        return hosts_defining_version(hosts, (const uint8_t *)name->name.ptr);
    }
    assert(false);
    return 0;
}

static void handle_offered(struct partition *partition, struct request *request)
{
    const struct offered_request *asked = offered_request(request);
    for (size_t i = 0; i < asked->count; i++) {
        asked->names[i].ret_hosts = count_hosts(partition->hosts, &asked->names[i]);
    }
    request_answer(partition, request, NULL);
}

const struct operation offered_operation = {
    .name = "offered",
    .request_bytes = sizeof(struct offered_request),
    .is_read = true,
    .handle = handle_offered,
};

static void handle_list(struct partition *partition, struct request *request)
{
    struct hosts_request *asked = hosts_request(request);
    asked->ret_now_ms = partition->now_ms;
    hosts_list(partition->hosts, asked->after, asked->deployment, asked->limit,
               tasks_clock_ms(partition), &request->arena, &asked->ret);
    request_answer(partition, request, NULL);
}

const struct operation list_hosts_operation = {
    .name = "list_hosts",
    .request_bytes = sizeof(struct hosts_request),
    .is_read = true,
    .handle = handle_list,
};

/* Answered after what it was given in this round. */
static void handle_drain(struct partition *partition, struct request *request)
{
    struct drain_host_request *asked = drain_host_request(request);
    assert(asked->host_id.len > 0);
    if (!hosts_set_aside(partition->hosts, asked->host_id, tasks_clock_ms(partition),
                         &request->arena, &asked->ret)) {
        struct failure failure = failure_make(
            CODE_NOT_FOUND, REASON_HOST_NOT_FOUND,
            STR("no host of this id is there; ToolService.ListHosts shows those there are"));
        failure.field = STR("host_id");
        request_answer(partition, request, &failure);
        return;
    }
    asked->ret_now_ms = partition->now_ms;
    request_answer_later(partition, request);
}

const struct operation drain_host_operation = {
    .name = "drain_host",
    .request_bytes = sizeof(struct drain_host_request),
    .handle = handle_drain,
};
