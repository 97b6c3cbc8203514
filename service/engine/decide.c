/*
 * decide: what follows from a command. May change from release to release, never runs on replay.
 *
 * A handler works on a draft, a copy of the run to which each event is applied as it is emitted,
 * so that it sees what its own events did and never guesses.
 */
#include "service/engine/states.h"

struct draft {
    struct run run;
    struct decision *decision;
    uint64_t now_ms;
};

typedef enum verdict decide_function(struct draft *draft, const struct command *command);

void engine_init(struct run *run)
{
    memset(run, 0, sizeof(*run));
    run->effect_next = 1;
}

static void emit(struct draft *draft, struct event event)
{
    assert(draft->decision->count < ENGINE_EVENTS_MAX);
    event.time_ms = draft->now_ms;
    engine_apply(&draft->run, &event);
    draft->decision->events[draft->decision->count++] = event;
}

static void emit_model_requested(struct draft *draft, uint32_t effect, uint32_t attempt)
{
    emit(draft, (struct event){
                    .kind = EVENT_MODEL_REQUESTED,
                    .effect = effect,
                    .attempt = attempt,
                });
}

static void emit_failed(struct draft *draft, str reason, str message)
{
    emit(draft, (struct event){
                    .kind = EVENT_RUN_FAILED,
                    .run_failed = {.reason = reason, .message = message},
                });
}

static void emit_completed(struct draft *draft, str stop_reason)
{
    emit(draft, (struct event){
                    .kind = EVENT_RUN_COMPLETED,
                    .run_completed = {.stop_reason = stop_reason},
                });
}

static void emit_cancelled(struct draft *draft, str cause)
{
    emit(draft, (struct event){
                    .kind = EVENT_RUN_CANCELLED,
                    .run_cancelled = {.cause = cause},
                });
}

static void emit_settled(struct draft *draft, uint32_t effect, uint32_t attempt,
                         const struct outcome *outcome)
{
    emit(draft, (struct event){
                    .kind = EVENT_TASK_SETTLED,
                    .effect = effect,
                    .attempt = attempt,
                    .task_settled = {.outcome = *outcome},
                });
}

static struct outcome failed_outcome(str type, str message)
{
    return (struct outcome){.failed = true, .error_type = type, .error_message = message};
}

/* A queue may say when. */
static void emit_model_call(struct draft *draft)
{
    uint32_t effect = draft->run.effect_next;
    if (draft->run.admission == ADMISSION_AWAITED) {
        emit(draft, (struct event){.kind = EVENT_ADMISSION_ASKED, .effect = effect});
        return;
    }
    emit_model_requested(draft, effect, 1);
}

/* An agent's turn is over: the next model call, unless a limit says stop. */
static void next_turn(struct draft *draft)
{
    const struct run *run = &draft->run;
    assert(run->kind == RUN_KIND_AGENT);
    if (run->steps >= run->steps_max) {
        emit_completed(draft, STR("max_steps"));
        return;
    }
    if (run->tokens_max != 0 && run->input_tokens + run->output_tokens >= run->tokens_max) {
        emit_completed(draft, STR("max_tokens"));
        return;
    }
    emit_model_call(draft);
}

/* A task was settled: the turn ends with its last one, a workflow with its only one. */
static void after_settled(struct draft *draft, const struct outcome *outcome, str reason)
{
    if (draft->run.kind == RUN_KIND_AGENT) {
        if (!states_has_open_effect(&draft->run)) {
            next_turn(draft);
        }
        return;
    }
    if (outcome->failed) {
        emit_failed(draft, reason, outcome->error_message);
        return;
    }
    emit_completed(draft, STR("end"));
}

static enum verdict decide_start(struct draft *draft, const struct command *command)
{
    const struct run_spec *spec = &command->start.spec;
    assert(spec->kind > RUN_KIND_NONE && spec->kind < RUN_KIND_COUNT);
    assert(spec->kind != RUN_KIND_AGENT || spec->steps_max > 0);
    emit(draft, (struct event){
                    .kind = EVENT_RUN_STARTED,
                    .run_started = {.id = command->start.id, .spec = *spec},
                });
    if (spec->kind == RUN_KIND_AGENT) {
        emit_model_call(draft);
        return VERDICT_OK;
    }
    emit(draft,
         (struct event){
             .kind = EVENT_TASK_REQUESTED,
             .effect = draft->run.effect_next,
             .task_requested = {.kind = EFFECT_BODY, .name = spec->name, .input = spec->input},
         });
    return VERDICT_OK;
}

