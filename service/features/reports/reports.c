/*
 * reports: what the partition knows of runs, told after the round's commit.
 */
#include "service/features/reports/reports.h"

#include "service/features/lines/lines.h"
#include "service/features/queues/queues.h"
#include "service/hosts/placement.h"
#include "service/partition/commands.h"
#include "service/partition/state.h"
#include "service/partition/task_order.h"

static_assert(COUNT_OF(((struct run_report *)0)->tasks) == COUNT_OF(((struct run *)0)->effects),
              "a report says something of each effect");
static_assert(offsetof(struct report_request, request) == 0, "a request begins its struct");
static_assert(offsetof(struct get_request, report.request) == 0, "a request begins its struct");
static_assert(offsetof(struct cancel_request, report.request) == 0, "a request begins its struct");

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
    str name = task_order_offer(run, &task, arena);
    uint64_t version = engine_pin(&run->state, effect);
    assert(ret->task_count < ENGINE_EFFECTS_MAX);
    ret->tasks[ret->task_count++] = (struct report_task){
        .effect = effect->id,
        .has_offer = hosts_is_offered(partition->hosts, kind, name),
        .is_held_back = hosts_awaits_version(partition->hosts, kind, name, version),
        .is_foreign = hosts_is_foreign(partition->hosts, kind, name, version),
    };
}

void report_run(struct partition *partition, struct live_run *run, struct arena *arena,
                struct run_report *ret)
{
    assert(run->state.seq > 0);
    *ret = (struct run_report){
        .is_in_memory = true,
        .is_copying = run->is_copying,
        .state = run->state,
        .name = str_of(run->name),
        .history_bytes = run->history_bytes,
        .server = arena_copy(arena, line_server(partition, run)),
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
                hosts_awaits_version(partition->hosts, kind, name, row->ready[i].deployment),
            .is_foreign = hosts_is_foreign(partition->hosts, kind, name, row->ready[i].deployment),
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
    .is_for_copies = true,
    .handle = handle_cancel,
};

static void *start(struct partition *partition)
{
    return partition; /* It has no state. */
}

static const struct feature *const uses[] = {
    &lines_feature,
    &queues_feature,
    NULL,
};

const struct feature reports_feature = {
    .name = "reports",
    .uses = uses,
    .start = start,
};
