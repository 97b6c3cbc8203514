#include "service/hosts/roster.h"

#include <stdlib.h>

#include "service/hosts/leases.h"
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

enum {
    PAGE_NAMES_MAX = 20000, /* Of one page. */
};

static size_t count_offers(const struct hosts *hosts, const struct host_session *session,
                           enum task_kind kind, str *ret)
{
    const struct ready_queue *queue = &hosts->ready_queue;
    size_t count = 0;
    for (uint32_t i = 0; i < session->offer_count; i++) {
        const struct ready_name *name = &queue->names[queue->pools[session->offers[i].pool].name];
        assert(name->text != NULL);
        if (name->kind == kind) {
            ret[count++] = str_make(name->text, name->len);
        }
    }
    return count;
}

static struct host_names names_of(const struct hosts *hosts, const struct host_session *session,
                                  enum task_kind kind, struct arena *arena)
{
    struct host_names ret = {
        .names = arena_alloc(arena, ((size_t)session->offer_count + 1) * sizeof(ret.names[0]))};
    ret.count = count_offers(hosts, session, kind, ret.names);
    assert(ret.count <= session->offer_count);
    for (size_t i = 0; i < ret.count; i++) {
        ret.names[i] = arena_copy(arena, ret.names[i]);
    }
    return ret;
}

static struct host_names agents_of(const struct host_session *session, struct arena *arena)
{
    struct host_names ret = {
        .names = arena_alloc(arena, (session->agent_count + 1) * sizeof(ret.names[0]))};
    for (size_t i = 0; i < session->agent_count; i++) {
        ret.names[ret.count++] = arena_copy(arena, session->agents[i].id);
    }
    return ret;
}

static struct host_view view(const struct hosts *hosts, const struct host_session *session,
                             struct arena *arena)
{
    assert(session->begun <= session->heard && session->heard <= hosts->clock);
    return (struct host_view){
        .host_id = arena_copy(arena, session->host_id),
        .deployment = arena_copy(arena, session->deployment),
        .user_agent = arena_copy(arena, session->user_agent),
        .is_connected = session->state == SESSION_CONNECTED,
        .is_draining = session->is_draining || session->is_set_aside,
        .slots = session->slots,
        .tasks = session->held.count,
        .age_ms = hosts->clock - session->begun,
        .silence_ms = hosts->clock - session->heard,
        .tools = names_of(hosts, session, TASK_TOOL, arena),
        .workflows = names_of(hosts, session, TASK_WORKFLOW, arena),
        .agents = agents_of(session, arena),
    };
}

static int compare(str a, str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_id(const void *a, const void *b)
{
    const struct host_session *const *first = a;
    const struct host_session *const *second = b;
    return compare((*first)->host_id, (*second)->host_id);
}

/* By their ids, in the arena. */
static size_t find(const struct hosts *hosts, str after, str deployment, struct arena *arena,
                   const struct host_session ***ret)
{
    size_t count = 0;
    *ret = arena_alloc(arena, ((size_t)hosts->session_count + 1) * sizeof((*ret)[0]));
    for (const struct list *at = hosts->leases.next; at != &hosts->leases; at = at->next) {
        const struct host_session *session = container_of(at, const struct host_session, lease);
        bool is_there = session->state == SESSION_CONNECTED || session->state == SESSION_AWAY;
        if (is_there && compare(session->host_id, after) > 0 &&
            (deployment.len == 0 || str_equal(deployment, session->deployment))) {
            (*ret)[count++] = session;
        }
    }
    assert(count <= hosts->session_count);
    qsort((void *)*ret, count, sizeof((*ret)[0]), by_id);
    return count;
}

void hosts_list(struct hosts *hosts, str after, str deployment, size_t limit, uint64_t now_ms,
                struct arena *arena, struct host_page *ret)
{
    const struct host_session **sessions;
    size_t names = 0;
    assert(limit > 0);
    hosts_set_clock(hosts, now_ms);
    size_t count = find(hosts, after, deployment, arena, &sessions);
    *ret = (struct host_page){.hosts = arena_alloc(arena, (limit + 1) * sizeof(ret->hosts[0]))};
    for (size_t i = 0; i < count && !ret->has_more; i++) {
        names += sessions[i]->offer_count + sessions[i]->agent_count;
        ret->has_more = ret->count == limit || (ret->count > 0 && names > PAGE_NAMES_MAX);
        if (!ret->has_more) {
            ret->hosts[ret->count++] = view(hosts, sessions[i], arena);
        }
    }
}

bool hosts_set_aside(struct hosts *hosts, str host_id, uint64_t now_ms, struct arena *arena,
                     struct host_view *ret)
{
    struct host_session *session = sessions_find_host(hosts, host_id);
    hosts_set_clock(hosts, now_ms);
    if (session == NULL) {
        return false;
    }
    assert(session->state == SESSION_CONNECTED || session->state == SESSION_AWAY);
    session->is_set_aside = true;
    session_update_standing(hosts, session);
    *ret = view(hosts, session, arena);
    return true;
}
