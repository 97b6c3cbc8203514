/*
 * commands: from a command to the open batch, and what is to be done about its events.
 */
#include "service/partition/internal.h"

static_assert((int)ENGINE_PIN_NONE == (int)HOSTS_ANY && (int)ENGINE_PIN_NEWEST == (int)HOSTS_NEWEST,
              "a pin is a deployment");

enum task_kind task_kind_of(const struct live_run *run, const struct effect *effect)
{
    bool is_workflow = effect->kind == EFFECT_BODY && run->state.kind == RUN_KIND_WORKFLOW;
    return is_workflow ? TASK_WORKFLOW : TASK_TOOL;
}

struct task_search {
    uint32_t effect;
    struct event *ret;
    bool found;
};

static bool find_task(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    struct task_search *search = context;
    if (event->effect == search->effect) {
        *search->ret = *event;
        search->found = true;
    }
    return !search->found;
}

status command_task(const struct live_run *run, uint32_t effect, struct arena *arena,
                    struct event *ret)
{
    struct task_search search = {.effect = effect, .ret = ret};
    for (size_t i = run->record_count; i > 0 && !search.found; i--) {
        TRY(journal_record(run->records[i - 1], JOURNAL_KIND(EVENT_TASK_REQUESTED), arena,
                           find_task, &search));
    }
    return search.found ? STATUS_OK
                        : status_make(CODE_DATA_LOSS, "the journal lacks a task it ordered");
}

/* A task is over without its host having said so: whoever has it is told, a place in the line is
 * given up. */
static void withdraw_task(struct partition *partition, struct live_run *run,
                          const struct effect *effect, const char *cause)
{
    struct act *act = act_add(partition, ACT_CANCEL, run);
    act->effect = effect->id;
    act->attempt = effect->state == EFFECT_LEASED ? effect->attempt : 0;
    act->text = cause;
    if (effect->state == EFFECT_LEASED) {
        return;
    }
    struct event task;
    status found = command_task(run, effect->id, &partition->scratch, &task);
    if (status_is_ok(found)) {
        struct task_ref ref = {run->state.id, effect->id};
        hosts_unpark(partition->hosts, task_kind_of(run, effect), task.task_requested.name, ref);
    }
    arena_reset(&partition->scratch);
}

static void note_end(struct partition *partition, struct live_run *run, const char *cause)
{
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        const struct effect *effect = &run->state.effects[i];
        if (effect_is_task(effect)) {
            withdraw_task(partition, run, effect, cause);
        }
    }
}

static void note_cancel(struct partition *partition, struct live_run *run)
{
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        const struct effect *effect = &run->state.effects[i];
        if (effect_is_task(effect) && effect->state == EFFECT_LEASED) {
            act_add(partition, ACT_INTERRUPT, run)->effect = effect->id;
        }
    }
}

/* Before an event is applied: what it does to effects that are out. */
static void note_before(struct partition *partition, struct live_run *run, const struct event *event,
                        enum command_kind command)
{
    if (event->kind == EVENT_TASK_SETTLED && command == COMMAND_TASK_DONE) {
        act_add(partition, ACT_RELEASE, run)->effect = event->effect;
    } else if (event->kind == EVENT_TASK_SETTLED && command == COMMAND_TIME) {
        withdraw_task(partition, run, engine_effect(&run->state, event->effect), "deadline");
    } else if (event->kind == EVENT_TASK_FAILED || event->kind == EVENT_TASK_PARKED) {
        /* At once: it may be granted again in this very turn. */
        hosts_release(partition->hosts, (struct task_ref){run->state.id, event->effect});
    } else if (event->kind == EVENT_RUN_FAILED) {
        note_end(partition, run, "the run failed");
    } else if (event->kind == EVENT_RUN_CANCELLED) {
        note_end(partition, run, "the run was cancelled");
    } else if (event->kind == EVENT_CANCEL_REQUESTED) {
        note_cancel(partition, run);
    } else if (event->kind == EVENT_MODEL_REQUESTED) {
        struct act *act = act_add(partition, ACT_MODEL, run);
        act->effect = event->effect;
        act->attempt = event->attempt;
    }
    if (event->kind == EVENT_TASK_FAILED && event->task_failed.is_mismatch) {
        versions_note_stopped(partition, run, event->effect);
    }
    waits_note(partition, run, event);
}

