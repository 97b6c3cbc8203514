/*
 * What one run is asked: by the provider, hosts, answers from outside, children, and whoever asks
 * what nobody awaits.
 */
#include "tests/simulation/engine_world.h"

/* Some agents have callbacks, few of each phase. */
static void draw_callbacks(struct engine_world *world, struct run_spec *spec)
{
    struct draw *draw = &world->draw;
    world->callback_count = 0;
    if (spec->kind != RUN_KIND_AGENT || !draw_chance(draw, 60)) {
        return;
    }
    for (unsigned phase = CALLBACK_RUN_START; phase < CALLBACK_PHASE_COUNT; phase++) {
        for (uint64_t count = draw_below(draw, 3); count > 0; count--) {
            world->callbacks[world->callback_count++] = (struct callback){
                .phase = (enum callback_phase)phase,
                .name = phase == CALLBACK_REPLY && draw_chance(draw, 50) ? STR_EMPTY : STR("check"),
                .timeout_ms = draw_chance(draw, 20) ? 1 + draw_below(draw, 40000) : 0,
            };
        }
    }
    struct buf packed = {0};
    callbacks_pack(world->callbacks, world->callback_count, &packed);
    spec->callbacks = buf_finish(&packed, &world->arena);
    callbacks_count(world->callbacks, world->callback_count, spec->callback_counts);
    spec->guardrail_retries = (uint32_t)draw_below(draw, 4);
}

void submit_start(struct engine_world *world)
{
    struct draw *draw = &world->draw;
    struct command command = {.kind = COMMAND_START};
    struct run_spec *spec = &command.start.spec;
    spec->kind = 1 + (enum run_kind)draw_below(draw, 3);
    if (draw_chance(draw, 25)) {
        spec->kind = RUN_KIND_AGENT;
    }
    spec->name = STR("weather");
    spec->input = engine_world_text(world, "input");
    spec->turns_max = spec->kind == RUN_KIND_AGENT ? 1 + (uint32_t)draw_below(draw, 6) : 0;
    spec->tokens_max = draw_chance(draw, 50) ? 1 + draw_below(draw, 400) : 0;
    uint64_t time_ms = draw_chance(draw, 30) ? 6000 : 90000;
    spec->deadline_ms = draw_chance(draw, 50) ? world->now_ms + draw_below(draw, time_ms) : 0;
    spec->retries_max = spec->kind == RUN_KIND_WORKFLOW ? (uint32_t)draw_below(draw, 4) : 0;
    spec->output_tries = spec->kind == RUN_KIND_AGENT && draw_chance(draw, 50)
                             ? 1 + (uint32_t)draw_below(draw, 3)
                             : 0;
    spec->options.queue = draw_chance(draw, 30) ? STR("slow") : STR_EMPTY;
    spec->definition_hash = spec->kind == RUN_KIND_AGENT ? STR("0123456789abcdef") : STR_EMPTY;
    for (size_t i = 0; i < sizeof(command.start.id.bytes); i++) {
        command.start.id.bytes[i] = (uint8_t)draw_below(draw, 256);
    }
    spec->root = command.start.id;
    draw_callbacks(world, spec);
    engine_world_submit(world, command);
}

static void draw_calls(struct engine_world *world, struct command *command)
{
    static const size_t sizes[] = {1, 1, 1, 2, 3, 5, 8, ENGINE_TOOL_CALLS_MAX};
    size_t count = sizes[draw_below(&world->draw, COUNT_OF(sizes))];
    struct tool_call *calls = arena_zalloc(&world->arena, count * sizeof(*calls));
    for (size_t i = 0; i < count; i++) {
        calls[i].call_id = engine_world_text(world, "call");
        calls[i].name = STR("lookup");
        calls[i].arguments = engine_world_text(world, "arguments");
        calls[i].refusal_type = draw_chance(&world->draw, 15) ? "UNKNOWN_TOOL" : NULL;
        calls[i].refusal_message = STR("there is no such tool");
        calls[i].timeout_ms =
            draw_chance(&world->draw, 30) ? 1 + draw_below(&world->draw, 20000) : 0;
        calls[i].at_most_once = draw_chance(&world->draw, 20);
    }
    command->plan.calls = calls;
    command->plan.call_count = count;
}

