/*
 * Schedules as callers see and handle them.
 */
#include "service/features/schedules/schedule_table.h"
#include "service/features/starts/starts.h"

enum {
    /* A page ends early at this size: many clients take no more than 4 MiB. */
    PAGE_BYTES_MAX = 2 << 20,
};

static_assert(PAGE_BYTES_MAX < 4 << 20, "a page leaves room for its last schedule");

struct schedule *schedules_find_or_refuse(struct partition *partition, str id, struct failure *ret)
{
    struct schedules *schedules = schedules_of(partition);
    struct schedule *schedule = schedule_find(schedules, id);
    if (schedules->is_unread) {
        *ret = failure_make(CODE_UNAVAILABLE, REASON_STORE_REFUSED,
                            STR("the schedules are being read again; try again in a moment"));
        return NULL;
    }
    assert(schedule == NULL || str_equal(schedule_id(schedule), id));
    if (schedule == NULL) {
        *ret = failure_make(CODE_NOT_FOUND, REASON_SCHEDULE_NOT_FOUND,
                            STR("there is no schedule with this id; ScheduleService.List shows "
                                "those there are"));
        ret->field = STR("schedule_id");
    }
    return schedule;
}

/* What start_run() would refuse is refused at once, where it is about what callers said. */
static bool may_start(struct partition *partition, const struct schedule_offer *offer,
                      struct arena *arena, struct failure *ret)
{
    struct run_spec spec = {
        .kind = offer->kind == RUN_KIND_AGENT ? RUN_KIND_AGENT : RUN_KIND_WORKFLOW,
        .name = offer->name,
        .input = offer->input,
        .options = offer->options,
        .provider_options = offer->provider_options,
    };
    assert(offer->name.len > 0);
    bool is_checked = spec.kind == RUN_KIND_AGENT || offer->options.queue.len > 0;
    if (!is_checked || start_check(partition, &spec, arena, ret)) {
        return true;
    }
    ret->field = str_is(ret->field, "agent_id") ? STR("name") : ret->field;
    return false;
}

static void handle_put(struct partition *partition, struct request *request)
{
    struct failure failure;
    struct put_schedule_request *put = put_schedule_request(request);
    if (!schedules_check(partition, &put->offer, &request->arena, &failure) ||
        !may_start(partition, &put->offer, &request->arena, &failure)) {
        request_answer(partition, request, &failure);
        return;
    }
    schedules_put(partition, &put->offer);
    request_answer_later(partition, request);
}

static void handle_delete(struct partition *partition, struct request *request)
{
    static const enum index_kind kinds[] = {INDEX_SCHEDULE, INDEX_SCHEDULE_INPUT,
                                            INDEX_SCHEDULE_TERMS, INDEX_SCHEDULE_PAUSE};
    struct failure failure;
    str id = delete_schedule_request(request)->id;
    struct schedule *schedule = schedules_find_or_refuse(partition, id, &failure);
    if (schedule == NULL) {
        request_fail_later(partition, request, &failure);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        char key[KEY_BYTES_MAX];
        store_batch_delete(&partition->batch, STORE_INDEX,
                           schedule_row_key(partition, key, kinds[i], id));
    }
    schedule_drop(schedules_of(partition), schedule);
    schedules_find_next(schedules_of(partition));
    request_answer_later(partition, request);
}

/* It goes on with the first tick from now on. */
static void unpause(struct partition *partition, struct schedule *schedule)
{
    uint64_t base_ms = schedule->row.base_ms;
    schedule->row.base_ms = partition->now_ms > base_ms ? partition->now_ms : base_ms;
    assert(schedule->row.base_ms >= base_ms);
    schedule_put_row(partition, schedule);
}

static void handle_pause(struct partition *partition, struct request *request)
{
    char key[KEY_BYTES_MAX];
    struct failure failure;
    const struct pause_schedule_request *pause = pause_schedule_request(request);
    struct schedule *schedule = schedules_find_or_refuse(partition, pause->id, &failure);
    if (schedule == NULL) {
        request_fail_later(partition, request, &failure);
        return;
    }
    str row = schedule_row_key(partition, key, INDEX_SCHEDULE_PAUSE, pause->id);
    if (pause->pauses) {
        store_batch_put(&partition->batch, STORE_INDEX, row, pause->cause);
    } else if (schedule->pause != NULL) {
        store_batch_delete(&partition->batch, STORE_INDEX, row);
        unpause(partition, schedule);
    }
    schedule_set_pause(schedule, pause->pauses ? &pause->cause : NULL);
    schedule_settle(partition, schedule);
    assert(pause->pauses == (schedule->pause != NULL));
    assert(!pause->pauses || schedule->due_ms == 0);
    schedules_find_next(schedules_of(partition));
    request_answer_later(partition, request);
}

/* ---- Seeing them. ---- */

/* By the calendar: one that is tried again in a moment is still due since then. 0: none. */
static uint64_t next_tick(const struct schedule *schedule)
{
    return schedule->due_ms == 0
               ? 0
               : cron_next_ms(&schedule->cron, schedule->zone, schedule->row.base_ms);
}

