/*
 * schedules: workflows that the clock starts.
 *
 * A schedule is a row that says up to which tick it has come; it moves in the batch that starts
 * the run, and the next tick follows from it alone. So no tick is skipped and none starts two runs,
 * whatever crashes, and a clock that is set back repeats nothing.
 *
 * What was missed (the server was down, or had no room on its disk) is caught up by exactly one
 * run, for the latest tick missed. A tick that comes while the run before it has not ended, be it
 * at work or waiting, is skipped and counted.
 */
#include "service/features/schedules/schedules.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/hash.h"
#include "service/base/json_writer.h"
#include "service/base/map.h"
#include "service/base/sys.h"
#include "service/codec/index.h"
#include "service/codec/schedule_row.h"
#include "service/features/starts/starts.h"
#include "service/partition/state.h"
#include "service/schedule/calendar.h"
#include "service/schedule/cron.h"
#include "service/schedule/zone.h"

static_assert((int)CRON_BYTES_MAX == (int)SCHEDULE_CRON_BYTES_MAX, "what is parsed can be kept");
static_assert((int)ZONE_NAME_BYTES_MAX == (int)SCHEDULE_ZONE_BYTES_MAX,
              "what is opened can be kept");

enum {
    SCHEDULES_MAX = 100000,
    RUNS_PER_ROUND_MAX = 256,
    NOT_NOW_MS = 5000, /* Looked at again, when a run could not be started. */
    /* A page ends early at this size: many clients take no more than 4 MiB. */
    PAGE_BYTES_MAX = 2 << 20,
};

static_assert(PAGE_BYTES_MAX < 4 << 20, "a page leaves room for its last input");
static_assert((uint64_t)SCHEDULES_MAX < UINT32_MAX, "every schedule has a number");

/* Zones in memory, shared. Read once: a newer file counts after a restart. */
struct zone_entry {
    struct zone_entry *next;
    struct arena arena;
    struct zone *zone;
    char name[ZONE_NAME_BYTES_MAX + 1];
};

struct schedule {
    struct schedule_row row; /* Its texts are this struct's. */
    char *id; /* The workflow's name, '/', the key. */
    size_t workflow_len;
    char *texts; /* Of the row. */
    struct cron cron;
    const struct zone *zone;
    uint64_t due_ms; /* 0: never, see problem. */
    char *problem; /* Why it rests; NULL: it does not. */
};

struct schedules {
    struct partition *partition;
    struct schedule **list;
    uint32_t count;
    size_t capacity;
    struct map by_id;
    struct zone_entry *zones;
    uint64_t next_ms; /* When the first is due; 0: none. */
    bool is_unread; /* The rows could not be read after a failed commit. */
    uint64_t read_again_ms;
};

static str id_of(const struct schedule *schedule)
{
    return str_of(schedule->id);
}

static str workflow_of(const struct schedule *schedule)
{
    return str_make(schedule->id, schedule->workflow_len);
}

static str key_of(const struct schedule *schedule)
{
    assert(schedule->id[schedule->workflow_len] == '/');
    return str_of(schedule->id + schedule->workflow_len + 1);
}

static uint64_t hash_id(const void *context, uint32_t number)
{
    const struct schedules *schedules = context;
    return str_hash(id_of(schedules->list[number]));
}

static bool equal_id(const void *context, uint32_t number, const void *key)
{
    const struct schedules *schedules = context;
    return str_equal(id_of(schedules->list[number]), *(const str *)key);
}

static const struct map_keys by_id_keys = {.hash = hash_id, .equal = equal_id};

static void forget_texts(struct schedule *schedule)
{
    free(schedule->texts);
    free(schedule->problem);
    schedule->texts = NULL;
    schedule->problem = NULL;
}

static void schedule_free(struct schedule *schedule)
{
    forget_texts(schedule);
    free(schedule->id);
    free(schedule);
}

