/*
 * lists: the rows by which runs are listed, written when a run starts and when it ends.
 */
#include "service/features/lists/lists.h"

#include <stdlib.h>

#include "service/base/sys.h"
#include "service/codec/run_index.h"
#include "service/partition/state.h"

enum {
    BUILD_RUNS = 256, /* Of an older store, looked at per round ... */
    BUILD_BYTES = 1 << 20, /* ... or so many bytes of their first records. */
};

struct lists {
    struct partition *partition;
    struct run_index_built built[RUN_INDEX_SETS]; /* Committed. */
    struct run_index_built next[RUN_INDEX_SETS]; /* By the open batch. */
    uint64_t again_ms; /* A read failed; not before this. */
    bool is_given_up; /* Until the next start: the runs could not be read. */
};

static void put_row(struct partition *partition, enum run_by by, str value, uuid run)
{
    char key[KEY_BYTES_MAX];
    struct index_tail tail = run_index_tail(by, value, run);
    assert(!uuid_is_zero(run));
    if (value.len > 0) {
        store_batch_put(&partition->batch, STORE_INDEX,
                        key_index(key, partition->options.space, INDEX_RUN, index_tail_str(&tail)),
                        STR_EMPTY);
    }
}

static void delete_row(struct partition *partition, enum run_by by, str value, uuid run)
{
    char key[KEY_BYTES_MAX];
    struct index_tail tail = run_index_tail(by, value, run);
    assert(!uuid_is_zero(run));
    if (value.len > 0) {
        store_batch_delete(
            &partition->batch, STORE_INDEX,
            key_index(key, partition->options.space, INDEX_RUN, index_tail_str(&tail)));
    }
}

static void put_byte(struct partition *partition, enum run_by by, uint32_t value, uuid run)
{
    char byte = (char)value;
    assert(value > 0 && value < 128);
    put_row(partition, by, str_make(&byte, 1), run);
}

static void delete_byte(struct partition *partition, enum run_by by, uint32_t value, uuid run)
{
    char byte = (char)value;
    assert(value > 0 && value < 128);
    delete_row(partition, by, str_make(&byte, 1), run);
}

static str schedule_of(const struct run_spec *spec)
{
    return spec->cause == START_CAUSE_SCHEDULE ? spec->started_by : STR_EMPTY;
}

static str bytes_of(const uuid *id)
{
    return str_make((const char *)id->bytes, sizeof(id->bytes));
}

static void put_first_set(struct partition *partition, uuid run, const struct run_spec *spec)
{
    put_byte(partition, RUN_BY_KIND, (uint32_t)spec->kind, run);
    put_row(partition, RUN_BY_NAME, spec->name, run);
    put_row(partition, RUN_BY_SESSION, spec->options.session_id, run);
    put_row(partition, RUN_BY_USER, spec->options.user_id, run);
    put_row(partition, RUN_BY_CONVERSATION, spec->options.conversation_id, run);
}

/* A root without children, as most are, has no row of its tree. */
static void put_trees_set(struct partition *partition, uuid run, const struct run_spec *spec)
{
    str root = bytes_of(&spec->root);
    put_row(partition, RUN_BY_SCHEDULE, schedule_of(spec), run);
    if (uuid_is_zero(spec->parent)) {
        put_byte(partition, RUN_BY_ROOTS, 1, run);
        return;
    }
    put_row(partition, RUN_BY_TREE, root, run);
    if (uuid_equal(spec->parent, spec->root)) {
        put_row(partition, RUN_BY_TREE, root, spec->root);
    }
}

static void put_start(struct partition *partition, uuid run, const struct run_spec *spec)
{
    put_first_set(partition, run, spec);
    put_trees_set(partition, run, spec);
}

/* The status in the row of a run that has ended so. */
static uint32_t end_of(enum event_kind kind)
{
    assert(event_traits(kind)->ends_run);
    if (kind == EVENT_RUN_COMPLETED) {
        return RUN_STATUS_COMPLETED;
    }
    return kind == EVENT_RUN_FAILED ? RUN_STATUS_FAILED : RUN_STATUS_CANCELLED;
}

