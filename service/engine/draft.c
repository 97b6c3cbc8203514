#include "service/engine/draft.h"

struct outcome draft_failure(str type, str message)
{
    return (struct outcome){.failed = true, .error_type = type, .error_message = message};
}

void draft_emit(struct draft *draft, struct event event)
{
    assert(draft->decision->count < ENGINE_EVENTS_MAX);
    assert(event.kind > EVENT_NONE && event.kind < EVENT_COUNT);
    event.time_ms = draft->now_ms;
    engine_apply(&draft->run, &event);
    draft->decision->events[draft->decision->count++] = event;
}

void draft_request_model(struct draft *draft, uint32_t effect, uint32_t attempt)
{
    draft_emit(draft, (struct event){
                          .kind = EVENT_MODEL_REQUESTED,
                          .effect = effect,
                          .attempt = attempt,
                      });
}

void draft_fail(struct draft *draft, str reason, str message)
{
    draft_return_inputs(draft);
    draft_emit(draft, (struct event){
                          .kind = EVENT_RUN_FAILED,
                          .run_failed = {.reason = reason, .message = message},
                      });
}

void draft_complete(struct draft *draft, str stop_reason)
{
    draft_return_inputs(draft);
    draft_emit(draft, (struct event){
                          .kind = EVENT_RUN_COMPLETED,
                          .run_completed = {.stop_reason = stop_reason},
                      });
}

void draft_cancel(struct draft *draft, str cause)
{
    draft_return_inputs(draft);
    draft_emit(draft, (struct event){
                          .kind = EVENT_RUN_CANCELLED,
                          .run_cancelled = {.cause = cause},
                      });
}

void draft_settle_task(struct draft *draft, uint32_t effect, uint32_t attempt,
                       const struct outcome *outcome)
{
    draft_emit(draft, (struct event){
                          .kind = EVENT_TASK_SETTLED,
                          .effect = effect,
                          .attempt = attempt,
                          .task_settled = {.outcome = *outcome},
                      });
}

void draft_next_call(struct draft *draft)
{
    uint32_t effect = draft->run.effect_next;
    if (draft->run.admission == ADMISSION_AWAITED) {
        draft_emit(draft, (struct event){.kind = EVENT_ADMISSION_ASKED, .effect = effect});
        return;
    }
    draft_request_model(draft, effect, 1);
}

str draft_limit(const struct draft *draft)
{
    const struct run *run = &draft->run;
    assert(run->kind == RUN_KIND_AGENT);
    if (run->turns >= run->turns_max) {
        return STR("max_steps");
    }
    bool is_spent =
        run->tokens_max != 0 && run->input_tokens + run->output_tokens >= run->tokens_max;
    return is_spent ? STR("max_tokens") : STR_EMPTY;
}

void draft_call(struct draft *draft)
{
    draft_take_inputs(draft);
    draft_next_call(draft);
}

void draft_open_turn(struct draft *draft)
{
    if (!draft_ask(draft, CALLBACK_TURN_START, 0)) {
        draft_call(draft);
    }
}

void draft_close(struct draft *draft, str stop_reason)
{
    if (!draft_ask(draft, CALLBACK_RUN_END, 0)) {
        draft_complete(draft, stop_reason);
    }
}

void draft_next_turn(struct draft *draft)
{
    str limit = draft_limit(draft);
    if (limit.len > 0) {
        draft_close(draft, limit);
        return;
    }
    draft_open_turn(draft);
}

void draft_turn_over(struct draft *draft)
{
    if (!draft_ask(draft, CALLBACK_TURN_END, 0)) {
        draft_after_turn(draft);
    }
}

void draft_go_on(struct draft *draft)
{
    str limit = draft_limit(draft);
    if (limit.len > 0) {
        draft_close(draft, limit);
        return;
    }
    draft_next_call(draft);
}

void draft_after_settled(struct draft *draft, const struct effect *task,
                         const struct outcome *outcome, str reason, str amendment)
{
    if (task->kind == EFFECT_CALLBACK) {
        draft_after_callback(draft, task, outcome, amendment);
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