static void forget_all(struct schedules *schedules)
{
    assert(schedules->by_id.count == schedules->count);
    for (uint32_t i = 0; i < schedules->count; i++) {
        schedule_free(schedules->list[i]);
    }
    schedules->count = 0;
    schedules->next_ms = 0;
    map_fini(&schedules->by_id);
    map_init(&schedules->by_id, &by_id_keys, schedules);
}

static struct schedules *schedules_of(const struct partition *partition)
{
    return partition_self(partition, &schedules_feature);
}

static struct schedule *find(const struct schedules *schedules, str id)
{
    uint32_t number;
    bool found = map_find(&schedules->by_id, str_hash(id), &id, &number);
    assert(!found || number < schedules->count);
    return found ? schedules->list[number] : NULL;
}

static struct schedule *add(struct schedules *schedules, str id, size_t workflow_len)
{
    assert(workflow_len < id.len && id.ptr[workflow_len] == '/');
    assert(id.len <= KEY_NAME_BYTES_MAX); /* It is the tail of a key. */
    schedules->list = array_reserve(schedules->list, &schedules->capacity,
                                    (size_t)schedules->count + 1, sizeof(schedules->list[0]));
    struct schedule *schedule = xcalloc(1, sizeof(*schedule));
    schedule->id = xstrndup(id.ptr, id.len);
    schedule->workflow_len = workflow_len;
    schedules->list[schedules->count] = schedule;
    map_add(&schedules->by_id, schedules->count++);
    assert(schedules->count <= schedules->capacity);
    assert(schedules->by_id.count == schedules->count);
    return schedule;
}

/* The last one takes its place. */
static void drop(struct schedules *schedules, struct schedule *schedule)
{
    uint32_t number;
    str id = id_of(schedule);
    bool found = map_find(&schedules->by_id, str_hash(id), &id, &number);
    assert(found && schedules->list[number] == schedule);
    uint32_t last = schedules->count - 1;
    map_remove(&schedules->by_id, number);
    if (number != last) {
        map_remove(&schedules->by_id, last);
        schedules->list[number] = schedules->list[last];
        map_add(&schedules->by_id, number);
    }
    schedules->count--;
    assert(schedules->by_id.count == schedules->count);
    schedule_free(schedule);
}

static void find_next(struct schedules *schedules)
{
    schedules->next_ms = 0;
    for (uint32_t i = 0; i < schedules->count; i++) {
        uint64_t due_ms = schedules->list[i]->due_ms;
        if (due_ms != 0 && (schedules->next_ms == 0 || due_ms < schedules->next_ms)) {
            schedules->next_ms = due_ms;
        }
    }
}

static status zone_of(struct partition *partition, str name, struct arena *arena,
                      const struct zone **ret)
{
    struct zone_entry *entry = schedules_of(partition)->zones;
    while (entry != NULL && !str_is(name, entry->name)) {
        entry = entry->next;
    }
    if (entry != NULL) {
        *ret = entry->zone;
        return STATUS_OK;
    }
    const char *folder = partition->options.zone_folder;
    if (folder == NULL && !str_is(name, "UTC")) {
        return status_make(CODE_FAILED_PRECONDITION,
                           "this server was given no folder of time zones; it only knows UTC");
    }
    entry = xcalloc(1, sizeof(*entry));
    arena_init(&entry->arena, 0);
    status opened = zone_open(folder == NULL ? "" : folder, name, &entry->arena, &entry->zone);
    if (!status_is_ok(opened)) {
        status copy = arena_fail(arena, opened.code, "%s", opened.why);
        arena_fini(&entry->arena);
        free(entry);
        return copy;
    }
    assert(entry->zone != NULL && name.len <= ZONE_NAME_BYTES_MAX);
    memcpy(entry->name, name.ptr, name.len);
    entry->next = schedules_of(partition)->zones;
    schedules_of(partition)->zones = entry;
    *ret = entry->zone;
    return STATUS_OK;
}

