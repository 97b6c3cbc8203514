#include "service/api/schedules.h"

#include "polos/v1/workflows.pb-c.h"
#include "service/api/api.h"
#include "service/api/exchange.h"
#include "service/api/methods.h"
#include "service/api/text.h"
#include "service/base/failure.h"
#include "service/features/schedules/schedules.h"
#include "service/partition/request.h"

enum {
    SCHEDULES_PAGE = 100,
    SCHEDULES_PAGE_MAX = 1000,
    ZONE_BYTES_MAX = 64,
};
static_assert((int)SCHEDULES_PAGE <= (int)SCHEDULES_PAGE_MAX);

static bool take_key(struct check *check, const char *prefix, const char *key, str *ret)
{
    str given = str_of(key);
    *ret = given.len == 0 ? STR("global") : arena_copy(check->arena, given);
    return check_bytes(check, check_path(check, "%skey", prefix), *ret, SCHEDULE_KEY_BYTES_MAX);
}

bool schedule_take(struct check *check, const char *prefix, const char *key, const char *timezone,
                   struct schedule_offer *ret)
{
    str zone = str_of(timezone);
    ret->zone = zone.len == 0 ? STR("UTC") : arena_copy(check->arena, zone);
    const char *zone_field = check_path(check, "%stimezone", prefix);
    return take_key(check, prefix, key, &ret->key) &&
           check_bytes(check, zone_field, ret->zone, ZONE_BYTES_MAX);
}

static void was_put(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    const struct schedule_offer *offer = &put_schedule_request(request)->offer;
    assert(offer->workflow.len > 0 && offer->key.len > 0);
    Polos__V1__WorkflowServicePutScheduleResponse response =
        POLOS__V1__WORKFLOW_SERVICE_PUT_SCHEDULE_RESPONSE__INIT;
    str id = arena_printf(&request->arena, STR_FMT "/" STR_FMT, STR_ARG(offer->workflow),
                          STR_ARG(offer->key));
    response.schedule_id = text_of(&request->arena, id);
    response.next_tick_ms = (int64_t)put_schedule_request(request)->ret_next_ms;
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void put_schedule(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__WorkflowServicePutScheduleRequest *proto = (const void *)message;
    const struct api *api = call->service;
    struct request *request = exchange_new(call, &put_schedule_operation, was_put);
    struct check check = {.arena = &request->arena, .json_bytes_max = api->input_bytes_max};
    struct schedule_offer *offer = &put_schedule_request(request)->offer;
    offer->workflow = arena_copy(&request->arena, str_of(proto->workflow_id));
    offer->cron = arena_copy(&request->arena, str_of(proto->cron));
    str input = str_of(proto->input_json);
    bool is_fine = check_name(&check, "workflow_id", offer->workflow) &&
                   schedule_take(&check, "", proto->key, proto->timezone, offer) &&
                   (input.len == 0 || check_value(&check, "input_json", input, &offer->input));
    exchange_post_checked(request, is_fine, &check);
}

static Polos__V1__WorkflowSchedule *view(const struct schedule_view *from, struct arena *arena)
{
    assert(from->id.len > 0 && from->workflow.len > 0);
    Polos__V1__WorkflowSchedule *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__workflow_schedule__init(ret);
    ret->schedule_id = text_of(arena, from->id);
    ret->workflow_id = text_of(arena, from->workflow);
    ret->key = text_of(arena, from->key);
    ret->cron = text_of(arena, from->cron);
    ret->timezone = text_of(arena, from->zone);
    ret->input_json = text_of(arena, from->input);
    ret->next_tick_ms = (int64_t)from->next_ms;
    ret->last_tick_ms = (int64_t)from->last_ms;
    if (!uuid_is_zero(from->last_run)) {
        ret->last_run_id = text_of_uuid(arena, from->last_run);
    }
    ret->skipped_ticks = (int64_t)from->skipped;
    ret->created_at_ms = (int64_t)from->created_ms;
    ret->problem = text_of(arena, from->problem);
    return ret;
}

static void listed(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    struct arena *arena = &request->arena;
    size_t count = schedules_request(request)->ret_count;
    assert(count <= schedules_request(request)->limit);
    assert(count > 0 || !schedules_request(request)->ret_more);
    Polos__V1__WorkflowServiceListSchedulesResponse response =
        POLOS__V1__WORKFLOW_SERVICE_LIST_SCHEDULES_RESPONSE__INIT;
    response.schedules = arena_alloc(arena, count * sizeof(*response.schedules));
    response.n_schedules = count;
    for (size_t i = 0; i < count; i++) {
        response.schedules[i] = view(&schedules_request(request)->ret[i], arena);
    }
    if (schedules_request(request)->ret_more) { /* The token is the id of the last. */
        response.next_page_token = response.schedules[count - 1]->schedule_id;
    }
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void list_schedules(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__WorkflowServiceListSchedulesRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &list_schedules_operation, listed);
    struct check check = {.arena = &request->arena};
    schedules_request(request)->workflow = arena_copy(&request->arena, str_of(proto->workflow_id));
    schedules_request(request)->id = arena_copy(&request->arena, str_of(proto->page_token));
    bool is_fine =
        (schedules_request(request)->workflow.len == 0 ||
         check_name(&check, "workflow_id", schedules_request(request)->workflow)) &&
        check_page_size(&check, proto->page_size, SCHEDULES_PAGE, SCHEDULES_PAGE_MAX,
                        &schedules_request(request)->limit) &&
        check_bytes(&check, "page_token", schedules_request(request)->id, SCHEDULE_ID_BYTES_MAX);
    exchange_post_checked(request, is_fine, &check);
}

static void deleted(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    Polos__V1__WorkflowServiceDeleteScheduleResponse response =
        POLOS__V1__WORKFLOW_SERVICE_DELETE_SCHEDULE_RESPONSE__INIT;
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void delete_schedule(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__WorkflowServiceDeleteScheduleRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &delete_schedule_operation, deleted);
    struct check check = {.arena = &request->arena};
    str key;
    bool is_fine = check_name(&check, "workflow_id", str_of(proto->workflow_id)) &&
                   take_key(&check, "", proto->key, &key);
    if (is_fine) {
        delete_schedule_request(request)->id =
            arena_printf(&request->arena, "%s/" STR_FMT, proto->workflow_id, STR_ARG(key));
        assert(delete_schedule_request(request)->id.len <= SCHEDULE_ID_BYTES_MAX);
    }
    exchange_post_checked(request, is_fine, &check);
}

const struct api_method schedules_methods[] = {
    {
        .path = "/polos.v1.WorkflowService/PutSchedule",
        .request = &polos__v1__workflow_service_put_schedule_request__descriptor,
        .response = &polos__v1__workflow_service_put_schedule_response__descriptor,
        .start = put_schedule,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.WorkflowService/ListSchedules",
        .is_read = true,
        .request = &polos__v1__workflow_service_list_schedules_request__descriptor,
        .response = &polos__v1__workflow_service_list_schedules_response__descriptor,
        .start = list_schedules,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.WorkflowService/DeleteSchedule",
        .request = &polos__v1__workflow_service_delete_schedule_request__descriptor,
        .response = &polos__v1__workflow_service_delete_schedule_response__descriptor,
        .start = delete_schedule,
        .closed = exchange_closed,
    },
    {.path = NULL},
};
