#include "polos/v1/runs.pb-c.h"
#include "service/agents/definition.h"
#include "service/api/check.h"
#include "service/api/methods.h"
#include "service/api/reading.h"
#include "service/api/run_view.h"
#include "service/api/schedules.h"
#include "service/api/text.h"
#include "service/api/times.h"
#include "service/base/hash.h"
#include "service/base/payload.h"
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

/* A token binds the place to the filter it was made for. */
enum {
    TOKEN_HASH_BYTES = 8,
    TOKEN_LEN = UUID_TEXT_BYTES - 1 + 2 * TOKEN_HASH_BYTES,
};

static char *format_token(const struct list_read *list, str filter_hash, struct arena *arena)
{
    char last[UUID_TEXT_BYTES];
    uuid_format(list->ret_next, last);
    str token = arena_printf(arena, "%s" STR_FMT, last, STR_ARG(filter_hash));
    assert(token.len == TOKEN_LEN);
    return (char *)token.ptr;
}

/* Of the filter as it was asked. */
static str hash_filter(const Polos__V1__RunFilter *filter, struct arena *arena)
{
    uint8_t hash[HASH_BYTES];
    struct payload *packed = filter == NULL ? NULL : api_pack(&filter->base);
    hash128(packed == NULL ? STR_EMPTY : payload_bytes(packed), hash);
    payload_unref(packed);
    return str_of(text_of_hash(arena, str_make(hash, TOKEN_HASH_BYTES)));
}

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
        const str *hash = *reading_own(read);
        response.next_page_token = format_token(list, *hash, arena);
    }
    api_call_reply(reading_call(read), &response.base);
    reading_end(read);
}

static bool take_labels(struct check *check, const Polos__V1__RunFilter *proto,
                        struct run_filter *ret)
{
    ret->session_id = check_copy(check, proto->session_id);
    ret->user_id = check_copy(check, proto->user_id);
    ret->conversation_id = check_copy(check, proto->conversation_id);
    return check_bytes(check, "filter.session_id", ret->session_id, CHECK_LABEL_BYTES_MAX) &&
           check_bytes(check, "filter.user_id", ret->user_id, CHECK_LABEL_BYTES_MAX) &&
           check_bytes(check, "filter.conversation_id", ret->conversation_id,
                       CHECK_LABEL_BYTES_MAX);
}

static bool take_places(struct check *check, const Polos__V1__RunFilter *proto,
                        struct run_filter *ret)
{
    str parent = str_of(proto->parent_run_id);
    str root = str_of(proto->root_run_id);
    ret->only_roots = proto->only_roots;
    return (parent.len == 0 || check_uuid(check, "filter.parent_run_id", parent, &ret->parent)) &&
           (root.len == 0 || check_uuid(check, "filter.root_run_id", root, &ret->root));
}

static bool take_times(struct check *check, const Polos__V1__RunFilter *proto,
                       struct run_filter *ret)
{
    return (proto->created_after == NULL ||
            check_instant(check, "filter.created_after", proto->created_after,
                          &ret->created_after_ms)) &&
           (proto->created_before == NULL ||
            check_instant(check, "filter.created_before", proto->created_before,
                          &ret->created_before_ms));
}

static bool take_statuses(struct check *check, const Polos__V1__RunFilter *proto,
                          struct run_filter *ret)
{
    for (size_t i = 0; i < proto->n_statuses; i++) {
        if (!check_range(check, check_path(check, "filter.statuses[%zu]", i),
                         (int64_t)proto->statuses[i], RUN_STATUS_RUNNING, RUN_STATUS_UNREADABLE)) {
            return false;
        }
        ret->statuses |= 1u << (uint32_t)proto->statuses[i];
    }
    return true;
}

static bool take_filter(struct check *check, const Polos__V1__RunFilter *proto,
                        struct run_filter *ret)
{
    if (proto == NULL) {
        return true;
    }
    ret->kind = (enum run_kind)proto->kind;
    ret->name = check_copy(check, proto->name);
    ret->deployment = check_copy(check, proto->deployment);
    ret->schedule_id = check_copy(check, proto->schedule_id);
    return check_range(check, "filter.kind", (int64_t)proto->kind, 0, RUN_KIND_COUNT - 1) &&
           take_statuses(check, proto, ret) &&
           (ret->name.len == 0 || check_name(check, "filter.name", ret->name)) &&
           check_bytes(check, "filter.deployment", ret->deployment, NAME_BYTES_MAX) &&
           check_bytes(check, "filter.schedule_id", ret->schedule_id, SCHEDULE_ID_BYTES_MAX) &&
           take_places(check, proto, ret) && take_labels(check, proto, ret) &&
           take_times(check, proto, ret);
}

static bool take_token(struct check *check, str token, str filter_hash, uuid *ret)
{
    const size_t at = UUID_TEXT_BYTES - 1;
    if (token.len == 0) {
        return true;
    }
    if (token.len != TOKEN_LEN || !uuid_parse(str_make(token.ptr, at), ret)) {
        return check_fault(check, "page_token", "pass next_page_token of the page before");
    }
    return str_equal(str_make(token.ptr + at, token.len - at), filter_hash) ||
           check_fault(check, "page_token", "it is of a list with another filter; begin anew");
}

static void list_runs(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__RunServiceListRequest *proto = (const void *)message;
    struct read *read = reading_new(call, &list_kind, was_read);
    struct check check = {.arena = &read->arena};
    struct list_read *list = list_read(read);
    str *hash = arena_alloc(&read->arena, sizeof(*hash));
    *hash = hash_filter(proto->filter, &read->arena);
    *reading_own(read) = hash;
    bool is_fine =
        take_token(&check, str_of(proto->page_token), *hash, &list->before) &&
        check_page_size(&check, proto->page_size, LIST_PAGE, LIST_PAGE_MAX, &list->limit) &&
        take_filter(&check, proto->filter, &list->filter);
    reading_post_checked(read, is_fine, &check);
}

const struct api_method run_list_methods[] = {
    {
        .path = "/polos.v1.RunService/List",
        .is_read = true,
        .request = &polos__v1__run_service_list_request__descriptor,
        .response = &polos__v1__run_service_list_response__descriptor,
        .start = list_runs,
        .closed = exchange_closed,
    },
    {.path = NULL},
};