/* Takes the texts of a row; what it says is in due_ms. */
static void set_row(struct partition *partition, struct schedule *schedule,
                    const struct schedule_row *row)
{
    struct arena *arena = &partition->round_arena;
    forget_texts(schedule);
    schedule->row = *row;
    schedule->texts = xmalloc(row->cron.len + row->zone.len + 1);
    memcpy(schedule->texts, row->cron.ptr, row->cron.len);
    memcpy(schedule->texts + row->cron.len, row->zone.ptr, row->zone.len);
    schedule->row.cron = str_make(schedule->texts, row->cron.len);
    schedule->row.zone = str_make(schedule->texts + row->cron.len, row->zone.len);
    schedule->due_ms = 0;
    status usable = cron_parse(row->cron, arena, &schedule->cron);
    if (status_is_ok(usable)) {
        usable = zone_of(partition, row->zone, arena, &schedule->zone);
    }
    if (!status_is_ok(usable)) {
        schedule->problem = xstrndup(usable.why, strlen(usable.why));
        log_line(LOG_ERROR, "schedule_rests", "schedule=%s why=\"%s\"", schedule->id, usable.why);
        return;
    }
    schedule->due_ms = cron_next_ms(&schedule->cron, schedule->zone, row->base_ms);
    assert(schedule->due_ms == 0 || schedule->due_ms > row->base_ms);
}

static void put_row(struct partition *partition, const struct schedule *schedule)
{
    char key[KEY_BYTES_MAX];
    buf_reset(&partition->packed);
    schedule_row_encode(&schedule->row, &partition->packed);
    store_batch_put(&partition->batch, STORE_INDEX,
                    key_index(key, partition->options.space, INDEX_SCHEDULE, id_of(schedule)),
                    buf_str(&partition->packed));
}

static str input_key(const struct partition *partition, char ret[KEY_BYTES_MAX], str id)
{
    return key_index(ret, partition->options.space, INDEX_SCHEDULE_INPUT, id);
}

static bool refuse(struct arena *arena, const struct schedule_offer *offer, enum code code,
                   enum reason reason, const char *field, const char *why, struct failure *ret)
{
    *ret = failure_make(code, reason, arena_copy(arena, str_of(why)));
    if (field != NULL) {
        static const char *const said[] = {"time zone: ", "cron: "}; /* The field says it. */
        for (size_t i = 0; i < COUNT_OF(said); i++) {
            why += str_starts_with(str_of(why), str_of(said[i])) ? strlen(said[i]) : 0;
        }
        ret->field = arena_printf(arena, STR_FMT "%s", STR_ARG(offer->field), field);
        ret->message = arena_printf(arena, STR_FMT ": %s", STR_ARG(ret->field), why);
    }
    return false;
}

static str offer_id(const struct schedule_offer *offer, struct arena *arena)
{
    return arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(offer->workflow), STR_ARG(offer->key));
}

static bool check_room(struct partition *partition, const struct schedule_offer *offer,
                       struct arena *arena, struct failure *ret)
{
    const struct schedules *schedules = schedules_of(partition);
    if (schedules->is_unread) {
        return refuse(arena, offer, CODE_UNAVAILABLE, REASON_STORE_REFUSED, NULL,
                      "the schedules are being read again; try again in a moment", ret);
    }
    if (schedules->count >= SCHEDULES_MAX && find(schedules, offer_id(offer, arena)) == NULL) {
        return refuse(arena, offer, CODE_RESOURCE_EXHAUSTED, REASON_SCHEDULES_EXHAUSTED, NULL,
                      "there are 100000 schedules, and no more are kept; delete some", ret);
    }
    return true;
}

bool schedules_check(struct partition *partition, const struct schedule_offer *offer,
                     struct arena *arena, struct failure *ret)
{
    assert(offer->workflow.len > 0 && offer->key.len > 0);
    struct cron cron;
    const struct zone *zone = NULL;
    status parsed = cron_parse(offer->cron, arena, &cron);
    if (!status_is_ok(parsed)) {
        return refuse(arena, offer, parsed.code, REASON_INVALID_FIELD, "cron", parsed.why, ret);
    }
    status opened = zone_of(partition, offer->zone, arena, &zone);
    if (opened.code == CODE_INVALID_ARGUMENT) {
        return refuse(arena, offer, opened.code, REASON_INVALID_FIELD, "timezone", opened.why, ret);
    }
    if (!status_is_ok(opened)) {
        return refuse(arena, offer, CODE_FAILED_PRECONDITION, REASON_ZONES_MISSING, "timezone",
                      opened.why, ret);
    }
    if (cron_next_ms(&cron, zone, partition->now_ms) == 0) {
        return refuse(arena, offer, CODE_INVALID_ARGUMENT, REASON_INVALID_FIELD, "cron",
                      "this never comes due: no month it names has such a day", ret);
    }
    return check_room(partition, offer, arena, ret);
}

