#include "service/agents/plan.h"

#include "service/agents/output.h"
#include "service/agents/transcript.h"

struct reply_plan plan_of(const struct agent_definition *definition,
                          const struct model_reply *reply, struct arena *arena)
{
    struct reply_plan ret = {0};
    transcript_judge_calls(definition, reply, arena, &ret.calls, &ret.call_count, &ret.stop);
    ret.misfit = output_misfit(definition, reply, arena, &ret.feedback);
    assert((ret.stop == REPLY_STOP_TOOLS) == (ret.call_count > 0));
    return ret;
}