static void request_tool(struct draft *draft, const struct tool_call *call)
{
    uint32_t effect = draft->run.effect_next;
    emit(draft,
         (struct event){
             .kind = EVENT_TASK_REQUESTED,
             .effect = effect,
             .task_requested =
                 {
                     .kind = EFFECT_TOOL,
                     .name = call->name,
                     .call_id = call->call_id,
                     .input = call->arguments,
                     .deadline_ms = call->timeout_ms == 0 ? 0 : draft->now_ms + call->timeout_ms,
                     .at_most_once = call->at_most_once,
                 },
         });
    if (call->refusal_type != NULL) {
        struct outcome outcome = failed_outcome(str_of(call->refusal_type), call->refusal_message);
        emit_settled(draft, effect, 0, &outcome);
    }
}

static enum verdict decide_model_replied(struct draft *draft, const struct command *command)
{
    static const char *const stop_reasons[] = {
        [REPLY_STOP_END] = "end",         [REPLY_STOP_TOOLS] = "tools",
        [REPLY_STOP_LENGTH] = "length",   [REPLY_STOP_CONTENT_FILTER] = "content_filter",
        [REPLY_STOP_REFUSAL] = "refusal", [REPLY_STOP_PAUSE] = "pause",
    };
    static_assert(COUNT_OF(stop_reasons) == REPLY_STOP_COUNT);
    bool wants_tools = command->model_replied.stop == REPLY_STOP_TOOLS;
    assert(wants_tools == (command->model_replied.call_count > 0));
    assert(command->model_replied.call_count <= ENGINE_TOOL_CALLS_MAX);
    emit(draft, (struct event){
                    .kind = EVENT_MODEL_REPLIED,
                    .effect = command->effect,
                    .attempt = command->attempt,
                    .model_replied = {.reply = command->model_replied.reply,
                                      .stop = command->model_replied.stop,
                                      .usage = command->model_replied.usage},
                });
    if (command->model_replied.stop == REPLY_STOP_PAUSE) {
        next_turn(draft);
        return VERDICT_OK;
    }
    if (!wants_tools) {
        emit_completed(draft, str_of(stop_reasons[command->model_replied.stop]));
        return VERDICT_OK;
    }
    for (size_t i = 0; i < command->model_replied.call_count; i++) {
        request_tool(draft, &command->model_replied.calls[i]);
    }
    if (!states_has_open_effect(&draft->run)) {
        next_turn(draft); /* Every call was refused: the model is told, and tries again. */
    }
    return VERDICT_OK;
}

/* Doubles with each failure, half of it drawn at random; the server's hint is a floor. */
static uint64_t retry_delay_ms(const struct effect *effect, const struct command *command)
{
    uint64_t delay = ENGINE_RETRY_BASE_MS;
    for (uint32_t i = 0; i < effect->failures && delay < ENGINE_RETRY_MAX_MS; i++) {
        delay *= 2;
    }
    delay = delay < ENGINE_RETRY_MAX_MS ? delay : ENGINE_RETRY_MAX_MS;
    delay = delay / 2 + command->model_failed.jitter % (delay / 2);
    uint64_t hint = command->model_failed.retry_after_ms;
    return delay > hint ? delay : hint;
}

static enum verdict decide_model_failed(struct draft *draft, const struct command *command)
{
    const struct effect *effect = engine_effect(&draft->run, command->effect);
    bool again =
        command->model_failed.retryable && effect->failures + 1 < ENGINE_MODEL_ATTEMPTS_MAX;
    uint64_t retry_at_ms = again ? draft->now_ms + retry_delay_ms(effect, command) : 0;
    emit(draft, (struct event){
                    .kind = EVENT_MODEL_FAILED,
                    .effect = command->effect,
                    .attempt = command->attempt,
                    .model_failed = {.reason = command->model_failed.reason,
                                     .message = command->model_failed.message,
                                     .retry_at_ms = retry_at_ms},
                });
    if (!again) {
        emit_failed(draft, command->model_failed.reason, command->model_failed.message);
    }
    return VERDICT_OK;
}

