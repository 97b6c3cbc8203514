/*
 * commands: from a command to the open batch.
 */
#include "service/partition/commands.h"

#include <stdlib.h>

#include "service/codec/callbacks.h"
#include "service/codec/level.h"
#include "service/partition/state.h"
#include "service/partition/timers.h"

enum {
    SNAPSHOT_TAIL_BYTES = 256 << 10, /* Of records since the last one: a new one is due. */
};

struct commands {
    struct decision decision; /* Of the last command; what follows from it may decide again. */
    struct buf record;
};

struct commands *commands_new(void)
{
    return xcalloc(1, sizeof(struct commands));
}

void commands_free(struct commands *commands)
{
    if (commands != NULL) {
        buf_fini(&commands->record);
        free(commands);
    }
}

static str encode(struct partition *partition, const struct decision *decision, uint32_t first)
{
    struct buf *record = &partition->commands->record;
    assert(decision->count > 0 && decision->count <= ENGINE_EVENTS_MAX);
    assert(first > 0);
    buf_reset(record);
    codec_encode(decision->events, decision->count, first, record);
    return buf_str(record);
}

static void put_record(struct partition *partition, struct live_run *run,
                       const struct decision *decision)
{
    char key[KEY_BYTES_MAX];
    uint32_t first = run->state.seq + 1;
    assert(run->is_touched); /* Else its row would not be sealed. */
    str record = encode(partition, decision, first);
    run->tail_bytes += record.len;
    run->history_bytes += record.len;
    for (size_t i = 0; i < decision->count; i++) {
        store_batch_raise(&partition->batch, level_of_said(&decision->events[i]));
    }
    store_batch_put(&partition->batch, STORE_JOURNAL,
                    key_journal(key, partition->options.space, run->state.id, first), record);
    if (run->record_count == 0 || run->state.kind == RUN_KIND_AGENT) {
        runs_keep_record(run, record);
    }
    features_tell(partition, record_put, run, record, (uint32_t)decision->count);
}

static void put_snapshot(struct partition *partition, struct live_run *run)
{
    bool is_due = run->state.seq - run->snapshot_seq >= partition->options.snapshot_every ||
                  run->tail_bytes >= SNAPSHOT_TAIL_BYTES;
    if (!is_due || run->state.kind == RUN_KIND_AGENT) {
        return;
    }
    char key[KEY_BYTES_MAX];
    buf_reset(&partition->packed);
    codec_encode_run(&run->state, run->history_bytes, &partition->packed);
    store_batch_put(&partition->batch, STORE_SNAPSHOTS,
                    key_run(key, partition->options.space, run->state.id),
                    buf_str(&partition->packed));
    assert(run->snapshot_seq < run->state.seq);
    run->snapshot_seq = run->state.seq;
    run->tail_bytes = 0;
}

static void apply(struct partition *partition, struct live_run *run, const struct event *event,
                  enum command_kind command)
{
    features_tell(partition, before_event, run, event, command);
    uint32_t seq = run->state.seq;
    engine_apply(&run->state, event);
    assert(run->state.seq == seq + 1);
}

static void follow_up(struct partition *partition, struct live_run *run,
                      const struct decision *decision)
{
    assert(run->state.seq >= decision->count);
    size_t count = decision->count; /* Copied: what follows decides for other runs. */
    struct event *events = arena_alloc(&partition->round_arena, count * sizeof(events[0]));
    memcpy(events, decision->events, count * sizeof(events[0]));
    features_tell(partition, after_decision, run, events, count);
}

static bool has_callbacks(const struct run *run)
{
    static const uint8_t none[CALLBACK_PHASE_ROOM];
    return memcmp(run->callbacks, none, sizeof(none)) != 0;
}

/* The engine asks them by name: those that the run was started with. */
static void name_callbacks(struct partition *partition, const struct live_run *run,
                           struct command *command)
{
    struct arena *arena = &partition->round_arena;
    str packed = STR_EMPTY;
    if (command->kind == COMMAND_START) {
        packed = command->start.spec.callbacks;
    } else if (has_callbacks(&run->state)) {
        struct event started;
        status read = runs_started(run, arena, &started);
        assert(status_is_ok(read)); /* It has been read before. */
        (void)read;
        packed = started.run_started.spec.callbacks;
    }
    if (packed.len > 0) {
        status unpacked =
            callbacks_unpack(packed, arena, &command->callbacks, &command->callback_count);
        assert(status_is_ok(unpacked)); /* As above. */
        (void)unpacked;
    }
}

/* False: it is about what is the other run's. */
static bool cut_copy(struct partition *partition, struct live_run *run, enum command_kind kind)
{
    if (kind != COMMAND_CANCEL && kind != COMMAND_FAIL) {
        return false;
    }
    features_tell(partition, copy_cut, run);
    assert(!run->is_copying);
    return true;
}

enum verdict command_submit(struct partition *partition, struct live_run *run,
                            struct command *command)
{
    struct decision *decision = &partition->commands->decision;
    command->now_ms = partition->now_ms;
    if (run->is_copying && command->kind == COMMAND_CANCEL && run->state.is_cancelling) {
        return VERDICT_DONE_BEFORE; /* As the other run was. */
    }
    if (run->is_copying && !cut_copy(partition, run, command->kind)) {
        partition->stats.stale++;
        return VERDICT_STALE;
    }
    name_callbacks(partition, run, command);
    enum verdict verdict = engine_decide(&run->state, command, decision);
    partition->stats.commands++;
    if (verdict != VERDICT_OK) {
        partition->stats.stale++;
        return verdict;
    }
    assert(decision->count > 0);
    assert(!engine_is_terminal(&run->state)); /* Nothing follows an end. */
    runs_touch(partition, run);
    put_record(partition, run, decision);
    for (size_t i = 0; i < decision->count; i++) {
        apply(partition, run, &decision->events[i], command->kind);
    }
    partition->stats.events += decision->count;
    put_snapshot(partition, run);
    follow_up(partition, run, decision);
    return VERDICT_OK;
}

void command_copy(struct partition *partition, struct live_run *run,
                  const struct decision *decision)
{
    assert(run->is_copying && decision->count > 0);
    runs_touch(partition, run);
    if (run->state.seq == 0) {
        assert(decision->events[0].kind == EVENT_RUN_STARTED);
        runs_begun(partition, run, &decision->events[0].run_started.spec);
    }
    put_record(partition, run, decision);
    for (size_t i = 0; i < decision->count; i++) {
        features_tell(partition, event_copied, run, &decision->events[i]);
        engine_apply(&run->state, &decision->events[i]);
    }
    partition->stats.events += decision->count;
    put_snapshot(partition, run);
}

void command_recover(struct partition *partition, struct live_run *run)
{
    assert(!engine_is_terminal(&run->state));
    if (run->is_copying) {
        return;
    }
    features_tell(partition, recover, run);
    timers_arm(partition->timers, run->state.id, engine_next_deadline(&run->state));
}
