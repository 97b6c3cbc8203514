#include "service/hosts/roster.h"

#include "service/hosts/session.h"
#include "service/hosts/sessions.h"

uint32_t hosts_offering(const struct hosts *hosts, enum task_kind kind, str name)
{
    const struct ready_name *ready = ready_queue_find(&hosts->ready_queue, kind, name);
    assert(kind < TASK_KIND_COUNT);
    return ready == NULL ? 0 : ready->offer_count;
}

uint32_t hosts_defining(const struct hosts *hosts, str agent_id)
{
    return tally_of(&hosts->agents, agent_id);
}

uint32_t hosts_defining_version(const struct hosts *hosts, const uint8_t hash[HOST_AGENT_BYTES])
{
    return tally_of(&hosts->agent_versions, str_make(hash, HOST_AGENT_BYTES));
}