static enum verdict decide_model_reissue(struct draft *draft, const struct command *command)
{
    emit_model_requested(draft, command->effect, command->attempt + 1);
    return VERDICT_OK;
}

static enum verdict decide_lease_grant(struct draft *draft, const struct command *command)
{
    const struct effect *effect = engine_effect(&draft->run, command->effect);
    if (effect->state != EFFECT_READY || !effect_is_task(effect) ||
        draft->run.admission == ADMISSION_AWAITED) {
        return VERDICT_REFUSED;
    }
    emit(draft, (struct event){
                    .kind = EVENT_LEASE_GRANTED,
                    .effect = command->effect,
                    .attempt = command->attempt + 1,
                    .lease_granted = {.host_id = command->lease.host_id,
                                      .deployment = command->lease.deployment},
                });
    return VERDICT_OK;
}

static enum verdict decide_lease_lost(struct draft *draft, const struct command *command)
{
    const struct effect effect = *engine_effect(&draft->run, command->effect);
    if (effect.state != EFFECT_LEASED) {
        return VERDICT_STALE;
    }
    emit(draft, (struct event){
                    .kind = EVENT_LEASE_LOST,
                    .effect = command->effect,
                    .attempt = command->attempt,
                    .lease_lost = {.cause = command->lease_lost.cause,
                                   .is_excused = command->lease_lost.is_excused},
                });
    struct outcome outcome;
    if (effect.at_most_once) {
        outcome = failed_outcome(STR("OUTCOME_UNKNOWN"),
                                 STR("its host was lost while it was at work, and it is declared "
                                     "at most once: whether it took effect is unknown"));
    } else if (!command->lease_lost.is_excused && effect.failures + 1 >= ENGINE_TASK_LEASES_MAX) {
        outcome = failed_outcome(
            STR("HOST_LOST"), STR("five hosts were lost while they worked on it; it is given up"));
    } else {
        return VERDICT_OK;
    }
    emit_settled(draft, command->effect, command->attempt, &outcome);
    if (draft->run.is_cancelling) {
        emit_cancelled(draft, STR("cancelled; its code was lost while it cleaned up"));
        return VERDICT_OK;
    }
    after_settled(draft, &outcome, outcome.error_type);
    return VERDICT_OK;
}

static enum verdict decide_step_done(struct draft *draft, const struct command *command)
{
    const struct effect *effect = engine_effect(&draft->run, command->effect);
    if (effect->state != EFFECT_LEASED) {
        return VERDICT_STALE;
    }
    if (command->step.number <= effect->steps) {
        return VERDICT_DONE_BEFORE;
    }
    if (command->step.number != effect->steps + 1) {
        return VERDICT_GAP;
    }
    emit(draft, (struct event){
                    .kind = EVENT_STEP_SETTLED,
                    .effect = command->effect,
                    .attempt = command->attempt,
                    .step_settled = {.number = command->step.number,
                                     .key = command->step.key,
                                     .outcome = command->step.outcome,
                                     .state = command->step.state},
                });
    return VERDICT_OK;
}

/* Doubles with each try before. */
static uint64_t run_retry_delay_ms(uint32_t tries)
{
    uint64_t delay = ENGINE_RUN_RETRY_BASE_MS;
    for (uint32_t i = 0; i < tries && delay < ENGINE_RUN_RETRY_MAX_MS; i++) {
        delay *= 2;
    }
    return delay < ENGINE_RUN_RETRY_MAX_MS ? delay : ENGINE_RUN_RETRY_MAX_MS;
}

/* The run will be tried again with its history: by other code, or after a failure. Code that does
 * not fit has nothing to say about the run's state. */
static void emit_task_failed(struct draft *draft, const struct command *command, bool is_mismatch,
                             uint32_t tries)
{
    emit(draft, (struct event){
                    .kind = EVENT_TASK_FAILED,
                    .effect = command->effect,
                    .attempt = command->attempt,
                    .task_failed = {.outcome = command->task.outcome,
                                    .state = is_mismatch ? STR_EMPTY : command->task.state,
                                    .retry_at_ms = draft->now_ms + run_retry_delay_ms(tries),
                                    .is_mismatch = is_mismatch,
                                    .keeps_children = !is_mismatch},
                });
}

