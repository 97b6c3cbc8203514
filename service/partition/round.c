/*
 * round: one pass of the partition: requests in, one commit, acts out.
 */
#include "service/partition/round.h"

#include "service/base/sys.h"
#include "service/codec/level.h"
#include "service/partition/alarms.h"
#include "service/partition/commands.h"
#include "service/partition/seal.h"
#include "service/partition/state.h"
#include "service/partition/timers.h"
#include "service/partition/unread.h"

uint64_t round_waiting(const struct partition *partition)
{
    uint64_t count = inbox_count(partition->requests.inbox);
    for (const struct inbox_node *node = partition->requests.pending; node != NULL;
         node = node->next) {
        count++;
    }
    return count;
}

/* A run whose history is still being copied is not for it yet. */
static bool comes_early(const struct partition *partition, const struct request *request)
{
    const struct live_run *run =
        uuid_is_zero(request->run) ? NULL : runs_find(partition, request->run);
    return run != NULL && run->is_copying && !request->operation->is_for_copies;
}

static void handle_inbox(struct partition *partition)
{
    if (partition->requests.pending == NULL) {
        partition->requests.pending =
            inbox_take(partition->requests.inbox, partition->options.batch_max);
    }
    while (partition->requests.pending != NULL && partition->batch.bytes.len < BATCH_BYTES_MAX) {
        struct inbox_node *node = partition->requests.pending;
        struct request *request = container_of(node, struct request, node);
        partition->requests.pending = node->next;
        partition->requests.handled++;
        size_t before = atomic_fetch_sub(&partition->requests.bytes, request->bytes);
        assert(before >= request->bytes);
        if (request->operation->is_read) {
            act_read(partition, request);
        } else if (comes_early(partition, request)) {
            partition_post_always(partition, request);
        } else {
            request->operation->handle(partition, request);
        }
    }
    assert(partition->requests.pending == NULL || partition->batch.bytes.len >= BATCH_BYTES_MAX);
}

/* What a run says when its own deadline has passed: what it was waiting for. */
static str deadline_message(struct partition *partition, struct live_run *run)
{
    str message;
    features_each (partition, slot) {
        if (slot->feature->deadline_message != NULL &&
            slot->feature->deadline_message(slot->self, run, &message)) {
            return message;
        }
    }
    return STR("the run's deadline passed before it was done; give it a longer run_timeout");
}

static void handle_timers(struct partition *partition)
{
    uuid id;
    for (size_t i = 0; i < partition->options.batch_max &&
                       timers_pop_due(partition->timers, partition->now_ms, &id);
         i++) {
        struct live_run *run;
        status found = runs_get(partition, id, &run);
        if (!status_is_ok(found)) {
            log_line(LOG_ERROR, "timer_rests", "why=\"%s\"", found.why);
            continue;
        }
        struct command command = {.kind = COMMAND_TIME};
        if (run->state.deadline_ms != 0 && partition->now_ms >= run->state.deadline_ms) {
            command.time.message = deadline_message(partition, run);
        }
        if (command_submit(partition, run, &command) != VERDICT_OK) {
            timers_arm(partition->timers, id, engine_next_deadline(&run->state));
        }
    }
}

/* Once they are read, they recover. */
static void handle_unread(struct partition *partition)
{
    const struct unread *unread = partition->runs.unread;
    uuid id;
    for (size_t i = 0; i < partition->options.batch_max && unread_first(unread, false, &id) &&
                       partition->now_ms >= unread_due_ms(unread);
         i++) {
        struct live_run *run;
        status read = runs_get(partition, id, &run);
        (void)read; /* It is read again then, or never. */
    }
}

static void handle_recovering(struct partition *partition)
{
    struct runs *runs = &partition->runs;
    if (partition->now_ms < runs->recover_at_ms) {
        return;
    }
    for (size_t i = 0; i < partition->options.batch_max && runs->recovering_count > 0; i++) {
        uuid id = runs->recovering[--runs->recovering_count];
        struct live_run *run = runs_find(partition, id);
        if (run == NULL || !run->needs_recovery) {
            continue;
        }
        run->needs_recovery = false;
        if (run->was_unread) {
            run->was_unread = false;
            features_tell(partition, reread, run);
        }
        if (!engine_is_terminal(&run->state)) {
            command_recover(partition, run);
        }
    }
}

static void untouch(struct partition *partition)
{
    struct live_run *run = partition->runs.touched;
    partition->runs.touched = NULL;
    while (run != NULL) {
        struct live_run *next = run->touched_next;
        assert(run->is_touched && run->durable_seq == run->state.seq);
        run->touched_next = NULL;
        run->is_touched = false;
        if (engine_is_terminal(&run->state) && runs_may_leave(partition, run)) {
            runs_drop(partition, run);
        }
        run = next;
    }
}

