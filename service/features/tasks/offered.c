/* Who offers what, told to those who list it. */
#include "service/features/tasks/tasks.h"
#include "service/hosts/roster.h"
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
