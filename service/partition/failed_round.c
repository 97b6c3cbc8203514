/*
 * failed_round: what is left of a round whose commit failed.
 *
 * Nothing was promised: no act was done. The touched runs are dropped and read again, since the
 * commit may have happened all the same.
 */
#include "service/base/sys.h"
#include "service/partition/round.h"
#include "service/partition/state.h"
#include "service/partition/timers.h"
#include "service/partition/unread.h"

void round_doubt(struct partition *partition, status why)
{
    assert(store_may_pass(why));
    log_line(LOG_ERROR, "round_doubted", "why=\"%s\"", why.why);
    partition->runs.doubt_ms = partition->now_ms + READ_AGAIN_MS;
}

static void reload(struct partition *partition, struct live_run *run, const struct failure *failure)
{
    uuid id = run->state.id;
    assert(run->is_touched);
    run->is_touched = false;
    runs_drop(partition, run);
    timers_arm(partition->timers, id, 0);
    struct live_run *again = NULL;
    status read = runs_get(partition, id, &again);
    if (!status_is_ok(read)) {
        features_tell(partition, unreadable, id, failure);
        if (store_may_pass(read)) {
            unread_doubt(partition->runs.unread, id);
            round_doubt(partition, read);
        }
        return;
    }
    assert(again->durable_seq == again->state.seq);
    features_tell(partition, reread, again);
    if (!engine_is_terminal(&again->state)) { /* Else the commit did happen. */
        runs_recover_later(partition, again, partition->now_ms + RECOVER_AGAIN_MS);
    }
}

status round_settle(struct partition *partition)
{
    uuid id;
    features_reach(partition, ROUND_FAILED);
    while (unread_first(partition->runs.unread, true, &id)) {
        struct live_run *run;
        status read = runs_get(partition, id, &run);
        if (status_is_ok(read)) {
            run->was_unread = false;
            features_tell(partition, reread, run);
        } else if (store_may_pass(read)) {
            return read;
        } else {
            struct failure failure =
                failure_make(read.code, REASON_STORE_REFUSED, str_of(read.why));
            features_tell(partition, unreadable, id, &failure);
        }
        assert(!unread_has(partition->runs.unread, id));
    }
    return STATUS_OK;
}

void round_fail(struct partition *partition, status why)
{
    size_t count = partition->acts.count;
    assert(!status_is_ok(why));
    assert(partition->batch.count == 0); /* What failed is not tried again. */
    struct act *acts = arena_alloc(&partition->round_arena, (count + 1) * sizeof(acts[0]));
    if (count > 0) {
        memcpy(acts, partition->acts.list, count * sizeof(acts[0]));
    }
    log_line(LOG_ERROR, "commit_failed", "code=%s why=\"%s\" acts=%zu", code_name(why.code),
             why.why, count);
    struct failure failure = failure_make(why.code, REASON_STORE_REFUSED, str_of(why.why));
    struct failure with_hint = failure;
    with_hint.retry_after_ms = RECOVER_AGAIN_MS;
    acts_abandon(partition, &with_hint);
    features_reach(partition, ROUND_FAILED);
    struct live_run *run = partition->runs.touched;
    partition->runs.touched = NULL;
    while (run != NULL) {
        struct live_run *next = run->touched_next;
        run->touched_next = NULL;
        reload(partition, run, &failure);
        run = next;
    }
    features_tell(partition, doubted, acts, count);
    if (partition->runs.doubt_ms == 0) {
        acts_perform(partition); /* The reads that are left. */
    }
}
