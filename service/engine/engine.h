/*
 * engine: the life of one run, as a pure function.
 *
 *   command --engine_decide--> events --(the partition commits)--> engine_apply --> run
 *
 * The engine reads no clock, allocates nothing, logs nothing and calls nobody. An event that
 * asks for an effect is the durable intent; the partition performs it after the commit, and the
 * effects still open in the state are what is owed after a restart, so there is no outbox.
 * Payloads pass through as borrowed bytes; the engine never looks into them.
 *
 * A live run is in one phase, which says what it may owe (a table in states.c):
 *
 *                 MODEL_REQUESTED              TASK_REQUESTED (one per tool call)
 *   NEW --START--> phase MODEL --MODEL_REPLIED--> phase TOOLS ----last TASK_SETTLED----+
 *    |              ^   |                                                              |
 *    |              +---|--------------------------------------------------------------+
 *    |                  +--> COMPLETED | FAILED | CANCELLED  <-- (from TOOLS too)
 *    +--START (workflow, tool): phase BODY with one task --TASK_SETTLED--> terminal
 *    +--START (agent with callbacks): phase CALLBACK, wherever the loop as a whole waits for one:
 * at |     its start and end, at a turn's start and end; those of tool calls stand in TOOLS
 *    |     Guardrails hold a reply before TOOLS or the end: in CALLBACK, in MODEL for a judgement
 *    +--START (agent in a queue): phase MODEL with a call that waits --ADMIT--> MODEL_REQUESTED
 *
 *   A task:  READY --grant--> LEASED --settled--> gone       LEASED --lost--> READY
 *            LEASED --park--> PARKED --a wait settled--> READY
 *            LEASED --failed, tried again--> BACKOFF --time--> READY
 *   Its code's waits (a time, an answer, an event, children) are effects of their own.
 *
 *   An agent run in a queue works only while it is admitted. It has given that back once all that
 *   is open are tasks that rest: parked, or tried again later.
 *
 *   Suspended points: MODEL waits for the model or for a retry's time; TOOLS and BODY wait for
 *   hosts and for what the code waits for, so a run is terminal or owes an effect.
 *
 * Invariant: a non-terminal started run has an open effect; a terminal run has none.
 * Threading: none of its business; every function touches its arguments only.
 */
#ifndef SERVICE_ENGINE_ENGINE_H
#define SERVICE_ENGINE_ENGINE_H

#include "service/engine/command.h"
#include "service/engine/event.h"
#include "service/engine/run.h"

/* The type of a task's error when its code asks for other steps than its history holds. The code
 * is to blame, not the run, which goes on when code comes that fits. */
#define ENGINE_NON_DETERMINISM "NON_DETERMINISM"
/* The type of a guardrail's error that turns the reply down; the message says why. Its outcome's
 * value, if there is one, is the reply as it changed it, packed. */
#define ENGINE_REPLY_REJECTED "REPLY_REJECTED"
/* The error type of a wait that the code gave up. */
#define ENGINE_WITHDRAWN "WITHDRAWN"

/* A run that has not begun. */
void engine_init(struct run *run);
/* What follows from the command; `ret` is empty unless the verdict is OK. The run stays as it is:
 * the events are applied once they are committed. */
enum verdict engine_decide(const struct run *run, const struct command *command,
                           struct decision *ret);
/* The event must be one that was decided in this very state. */
void engine_apply(struct run *run, const struct event *event);

/* Whether the run may owe such an effect in the phase it is in. */
bool engine_may_owe(const struct run *run, enum effect_kind kind);
/* It has completed, failed or was cancelled: nothing happens to it any more. */
bool engine_is_terminal(const struct run *run);
/* Nothing is at work for it: every open effect waits for a host or for a retry's time. */
bool engine_is_waiting(const struct run *run);
/* Only waits are open, or tasks whose code waits or did not fit: the run's clock stands still. */
bool engine_is_clock_stopped(const struct run *run);
/* When COMMAND_TIME is to be given, Unix ms; 0: never. */
uint64_t engine_next_deadline(const struct run *run);
/* NULL, or which law the state breaks. For simulation and tests. */
const char *engine_broken_invariant(const struct run *run);

/* The open effect with this id, or NULL. */
const struct effect *engine_effect(const struct run *run, uint32_t id);
/* Whether an effect of the kind is open, whoever owns it. */
bool engine_has_effect(const struct run *run, enum effect_kind kind);
/* The open wait with this key of this task's code, or NULL. */
const struct effect *engine_wait(const struct run *run, uint32_t owner, uint64_t key);
/* The oldest open suspension with this key of any task's code, or NULL. */
const struct effect *engine_suspension(const struct run *run, uint64_t key);
/* Whether one more wait would not be refused at once. */
bool engine_may_wait(const struct run *run);
/* Whether a resume is kept for the next suspension with this key. */
bool engine_has_kept(const struct run *run, uint64_t key);
/* The version of code (base/code_version.h) that is to work on a task while one of its hosts is
 * there. What nobody has had goes to the newest one; code that did not fit is tried in turn with
 * it. What has a history, or is a run's code that has begun, goes to no other language.
 */
uint64_t engine_pin(const struct run *run, const struct effect *task);

const char *engine_event_name(enum event_kind kind); /* "RUN_STARTED" */
const char *engine_state_name(enum run_state state); /* "live" */
const char *engine_phase_name(enum run_phase phase); /* "model" */

/* What is kept of a step's key; never 0. */
static inline uint64_t engine_key(str key)
{
    return str_hash(key) | 1;
}

#endif
