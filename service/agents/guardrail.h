/*
 * guardrail: a model's reply as those see it that judge it, and what they make of it.
 */
#ifndef SERVICE_AGENTS_GUARDRAIL_H
#define SERVICE_AGENTS_GUARDRAIL_H

#include "service/agents/definition.h"
#include "service/base/arena.h"
#include "service/llm/provider.h"

/* The reply of a run that was told last, as guardrails left it; points into the records or the
 * arena. NOT_FOUND: there is none. *ret_judgements: how often a model has judged one so far. */
status guardrail_reply(const str *records, size_t record_count, struct arena *arena,
                       struct model_reply *ret, str *ret_origin, uint32_t *ret_judgements);
/* The reply as JSON: {"content": text, "tool_calls": [{"call_id", "name", "arguments_json"}]}. */
str guardrail_show(const struct model_reply *reply, struct arena *arena);
/* Changes the reply by the members that JSON has of those above: the text, the calls. What a
 * provider wants back as it came goes with what was changed. What is wrong with it; empty:
 * nothing. */
str guardrail_amend(struct model_reply *reply, str changes, struct arena *arena);
/* The model call that judges a reply by a sentence. `number`: which judgement of its run it is,
 * from 1. Lives as long as the arena and what it is given. */
struct model_request guardrail_request(const struct agent_definition *definition,
                                       const struct model_reply *reply, str prompt, uint32_t number,
                                       struct arena *arena);
/* What such a call said. False: nothing that can be understood. */
bool guardrail_verdict(const struct model_reply *judgement, struct arena *arena, bool *ret_passed,
                       str *ret_reason);
/* What the model is told of a reply that was turned down. */
str guardrail_objection(str reason, struct arena *arena);

#endif
