/*
 * children: runs that a run's code started.
 *
 * A parent's step request, its children's starts, and later each child's end and what the parent
 * is told of it, are in one batch each, so parent and child never disagree.
 */
#include "service/features/children/children.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/codec/tree_rows.h"
#include "service/features/children/account.h"
#include "service/features/children/start_step.h"
#include "service/features/definitions/definitions.h"
#include "service/features/starts/starts.h"
#include "service/features/waits/replay.h"
#include "service/features/waits/waits.h"
#include "service/partition/commands.h"
#include "service/partition/journal.h"
#include "service/partition/state.h"

struct children {
    struct partition *partition;
    struct child_row *fresh; /* Of this round: their rows are not in the store yet. */
    size_t count;
    size_t capacity;
};

static struct children *children_of(const struct partition *partition)
{
    return partition_self(partition, &children_feature);
}

static void put_row(struct partition *partition, enum index_kind kind, struct index_tail tail)
{
    char key[KEY_BYTES_MAX];
    store_batch_put(&partition->batch, STORE_INDEX,
                    key_index(key, partition->options.space, (uint8_t)kind, index_tail_str(&tail)),
                    STR_EMPTY);
}

static void delete_row(struct partition *partition, enum index_kind kind, struct index_tail tail)
{
    char key[KEY_BYTES_MAX];
    store_batch_delete(
        &partition->batch, STORE_INDEX,
        key_index(key, partition->options.space, (uint8_t)kind, index_tail_str(&tail)));
}

/* Into the batch: the parent's cancellation is the child's. */
static void note_child(struct children *children, uuid parent, uuid child)
{
    put_row(children->partition, INDEX_CHILD, child_row_tail(parent, child));
    children->fresh = array_reserve(children->fresh, &children->capacity, children->count + 1,
                                    sizeof(children->fresh[0]));
    children->fresh[children->count++] = (struct child_row){parent, child};
}

struct run_ids {
    struct arena *arena;
    uuid *ids;
    size_t count;
    size_t capacity;
};

static void add_id(struct run_ids *list, uuid id)
{
    list->ids = array_reserve_in(list->arena, list->ids, &list->capacity, list->count + 1,
                                 sizeof(list->ids[0]));
    list->ids[list->count++] = id;
}

static bool visit_child(void *context, str key, str value)
{
    (void)value;
    str tail;
    struct child_row row;
    if (key_read_index(key, &tail) && status_is_ok(child_row_decode(tail, &row))) {
        add_id(context, row.child);
    }
    return true;
}

/* Cancels the runs this one started, in the same batch. */
static void cancel_children(struct partition *partition, struct live_run *run)
{
    char key[KEY_BYTES_MAX];
    struct run_ids children = {.arena = &partition->round_arena};
    struct index_tail tail = child_rows_of(run->state.id);
    status scanned =
        store_scan(&partition->store, STORE_INDEX,
                   key_index(key, partition->options.space, INDEX_CHILD, index_tail_str(&tail)),
                   STR_EMPTY, false, SIZE_MAX, visit_child, &children);
    (void)scanned; /* What a damaged index hides stays as it is; the journal is not touched. */
    const struct children *fresh = children_of(partition);
    for (size_t i = 0; i < fresh->count; i++) {
        if (uuid_equal(fresh->fresh[i].parent, run->state.id)) {
            add_id(&children, fresh->fresh[i].child);
        }
    }
    for (size_t i = 0; i < children.count; i++) {
        struct live_run *child;
        struct command cancel = {
            .kind = COMMAND_CANCEL,
            .cancel = {.cause = STR("the run that started it was cancelled")},
        };
        if (status_is_ok(runs_get(partition, children.ids[i], &child))) {
            enum verdict verdict =
                command_submit(partition, child, &cancel); /* And its children. */
            (void)verdict; /* It has ended, or is being cancelled. */
        }
    }
}

/* What the parent is told: the result as JSON, or why there is none. */
static struct outcome final_outcome(struct partition *partition, struct live_run *run,
                                    const struct event *events, size_t count)
{
    const struct event *last = &events[count - 1];
    if (last->kind == EVENT_RUN_FAILED) {
        return (struct outcome){.failed = true,
                                .error_type = last->run_failed.reason,
                                .error_message = last->run_failed.message};
    }
    if (last->kind == EVENT_RUN_CANCELLED) {
        return (struct outcome){.failed = true,
                                .error_type = STR("CANCELLED"),
                                .error_message = last->run_cancelled.cause};
    }
    for (size_t i = 0; i < count; i++) {
        if (events[i].kind == EVENT_TASK_SETTLED && run->state.kind != RUN_KIND_AGENT) {
            return events[i].task_settled.outcome;
        }
    }
    struct definition *definition;
    bool is_structured = status_is_ok(definition_of(partition, run, &definition)) &&
                         definition->agent.output_schema_json.len > 0;
    return (struct outcome){.value = replay_answer(run, is_structured, &partition->round_arena)};
}