/* What follows from a reply: a new one, or the one at hand. */
static void draw_plan(struct engine_world *world, bool is_new, struct command *command)
{
    struct draw *draw = &world->draw;
    command->plan.stop = (enum reply_stop)draw_below(draw, REPLY_STOP_COUNT);
    if (draw_chance(draw, 60)) {
        command->plan.stop = REPLY_STOP_TOOLS;
    }
    command->plan.stop = is_new ? command->plan.stop : world->ledger.stop;
    if (draw_chance(draw, 60)) { /* Whether anybody asked for it or not. */
        command->plan.misfit = engine_world_text(world, "misfit");
        command->plan.feedback = engine_world_text(world, "feedback");
    }
    if (command->plan.stop == REPLY_STOP_TOOLS) {
        draw_calls(world, command);
    }
    command->plan.objection = engine_world_text(world, "objection");
}

static struct command model_answer(struct engine_world *world, const struct pending *call)
{
    struct draw *draw = &world->draw;
    struct command command = {.effect = call->effect, .attempt = call->attempt};
    if (draw_chance(draw, world->calm ? 10 : world->model_failure_percent)) {
        command.kind = COMMAND_MODEL_FAILED;
        command.model_failed.reason = STR("RATE_LIMITED");
        command.model_failed.message = engine_world_text(world, "failure");
        command.model_failed.retryable = draw_chance(draw, 85);
        command.model_failed.retry_after_ms = draw_chance(draw, 20) ? draw_below(draw, 60000) : 0;
        command.model_failed.jitter = (uint32_t)draw_u64(draw);
        return command;
    }
    struct engine_usage usage = {
        .input = draw_below(draw, 100),
        .output = draw_below(draw, 100),
        .known = draw_chance(draw, 90),
    };
    const struct ledger_effect *effect = ledger_open(&world->ledger, call->effect);
    bool is_judgement = effect != NULL && effect->phase == CALLBACK_REPLY;
    draw_plan(world, !is_judgement, &command);
    if (is_judgement) {
        command.kind = COMMAND_REPLY_JUDGED;
        command.reply_judged.passed = draw_chance(draw, 70);
        command.reply_judged.reason = engine_world_text(world, "reason");
        command.reply_judged.usage = usage;
        return command;
    }
    command.kind = COMMAND_MODEL_REPLIED;
    command.model_replied.reply = engine_world_text(world, "reply");
    command.model_replied.usage = usage;
    return command;
}

static struct outcome draw_outcome(struct engine_world *world)
{
    if (draw_chance(&world->draw, world->failure_percent)) {
        return (struct outcome){.failed = true,
                                .error_type = STR("ValueError"),
                                .error_message = engine_world_text(world, "error")};
    }
    return (struct outcome){.value = engine_world_text(world, "value")};
}

str draw_step_key(struct engine_world *world)
{
    return arena_printf(&world->arena, "k%u", (unsigned)draw_below(&world->draw, 14));
}

/* Something that outlives the code; what was answered early is settled at once, as the partition
 * does. */
static void submit_step_request(struct engine_world *world, const struct pending *lease)
{
    struct draw *draw = &world->draw;
    struct command command = {
        .kind = COMMAND_STEP_REQUEST,
        .effect = lease->effect,
        .attempt = lease->attempt,
        .step_request = {.kind = EFFECT_SLEEP + (enum effect_kind)draw_below(draw, 5),
                         .key = draw_step_key(world),
                         .data = engine_world_text(world, "data")},
    };
    bool ends = draw_chance(draw, 60) || command.step_request.kind == EFFECT_SLEEP;
    command.step_request.due_ms = ends ? world->now_ms + draw_below(draw, 40000) : 0;
    if (command.step_request.kind == EFFECT_CHILDREN) {
        command.step_request.due_ms = 0;
        command.step_request.children = 1 + (uint32_t)draw_below(draw, 5);
    } else if (command.step_request.kind == EFFECT_AT_ONCE) {
        command.step_request.due_ms = 0;
        command.step_request.is_settled = true;
        command.step_request.outcome = draw_outcome(world);
    } else if (command.step_request.kind == EFFECT_SUSPENSION) {
        command.step_request.is_settled = ledger_has_kept(&world->ledger, command.step_request.key);
        command.step_request.by = STR("somebody");
        command.step_request.outcome.value = STR("{\"answer\":1}");
    }
    engine_world_submit(world, command);
}

