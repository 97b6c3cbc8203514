#include "service/api/queues.h"

#include "polos/v1/queues.pb-c.h"
#include "service/agents/definition.h"
#include "service/api/exchange.h"
#include "service/api/methods.h"
#include "service/api/page_token.h"
#include "service/api/text.h"
#include "service/api/times.h"
#include "service/base/failure.h"
#include "service/features/queues/queues.h"
#include "service/features/tasks/tasks.h"
#include "service/partition/request.h"

#define PERIOD_MS_MAX ((uint64_t)31 * 24 * 3600 * 1000)

enum {
    LIMIT_MAX = 1000000,
    HELLO_QUEUES_MAX = 1000,
    QUEUES_PAGE = 100,
    QUEUES_PAGE_MAX = 1000,
};
static_assert((int)QUEUES_PAGE <= (int)QUEUES_PAGE_MAX);

static bool check_period(struct check *check, const char *prefix,
                         const Polos__V1__QueueDefinition *proto, uint64_t *ret_ms)
{
    const char *field = check_path(check, "%srate_period", prefix);
    if (proto->rate_limit == 0) {
        return proto->rate_period == NULL ||
               check_fault(check, field, "leave it out, or set rate_limit, too");
    }
    if (proto->rate_period == NULL) {
        return check_fault(check, field, "it is required with rate_limit");
    }
    return check_length(check, field, proto->rate_period, 1, PERIOD_MS_MAX, ret_ms);
}

bool queue_offer_take(struct check *check, const char *prefix,
                      const Polos__V1__QueueDefinition *proto, struct queue_offer *ret)
{
    assert(proto != NULL);
    *ret = (struct queue_offer){
        .name = check_copy(check, proto->name),
        .limits =
            {
                .concurrency = proto->concurrency_limit,
                .per_key = proto->per_key_limit,
                .rate = proto->rate_limit,
            },
    };
    return check_name(check, check_path(check, "%sname", prefix), ret->name) &&
           check_range(check, check_path(check, "%sconcurrency_limit", prefix),
                       proto->concurrency_limit, 0, LIMIT_MAX) &&
           check_range(check, check_path(check, "%sper_key_limit", prefix), proto->per_key_limit, 0,
                       LIMIT_MAX) &&
           check_range(check, check_path(check, "%srate_limit", prefix), proto->rate_limit, 0,
                       QUEUES_RATE_MAX) &&
           check_period(check, prefix, proto, &ret->limits.rate_period_ms);
}

static bool take_default(struct check *check, size_t index,
                         const Polos__V1__WorkflowDefinition *workflow,
                         struct queue_default_offer *ret)
{
    const char *field = check_path(check, "hello.offers.workflows[%zu].queue", index);
    *ret = (struct queue_default_offer){
        .workflow = check_copy(check, workflow->id),
        .queue = check_copy(check, workflow->queue),
    };
    return ret->queue.len == 0 || check_name(check, field, ret->queue);
}