static bool visit_successor(void *context, str key, str value)
{
    (void)value;
    str tail;
    struct successor_row row;
    if (key_read_index(key, &tail) && status_is_ok(successor_row_decode(tail, &row))) {
        add_id(context, row.successor);
    }
    return true;
}

/* Of a parent that failed: its copies that wait for the child instead. */
static void find_successors(struct partition *partition, uuid child, uuid parent,
                            struct run_ids *ret)
{
    char key[KEY_BYTES_MAX];
    struct index_tail tail = successor_rows_of(child);
    status scanned =
        store_scan(&partition->store, STORE_INDEX,
                   key_index(key, partition->options.space, INDEX_SUCCESSOR, index_tail_str(&tail)),
                   STR_EMPTY, false, SIZE_MAX, visit_successor, ret);
    (void)scanned; /* As in cancel_children(). */
    for (size_t i = 0; i < ret->count; i++) {
        delete_row(partition, INDEX_SUCCESSOR, successor_row_tail(child, ret->ids[i]));
    }
    const struct children *children = children_of(partition);
    for (size_t i = 0; i < children->count; i++) {
        const struct child_row *row = &children->fresh[i];
        if (uuid_equal(row->child, child) && !uuid_equal(row->parent, parent)) {
            add_id(ret, row->parent);
            delete_row(partition, INDEX_SUCCESSOR, successor_row_tail(child, row->parent));
        }
    }
}

static struct command child_done(struct partition *partition, const struct live_run *child,
                                 const struct run_spec *spec, const struct outcome *outcome)
{
    return (struct command){
        .kind = COMMAND_CHILD_DONE,
        .effect = spec->parent_effect,
        .attempt = 0,
        .child_done = {.index = spec->parent_index,
                       .child = child->state.id,
                       .outcome = *outcome,
                       .account = account_of(child, &partition->round_arena)},
    };
}

static void tell(struct partition *partition, uuid parent, struct command command)
{
    struct live_run *run;
    if (status_is_ok(runs_get(partition, parent, &run))) {
        enum verdict verdict = command_submit(partition, run, &command);
        (void)verdict; /* It has ended, or waits no more. */
    }
}

/* The run has ended: its parent, where one waits, is told in the same batch. */
static void tell_parent(struct partition *partition, struct live_run *run,
                        const struct event *events, size_t count)
{
    struct event started;
    struct live_run *parent;
    status found = runs_started(run, &partition->round_arena, &started);
    const struct run_spec *spec = &started.run_started.spec;
    if (!status_is_ok(found) || uuid_is_zero(spec->parent) || spec->parent_effect == 0) {
        return;
    }
    struct outcome outcome = final_outcome(partition, run, events, count);
    if (!status_is_ok(runs_get(partition, spec->parent, &parent))) {
        return;
    }
    struct command command = child_done(partition, run, spec, &outcome);
    struct run_ids told = {.arena = &partition->round_arena};
    if (parent->state.state == RUN_FAILED) {
        find_successors(partition, run->state.id, spec->parent, &told);
    } else {
        add_id(&told, spec->parent);
    }
    for (size_t i = 0; i < told.count; i++) {
        tell(partition, told.ids[i], command);
    }
}

/* ---- A failed run that goes on as a copy. ---- */

struct adoption {
    struct partition *partition;
    struct live_run *successor;
    struct run_ids settled; /* Of the successor's facts. */
    struct event events[2]; /* How a child ended: its task's outcome, its own end. */
    size_t count;
};

static bool note_settled(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    struct adoption *adoption = context;
    add_id(&adoption->settled, event->child_settled.child);
    return true;
}

static bool note_end(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    struct adoption *adoption = context;
    if (event->kind == EVENT_TASK_SETTLED) { /* The last one counts. */
        adoption->events[0] = *event;
        adoption->count = 1;
        return true;
    }
    adoption->events[adoption->count++] = *event;
    return false;
}

static bool is_settled(const struct adoption *adoption, uuid child)
{
    for (size_t i = 0; i < adoption->settled.count; i++) {
        if (uuid_equal(adoption->settled.ids[i], child)) {
            return true;
        }
    }
    return false;
}

