/*
 * decide: what follows from a command. May change from release to release, never runs on replay.
 *
 * A handler works on a draft, a copy of the run to which each event is applied as it is emitted,
 * so that it sees what its own events did and never guesses.
 */
#include "service/engine/draft.h"

void engine_init(struct run *run)
{
    memset(run, 0, sizeof(*run));
    run->effect_next = 1;
}

static enum verdict decide_start(struct draft *draft, const struct command *command)
{
    const struct run_spec *spec = &command->start.spec;
    assert(spec->kind > RUN_KIND_NONE && spec->kind < RUN_KIND_COUNT);
    assert(spec->kind != RUN_KIND_AGENT || spec->turns_max > 0);
    draft_emit(draft, (struct event){
                          .kind = EVENT_RUN_STARTED,
                          .run_started = {.id = command->start.id, .spec = *spec},
                      });
    if (spec->kind == RUN_KIND_AGENT) {
        if (!draft_ask(draft, CALLBACK_RUN_START, 0)) {
            draft_open_turn(draft);
        }
        return VERDICT_OK;
    }
    draft_emit(
        draft,
        (struct event){
            .kind = EVENT_TASK_REQUESTED,
            .effect = draft->run.effect_next,
            .task_requested = {.kind = EFFECT_BODY, .name = spec->name, .input = spec->input},
        });
    return VERDICT_OK;
}

/* What is due of one effect; `effect` is as it was when the time came. */
static void time_effect(struct draft *draft, const struct effect *effect)
{
    if (engine_is_terminal(&draft->run) || engine_effect(&draft->run, effect->id) == NULL) {
        return; /* Gone with one that was due before it. */
    }
    bool is_due = effect->due_ms != 0 && draft->now_ms >= effect->due_ms;
    bool is_over = effect->deadline_ms != 0 && draft->now_ms >= effect->deadline_ms;
    if (is_over && !effect_is_held(effect)) {
        draft_time_out_task(draft, effect);
    } else if (is_due && effect_is_wait(effect)) {
        draft_end_wait(draft, effect);
    } else if (is_due && effect->kind == EFFECT_MODEL) {
        draft_request_model(draft, effect->id, effect->attempt + 1);
    } else if (is_due) {
        draft_requeue(draft, effect);
    }
}

static enum verdict decide_time(struct draft *draft, const struct command *command)
{
    const struct run before = draft->run;
    bool is_over = before.deadline_ms != 0 && draft->now_ms >= before.deadline_ms &&
                   !engine_is_clock_stopped(&before);
    if (is_over && before.is_cancelling) {
        draft_cancel(draft, STR("cancelled; its code did not clean up in time"));
        return VERDICT_OK;
    }
    if (is_over) {
        draft_fail(draft, STR("DEADLINE_EXCEEDED"), command->time.message);
        return VERDICT_OK;
    }
    for (uint32_t i = 0; i < before.effect_count; i++) {
        time_effect(draft, &before.effects[i]);
    }
    return draft->decision->count > 0 ? VERDICT_OK : VERDICT_DONE_BEFORE;
}

/* One that was cancelled ends as it was asked to. */
static enum verdict decide_fail(struct draft *draft, const struct command *command)
{
    if (draft->run.is_cancelling) {
        draft_cancel(draft, command->fail.message);
    } else {
        draft_fail(draft, command->fail.reason, command->fail.message);
    }
    return VERDICT_OK;
}

