#include "tests/simulation/engine_world.h"

#include <stdio.h>

#include "service/codec/codec.h"
#include "tests/unit/codec/samples.h"

enum {
    HOSTILE_TICKS_MAX = 160,
    CALM_TICKS_MAX = 6000,
};

static bool is_well(const struct engine_world *world)
{
    return world->broken == NULL;
}

static void expect(struct engine_world *world, bool holds, const char *law)
{
    if (!holds && is_well(world)) {
        world->broken = law;
    }
}

static void expect_law(struct engine_world *world, const char *law)
{
    expect(world, law == NULL, law);
}

bool engine_world_fault(struct engine_world *world, unsigned percent)
{
    return !world->calm && draw_chance(&world->draw, percent);
}

str engine_world_text(struct engine_world *world, const char *what)
{
    uint64_t number = draw_below(&world->draw, 1000000);
    return arena_printf(&world->arena, "\"%s-%llu\"", what, (unsigned long long)number);
}

/* ---- What is outside: calls, tasks, leases. ---- */

static void pend(struct engine_world *world, enum pending_kind kind, uint32_t effect,
                 uint32_t attempt)
{
    assert(world->pending_count < WORLD_PENDING_MAX);
    world->pending[world->pending_count++] =
        (struct pending){.kind = kind, .effect = effect, .attempt = attempt};
}

void engine_world_unpend(struct engine_world *world, size_t index)
{
    world->pending_count--;
    memmove(&world->pending[index], &world->pending[index + 1],
            (world->pending_count - index) * sizeof(world->pending[0]));
}

static struct pending *find_pending(struct engine_world *world, enum pending_kind kind,
                                    uint32_t effect, uint32_t attempt)
{
    for (size_t i = 0; i < world->pending_count; i++) {
        struct pending *it = &world->pending[i];
        if (it->kind == kind && it->effect == effect && it->attempt == attempt && !it->is_old) {
            return it;
        }
    }
    return NULL;
}

/* Tasks without a host wait for one, each once, and none before its run is admitted. */
static void pend_ready(struct engine_world *world)
{
    if (world->live.admission == ADMISSION_AWAITED) {
        return;
    }
    for (uint32_t i = 0; i < world->live.effect_count; i++) {
        const struct effect *effect = &world->live.effects[i];
        if (effect_is_task(effect) && effect->state == EFFECT_READY &&
            find_pending(world, PENDING_TASK, effect->id, effect->attempt) == NULL) {
            pend(world, PENDING_TASK, effect->id, effect->attempt);
        }
    }
}

/* What was asked of the outside by an event, once it is committed. */
static void perform(struct engine_world *world, const struct event *event)
{
    switch (event->kind) {
    case EVENT_MODEL_REQUESTED:
        pend(world, PENDING_MODEL, event->effect, event->attempt);
        break;
    case EVENT_LEASE_GRANTED: {
        const struct effect *effect = engine_effect(&world->live, event->effect);
        pend(world, PENDING_LEASE, event->effect, event->attempt);
        struct pending *lease = &world->pending[world->pending_count - 1];
        lease->steps_told = effect->steps;
        lease->outcomes_seen = effect->waits_settled;
        break;
    }
    case EVENT_TASK_REQUESTED:
    case EVENT_LEASE_LOST:
    case EVENT_WAIT_SETTLED:
    case EVENT_TASK_PARKED:
    case EVENT_TASK_REQUEUED:
    case EVENT_CANCEL_REQUESTED:
    case EVENT_ADMISSION_GIVEN:
        pend_ready(world);
        break;
    case EVENT_TASK_SETTLED:
    case EVENT_RUN_STARTED:
    case EVENT_RUN_COMPLETED:
    case EVENT_RUN_FAILED:
    case EVENT_RUN_CANCELLED:
    case EVENT_MODEL_REPLIED:
    case EVENT_MODEL_FAILED:
    case EVENT_REPLY_REJECTED:
    case EVENT_INPUT_ACCEPTED:
    case EVENT_INPUT_TAKEN:
    case EVENT_INPUT_RETURNED:
    case EVENT_INPUT_AMENDED:
    case EVENT_CALL_AMENDED:
    case EVENT_RESULT_AMENDED:
    case EVENT_REPLY_AMENDED:
    case EVENT_REPLY_JUDGED:
    case EVENT_REPLY_PASSED:
    case EVENT_STEP_SETTLED:
    case EVENT_CANCEL_SHOWN:
    case EVENT_WITHDRAWN:
    case EVENT_STEP_TRIED:
    case EVENT_WAIT_SET:
    case EVENT_CHILD_SETTLED:
    case EVENT_RESUME_KEPT:
    case EVENT_TASK_FAILED:
    case EVENT_ADMISSION_ASKED:
    case EVENT_NONE:
    case EVENT_COUNT:
        break;
    }
    struct engine_counts *counts = &world->counts;
    counts->waits += event->kind == EVENT_WAIT_SET;
    counts->parks += event->kind == EVENT_TASK_PARKED;
    counts->kept += event->kind == EVENT_RESUME_KEPT;
    counts->children += event->kind == EVENT_CHILD_SETTLED;
    counts->retries += event->kind == EVENT_TASK_FAILED;
    counts->cleanups += event->kind == EVENT_CANCEL_REQUESTED;
    counts->admissions += event->kind == EVENT_ADMISSION_GIVEN;
}

