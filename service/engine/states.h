/*
 * states: the states of a run as data; private to the engine.
 */
#ifndef SERVICE_ENGINE_STATES_H
#define SERVICE_ENGINE_STATES_H

#include "service/engine/engine.h"

#define STATE_BIT(state) (1u << (state))

/* Asserts that the table allows it. */
void states_move(struct run *run, enum run_state next);
/* The entry with this id, open or closed; NULL when there is none. */
struct effect *states_effect(struct run *run, uint32_t id);
bool states_has_open_effect(const struct run *run);

#endif
