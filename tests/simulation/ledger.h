/*
 * ledger: an account of one run, kept from its committed events alone, by other hands.
 *
 * It shares no code with the engine: what the engine knows by its state, the ledger knows by
 * adding up facts. Each fact is checked against the laws; a broken one is named.
 *
 * Invariant: a law that no mutant has broken is not known to be checked; see *_mutants.bzl.
 */
#ifndef TESTS_SIMULATION_LEDGER_H
#define TESTS_SIMULATION_LEDGER_H

#include "service/engine/engine.h"

/* A law as an expression that must be true; its name goes to whoever asked. */
#define LAW(name, holds)                                                                           \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            return name;                                                                           \
        }                                                                                          \
    } while (0)

enum {
    LEDGER_EFFECTS_MAX = 512,
    LEDGER_KEPT_MAX = 8,
    LEDGER_CHILDREN_MAX = 64, /* Of one wait. */
};

struct ledger_effect {
    enum effect_kind kind;
    bool is_open;
    bool is_leased;
    bool at_most_once;
    uint32_t attempt; /* Model: asked last. Task: lease granted last. */
    uint32_t failures;
    uint32_t leases_lost; /* All, ... */
    uint32_t leases_in_vain; /* ... and those that count since its history grew last. */
    uint64_t lease_life; /* In which the last one was granted. */
    uint32_t mismatches; /* Task: in a row that its code did not fit. */
    uint64_t deployment; /* Task: that had it last, ... */
    uint64_t pin; /* ... and whose code added to its history last; hashes, 0: none. */
    uint64_t language; /* Task: of the host that had it last, ... */
    uint64_t pin_language; /* ... and of what added to its history last; 0: any. */
    uint32_t steps;
    uint64_t host;
    bool awaits_admission; /* Model. */
    uint64_t retry_at_ms; /* Model, body: waits until then; 0: it does not. */
    uint64_t deadline_ms;
    bool is_parked; /* Task. */
    uint32_t outcomes; /* Task: of its waits and of what was done at once. */
    uint32_t owner; /* Wait: the task whose code waits. */
    uint64_t key; /* Wait: hash of its step's key. */
    uint64_t due_ms; /* Wait: 0: never by itself. */
    uint32_t children; /* Wait: how many were started, ... */
    uint64_t children_told; /* ... and which of them have ended, as bits. */
    bool has_schema; /* Suspension: that answers have to say "yes". */
    bool was_answered_early; /* Suspension: an answer had been kept, ... */
    uint64_t early_answer; /* ... and its hash. */
    bool has_seen_cancel; /* Task: its code was shown the cancellation. */
    enum callback_phase phase; /* Callback; the tool call it is about is its owner. */
    uint32_t index; /* Callback. */
    uint64_t since_ms;
    uint32_t starts_passed; /* Tool call: callbacks before it that passed, ... */
    uint32_t ends_passed; /* ... and behind it. */
    bool was_run; /* Tool call: it was not refused. */
    uint64_t arguments; /* Tool call: hash of what callbacks made of them; 0: nothing. */
    uint64_t result; /* And of its result. */
};

/* Why a host gives a task back. */
#define LEDGER_RELEASED "it does not fit here"

struct ledger {
    bool is_started;
    uint64_t giving_up; /* The key of the wait that was given up just now, hashed; 0: none. */
    bool is_copying; /* What it begins with may not all be there. */
    bool is_full; /* Its history was over its limit before the record at hand. */
    enum event_kind ended; /* EVENT_NONE: it has not. */
    enum run_kind kind;
    uint64_t deadline_ms;
    uint64_t tokens_max;
    uint64_t tokens;
    uint32_t turns_max;
    uint32_t replies;
    uint32_t steps;
    uint32_t events;
    uint32_t effect_count; /* Ids given out: 1 to effect_count. */
    uint32_t open_count;
    uint64_t life; /* Another one whenever the writer has forgotten who has what; set outside. */
    bool gave_up_model;
    enum reply_stop stop; /* Of the last reply. */
    uint32_t output_tries; /* 0: answers are not judged. */
    uint32_t rejections;
    bool is_rejected; /* The last reply was no answer. */
    uint8_t callbacks[CALLBACK_PHASE_ROOM]; /* How many each phase has. */
    uint32_t passed[CALLBACK_PHASE_COUNT]; /* Of the run, or the turn at hand. */
    uint32_t amends; /* The callback that has just passed, and may have changed something. */
    bool has_callback_failed;
    bool has_guardrail_failed; /* That callback was one. */
    bool is_held; /* Guardrails have not let the last reply pass. */
    uint32_t objector; /* The guardrail that turned it down just now, from 1; 0: none. */
    uint32_t guardrail_retries;
    uint32_t turned_down; /* Replies of this turn, ... */
    uint32_t turned_down_in_all; /* ... and of all. */
    bool is_asked_again; /* The last reply was turned down. */
    bool is_turn_refused; /* By a callback: the loop is over. */
    uint32_t inputs_accepted;
    uint32_t inputs_taken;
    uint32_t inputs_returned;
    bool is_steered; /* Inputs were taken, and the call that has them is to follow. */
    uint64_t timeout_ms; /* Of the running time between waits; 0: none. */
    uint32_t retries;
    uint32_t retries_max;
    uint64_t deployment; /* It stays with; a hash, 0: none. */
    uint64_t language; /* The same. */
    bool is_cancelling;
    bool needs_admission; /* An agent in a queue: it works only ... */
    bool is_admitted; /* ... while this is so. */
    struct {
        uint64_t key;
        uint64_t answer;
        bool says_yes;
    } kept[LEDGER_KEPT_MAX]; /* Answers to suspensions to come. */
    uint32_t kept_count;
    struct ledger_effect effects[LEDGER_EFFECTS_MAX + 1]; /* By id. */
};

