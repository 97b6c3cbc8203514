/*
 * guardrails: whether a reply is acted on, as it is or changed, or asked for again.
 *
 * They are asked one after the other. One that is a function is a callback; one that is a sentence
 * is a call of the agent's model.
 */
#include "service/engine/draft.h"

static void let_pass(struct draft *draft, uint32_t effect, uint32_t index)
{
    if (index + 1 < draft->run.callbacks[CALLBACK_REPLY]) {
        draft_ask_one(draft, CALLBACK_REPLY, index + 1, 0);
        return;
    }
    draft_emit(draft, (struct event){.kind = EVENT_REPLY_PASSED, .effect = effect});
    draft_act_on_reply(draft);
}

/* It is asked for again in the same turn, as often as it may be. */
static void turn_down(struct draft *draft, uint32_t index, str why)
{
    const struct callback *guardrail = draft_callback(draft, CALLBACK_REPLY, index);
    assert(guardrail != NULL && draft->plan->objection.len > 0);
    draft_emit(draft,
               (struct event){
                   .kind = EVENT_REPLY_REJECTED,
                   .reply_rejected = {.by = REJECTED_BY_GUARDRAIL,
                                      .feedback = draft->plan->objection,
                                      .guardrail = guardrail->name.len == 0 ? STR("prompt")
                                                                            : guardrail->name},
               });
    if (draft->run.replies_rejected > draft->run.guardrail_retries || draft_limit(draft).len > 0) {
        draft_fail(draft, STR("GUARDRAIL_FAILED"), why);
        return;
    }
    draft_call_model(draft);
}

void draft_after_guardrail(struct draft *draft, const struct effect *callback,
                           const struct outcome *outcome, str amendment)
{
    assert(callback->phase == CALLBACK_REPLY);
    if (outcome->failed && str_is(outcome->error_type, ENGINE_REPLY_REJECTED)) {
        turn_down(draft, callback->index, outcome->error_message);
        return;
    }
    if (outcome->failed) {
        draft_fail(draft, STR("GUARDRAIL_FAILED"), outcome->error_message);
        return;
    }
    if (amendment.len > 0) {
        draft_emit(draft, (struct event){
                              .kind = EVENT_REPLY_AMENDED,
                              .effect = callback->id,
                              .reply_amended = {.reply = amendment, .stop = draft->plan->stop},
                          });
    }
    let_pass(draft, callback->id, callback->index);
}

enum verdict decide_reply_judged(struct draft *draft, const struct command *command)
{
    uint32_t index = engine_effect(&draft->run, command->effect)->index;
    draft_emit(draft, (struct event){
                          .kind = EVENT_REPLY_JUDGED,
                          .effect = command->effect,
                          .attempt = command->attempt,
                          .reply_judged = {.passed = command->reply_judged.passed,
                                           .reason = command->reply_judged.reason,
                                           .usage = command->reply_judged.usage},
                      });
    if (command->reply_judged.passed) {
        let_pass(draft, command->effect, index);
    } else {
        turn_down(draft, index, command->reply_judged.reason);
    }
    return VERDICT_OK;
}
