/*
 * output: a reply as the answer that an agent's output schema asks for.
 */
#ifndef SERVICE_AGENTS_OUTPUT_H
#define SERVICE_AGENTS_OUTPUT_H

#include "service/agents/definition.h"
#include "service/base/arena.h"
#include "service/llm/provider.h"

/* The JSON that an answer's text is, or that stands alone between its fences ("```json"); empty:
 * there is none. Points into the text. */
str output_json(str text);
/* Why a reply that is to be the answer does not fit the definition's output schema, for people;
 * empty: it fits, or there is no schema to judge by. *ret_feedback: what the model is told of it.
 * In the arena. */
str output_misfit(const struct agent_definition *definition, const struct model_reply *reply,
                  struct arena *arena, str *ret_feedback);

#endif