/* What it puts among the index rows. */
static void raise_level(struct store_batch *batch)
{
    struct store_entry entry;
    size_t cursor = 0;
    uint8_t kind;
    while (store_batch_next(batch, &cursor, &entry)) {
        if (entry.table == STORE_INDEX && !entry.is_delete &&
            key_read_index_kind(entry.key, &kind)) {
            store_batch_raise(batch, level_of_index(kind));
        }
    }
}

void round_spoil(struct partition *partition, status why)
{
    assert(store_may_pass(why));
    log_line(LOG_ERROR, "round_spoilt", "why=\"%s\"", why.why);
    partition->runs.spoilt = why.why;
}

static void commit(struct partition *partition)
{
    features_reach(partition, ROUND_SEALS);
    seal_touched(partition);
    const char *spoilt = partition->runs.spoilt;
    if (spoilt != NULL) {
        store_batch_reset(&partition->batch);
        round_fail(partition, status_make(CODE_UNAVAILABLE, spoilt));
        return;
    }
    if (partition->batch.count > 0) {
        raise_level(&partition->batch);
        status committed = store_commit(&partition->store, &partition->batch);
        store_batch_reset(&partition->batch);
        partition->stats.commits++;
        if (!status_is_ok(committed)) {
            runs_drop_forgotten(partition, false);
            round_fail(partition, committed);
            return;
        }
    }
    for (struct live_run *run = partition->runs.touched; run != NULL; run = run->touched_next) {
        run->durable_seq = run->state.seq;
    }
    runs_drop_forgotten(partition, true);
    acts_perform(partition);
    features_reach(partition, ROUND_COMMITTED);
    acts_perform(partition);
    assert(partition->acts.count == 0 && partition->batch.count == 0);
    untouch(partition);
}

static void free_finished(struct partition *partition)
{
    while (partition->requests.finished != NULL) {
        struct request *request = partition->requests.finished;
        struct inbox_node *next = request->node.next;
        partition->requests.finished =
            next == NULL ? NULL : container_of(next, struct request, node);
        request_free(request);
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    if (a == 0 || b == 0) {
        return a | b;
    }
    return a < b ? a : b;
}

static uint64_t next_due(struct partition *partition)
{
    uint64_t due = timers_next_ms(partition->timers);
    due = earlier(due, runs_next_eviction_ms(partition));
    due = earlier(due, alarms_next_due_ms(partition));
    due = earlier(due, unread_due_ms(partition->runs.unread));
    if (partition->runs.recovering_count > 0) {
        due = earlier(due, partition->runs.recover_at_ms);
    }
    features_each (partition, slot) {
        if (slot->feature->next_due_ms != NULL) {
            due = earlier(due, slot->feature->next_due_ms(slot->self));
        }
    }
    return partition->requests.pending != NULL ? partition->now_ms : due;
}

void round_read_clocks(struct partition *partition)
{
    partition->now_ms = partition->options.now_ms(partition->options.context);
    partition->monotonic_ms = partition->options.monotonic_ms(partition->options.context);
}

/* What a failed round changed has been read anew. */
static bool round_is_certain(struct partition *partition)
{
    struct runs *runs = &partition->runs;
    if (runs->doubt_ms == 0 || partition->now_ms < runs->doubt_ms) {
        return runs->doubt_ms == 0;
    }
    runs->doubt_ms = 0;
    status read = round_settle(partition);
    if (!status_is_ok(read)) {
        round_doubt(partition, read);
    }
    if (runs->doubt_ms == 0) {
        acts_perform(partition); /* The reads that are left of that round. */
        arena_reset(&partition->round_arena);
    }
    return runs->doubt_ms == 0;
}

static void decide(struct partition *partition)
{
    alarms_work(partition);
    features_reach(partition, ROUND_BEGINS);
    handle_timers(partition);
    handle_inbox(partition);
    features_reach(partition, ROUND_HEARD);
    features_reach(partition, ROUND_ENDS);
}

uint64_t partition_round(struct partition *partition)
{
    struct runs *runs = &partition->runs;
    assert(partition->acts.count == 0 || runs->doubt_ms != 0);
    assert(runs->touched == NULL);
    round_read_clocks(partition);
    partition->stats.rounds++;
    if (!round_is_certain(partition)) {
        return runs->doubt_ms;
    }
    runs->spoilt = NULL;
    handle_unread(partition);
    handle_recovering(partition);
    if (!runs->is_starting) {
        decide(partition);
    }
    commit(partition);
    features_reach(partition, ROUND_OVER);
    free_finished(partition);
    if (runs->doubt_ms != 0) {
        return runs->doubt_ms;
    }
    arena_reset(&partition->round_arena);
    runs_evict(partition);
    if (runs->is_starting) {
        runs->is_starting = runs->recovering_count > 0 && partition->now_ms >= runs->recover_at_ms;
        return partition->now_ms;
    }
    return next_due(partition);
}
