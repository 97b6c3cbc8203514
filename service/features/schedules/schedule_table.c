#include "service/features/schedules/schedule_table.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/sys.h"

static_assert((int)CRON_BYTES_MAX == (int)SCHEDULE_CRON_BYTES_MAX, "what is parsed can be kept");
static_assert((int)ZONE_NAME_BYTES_MAX == (int)SCHEDULE_ZONE_BYTES_MAX,
              "what is opened can be kept");

/* Zones in memory, shared. Read once: a newer file counts after a restart. */
struct zone_entry {
    struct zone_entry *next;
    struct arena arena;
    struct zone *zone;
    char name[ZONE_NAME_BYTES_MAX + 1];
};

str schedule_id(const struct schedule *schedule)
{
    return str_of(schedule->id);
}

str schedule_name(const struct schedule *schedule)
{
    return str_make(schedule->id, schedule->name_len);
}

str schedule_key(const struct schedule *schedule)
{
    assert(schedule->id[schedule->name_len] == '/');
    return str_of(schedule->id + schedule->name_len + 1);
}

static uint64_t hash_id(const void *context, uint32_t number)
{
    const struct schedules *schedules = context;
    return str_hash(schedule_id(schedules->list[number]));
}

static bool equal_id(const void *context, uint32_t number, const void *key)
{
    const struct schedules *schedules = context;
    return str_equal(schedule_id(schedules->list[number]), *(const str *)key);
}

static const struct map_keys by_id_keys = {.hash = hash_id, .equal = equal_id};

