#include "service/api/schedules.h"

#include "polos/v1/schedules.pb-c.h"
#include "service/agents/transcript.h"
#include "service/api/api.h"
#include "service/api/exchange.h"
#include "service/api/methods.h"
#include "service/api/options.h"
#include "service/api/page_token.h"
#include "service/api/text.h"
#include "service/api/times.h"
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

bool schedule_take(struct check *check, const char *prefix, const Polos__V1__ScheduleSpec *spec,
                   struct schedule_offer *ret)
{
    str zone = str_of(spec->timezone);
    ret->cron = check_copy(check, spec->cron);
    ret->zone = zone.len == 0 ? STR("UTC") : arena_copy(check->arena, zone);
    const char *zone_field = check_path(check, "%stimezone", prefix);
    return take_key(check, prefix, spec->key, &ret->key) &&
           check_bytes(check, zone_field, ret->zone, ZONE_BYTES_MAX);
}

/* ---- Seeing them. ---- */

static Polos__V1__ScheduleSpec *view_spec(const struct schedule_view *from, struct arena *arena)
{
    Polos__V1__ScheduleSpec *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__schedule_spec__init(ret);
    ret->cron = text_of(arena, from->cron);
    ret->timezone = text_of(arena, from->zone);
    ret->key = text_of(arena, from->key);
    return ret;
}

static Polos__V1__Schedule *view(const struct schedule_view *from, struct arena *arena)
{
    assert(from->id.len > 0 && from->name.len > 0);
    Polos__V1__Schedule *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__schedule__init(ret);
    ret->id = text_of(arena, from->id);
    ret->kind = (Polos__V1__RunKind)from->kind;
    ret->name = text_of(arena, from->name);
    ret->spec = view_spec(from, arena);
    ret->input_json = text_of(arena, from->input);
    if (from->has_options) {
        ret->options = options_view(&from->options, from->provider_options, arena);
    }
    ret->paused = from->is_paused;
    ret->problem = text_of(arena, from->problem);
    ret->next_tick = times_instant(arena, from->next_ms);
    ret->last_tick = times_instant(arena, from->last_ms);
    if (!uuid_is_zero(from->last_run)) {
        ret->last_run_id = text_of_uuid(arena, from->last_run);
    }
    ret->skipped_ticks = (int64_t)from->skipped;
    ret->created_at = times_instant(arena, from->created_ms);
    return ret;
}

static bool check_id(struct check *check, const char *id, str *ret)
{
    *ret = check_copy(check, id);
    return check_some(check, "schedule_id", *ret, SCHEDULE_ID_BYTES_MAX);
}

static void got(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    Polos__V1__ScheduleServiceGetResponse response = POLOS__V1__SCHEDULE_SERVICE_GET_RESPONSE__INIT;
    response.schedule = view(&get_schedule_request(request)->ret, &request->arena);
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void get_schedule(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__ScheduleServiceGetRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &get_schedule_operation, got);
    struct check check = {.arena = &request->arena};
    bool is_fine = check_id(&check, proto->schedule_id, &get_schedule_request(request)->id);
    exchange_post_checked(request, is_fine, &check);
}

/* Answers with the schedule as it is when the change is durable. */
static void show(struct request *changed, str id, exchange_done *done)
{
    struct request *get = exchange_new(exchange_call(changed), &get_schedule_operation, done);
    get_schedule_request(get)->id = arena_copy(&get->arena, id);
    exchange_post_always(get);
    exchange_end(changed);
}

/* ---- Changing them. ---- */