/* ---- The journal. ---- */

static str record_of(const struct engine_world *world, size_t index)
{
    return str_make(world->journal.ptr + world->records[index].from, world->records[index].len);
}

/* Applies a record's events; with `emitted`, checks that they are what was encoded. */
static void fold_record(struct engine_world *world, size_t index, struct run *run,
                        const struct event *emitted)
{
    size_t cursor = 0;
    for (size_t i = 0;; i++) {
        struct codec_entry entry;
        bool is_end = false;
        status outcome = codec_next(record_of(world, index), &cursor, &entry, &is_end);
        expect(world, status_is_ok(outcome), "records-are-readable");
        if (is_end || !is_well(world)) {
            return;
        }
        struct event event;
        outcome = codec_decode(&entry, &world->arena, &event);
        expect(world, status_is_ok(outcome), "events-are-readable");
        expect(world, entry.seq == world->records[index].first_seq + i, "seqs-without-gap");
        if (emitted != NULL) {
            expect_law(world, sample_difference(&event, &emitted[i]));
        }
        if (!is_well(world)) {
            return;
        }
        engine_apply(run, &event);
    }
}

static void fold(struct engine_world *world, struct run *ret)
{
    engine_init(ret);
    for (size_t i = 0; i < world->record_count && is_well(world); i++) {
        fold_record(world, i, ret, NULL);
    }
}

static void commit(struct engine_world *world)
{
    assert(world->record_count < WORLD_RECORDS_MAX);
    size_t index = world->record_count++;
    world->records[index].from = world->journal.len;
    world->records[index].first_seq = world->ledger.events + 1;
    codec_encode(world->decision.events, world->decision.count, world->ledger.events + 1,
                 &world->journal);
    world->records[index].len = world->journal.len - world->records[index].from;
    struct run scratch = world->live;
    fold_record(world, index, &scratch, world->decision.events);
    world->counts.commits++;
    world->counts.events += world->decision.count;
    for (size_t i = 0; i < world->decision.count; i++) {
        expect_law(world, ledger_add(&world->ledger, &world->decision.events[i]));
    }
    expect_law(world, ledger_settle(&world->ledger));
}

static void take_snapshot(struct engine_world *world)
{
    world->counts.snapshots++;
    buf_reset(&world->snapshot);
    codec_encode_run(&world->live, 0, &world->snapshot);
    world->snapshot_records = world->record_count;
}

static void check_snapshot(struct engine_world *world)
{
    if (world->snapshot.len == 0) {
        return;
    }
    struct run run;
    status outcome = codec_decode_run(buf_str(&world->snapshot), &run, NULL);
    expect(world, status_is_ok(outcome), "snapshots-are-readable");
    for (size_t i = world->snapshot_records; i < world->record_count && is_well(world); i++) {
        fold_record(world, i, &run, NULL);
    }
    expect(world, memcmp(&run, &world->live, sizeof(run)) == 0, "snapshot-and-tail-is-the-fold");
}

/* ---- The process. ---- */