static void submit_park(struct engine_world *world, struct pending *lease)
{
    struct command command = {
        .kind = COMMAND_PARK,
        .effect = lease->effect,
        .attempt = lease->attempt,
    };
    const struct ledger_effect *effect = ledger_open(&world->ledger, lease->effect);
    command.park.outcomes_seen =
        effect != NULL && draw_chance(&world->draw, 70) ? effect->outcomes : lease->outcomes_seen;
    lease->is_old = true;
    engine_world_submit(world, command);
}

static bool is_callback(const struct engine_world *world, const struct pending *lease)
{
    const struct ledger_effect *effect = ledger_open(&world->ledger, lease->effect);
    return effect != NULL && effect->kind == EFFECT_CALLBACK;
}

static bool is_guardrail(const struct engine_world *world, const struct pending *lease)
{
    const struct ledger_effect *effect = ledger_open(&world->ledger, lease->effect);
    return effect != NULL && effect->kind == EFFECT_CALLBACK && effect->phase == CALLBACK_REPLY;
}

static void submit_done(struct engine_world *world, struct pending *lease)
{
    struct command command = {
        .kind = COMMAND_TASK_DONE,
        .effect = lease->effect,
        .attempt = lease->attempt,
        .task = {.outcome = draw_outcome(world)},
    };
    command.task.is_retryable = command.task.outcome.failed && draw_chance(&world->draw, 70);
    if (engine_world_fault(world, world->misfit_percent)) {
        command.task.outcome =
            (struct outcome){.failed = true,
                             .error_type = STR(ENGINE_NON_DETERMINISM),
                             .error_message = engine_world_text(world, "other steps")};
        command.task.state.json = STR("{\"of\":\"other code\"}");
    }
    command.task.is_cancelled = world->ledger.is_cancelling && draw_chance(&world->draw, 70);
    if (is_callback(world, lease) && draw_chance(&world->draw, 80)) { /* Mostly they pass. */
        bool says = draw_chance(&world->draw, 50);
        command.task.outcome =
            (struct outcome){.value = says ? engine_world_text(world, "amended") : STR_EMPTY};
    }
    if (is_guardrail(world, lease)) {
        bool is_amended = !command.task.outcome.failed && command.task.outcome.value.len > 0;
        draw_plan(world, is_amended, &command);
        if (draw_chance(&world->draw, 25)) {
            command.task.outcome = (struct outcome){.failed = true,
                                                    .error_type = STR(ENGINE_REPLY_REJECTED),
                                                    .error_message = STR("it says too much")};
        }
    }
    lease->is_old = true;
    engine_world_submit(world, command);
}

static void submit_lost(struct engine_world *world, struct pending *lease)
{
    lease->is_old = true;
    world->counts.leases_lost++;
    engine_world_submit(world, (struct command){.kind = COMMAND_LEASE_LOST,
                                                .effect = lease->effect,
                                                .attempt = lease->attempt,
                                                .lease_lost = {.cause = STR("lease ran out")}});
}