void ledger_init(struct ledger *ledger);
/* NULL, or the law that the event breaks. */
const char *ledger_add(struct ledger *ledger, const struct event *event);
/* ledger_add() of the three kinds of facts of inputs: ledger_inputs.c. */
const char *ledger_add_input(struct ledger *ledger, const struct event *event);
/* ledger_callbacks.c: a callback is asked; it has ended; it changed something; a model call that is
 * new follows callbacks; so does the end of a run. */
const char *ledger_ask_callback(struct ledger *ledger, const struct event *event);
void ledger_end_callback(struct ledger *ledger, const struct ledger_effect *callback,
                         const struct outcome *outcome);
const char *ledger_amend(struct ledger *ledger, const struct event *event);
const char *ledger_begin_turn(struct ledger *ledger);
/* ledger_guardrails.c: a model call is to judge a reply; what it or a function said of one. */
const char *ledger_ask_judgement(const struct ledger *ledger, const struct event *event);
/* Its verdict, its change, that all let the reply pass. */
const char *ledger_add_guardrail(struct ledger *ledger, const struct event *event);
void ledger_end_guardrail(struct ledger *ledger, const struct ledger_effect *callback,
                          const struct outcome *outcome);
/* A reply was turned down, by whomever; the run failed, by a guardrail or otherwise. */
const char *ledger_reject_reply(struct ledger *ledger, const struct event *event);
const char *ledger_fail(const struct ledger *ledger, const struct event *event);
const char *ledger_complete(const struct ledger *ledger);
/* A command has been decided in full. */
const char *ledger_settle_callbacks(struct ledger *ledger, bool is_live);
/* After the last event of a transition: what must be true between transitions. */
const char *ledger_settle(struct ledger *ledger);
/* Whether the engine's state says what the ledger says. */
const char *ledger_compare(const struct ledger *ledger, const struct run *run);
/* What the engine must answer; VERDICT_REFUSED stands for any refusal that has no own law. */
enum verdict ledger_verdict(const struct ledger *ledger, const struct command *command);
/* The earliest time something is due; 0: nothing is. */
uint64_t ledger_next_deadline(const struct ledger *ledger);
/* Whether the code of a task waits for anything. */
bool ledger_code_waits(const struct ledger *ledger, uint32_t task);
/* How many waits of code are open. */
uint32_t ledger_wait_count(const struct ledger *ledger);
/* Whether a task was lost so often, or once where that is too often, that nobody gets it again. */
bool ledger_is_given_up(const struct ledger_effect *effect);
bool ledger_has_kept(const struct ledger *ledger, str key);
static inline bool ledger_is_wait(const struct ledger_effect *effect)
{
    return effect->kind >= EFFECT_SLEEP && effect->kind <= EFFECT_AT_ONCE;
}
static inline bool ledger_is_task(const struct ledger_effect *effect)
{
    return effect->kind == EFFECT_TOOL || effect->kind == EFFECT_BODY ||
           effect->kind == EFFECT_CALLBACK;
}
/* A tool call whose callbacks have not passed. */
static inline bool ledger_is_held(const struct ledger_effect *effect)
{
    return effect->kind == EFFECT_TOOL && effect->is_parked && effect->attempt == 0;
}
/* A task that waits for a host. */
static inline bool ledger_is_ready(const struct ledger_effect *effect)
{
    return ledger_is_task(effect) && effect->is_open && !effect->is_leased && !effect->is_parked &&
           effect->retry_at_ms == 0;
}
/* The open wait of a task's code under a step's key, or NULL. */
const struct ledger_effect *ledger_wait(const struct ledger *ledger, uint32_t owner, str key);
bool ledger_is_suspended(const struct ledger *ledger, str key);
const struct ledger_effect *ledger_open(const struct ledger *ledger, uint32_t id); /* Or NULL. */

#endif