/* As the partition does after a restart: by the state alone. */
static void recover(struct engine_world *world)
{
    struct command reissues[ENGINE_EFFECTS_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < world->live.effect_count; i++) {
        const struct effect *effect = &world->live.effects[i];
        if (effect->state != EFFECT_READY || effect->kind != EFFECT_MODEL) {
            continue;
        }
        reissues[count++] = (struct command){
            .kind = COMMAND_MODEL_REISSUE, .effect = effect->id, .attempt = effect->attempt};
    }
    pend_ready(world);
    for (size_t i = 0; i < count; i++) {
        world->counts.reissues++;
        engine_world_submit(world, reissues[i]);
    }
}

static void crash(struct engine_world *world)
{
    world->counts.crashes++;
    world->ledger.life++;
    for (size_t i = world->pending_count; i > 0; i--) {
        if (world->pending[i - 1].kind != PENDING_LEASE) {
            engine_world_unpend(world, i - 1);
        }
    }
    memset(&world->live, 0xAA, sizeof(world->live));
    fold(world, &world->live);
    if (is_well(world)) {
        recover(world);
    }
}

/* Leases that were granted and never reached their host are told to be lost. */
static void lose_undelivered(struct engine_world *world)
{
    for (uint32_t id = 1; id <= world->ledger.effect_count; id++) {
        const struct ledger_effect *effect = ledger_open(&world->ledger, id);
        if (effect == NULL || world->ledger.ended != EVENT_NONE || !effect->is_leased ||
            find_pending(world, PENDING_LEASE, id, effect->attempt) != NULL) {
            continue;
        }
        world->counts.leases_lost++;
        bool is_excused = effect->lease_life != world->ledger.life;
        engine_world_submit(world, (struct command){.kind = COMMAND_LEASE_LOST,
                                                    .effect = id,
                                                    .attempt = effect->attempt,
                                                    .lease_lost = {.cause = STR("host gone"),
                                                                   .is_excused = is_excused}});
    }
}

static const char *const command_names[] = {
    "START",       "MODEL_REPLIED",      "REPLY_JUDGED", "MODEL_FAILED", "MODEL_REISSUE",
    "LEASE_GRANT", "LEASE_LOST",         "STEP_DONE",    "CANCEL_SHOWN", "WITHDRAW",
    "STEP_TRY",    "TASK_DONE",          "TIME",         "CANCEL",       "STEP_REQUEST",
    "RESUME",      "WAIT_DONE",          "CHILD_DONE",   "PARK",         "CODE_CAME",
    "ADMIT",       "WITHDRAW_ADMISSION", "INPUT",        "FAIL",
};
static_assert(COUNT_OF(command_names) == COMMAND_COUNT);

static void trace_decision(const struct engine_world *world, const struct command *command,
                           enum verdict verdict)
{
    if (!world->trace) {
        return;
    }
    printf("%llu %s %u.%u -> %d", (unsigned long long)command->now_ms, command_names[command->kind],
           command->effect, command->attempt, (int)verdict);
    for (size_t i = 0; i < world->decision.count; i++) {
        const struct event *event = &world->decision.events[i];
        printf(" %s %u.%u", engine_event_name(event->kind), event->effect, event->attempt);
    }
    printf("\n");
}

/* Where what follows from a reply begins; all, where guardrails hold it. */
static size_t follows_at(const struct engine_world *world, const struct command *command)
{
    const struct event *events = world->decision.events;
    if (command->kind == COMMAND_MODEL_REPLIED && !events[0].model_replied.is_judged) {
        return 1;
    }
    for (size_t i = 0; i < world->decision.count; i++) {
        if (events[i].kind == EVENT_REPLY_PASSED) {
            return i + 1;
        }
    }
    return world->decision.count;
}

static void check_calls(struct engine_world *world, const struct command *command, size_t from)
{
    const struct event *events = world->decision.events;
    bool is_held = from == world->decision.count;
    size_t calls = 0;
    for (size_t i = 0; i < world->decision.count; i++) {
        if (events[i].kind != EVENT_TASK_REQUESTED ||
            events[i].task_requested.kind != EFFECT_TOOL) {
            continue;
        }
        expect(world, i >= from && calls < command->plan.call_count, "one-task-per-call");
        const struct tool_call *call = &command->plan.calls[calls++];
        expect(world,
               str_equal(events[i].task_requested.call_id, call->call_id) &&
                   str_equal(events[i].task_requested.input, call->arguments),
               "calls-in-order-with-their-arguments");
        bool settles = i + 1 < world->decision.count && events[i + 1].kind == EVENT_TASK_SETTLED &&
                       events[i + 1].effect == events[i].effect;
        expect(world, settles == (call->refusal_type != NULL), "refused-calls-are-not-run");
    }
    expect(world, is_held || calls == command->plan.call_count, "one-task-per-call");
}

