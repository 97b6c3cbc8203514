/*
 * endings: a run has ended, and whoever waits for it is told.
 */
#include "service/features/children/account.h"
#include "service/features/children/family.h"
#include "service/features/definitions/definitions.h"
#include "service/features/trees/trees.h"
#include "service/features/waits/replay.h"
#include "service/partition/commands.h"
#include "service/partition/journal.h"
#include "service/partition/round.h"

static struct outcome ending_outcome(struct partition *partition, struct live_run *run,
                                     const struct event *events, size_t count)
{
    assert(count > 0 && engine_is_terminal(&run->state));
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
    bool is_structured = definition_is_structured(partition, run);
    return (struct outcome){.value = replay_answer(run, is_structured, &partition->round_arena)};
}

/* The last transition of a journal. */
struct last {
    struct event events[2]; /* How its task ended, if that is there; how the run did. */
    size_t count;
    bool is_whole;
};

static bool note_last(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    struct last *last = context;
    assert(!last->is_whole && last->count < COUNT_OF(last->events));
    if (event->kind == EVENT_TASK_SETTLED) { /* The last one counts. */
        last->events[0] = *event;
        last->count = 1;
        return true;
    }
    last->events[last->count++] = *event;
    last->is_whole = true;
    return false;
}

status ending_read(struct partition *partition, struct live_run *run, const struct ending *at_hand,
                   struct outcome *ret)
{
    static const uint64_t kinds =
        JOURNAL_KIND(EVENT_TASK_SETTLED) | JOURNAL_KIND(EVENT_RUN_COMPLETED) |
        JOURNAL_KIND(EVENT_RUN_FAILED) | JOURNAL_KIND(EVENT_RUN_CANCELLED);
    struct last last = {.count = 0};
    assert(engine_is_terminal(&run->state));
    if (at_hand != NULL) {
        *ret = ending_outcome(partition, run, at_hand->events, at_hand->count);
        return STATUS_OK;
    }
    TRY(journal_each_back(partition, run->state.id, kinds, &partition->round_arena, note_last,
                          &last));
    if (!last.is_whole) {
        return status_make(CODE_UNAVAILABLE, "the end of the run is not on disk yet");
    }
    *ret = ending_outcome(partition, run, last.events, last.count);
    return STATUS_OK;
}

void ending_tell(struct partition *partition, uuid parent, struct live_run *child,
                 const struct outcome *outcome)
{
    assert(engine_is_terminal(&child->state) && !uuid_equal(parent, child->state.id));
    const struct tree_place *place = tree_place(partition, child);
    struct live_run *run;
    status read = runs_get(partition, parent, &run);
    if (!status_is_ok(read)) {
        if (store_may_pass(read)) {
            round_spoil(partition, read);
        }
        return; /* Whoever asks for it is told why. */
    }
    struct command command = {
        .kind = COMMAND_CHILD_DONE,
        .effect = place->parent_effect,
        .child_done = {.index = place->parent_index,
                       .child = child->state.id,
                       .outcome = *outcome,
                       .account = account_of(child, &partition->round_arena)},
    };
    enum verdict verdict = command_submit(partition, run, &command);
    (void)verdict; /* It has ended, or waits no more. */
}

void ending_tell_deleted(struct partition *partition, struct live_run *run, uint32_t effect,
                         uint32_t index, uuid child)
{
    struct command command = {
        .kind = COMMAND_CHILD_DONE,
        .effect = effect,
        .child_done = {.index = index,
                       .child = child,
                       .outcome = {.failed = true,
                                   .error_type = STR("RUN_DELETED"),
                                   .error_message = STR("the run that it waited for was deleted")}},
    };
    if (effect == 0 || engine_effect(&run->state, effect) == NULL) {
        return;
    }
    enum verdict verdict = command_submit(partition, run, &command);
    (void)verdict; /* It may know of its end already. */
}

/* Who waits for it: its parent, or where that has failed, the runs that go on in its place. */
static status find_listeners(struct partition *partition, const struct live_run *child,
                             const struct live_run *parent, struct run_ids *ret)
{
    const struct tree_place *place = tree_place(partition, child);
    if (parent->state.state == RUN_FAILED) {
        return family_take_successors(partition, child->state.id, place->parent, ret);
    }
    if (engine_effect(&parent->state, place->parent_effect) != NULL) {
        run_ids_add(ret, place->parent);
    }
    return STATUS_OK;
}

/* A successor's. */
static void tell_successor(struct partition *partition, uuid id, struct live_run *child,
                           struct outcome outcome)
{
    struct live_run *successor;
    status read = runs_get(partition, id, &successor);
    if (!status_is_ok(read) && store_may_pass(read)) {
        round_spoil(partition, read);
    }
    if (status_is_ok(read) && !renewal_begin(partition, successor, child, &outcome)) {
        ending_tell(partition, id, child, &outcome);
    }
}

static enum owed_result tell_parent(struct partition *partition, struct owed *owed, size_t *budget)
{
    struct live_run *child;
    struct live_run *parent;
    struct outcome outcome;
    struct run_ids told = {.arena = &partition->round_arena};
    (*budget)--;
    status read = runs_get(partition, owed->target, &child);
    if (!status_is_ok(read)) {
        return owed_unread(read);
    }
    const struct tree_place *place = tree_place(partition, child);
    assert(!uuid_is_zero(place->parent) && place->parent_effect != 0);
    read = runs_get(partition, place->parent, &parent);
    if (status_is_ok(read)) {
        read = find_listeners(partition, child, parent, &told);
    }
    if (status_is_ok(read) && told.count > 0) {
        read = ending_read(partition, child, owed->at_hand, &outcome);
    }
    if (!status_is_ok(read)) {
        return owed_unread(read);
    }
    for (size_t i = 0; i < told.count; i++) {
        if (uuid_equal(told.ids[i], place->parent)) {
            ending_tell(partition, place->parent, child, &outcome);
        } else {
            tell_successor(partition, told.ids[i], child, outcome);
        }
    }
    return OWED_DONE;
}

const struct owed_kind tell_parent_owed = {
    .name = "tell_parent",
    .number = 1,
    .work = tell_parent,
};