static enum verdict decide_task_done(struct draft *draft, const struct command *command)
{
    const struct effect *effect = engine_effect(&draft->run, command->effect);
    const struct outcome *outcome = &command->task.outcome;
    if (effect->state != EFFECT_LEASED) {
        return VERDICT_STALE;
    }
    bool again = outcome->failed && command->task.is_retryable && !draft->run.is_cancelling &&
                 draft->run.kind == RUN_KIND_WORKFLOW &&
                 draft->run.retries < draft->run.retries_max;
    bool is_mismatch = outcome->failed && !draft->run.is_cancelling &&
                       str_is(outcome->error_type, ENGINE_NON_DETERMINISM);
    if (again || is_mismatch) {
        uint32_t tries = is_mismatch ? effect->mismatches : draft->run.retries;
        emit_task_failed(draft, command, is_mismatch, tries);
        return VERDICT_OK;
    }
    emit(draft, (struct event){
                    .kind = EVENT_TASK_SETTLED,
                    .effect = command->effect,
                    .attempt = command->attempt,
                    .task_settled = {.outcome = *outcome, .state = command->task.state},
                });
    if (draft->run.is_cancelling && (outcome->failed || command->task.is_cancelled)) {
        emit_cancelled(draft, STR("cancelled; its code has cleaned up"));
        return VERDICT_OK;
    }
    str reason = draft->run.kind == RUN_KIND_TOOL ? STR("TOOL_FAILED") : STR("WORKFLOW_FAILED");
    after_settled(draft, outcome, reason);
    return VERDICT_OK;
}

static void emit_wait_settled(struct draft *draft, const struct effect *wait, str key,
                              const struct outcome *outcome, str by)
{
    emit(draft, (struct event){
                    .kind = EVENT_WAIT_SETTLED,
                    .effect = wait->id,
                    .wait_settled = {.kind = wait->kind,
                                     .owner = wait->owner,
                                     .key = key,
                                     .outcome = *outcome,
                                     .by = by},
                });
}

static uint32_t wait_count(const struct run *run)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->effect_count; i++) {
        count += effect_is_wait(&run->effects[i]);
    }
    return count;
}

bool engine_may_wait(const struct run *run)
{
    return !run->is_cancelling && wait_count(run) < ENGINE_WAITS_MAX;
}

static enum verdict decide_step_request(struct draft *draft, const struct command *command)
{
    const struct effect *task = engine_effect(&draft->run, command->effect);
    uint64_t key = engine_key(command->step_request.key);
    if (task->state != EFFECT_LEASED) {
        return VERDICT_STALE;
    }
    if (engine_wait(&draft->run, task->id, key) != NULL) {
        return VERDICT_DONE_BEFORE;
    }
    bool is_wait = command->step_request.kind != EFFECT_AT_ONCE;
    bool is_full = wait_count(&draft->run) >= ENGINE_WAITS_MAX;
    struct outcome refusal = failed_outcome(
        STR("TOO_MANY_WAITS"), STR("the run waits for as much as it may at once (32); wait for "
                                   "some of it before more"));
    if (draft->run.is_cancelling) {
        refusal = failed_outcome(STR("CANCELLED"), STR("the run is being cancelled: its code may "
                                                       "clean up, but not wait"));
    }
    bool is_refused =
        is_wait && !command->step_request.is_settled && (is_full || draft->run.is_cancelling);
    uint32_t id = draft->run.effect_next;
    emit(draft, (struct event){
                    .kind = EVENT_WAIT_SET,
                    .effect = id,
                    .wait_set = {.kind = command->step_request.kind,
                                 .owner = task->id,
                                 .key = command->step_request.key,
                                 .data = command->step_request.data,
                                 .due_ms = command->step_request.due_ms,
                                 .children = command->step_request.children},
                });
    if (is_refused || command->step_request.is_settled) {
        const struct outcome *outcome = is_refused ? &refusal : &command->step_request.outcome;
        emit_wait_settled(draft, engine_effect(&draft->run, id), command->step_request.key, outcome,
                          command->step_request.by);
    }
    return VERDICT_OK;
}