static void put_input(struct partition *partition, const struct schedule_offer *offer, str id)
{
    char key[KEY_BYTES_MAX];
    if (offer->input.len > 0) {
        store_batch_put(&partition->batch, STORE_INDEX, input_key(partition, key, id),
                        offer->input);
    } else {
        store_batch_delete(&partition->batch, STORE_INDEX, input_key(partition, key, id));
    }
}

/* What the offer makes of a row. False: nothing changes. */
static bool renew(const struct partition *partition, const struct schedule_offer *offer,
                  struct schedule_row *row)
{
    const struct schedule_row before = *row;
    bool is_same_time = str_equal(row->cron, offer->cron) && str_equal(row->zone, offer->zone);
    row->cron = offer->cron;
    row->zone = offer->zone;
    if (!is_same_time) { /* Other ticks: what they missed before now is not caught up. */
        row->base_ms = partition->now_ms > row->base_ms ? partition->now_ms : row->base_ms;
    }
    if (!offer->keeps_input) {
        memset(row->input_hash, 0, sizeof(row->input_hash));
        row->has_input = offer->input.len > 0;
        if (row->has_input) {
            hash128(offer->input, row->input_hash);
        }
    }
    assert(row->base_ms >= before.base_ms);
    return !is_same_time || row->has_input != before.has_input ||
           memcmp(row->input_hash, before.input_hash, sizeof(row->input_hash)) != 0;
}

uint64_t schedules_put(struct partition *partition, const struct schedule_offer *offer)
{
    struct schedules *schedules = schedules_of(partition);
    str id = offer_id(offer, &partition->round_arena);
    struct schedule *schedule = find(schedules, id);
    bool is_new = schedule == NULL;
    struct schedule_row row = {.created_ms = partition->now_ms};
    row = is_new ? row : schedule->row;
    assert(!schedules->is_unread); /* It was checked. */
    bool is_changed = renew(partition, offer, &row);
    if (!is_new && !is_changed && schedule->problem == NULL) {
        return schedule->due_ms;
    }
    if (is_new) {
        schedule = add(schedules, id, offer->workflow.len);
    }
    row.cron = offer->cron;
    row.zone = offer->zone;
    set_row(partition, schedule, &row);
    assert(schedule->problem == NULL); /* It was checked. */
    put_row(partition, schedule);
    if (!offer->keeps_input) {
        put_input(partition, offer, id);
    }
    find_next(schedules);
    return schedule->due_ms;
}

/* The latest tick up to now. The first that follows an instant never comes earlier for a later
 * instant, so the last instant that is followed by one up to now is found by halving. */
static uint64_t latest_tick(const struct schedule *schedule, uint64_t now_ms)
{
    uint64_t low = schedule->row.base_ms;
    uint64_t high = now_ms;
    uint64_t tick_ms = cron_next_ms(&schedule->cron, schedule->zone, low);
    assert(tick_ms != 0 && tick_ms <= now_ms);
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        uint64_t next_ms = cron_next_ms(&schedule->cron, schedule->zone, middle);
        if (next_ms != 0 && next_ms <= now_ms) {
            low = middle;
            tick_ms = next_ms;
        } else {
            high = middle;
        }
    }
    assert(tick_ms > schedule->row.base_ms && tick_ms <= now_ms);
    return tick_ms;
}

