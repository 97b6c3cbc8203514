/*
 * renewal: a child was cancelled when its parent failed; the run that goes on in the parent's place
 * waits for it. Another begins in its stead, from the start: what it had done was cleaned up.
 */
#include "service/features/children/family.h"
#include "service/features/starts/starts.h"
#include "service/features/trees/trees.h"
#include "service/partition/journal.h"
#include "service/partition/runs.h"

static bool note_start(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    struct event *start = context;
    assert(event->kind == EVENT_RUN_STARTED);
    *start = *event;
    return false;
}

/* As it was asked for: what its definition says is filled in anew. */
static status read_spec(struct partition *partition, const struct live_run *child,
                        struct run_spec *ret)
{
    struct event start = {.kind = EVENT_NONE};
    struct arena *arena = &partition->round_arena;
    assert(child->record_count > 0); /* Its first is always kept. */
    TRY(journal_record(arena_copy(arena, child->records[0]), JOURNAL_KIND(EVENT_RUN_STARTED), arena,
                       note_start, &start));
    if (start.kind != EVENT_RUN_STARTED) {
        return status_make(CODE_DATA_LOSS, "the journal does not begin with the run's start");
    }
    *ret = start.run_started.spec;
    ret->options.idempotency_key = STR_EMPTY;
    ret->options.timeout_ms = ret->deadline_ms == 0 ? 0 : ret->deadline_ms - start.time_ms;
    ret->options.max_retries = ret->retries_max == 0 ? -1 : (int32_t)ret->retries_max;
    return STATUS_OK;
}

static bool awaits(const struct live_run *successor, uint32_t effect)
{
    const struct effect *wait = engine_effect(&successor->state, effect);
    return !engine_is_terminal(&successor->state) && !successor->state.is_cancelling &&
           wait != NULL && wait->kind == EFFECT_CHILDREN;
}

bool renewal_begin(struct partition *partition, struct live_run *successor, struct live_run *child,
                   struct outcome *outcome)
{
    struct run_spec spec;
    struct failure failure;
    uuid id;
    struct arena *arena = &partition->round_arena;
    const struct tree_place *place = tree_place(partition, successor);
    bool was_cancelled = child->state.state == RUN_CANCELLED;
    assert(engine_is_terminal(&child->state));
    if (!was_cancelled || !awaits(successor, tree_place(partition, child)->parent_effect) ||
        !status_is_ok(read_spec(partition, child, &spec))) {
        return false;
    }
    spec.parent = successor->state.id;
    spec.root = place->root;
    spec.depth = place->depth + 1;
    spec.cause = START_CAUSE_PARENT;
    if (!tree_may_grow(partition, successor, 1, arena, &failure) ||
        !start_run(partition, &spec, arena, &failure, &id)) {
        *outcome = (struct outcome){.failed = true,
                                    .error_type = str_of(reason_name(failure.reason)),
                                    .error_message = failure.message};
        return false;
    }
    assert(!uuid_equal(id, child->state.id));
    family_forget_successor(partition, child->state.id, successor->state.id);
    return true;
}