static enum verdict decide_resume(struct draft *draft, const struct command *command)
{
    uint64_t key = engine_key(command->resume.key);
    const struct effect *wait = engine_suspension(&draft->run, key);
    if (wait != NULL) {
        const struct effect found = *wait;
        struct outcome outcome = {.value = command->resume.data};
        emit_wait_settled(draft, &found, command->resume.key, &outcome, command->resume.by);
        return VERDICT_OK;
    }
    if (engine_has_kept(&draft->run, key)) {
        return VERDICT_DONE_BEFORE;
    }
    if (draft->run.kept_count == ENGINE_KEPT_MAX || draft->run.is_cancelling) {
        return VERDICT_REFUSED;
    }
    emit(draft, (struct event){
                    .kind = EVENT_RESUME_KEPT,
                    .resume_kept = {.key = command->resume.key,
                                    .data = command->resume.data,
                                    .by = command->resume.by},
                });
    return VERDICT_OK;
}

static enum verdict decide_wait_done(struct draft *draft, const struct command *command)
{
    const struct effect *wait = engine_effect(&draft->run, command->effect);
    if (wait->kind != EFFECT_EVENT) {
        return VERDICT_REFUSED;
    }
    const struct effect found = *wait;
    emit_wait_settled(draft, &found, STR_EMPTY, &command->wait_done.outcome, STR_EMPTY);
    return VERDICT_OK;
}

static enum verdict decide_child_done(struct draft *draft, const struct command *command)
{
    const struct effect *wait = engine_effect(&draft->run, command->effect);
    if (wait->kind != EFFECT_CHILDREN) {
        return VERDICT_REFUSED;
    }
    const struct effect found = *wait;
    emit(draft, (struct event){
                    .kind = EVENT_CHILD_SETTLED,
                    .effect = command->effect,
                    .child_settled = {.index = command->child_done.index,
                                      .child = command->child_done.child,
                                      .outcome = command->child_done.outcome,
                                      .account = command->child_done.account},
                });
    if (found.remaining == 1) {
        struct outcome all = {0};
        emit_wait_settled(draft, &found, STR_EMPTY, &all, STR_EMPTY);
    }
    return VERDICT_OK;
}

static enum verdict decide_park(struct draft *draft, const struct command *command)
{
    const struct effect *task = engine_effect(&draft->run, command->effect);
    if (task->state != EFFECT_LEASED) {
        return VERDICT_STALE;
    }
    bool waits = false;
    for (uint32_t i = 0; i < draft->run.effect_count; i++) {
        const struct effect *wait = &draft->run.effects[i];
        waits |= effect_is_wait(wait) && wait->owner == task->id;
    }
    bool is_ready = task->remaining > command->park.outcomes_seen || !waits;
    emit(draft, (struct event){
                    .kind = EVENT_TASK_PARKED,
                    .effect = command->effect,
                    .attempt = command->attempt,
                    .task_parked = {.is_ready = is_ready},
                });
    return VERDICT_OK;
}

static void emit_requeued(struct draft *draft, const struct effect *task)
{
    emit(draft, (struct event){
                    .kind = EVENT_TASK_REQUEUED,
                    .effect = task->id,
                    .attempt = task->attempt,
                });
}

static enum verdict decide_code_came(struct draft *draft, const struct command *command)
{
    const struct effect *task = engine_effect(&draft->run, command->effect);
    if (!effect_is_stopped(task)) {
        return VERDICT_STALE;
    }
    emit_requeued(draft, task);
    return VERDICT_OK;
}

/* The call of an agent's model, or NULL. */
static const struct effect *model_call(const struct run *run)
{
    return run->state == RUN_THINKING ? &run->effects[0] : NULL;
}

static enum verdict decide_admit(struct draft *draft, const struct command *command)
{
    (void)command;
    const struct effect *call = model_call(&draft->run);
    bool is_wanted = call != NULL;
    for (uint32_t i = 0; i < draft->run.effect_count; i++) {
        const struct effect *effect = &draft->run.effects[i];
        is_wanted |= effect_is_task(effect) && effect->state == EFFECT_READY;
    }
    if (draft->run.admission != ADMISSION_AWAITED || !is_wanted) {
        return VERDICT_STALE;
    }
    emit(draft, (struct event){
                    .kind = EVENT_ADMISSION_GIVEN,
                    .effect = call == NULL ? 0 : call->id,
                });
    if (call != NULL) {
        emit_model_requested(draft, call->id, call->attempt + 1);
    }
    return VERDICT_OK;
}