/* In place of a step: what else is said of code. */
static void say_otherwise(struct engine_world *world, const struct pending *lease,
                          struct command *command)
{
    const struct ledger_effect *task = ledger_open(&world->ledger, lease->effect);
    uint32_t number = command->step.number;
    bool is_fresh = task != NULL && number == task->steps + 1;
    assert(command->kind == COMMAND_STEP_DONE);
    if (world->ledger.is_cancelling && is_fresh && !task->has_seen_cancel) {
        command->kind = COMMAND_CANCEL_SHOWN;
        command->cancel_shown.number = number;
    } else if (draw_chance(&world->draw, 25)) {
        command->kind = COMMAND_WITHDRAW;
        command->withdraw.number = number;
        command->withdraw.key = draw_step_key(world);
        command->withdraw.facts_seen = number - 1;
    } else if (draw_chance(&world->draw, 25)) {
        command->kind = COMMAND_STEP_TRY;
        command->step_try.number = number;
        command->step_try.key = draw_step_key(world);
        command->step_try.try_number = 1 + (uint32_t)draw_below(&world->draw, 5);
        command->step_try.outcome =
            (struct outcome){.failed = true,
                             .error_type = STR("ValueError"),
                             .error_message = engine_world_text(world, "error")};
        command->step_try.retry_at_ms = world->now_ms + draw_below(&world->draw, 20000);
    }
}

static void submit_step(struct engine_world *world, struct pending *lease)
{
    struct command command = {
        .kind = COMMAND_STEP_DONE, .effect = lease->effect, .attempt = lease->attempt};
    command.step.number = lease->steps_told + 1;
    if (engine_world_fault(world, 25)) {
        command.step.number = (uint32_t)draw_below(&world->draw, lease->steps_told + 4);
        world->counts.repeats++;
    }
    if (command.step.number == lease->steps_told + 1) {
        lease->steps_told++;
    }
    command.step.key = engine_world_text(world, "step");
    command.step.outcome = draw_outcome(world);
    say_otherwise(world, lease, &command);
    engine_world_submit(world, command);
}

static str draw_deployment(struct engine_world *world)
{
    static const char *const names[] = {"", "v1", "v2", "v3"};
    return str_of(names[draw_below(&world->draw, COUNT_OF(names))]);
}

/* Some host dials in that offers what was stopped. */
void submit_code_came(struct engine_world *world)
{
    for (uint32_t id = 1; id <= world->ledger.effect_count; id++) {
        const struct ledger_effect *effect = ledger_open(&world->ledger, id);
        if (effect != NULL && effect->mismatches > 0 && effect->retry_at_ms != 0) {
            engine_world_submit(world, (struct command){.kind = COMMAND_CODE_CAME,
                                                        .effect = id,
                                                        .attempt = effect->attempt});
            return;
        }
    }
}

/* The queue admits the run, and seldom takes it back. */
void submit_admission(struct engine_world *world)
{
    struct command command = {.kind = COMMAND_ADMIT};
    if (world->ledger.is_admitted && engine_world_fault(world, 5)) {
        command.kind = COMMAND_WITHDRAW_ADMISSION;
    }
    if (ledger_verdict(&world->ledger, &command) == VERDICT_OK) {
        engine_world_submit(world, command);
    }
}

/* A host does what hosts do, in order or not; it never answers twice for a number it means. */
static void submit_host(struct engine_world *world, struct pending *lease)
{
    bool waits = ledger_code_waits(&world->ledger, lease->effect);
    if (draw_below(&world->draw, world->calm ? 3 : 12) == 0) {
        submit_done(world, lease);
    } else if (engine_world_fault(world, world->loss_percent)) {
        submit_lost(world, lease);
    } else if (draw_chance(&world->draw, waits ? 30 : 2)) {
        submit_park(world, lease);
    } else if (engine_world_fault(world, world->likes_to_wait ? 90 : 45)) {
        submit_step_request(world, lease);
    } else {
        submit_step(world, lease);
    }
}

