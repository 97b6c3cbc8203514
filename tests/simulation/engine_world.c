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

static bool fault(struct engine_world *world, unsigned percent)
{
    return !world->calm && draw_chance(&world->draw, percent);
}

static str text(struct engine_world *world, const char *what)
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

static void unpend(struct engine_world *world, size_t index)
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

/* What was asked of the outside by an event, once it is committed. */
static void perform(struct engine_world *world, const struct event *event)
{
    switch (event->kind) {
    case EVENT_MODEL_REQUESTED:
        pend(world, PENDING_MODEL, event->effect, event->attempt);
        break;
    case EVENT_TASK_REQUESTED:
        pend(world, PENDING_TASK, event->effect, 0);
        break;
    case EVENT_LEASE_GRANTED:
        pend(world, PENDING_LEASE, event->effect, event->attempt);
        break;
    case EVENT_LEASE_LOST:
        pend(world, PENDING_TASK, event->effect, event->attempt);
        break;
    case EVENT_TASK_SETTLED:
    case EVENT_RUN_STARTED:
    case EVENT_RUN_COMPLETED:
    case EVENT_RUN_FAILED:
    case EVENT_RUN_CANCELLED:
    case EVENT_MODEL_REPLIED:
    case EVENT_MODEL_FAILED:
    case EVENT_STEP_SETTLED:
    case EVENT_NONE:
    case EVENT_COUNT:
        break;
    }
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
    codec_encode(world->step.events, world->step.count, world->ledger.events + 1, &world->journal);
    world->records[index].len = world->journal.len - world->records[index].from;
    struct run scratch = world->live;
    fold_record(world, index, &scratch, world->step.events);
    world->counts.commits++;
    world->counts.events += world->step.count;
    for (size_t i = 0; i < world->step.count; i++) {
        expect_law(world, ledger_add(&world->ledger, &world->step.events[i]));
    }
    expect_law(world, ledger_settle(&world->ledger));
}

static void take_snapshot(struct engine_world *world)
{
    world->counts.snapshots++;
    buf_reset(&world->snapshot);
    codec_encode_run(&world->live, &world->snapshot);
    world->snapshot_records = world->record_count;
}

static void check_snapshot(struct engine_world *world)
{
    if (world->snapshot.len == 0) {
        return;
    }
    struct run run;
    status outcome = codec_decode_run(buf_str(&world->snapshot), &run);
    expect(world, status_is_ok(outcome), "snapshots-are-readable");
    for (size_t i = world->snapshot_records; i < world->record_count && is_well(world); i++) {
        fold_record(world, i, &run, NULL);
    }
    expect(world, memcmp(&run, &world->live, sizeof(run)) == 0, "snapshot-and-tail-is-the-fold");
}

/* ---- The process. ---- */

static void submit(struct engine_world *world, struct command command);

/* As the runtime does after a restart: by the state alone. */
static void recover(struct engine_world *world)
{
    struct command reissues[ENGINE_EFFECTS_MAX];
    size_t count = 0;
    for (uint32_t i = 0; i < world->live.effect_count; i++) {
        const struct effect *effect = &world->live.effects[i];
        if (effect->state != EFFECT_READY) {
            continue;
        }
        if (effect_is_task(effect)) {
            pend(world, PENDING_TASK, effect->id, effect->attempt);
            continue;
        }
        reissues[count++] = (struct command){
            .kind = COMMAND_MODEL_REISSUE, .effect = effect->id, .attempt = effect->attempt};
    }
    for (size_t i = 0; i < count; i++) {
        world->counts.reissues++;
        submit(world, reissues[i]);
    }
}

