#include "service/api/methods.h"

#include "service/api/api.h"

/* Reflection lists the services in this order. */
static const struct api_method *const tables[] = {
    agents_methods,
    agent_list_methods,
    workflows_methods,
    topics_methods,
    subscribe_methods,
    schedules_methods,
    queues_methods,
    connect_methods,
    heartbeat_methods,
    hosts_methods,
    tools_methods,
    runs_methods,
    run_list_methods,
    run_wait_methods,
    history_methods,
    watch_methods,
    suspend_methods,
    admin_methods,
    NULL,
};

const struct api_method *const *api_methods(void)
{
    return tables;
}

void api_init(struct api *api, struct partition *partition, struct reads *reads,
              struct keyring *keyring, size_t input_bytes_max)
{
    enum {
        INPUT_BYTES_MAX = 1 << 20,
    };
    assert(partition != NULL && reads != NULL);
    api->partition = partition;
    api->reads = reads;
    api->keyring = keyring;
    api->input_bytes_max = input_bytes_max == 0 ? INPUT_BYTES_MAX : input_bytes_max;
    atomic_init(&api->ticket, 0);
}
