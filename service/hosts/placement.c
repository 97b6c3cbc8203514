#include "service/hosts/placement.h"

#include "service/base/code_version.h"
#include "service/hosts/session.h"
#include "service/hosts/sessions.h"

struct host_session *hosts_pick(struct hosts *hosts, enum task_kind kind, str name,
                                uint64_t version)
{
    const struct ready_name *ready = ready_queue_find(&hosts->ready_queue, kind, name);
    struct host_session *session =
        ready == NULL ? NULL : ready_queue_pick(&hosts->ready_queue, ready, version);
    if (session != NULL) {
        assert(session->held.count < session->slots);
        session->picked = ++hosts->picks;
    }
    return session;
}

bool hosts_is_offered(const struct hosts *hosts, enum task_kind kind, str name)
{
    const struct ready_name *ready = ready_queue_find(&hosts->ready_queue, kind, name);
    return ready != NULL && ready->offer_count > 0;
}

bool hosts_is_newest(const struct hosts *hosts, const struct host_hello *hello, enum task_kind kind,
                     str name)
{
    const struct host_session *session = sessions_find_token(hosts, hello->session);
    const struct ready_name *ready = ready_queue_find(&hosts->ready_queue, kind, name);
    uint64_t newest = ready == NULL ? 0 : ready_queue_newest(&hosts->ready_queue, ready);
    return session == NULL || newest == 0 || newest == session_version(session);
}

bool hosts_awaits_version(const struct hosts *hosts, enum task_kind kind, str name,
                          uint64_t version)
{
    const struct ready_name *ready = ready_queue_find(&hosts->ready_queue, kind, name);
    return ready != NULL && ready_queue_pick(&hosts->ready_queue, ready, version) == NULL &&
           ready_queue_pick(&hosts->ready_queue, ready, CODE_VERSION_ANY) != NULL;
}

bool hosts_is_foreign(const struct hosts *hosts, enum task_kind kind, str name, uint64_t version)
{
    const struct ready_name *ready = ready_queue_find(&hosts->ready_queue, kind, name);
    return ready != NULL && ready->offer_count > 0 &&
           !ready_queue_speaks(&hosts->ready_queue, ready, version);
}

status hosts_ready_add(struct hosts *hosts, enum task_kind kind, str name, uint64_t version,
                       struct task_ref task)
{
    assert(tasks_find(&hosts->tasks, task) == NULL && "a task is held or it waits");
    if (ready_queue_has(&hosts->ready_queue, task)) {
        return STATUS_OK;
    }
    if (ready_queue_count(&hosts->ready_queue) >= hosts->options.ready_max) {
        return status_make(CODE_RESOURCE_EXHAUSTED,
                           "Too many tasks wait for a host; connect more hosts and try again.");
    }
    ready_queue_add(&hosts->ready_queue, kind, name, version, task);
    return STATUS_OK;
}

void hosts_ready_remove(struct hosts *hosts, struct task_ref task)
{
    ready_queue_remove(&hosts->ready_queue, task);
}

bool hosts_ready_pop(struct hosts *hosts, struct task_ref *ret)
{
    bool is_found = ready_queue_pop(&hosts->ready_queue, ret);
    assert(!is_found || tasks_find(&hosts->tasks, *ret) == NULL);
    return is_found;
}
