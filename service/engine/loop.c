/*
 * loop: how an agent's run goes on: from turn to turn, through its callbacks, to its end.
 */
#include "service/engine/draft.h"

/* ---- Callbacks. ---- */

const struct callback *draft_callback(const struct draft *draft, enum callback_phase phase,
                                      uint32_t index)
{
    for (size_t i = 0; i < draft->callback_count; i++) {
        if (draft->callbacks[i].phase == phase && index-- == 0) {
            return &draft->callbacks[i];
        }
    }
    return NULL;
}

void draft_ask_one(struct draft *draft, enum callback_phase phase, uint32_t index, uint32_t about)
{
    const struct callback *callback = draft_callback(draft, phase, index);
    assert(callback != NULL); /* Who gives the command says which ones the run has. */
    if (callback->name.len == 0) {
        draft_next_call(draft, index + 1);
        return;
    }
    uint64_t timeout_ms = callback->timeout_ms;
    draft_emit(draft, (struct event){
                          .kind = EVENT_TASK_REQUESTED,
                          .effect = draft->run.effect_next,
                          .task_requested =
                              {
                                  .kind = EFFECT_CALLBACK,
                                  .name = callback->name,
                                  .deadline_ms = timeout_ms == 0 ? 0 : draft->now_ms + timeout_ms,
                                  .phase = phase,
                                  .index = index,
                                  .about = about,
                              },
                      });
}

bool draft_ask(struct draft *draft, enum callback_phase phase, uint32_t about)
{
    assert(phase > CALLBACK_NONE && phase < CALLBACK_PHASE_COUNT);
    if (draft->run.callbacks[phase] == 0) {
        return false;
    }
    draft_ask_one(draft, phase, 0, about);
    return true;
}

/* What a callback of each phase may change; 0: nothing. */
static enum event_kind amends(enum callback_phase phase)
{
    static const enum event_kind kinds[CALLBACK_PHASE_COUNT] = {
        [CALLBACK_RUN_START] = EVENT_INPUT_AMENDED,
        [CALLBACK_RUN_END] = EVENT_RESULT_AMENDED,
        [CALLBACK_TOOL_START] = EVENT_CALL_AMENDED,
        [CALLBACK_TOOL_END] = EVENT_RESULT_AMENDED,
    };
    assert(phase < CALLBACK_PHASE_COUNT);
    return kinds[phase];
}

/* ---- Turns. ---- */

void draft_next_call(struct draft *draft, uint32_t guardrail)
{
    bool waits = draft->run.admission == ADMISSION_AWAITED;
    draft_emit(draft, (struct event){
                          .kind = waits ? EVENT_ADMISSION_ASKED : EVENT_MODEL_REQUESTED,
                          .effect = draft->run.effect_next,
                          .attempt = waits ? 0 : 1,
                          .model_requested = {.guardrail = guardrail},
                      });
}

void draft_call_model(struct draft *draft)
{
    draft_take_inputs(draft);
    draft_next_call(draft, 0);
}

void draft_open_turn(struct draft *draft)
{
    if (!draft_ask(draft, CALLBACK_TURN_START, 0)) {
        draft_call_model(draft);
    }
}

static void close_run(struct draft *draft, str stop_reason)
{
    if (!draft_ask(draft, CALLBACK_RUN_END, 0)) {
        draft_complete(draft, stop_reason);
    }
}

static void next_turn(struct draft *draft)
{
    str limit = draft_limit(draft);
    if (limit.len > 0) {
        close_run(draft, limit);
        return;
    }
    draft_open_turn(draft);
}

void draft_go_on(struct draft *draft)
{
    str limit = draft_limit(draft);
    if (limit.len > 0) {
        close_run(draft, limit);
        return;
    }
    draft_next_call(draft, 0);
}