static void put_seen(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    Polos__V1__ScheduleServicePutResponse response = POLOS__V1__SCHEDULE_SERVICE_PUT_RESPONSE__INIT;
    response.schedule = view(&get_schedule_request(request)->ret, &request->arena);
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void was_put(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    const struct schedule_offer *offer = &put_schedule_request(request)->offer;
    assert(offer->name.len > 0 && offer->key.len > 0);
    str id = arena_printf(&request->arena, STR_FMT "/" STR_FMT, STR_ARG(offer->name),
                          STR_ARG(offer->key));
    show(request, id, put_seen);
}

static bool take_kind(struct check *check, Polos__V1__RunKind kind, enum run_kind *ret)
{
    if (kind != POLOS__V1__RUN_KIND__RUN_KIND_UNSPECIFIED &&
        kind != POLOS__V1__RUN_KIND__RUN_KIND_WORKFLOW &&
        kind != POLOS__V1__RUN_KIND__RUN_KIND_AGENT) {
        return check_fault(check, "kind", "%d is none; use RUN_KIND_WORKFLOW or RUN_KIND_AGENT",
                           (int)kind);
    }
    *ret = kind == POLOS__V1__RUN_KIND__RUN_KIND_AGENT ? RUN_KIND_AGENT : RUN_KIND_WORKFLOW;
    return true;
}

static bool take_input(struct check *check, const char *input_json, struct schedule_offer *offer)
{
    str input = str_of(input_json);
    if (offer->kind != RUN_KIND_AGENT) {
        return input.len == 0 || check_value(check, "input_json", input, &offer->input);
    }
    if (!check_value(check, "input_json", input, &offer->input)) {
        return false;
    }
    const struct model_message *messages;
    size_t count;
    status fits = transcript_check_input(offer->input, check->arena, &messages, &count);
    return status_is_ok(fits) || check_fault(check, "input_json", "%s", fits.why);
}

static bool take_offer(struct check *check, const Polos__V1__ScheduleServicePutRequest *proto,
                       struct schedule_offer *offer)
{
    offer->name = check_copy(check, proto->name);
    offer->has_options = proto->options != NULL;
    offer->field = STR("spec.");
    if (!take_kind(check, proto->kind, &offer->kind) || !check_name(check, "name", offer->name)) {
        return false;
    }
    if (proto->spec == NULL) {
        return check_fault(check, "spec", "it is required");
    }
    return schedule_take(check, "spec.", proto->spec, offer) &&
           take_input(check, proto->input_json, offer) &&
           options_take(check, "options.", offer->kind, proto->options, &offer->options) &&
           options_take_provider(check, "options.", offer->kind, proto->options,
                                 &offer->provider_options);
}

static void put_schedule(struct api_call *call, const ProtobufCMessage *message)
{
    const struct api *api = call->service;
    struct request *request = exchange_new(call, &put_schedule_operation, was_put);
    struct check check = {.arena = &request->arena, .json_bytes_max = api->input_bytes_max};
    bool is_fine = take_offer(&check, (const void *)message, &put_schedule_request(request)->offer);
    exchange_post_checked(request, is_fine, &check);
}

static void pause_seen(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    Polos__V1__ScheduleServicePauseResponse response =
        POLOS__V1__SCHEDULE_SERVICE_PAUSE_RESPONSE__INIT;
    response.schedule = view(&get_schedule_request(request)->ret, &request->arena);
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void unpause_seen(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    Polos__V1__ScheduleServiceUnpauseResponse response =
        POLOS__V1__SCHEDULE_SERVICE_UNPAUSE_RESPONSE__INIT;
    response.schedule = view(&get_schedule_request(request)->ret, &request->arena);
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void paused(struct request *request, const struct failure *failure)
{
    if (!exchange_failed(request, failure)) {
        show(request, pause_schedule_request(request)->id,
             pause_schedule_request(request)->pauses ? pause_seen : unpause_seen);
    }
}

static void pause_schedule(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__ScheduleServicePauseRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &pause_schedule_operation, paused);
    struct pause_schedule_request *pause = pause_schedule_request(request);
    struct check check = {.arena = &request->arena};
    pause->pauses = true;
    pause->cause = check_copy(&check, proto->cause);
    bool is_fine = check_id(&check, proto->schedule_id, &pause->id) &&
                   check_bytes(&check, "cause", pause->cause, CHECK_CAUSE_BYTES_MAX);
    exchange_post_checked(request, is_fine, &check);
}

static void unpause_schedule(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__ScheduleServiceUnpauseRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &pause_schedule_operation, paused);
    struct check check = {.arena = &request->arena};
    bool is_fine = check_id(&check, proto->schedule_id, &pause_schedule_request(request)->id);
    exchange_post_checked(request, is_fine, &check);
}

static void triggered(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    const struct trigger_schedule_request *trigger = trigger_schedule_request(request);
    Polos__V1__ScheduleServiceTriggerResponse response =
        POLOS__V1__SCHEDULE_SERVICE_TRIGGER_RESPONSE__INIT;
    response.run_id = text_of_uuid(&request->arena, trigger->ret_run);
    response.outcome = trigger->ret_existed ? POLOS__V1__START_OUTCOME__START_OUTCOME_FOUND
                                            : POLOS__V1__START_OUTCOME__START_OUTCOME_STARTED;
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void trigger_schedule(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__ScheduleServiceTriggerRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &trigger_schedule_operation, triggered);
    struct trigger_schedule_request *trigger = trigger_schedule_request(request);
    struct check check = {.arena = &request->arena};
    trigger->idempotency_key = check_copy(&check, proto->idempotency_key);
    bool is_fine =
        check_id(&check, proto->schedule_id, &trigger->id) &&
        check_bytes(&check, "idempotency_key", trigger->idempotency_key, CHECK_LABEL_BYTES_MAX);
    exchange_post_checked(request, is_fine, &check);
}

static void deleted(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    Polos__V1__ScheduleServiceDeleteResponse response =
        POLOS__V1__SCHEDULE_SERVICE_DELETE_RESPONSE__INIT;
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void delete_schedule(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__ScheduleServiceDeleteRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &delete_schedule_operation, deleted);
    struct check check = {.arena = &request->arena};
    bool is_fine = check_id(&check, proto->schedule_id, &delete_schedule_request(request)->id);
    exchange_post_checked(request, is_fine, &check);
}

/* ---- Listing them. ---- */

static void listed(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    struct arena *arena = &request->arena;
    const struct schedules_request *list = schedules_request(request);
    size_t count = list->ret_count;
    assert(count <= list->limit);
    assert(count > 0 || !list->ret_more);
    Polos__V1__ScheduleServiceListResponse response =
        POLOS__V1__SCHEDULE_SERVICE_LIST_RESPONSE__INIT;
    response.schedules = arena_alloc(arena, count * sizeof(*response.schedules));
    response.n_schedules = count;
    for (size_t i = 0; i < count; i++) {
        response.schedules[i] = view(&list->ret[i], arena);
    }
    if (list->ret_more) {
        response.next_page_token = page_token_format(arena, list->ret[count - 1].id);
    }
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void list_schedules(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__ScheduleServiceListRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &list_schedules_operation, listed);
    struct schedules_request *list = schedules_request(request);
    struct check check = {.arena = &request->arena};
    str name = str_of(proto->name);
    list->prefix =
        name.len == 0 ? STR_EMPTY : arena_printf(&request->arena, STR_FMT "/", STR_ARG(name));
    bool is_fine =
        (name.len == 0 || check_name(&check, "name", name)) &&
        check_page_size(&check, proto->page_size, SCHEDULES_PAGE, SCHEDULES_PAGE_MAX,
                        &list->limit) &&
        check_page_token(&check, proto->page_token, list->prefix, SCHEDULE_ID_BYTES_MAX, &list->id);
    exchange_post_checked(request, is_fine, &check);
}

const struct api_method schedules_methods[] = {
    {
        .path = "/polos.v1.ScheduleService/Put",
        .request = &polos__v1__schedule_service_put_request__descriptor,
        .response = &polos__v1__schedule_service_put_response__descriptor,
        .start = put_schedule,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.ScheduleService/Get",
        .is_read = true,
        .request = &polos__v1__schedule_service_get_request__descriptor,
        .response = &polos__v1__schedule_service_get_response__descriptor,
        .start = get_schedule,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.ScheduleService/List",
        .is_read = true,
        .request = &polos__v1__schedule_service_list_request__descriptor,
        .response = &polos__v1__schedule_service_list_response__descriptor,
        .start = list_schedules,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.ScheduleService/Delete",
        .request = &polos__v1__schedule_service_delete_request__descriptor,
        .response = &polos__v1__schedule_service_delete_response__descriptor,
        .start = delete_schedule,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.ScheduleService/Pause",
        .request = &polos__v1__schedule_service_pause_request__descriptor,
        .response = &polos__v1__schedule_service_pause_response__descriptor,
        .start = pause_schedule,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.ScheduleService/Unpause",
        .request = &polos__v1__schedule_service_unpause_request__descriptor,
        .response = &polos__v1__schedule_service_unpause_response__descriptor,
        .start = unpause_schedule,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.ScheduleService/Trigger",
        .request = &polos__v1__schedule_service_trigger_request__descriptor,
        .response = &polos__v1__schedule_service_trigger_response__descriptor,
        .start = trigger_schedule,
        .closed = exchange_closed,
    },
    {.path = NULL},
};