static enum verdict decide_withdraw_admission(struct draft *draft, const struct command *command)
{
    (void)command;
    if (draft->run.admission != ADMISSION_HELD) {
        return VERDICT_STALE;
    }
    const struct effect *call = model_call(&draft->run);
    emit(draft, (struct event){
                    .kind = EVENT_ADMISSION_ASKED,
                    .effect = call == NULL ? 0 : call->id,
                });
    return VERDICT_OK;
}

/* The task's own time is up: the model is told, a workflow fails. */
static void time_out_task(struct draft *draft, const struct effect *effect)
{
    struct outcome outcome =
        failed_outcome(STR("TIMEOUT"), STR("it did not finish within its timeout"));
    emit_settled(draft, effect->id, effect->attempt, &outcome);
    after_settled(draft, &outcome, outcome.error_type);
}

static void end_wait(struct draft *draft, const struct effect *wait)
{
    struct outcome outcome = {.value = STR("null")};
    if (wait->kind != EFFECT_SLEEP) {
        outcome = failed_outcome(STR("TIMEOUT"), STR("nothing came before the step's timeout"));
    }
    emit_wait_settled(draft, wait, STR_EMPTY, &outcome, STR_EMPTY);
}

/* What is due of one effect; `effect` is as it was when the time came. */
static void time_effect(struct draft *draft, const struct effect *effect)
{
    if (engine_is_terminal(&draft->run) || engine_effect(&draft->run, effect->id) == NULL) {
        return; /* Gone with one that was due before it. */
    }
    bool is_due = effect->due_ms != 0 && draft->now_ms >= effect->due_ms;
    if (effect->deadline_ms != 0 && draft->now_ms >= effect->deadline_ms) {
        time_out_task(draft, effect);
    } else if (is_due && effect_is_wait(effect)) {
        end_wait(draft, effect);
    } else if (is_due && effect->kind == EFFECT_MODEL) {
        emit_model_requested(draft, effect->id, effect->attempt + 1);
    } else if (is_due) {
        emit_requeued(draft, effect);
    }
}

static enum verdict decide_time(struct draft *draft, const struct command *command)
{
    const struct run before = draft->run;
    bool is_over = before.deadline_ms != 0 && draft->now_ms >= before.deadline_ms &&
                   !engine_is_clock_stopped(&before);
    if (is_over && before.is_cancelling) {
        emit_cancelled(draft, STR("cancelled; its code did not clean up in time"));
        return VERDICT_OK;
    }
    if (is_over) {
        emit_failed(draft, STR("DEADLINE_EXCEEDED"), command->time.message);
        return VERDICT_OK;
    }
    for (uint32_t i = 0; i < before.effect_count; i++) {
        time_effect(draft, &before.effects[i]);
    }
    return draft->decision->count > 0 ? VERDICT_OK : VERDICT_DONE_BEFORE;
}

/* Code that has begun gets the chance to clean up. */
static bool has_begun(const struct run *run)
{
    for (uint32_t i = 0; i < run->effect_count; i++) {
        const struct effect *effect = &run->effects[i];
        if (effect->kind == EFFECT_BODY && (effect->state == EFFECT_LEASED || effect->steps > 0 ||
                                            effect->remaining > 0 || run->effect_count > 1)) {
            return true;
        }
    }
    return false;
}

static enum verdict decide_cancel(struct draft *draft, const struct command *command)
{
    if (draft->run.is_cancelling) {
        return VERDICT_DONE_BEFORE;
    }
    if (!has_begun(&draft->run)) {
        emit_cancelled(draft, command->cancel.cause);
        return VERDICT_OK;
    }
    emit(draft, (struct event){
                    .kind = EVENT_CANCEL_REQUESTED,
                    .cancel_requested = {.cause = command->cancel.cause,
                                         .deadline_ms = draft->now_ms + ENGINE_CLEANUP_MS},
                });
    return VERDICT_OK;
}