bool queue_offers_take(struct check *check, const Polos__V1__Offers *offers,
                       struct request *request)
{
    assert(check->arena == &request->arena);
    struct queue_offer *queues = arena_zalloc(check->arena, offers->n_queues * sizeof(*queues));
    struct queue_default_offer *defaults =
        arena_zalloc(check->arena, offers->n_workflows * sizeof(*defaults));
    if (!check_range(check, "hello.offers.queues", (int64_t)offers->n_queues, 0,
                     HELLO_QUEUES_MAX)) {
        return false;
    }
    for (size_t i = 0; i < offers->n_queues; i++) {
        const char *prefix = check_path(check, "hello.offers.queues[%zu].", i);
        if (!queue_offer_take(check, prefix, offers->queues[i], &queues[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < offers->n_workflows; i++) {
        if (!take_default(check, i, offers->workflows[i], &defaults[i])) {
            return false;
        }
    }
    hello_request(request)->queues = queues;
    hello_request(request)->queue_count = offers->n_queues;
    hello_request(request)->defaults = defaults;
    hello_request(request)->default_count = offers->n_workflows;
    return true;
}

static Polos__V1__Queue *view(const struct queue_report *from, struct arena *arena)
{
    assert(from->name.len > 0);
    Polos__V1__QueueDefinition *definition = arena_alloc(arena, sizeof(*definition));
    polos__v1__queue_definition__init(definition);
    definition->name = text_of(arena, from->name);
    definition->concurrency_limit = from->limits.concurrency;
    definition->per_key_limit = from->limits.per_key;
    definition->rate_limit = from->limits.rate;
    definition->rate_period = times_length(arena, from->limits.rate_period_ms);
    Polos__V1__Queue *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__queue__init(ret);
    ret->definition = definition;
    ret->running = from->running;
    ret->waiting = from->waiting;
    return ret;
}

static void was_put(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    Polos__V1__QueueServicePutResponse response = POLOS__V1__QUEUE_SERVICE_PUT_RESPONSE__INIT;
    assert(str_equal(put_queue_request(request)->ret.name, put_queue_request(request)->offer.name));
    response.queue = view(&put_queue_request(request)->ret, &request->arena);
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void put_queue(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__QueueServicePutRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &put_queue_operation, was_put);
    struct check check = {.arena = &request->arena};
    bool is_fine = proto->queue == NULL ? check_fault(&check, "queue", "it is required")
                                        : queue_offer_take(&check, "queue.", proto->queue,
                                                           &put_queue_request(request)->offer);
    exchange_post_checked(request, is_fine, &check);
}

static void was_deleted(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    Polos__V1__QueueServiceDeleteResponse response = POLOS__V1__QUEUE_SERVICE_DELETE_RESPONSE__INIT;
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void delete_queue(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__QueueServiceDeleteRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &delete_queue_operation, was_deleted);
    struct check check = {.arena = &request->arena};
    str name = arena_copy(&request->arena, str_of(proto->name));
    delete_queue_request(request)->name = name;
    exchange_post_checked(request, check_name(&check, "name", name), &check);
}

static void got(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    Polos__V1__QueueServiceGetResponse response = POLOS__V1__QUEUE_SERVICE_GET_RESPONSE__INIT;
    response.queue = view(&get_queue_request(request)->ret, &request->arena);
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void get_queue(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__QueueServiceGetRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &get_queue_operation, got);
    struct check check = {.arena = &request->arena};
    str name = check_copy(&check, proto->name);
    get_queue_request(request)->name = name;
    exchange_post_checked(request, check_name(&check, "name", name), &check);
}

static void listed(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    struct arena *arena = &request->arena;
    size_t count = queues_request(request)->ret_count;
    assert(count <= queues_request(request)->limit);
    assert(count > 0 || !queues_request(request)->ret_more);
    Polos__V1__QueueServiceListResponse response = POLOS__V1__QUEUE_SERVICE_LIST_RESPONSE__INIT;
    response.queues = arena_alloc(arena, (count + 1) * sizeof(*response.queues));
    response.n_queues = count;
    for (size_t i = 0; i < count; i++) {
        response.queues[i] = view(&queues_request(request)->ret[i], arena);
    }
    if (queues_request(request)->ret_more) {
        response.next_page_token =
            page_token_format(arena, queues_request(request)->ret[count - 1].name);
    }
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void list_queues(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__QueueServiceListRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &list_queues_operation, listed);
    struct check check = {.arena = &request->arena};
    bool is_fine = check_page_size(&check, proto->page_size, QUEUES_PAGE, QUEUES_PAGE_MAX,
                                   &queues_request(request)->limit) &&
                   check_page_token(&check, proto->page_token, STR_EMPTY, NAME_BYTES_MAX,
                                    &queues_request(request)->after);
    exchange_post_checked(request, is_fine, &check);
}

const struct api_method queues_methods[] = {
    {
        .path = "/polos.v1.QueueService/Put",
        .request = &polos__v1__queue_service_put_request__descriptor,
        .response = &polos__v1__queue_service_put_response__descriptor,
        .start = put_queue,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.QueueService/Get",
        .is_read = true,
        .request = &polos__v1__queue_service_get_request__descriptor,
        .response = &polos__v1__queue_service_get_response__descriptor,
        .start = get_queue,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.QueueService/Delete",
        .request = &polos__v1__queue_service_delete_request__descriptor,
        .response = &polos__v1__queue_service_delete_response__descriptor,
        .start = delete_queue,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.QueueService/List",
        .is_read = true,
        .request = &polos__v1__queue_service_list_request__descriptor,
        .response = &polos__v1__queue_service_list_response__descriptor,
        .start = list_queues,
        .closed = exchange_closed,
    },
    {.path = NULL},
};