static void put_record(struct partition *partition, struct live_run *run,
                       const struct decision *decision)
{
    char key[KEY_BYTES_MAX];
    uint32_t first = run->state.seq + 1;
    buf_reset(&partition->record);
    codec_encode(decision->events, decision->count, first, &partition->record);
    str record = buf_str(&partition->record);
    store_batch_put(&partition->batch, STORE_JOURNAL,
                    key_journal(key, partition->options.space, run->state.id, first), record);
    if (run->record_count == 0 || run->state.kind == RUN_KIND_AGENT) {
        runs_keep_record(run, record);
        record = run->records[run->record_count - 1];
    } else if (run->watchers != NULL) {
        record = arena_copy(&partition->round_arena, record);
    }
    if (run->watchers != NULL) {
        act_add(partition, ACT_PUBLISH, run)->record = record;
    }
}

static void put_snapshot(struct partition *partition, struct live_run *run)
{
    bool is_due = run->state.seq - run->snapshot_seq >= partition->options.snapshot_every;
    if (!is_due || run->state.kind == RUN_KIND_AGENT) {
        return;
    }
    char key[KEY_BYTES_MAX];
    buf_reset(&partition->packed);
    codec_encode_run(&run->state, &partition->packed);
    store_batch_put(&partition->batch, STORE_SNAPSHOTS,
                    key_run(key, partition->options.space, run->state.id), buf_str(&partition->packed));
    run->snapshot_seq = run->state.seq;
}

