#include "polos/v1/tools.pb-c.h"
#include "service/api/exchange.h"
#include "service/api/methods.h"
#include "service/api/page_token.h"
#include "service/api/text.h"
#include "service/api/times.h"
#include "service/features/tasks/tasks.h"

enum {
    HOSTS_PAGE = 100,
    HOSTS_PAGE_MAX = 1000,
    HOST_TEXT_BYTES_MAX = 128,
};

static char **view_names(const struct host_names *names, struct arena *arena, size_t *ret_count)
{
    char **ret = arena_alloc(arena, (names->count + 1) * sizeof(ret[0]));
    for (size_t i = 0; i < names->count; i++) {
        ret[i] = text_of(arena, names->names[i]);
    }
    *ret_count = names->count;
    return ret;
}

/* The clock may have been set back meanwhile. */
static uint64_t before(uint64_t now_ms, uint64_t ago_ms)
{
    return now_ms > ago_ms ? now_ms - ago_ms : 0;
}

static Polos__V1__Host *view(const struct host_view *host, uint64_t now_ms, struct arena *arena)
{
    assert(host->silence_ms <= host->age_ms && host->host_id.len > 0);
    Polos__V1__Host *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__host__init(ret);
    ret->id = text_of(arena, host->host_id);
    ret->deployment = text_of(arena, host->deployment);
    ret->user_agent = text_of(arena, host->user_agent);
    ret->connected = host->is_connected;
    ret->draining = host->is_draining;
    ret->slots = host->slots;
    ret->tasks = host->tasks;
    ret->connected_at = times_instant(arena, before(now_ms, host->age_ms));
    ret->heard_at = times_instant(arena, before(now_ms, host->silence_ms));
    ret->tool_ids = view_names(&host->tools, arena, &ret->n_tool_ids);
    ret->workflow_ids = view_names(&host->workflows, arena, &ret->n_workflow_ids);
    ret->agent_ids = view_names(&host->agents, arena, &ret->n_agent_ids);
    return ret;
}

static void listed(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    const struct host_page *page = &hosts_request(request)->ret;
    struct arena *arena = &request->arena;
    Polos__V1__ToolServiceListHostsResponse response =
        POLOS__V1__TOOL_SERVICE_LIST_HOSTS_RESPONSE__INIT;
    response.hosts = arena_alloc(arena, (page->count + 1) * sizeof(response.hosts[0]));
    for (size_t i = 0; i < page->count; i++) {
        response.hosts[response.n_hosts++] =
            view(&page->hosts[i], hosts_request(request)->ret_now_ms, arena);
    }
    if (page->has_more) {
        assert(page->count > 0);
        response.next_page_token = page_token_format(arena, page->hosts[page->count - 1].host_id);
    }
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void list_hosts(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__ToolServiceListHostsRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &list_hosts_operation, listed);
    struct hosts_request *asked = hosts_request(request);
    struct check check = {.arena = &request->arena};
    asked->deployment = check_copy(&check, proto->deployment);
    bool is_fine =
        check_page_size(&check, proto->page_size, HOSTS_PAGE, HOSTS_PAGE_MAX, &asked->limit) &&
        check_page_token(&check, proto->page_token, STR_EMPTY, HOST_TEXT_BYTES_MAX,
                         &asked->after) &&
        check_bytes(&check, "deployment", asked->deployment, HOST_TEXT_BYTES_MAX);
    exchange_post_checked(request, is_fine, &check);
}

static void drained(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    const struct drain_host_request *asked = drain_host_request(request);
    Polos__V1__ToolServiceDrainHostResponse response =
        POLOS__V1__TOOL_SERVICE_DRAIN_HOST_RESPONSE__INIT;
    assert(asked->ret.is_draining);
    response.host = view(&asked->ret, asked->ret_now_ms, &request->arena);
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void drain_host(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__ToolServiceDrainHostRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &drain_host_operation, drained);
    struct check check = {.arena = &request->arena};
    str id = check_copy(&check, proto->host_id);
    drain_host_request(request)->host_id = id;
    exchange_post_checked(request, check_some(&check, "host_id", id, HOST_TEXT_BYTES_MAX), &check);
}

const struct api_method hosts_methods[] = {
    {
        .path = "/polos.v1.ToolService/ListHosts",
        .is_read = true,
        .request = &polos__v1__tool_service_list_hosts_request__descriptor,
        .response = &polos__v1__tool_service_list_hosts_response__descriptor,
        .start = list_hosts,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.ToolService/DrainHost",
        .request = &polos__v1__tool_service_drain_host_request__descriptor,
        .response = &polos__v1__tool_service_drain_host_response__descriptor,
        .start = drain_host,
        .closed = exchange_closed,
    },
    {.path = NULL},
};
