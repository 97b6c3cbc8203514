/* What hosts do with tasks: take, lose, go on with, end, park them. */
#include "service/engine/draft.h"

enum verdict decide_lease_grant(struct draft *draft, const struct command *command)
{
    const struct effect *effect = engine_effect(&draft->run, command->effect);
    if (effect->state != EFFECT_READY || !effect_is_task(effect) ||
        draft->run.admission == ADMISSION_AWAITED) {
        return VERDICT_REFUSED;
    }
    draft_emit(draft, (struct event){
                          .kind = EVENT_LEASE_GRANTED,
                          .effect = command->effect,
                          .attempt = command->attempt + 1,
                          .lease_granted = {.host_id = command->lease.host_id,
                                            .deployment = command->lease.deployment,
                                            .language = command->lease.language},
                      });
    return VERDICT_OK;
}

enum verdict decide_lease_lost(struct draft *draft, const struct command *command)
{
    const struct effect effect = *engine_effect(&draft->run, command->effect);
    if (effect.state != EFFECT_LEASED) {
        return VERDICT_STALE;
    }
    draft_emit(draft, (struct event){
                          .kind = EVENT_LEASE_LOST,
                          .effect = command->effect,
                          .attempt = command->attempt,
                          .lease_lost = {.cause = command->lease_lost.cause,
                                         .is_excused = command->lease_lost.is_excused},
                      });
    struct outcome outcome;
    if (effect.at_most_once) {
        outcome = draft_failure(STR("OUTCOME_UNKNOWN"),
                                STR("its host was lost while it was at work, and it is declared "
                                    "at most once: whether it took effect is unknown"));
    } else if (!command->lease_lost.is_excused &&
               effect.leases_lost + 1 >= ENGINE_TASK_LEASES_MAX) {
        outcome = draft_failure(STR("HOST_LOST"),
                                STR("five hosts in a row were lost while they worked on it, and "
                                    "nothing was settled between; it is given up"));
    } else {
        return VERDICT_OK;
    }
    draft_settle_task(draft, command->effect, command->attempt, &outcome);
    if (draft->run.is_cancelling) {
        draft_cancel(draft, STR("cancelled; its code was lost while it cleaned up"));
        return VERDICT_OK;
    }
    draft_after_settled(draft, &effect, &outcome, outcome.error_type, STR_EMPTY);
    return VERDICT_OK;
}

/* What a host says of a task's code counts once, in the order of its numbers. */
static enum verdict judge_number(const struct effect *task, uint32_t number)
{
    if (task->state != EFFECT_LEASED) {
        return VERDICT_STALE;
    }
    if (number <= task->steps) {
        return VERDICT_DONE_BEFORE;
    }
    return number == task->steps + 1 ? VERDICT_OK : VERDICT_GAP;
}

