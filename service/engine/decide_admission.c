/* A queue lets agent runs work, one by one. */
#include "service/engine/draft.h"

/* The call of an agent's model, or NULL. */
static const struct effect *model_call(const struct run *run)
{
    return run->phase == PHASE_MODEL ? &run->effects[0] : NULL;
}

enum verdict decide_admit(struct draft *draft, const struct command *command)
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
    draft_emit(draft, (struct event){
                          .kind = EVENT_ADMISSION_GIVEN,
                          .effect = call == NULL ? 0 : call->id,
                      });
    if (call != NULL) {
        draft_request_model(draft, call->id, call->attempt + 1);
    }
    return VERDICT_OK;
}

enum verdict decide_withdraw_admission(struct draft *draft, const struct command *command)
{
    (void)command;
    if (draft->run.admission != ADMISSION_HELD) {
        return VERDICT_STALE;
    }
    const struct effect *call = model_call(&draft->run);
    bool is_judgement = call != NULL && effect_is_judgement(call);
    draft_emit(draft, (struct event){
                          .kind = EVENT_ADMISSION_ASKED,
                          .effect = call == NULL ? 0 : call->id,
                          .model_requested = {.guardrail = is_judgement ? call->index + 1u : 0},
                      });
    return VERDICT_OK;
}
