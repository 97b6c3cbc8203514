#include <inttypes.h>

#include "polos/v1/suspend.pb-c.h"
#include "service/api/api.h"
#include "service/api/check.h"
#include "service/api/exchange.h"
#include "service/api/methods.h"
#include "service/api/reading.h"
#include "service/api/text.h"
#include "service/api/times.h"
#include "service/base/failure.h"
#include "service/features/suspensions/suspensions.h"
#include "service/hosts/message.h"
#include "service/partition/request.h"
#include "service/reads/suspensions.h"

enum {
    SUSPENSIONS_PAGE = 50,
    SUSPENSIONS_PAGE_MAX = 500,
    /* A page ends early at this size: many clients take no more than 4 MiB. */
    SUSPENSIONS_BYTES_MAX = 2 << 20,
    HEX_MS = 16,
    HEX_EFFECT = 8,
    TOKEN_LEN = HEX_MS + UUID_TEXT_BYTES - 1 + HEX_EFFECT,
};

/* A page's token names its last suspension: when, whose, which; each of a fixed width. */
static char *format_token(struct arena *arena, const struct open_suspension *last)
{
    char run[UUID_TEXT_BYTES];
    uuid_format(last->run, run);
    str token =
        arena_printf(arena, "%016" PRIx64 "%s%08" PRIx32, last->since_ms, run, last->effect);
    assert(token.len == TOKEN_LEN);
    return (char *)token.ptr;
}

static bool parse_hex(str text, uint64_t *ret)
{
    assert(text.len <= HEX_MS);
    static const char digits[] = "0123456789abcdef";
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *digit = text.ptr[i] == '\0' ? NULL : strchr(digits, text.ptr[i]);
        if (digit == NULL) {
            return false;
        }
        value = value << 4 | (uint64_t)(digit - digits);
    }
    *ret = value;
    return true;
}

static bool take_token(struct check *check, str token, struct suspensions_read *ret)
{
    uint64_t effect = 0;
    if (token.len == 0) {
        return true;
    }
    bool is_fine = token.len == TOKEN_LEN &&
                   parse_hex(str_make(token.ptr, HEX_MS), &ret->after_ms) &&
                   uuid_parse(str_make(token.ptr + HEX_MS, UUID_TEXT_BYTES - 1), &ret->after_run) &&
                   parse_hex(str_make(token.ptr + TOKEN_LEN - HEX_EFFECT, HEX_EFFECT), &effect);
    ret->after_effect = (uint32_t)effect;
    return is_fine || check_fault(check, "page_token", "pass next_page_token of the page before");
}

static char *format_id(struct arena *arena, uuid run, uint32_t effect)
{
    char *ret = arena_alloc(arena, TASK_ID_BYTES);
    assert(effect > 0);
    task_ref_format((struct task_ref){run, effect}, ret);
    return ret;
}

static const Polos__V1__Suspension__State state_words[] = {
    [SUSPENSION_OPEN] = POLOS__V1__SUSPENSION__STATE__STATE_OPEN,
    [SUSPENSION_ANSWERED] = POLOS__V1__SUSPENSION__STATE__STATE_ANSWERED,
    [SUSPENSION_EXPIRED] = POLOS__V1__SUSPENSION__STATE__STATE_EXPIRED,
    [SUSPENSION_WITHDRAWN] = POLOS__V1__SUSPENSION__STATE__STATE_WITHDRAWN,
};

static Polos__V1__Answer *view_answer(const struct suspension *from, struct arena *arena)
{
    assert(from->state == SUSPENSION_ANSWERED);
    Polos__V1__Answer *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__answer__init(ret);
    ret->data_json = text_of(arena, from->answer);
    ret->answered_by = text_of(arena, from->by);
    ret->answered_at = times_instant(arena, from->answered_ms);
    return ret;
}

static Polos__V1__Suspension *view(const struct suspension *from, struct arena *arena)
{
    assert(!uuid_is_zero(from->run));
    Polos__V1__Suspension *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__suspension__init(ret);
    ret->id = format_id(arena, from->run, from->effect);
    ret->run_id = text_of_uuid(arena, from->run);
    ret->step_key = text_of(arena, from->step_key);
    ret->data_json = text_of(arena, from->data);
    ret->answer_schema_json = text_of(arena, from->answer_schema);
    ret->created_at = times_instant(arena, from->since_ms);
    ret->deadline = times_instant(arena, from->deadline_ms);
    ret->name = text_of(arena, from->name);
    ret->root_run_id = text_of_uuid(arena, from->root);
    ret->state = state_words[from->state];
    ret->answer = from->state == SUSPENSION_ANSWERED ? view_answer(from, arena) : NULL;
    return ret;
}

static Polos__V1__Suspension *view_open(const struct open_suspension *from, struct arena *arena)
{
    struct suspension suspension = {
        .run = from->run,
        .effect = from->effect,
        .root = from->root,
        .name = from->name,
        .step_key = from->step_key,
        .data = from->data,
        .answer_schema = from->answer_schema,
        .since_ms = from->since_ms,
        .deadline_ms = from->deadline_ms,
        .state = SUSPENSION_OPEN,
    };
    return view(&suspension, arena);
}

