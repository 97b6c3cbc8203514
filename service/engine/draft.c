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
    const struct effect *call = engine_effect(&draft->run, effect);
    bool is_judgement = call != NULL && effect_is_judgement(call);
    uint32_t guardrail = is_judgement ? call->index + 1u : 0;
    draft_emit(draft, (struct event){
                          .kind = EVENT_MODEL_REQUESTED,
                          .effect = effect,
                          .attempt = attempt,
                          .model_requested = {.guardrail = guardrail},
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

void draft_requeue(struct draft *draft, const struct effect *task)
{
    draft_emit(draft, (struct event){
                          .kind = EVENT_TASK_REQUEUED,
                          .effect = task->id,
                          .attempt = task->attempt,
                      });
}