static void put_time(struct json_writer *writer, const char *name, uint64_t ms)
{
    char time[CALENDAR_TEXT_BYTES];
    if (ms == 0) {
        json_put_null(writer, name);
        return;
    }
    calendar_text(ms, time);
    json_put_string(writer, name, str_of(time));
}

static str payload(const struct schedule *schedule, uint64_t tick_ms, struct arena *arena)
{
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "schedule_id", id_of(schedule));
    json_put_string(&writer, "key", key_of(schedule));
    json_put_string(&writer, "timezone", schedule->row.zone);
    put_time(&writer, "timestamp", tick_ms);
    put_time(&writer, "last_timestamp", schedule->row.last_tick_ms);
    put_time(&writer, "upcoming", cron_next_ms(&schedule->cron, schedule->zone, tick_ms));
    json_end_object(&writer);
    return buf_finish(&text, arena);
}

static status input_of(struct partition *partition, const struct schedule *schedule,
                       struct arena *arena, str *ret)
{
    char key[KEY_BYTES_MAX];
    *ret = STR_EMPTY;
    if (!schedule->row.has_input) {
        return STATUS_OK;
    }
    return store_get(&partition->store, STORE_INDEX, input_key(partition, key, id_of(schedule)),
                     arena, ret);
}

/* Whether the run of the tick before has not ended. One that cannot be read counts as that. */
static bool is_busy(struct partition *partition, const struct schedule *schedule)
{
    char key[KEY_BYTES_MAX];
    str row;
    uuid id = schedule->row.run;
    if (uuid_is_zero(id)) {
        return false;
    }
    const struct live_run *run = runs_find(partition, id);
    if (run != NULL) {
        return !engine_is_terminal(&run->state);
    }
    status found = store_get(&partition->store, STORE_ACTIVE,
                             key_run(key, partition->options.space, id), &partition->scratch, &row);
    arena_reset(&partition->scratch);
    return found.code != CODE_NOT_FOUND;
}

static bool start(struct partition *partition, struct schedule *schedule, uint64_t tick_ms)
{
    struct arena *arena = &partition->round_arena;
    struct run_spec spec = {.kind = RUN_KIND_WORKFLOW, .name = workflow_of(schedule)};
    struct failure failure;
    status read = input_of(partition, schedule, arena, &spec.input);
    if (!status_is_ok(read)) {
        log_line(LOG_ERROR, "schedule_unreadable", "schedule=%s why=\"%s\"", schedule->id,
                 read.why);
        return false;
    }
    spec.input = spec.input.len > 0 ? spec.input : payload(schedule, tick_ms, arena);
    if (!start_run(partition, &spec, arena, &failure, &schedule->row.run)) {
        log_line(LOG_ERROR, "schedule_refused", "schedule=%s why=\"" STR_FMT "\"", schedule->id,
                 STR_ARG(failure.message));
        return false;
    }
    assert(!uuid_is_zero(schedule->row.run));
    schedule->row.last_tick_ms = tick_ms;
    return true;
}

static void fire(struct partition *partition, struct schedule *schedule)
{
    assert(schedule->problem == NULL && schedule->zone != NULL);
    uint64_t tick_ms = latest_tick(schedule, partition->now_ms);
    if (is_busy(partition, schedule)) {
        schedule->row.skipped++;
    } else if (!start(partition, schedule, tick_ms)) {
        schedule->due_ms = partition->now_ms + NOT_NOW_MS;
        return;
    }
    schedule->row.base_ms = tick_ms;
    schedule->due_ms = cron_next_ms(&schedule->cron, schedule->zone, tick_ms);
    assert(schedule->due_ms == 0 || schedule->due_ms > partition->now_ms);
    put_row(partition, schedule);
}

static bool may_start(struct partition *partition)
{
    struct store_stats stats;
    store_stats(&partition->store, &stats);
    return !stats.is_low_on_space;
}

