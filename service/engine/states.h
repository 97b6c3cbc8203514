/*
 * states: the states of a run as data; private to the engine.
 */
#ifndef SERVICE_ENGINE_STATES_H
#define SERVICE_ENGINE_STATES_H

#include "service/engine/engine.h"

#define STATE_BIT(state) (1u << (state))

/* Asserts that the table allows it. */
void states_move(struct run *run, enum run_state next);
/* As engine_effect(), to be changed. */
struct effect *states_effect(struct run *run, uint32_t id);

#endif