/* One that has ended is told of at once. */
static status adopt_ended(struct adoption *adoption, struct live_run *child,
                          const struct run_spec *spec)
{
    static const uint64_t kinds =
        JOURNAL_KIND(EVENT_TASK_SETTLED) | JOURNAL_KIND(EVENT_RUN_COMPLETED) |
        JOURNAL_KIND(EVENT_RUN_FAILED) | JOURNAL_KIND(EVENT_RUN_CANCELLED);
    struct partition *partition = adoption->partition;
    adoption->count = 0;
    TRY(journal_each(partition, child->state.id, kinds, &partition->round_arena, note_end,
                     adoption));
    if (adoption->count == 0) {
        return status_make(CODE_DATA_LOSS, "the journal of a run that has ended lacks its end");
    }
    if (child->state.kind == RUN_KIND_AGENT) {
        struct definition *definition;
        TRY(definition_of(partition, child, &definition));
    }
    struct outcome outcome = final_outcome(partition, child, adoption->events, adoption->count);
    tell(partition, adoption->successor->state.id, child_done(partition, child, spec, &outcome));
    return STATUS_OK;
}

static status adopt_child(struct adoption *adoption, uuid id)
{
    struct partition *partition = adoption->partition;
    struct live_run *child;
    struct event started;
    TRY(runs_get(partition, id, &child));
    TRY(runs_started(child, &partition->round_arena, &started));
    const struct run_spec *spec = &started.run_started.spec;
    const struct effect *wait = engine_effect(&adoption->successor->state, spec->parent_effect);
    if (spec->parent_effect == 0 || wait == NULL || wait->kind != EFFECT_CHILDREN ||
        is_settled(adoption, id)) {
        return STATUS_OK;
    }
    if (engine_is_terminal(&child->state)) {
        return adopt_ended(adoption, child, spec);
    }
    note_child(children_of(partition), adoption->successor->state.id, id);
    put_row(partition, INDEX_SUCCESSOR, successor_row_tail(id, adoption->successor->state.id));
    return STATUS_OK;
}

status children_adopt(struct partition *partition, uuid source, struct live_run *successor)
{
    char key[KEY_BYTES_MAX];
    struct run_ids children = {.arena = &partition->round_arena};
    struct adoption *adoption = arena_zalloc(&partition->round_arena, sizeof(*adoption));
    *adoption = (struct adoption){.partition = partition,
                                  .successor = successor,
                                  .settled = {.arena = &partition->round_arena}};
    TRY(journal_each(partition, successor->state.id, JOURNAL_KIND(EVENT_CHILD_SETTLED),
                     &partition->round_arena, note_settled, adoption));
    struct index_tail tail = child_rows_of(source);
    TRY(store_scan(&partition->store, STORE_INDEX,
                   key_index(key, partition->options.space, INDEX_CHILD, index_tail_str(&tail)),
                   STR_EMPTY, false, SIZE_MAX, visit_child, &children));
    for (size_t i = 0; i < children.count; i++) {
        TRY(adopt_child(adoption, children.ids[i]));
    }
    return STATUS_OK;
}

static void *start(struct partition *partition)
{
    struct children *children = xcalloc(1, sizeof(*children));
    children->partition = partition;
    return children;
}

/* What its code started to clean up is not cancelled when that is done. */
static bool cancels_children(const struct live_run *run, const struct event *event)
{
    return event->kind == EVENT_CANCEL_REQUESTED ||
           (event->kind == EVENT_RUN_CANCELLED && !run->state.is_cancelling);
}

/* What follows for other runs, in the same batch. */
static void after_decision(void *self, struct live_run *run, const struct event *events,
                           size_t count)
{
    struct children *children = self;
    bool is_cancelled = false;
    if (engine_is_terminal(&run->state)) {
        tell_parent(children->partition, run, events, count);
    }
    for (size_t i = 0; i < count; i++) {
        is_cancelled |= cancels_children(run, &events[i]);
    }
    if (is_cancelled) {
        cancel_children(children->partition, run);
    }
    if (events[0].kind == EVENT_RUN_STARTED && !uuid_is_zero(events[0].run_started.spec.parent)) {
        note_child(children, events[0].run_started.spec.parent, run->state.id);
    }
}

static void forget_round(void *self)
{
    struct children *children = self;
    children->count = 0;
}

static void stop(void *self)
{
    struct children *children = self;
    free(children->fresh);
    free(children);
}

static const struct wait_kind *const kinds[] = {&start_step_kind, NULL};
static const struct feature *const uses[] = {
    &definitions_feature,
    &starts_feature,
    &waits_feature,
    NULL,
};

const struct feature children_feature = {
    .name = "children",
    .uses = uses,
    .wait_kinds = kinds,
    .start = start,
    .at = {[ROUND_OVER] = forget_round},
    .after_decision = after_decision,
    .stop = stop,
};