static bool visit_row(void *context, str key, str value)
{
    struct partition *partition = context;
    struct schedule_row row;
    str id = STR_EMPTY;
    size_t workflow_len = 0;
    bool is_whole = key_read_index(key, &id) && status_is_ok(schedule_row_decode(value, &row));
    while (is_whole && workflow_len < id.len && id.ptr[workflow_len] != '/') {
        workflow_len++;
    }
    if (!is_whole || workflow_len == 0 || workflow_len >= id.len) {
        log_line(LOG_ERROR, "schedule_damaged", "bytes=%zu", value.len);
        return true;
    }
    set_row(partition, add(schedules_of(partition), id, workflow_len), &row);
    return true;
}

/* From the rows: at the start, and after a round that failed. */
static status read_rows(struct partition *partition)
{
    char key[KEY_BYTES_MAX];
    struct schedules *schedules = schedules_of(partition);
    forget_all(schedules);
    assert(schedules->count == 0 && schedules->next_ms == 0);
    schedules->is_unread = true;
    schedules->read_again_ms = partition->now_ms + RECOVER_AGAIN_MS;
    TRY(store_scan(&partition->store, STORE_INDEX,
                   key_index(key, partition->options.space, INDEX_SCHEDULE, STR_EMPTY), STR_EMPTY,
                   false, SIZE_MAX, visit_row, partition));
    schedules->is_unread = false;
    find_next(schedules);
    return STATUS_OK;
}

static void handle_put(struct partition *partition, struct request *request)
{
    struct failure failure;
    struct put_schedule_request *put = put_schedule_request(request);
    if (!schedules_check(partition, &put->offer, &request->arena, &failure)) {
        request_answer(partition, request, &failure);
        return;
    }
    put->ret_next_ms = schedules_put(partition, &put->offer);
    request_answer_later(partition, request);
}

static void handle_delete(struct partition *partition, struct request *request)
{
    char key[KEY_BYTES_MAX];
    struct schedules *schedules = schedules_of(partition);
    str id = delete_schedule_request(request)->id;
    struct schedule *schedule = find(schedules, id);
    if (schedules->is_unread || schedule == NULL) {
        struct failure failure =
            schedules->is_unread
                ? failure_make(CODE_UNAVAILABLE, REASON_STORE_REFUSED,
                               STR("the schedules are being read again; try again in a moment"))
                : failure_make(CODE_NOT_FOUND, REASON_SCHEDULE_NOT_FOUND,
                               STR("the workflow has no schedule with this key; "
                                   "WorkflowService.ListSchedules shows those there are"));
        failure.field = schedules->is_unread ? STR_EMPTY : STR("key");
        request_fail_later(partition, request, &failure);
        return;
    }
    store_batch_delete(&partition->batch, STORE_INDEX,
                       key_index(key, partition->options.space, INDEX_SCHEDULE, id));
    store_batch_delete(&partition->batch, STORE_INDEX, input_key(partition, key, id));
    drop(schedules, schedule);
    find_next(schedules);
    request_answer_later(partition, request);
}

struct listing {
    struct partition *partition;
    struct schedules_request *list;
    struct schedule_view *views;
    size_t count;
    size_t bytes; /* Of inputs. */
    status status;
};

