#include "polos/v1/runs.pb-c.h"
#include "service/agents/definition.h"
#include "service/api/check.h"
#include "service/api/methods.h"
#include "service/api/reading.h"
#include "service/api/run_view.h"
#include "service/api/text.h"
#include "service/reads/list.h"

enum {
    LIST_PAGE = 50,
    LIST_PAGE_MAX = 500,
};
static_assert((int)LIST_PAGE <= (int)LIST_PAGE_MAX);
/* The numbers of the protos are those of the engine and of the rows. */
static_assert((int)RUN_KIND_AGENT == (int)POLOS__V1__RUN_KIND__RUN_KIND_AGENT);
static_assert((int)RUN_KIND_COUNT == (int)POLOS__V1__RUN_KIND__RUN_KIND_TOOL + 1);
static_assert((int)RUN_STATUS_RUNNING == (int)POLOS__V1__RUN_STATUS__RUN_STATUS_RUNNING);
static_assert((int)RUN_STATUS_WAITING == (int)POLOS__V1__RUN_STATUS__RUN_STATUS_WAITING);
static_assert((int)RUN_STATUS_COMPLETED == (int)POLOS__V1__RUN_STATUS__RUN_STATUS_COMPLETED);
static_assert((int)RUN_STATUS_FAILED == (int)POLOS__V1__RUN_STATUS__RUN_STATUS_FAILED);
static_assert((int)RUN_STATUS_CANCELLED == (int)POLOS__V1__RUN_STATUS__RUN_STATUS_CANCELLED);
static_assert((int)RUN_STATUS_UNREADABLE == (int)POLOS__V1__RUN_STATUS__RUN_STATUS_UNREADABLE);

/* Far beyond any clock, and within what an id holds. */
#define TIME_MS_MAX ((int64_t)1 << 46)

static void was_read(struct read *read, const struct failure *failure)
{
    if (reading_failed(read, failure)) {
        return;
    }
    struct arena *arena = &read->arena;
    const struct list_read *list = list_read(read);
    assert(list->ret_count <= list->limit);
    Polos__V1__RunServiceListResponse response = POLOS__V1__RUN_SERVICE_LIST_RESPONSE__INIT;
    response.n_runs = list->ret_count;
    response.runs = arena_alloc(arena, list->ret_count * sizeof(*response.runs));
    for (size_t i = 0; i < list->ret_count; i++) {
        response.runs[i] = run_view_line(&list->ret_lines[i], arena);
    }
    if (!uuid_is_zero(list->ret_next)) {
        response.next_page_token = text_of_uuid(arena, list->ret_next);
    }
    api_call_reply(reading_call(read), &response.base);
    reading_end(read);
}

static bool take_labels(struct check *check, const Polos__V1__RunServiceListRequest *proto,
                        struct run_filter *ret)
{
    ret->session_id = check_copy(check, proto->session_id);
    ret->user_id = check_copy(check, proto->user_id);
    ret->conversation_id = check_copy(check, proto->conversation_id);
    return check_bytes(check, "session_id", ret->session_id, CHECK_LABEL_BYTES_MAX) &&
           check_bytes(check, "user_id", ret->user_id, CHECK_LABEL_BYTES_MAX) &&
           check_bytes(check, "conversation_id", ret->conversation_id, CHECK_LABEL_BYTES_MAX);
}

static bool take_times(struct check *check, const Polos__V1__RunServiceListRequest *proto,
                       struct run_filter *ret)
{
    ret->created_after_ms = (uint64_t)proto->created_after_ms;
    ret->created_before_ms = (uint64_t)proto->created_before_ms;
    return check_range(check, "created_after_ms", proto->created_after_ms, 0, TIME_MS_MAX) &&
           check_range(check, "created_before_ms", proto->created_before_ms, 0, TIME_MS_MAX);
}

static bool take_filter(struct check *check, const Polos__V1__RunServiceListRequest *proto,
                        struct run_filter *ret)
{
    str parent = str_of(proto->parent_run_id);
    ret->kind = (enum run_kind)proto->kind;
    ret->status = (uint32_t)proto->status;
    ret->name = check_copy(check, proto->name);
    ret->deployment = check_copy(check, proto->deployment);
    return check_range(check, "kind", (int64_t)proto->kind, 0, RUN_KIND_COUNT - 1) &&
           check_range(check, "status", (int64_t)proto->status, 0,
                       POLOS__V1__RUN_STATUS__RUN_STATUS_UNREADABLE) &&
           (ret->name.len == 0 || check_name(check, "name", ret->name)) &&
           check_bytes(check, "deployment", ret->deployment, NAME_BYTES_MAX) &&
           (parent.len == 0 || check_uuid(check, "parent_run_id", parent, &ret->parent)) &&
           take_labels(check, proto, ret) && take_times(check, proto, ret);
}

static bool take(struct check *check, const Polos__V1__RunServiceListRequest *proto,
                 struct list_read *ret)
{
    str token = str_of(proto->page_token);
    if (token.len > 0 && !uuid_parse(token, &ret->before)) {
        return check_fault(check, "page_token", "pass next_page_token of the page before");
    }
    return check_page_size(check, proto->page_size, LIST_PAGE, LIST_PAGE_MAX, &ret->limit) &&
           take_filter(check, proto, &ret->filter);
}

static void list_runs(struct api_call *call, const ProtobufCMessage *message)
{
    struct read *read = reading_new(call, &list_kind, was_read);
    struct check check = {.arena = &read->arena};
    bool is_fine = take(&check, (const void *)message, list_read(read));
    reading_post_checked(read, is_fine, &check);
}

const struct api_method run_list_methods[] = {
    {
        .path = "/polos.v1.RunService/List",
        .request = &polos__v1__run_service_list_request__descriptor,
        .response = &polos__v1__run_service_list_response__descriptor,
        .start = list_runs,
        .closed = exchange_closed,
    },
    {.path = NULL},
};