static status view(struct partition *partition, const struct schedule *schedule,
                   struct arena *arena, struct schedule_view *ret)
{
    *ret = (struct schedule_view){
        .id = arena_copy(arena, schedule_id(schedule)),
        .kind = schedule->kind,
        .name = arena_copy(arena, schedule_name(schedule)),
        .key = arena_copy(arena, schedule_key(schedule)),
        .cron = arena_copy(arena, schedule->row.cron),
        .zone = arena_copy(arena, schedule->row.zone),
        .is_paused = schedule->problem != NULL,
        .problem = arena_copy(arena, str_of(schedule->problem)),
        .created_ms = schedule->row.created_ms,
        .next_ms = next_tick(schedule),
        .last_ms = schedule->row.last_tick_ms,
        .last_run = schedule->row.run,
        .skipped = schedule->row.skipped,
    };
    assert(ret->is_paused || ret->next_ms == 0 || ret->next_ms > schedule->row.base_ms);
    ret->has_options = schedule->has_terms && !schedule->is_broken;
    if (ret->has_options) {
        TRY(schedule_options(partition, schedule, arena, &ret->options, &ret->provider_options));
    }
    return schedule_input(partition, schedule, arena, &ret->input);
}

static void handle_get(struct partition *partition, struct request *request)
{
    struct failure failure;
    struct get_schedule_request *get = get_schedule_request(request);
    assert(get->ret.id.len == 0);
    const struct schedule *schedule = schedules_find_or_refuse(partition, get->id, &failure);
    if (schedule == NULL) {
        request_answer(partition, request, &failure);
        return;
    }
    status read = view(partition, schedule, &request->arena, &get->ret);
    if (!status_is_ok(read)) {
        request_fail(partition, request, read.code, REASON_STORE_DAMAGED, read.why);
        return;
    }
    request_answer(partition, request, NULL);
}

struct listing {
    struct partition *partition;
    struct schedules_request *list;
    struct schedule_view *views;
    size_t count;
    size_t bytes; /* Of inputs and states. */
    status status;
};

static bool visit_listed(void *context, str key, str value)
{
    (void)value;
    struct listing *listing = context;
    struct schedules_request *list = listing->list;
    str id;
    const struct schedule *schedule =
        key_read_index(key, &id) ? schedule_find(schedules_of(listing->partition), id) : NULL;
    if (schedule == NULL) {
        return true; /* Damaged: the log says so. */
    }
    assert(listing->count <= list->limit);
    if (listing->count == list->limit || listing->bytes > PAGE_BYTES_MAX) {
        list->ret_more = true;
        return false;
    }
    struct schedule_view *next = &listing->views[listing->count++];
    listing->status = view(listing->partition, schedule, &list->request.arena, next);
    listing->bytes += next->input.len + next->options.state.json.len;
    return status_is_ok(listing->status);
}

static void handle_list(struct partition *partition, struct request *request)
{
    char key[KEY_BYTES_MAX];
    char from_bytes[KEY_BYTES_MAX + 1];
    struct key_space space = partition->options.space;
    struct schedules_request *list = schedules_request(request);
    struct listing listing = {.partition = partition, .list = list};
    assert(list->limit > 0 && list->ret_count == 0 && !list->ret_more);
    listing.views = arena_zalloc(&request->arena, list->limit * sizeof(*listing.views));
    str from = STR_EMPTY;
    if (list->id.len > 0) { /* The first key after it. */
        from = key_index(key, space, INDEX_SCHEDULE, list->id);
        assert(from.len < sizeof(from_bytes));
        memcpy(from_bytes, from.ptr, from.len);
        from_bytes[from.len] = 0;
        from = str_make(from_bytes, from.len + 1);
    }
    status read = store_scan(&partition->store, STORE_INDEX,
                             key_index(key, space, INDEX_SCHEDULE, list->prefix), from, false,
                             SIZE_MAX, visit_listed, &listing);
    read = status_is_ok(read) ? listing.status : read;
    if (!status_is_ok(read)) {
        request_fail(partition, request, read.code, REASON_STORE_DAMAGED, read.why);
        return;
    }
    assert(listing.count <= list->limit);
    assert(!list->ret_more || listing.count > 0); /* Else the next page begins as this one. */
    list->ret = listing.views;
    list->ret_count = listing.count;
    request_answer(partition, request, NULL);
}

const struct operation put_schedule_operation = {
    .name = "put_schedule",
    .request_bytes = sizeof(struct put_schedule_request),
    .handle = handle_put,
};
const struct operation delete_schedule_operation = {
    .name = "delete_schedule",
    .request_bytes = sizeof(struct delete_schedule_request),
    .handle = handle_delete,
};
const struct operation pause_schedule_operation = {
    .name = "pause_schedule",
    .request_bytes = sizeof(struct pause_schedule_request),
    .handle = handle_pause,
};
const struct operation get_schedule_operation = {
    .name = "get_schedule",
    .request_bytes = sizeof(struct get_schedule_request),
    .is_read = true,
    .handle = handle_get,
};
const struct operation list_schedules_operation = {
    .name = "list_schedules",
    .request_bytes = sizeof(struct schedules_request),
    .is_read = true,
    .handle = handle_list,
};