static void schedule_free(struct schedule *schedule)
{
    free(schedule->texts);
    free(schedule->problem);
    free(schedule->pause);
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

struct schedules *schedules_of(const struct partition *partition)
{
    return partition_self(partition, &schedules_feature);
}

struct schedule *schedule_find(const struct schedules *schedules, str id)
{
    uint32_t number;
    bool found = map_find(&schedules->by_id, str_hash(id), &id, &number);
    assert(!found || number < schedules->count);
    return found ? schedules->list[number] : NULL;
}

struct schedule *schedule_add(struct schedules *schedules, str id, size_t name_len)
{
    assert(name_len < id.len && id.ptr[name_len] == '/');
    assert(id.len <= KEY_NAME_BYTES_MAX); /* It is the tail of a key. */
    schedules->list = array_reserve(schedules->list, &schedules->capacity,
                                    (size_t)schedules->count + 1, sizeof(schedules->list[0]));
    struct schedule *schedule = xcalloc(1, sizeof(*schedule));
    schedule->id = xstrndup(id.ptr, id.len);
    schedule->name_len = name_len;
    schedule->kind = RUN_KIND_WORKFLOW;
    schedules->list[schedules->count] = schedule;
    map_add(&schedules->by_id, schedules->count++);
    assert(schedules->count <= schedules->capacity);
    assert(schedules->by_id.count == schedules->count);
    return schedule;
}

/* The last one takes its place in the list. */
void schedule_drop(struct schedules *schedules, struct schedule *schedule)
{
    uint32_t number;
    str id = schedule_id(schedule);
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

void schedules_find_next(struct schedules *schedules)
{
    schedules->next_ms = 0;
    for (uint32_t i = 0; i < schedules->count; i++) {
        uint64_t due_ms = schedules->list[i]->due_ms;
        if (due_ms != 0 && (schedules->next_ms == 0 || due_ms < schedules->next_ms)) {
            schedules->next_ms = due_ms;
        }
    }
}

status schedule_zone(struct partition *partition, str name, struct arena *arena,
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

/* Reads its ticks, which it has also while it rests: its run may be asked for at once. Why it
 * rests, in the arena; empty: it does not. */
static str problem_of(struct partition *partition, struct schedule *schedule, struct arena *arena)
{
    schedule->zone = NULL;
    status usable = cron_parse(schedule->row.cron, arena, &schedule->cron);
    if (status_is_ok(usable)) {
        usable = schedule_zone(partition, schedule->row.zone, arena, &schedule->zone);
    }
    if (schedule->pause != NULL) {
        return schedule->pause[0] == '\0'
                   ? STR("it is paused")
                   : arena_printf(arena, "it is paused: %s", schedule->pause);
    }
    if (schedule->is_broken) {
        return STR("what its runs are started with cannot be read; put it again");
    }
    return status_is_ok(usable) ? STR_EMPTY : str_of(usable.why);
}

void schedule_settle(struct partition *partition, struct schedule *schedule)
{
    assert(schedule->texts != NULL); /* Its row was set. */
    str problem = problem_of(partition, schedule, &partition->round_arena);
    free(schedule->problem);
    schedule->problem = NULL;
    schedule->due_ms = 0;
    if (problem.len > 0) {
        schedule->problem = xstrndup(problem.ptr, problem.len);
        if (schedule->pause == NULL) {
            log_line(LOG_ERROR, "schedule_rests", "schedule=%s why=\"%s\"", schedule->id,
                     schedule->problem);
        }
        return;
    }
    schedule->due_ms = cron_next_ms(&schedule->cron, schedule->zone, schedule->row.base_ms);
    assert(schedule->due_ms == 0 || schedule->due_ms > schedule->row.base_ms);
}

void schedule_set_pause(struct schedule *schedule, const str *cause)
{
    free(schedule->pause);
    schedule->pause = cause == NULL ? NULL : xstrndup(cause->ptr, cause->len);
    assert((schedule->pause != NULL) == (cause != NULL));
}

void schedule_set_row(struct partition *partition, struct schedule *schedule,
                      const struct schedule_row *row)
{
    assert(row->cron.len > 0 && row->zone.len > 0);
    char *texts = xmalloc(row->cron.len + row->zone.len + 1);
    memcpy(texts, row->cron.ptr, row->cron.len);
    memcpy(texts + row->cron.len, row->zone.ptr, row->zone.len);
    free(schedule->texts);
    schedule->texts = texts;
    schedule->row = *row;
    schedule->row.cron = str_make(texts, row->cron.len);
    schedule->row.zone = str_make(texts + row->cron.len, row->zone.len);
    schedule_settle(partition, schedule);
}

str schedule_row_key(const struct partition *partition, char ret[KEY_BYTES_MAX],
                     enum index_kind kind, str id)
{
    assert(kind == INDEX_SCHEDULE || kind == INDEX_SCHEDULE_INPUT || kind == INDEX_SCHEDULE_TERMS ||
           kind == INDEX_SCHEDULE_PAUSE);
    return key_index(ret, partition->options.space, (uint8_t)kind, id);
}

void schedule_put_row(struct partition *partition, struct schedule *schedule)
{
    char key[KEY_BYTES_MAX];
    assert(schedule->row.cron.len > 0);
    buf_reset(&partition->packed);
    schedule_row_encode(&schedule->row, &partition->packed);
    store_batch_put(&partition->batch, STORE_INDEX,
                    schedule_row_key(partition, key, INDEX_SCHEDULE, schedule_id(schedule)),
                    buf_str(&partition->packed));
}

status schedule_input(struct partition *partition, const struct schedule *schedule,
                      struct arena *arena, str *ret)
{
    char key[KEY_BYTES_MAX];
    *ret = STR_EMPTY;
    if (!schedule->row.has_input) {
        return STATUS_OK;
    }
    return store_get(&partition->store, STORE_INDEX,
                     schedule_row_key(partition, key, INDEX_SCHEDULE_INPUT, schedule_id(schedule)),
                     arena, ret);
}

status schedule_options(struct partition *partition, const struct schedule *schedule,
                        struct arena *arena, struct start_options *ret, str *ret_provider_options)
{
    char key[KEY_BYTES_MAX];
    str value;
    struct schedule_terms terms = {0};
    if (schedule->has_terms) {
        TRY(store_get(&partition->store, STORE_INDEX,
                      schedule_row_key(partition, key, INDEX_SCHEDULE_TERMS, schedule_id(schedule)),
                      arena, &value));
        TRY(schedule_terms_decode(value, arena, &terms));
    }
    *ret = terms.options;
    *ret_provider_options = terms.provider_options;
    return STATUS_OK;
}

static bool visit_row(void *context, str key, str value)
{
    struct partition *partition = context;
    struct schedule_row row;
    str id = STR_EMPTY;
    size_t name_len = 0;
    bool is_whole = key_read_index(key, &id) && status_is_ok(schedule_row_decode(value, &row));
    while (is_whole && name_len < id.len && id.ptr[name_len] != '/') {
        name_len++;
    }
    if (!is_whole || name_len == 0 || name_len >= id.len) {
        log_line(LOG_ERROR, "schedule_damaged", "bytes=%zu", value.len);
        return true;
    }
    schedule_set_row(partition, schedule_add(schedules_of(partition), id, name_len), &row);
    return true;
}

static bool visit_terms(void *context, str key, str value)
{
    struct partition *partition = context;
    struct schedule_terms terms;
    str id = STR_EMPTY;
    struct schedule *schedule =
        key_read_index(key, &id) ? schedule_find(schedules_of(partition), id) : NULL;
    if (schedule == NULL) {
        return true; /* Its row is damaged: the log says so. */
    }
    assert(!schedule->has_terms); /* Each has one such row. */
    status decoded = schedule_terms_decode(value, &partition->round_arena, &terms);
    schedule->has_terms = true;
    schedule->is_broken = !status_is_ok(decoded);
    schedule->kind = schedule->is_broken ? RUN_KIND_WORKFLOW : terms.kind;
    schedule_settle(partition, schedule);
    return true;
}

static bool visit_pause(void *context, str key, str value)
{
    struct partition *partition = context;
    str id = STR_EMPTY;
    struct schedule *schedule =
        key_read_index(key, &id) ? schedule_find(schedules_of(partition), id) : NULL;
    if (schedule != NULL) {
        schedule_set_pause(schedule, &value);
        schedule_settle(partition, schedule);
    }
    return true;
}

status schedules_read(struct partition *partition)
{
    static const struct {
        enum index_kind kind;
        store_visit *visit;
    } tables[] = {
        {INDEX_SCHEDULE, visit_row},
        {INDEX_SCHEDULE_TERMS, visit_terms},
        {INDEX_SCHEDULE_PAUSE, visit_pause},
    };
    struct schedules *schedules = schedules_of(partition);
    forget_all(schedules);
    assert(schedules->count == 0 && schedules->next_ms == 0);
    schedules->is_unread = true;
    schedules->read_again_ms = partition->now_ms + RECOVER_AGAIN_MS;
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        char key[KEY_BYTES_MAX];
        TRY(store_scan(&partition->store, STORE_INDEX,
                       schedule_row_key(partition, key, tables[i].kind, STR_EMPTY), STR_EMPTY,
                       false, SIZE_MAX, tables[i].visit, partition));
    }
    schedules->is_unread = false;
    assert(schedules->by_id.count == schedules->count);
    schedules_find_next(schedules);
    return STATUS_OK;
}

struct schedules *schedule_table_new(struct partition *partition)
{
    struct schedules *schedules = xcalloc(1, sizeof(*schedules));
    schedules->partition = partition;
    map_init(&schedules->by_id, &by_id_keys, schedules);
    return schedules;
}

void schedule_table_free(struct schedules *schedules)
{
    forget_all(schedules);
    assert(schedules->count == 0);
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