/* Code that has begun gets the chance to clean up. */
static bool has_begun(const struct run *run)
{
    for (uint32_t i = 0; i < run->effect_count; i++) {
        const struct effect *effect = &run->effects[i];
        if (effect->kind == EFFECT_BODY && (effect->state == EFFECT_LEASED || effect->steps > 0 ||
                                            effect->waits_settled > 0 || run->effect_count > 1)) {
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
        draft_cancel(draft, command->cancel.cause);
        return VERDICT_OK;
    }
    draft_emit(draft, (struct event){
                          .kind = EVENT_CANCEL_REQUESTED,
                          .cancel_requested = {.cause = command->cancel.cause,
                                               .deadline_ms = draft->now_ms + ENGINE_CLEANUP_MS},
                      });
    return VERDICT_OK;
}

enum {
    ANY = 0,
    MODEL = KIND_BIT(EFFECT_MODEL),
};

/* One row per command: of what kind an effect is that it is about, so that it is welcome where the
 * run may owe such a one; whether it is about an open effect's attempt. */
static const struct {
    unsigned kinds;
    bool answers_effect;
    decide_function *decide;
} commands[] = {
    [COMMAND_START] = {ANY, false, decide_start},
    [COMMAND_MODEL_REPLIED] = {MODEL, true, decide_model_replied},
    [COMMAND_REPLY_JUDGED] = {MODEL, true, decide_reply_judged},
    [COMMAND_MODEL_FAILED] = {MODEL, true, decide_model_failed},
    [COMMAND_MODEL_REISSUE] = {MODEL, true, decide_model_reissue},
    [COMMAND_LEASE_GRANT] = {KINDS_TASK, true, decide_lease_grant},
    [COMMAND_LEASE_LOST] = {KINDS_TASK, true, decide_lease_lost},
    [COMMAND_STEP_DONE] = {KINDS_TASK, true, decide_step_done},
    [COMMAND_CANCEL_SHOWN] = {KINDS_TASK, true, decide_cancel_shown},
    [COMMAND_WITHDRAW] = {KINDS_TASK, true, decide_withdraw},
    [COMMAND_STEP_TRY] = {KINDS_TASK, true, decide_step_try},
    [COMMAND_TASK_DONE] = {KINDS_TASK, true, decide_task_done},
    [COMMAND_TIME] = {ANY, false, decide_time},
    [COMMAND_CANCEL] = {ANY, false, decide_cancel},
    [COMMAND_STEP_REQUEST] = {KINDS_TASK, true, decide_step_request},
    [COMMAND_RESUME] = {ANY, false, decide_resume},
    [COMMAND_WAIT_DONE] = {KINDS_TASK, true, decide_wait_done},
    [COMMAND_CHILD_DONE] = {KINDS_TASK, true, decide_child_done},
    [COMMAND_PARK] = {KINDS_TASK, true, decide_park},
    [COMMAND_CODE_CAME] = {KINDS_TASK, true, decide_code_came},
    [COMMAND_ADMIT] = {ANY, false, decide_admit},
    [COMMAND_WITHDRAW_ADMISSION] = {ANY, false, decide_withdraw_admission},
    [COMMAND_INPUT] = {MODEL | KIND_BIT(EFFECT_TOOL) | KIND_BIT(EFFECT_CALLBACK), false,
                       decide_input},
    [COMMAND_FAIL] = {ANY, false, decide_fail},
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
    bool is_model_command = commands[command->kind].kinds == MODEL;
    if (is_model_command && (effect->kind != EFFECT_MODEL || effect->state != EFFECT_READY)) {
        return VERDICT_STALE;
    }
    bool is_of_judgement = command->kind == COMMAND_REPLY_JUDGED;
    bool is_reply = command->kind == COMMAND_MODEL_REPLIED || is_of_judgement;
    return is_reply && is_of_judgement != effect_is_judgement(effect) ? VERDICT_STALE : VERDICT_OK;
}

static bool is_welcome(const struct run *run, enum command_kind kind)
{
    if (kind == COMMAND_START || run->state == RUN_NEW) {
        return kind == COMMAND_START && run->state == RUN_NEW;
    }
    return commands[kind].kinds == ANY || states_may_owe(run, commands[kind].kinds);
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
    if (!is_welcome(run, command->kind)) {
        return VERDICT_REFUSED;
    }
    struct draft draft = {.run = *run,
                          .decision = ret,
                          .now_ms = command->now_ms,
                          .callbacks = command->callbacks,
                          .callback_count = command->callback_count,
                          .plan = &command->plan};
    enum verdict verdict = commands[command->kind].decide(&draft, command);
    assert((verdict == VERDICT_OK) == (ret->count > 0));
    assert(engine_broken_invariant(&draft.run) == NULL);
    return verdict;
}