enum verdict decide_step_done(struct draft *draft, const struct command *command)
{
    const struct effect *effect = engine_effect(&draft->run, command->effect);
    enum verdict verdict = judge_number(effect, command->step.number);
    if (verdict != VERDICT_OK) {
        return verdict;
    }
    draft_emit(draft, (struct event){
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

enum verdict decide_cancel_shown(struct draft *draft, const struct command *command)
{
    const struct effect *task = engine_effect(&draft->run, command->effect);
    enum verdict verdict = judge_number(task, command->cancel_shown.number);
    if (verdict != VERDICT_OK) {
        return verdict;
    }
    if (!draft->run.is_cancelling) {
        return VERDICT_REFUSED; /* There is nothing to be shown. */
    }
    draft_emit(draft, (struct event){
                          .kind = EVENT_CANCEL_SHOWN,
                          .effect = command->effect,
                          .attempt = command->attempt,
                          .cancel_shown = {.number = command->cancel_shown.number},
                      });
    return VERDICT_OK;
}

enum verdict decide_withdraw(struct draft *draft, const struct command *command)
{
    const struct effect *task = engine_effect(&draft->run, command->effect);
    enum verdict verdict = judge_number(task, command->withdraw.number);
    if (verdict != VERDICT_OK) {
        return verdict;
    }
    uint64_t key = engine_key(command->withdraw.key);
    const struct effect *wait = engine_wait(&draft->run, task->id, key);
    if (wait != NULL) {
        draft_withdraw_wait(draft, wait, command->withdraw.key);
    }
    draft_emit(draft, (struct event){
                          .kind = EVENT_WITHDRAWN,
                          .effect = command->effect,
                          .attempt = command->attempt,
                          .withdrawn = {.number = command->withdraw.number,
                                        .key = command->withdraw.key,
                                        .facts_seen = command->withdraw.facts_seen,
                                        .retries = draft->run.retries},
                      });
    return VERDICT_OK;
}

enum verdict decide_step_try(struct draft *draft, const struct command *command)
{
    const struct effect *task = engine_effect(&draft->run, command->effect);
    enum verdict verdict = judge_number(task, command->step_try.number);
    if (verdict != VERDICT_OK) {
        return verdict;
    }
    draft_emit(draft, (struct event){
                          .kind = EVENT_STEP_TRIED,
                          .effect = command->effect,
                          .attempt = command->attempt,
                          .step_tried = {.number = command->step_try.number,
                                         .key = command->step_try.key,
                                         .try_number = command->step_try.try_number,
                                         .outcome = command->step_try.outcome,
                                         .retry_at_ms = command->step_try.retry_at_ms},
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
    struct kept_state none = {0};
    draft_emit(draft, (struct event){
                          .kind = EVENT_TASK_FAILED,
                          .effect = command->effect,
                          .attempt = command->attempt,
                          .task_failed = {.outcome = command->task.outcome,
                                          .state = is_mismatch ? none : command->task.state,
                                          .retry_at_ms = draft->now_ms + run_retry_delay_ms(tries),
                                          .is_mismatch = is_mismatch,
                                          .keeps_children = !is_mismatch},
                      });
}

enum verdict decide_task_done(struct draft *draft, const struct command *command)
{
    const struct effect task = *engine_effect(&draft->run, command->effect);
    const struct effect *effect = &task;
    const struct outcome *outcome = &command->task.outcome;
    struct outcome kept = *outcome;
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
    if (task.kind == EFFECT_CALLBACK) { /* What it made of something is a fact of its own. */
        kept.value = STR_EMPTY;
    }
    draft_emit(draft, (struct event){
                          .kind = EVENT_TASK_SETTLED,
                          .effect = command->effect,
                          .attempt = command->attempt,
                          .task_settled = {.outcome = kept, .state = command->task.state},
                      });
    if (draft->run.is_cancelling && (outcome->failed || command->task.is_cancelled)) {
        draft_cancel(draft, STR("cancelled; its code has cleaned up"));
        return VERDICT_OK;
    }
    str reason = draft->run.kind == RUN_KIND_TOOL ? STR("TOOL_FAILED") : STR("WORKFLOW_FAILED");
    draft_after_settled(draft, &task, outcome, reason, outcome->value);
    return VERDICT_OK;
}

enum verdict decide_park(struct draft *draft, const struct command *command)
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
    bool is_ready = task->waits_settled > command->park.outcomes_seen || !waits;
    draft_emit(draft, (struct event){
                          .kind = EVENT_TASK_PARKED,
                          .effect = command->effect,
                          .attempt = command->attempt,
                          .task_parked = {.is_ready = is_ready},
                      });
    return VERDICT_OK;
}

enum verdict decide_code_came(struct draft *draft, const struct command *command)
{
    const struct effect *task = engine_effect(&draft->run, command->effect);
    if (!effect_is_stopped(task)) {
        return VERDICT_STALE;
    }
    draft_requeue(draft, task);
    return VERDICT_OK;
}

void draft_time_out_task(struct draft *draft, const struct effect *effect)
{
    struct outcome outcome =
        draft_failure(STR("TIMEOUT"), STR("it did not finish within its timeout"));
    draft_settle_task(draft, effect->id, effect->attempt, &outcome);
    draft_after_settled(draft, effect, &outcome, outcome.error_type, STR_EMPTY);
}
