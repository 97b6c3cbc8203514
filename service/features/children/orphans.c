/*
 * orphans: runs whose parent waited for them and failed, or gave them up. They are cancelled,
 * unless their start says that they outlive it: nobody is there to take what they would answer.
 */
#include "service/features/children/children.h"
#include "service/features/children/family.h"
#include "service/features/trees/trees.h"
#include "service/partition/commands.h"
#include "service/partition/runs.h"

static bool awaits(const struct run *run, uint32_t owner)
{
    for (uint32_t i = 0; i < run->effect_count; i++) {
        const struct effect *effect = &run->effects[i];
        if (effect->kind == EFFECT_CHILDREN && (owner == 0 || effect->owner == owner)) {
            return true;
        }
    }
    return false;
}

void orphans_note(struct partition *partition, struct live_run *run, const struct event *event)
{
    const struct outcome *outcome = &event->wait_settled.outcome;
    bool is_withdrawn = event->kind == EVENT_WAIT_SETTLED &&
                        event->wait_settled.kind == EFFECT_CHILDREN && outcome->failed &&
                        str_is(outcome->error_type, ENGINE_WITHDRAWN);
    bool is_task = event->kind == EVENT_TASK_SETTLED && event->task_settled.outcome.failed;
    if (!is_task && !is_withdrawn && event->kind != EVENT_RUN_FAILED) {
        return;
    }
    assert(!engine_is_terminal(&run->state));
    if (awaits(&run->state, is_task ? event->effect : 0)) {
        const struct owed owed = {.target = run->state.id};
        owed_post(partition, tree_place(partition, run)->root, &cancel_orphans_owed, &owed);
    }
}

static bool is_orphan(const struct partition *partition, const struct live_run *parent,
                      const struct live_run *child)
{
    const struct tree_place *place = tree_place(partition, child);
    return place->parent_effect != 0 && !place->outlives_parent &&
           engine_effect(&parent->state, place->parent_effect) == NULL;
}

/* Without reading the run. */
static bool has_ended(struct partition *partition, uuid id)
{
    struct run_row row;
    const struct live_run *run = runs_find(partition, id);
    return run != NULL ? engine_is_terminal(&run->state)
                       : status_is_ok(family_run_row(partition, id, &row)) && row.ended_ms != 0;
}

static status cancel_orphan(struct partition *partition, const struct live_run *parent, uuid id)
{
    struct live_run *child;
    struct command cancel = {
        .kind = COMMAND_CANCEL,
        .cancel = {.cause = engine_is_terminal(&parent->state)
                                ? STR("the run that waited for it failed")
                                : STR("the code that waited for it gave it up")},
    };
    if (has_ended(partition, id)) {
        return STATUS_OK;
    }
    TRY(runs_get(partition, id, &child));
    if (!engine_is_terminal(&child->state) && is_orphan(partition, parent, child)) {
        enum verdict verdict = command_submit(partition, child, &cancel);
        assert(verdict == VERDICT_OK || verdict == VERDICT_DONE_BEFORE);
        assert(child->state.is_cancelling || engine_is_terminal(&child->state));
    }
    return STATUS_OK;
}

/* One that could not be read before. */
static enum owed_result cancel_one(struct partition *partition, const struct live_run *parent,
                                   uuid id)
{
    status done = cancel_orphan(partition, parent, id);
    return status_is_ok(done) ? OWED_DONE : owed_unread(done);
}

static void cancel_or_owe(struct partition *partition, const struct live_run *parent, uuid id)
{
    if (!status_is_ok(cancel_orphan(partition, parent, id))) {
        const struct owed owed = {.target = parent->state.id, .source = id};
        owed_post(partition, tree_place(partition, parent)->root, &cancel_orphans_owed, &owed);
    }
}

static enum owed_result cancel_orphans(struct partition *partition, struct owed *owed,
                                       size_t *budget)
{
    struct run_ids found = {.arena = &partition->round_arena};
    struct live_run *parent;
    size_t limit = *budget;
    assert(limit > 0);
    status read = runs_get(partition, owed->target, &parent);
    if (status_is_ok(read) && !uuid_is_zero(owed->source)) {
        (*budget)--;
        return cancel_one(partition, parent, owed->source);
    }
    if (status_is_ok(read)) {
        read = children_read(partition, owed->target, owed->cursor, limit, &found);
    }
    if (!status_is_ok(read)) {
        (*budget)--;
        return owed_unread(read);
    }
    bool goes_on = found.count == limit;
    *budget -= found.count == 0 ? 1 : found.count;
    owed->cursor = found.count > 0 ? found.ids[found.count - 1] : owed->cursor;
    family_read_fresh(partition, owed->target, &found);
    for (size_t i = 0; i < found.count; i++) {
        cancel_or_owe(partition, parent, found.ids[i]);
    }
    return goes_on ? OWED_GOES_ON : OWED_DONE;
}

const struct owed_kind cancel_orphans_owed = {
    .name = "cancel_orphans",
    .number = 4,
    .work = cancel_orphans,
};
