/*
 * reports: runs as callers see them, read after the round's commit.
 */
#include "service/features/reports/reports.h"

#include "service/codec/tree_rows.h"
#include "service/features/definitions/definitions.h"
#include "service/features/queues/queues.h"
#include "service/features/versions/versions.h"
#include "service/features/waits/replay.h"
#include "service/features/waits/waits.h"
#include "service/hosts/placement.h"
#include "service/partition/commands.h"
#include "service/partition/state.h"
#include "service/partition/task_order.h"

enum {
    LIST_EXAMINED_MAX = 10000, /* Rows one page looks at; a filter may leave it short. */
};

static_assert(COUNT_OF(((struct run_report *)0)->failures) == COUNT_OF(((struct run *)0)->effects),
              "a report says something of each effect");
static_assert(offsetof(struct report_request, request) == 0, "a request begins its struct");
static_assert(offsetof(struct cancel_request, report.request) == 0, "a request begins its struct");
static_assert(offsetof(struct list_request, request) == 0, "a request begins its struct");

/* In each run. */
struct room {
    bool may_have_state; /* Its code's state, as JSON, stands in the journal. */
};

static struct room *room_of(const struct partition *partition, const struct live_run *run)
{
    return partition_room(partition, run, &reports_feature);
}

struct last {
    struct arena *arena;
    str record;
};

static bool visit_last(void *context, str key, str value)
{
    (void)key;
    struct last *last = context;
    last->record = arena_copy(last->arena, value);
    return true;
}

/* All records of an agent's run are in memory; of others the first, and the last is read. */
static status report_records(struct partition *partition, struct live_run *run, struct arena *arena,
                             struct run_report *ret)
{
    assert(run->record_count > 0); /* At least its start. */
    ret->records = run->records;
    ret->record_count = run->record_count;
    if (run->state.kind == RUN_KIND_AGENT || !engine_is_terminal(&run->state)) {
        return STATUS_OK;
    }
    struct last last = {arena, STR_EMPTY};
    char key[KEY_BYTES_MAX];
    TRY(store_scan(&partition->store, STORE_JOURNAL,
                   key_run(key, partition->options.space, run->state.id), STR_EMPTY, true, 1,
                   visit_last, &last));
    str *records = arena_alloc(arena, 2 * sizeof(records[0]));
    records[0] = run->records[0];
    records[1] = last.record;
    ret->records = records;
    ret->record_count = str_equal(records[0], records[1]) ? 1 : 2;
    return STATUS_OK;
}

/* State and cancellation stand in the journal; it is read only where there may be one. */
static status report_state(struct partition *partition, struct live_run *run, struct arena *arena,
                           struct run_report *ret)
{
    bool is_cancelled = run->state.is_cancelling || run->state.state == RUN_CANCELLED;
    if (run->state.kind == RUN_KIND_AGENT ||
        !(room_of(partition, run)->may_have_state || is_cancelled)) {
        return STATUS_OK;
    }
    struct replay replay;
    TRY(replay_read(partition, run->state.id, 0, arena, &replay));
    ret->state_json = replay.state;
    ret->cancel_cause = replay.cancel_cause;
    return STATUS_OK;
}

static status report_effect(struct partition *partition, struct live_run *run, uint32_t index,
                            struct arena *arena, struct run_report *ret)
{
    assert(index < run->state.effect_count);
    const struct effect *effect = &run->state.effects[index];
    if (effect->kind == EFFECT_MODEL) {
        struct definition *definition;
        TRY(definition_of(partition, run, &definition));
        ret->effect_names[index] = definition->agent.model;
    }
    if (effect_is_wait(effect)) {
        const struct live_wait *wait;
        TRY(wait_find(partition, run, effect->id, &wait));
        ret->effect_names[index] = arena_copy(arena, wait->key);
    }
    if (effect_is_task(effect)) {
        struct event task;
        TRY(task_order_find(run, effect->id, arena, &task));
        ret->effect_names[index] = task.task_requested.name;
        ret->has_offer[index] = hosts_is_offered(partition->hosts, task_order_kind(run, effect),
                                                 task.task_requested.name);
        ret->is_held_back[index] =
            hosts_awaits_deployment(partition->hosts, task_order_kind(run, effect),
                                    task.task_requested.name, engine_pin(&run->state, effect));
        if (effect->state == EFFECT_BACKOFF) {
            TRY(versions_failure(partition, run, effect->id, arena, &ret->failures[index]));
        }
    }
    return STATUS_OK;
}

