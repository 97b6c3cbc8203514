/*
 * states: the states and phases of a run as data; private to the engine.
 */
#ifndef SERVICE_ENGINE_STATES_H
#define SERVICE_ENGINE_STATES_H

#include "service/engine/engine.h"

#define STATE_BIT(state) (1u << (state))
#define KIND_BIT(kind) (1u << (kind))
#define PHASE_BIT(phase) (1u << (phase))

/* As bits: what hosts do, and what the code of that waits for. */
#define KINDS_TASK (KIND_BIT(EFFECT_TOOL) | KIND_BIT(EFFECT_BODY) | KIND_BIT(EFFECT_CALLBACK))
#define KINDS_OF_CODE                                                                              \
    (KIND_BIT(EFFECT_SLEEP) | KIND_BIT(EFFECT_SUSPENSION) | KIND_BIT(EFFECT_EVENT) |               \
     KIND_BIT(EFFECT_CHILDREN) | KIND_BIT(EFFECT_AT_ONCE))

/* Both assert that the tables allow it. A live run that ends is in no phase any more. */
void states_move(struct run *run, enum run_state next);
void states_enter(struct run *run, enum run_phase next);
/* Whether the run, where it stands, may owe one of these kinds of effects (as bits). */
bool states_may_owe(const struct run *run, unsigned kinds);
/* As engine_effect(), to be changed. */
struct effect *states_effect(struct run *run, uint32_t id);

#endif