/* Of a reply that nobody holds: a misfit is rejected, or goes on for what was said meanwhile; a
 * task for each call. */
static void check_reply(struct engine_world *world, const struct command *command)
{
    const struct event *events = world->decision.events;
    size_t from = follows_at(world, command);
    bool ends = command->plan.stop == REPLY_STOP_END || command->plan.stop == REPLY_STOP_LENGTH;
    bool is_misfit = ends && world->ledger.output_tries > 0 && command->plan.misfit.len > 0;
    bool is_there = world->decision.count > from;
    bool is_rejected = is_there && events[from].kind == EVENT_REPLY_REJECTED;
    bool was_told =
        is_there && (events[from].kind == EVENT_INPUT_TAKEN || world->live.inputs_open > 0);
    bool goes_on = was_told && !is_rejected;
    if (from < world->decision.count) {
        expect(world, is_rejected == (is_misfit && !goes_on), "misfits-are-rejected");
    }
    expect(world,
           !is_rejected || str_equal(events[from].reply_rejected.feedback, command->plan.feedback),
           "a-rejection-says-why");
    check_calls(world, command, from);
}

/* What a command promises about the events it causes, beyond the laws of the journal. */
static void check_decision(struct engine_world *world, const struct command *command)
{
    const struct event *events = world->decision.events;
    for (size_t i = 0; i < world->decision.count; i++) {
        expect(world, events[i].time_ms == command->now_ms, "events-carry-the-commands-time");
    }
    bool is_settled = command->kind == COMMAND_TASK_DONE || command->kind == COMMAND_REPLY_JUDGED;
    if (command->kind == COMMAND_MODEL_REPLIED || is_settled) {
        check_reply(world, command);
    }
    if (command->kind == COMMAND_MODEL_FAILED && events[0].model_failed.retry_at_ms != 0) {
        uint64_t wait_ms = events[0].model_failed.retry_at_ms - command->now_ms;
        uint64_t hint_ms = command->model_failed.retry_after_ms;
        expect(world, command->model_failed.retryable, "only-what-may-succeed-is-tried-again");
        expect(world, wait_ms >= hint_ms, "the-servers-hint-is-honoured");
        expect(world, wait_ms <= (hint_ms > 30000 ? hint_ms : 30000), "retry-waits-are-bounded");
    }
    if (command->kind == COMMAND_CANCEL) {
        expect(world, world->ledger.ended == EVENT_RUN_CANCELLED || world->ledger.is_cancelling,
               "cancel-cancels");
    }
    if (command->kind == COMMAND_RESUME) {
        const struct event *event = &events[0];
        bool is_given = event->kind == EVENT_WAIT_SETTLED &&
                        str_equal(event->wait_settled.outcome.value, command->resume.data) &&
                        str_equal(event->wait_settled.by, command->resume.by);
        expect(world, is_given || event->kind == EVENT_RESUME_KEPT, "answers-are-given-or-kept");
    }
    if (command->kind == COMMAND_TASK_DONE && world->ledger.ended == EVENT_NONE) {
        bool again = events[0].kind == EVENT_TASK_FAILED;
        bool is_mismatch = str_is(command->task.outcome.error_type, ENGINE_NON_DETERMINISM);
        expect(world, !again || is_mismatch || command->task.is_retryable,
               "only-what-may-succeed-is-tried-again");
        expect(world, again || !is_mismatch || world->ledger.is_cancelling,
               "code-that-does-not-fit-ends-no-run");
    }
    if (command->kind == COMMAND_PARK) {
        bool has_more = engine_effect(&world->live, command->effect)->waits_settled >
                        command->park.outcomes_seen;
        expect(world, !has_more || events[0].task_parked.is_ready, "unseen-outcomes-are-given");
    }
    if (command->kind == COMMAND_TIME) {
        uint64_t due_ms = ledger_next_deadline(&world->ledger);
        expect(world, due_ms == 0 || due_ms > command->now_ms, "deadlines-are-honoured");
    }
}