status report_run(struct partition *partition, struct live_run *run, struct arena *arena,
                  struct run_report *ret)
{
    assert(run->state.seq > 0);
    *ret = (struct run_report){.state = run->state, .name = str_of(run->name)};
    ret->queue = arena_copy(arena, queues_name(partition, run));
    ret->queue_sentence = queues_sentence(partition, run, arena);
    TRY(report_records(partition, run, arena, ret));
    TRY(report_state(partition, run, arena, ret));
    TRY(versions_deployment(partition, run, arena, &ret->deployment));
    if (run->state.kind == RUN_KIND_AGENT) {
        struct definition *definition;
        TRY(definition_of(partition, run, &definition));
        ret->is_structured = definition->agent.output_schema_json.len > 0;
    }
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        TRY(report_effect(partition, run, i, arena, ret));
    }
    return STATUS_OK;
}

void report_answer(struct partition *partition, struct request *request, struct live_run *run)
{
    assert(uuid_equal(request->run, run->state.id));
    struct run_report report;
    status built = report_run(partition, run, &request->arena, &report);
    if (!status_is_ok(built)) {
        request_fail_run(partition, request, built);
        return;
    }
    report_request(request)->ret = &report;
    request_answer(partition, request, NULL);
}

static void answer_with_run(struct partition *partition, struct request *request)
{
    struct live_run *run;
    status found = runs_get(partition, request->run, &run);
    if (!status_is_ok(found)) {
        request_fail_run(partition, request, found);
        return;
    }
    report_answer(partition, request, run);
}

static void perform_report(struct partition *partition, const struct act *act)
{
    answer_with_run(partition, act->data);
}

static void abandon_report(struct partition *partition, const struct act *act,
                           const struct failure *failure)
{
    request_answer(partition, act->data, failure);
}

void report_answer_later(struct partition *partition, struct request *request)
{
    static const struct act_kind kind = {
        .name = "report", .perform = perform_report, .abandon = abandon_report};
    assert(!request->operation->is_read); /* Else it would be answered at once. */
    act_add(partition, &kind, NULL)->data = request;
}

const struct operation get_operation = {
    .name = "get",
    .request_bytes = sizeof(struct report_request),
    .is_read = true,
    .handle = answer_with_run,
};

static void handle_cancel(struct partition *partition, struct request *request)
{
    struct live_run *run;
    status found = runs_get(partition, request->run, &run);
    if (!status_is_ok(found)) {
        request_fail_run(partition, request, found);
        return;
    }
    struct command command = {.kind = COMMAND_CANCEL,
                              .cancel = {.cause = cancel_request(request)->cause}};
    enum verdict verdict = command_submit(partition, run, &command);
    if (verdict != VERDICT_OK && verdict != VERDICT_DONE_BEFORE) {
        struct failure failure =
            failure_make(CODE_FAILED_PRECONDITION, REASON_RUN_ENDED,
                         STR("the run has ended and can no longer be cancelled"));
        failure.field = STR("run_id");
        request_fail_later(partition, request, &failure);
        return;
    }
    assert(run->state.is_cancelling || engine_is_terminal(&run->state));
    report_answer_later(partition, request);
}

const struct operation cancel_operation = {
    .name = "cancel",
    .request_bytes = sizeof(struct cancel_request),
    .handle = handle_cancel,
};

struct listing {
    struct list_request *list;
    struct run_line *lines;
    size_t examined;
    uuid last;
    status status;
};

