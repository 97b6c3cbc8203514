/*
 * shown: parts of answers that several of them have, from values within.
 *
 * What is returned lives in the arena and is never NULL, unless said otherwise.
 */
#ifndef SERVICE_API_SHOWN_H
#define SERVICE_API_SHOWN_H

#include "polos/v1/common.pb-c.h"
#include "polos/v1/steps.pb-c.h"
#include "service/base/arena.h"
#include "service/base/outcome.h"
#include "service/engine/engine.h"
#include "service/llm/provider.h"

enum {
    SHOWN_SENTENCE_BYTES_MAX = 16 << 10, /* Of a failure's message and of its stack. */
};

/* Why something ended badly, cut where it is longer than the API allows. stack empty: none. */
Polos__V1__Failure *shown_failure(struct arena *arena, str reason, str message, str stack);
/* Tokens, with their sum. */
Polos__V1__Usage *shown_usage(struct arena *arena, const struct engine_usage *from);
/* A block that is a tool call. */
Polos__V1__ToolCall *shown_call(struct arena *arena, const struct model_block *from);
/* As hosts send and are sent it: a value, which may be empty, or an error. */
Polos__V1__TaskOutcome *shown_outcome(struct arena *arena, const struct outcome *from);
/* A step that has settled. */
Polos__V1__SettledStep *shown_step(struct arena *arena, str key, Polos__V1__StepKind kind,
                                   const struct outcome *from);
/* Why an agent's loop ended, by the word the journal keeps; UNSPECIFIED: it is none. */
Polos__V1__StopReason shown_stop(str word);
/* What becomes of a tool call whose host is lost. */
Polos__V1__LostCall shown_on_lost(bool at_most_once);

#endif