enum {
    LIVE = STATE_BIT(RUN_THINKING) | STATE_BIT(RUN_ACTING),
};

/* One row per command: where it is welcome, whether it is about an open effect's attempt. */
static const struct {
    unsigned allowed;
    bool answers_effect;
    decide_function *decide;
} commands[] = {
    [COMMAND_START] = {STATE_BIT(RUN_NEW), false, decide_start},
    [COMMAND_MODEL_REPLIED] = {STATE_BIT(RUN_THINKING), true, decide_model_replied},
    [COMMAND_MODEL_FAILED] = {STATE_BIT(RUN_THINKING), true, decide_model_failed},
    [COMMAND_MODEL_REISSUE] = {STATE_BIT(RUN_THINKING), true, decide_model_reissue},
    [COMMAND_LEASE_GRANT] = {STATE_BIT(RUN_ACTING), true, decide_lease_grant},
    [COMMAND_LEASE_LOST] = {STATE_BIT(RUN_ACTING), true, decide_lease_lost},
    [COMMAND_STEP_DONE] = {STATE_BIT(RUN_ACTING), true, decide_step_done},
    [COMMAND_TASK_DONE] = {STATE_BIT(RUN_ACTING), true, decide_task_done},
    [COMMAND_TIME] = {LIVE, false, decide_time},
    [COMMAND_CANCEL] = {LIVE, false, decide_cancel},
    [COMMAND_STEP_REQUEST] = {STATE_BIT(RUN_ACTING), true, decide_step_request},
    [COMMAND_RESUME] = {LIVE, false, decide_resume},
    [COMMAND_WAIT_DONE] = {STATE_BIT(RUN_ACTING), true, decide_wait_done},
    [COMMAND_CHILD_DONE] = {STATE_BIT(RUN_ACTING), true, decide_child_done},
    [COMMAND_PARK] = {STATE_BIT(RUN_ACTING), true, decide_park},
    [COMMAND_CODE_CAME] = {STATE_BIT(RUN_ACTING), true, decide_code_came},
    [COMMAND_ADMIT] = {LIVE, false, decide_admit},
    [COMMAND_WITHDRAW_ADMISSION] = {LIVE, false, decide_withdraw_admission},
};
static_assert(COUNT_OF(commands) == COMMAND_COUNT);

/* Whether the effect a command answers is still awaited. */
static enum verdict judge_effect(const struct run *run, const struct command *command)
{
    const struct effect *effect = engine_effect(run, command->effect);
    if (effect == NULL) {
        bool was_given = command->effect != 0 && command->effect < run->effect_next;
        return was_given ? VERDICT_DONE_BEFORE : VERDICT_STALE;
    }
    if (effect->attempt != command->attempt) {
        return VERDICT_STALE;
    }
    bool is_model_command = command->kind == COMMAND_MODEL_REPLIED ||
                            command->kind == COMMAND_MODEL_FAILED ||
                            command->kind == COMMAND_MODEL_REISSUE;
    if (is_model_command && (effect->kind != EFFECT_MODEL || effect->state != EFFECT_READY)) {
        return VERDICT_STALE;
    }
    return VERDICT_OK;
}

enum verdict engine_decide(const struct run *run, const struct command *command,
                           struct decision *ret)
{
    assert(command->kind < COMMAND_COUNT);
    assert(engine_broken_invariant(run) == NULL);
    ret->count = 0;
    if (engine_is_terminal(run)) {
        return VERDICT_TERMINAL;
    }
    if (commands[command->kind].answers_effect) {
        enum verdict verdict = judge_effect(run, command);
        if (verdict != VERDICT_OK) {
            return verdict;
        }
    }
    if (!(commands[command->kind].allowed & STATE_BIT(run->state))) {
        return VERDICT_REFUSED;
    }
    struct draft draft = {.run = *run, .decision = ret, .now_ms = command->now_ms};
    enum verdict verdict = commands[command->kind].decide(&draft, command);
    assert((verdict == VERDICT_OK) == (ret->count > 0));
    assert(engine_broken_invariant(&draft.run) == NULL);
    return verdict;
}