void submit_pending(struct engine_world *world, size_t index)
{
    struct pending *it = &world->pending[index];
    struct command command;
    bool again = engine_world_fault(world, 15);
    if (it->is_old) {
        world->counts.repeats++;
    }
    switch (it->kind) {
    case PENDING_MODEL:
        command = model_answer(world, it);
        it->is_old = true;
        if (!again) {
            engine_world_unpend(world, index);
        }
        engine_world_submit(world, command);
        break;
    case PENDING_TASK:
        command = (struct command){.kind = COMMAND_LEASE_GRANT,
                                   .effect = it->effect,
                                   .attempt = it->attempt,
                                   .lease = {.host_id = engine_world_text(world, "host"),
                                             .deployment = draw_deployment(world)}};
        if (ledger_verdict(&world->ledger, &command) != VERDICT_OK || !again) {
            engine_world_unpend(world, index);
        }
        engine_world_submit(world, command);
        break;
    case PENDING_LEASE:
        if (it->is_old && !again) {
            engine_world_unpend(world, index);
            break;
        }
        submit_host(world, it);
        break;
    }
}

static uint32_t draw_wait(struct engine_world *world)
{
    uint32_t waits[LEDGER_EFFECTS_MAX];
    size_t count = 0;
    for (uint32_t id = 1; id <= world->ledger.effect_count; id++) {
        const struct ledger_effect *effect = ledger_open(&world->ledger, id);
        if (effect != NULL && ledger_is_wait(effect)) {
            waits[count++] = id;
        }
    }
    return count == 0 ? 0 : waits[draw_below(&world->draw, count)];
}

void submit_resume(struct engine_world *world, str key)
{
    engine_world_submit(
        world, (struct command){
                   .kind = COMMAND_RESUME,
                   .resume = {.key = key, .data = STR("{\"answer\":1}"), .by = STR("somebody")}});
}

/* The key is known to who asks for it by its hash alone. */
static void resume_wait(struct engine_world *world, const struct ledger_effect *wait)
{
    for (unsigned i = 0; i < 14; i++) {
        str key = arena_printf(&world->arena, "k%u", i);
        if (str_hash(key) == wait->key) {
            submit_resume(world, key);
        }
    }
}

/* What was waited for happens: a child ends, an event comes, somebody answers. */
void submit_awaited(struct engine_world *world)
{
    uint32_t id = draw_wait(world);
    if (id == 0) {
        return;
    }
    const struct ledger_effect wait = world->ledger.effects[id];
    if (wait.kind == EFFECT_CHILDREN) {
        uint32_t index = (uint32_t)draw_below(&world->draw, wait.children);
        while (wait.children_told >> index & 1) {
            index = (index + 1) % wait.children;
        }
        engine_world_submit(
            world,
            (struct command){.kind = COMMAND_CHILD_DONE,
                             .effect = id,
                             .child_done = {.index = index, .outcome = draw_outcome(world)}});
    } else if (wait.kind == EFFECT_EVENT) {
        engine_world_submit(world, (struct command){.kind = COMMAND_WAIT_DONE,
                                                    .effect = id,
                                                    .wait_done = {.outcome = draw_outcome(world)}});
    } else if (wait.kind == EFFECT_SUSPENSION) {
        resume_wait(world, &wait);
    }
}

/* A command about anything at all, as long as nobody awaits it. */
void submit_noise(struct engine_world *world)
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
        COMMAND_LEASE_LOST, COMMAND_STEP_DONE,     COMMAND_CANCEL_SHOWN,
        COMMAND_WITHDRAW,   COMMAND_TASK_DONE,     COMMAND_WAIT_DONE,
        COMMAND_CHILD_DONE, COMMAND_PARK,          COMMAND_STEP_REQUEST,
        COMMAND_CODE_CAME,  COMMAND_ADMIT,         COMMAND_WITHDRAW_ADMISSION,
    };
    command.kind = kinds[draw_below(draw, COUNT_OF(kinds))];
    if (draw_chance(draw, 30)) {
        command = model_answer(world, &about);
    } else if (command.kind == COMMAND_START) {
        command.start.spec = (struct run_spec){.kind = RUN_KIND_WORKFLOW};
    } else if (command.kind == COMMAND_STEP_REQUEST) {
        command.step_request.kind = EFFECT_SLEEP;
        command.step_request.key = draw_step_key(world);
        command.step_request.due_ms = world->now_ms;
    }
    command.now_ms = world->now_ms;
    if (ledger_verdict(&world->ledger, &command) != VERDICT_OK) {
        engine_world_submit(world, command);
    }
}