static void grant_ready(struct partition *partition, struct live_run *run)
{
    uint32_t ready[ENGINE_EFFECTS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        const struct effect *effect = &run->state.effects[i];
        if (effect->state == EFFECT_READY && effect_is_task(effect)) {
            ready[count++] = effect->id;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        command_grant(partition, run, ready[i]);
    }
}

static void note_state(struct live_run *run, const struct event *event)
{
    run->may_have_state |=
        (event->kind == EVENT_RUN_STARTED && event->run_started.spec.state.len > 0) ||
        (event->kind == EVENT_STEP_SETTLED && event->step_settled.state.len > 0) ||
        (event->kind == EVENT_TASK_SETTLED && event->task_settled.state.len > 0);
}

/* What follows for other runs, in the same batch. */
static void follow_up(struct partition *partition, struct live_run *run, const struct event *events,
                      size_t count, bool wants_grants)
{
    bool is_cancelled = false;
    for (size_t i = 0; i < count; i++) {
        /* What its code started to clean up is not cancelled when that is done. */
        is_cancelled |= events[i].kind == EVENT_CANCEL_REQUESTED ||
                        (events[i].kind == EVENT_RUN_CANCELLED && !run->state.is_cancelling);
    }
    if (engine_is_terminal(&run->state)) {
        act_add(partition, ACT_ENDED, run);
        waits_tell_parent(partition, run, events, count);
    } else if (wants_grants) {
        grant_ready(partition, run);
    }
    if (is_cancelled) {
        waits_cancel_children(partition, run);
    }
}

enum verdict command_submit(struct partition *partition, struct live_run *run, struct command *command)
{
    struct decision *decision = &partition->decision;
    command->now_ms = partition->now_ms;
    enum verdict verdict = engine_decide(&run->state, command, decision);
    partition->stats.commands++;
    if (verdict != VERDICT_OK) {
        partition->stats.stale++;
        return verdict;
    }
    runs_touch(partition, run);
    put_record(partition, run, decision);
    bool wants_grants = false;
    for (size_t i = 0; i < decision->count; i++) {
        note_before(partition, run, &decision->events[i], command->kind);
        note_state(run, &decision->events[i]);
        engine_apply(&run->state, &decision->events[i]);
        wants_grants |= event_traits(decision->events[i].kind)->readies_task;
    }
    queueing_note(partition, run);
    partition->stats.events += decision->count;
    put_snapshot(partition, run);
    bool is_plain = decision->count == 1 && !wants_grants && !engine_is_terminal(&run->state);
    if (!is_plain) {
        size_t count = decision->count; /* Copied: what follows decides for other runs. */
        struct event *events = arena_alloc(&partition->round_arena, count * sizeof(events[0]));
        memcpy(events, decision->events, count * sizeof(events[0]));
        follow_up(partition, run, events, count, wants_grants);
    }
    return VERDICT_OK;
}

void command_replay(struct partition *partition, struct live_run *run, const struct decision *decision)
{
    uint32_t first = run->state.seq + 1;
    buf_reset(&partition->record);
    codec_encode(decision->events, decision->count, first, &partition->record);
    runs_keep_record(run, buf_str(&partition->record));
    for (size_t i = 0; i < decision->count; i++) {
        const struct event *event = &decision->events[i];
        engine_apply(&run->state, event);
        if (event->kind == EVENT_RUN_STARTED) {
            runs_note_start(run, &event->run_started.spec);
        }
    }
}

void command_replay_commit(struct partition *partition, struct live_run *run)
{
    uint32_t seq = 1;
    runs_touch(partition, run);
    for (size_t i = 0; i < run->record_count; i++) {
        char key[KEY_BYTES_MAX];
        size_t cursor = 0;
        struct codec_entry entry;
        bool at_end = false;
        store_batch_put(&partition->batch, STORE_JOURNAL,
                        key_journal(key, partition->options.space, run->state.id, seq),
                        run->records[i]);
        while (status_is_ok(codec_next(run->records[i], &cursor, &entry, &at_end)) && !at_end) {
            seq = entry.seq + 1;
        }
    }
    assert(seq == run->state.seq + 1);
    waits_restore(partition, run);
    if (run->state.kind != RUN_KIND_AGENT) {
        runs_keep_first(run);
    }
}

bool command_give(struct partition *partition, struct live_run *run, uint32_t id)
{
    const struct effect *effect = engine_effect(&run->state, id);
    assert(effect != NULL && effect->state == EFFECT_READY && effect_is_task(effect));
    struct event task;
    status found = command_task(run, id, &partition->round_arena, &task);
    assert(status_is_ok(found)); /* The record is one we keep and have read before. */
    struct host_session *session =
        hosts_pick(partition->hosts, task_kind_of(run, effect), task.task_requested.name,
                   engine_pin(&run->state, effect));
    if (session == NULL) {
        act_add(partition, ACT_PARK, run)->effect = id;
        return false;
    }
    struct command grant = {
        .kind = COMMAND_LEASE_GRANT,
        .effect = id,
        .attempt = effect->attempt,
        .lease = {.host_id = host_session_host_id(session),
                  .deployment = host_session_deployment(session)},
    };
    enum verdict verdict = command_submit(partition, run, &grant);
    assert(verdict == VERDICT_OK);
    effect = engine_effect(&run->state, id);
    struct task_ref ref = {run->state.id, id};
    hosts_reserve(partition->hosts, session, ref, effect->attempt);
    struct act *act = act_add(partition, ACT_GIVE, run);
    act->effect = id;
    act->attempt = effect->attempt;
    act->session = session;
    return true;
}

void command_grant(struct partition *partition, struct live_run *run, uint32_t id)
{
    const struct effect *effect = engine_effect(&run->state, id);
    bool is_ready = effect != NULL && effect->state == EFFECT_READY && effect_is_task(effect);
    if (is_ready && !queueing_gates(run, effect)) { /* Its queue says when. */
        bool given = command_give(partition, run, id);
        (void)given; /* Or it waits in the hosts' line. */
    }
}

static uint32_t row_status(const struct run *run)
{
    static const uint32_t ended[] = {
        [RUN_COMPLETED] = 3,
        [RUN_FAILED] = 4,
        [RUN_CANCELLED] = 5,
    };
    if (engine_is_terminal(run)) {
        return ended[run->state];
    }
    return engine_is_waiting(run) ? 2 : 1;
}

/* A waiting run need not be loaded to be in line, or to be woken by a timer or a wait's end. */
static void row_parked(const struct live_run *run, struct run_row *row)
{
    row->load = true;
    uint32_t count = 0;
    if (run->state.admission == ADMISSION_HELD) {
        return; /* Its place is known by its state. */
    }
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        const struct effect *effect = &run->state.effects[i];
        bool in_line = (effect->kind == EFFECT_BODY && effect->state == EFFECT_READY) ||
                       (effect->kind == EFFECT_MODEL && effect->state == EFFECT_PARKED);
        bool rests = effect_is_wait(effect) || effect->state == EFFECT_PARKED ||
                     effect->state == EFFECT_BACKOFF;
        if (rests && !in_line) {
            continue;
        }
        if (!in_line || count == CODEC_PARKED_MAX) {
            return; /* A tool's name is in the journal only. */
        }
        bool is_task = effect_is_task(effect);
        row->parked[count].effect = effect->id;
        row->parked[count].kind = (enum effect_kind)effect->kind;
        row->parked[count].deployment = is_task ? engine_pin(&run->state, effect) : ENGINE_PIN_NONE;
        memcpy(row->parked[count].name, run->name, sizeof(run->name));
        count++;
    }
    row->parked_count = count;
    row->load = false;
}