static bool visit_listed(void *context, str key, str value)
{
    (void)value;
    struct listing *listing = context;
    struct schedules_request *list = listing->list;
    struct arena *arena = &list->request.arena;
    str id;
    const struct schedule *schedule =
        key_read_index(key, &id) ? find(schedules_of(listing->partition), id) : NULL;
    if (schedule == NULL) {
        return true; /* Damaged: the log says so. */
    }
    assert(listing->count <= list->limit);
    if (listing->count == list->limit || listing->bytes > PAGE_BYTES_MAX) {
        list->ret_more = true;
        return false;
    }
    struct schedule_view *view = &listing->views[listing->count++];
    *view = (struct schedule_view){
        .id = arena_copy(arena, id_of(schedule)),
        .workflow = arena_copy(arena, workflow_of(schedule)),
        .key = arena_copy(arena, key_of(schedule)),
        .cron = arena_copy(arena, schedule->row.cron),
        .zone = arena_copy(arena, schedule->row.zone),
        .problem = arena_copy(arena, str_of(schedule->problem)),
        .created_ms = schedule->row.created_ms,
        .next_ms = schedule->due_ms,
        .last_ms = schedule->row.last_tick_ms,
        .last_run = schedule->row.run,
        .skipped = schedule->row.skipped,
    };
    listing->status = input_of(listing->partition, schedule, arena, &view->input);
    listing->bytes += view->input.len;
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
    str workflow = list->workflow;
    str prefix = workflow.len == 0 ? STR_EMPTY
                                   : arena_printf(&request->arena, STR_FMT "/", STR_ARG(workflow));
    str from = STR_EMPTY;
    if (list->id.len > 0) { /* The first key after it. */
        from = key_index(key, space, INDEX_SCHEDULE, list->id);
        assert(from.len < sizeof(from_bytes));
        memcpy(from_bytes, from.ptr, from.len);
        from_bytes[from.len] = 0;
        from = str_make(from_bytes, from.len + 1);
    }
    status read =
        store_scan(&partition->store, STORE_INDEX, key_index(key, space, INDEX_SCHEDULE, prefix),
                   from, false, SIZE_MAX, visit_listed, &listing);
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
const struct operation list_schedules_operation = {
    .name = "list_schedules",
    .request_bytes = sizeof(struct schedules_request),
    .is_read = true,
    .handle = handle_list,
};

static void read_again(struct partition *partition)
{
    struct schedules *schedules = schedules_of(partition);
    if (schedules->is_unread && partition->now_ms >= schedules->read_again_ms) {
        status read = read_rows(partition);
        if (!status_is_ok(read)) {
            log_line(LOG_ERROR, "schedules_unreadable", "why=\"%s\"", read.why);
        }
    }
}

static void begin_round(void *self)
{
    struct schedules *schedules = self;
    struct partition *partition = schedules->partition;
    read_again(partition);
    bool is_due = schedules->next_ms != 0 && partition->now_ms >= schedules->next_ms;
    if (!is_due || partition->is_draining) {
        return;
    }
    if (!may_start(partition)) {
        schedules->next_ms = partition->now_ms + NOT_NOW_MS;
        return;
    }
    size_t count = 0;
    for (uint32_t i = 0; i < schedules->count && count < RUNS_PER_ROUND_MAX &&
                         partition->batch.bytes.len < BATCH_BYTES_MAX;
         i++) {
        struct schedule *schedule = schedules->list[i];
        if (schedule->due_ms != 0 && partition->now_ms >= schedule->due_ms) {
            fire(partition, schedule);
            count++;
        }
    }
    find_next(schedules);
}

static uint64_t next_due_ms(void *self)
{
    const struct schedules *schedules = self;
    if (schedules->partition->is_draining) {
        return 0;
    }
    return schedules->is_unread ? schedules->read_again_ms : schedules->next_ms;
}

static void *start_feature(struct partition *partition)
{
    struct schedules *schedules = xcalloc(1, sizeof(*schedules));
    schedules->partition = partition;
    map_init(&schedules->by_id, &by_id_keys, schedules);
    return schedules;
}

static status load(void *self)
{
    const struct schedules *schedules = self;
    return read_rows(schedules->partition);
}

static void failed(void *self)
{
    status read = load(self);
    if (!status_is_ok(read)) {
        log_line(LOG_ERROR, "schedules_unreadable", "why=\"%s\"", read.why);
    }
}

static void stop(void *self)
{
    struct schedules *schedules = self;
    forget_all(schedules);
    while (schedules->zones != NULL) {
        struct zone_entry *next = schedules->zones->next;
        arena_fini(&schedules->zones->arena);
        free(schedules->zones);
        schedules->zones = next;
    }
    map_fini(&schedules->by_id);
    free(schedules->list);
    free(schedules);
}

static const struct feature *const uses[] = {&starts_feature, NULL};

const struct feature schedules_feature = {
    .name = "schedules",
    .uses = uses,
    .start = start_feature,
    .load = load,
    .at = {[ROUND_BEGINS] = begin_round, [ROUND_FAILED] = failed},
    .next_due_ms = next_due_ms,
    .stop = stop,
};