static void before_event(void *self, struct live_run *run, const struct event *event,
                         enum command_kind command)
{
    (void)command;
    const struct lists *lists = self;
    if (event->kind == EVENT_RUN_STARTED) {
        put_start(lists->partition, event->run_started.id, &event->run_started.spec);
    }
    if (event_traits(event->kind)->ends_run) {
        put_byte(lists->partition, RUN_BY_END, end_of(event->kind), run->state.id);
    }
}

/* A fork has its own start. */
static void event_copied(void *self, struct live_run *run, const struct event *event)
{
    const struct lists *lists = self;
    assert(run->is_copying);
    if (event->kind == EVENT_RUN_STARTED) {
        put_start(lists->partition, event->run_started.id, &event->run_started.spec);
    }
}

static void run_deleted(void *self, uuid run, const struct run_spec *spec,
                        const struct run_row *row)
{
    struct partition *partition = ((const struct lists *)self)->partition;
    if (spec != NULL) {
        delete_byte(partition, RUN_BY_KIND, (uint32_t)spec->kind, run);
        delete_row(partition, RUN_BY_NAME, spec->name, run);
        delete_row(partition, RUN_BY_SESSION, spec->options.session_id, run);
        delete_row(partition, RUN_BY_USER, spec->options.user_id, run);
        delete_row(partition, RUN_BY_CONVERSATION, spec->options.conversation_id, run);
        delete_row(partition, RUN_BY_SCHEDULE, schedule_of(spec), run);
        delete_row(partition, RUN_BY_TREE, bytes_of(&spec->root), run);
    }
    delete_byte(partition, RUN_BY_ROOTS, 1, run);
    if (row != NULL && row->status > RUN_STATUS_WAITING) {
        delete_byte(partition, RUN_BY_END, row->status, run);
    }
}

/* ---- What an older release has not written. ---- */

struct building {
    struct lists *lists;
    enum run_index_set set;
    size_t runs;
    size_t bytes;
    bool is_full;
    status status;
};

static status build_run(struct building *building, uuid run, str row_bytes)
{
    struct partition *partition = building->lists->partition;
    struct run_row row;
    struct event event;
    str record;
    char key[KEY_BYTES_MAX];
    TRY(store_get(&partition->store, STORE_JOURNAL,
                  key_journal(key, partition->options.space, run, 1), &partition->scratch,
                  &record));
    TRY(codec_decode_start(record, &partition->scratch, &event));
    TRY(codec_decode_row(row_bytes, &row));
    if (building->set == RUN_INDEX_TREES) {
        put_trees_set(partition, run, &event.run_started.spec);
    } else {
        put_first_set(partition, run, &event.run_started.spec);
    }
    if (building->set == RUN_INDEX_FIRST && row.status > RUN_STATUS_WAITING) {
        put_byte(partition, RUN_BY_END, row.status, run);
    }
    building->bytes += record.len;
    return STATUS_OK;
}

static bool visit_run(void *context, str key, str value)
{
    struct building *building = context;
    struct lists *lists = building->lists;
    uuid run;
    if (!key_read_run(key, &run) || uuid_equal(run, lists->built[building->set].last)) {
        return true; /* Where the round before ended. */
    }
    if (building->runs == BUILD_RUNS || building->bytes > BUILD_BYTES) {
        building->is_full = true;
        return false;
    }
    assert(building->runs < BUILD_RUNS);
    status built = build_run(building, run, value);
    arena_reset(&lists->partition->scratch);
    if (!status_is_ok(built) && store_may_pass(built)) {
        building->status = built;
        return false;
    }
    if (!status_is_ok(built)) { /* It is set apart: not listed but among all. */
        log_line(LOG_ERROR, "run_not_listed", "why=\"%s\"", built.why);
    }
    building->runs++;
    lists->next[building->set].last = run;
    return true;
}

static void put_built(const struct lists *lists, enum run_index_set set)
{
    struct partition *partition = lists->partition;
    char key[KEY_BYTES_MAX];
    char bytes[RUN_INDEX_BUILT_BYTES_MAX];
    size_t len = run_index_built_encode(&lists->next[set], bytes, sizeof(bytes));
    assert(len > 0 && len <= sizeof(bytes));
    store_batch_put(&partition->batch, STORE_INDEX,
                    key_index(key, partition->options.space, run_index_built_kind(set), STR_EMPTY),
                    str_make(bytes, len));
}

