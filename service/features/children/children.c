/*
 * children: runs that a run's code started.
 *
 * A parent's step request and its children's starts are in one batch. What follows from a child's
 * end or a parent's cancellation is owed (owed.h): a tree of any depth or width is told and
 * cancelled a bounded part at a time.
 */
#include "service/features/children/children.h"

#include <stdlib.h>

#include "service/features/children/family.h"
#include "service/features/children/start_step.h"
#include "service/features/definitions/definitions.h"
#include "service/features/queues/queues.h"
#include "service/features/starts/starts.h"
#include "service/features/trees/trees.h"
#include "service/features/waits/waits.h"
#include "service/partition/commands.h"

/* How the cancellation goes on at a run. */
enum below {
    BELOW_TO_CANCEL, /* It may be at work. */
    BELOW_TO_PASS, /* It has ended; what it started may not have. */
    BELOW_DONE, /* It was cancelled itself, and with it what it started. */
};

static enum below of_state(const struct run *run)
{
    if (run->state == RUN_CANCELLED || run->is_cancelling) {
        return BELOW_DONE;
    }
    return engine_is_terminal(run) ? BELOW_TO_PASS : BELOW_TO_CANCEL;
}

/* By its row, without reading the run. */
static enum below of_row(struct partition *partition, uuid id)
{
    struct run_row row;
    status read = family_run_row(partition, id, &row);
    if (read.code == CODE_NOT_FOUND) { /* It was deleted, with all below it. */
        return BELOW_DONE;
    }
    if (!status_is_ok(read) || row.ended_ms == 0) {
        return BELOW_TO_CANCEL;
    }
    return row.status == RUN_STATUS_CANCELLED ? BELOW_DONE : BELOW_TO_PASS;
}

static void owe_below(struct partition *partition, uuid lane, uuid run)
{
    if (children_are_there(partition, run)) {
        const struct owed owed = {.target = run};
        owed_post(partition, lane, &cancel_below_owed, &owed);
    }
}

static void cancel_child(struct partition *partition, uuid lane, uuid id)
{
    struct live_run *child = runs_find(partition, id);
    struct command cancel = {
        .kind = COMMAND_CANCEL,
        .cancel = {.cause = STR("the run that started it was cancelled")},
    };
    enum below below = child != NULL ? of_state(&child->state) : of_row(partition, id);
    bool is_there = below == BELOW_TO_CANCEL && status_is_ok(runs_get(partition, id, &child));
    if (is_there) { /* Its row may not have been readable. */
        below = of_state(&child->state);
    }
    if (below == BELOW_TO_CANCEL && !is_there) { /* It is set apart, and what it is owed with it. */
        const struct owed owed = {.target = id};
        owed_post(partition, lane, &cancel_below_owed, &owed);
    } else if (below == BELOW_TO_CANCEL) {
        enum verdict verdict = command_submit(partition, child, &cancel);
        assert(verdict == VERDICT_OK);
    } else if (below != BELOW_DONE) { /* Whatever it is at, it is passed through. */
        owe_below(partition, lane, id);
    }
}

/* Below a cancelled run nothing starts, so what is not read yet stays as it is. */
static enum owed_result cancel_below(struct partition *partition, struct owed *owed, size_t *budget)
{
    assert(*budget > 0);
    struct run_ids below = {.arena = &partition->round_arena};
    struct live_run *run;
    size_t limit = *budget;
    status read = runs_get(partition, owed->target, &run);
    if (status_is_ok(read)) {
        read = children_read(partition, owed->target, owed->cursor, limit, &below);
    }
    if (!status_is_ok(read)) {
        (*budget)--;
        return owed_unread(read);
    }
    if (of_state(&run->state) == BELOW_TO_CANCEL) { /* It could not be read before. */
        cancel_child(partition, tree_place(partition, run)->root, owed->target);
        (*budget)--;
        return OWED_DONE;
    }
    assert(below.count <= limit);
    bool goes_on = below.count == limit;
    uuid lane = tree_place(partition, run)->root;
    owed->cursor = below.count > 0 ? below.ids[below.count - 1] : owed->cursor;
    family_read_fresh(partition, owed->target, &below);
    for (size_t i = 0; i < below.count; i++) {
        cancel_child(partition, lane, below.ids[i]);
    }
    *budget -= below.count < limit ? below.count : limit;
    *budget -= below.count == 0 ? 1 : 0;
    return goes_on ? OWED_GOES_ON : OWED_DONE;
}