static enum verdict decide(struct engine_world *world, const struct command *command)
{
    struct run before = world->live;
    enum verdict verdict = engine_decide(&world->live, command, &world->decision);
    world->counts.commands++;
    trace_decision(world, command, verdict);
    expect(world, memcmp(&before, &world->live, sizeof(before)) == 0, "decide-changes-nothing");
    enum verdict law = ledger_verdict(&world->ledger, command);
    if (law == VERDICT_REFUSED) {
        bool refused = verdict != VERDICT_OK && verdict != VERDICT_TERMINAL;
        expect(world, refused, "what-is-not-awaited-is-refused");
    } else {
        expect(world, verdict == law, "verdict-follows-from-the-facts");
    }
    expect(world, (verdict == VERDICT_OK) == (world->decision.count > 0), "refusals-write-nothing");
    return verdict;
}

/* The shell's whole duty: decide, commit, apply, then perform. */
void engine_world_submit(struct engine_world *world, struct command command)
{
    command.now_ms = world->now_ms;
    command.callbacks = world->callbacks;
    command.callback_count = world->callback_count;
    enum verdict verdict = decide(world, &command);
    if (verdict != VERDICT_OK || !is_well(world)) {
        world->counts.stale++;
        return;
    }
    if (engine_world_fault(world, 4)) {
        crash(world);
        return;
    }
    commit(world);
    if (!is_well(world)) {
        return;
    }
    check_decision(world, &command);
    if (engine_world_fault(world, 4)) {
        crash(world);
        return;
    }
    size_t count = world->decision.count;
    for (size_t i = 0; i < count; i++) {
        engine_apply(&world->live, &world->decision.events[i]);
    }
    for (size_t i = 0; i < count; i++) {
        perform(world, &world->decision.events[i]);
    }
    if (engine_world_fault(world, 10)) {
        take_snapshot(world);
    }
}

/* ---- Time. ---- */

/* Rings when it should, and sometimes when it should not. */
static void ring(struct engine_world *world)
{
    uint64_t due_ms = engine_next_deadline(&world->live);
    bool is_due = due_ms != 0 && due_ms <= world->now_ms;
    if (!is_due && !engine_world_fault(world, 3)) {
        return;
    }
    world->counts.timeouts += is_due;
    engine_world_submit(
        world, (struct command){.kind = COMMAND_TIME, .time = {.message = STR("it ran too long")}});
}

static void pass_time(struct engine_world *world)
{
    uint64_t due_ms = engine_next_deadline(&world->live);
    if (world->pending_count == 0 && due_ms > world->now_ms) {
        world->now_ms = due_ms; /* Nothing else will happen. */
        return;
    }
    world->now_ms += draw_below(&world->draw, 2000);
    if (engine_world_fault(world, 2)) {
        world->counts.jumps++;
        world->now_ms += draw_below(&world->draw, 3600000);
    }
}

static void tick(struct engine_world *world)
{
    pass_time(world);
    if (world->ledger.events == 0) {
        submit_start(world);
        return;
    }
    ring(world);
    lose_undelivered(world);
    if (engine_world_fault(world, 1)) {
        engine_world_submit(world, (struct command){.kind = COMMAND_CANCEL,
                                                    .cancel = {.cause = STR("the user asked")}});
    }
    if (engine_world_fault(world, 8)) {
        submit_noise(world);
    }
    if (engine_world_fault(world, world->likes_to_wait ? 25 : 5)) {
        engine_world_submit(
            world, (struct command){.kind = COMMAND_INPUT, .input = {.data = STR("\"go on\"")}});
    }
    if (engine_world_fault(world, 6)) {
        submit_resume(world, draw_step_key(world));
    }
    if (engine_world_fault(world, 3)) {
        submit_code_came(world);
    }
    if (world->calm || draw_chance(&world->draw, 25)) {
        submit_awaited(world);
    }
    if (world->calm || draw_chance(&world->draw, 30)) {
        submit_admission(world);
    }
    if (engine_world_fault(world, 2)) {
        crash(world);
    }
    if (world->pending_count > 0) {
        submit_pending(world, draw_below(&world->draw, world->pending_count));
    }
}