static bool matches(const struct list_request *list, const struct run_row *row)
{
    bool kind = list->kind == RUN_KIND_NONE || list->kind == row->kind;
    bool standing = list->status == 0 || list->status == row->status;
    bool name = list->name.len == 0 || str_is(list->name, row->name);
    str deployment = list->deployment;
    bool stays = deployment.len == 0 || engine_key(deployment) == row->deployment;
    return kind && standing && name && stays;
}

static bool visit_row(void *context, str key, str value)
{
    struct listing *listing = context;
    struct list_request *list = listing->list;
    struct run_line line;
    if (!key_read_run(key, &line.id)) {
        listing->status = status_make(CODE_DATA_LOSS, "a key in the list of runs is damaged");
        return false;
    }
    if (uuid_equal(line.id, list->before)) {
        return true; /* Where the page before ended. */
    }
    listing->status = codec_decode_row(value, &line.row);
    if (!status_is_ok(listing->status)) {
        return false;
    }
    assert(list->ret_count < list->limit && listing->examined < LIST_EXAMINED_MAX);
    listing->last = line.id;
    listing->examined++;
    if (matches(list, &line.row)) {
        listing->lines[list->ret_count++] = line;
    }
    return list->ret_count < list->limit && listing->examined < LIST_EXAMINED_MAX;
}

struct family {
    struct partition *partition;
    struct listing *listing;
};

/* A child's row, by its link. */
static bool visit_child(void *context, str key, str value)
{
    (void)value;
    struct family *family = context;
    struct partition *partition = family->partition;
    char row_key[KEY_BYTES_MAX];
    str tail;
    str row;
    struct child_row link;
    if (!key_read_index(key, &tail) || !status_is_ok(child_row_decode(tail, &link))) {
        return true;
    }
    status found = store_get(&partition->store, STORE_RUNS,
                             key_run(row_key, partition->options.space, link.child),
                             &partition->scratch, &row);
    if (!status_is_ok(found)) {
        family->listing->status = found.code == CODE_NOT_FOUND ? STATUS_OK : found;
        return found.code == CODE_NOT_FOUND;
    }
    return visit_row(family->listing, str_make(row_key, KEY_RUN_BYTES), row);
}