/* RUN_INDEX_SETS: all are complete. */
static enum run_index_set first_incomplete(const struct lists *lists)
{
    enum run_index_set set = 0;
    while (set < RUN_INDEX_SETS && lists->built[set].is_complete) {
        set++;
    }
    return set;
}

/* Some more runs, the oldest first; at the end the row that says that it is done. */
static void build(void *self)
{
    struct lists *lists = self;
    struct partition *partition = lists->partition;
    struct building building = {.lists = lists, .set = first_incomplete(lists)};
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    if (building.set == RUN_INDEX_SETS || lists->is_given_up ||
        partition->now_ms < lists->again_ms) {
        return;
    }
    uuid last = lists->built[building.set].last;
    status scanned = store_scan(
        &partition->store, STORE_RUNS, key_prefix_space(prefix, partition->options.space),
        uuid_is_zero(last) ? STR_EMPTY : key_run(from, partition->options.space, last), false,
        SIZE_MAX, visit_run, &building);
    scanned = status_is_ok(scanned) ? building.status : scanned;
    if (!status_is_ok(scanned) && store_may_pass(scanned)) { /* The others that were built count. */
        lists->again_ms = partition->now_ms + READ_AGAIN_MS;
        put_built(lists, building.set);
        return;
    }
    if (!status_is_ok(scanned)) {
        log_line(LOG_ERROR, "runs_unreadable", "why=\"%s\"", scanned.why);
        lists->is_given_up = true; /* Lists look at all runs. */
        return;
    }
    lists->next[building.set].is_complete = !building.is_full;
    put_built(lists, building.set);
}

static void committed(void *self)
{
    struct lists *lists = self;
    for (size_t set = 0; set < RUN_INDEX_SETS; set++) {
        assert(!lists->built[set].is_complete || lists->next[set].is_complete);
        lists->built[set] = lists->next[set];
    }
}

static void failed(void *self)
{
    struct lists *lists = self;
    memcpy(lists->next, lists->built, sizeof(lists->next));
}

static status load_set(struct lists *lists, enum run_index_set set)
{
    struct partition *partition = lists->partition;
    char key[KEY_BYTES_MAX];
    str bytes;
    status found =
        store_get(&partition->store, STORE_INDEX,
                  key_index(key, partition->options.space, run_index_built_kind(set), STR_EMPTY),
                  &partition->scratch, &bytes);
    if (found.code == CODE_NOT_FOUND) {
        return STATUS_OK;
    }
    TRY(found);
    status decoded = run_index_built_decode(bytes, &lists->built[set]);
    if (!status_is_ok(decoded)) {
        log_line(LOG_ERROR, "run_index_damaged", "why=\"%s\"; it is made anew", decoded.why);
        lists->built[set] = (struct run_index_built){.is_complete = false};
    }
    lists->next[set] = lists->built[set];
    return STATUS_OK;
}

static status load(void *self)
{
    for (enum run_index_set set = 0; set < RUN_INDEX_SETS; set++) {
        TRY(load_set(self, set));
    }
    return STATUS_OK;
}

static uint64_t next_due_ms(void *self)
{
    const struct lists *lists = self;
    uint64_t now_ms = lists->partition->now_ms;
    uint64_t due_ms = lists->again_ms > now_ms ? lists->again_ms : now_ms;
    bool is_over = first_incomplete(lists) == RUN_INDEX_SETS || lists->is_given_up;
    return is_over ? 0 : due_ms;
}

static void *start(struct partition *partition)
{
    struct lists *lists = xcalloc(1, sizeof(*lists));
    lists->partition = partition;
    return lists;
}

static void stop(void *self)
{
    free(self);
}

const struct feature lists_feature = {
    .name = "lists",
    .start = start,
    .load = load,
    .at = {[ROUND_BEGINS] = build, [ROUND_COMMITTED] = committed, [ROUND_FAILED] = failed},
    .before_event = before_event,
    .event_copied = event_copied,
    .run_deleted = run_deleted,
    .next_due_ms = next_due_ms,
    .stop = stop,
};
