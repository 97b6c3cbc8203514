/*
 * draft: a decision as it is being made; private to the engine.
 *
 * A handler works on a draft, a copy of the run to which each event is applied as it is emitted,
 * so that it sees what its own events did and never guesses.
 */
#ifndef SERVICE_ENGINE_DRAFT_H
#define SERVICE_ENGINE_DRAFT_H

#include "service/engine/states.h"

struct draft {
    struct run run; /* After the events so far. */
    struct decision *decision;
    uint64_t now_ms;
    const struct callback *callbacks; /* Of the run's definition. */
    size_t callback_count;
    const struct reply_plan *plan; /* Of the command. */
};

/* Stamps the event, applies it and adds it to the decision. */
void draft_emit(struct draft *draft, struct event event);
/* The run ends well; the reason is for people. */
void draft_complete(struct draft *draft, str stop_reason);
/* The run ends with an error. */
void draft_fail(struct draft *draft, str reason, str message);
/* The run ends because somebody asked for it. */
void draft_cancel(struct draft *draft, str cause);
/* The model is called, for the first time or again; a new call for no guardrail. */
void draft_request_model(struct draft *draft, uint32_t effect, uint32_t attempt);
/* The limit that forbids an agent another turn: a stop reason; empty: none does. */
str draft_limit(const struct draft *draft);
/* The task ends so; nothing follows from it yet. */
void draft_settle_task(struct draft *draft, uint32_t effect, uint32_t attempt,
                       const struct outcome *outcome);
/* The task may be given out again, or at last. */
void draft_requeue(struct draft *draft, const struct effect *task);
/* What the server itself says of a step or a task that failed. */
struct outcome draft_failure(str type, str message);

/* loop.c */
/* Asks the first callback of a phase, about a tool call's effect or about none (0). False: the run
 * has none. */
bool draft_ask(struct draft *draft, enum callback_phase phase, uint32_t about);
/* A turn begins: its callbacks are asked, then the model, with what was said meanwhile. */
void draft_open_turn(struct draft *draft);
/* All that a reply asked for has ended: callbacks are asked, then the next turn or the end follows.
 */
void draft_turn_over(struct draft *draft);
/* A turn that is not over goes on, unless a limit says stop: nothing may stand between its parts.
 */
void draft_go_on(struct draft *draft);
/* The model is asked, with what was said meanwhile: in a turn that has begun. */
void draft_call_model(struct draft *draft);
/* The next model call: a turn's (0), or a guardrail's judgement, by its place from 1. It waits for
 * the run's admission if that has been given back. */
void draft_next_call(struct draft *draft, uint32_t guardrail);
/* Asks the callback of a phase with this place, about a tool call's effect or none (0). */
void draft_ask_one(struct draft *draft, enum callback_phase phase, uint32_t index, uint32_t about);
/* The callback of a phase with this place. */
const struct callback *draft_callback(const struct draft *draft, enum callback_phase phase,
                                      uint32_t index);
/* A task was settled, `task` before it was: the turn ends with its last one, a workflow with its
 * only one. A callback's `amendment` is what it made of its payload; empty: nothing. */
void draft_after_settled(struct draft *draft, const struct effect *task,
                         const struct outcome *outcome, str reason, str amendment);

/* One for each command, called in a state and about an effect that the table in decide.c allows.
 * OK exactly when it has emitted events. */
typedef enum verdict decide_function(struct draft *draft, const struct command *command);

/* guardrails.c */
decide_function decide_reply_judged;
/* A guardrail that is a function has judged; `amendment`: the reply as it changed it, packed. */
void draft_after_guardrail(struct draft *draft, const struct effect *callback,
                           const struct outcome *outcome, str amendment);

/* decide_model.c */
/* Nobody holds the reply back: what the command's plan says follows. */
void draft_act_on_reply(struct draft *draft);
decide_function decide_model_replied;
decide_function decide_model_failed;
decide_function decide_model_reissue;

/* decide_input.c */
decide_function decide_input;
/* The model is told all that is open, in order. */
void draft_take_inputs(struct draft *draft);
/* The run ends: nobody is told any more. */
void draft_return_inputs(struct draft *draft);

/* decide_task.c */
decide_function decide_lease_grant;
decide_function decide_lease_lost;
decide_function decide_step_done;
decide_function decide_cancel_shown;
decide_function decide_withdraw;
decide_function decide_step_try;
decide_function decide_task_done;
decide_function decide_park;
decide_function decide_code_came;
/* The task's own time is up: the model is told, a workflow fails. */
void draft_time_out_task(struct draft *draft, const struct effect *effect);

/* decide_wait.c */
decide_function decide_step_request;
decide_function decide_resume;
decide_function decide_wait_done;
decide_function decide_child_done;
/* The code that waited gave it up. */
void draft_withdraw_wait(struct draft *draft, const struct effect *wait, str key);
/* The wait's own time is up. */
void draft_end_wait(struct draft *draft, const struct effect *wait);

/* decide_admission.c */
decide_function decide_admit;
decide_function decide_withdraw_admission;

#endif
