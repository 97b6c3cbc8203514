/* What a model said, or why it said nothing. */
#include "service/engine/draft.h"

static void request_tool(struct draft *draft, const struct tool_call *call)
{
    uint32_t effect = draft->run.effect_next;
    draft_emit(draft, (struct event){
                          .kind = EVENT_TASK_REQUESTED,
                          .effect = effect,
                          .task_requested =
                              {
                                  .kind = EFFECT_TOOL,
                                  .name = call->name,
                                  .call_id = call->call_id,
                                  .input = call->arguments,
                                  .deadline_ms =
                                      call->timeout_ms == 0 ? 0 : draft->now_ms + call->timeout_ms,
                                  .at_most_once = call->at_most_once,
                              },
                      });
    if (call->refusal_type != NULL) {
        struct outcome outcome = draft_failure(str_of(call->refusal_type), call->refusal_message);
        draft_settle_task(draft, effect, 0, &outcome);
        return;
    }
    draft_ask(draft, CALLBACK_TOOL_START, effect);
}

/* What a model said last is its answer; what it refused to say, or was not let say, is none. */
static bool is_answer(enum reply_stop stop)
{
    return stop == REPLY_STOP_END || stop == REPLY_STOP_LENGTH;
}

/* It is told why, in a turn more, as long as it may have one. */
static void reject_answer(struct draft *draft)
{
    draft_emit(draft,
               (struct event){
                   .kind = EVENT_REPLY_REJECTED,
                   .reply_rejected = {.by = REJECTED_BY_SCHEMA, .feedback = draft->plan->feedback},
               });
    if (draft->run.outputs_rejected == draft->run.output_tries || draft_limit(draft).len > 0) {
        draft_fail(draft, STR("OUTPUT_INVALID"), draft->plan->misfit);
        return;
    }
    draft_turn_over(draft);
}

void draft_act_on_reply(struct draft *draft)
{
    const struct reply_plan *plan = draft->plan;
    bool wants_tools = plan->stop == REPLY_STOP_TOOLS;
    assert(wants_tools == (plan->call_count > 0));
    assert(plan->call_count <= ENGINE_TOOL_CALLS_MAX);
    assert(plan->stop == draft->run.last_stop); /* It is the plan of this very reply. */
    if (plan->stop == REPLY_STOP_PAUSE) {
        draft_go_on(draft);
        return;
    }
    bool is_misfit = plan->misfit.len > 0 && draft->run.output_tries > 0 && is_answer(plan->stop);
    bool goes_on = draft->run.inputs_open > 0 && draft_limit(draft).len == 0;
    if (is_misfit && !goes_on) { /* What was said meanwhile is to be answered, too. */
        reject_answer(draft);
        return;
    }
    if (!wants_tools) {
        draft_turn_over(draft);
        return;
    }
    for (size_t i = 0; i < plan->call_count; i++) {
        request_tool(draft, &plan->calls[i]);
    }
    if (draft->run.effect_count == 0) {
        draft_turn_over(draft); /* Every call was refused: the model is told, and tries again. */
    }
}

enum verdict decide_model_replied(struct draft *draft, const struct command *command)
{
    draft_emit(draft, (struct event){
                          .kind = EVENT_MODEL_REPLIED,
                          .effect = command->effect,
                          .attempt = command->attempt,
                          .model_replied = {.reply = command->model_replied.reply,
                                            .stop = command->plan.stop,
                                            .usage = command->model_replied.usage,
                                            .is_judged = draft->run.callbacks[CALLBACK_REPLY] > 0},
                      });
    if (!draft_ask(draft, CALLBACK_REPLY, 0)) {
        draft_act_on_reply(draft);
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

enum verdict decide_model_failed(struct draft *draft, const struct command *command)
{
    const struct effect *effect = engine_effect(&draft->run, command->effect);
    assert(effect->kind == EFFECT_MODEL && effect->state == EFFECT_READY);
    bool again =
        command->model_failed.retryable && effect->failures + 1 < ENGINE_MODEL_ATTEMPTS_MAX;
    uint64_t retry_at_ms = again ? draft->now_ms + retry_delay_ms(effect, command) : 0;
    draft_emit(draft, (struct event){
                          .kind = EVENT_MODEL_FAILED,
                          .effect = command->effect,
                          .attempt = command->attempt,
                          .model_failed = {.reason = command->model_failed.reason,
                                           .message = command->model_failed.message,
                                           .retry_at_ms = retry_at_ms},
                      });
    if (!again) {
        draft_fail(draft, command->model_failed.reason, command->model_failed.message);
    }
    return VERDICT_OK;
}

enum verdict decide_model_reissue(struct draft *draft, const struct command *command)
{
    draft_request_model(draft, command->effect, command->attempt + 1);
    return VERDICT_OK;
}