const struct owed_kind cancel_below_owed = {
    .name = "cancel_below",
    .number = 2,
    .work = cancel_below,
};

/* Once: code that cleans up starts nothing. */
static bool is_cancelled(const struct live_run *run, const struct event *events, size_t count)
{
    bool is_asked = false;
    bool is_gone = false;
    for (size_t i = 0; i < count; i++) {
        is_asked |= events[i].kind == EVENT_CANCEL_REQUESTED;
        is_gone |= events[i].kind == EVENT_RUN_CANCELLED;
    }
    return is_asked || (is_gone && !run->state.is_cancelling);
}

static void owe_end(struct partition *partition, struct live_run *run, const struct event *events,
                    size_t count)
{
    const struct tree_place *place = tree_place(partition, run);
    if (uuid_is_zero(place->parent) || place->parent_effect == 0) {
        return;
    }
    struct ending *ending = arena_alloc(&partition->round_arena, sizeof(*ending));
    assert(count > 0);
    *ending = (struct ending){events, count};
    const struct owed owed = {.target = run->state.id, .at_hand = ending};
    owed_post(partition, place->root, &tell_parent_owed, &owed);
}

static void before_event(void *self, struct live_run *run, const struct event *event,
                         enum command_kind command)
{
    (void)command;
    orphans_note(((struct children *)self)->partition, run, event);
}

/* What follows for other runs. */
static void after_decision(void *self, struct live_run *run, const struct event *events,
                           size_t count)
{
    struct partition *partition = ((struct children *)self)->partition;
    const struct tree_place *place = tree_place(partition, run);
    assert(count > 0);
    if (engine_is_terminal(&run->state)) {
        owe_end(partition, run, events, count);
    }
    if (is_cancelled(run, events, count)) {
        owe_below(partition, place->root, run->state.id);
    }
    if (events[0].kind == EVENT_RUN_STARTED && !uuid_is_zero(place->parent)) {
        family_note(partition, place->parent, run->state.id);
    }
}

static void run_deleted(void *self, uuid run, const struct run_spec *spec,
                        const struct run_row *row)
{
    (void)spec, (void)row;
    family_delete_successors(((struct children *)self)->partition, run);
}

static void forget_round(void *self)
{
    struct children *children = self;
    children->count = 0;
}

static void *start(struct partition *partition)
{
    struct children *children = xcalloc(1, sizeof(*children));
    children->partition = partition;
    return children;
}

static void stop(void *self)
{
    struct children *children = self;
    free(children->fresh);
    free(children);
}

static const struct wait_kind *const kinds[] = {&start_step_kind, NULL};
static const struct owed_kind *const owed_kinds[] = {
    &tell_parent_owed,    &cancel_below_owed, &adopt_owed,
    &cancel_orphans_owed, &handing_on_owed,   NULL,
};
static const struct feature *const uses[] = {
    &definitions_feature, &owed_feature, &queues_feature, &starts_feature, &trees_feature,
    &waits_feature,       NULL,
};

const struct feature children_feature = {
    .name = "children",
    .uses = uses,
    .wait_kinds = kinds,
    .owed_kinds = owed_kinds,
    .start = start,
    .at = {[ROUND_OVER] = forget_round},
    .before_event = before_event,
    .after_decision = after_decision,
    .run_deleted = run_deleted,
    .stop = stop,
};
