/*
 * replies: what a model is asked for a turn or for a guardrail, and what follows from what it said.
 */
#ifndef SERVICE_FEATURES_MODELS_REPLIES_H
#define SERVICE_FEATURES_MODELS_REPLIES_H

#include "service/agents/definition.h"
#include "service/llm/provider.h"
#include "service/partition/runs.h"

/* What a model said in a call of a run; `reply` and `arena` outlive the call here. */
struct reply_said {
    uint32_t effect;
    uint32_t attempt;
    const struct model_reply *reply;
    struct arena *arena;
};

/* The request of the model call, from the run's facts: in the partition's scratch. */
status replies_request(struct partition *partition, const struct live_run *run,
                       const struct effect *effect, const struct agent_definition *agent,
                       struct model_request *ret);
/* Gives the run the reply, as a turn's or as a guardrail's judgement. Not OK: what was to be judged
 * cannot be read. */
status replies_submit(struct partition *partition, struct live_run *run,
                      const struct reply_said *said, const struct agent_definition *agent);

#endif