static void listed(struct read *read, const struct failure *failure)
{
    if (reading_failed(read, failure)) {
        return;
    }
    struct arena *arena = &read->arena;
    const struct suspensions_read *list = suspensions_read(read);
    size_t count = list->ret_count;
    assert(count <= list->limit);
    Polos__V1__SuspendServiceListResponse response = POLOS__V1__SUSPEND_SERVICE_LIST_RESPONSE__INIT;
    response.suspensions = arena_alloc(arena, count * sizeof(*response.suspensions));
    size_t shown = 0;
    for (size_t bytes = 0; shown < count && bytes < SUSPENSIONS_BYTES_MAX; shown++) {
        response.suspensions[shown] = view_open(&list->ret[shown], arena);
        bytes += polos__v1__suspension__get_packed_size(response.suspensions[shown]);
    }
    response.n_suspensions = shown;
    assert(shown > 0 || count == 0); /* A page brings its reader further. */
    if (shown > 0 && (shown < count || list->ret_more)) {
        response.next_page_token = format_token(arena, &list->ret[shown - 1]);
    }
    api_call_reply(reading_call(read), &response.base);
    reading_end(read);
}

static void list_suspensions(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__SuspendServiceListRequest *proto = (const void *)message;
    struct read *read = reading_new(call, &suspensions_kind, listed);
    struct check check = {.arena = &read->arena};
    str run_id = str_of(proto->run_id);
    bool is_fine = check_page_size(&check, proto->page_size, SUSPENSIONS_PAGE, SUSPENSIONS_PAGE_MAX,
                                   &suspensions_read(read)->limit) &&
                   take_token(&check, str_of(proto->page_token), suspensions_read(read)) &&
                   (run_id.len == 0 || check_uuid(&check, "run_id", run_id, &read->run));
    reading_post_checked(read, is_fine, &check);
}

static void got(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    assert(suspension_request(request)->ret != NULL);
    Polos__V1__SuspendServiceGetResponse response = POLOS__V1__SUSPEND_SERVICE_GET_RESPONSE__INIT;
    response.suspension = view(suspension_request(request)->ret, &request->arena);
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void get_suspension(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__SuspendServiceGetRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &get_suspension_operation, got);
    struct check check = {.arena = &request->arena};
    suspension_request(request)->step_key = check_copy(&check, proto->step_key);
    bool is_fine = check_suspension(&check, "", str_of(proto->suspension_id), str_of(proto->run_id),
                                    suspension_request(request)->step_key, &request->run,
                                    &suspension_request(request)->effect);
    exchange_post_checked(request, is_fine, &check);
}

static Polos__V1__ResumeOutcome outcome_of(const struct resume_request *resume)
{
    if (resume->ret_accepted) {
        return resume->ret_kept ? POLOS__V1__RESUME_OUTCOME__RESUME_OUTCOME_KEPT
                                : POLOS__V1__RESUME_OUTCOME__RESUME_OUTCOME_ACCEPTED;
    }
    bool is_closed = resume->ret_over != NULL && resume->ret_over->state != SUSPENSION_ANSWERED;
    return is_closed ? POLOS__V1__RESUME_OUTCOME__RESUME_OUTCOME_CLOSED
                     : POLOS__V1__RESUME_OUTCOME__RESUME_OUTCOME_ALREADY_ANSWERED;
}

static void resumed(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    Polos__V1__SuspendServiceResumeResponse response =
        POLOS__V1__SUSPEND_SERVICE_RESUME_RESPONSE__INIT;
    const struct suspension *over = resume_request(request)->ret_over;
    response.outcome = outcome_of(resume_request(request));
    response.suspension = over == NULL ? NULL : view(over, &request->arena);
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void resume_suspension(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__SuspendServiceResumeRequest *proto = (const void *)message;
    const struct api *api = call->service;
    struct request *request = exchange_new(call, &resume_operation, resumed);
    struct check check = {.arena = &request->arena, .json_bytes_max = api->input_bytes_max};
    struct resume_request *resume = resume_request(request);
    resume->by = check_copy(&check, proto->answered_by);
    resume->key = check_copy(&check, proto->step_key);
    resume->workflow = check_copy(&check, proto->workflow_id);
    bool is_fine =
        check_suspension(&check, "", str_of(proto->suspension_id), str_of(proto->run_id),
                         resume->key, &request->run, &resume->effect) &&
        check_value_or_null(&check, "data_json", str_of(proto->data_json), &resume->data) &&
        check_bytes(&check, "answered_by", resume->by, CHECK_LABEL_BYTES_MAX);
    exchange_post_checked(request, is_fine, &check);
}

const struct api_method suspend_methods[] = {
    {
        .path = "/polos.v1.SuspendService/List",
        .is_read = true,
        .request = &polos__v1__suspend_service_list_request__descriptor,
        .response = &polos__v1__suspend_service_list_response__descriptor,
        .start = list_suspensions,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.SuspendService/Get",
        .is_read = true,
        .request = &polos__v1__suspend_service_get_request__descriptor,
        .response = &polos__v1__suspend_service_get_response__descriptor,
        .start = get_suspension,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.SuspendService/Resume",
        .request = &polos__v1__suspend_service_resume_request__descriptor,
        .response = &polos__v1__suspend_service_resume_response__descriptor,
        .start = resume_suspension,
        .closed = exchange_closed,
    },
    {.path = NULL},
};