static void crash(struct engine_world *world)
{
    world->counts.crashes++;
    for (size_t i = world->pending_count; i > 0; i--) {
        if (world->pending[i - 1].kind != PENDING_LEASE) {
            unpend(world, i - 1);
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
        submit(world, (struct command){.kind = COMMAND_LEASE_LOST,
                                       .effect = id,
                                       .attempt = effect->attempt,
                                       .lease_lost = {.cause = STR("host gone")}});
    }
}

static void trace_decision(const struct engine_world *world, const struct command *command,
                           enum verdict verdict)
{
    if (!world->trace) {
        return;
    }
    static const char *const names[] = {
        "START",      "MODEL_REPLIED", "MODEL_FAILED", "MODEL_REISSUE", "LEASE_GRANT",
        "LEASE_LOST", "STEP_DONE",     "TASK_DONE",    "TIME",          "CANCEL",
    };
    static_assert(COUNT_OF(names) == COMMAND_COUNT);
    printf("%llu %s %u.%u -> %d", (unsigned long long)command->now_ms, names[command->kind],
           command->effect, command->attempt, (int)verdict);
    for (size_t i = 0; i < world->step.count; i++) {
        const struct event *event = &world->step.events[i];
        printf(" %s %u.%u", engine_event_name(event->kind), event->effect, event->attempt);
    }
    printf("\n");
}

/* What an order promises about the events it causes, beyond the laws of the journal. */
static void check_decision(struct engine_world *world, const struct command *command)
{
    const struct event *events = world->step.events;
    for (size_t i = 0; i < world->step.count; i++) {
        expect(world, events[i].time_ms == command->now_ms, "events-carry-the-commands-time");
    }
    if (command->kind == COMMAND_MODEL_REPLIED) {
        size_t calls = 0;
        for (size_t i = 0; i < world->step.count; i++) {
            if (events[i].kind != EVENT_TASK_REQUESTED) {
                continue;
            }
            expect(world, calls < command->model_replied.call_count, "one-task-per-call");
            const struct tool_call *call = &command->model_replied.calls[calls++];
            expect(world,
                   str_equal(events[i].task_requested.call_id, call->call_id) &&
                       str_equal(events[i].task_requested.input, call->arguments),
                   "calls-in-order-with-their-arguments");
            bool settles = i + 1 < world->step.count && events[i + 1].kind == EVENT_TASK_SETTLED &&
                           events[i + 1].effect == events[i].effect;
            expect(world, settles == (call->refusal_type != NULL), "refused-calls-are-not-run");
        }
        expect(world, calls == command->model_replied.call_count, "one-task-per-call");
    }
    if (command->kind == COMMAND_MODEL_FAILED && events[0].model_failed.retry_at_ms != 0) {
        uint64_t wait_ms = events[0].model_failed.retry_at_ms - command->now_ms;
        uint64_t hint_ms = command->model_failed.retry_after_ms;
        expect(world, command->model_failed.retryable, "only-what-may-succeed-is-tried-again");
        expect(world, wait_ms >= hint_ms, "the-servers-hint-is-honoured");
        expect(world, wait_ms <= (hint_ms > 30000 ? hint_ms : 30000), "retry-waits-are-bounded");
    }
    if (command->kind == COMMAND_CANCEL) {
        expect(world, world->ledger.ended == EVENT_RUN_CANCELLED, "cancel-cancels");
    }
    if (command->kind == COMMAND_TIME) {
        uint64_t due_ms = ledger_next_deadline(&world->ledger);
        expect(world, due_ms == 0 || due_ms > command->now_ms, "deadlines-are-honoured");
    }
}

static enum verdict decide(struct engine_world *world, const struct command *command)
{
    struct run before = world->live;
    enum verdict verdict = engine_decide(&world->live, command, &world->step);
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
    expect(world, (verdict == VERDICT_OK) == (world->step.count > 0), "refusals-write-nothing");
    return verdict;
}

/* The shell's whole duty: decide, commit, apply, then perform. */
static void submit(struct engine_world *world, struct command command)
{
    command.now_ms = world->now_ms;
    enum verdict verdict = decide(world, &command);
    if (verdict != VERDICT_OK || !is_well(world)) {
        world->counts.stale++;
        return;
    }
    if (fault(world, 4)) {
        crash(world);
        return;
    }
    commit(world);
    if (!is_well(world)) {
        return;
    }
    check_decision(world, &command);
    if (fault(world, 4)) {
        crash(world);
        return;
    }
    size_t count = world->step.count;
    for (size_t i = 0; i < count; i++) {
        engine_apply(&world->live, &world->step.events[i]);
    }
    for (size_t i = 0; i < count; i++) {
        perform(world, &world->step.events[i]);
    }
    if (fault(world, 10)) {
        take_snapshot(world);
    }
}

/* ---- Who speaks. ---- */

static void start(struct engine_world *world)
{
    struct draw *draw = &world->draw;
    struct command command = {.kind = COMMAND_START};
    struct run_spec *spec = &command.start.spec;
    spec->kind = 1 + (enum run_kind)draw_below(draw, 3);
    if (draw_chance(draw, 50)) {
        spec->kind = RUN_KIND_AGENT;
    }
    spec->name = STR("weather");
    spec->input = text(world, "input");
    spec->steps_max = spec->kind == RUN_KIND_AGENT ? 1 + (uint32_t)draw_below(draw, 6) : 0;
    spec->tokens_max = draw_chance(draw, 30) ? 1 + draw_below(draw, 800) : 0;
    spec->deadline_ms = draw_chance(draw, 30) ? world->now_ms + draw_below(draw, 90000) : 0;
    spec->definition_hash = spec->kind == RUN_KIND_AGENT ? STR("0123456789abcdef") : STR_EMPTY;
    for (size_t i = 0; i < sizeof(command.start.id.bytes); i++) {
        command.start.id.bytes[i] = (uint8_t)draw_below(draw, 256);
    }
    spec->root = command.start.id;
    submit(world, command);
}

static void draw_calls(struct engine_world *world, struct command *command)
{
    static const size_t sizes[] = {1, 1, 1, 2, 3, 5, 8, ENGINE_TOOL_CALLS_MAX};
    size_t count = sizes[draw_below(&world->draw, COUNT_OF(sizes))];
    struct tool_call *calls = arena_zalloc(&world->arena, count * sizeof(*calls));
    for (size_t i = 0; i < count; i++) {
        calls[i].call_id = text(world, "call");
        calls[i].name = STR("lookup");
        calls[i].arguments = text(world, "arguments");
        calls[i].refusal_type = draw_chance(&world->draw, 15) ? "UNKNOWN_TOOL" : NULL;
        calls[i].refusal_message = STR("there is no such tool");
        calls[i].timeout_ms =
            draw_chance(&world->draw, 30) ? 1 + draw_below(&world->draw, 20000) : 0;
        calls[i].at_most_once = draw_chance(&world->draw, 20);
    }
    command->model_replied.calls = calls;
    command->model_replied.call_count = count;
}

static struct command model_answer(struct engine_world *world, const struct pending *call)
{
    struct draw *draw = &world->draw;
    struct command command = {.effect = call->effect, .attempt = call->attempt};
    if (draw_chance(draw, world->calm ? 10 : world->model_failure_percent)) {
        command.kind = COMMAND_MODEL_FAILED;
        command.model_failed.reason = STR("RATE_LIMITED");
        command.model_failed.message = text(world, "failure");
        command.model_failed.retryable = draw_chance(draw, 85);
        command.model_failed.retry_after_ms = draw_chance(draw, 20) ? draw_below(draw, 60000) : 0;
        command.model_failed.jitter = (uint32_t)draw_u64(draw);
        return command;
    }
    command.kind = COMMAND_MODEL_REPLIED;
    command.model_replied.reply = text(world, "reply");
    command.model_replied.stop = (enum reply_stop)draw_below(draw, REPLY_STOP_COUNT);
    if (draw_chance(draw, 60)) {
        command.model_replied.stop = REPLY_STOP_TOOLS;
    }
    command.model_replied.usage = (struct engine_usage){
        .input = draw_below(draw, 100),
        .output = draw_below(draw, 100),
        .known = draw_chance(draw, 90),
    };
    if (command.model_replied.stop == REPLY_STOP_TOOLS) {
        draw_calls(world, &command);
    }
    return command;
}

static struct outcome draw_outcome(struct engine_world *world)
{
    if (draw_chance(&world->draw, 25)) {
        return (struct outcome){
            .failed = true, .error_type = STR("ValueError"), .error_message = text(world, "error")};
    }
    return (struct outcome){.value = text(world, "value")};
}

/* A host does what hosts do, in order or not; it never answers twice for a number it means. */
static void speak_host(struct engine_world *world, struct pending *lease)
{
    struct command command = {.effect = lease->effect, .attempt = lease->attempt};
    unsigned what = (unsigned)draw_below(&world->draw, world->calm ? 3 : 10);
    if (what == 0) {
        command.kind = COMMAND_TASK_DONE;
        command.task.outcome = draw_outcome(world);
        lease->is_old = true;
        submit(world, command);
        return;
    }
    if (fault(world, 6)) {
        command.kind = COMMAND_LEASE_LOST;
        command.lease_lost.cause = STR("lease ran out");
        lease->is_old = true;
        world->counts.leases_lost++;
        submit(world, command);
        return;
    }
    command.kind = COMMAND_STEP_DONE;
    command.step.number = lease->steps_told + 1;
    if (fault(world, 25)) {
        command.step.number = (uint32_t)draw_below(&world->draw, lease->steps_told + 4);
        world->counts.repeats++;
    }
    command.step.key = text(world, "step");
    command.step.outcome = draw_outcome(world);
    if (command.step.number == lease->steps_told + 1) {
        lease->steps_told++;
    }
    submit(world, command);
}

static void speak(struct engine_world *world, size_t index)
{
    struct pending *it = &world->pending[index];
    struct command command;
    bool again = fault(world, 15);
    if (it->is_old) {
        world->counts.repeats++;
    }
    switch (it->kind) {
    case PENDING_MODEL:
        command = model_answer(world, it);
        it->is_old = true;
        if (!again) {
            unpend(world, index);
        }
        submit(world, command);
        break;
    case PENDING_TASK:
        command = (struct command){.kind = COMMAND_LEASE_GRANT,
                                   .effect = it->effect,
                                   .attempt = it->attempt,
                                   .lease = {.host_id = text(world, "host")}};
        if (ledger_verdict(&world->ledger, &command) != VERDICT_OK || !again) {
            unpend(world, index);
        }
        submit(world, command);
        break;
    case PENDING_LEASE:
        if (it->is_old && !again) {
            unpend(world, index);
            break;
        }
        speak_host(world, it);
        break;
    }
}

/* A command about anything at all, as long as nobody awaits it. */
static void speak_noise(struct engine_world *world)
{
    struct draw *draw = &world->draw;
    struct pending about = {
        .effect = (uint32_t)draw_below(draw, world->ledger.effect_count + 3),
        .attempt = (uint32_t)draw_below(draw, 7),
    };
    const struct ledger_effect *effect = ledger_open(&world->ledger, about.effect);
    if (effect != NULL && draw_chance(draw, 50)) {
        about.attempt = effect->attempt;
    }
    struct command command = {.effect = about.effect, .attempt = about.attempt};
    static const enum command_kind kinds[] = {
        COMMAND_START,      COMMAND_MODEL_REISSUE, COMMAND_LEASE_GRANT,
        COMMAND_LEASE_LOST, COMMAND_STEP_DONE,     COMMAND_TASK_DONE,
    };
    command.kind = kinds[draw_below(draw, COUNT_OF(kinds))];
    if (draw_chance(draw, 30)) {
        command = model_answer(world, &about);
    } else if (command.kind == COMMAND_START) {
        command.start.spec = (struct run_spec){.kind = RUN_KIND_WORKFLOW};
    }
    command.now_ms = world->now_ms;
    if (ledger_verdict(&world->ledger, &command) != VERDICT_OK) {
        submit(world, command);
    }
}

/* Rings when it should, and sometimes when it should not. */
static void ring(struct engine_world *world)
{
    uint64_t due_ms = engine_next_deadline(&world->live);
    bool is_due = due_ms != 0 && due_ms <= world->now_ms;
    if (!is_due && !fault(world, 3)) {
        return;
    }
    world->counts.timeouts += is_due;
    submit(world,
           (struct command){.kind = COMMAND_TIME, .time = {.message = STR("it ran too long")}});
}

static void pass_time(struct engine_world *world)
{
    uint64_t due_ms = engine_next_deadline(&world->live);
    if (world->pending_count == 0 && due_ms > world->now_ms) {
        world->now_ms = due_ms; /* Nothing else will happen. */
        return;
    }
    world->now_ms += draw_below(&world->draw, 2000);
    if (fault(world, 2)) {
        world->counts.jumps++;
        world->now_ms += draw_below(&world->draw, 3600000);
    }
}

static void tick(struct engine_world *world)
{
    pass_time(world);
    if (world->ledger.events == 0) {
        start(world);
        return;
    }
    ring(world);
    lose_undelivered(world);
    if (fault(world, 1)) {
        submit(world, (struct command){.kind = COMMAND_CANCEL,
                                       .cancel = {.cause = STR("the user asked")}});
    }
    if (fault(world, 8)) {
        speak_noise(world);
    }
    if (fault(world, 2)) {
        crash(world);
    }
    if (world->pending_count > 0) {
        speak(world, draw_below(&world->draw, world->pending_count));
    }
}

/* ---- What must be true between ticks. ---- */

/* Whatever is owed is at work, waits in line, or has an alarm. */
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
        if (effect->kind == EFFECT_MODEL && effect->retry_at_ms == 0) {
            is_at_work = true;
            expect(world, find_pending(world, PENDING_MODEL, id, effect->attempt) != NULL,
                   "owed-calls-are-out");
        } else if (effect->is_leased) {
            is_at_work = true;
        } else if (effect->kind != EFFECT_MODEL) {
            expect(world, find_pending(world, PENDING_TASK, id, effect->attempt) != NULL,
                   "owed-tasks-are-in-line");
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
            submit(world, (struct command){.kind = (enum command_kind)kind,
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