static status scan_children(struct partition *partition, const struct list_request *list,
                            struct listing *listing)
{
    assert(!uuid_is_zero(list->parent));
    char prefix_bytes[KEY_BYTES_MAX];
    char from_bytes[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    struct family family = {partition, listing};
    struct index_tail prefix = child_rows_of(list->parent);
    struct index_tail from = child_row_tail(list->parent, list->before);
    bool is_first = uuid_is_zero(list->before);
    return store_scan(&partition->store, STORE_INDEX,
                      key_index(prefix_bytes, space, INDEX_CHILD, index_tail_str(&prefix)),
                      is_first ? STR_EMPTY
                               : key_index(from_bytes, space, INDEX_CHILD, index_tail_str(&from)),
                      true, SIZE_MAX, visit_child, &family);
}

static void handle_list(struct partition *partition, struct request *request)
{
    struct list_request *list = list_request(request);
    assert(list->limit > 0);
    struct listing listing = {
        .list = list,
        .lines = arena_alloc(&request->arena, list->limit * sizeof(struct run_line)),
    };
    char prefix_bytes[KEY_BYTES_MAX];
    char from_bytes[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    bool is_first = uuid_is_zero(list->before);
    str from = is_first ? STR_EMPTY : key_run(from_bytes, space, list->before);
    list->ret_count = 0;
    status scanned =
        uuid_is_zero(list->parent)
            ? store_scan(&partition->store, STORE_RUNS, key_prefix_space(prefix_bytes, space), from,
                         true, SIZE_MAX, visit_row, &listing)
            : scan_children(partition, list, &listing);
    scanned = status_is_ok(scanned) ? listing.status : scanned;
    if (!status_is_ok(scanned)) {
        request_fail_run(partition, request, scanned);
        return;
    }
    assert(list->ret_count <= listing.examined && listing.examined <= LIST_EXAMINED_MAX);
    bool stopped = list->ret_count == list->limit || listing.examined == LIST_EXAMINED_MAX;
    list->ret_lines = listing.lines;
    list->ret_next = stopped ? listing.last : (uuid){{0}};
    request_answer(partition, request, NULL);
}

struct reading {
    struct history_request *asked;
    str *records;
    uint32_t start;
    uint64_t end; /* Events from this seq on are not wanted. */
};

static bool visit_record(void *context, str key, str value)
{
    struct reading *reading = context;
    uint32_t seq;
    if (key_read_journal_seq(key, &seq) && seq >= reading->end) {
        return false;
    }
    struct history_request *asked = reading->asked;
    assert(asked->ret_count < asked->limit);
    reading->records[asked->ret_count++] = arena_copy(&asked->request.arena, value);
    return asked->ret_count < asked->limit;
}

static bool visit_first(void *context, str key, str value)
{
    (void)value;
    struct reading *reading = context;
    return !key_read_journal_seq(key, &reading->start);
}

static status read_records(struct partition *partition, struct request *request)
{
    char prefix_bytes[KEY_BYTES_MAX];
    char from_bytes[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    struct history_request *asked = history_request(request);
    uint32_t from_seq = asked->from_seq;
    struct reading reading = {
        .asked = asked,
        .records = arena_alloc(&request->arena, asked->limit * sizeof(str)),
        .start = from_seq,
        .end = (uint64_t)from_seq + asked->limit,
    };
    str prefix = key_run(prefix_bytes, space, request->run);
    asked->ret_count = 0;
    asked->ret_records = reading.records;
    TRY(store_scan(&partition->store, STORE_JOURNAL, prefix,
                   key_journal(from_bytes, space, request->run, from_seq), true, 1, visit_first,
                   &reading));
    assert(reading.start <= from_seq && from_seq < reading.end);
    return store_scan(&partition->store, STORE_JOURNAL, prefix,
                      key_journal(from_bytes, space, request->run, reading.start), false, SIZE_MAX,
                      visit_record, &reading);
}

static void handle_history(struct partition *partition, struct request *request)
{
    assert(history_request(request)->limit > 0);
    struct live_run *run;
    status read = runs_get(partition, request->run, &run);
    if (status_is_ok(read)) {
        read = read_records(partition, request);
    }
    if (!status_is_ok(read)) {
        request_fail_run(partition, request, read);
        return;
    }
    request_answer(partition, request, NULL);
}

const struct operation list_operation = {
    .name = "list",
    .request_bytes = sizeof(struct list_request),
    .is_read = true,
    .handle = handle_list,
};
const struct operation history_operation = {
    .name = "history",
    .request_bytes = sizeof(struct history_request),
    .is_read = true,
    .handle = handle_history,
};

static void *start(struct partition *partition)
{
    return partition; /* It has no state but its rooms. */
}

static void before_event(void *self, struct live_run *run, const struct event *event,
                         enum command_kind command)
{
    (void)command;
    bool has_state =
        (event->kind == EVENT_RUN_STARTED && event->run_started.spec.options.state.len > 0) ||
        (event->kind == EVENT_STEP_SETTLED && event->step_settled.state.len > 0) ||
        (event->kind == EVENT_TASK_SETTLED && event->task_settled.state.len > 0);
    if (has_state) {
        room_of(self, run)->may_have_state = true;
    }
}

/* Who knows what was written before. */
static void may_have_state(void *self, struct live_run *run)
{
    room_of(self, run)->may_have_state = true;
}

static const struct feature *const uses[] = {
    &definitions_feature, &queues_feature, &versions_feature, &waits_feature, NULL,
};

const struct feature reports_feature = {
    .name = "reports",
    .uses = uses,
    .run_bytes = sizeof(struct room),
    .start = start,
    .before_event = before_event,
    .run_loaded = may_have_state,
    .run_copied = may_have_state,
};