/* Why a run ends whose last callbacks have passed. */
static str ending(const struct draft *draft)
{
    static const char *const stop_reasons[] = {
        [REPLY_STOP_END] = "end",         [REPLY_STOP_TOOLS] = "tools",
        [REPLY_STOP_LENGTH] = "length",   [REPLY_STOP_CONTENT_FILTER] = "content_filter",
        [REPLY_STOP_REFUSAL] = "refusal", [REPLY_STOP_PAUSE] = "pause",
    };
    static_assert(COUNT_OF(stop_reasons) == REPLY_STOP_COUNT);
    const struct run *run = &draft->run;
    if (run->is_turn_refused) {
        return STR("hook");
    }
    bool goes_on = run->last_stop == REPLY_STOP_TOOLS || run->last_stop == REPLY_STOP_PAUSE;
    return goes_on ? draft_limit(draft) : str_of(stop_reasons[run->last_stop]);
}

/* What follows a turn whose callbacks have passed. */
static void after_turn(struct draft *draft)
{
    const struct run *run = &draft->run;
    bool has_said = run->inputs_open > 0 && draft_limit(draft).len == 0;
    if (run->last_stop == REPLY_STOP_TOOLS || run->was_rejected || has_said) {
        next_turn(draft);
        return;
    }
    close_run(draft, ending(draft));
}

void draft_turn_over(struct draft *draft)
{
    if (!draft_ask(draft, CALLBACK_TURN_END, 0)) {
        after_turn(draft);
    }
}

/* ---- What has ended. ---- */

/* It says no: where a turn would begin, the loop is over; else the run fails. */
static void stop(struct draft *draft, enum callback_phase phase, const struct outcome *outcome)
{
    if (phase == CALLBACK_TURN_START && !draft->run.was_rejected) {
        close_run(draft, ending(draft));
        return;
    }
    draft_fail(draft, STR("HOOK_FAILED"), outcome->error_message);
}

/* All callbacks of its phase have passed. */
static void go_on(struct draft *draft, const struct effect *callback)
{
    switch ((enum callback_phase)callback->phase) {
    case CALLBACK_RUN_START:
        draft_open_turn(draft);
        return;
    case CALLBACK_TURN_START:
        draft_call_model(draft);
        return;
    case CALLBACK_TURN_END:
        after_turn(draft);
        return;
    case CALLBACK_RUN_END:
        draft_complete(draft, ending(draft));
        return;
    case CALLBACK_TOOL_START:
        draft_requeue(draft, engine_effect(&draft->run, callback->owner));
        return;
    case CALLBACK_TOOL_END:
        if (draft->run.effect_count == 0) {
            draft_turn_over(draft);
        }
        return;
    case CALLBACK_REPLY: /* draft_after_guardrail() */
    case CALLBACK_NONE:
    case CALLBACK_PHASE_COUNT:
        break;
    }
    assert(false && "a callback of no phase");
}

/* The next is asked, or what it was asked before follows. */
static void after_callback(struct draft *draft, const struct effect *callback,
                           const struct outcome *outcome, str amendment)
{
    enum callback_phase phase = (enum callback_phase)callback->phase;
    assert(callback->kind == EFFECT_CALLBACK);
    if (outcome->failed) {
        stop(draft, phase, outcome);
        return;
    }
    if (amendment.len > 0 && amends(phase) != EVENT_NONE) {
        draft_emit(draft, (struct event){
                              .kind = amends(phase),
                              .effect = callback->id,
                              .amended = {.about = callback->owner, .value = amendment},
                          });
    }
    if (callback->index + 1u < draft->run.callbacks[phase]) {
        draft_ask_one(draft, phase, callback->index + 1u, callback->owner);
        return;
    }
    go_on(draft, callback);
}

void draft_after_settled(struct draft *draft, const struct effect *task,
                         const struct outcome *outcome, str reason, str amendment)
{
    if (task->kind == EFFECT_CALLBACK && task->phase == CALLBACK_REPLY) {
        draft_after_guardrail(draft, task, outcome, amendment);
        return;
    }
    if (task->kind == EFFECT_CALLBACK) {
        after_callback(draft, task, outcome, amendment);
        return;
    }
    if (draft->run.kind == RUN_KIND_AGENT) {
        bool is_asked = draft_ask(draft, CALLBACK_TOOL_END, task->id);
        if (!is_asked && draft->run.effect_count == 0) {
            draft_turn_over(draft);
        }
        return;
    }
    if (outcome->failed) {
        draft_fail(draft, reason, outcome->error_message);
        return;
    }
    draft_complete(draft, STR("end"));
}
