/*
 * replies: what a model is asked for a turn or for a guardrail, and what follows from what it said.
 */
#include "service/features/models/replies.h"

#include "service/agents/guardrail.h"
#include "service/agents/plan.h"
#include "service/agents/transcript.h"
#include "service/partition/commands.h"
#include "service/partition/state.h"

/* The guardrail's sentence: the agent has as many of its phase as the run. */
static str prompt_of(const struct agent_definition *agent, uint32_t index)
{
    for (size_t i = 0; i < agent->callback_count; i++) {
        if (agent->callbacks[i].phase == CALLBACK_REPLY && index-- == 0) {
            return agent->callbacks[i].prompt;
        }
    }
    return STR_EMPTY;
}

status replies_request(struct partition *partition, const struct live_run *run,
                       const struct effect *effect, const struct agent_definition *agent,
                       struct model_request *ret)
{
    struct model_reply reply;
    str origin;
    uint32_t judgements;
    if (!effect_is_judgement(effect)) {
        return transcript_request(agent, run->records, run->record_count, &partition->scratch, ret);
    }
    str prompt = prompt_of(agent, effect->index);
    TRY(guardrail_reply(run->records, run->record_count, &partition->scratch, &reply, &origin,
                        &judgements));
    if (prompt.len == 0) {
        return status_make(CODE_DATA_LOSS, "definition of an agent: a guardrail has no sentence");
    }
    *ret = guardrail_request(agent, &reply, prompt, judgements + 1, &partition->scratch);
    return transcript_options(agent, run->records, run->record_count, &partition->scratch,
                              &ret->options_json);
}

static str origin_of(const struct agent_definition *agent, struct arena *arena)
{
    return arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(agent->provider),
                        STR_ARG(agent->model));
}

static struct engine_usage usage_of(const struct model_reply *reply)
{
    return (struct engine_usage){
        .input = reply->usage.input,
        .output = reply->usage.output,
        .cache_read = reply->usage.cache_read,
        .cache_write = reply->usage.cache_write,
        .reasoning = reply->usage.reasoning,
        .known = reply->usage.known,
    };
}

static void submit_turn(struct partition *partition, struct live_run *run,
                        const struct reply_said *said, const struct agent_definition *agent)
{
    struct arena *arena = said->arena;
    struct buf packed = {0};
    transcript_pack_reply(said->reply, origin_of(agent, arena), &packed);
    struct command command = {
        .kind = COMMAND_MODEL_REPLIED,
        .effect = said->effect,
        .attempt = said->attempt,
        .plan = plan_of(agent, said->reply, arena),
        .model_replied = {.reply = buf_str(&packed), .usage = usage_of(said->reply)},
    };
    enum verdict verdict = command_submit(partition, run, &command);
    (void)verdict; /* A stale answer changes nothing; it has been counted. */
    buf_fini(&packed);
}

/* What was judged is acted on if it passes. What can't be understood is asked for again. */
static status submit_judgement(struct partition *partition, struct live_run *run,
                               const struct reply_said *said, const struct agent_definition *agent)
{
    struct arena *arena = said->arena;
    struct command command = {
        .kind = COMMAND_REPLY_JUDGED,
        .effect = said->effect,
        .attempt = said->attempt,
        .reply_judged = {.usage = usage_of(said->reply)},
    };
    struct model_reply judged;
    str origin;
    uint32_t judgements;
    status read =
        guardrail_reply(run->records, run->record_count, arena, &judged, &origin, &judgements);
    TRY(read);
    if (guardrail_verdict(said->reply, arena, &command.reply_judged.passed,
                          &command.reply_judged.reason)) {
        command.plan = plan_of(agent, &judged, arena);
        command.plan.objection = guardrail_objection(command.reply_judged.reason, arena);
    } else {
        command.kind = COMMAND_MODEL_FAILED;
        command.model_failed.reason = STR("GUARDRAIL_UNREADABLE");
        command.model_failed.message =
            STR("the model that judges a reply for a guardrail gave no verdict");
        command.model_failed.retryable = true;
        partition->options.random(partition->options.context, &command.model_failed.jitter,
                                  sizeof(command.model_failed.jitter));
    }
    enum verdict verdict = command_submit(partition, run, &command);
    (void)verdict; /* As above. */
    return STATUS_OK;
}

status replies_submit(struct partition *partition, struct live_run *run,
                      const struct reply_said *said, const struct agent_definition *agent)
{
    const struct effect *call = engine_effect(&run->state, said->effect);
    if (call != NULL && effect_is_judgement(call)) {
        return submit_judgement(partition, run, said, agent);
    }
    submit_turn(partition, run, said, agent);
    return STATUS_OK;
}