/* ---- What must be true between ticks. ---- */

/* Whatever is owed is at work, is ready, or has an alarm. */
static void check_owed(struct engine_world *world)
{
    if (world->ledger.ended != EVENT_NONE) {
        return;
    }
    bool is_at_work = false;
    for (uint32_t id = 1; id <= world->ledger.effect_count; id++) {
        const struct ledger_effect *effect = ledger_open(&world->ledger, id);
        if (effect == NULL) {
            continue;
        }
        if (effect->kind == EFFECT_MODEL && effect->retry_at_ms == 0 && !effect->awaits_admission) {
            is_at_work = true;
            expect(world, find_pending(world, PENDING_MODEL, id, effect->attempt) != NULL,
                   "owed-calls-are-out");
        } else if (effect->is_leased) {
            is_at_work |= !ledger_code_waits(&world->ledger, id);
        } else if (ledger_is_ready(effect) &&
                   (!world->ledger.needs_admission || world->ledger.is_admitted)) {
            expect(world, find_pending(world, PENDING_TASK, id, effect->attempt) != NULL,
                   "owed-tasks-are-ready");
        }
    }
    bool waits = engine_is_waiting(&world->live);
    expect(world, !world->ledger.is_started || waits == !is_at_work, "waiting-means-waiting");
}

static void check(struct engine_world *world)
{
    struct run folded;
    fold(world, &folded);
    expect(world, memcmp(&folded, &world->live, sizeof(folded)) == 0, "fold-is-live");
    expect_law(world, engine_broken_invariant(&world->live));
    expect_law(world, ledger_compare(&world->ledger, &world->live));
    if (is_well(world)) {
        check_snapshot(world);
        check_owed(world);
    }
}

/* Every kind of command, about every effect there ever was: nothing moves any more. */
static void check_terminal(struct engine_world *world)
{
    size_t records_before = world->record_count;
    for (uint32_t id = 0; id <= world->ledger.effect_count && is_well(world); id++) {
        for (int kind = 0; kind < COMMAND_COUNT; kind++) {
            engine_world_submit(world,
                                (struct command){.kind = (enum command_kind)kind,
                                                 .effect = id,
                                                 .attempt = world->ledger.effects[id].attempt});
        }
    }
    expect(world, world->record_count == records_before, "terminal-means-terminal");
}

static void count_end(struct engine_world *world)
{
    world->counts.runs++;
    world->counts.completed += world->ledger.ended == EVENT_RUN_COMPLETED;
    world->counts.failed += world->ledger.ended == EVENT_RUN_FAILED;
    world->counts.cancelled += world->ledger.ended == EVENT_RUN_CANCELLED;
}

void engine_world_run(struct engine_world *world, uint64_t seed)
{
    arena_fini(&world->arena);
    arena_init(&world->arena, 0);
    buf_reset(&world->journal);
    buf_reset(&world->snapshot);
    world->seed = seed;
    world->draw.state = seed;
    world->now_ms = 1700000000000;
    world->calm = false;
    world->model_failure_percent = draw_chance(&world->draw, 15) ? 95 : 25;
    world->likes_to_wait = draw_chance(&world->draw, 20);
    world->failure_percent = draw_chance(&world->draw, 15) ? 90 : 25;
    world->misfit_percent = draw_chance(&world->draw, 15) ? 90 : 30;
    world->loss_percent = seed % 11 == 10 ? 85 : 6;
    world->broken = NULL;
    world->record_count = 0;
    world->pending_count = 0;
    engine_init(&world->live);
    ledger_init(&world->ledger);
    for (int i = 0; i < CALM_TICKS_MAX && is_well(world); i++) {
        world->calm = i > HOSTILE_TICKS_MAX;
        tick(world);
        if (is_well(world)) {
            check(world);
        }
        if (world->ledger.ended != EVENT_NONE) {
            break;
        }
    }
    expect(world, world->ledger.ended != EVENT_NONE, "every-run-ends");
    if (is_well(world)) {
        world->calm = true;
        check_terminal(world);
        count_end(world);
    }
}

void engine_world_fini(struct engine_world *world)
{
    arena_fini(&world->arena);
    buf_fini(&world->journal);
    buf_fini(&world->snapshot);
}
