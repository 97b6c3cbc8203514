/*
 * reports: what the partition knows of runs, told after the round's commit.
 */
#include "service/features/reports/reports.h"

#include "service/codec/tree_rows.h"
#include "service/features/queues/queues.h"
#include "service/hosts/placement.h"
#include "service/partition/commands.h"
#include "service/partition/state.h"
#include "service/partition/task_order.h"

enum {
    LIST_EXAMINED_MAX = 10000, /* Rows one page looks at; a filter may leave it short. */
};

static_assert(COUNT_OF(((struct run_report *)0)->tasks) == COUNT_OF(((struct run *)0)->effects),
              "a report says something of each effect");
static_assert(offsetof(struct report_request, request) == 0, "a request begins its struct");
static_assert(offsetof(struct get_request, report.request) == 0, "a request begins its struct");
static_assert(offsetof(struct cancel_request, report.request) == 0, "a request begins its struct");
static_assert(offsetof(struct list_request, request) == 0, "a request begins its struct");

/* Of what waits for a host alone: who has a task, or why it rests, is in the journal. */
static void report_task(struct partition *partition, const struct live_run *run,
                        const struct effect *effect, struct arena *arena, struct run_report *ret)
{
    struct event task;
    if (!effect_is_task(effect) || effect->state != EFFECT_READY ||
        !status_is_ok(task_order_find(run, effect->id, arena, &task))) {
        return;
    }
    enum task_kind kind = task_order_kind(run, effect);
    str name = task.task_requested.name;
    assert(ret->task_count < ENGINE_EFFECTS_MAX);
    ret->tasks[ret->task_count++] = (struct report_task){
        .effect = effect->id,
        .has_offer = hosts_is_offered(partition->hosts, kind, name),
        .is_held_back =
            hosts_awaits_deployment(partition->hosts, kind, name, engine_pin(&run->state, effect)),
    };
}

void report_run(struct partition *partition, struct live_run *run, struct arena *arena,
                struct run_report *ret)
{
    assert(run->state.seq > 0);
    *ret = (struct run_report){
        .is_in_memory = true,
        .state = run->state,
        .name = str_of(run->name),
        .queue = arena_copy(arena, queues_name(partition, run)),
        .queue_sentence = queues_sentence(partition, run, arena),
    };
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        report_task(partition, run, &run->state.effects[i], arena, ret);
    }
}

/* Of a run that only waits and is on disk: its row names the tasks that are ready. */
static void report_row(struct partition *partition, uuid id, const struct run_row *row,
                       struct arena *arena, struct run_report *ret)
{
    *ret = (struct run_report){
        .queue = arena_copy(arena, str_of(row->queue)),
        .queue_sentence = queues_row_sentence(partition, id, row, arena),
    };
    for (uint32_t i = 0; i < row->ready_count; i++) {
        bool is_body = row->ready[i].kind == EFFECT_BODY;
        bool is_workflow = is_body && row->kind == RUN_KIND_WORKFLOW;
        enum task_kind kind = is_workflow ? TASK_WORKFLOW : TASK_TOOL;
        str name = str_of(row->ready[i].name);
        ret->tasks[ret->task_count++] = (struct report_task){
            .effect = row->ready[i].effect,
            .has_offer = hosts_is_offered(partition->hosts, kind, name),
            .is_held_back =
                hosts_awaits_deployment(partition->hosts, kind, name, row->ready[i].deployment),
        };
    }
}

void report_answer(struct partition *partition, struct request *request, struct live_run *run)
{
    assert(uuid_equal(request->run, run->state.id));
    struct run_report report;
    report_run(partition, run, &request->arena, &report);
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

static void handle_get(struct partition *partition, struct request *request)
{
    const struct run_row *row = get_request(request)->row;
    if (row == NULL || runs_find(partition, request->run) != NULL) {
        answer_with_run(partition, request);
        return;
    }
    struct run_report report;
    report_row(partition, request->run, row, &request->arena, &report);
    report_request(request)->ret = &report;
    request_answer(partition, request, NULL);
}

const struct operation get_operation = {
    .name = "get",
    .request_bytes = sizeof(struct get_request),
    .is_read = true,
    .handle = handle_get,
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

const struct operation list_operation = {
    .name = "list",
    .request_bytes = sizeof(struct list_request),
    .is_read = true,
    .handle = handle_list,
};
static void *start(struct partition *partition)
{
    return partition; /* It has no state. */
}

static const struct feature *const uses[] = {
    &queues_feature,
    NULL,
};

const struct feature reports_feature = {
    .name = "reports",
    .uses = uses,
    .start = start,
};