void command_row(const struct partition *partition, const struct live_run *run, struct run_row *ret)
{
    (void)partition;
    memset(ret, 0, sizeof(*ret));
    ret->kind = (enum run_kind)run->state.kind;
    ret->status = row_status(&run->state);
    memcpy(ret->name, run->name, sizeof(run->name));
    ret->created_ms = run->state.started_ms;
    ret->ended_ms = run->state.ended_ms;
    ret->next_deadline_ms = engine_next_deadline(&run->state);
    ret->last_seq = run->state.seq;
    ret->deployment = run->state.deployment;
    if (ret->status == 2) {
        row_parked(run, ret);
        queueing_row(run, ret);
    } else {
        ret->load = !engine_is_terminal(&run->state);
    }
}

static bool row_equal(const struct run_row *a, const struct run_row *b)
{
    struct run_row left = *a;
    left.last_seq = b->last_seq; /* Lists may lag behind by events; never by a status. */
    return memcmp(&left, b, sizeof(left)) == 0;
}

static void seal_run(struct partition *partition, struct live_run *run)
{
    struct run_row row;
    command_row(partition, run, &row);
    timers_arm(partition->timers, run->state.id, row.next_deadline_ms);
    if (run->row_written && row_equal(&run->row, &row)) {
        return;
    }
    char key_bytes[KEY_BYTES_MAX];
    char bytes[2048];
    str key = key_run(key_bytes, partition->options.space, run->state.id);
    str value = str_make(bytes, codec_encode_row(&row, bytes, sizeof(bytes)));
    store_batch_put(&partition->batch, STORE_RUNS, key, value);
    if (engine_is_terminal(&run->state)) {
        if (run->row_written) {
            store_batch_delete(&partition->batch, STORE_ACTIVE, key);
        }
    } else {
        store_batch_put(&partition->batch, STORE_ACTIVE, key, value);
    }
    alarm_put(partition, run, alarm_of(&row));
    run->row = row;
    run->row_written = true;
}

void command_seal(struct partition *partition)
{
    for (struct live_run *run = partition->touched; run != NULL; run = run->touched_next) {
        if (run->state.seq > 0) {
            seal_run(partition, run);
        }
    }
}

static void recover_effect(struct partition *partition, struct live_run *run, struct effect effect)
{
    if (effect.kind == EFFECT_MODEL) {
        /* One that is in flight was ordered since the run was read again. */
        if (effect.state == EFFECT_READY && run->model_call == 0) {
            struct command again = {
                .kind = COMMAND_MODEL_REISSUE,
                .effect = effect.id,
                .attempt = effect.attempt,
            };
            enum verdict verdict = command_submit(partition, run, &again);
            assert(verdict == VERDICT_OK);
        }
        return;
    }
    if (effect.state == EFFECT_LEASED) {
        struct task_ref ref = {run->state.id, effect.id};
        hosts_expect(partition->hosts, ref, effect.attempt, effect.host, partition->monotonic_ms);
        return;
    }
    command_grant(partition, run, effect.id);
}

void command_recover(struct partition *partition, struct live_run *run)
{
    const struct run state = run->state;
    queueing_note(partition, run);
    queues_wake(partition->queues, run->state.id); /* If it stood in the hosts' line, it may not. */
    for (uint32_t i = 0; i < state.effect_count; i++) {
        recover_effect(partition, run, state.effects[i]);
    }
    timers_arm(partition->timers, run->state.id, engine_next_deadline(&run->state));
}
