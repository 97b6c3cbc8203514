/*
 * plan: what follows from a model's reply, by the agent's definition.
 */
#ifndef SERVICE_AGENTS_PLAN_H
#define SERVICE_AGENTS_PLAN_H

#include "service/agents/definition.h"
#include "service/base/arena.h"
#include "service/engine/engine.h"
#include "service/llm/provider.h"

/* The calls to be run and why it is no answer, if it is none; without an objection. In the arena,
 * and pointing into the reply and the definition. */
struct reply_plan plan_of(const struct agent_definition *definition,
                          const struct model_reply *reply, struct arena *arena);

#endif
