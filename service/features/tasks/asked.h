/*
 * asked: what a callback of an agent is asked about.
 */
#ifndef SERVICE_FEATURES_TASKS_ASKED_H
#define SERVICE_FEATURES_TASKS_ASKED_H

#include "service/hosts/leases.h"
#include "service/partition/state.h"

/* From the run's facts, as the callbacks before it left it. *ret_input: the input of its task. What
 * is set lives in the round's arena. */
status asked_of(struct partition *partition, struct live_run *run, const struct effect *callback,
                struct host_callback *ret, str *ret_input);
/* What follows from what a guardrail decided, in the arena: the command, TASK_DONE, gets the plan
 * of the reply as it changed it, which is the outcome's value from then on, packed. */
void asked_plan(struct partition *partition, struct live_run *run, struct arena *arena,
                struct command *command);
/* What is wrong with what a callback made of its payload; empty: nothing. In the arena. */
str asked_misfit(enum callback_phase phase, str value, struct arena *arena);
/* What a tool call is called with, as its callbacks left it; `input`: as the model made it. */
status asked_arguments(struct partition *partition, const struct live_run *run, uint32_t effect,
                       str *input);

#endif
