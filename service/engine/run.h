/*
 * run: the state of one run, as a value.
 *
 * What is owed to the run are its effects: model calls, tasks for hosts, and what the code of a
 * task waits for. They are open as long as they are there.
 *
 * Invariant: no pointers and no padding: states are compared, copied and hashed as bytes.
 */
#ifndef SERVICE_ENGINE_RUN_H
#define SERVICE_ENGINE_RUN_H

#include "service/base/base.h"
#include "service/base/uuid.h"

enum {
    ENGINE_TOOL_CALLS_MAX = 32, /* Per turn; more are refused to the model, one by one. */
    ENGINE_WAITS_MAX = 32, /* Open waits of a run; more settle at once, as failed. */
    ENGINE_EFFECTS_MAX = ENGINE_TOOL_CALLS_MAX + ENGINE_WAITS_MAX + 1, /* And one at once. */
    ENGINE_HOOKS_MAX = 64, /* Of an agent, in all phases. */
    ENGINE_GUARDRAILS_MAX = 16, /* Of an agent. */
    ENGINE_CALLBACKS_MAX = ENGINE_HOOKS_MAX + ENGINE_GUARDRAILS_MAX,
    ENGINE_GUARDRAIL_RETRIES_MAX = 10,
    ENGINE_KEPT_MAX = 8, /* Resumes kept for suspensions to come. */
    ENGINE_EVENTS_MAX = 2 * ENGINE_EFFECTS_MAX + 4, /* Per decision. */
    ENGINE_MODEL_ATTEMPTS_MAX = 5, /* Failed attempts of one model call before the run fails. */
    ENGINE_INPUTS_MAX = 32, /* Accepted by a run and not taken up; more are refused. */
    ENGINE_OUTPUT_TRIES_MAX = 11, /* Answers asked for until one fits: one, and retries. */
    ENGINE_TASK_LEASES_MAX = 5, /* Hosts one task may lose before it is given up. */
    ENGINE_RETRY_BASE_MS = 500, /* Doubled by each failed attempt ... */
    ENGINE_RETRY_MAX_MS = 30000, /* ... up to this, unless the server's hint says longer. */
    ENGINE_RUN_RETRY_BASE_MS = 1000, /* A run that failed and is tried again: doubled ... */
    ENGINE_RUN_RETRY_MAX_MS = 60000, /* ... up to this. Code that does not fit waits as long. */
    ENGINE_CLEANUP_MS = 30000, /* What code that was cancelled may take to clean up. */
};

enum run_kind {
    RUN_KIND_NONE,
    RUN_KIND_AGENT,
    RUN_KIND_WORKFLOW,
    RUN_KIND_TOOL,
    RUN_KIND_COUNT,
};

enum run_state {
    RUN_NEW,
    RUN_LIVE,
    RUN_COMPLETED,
    RUN_FAILED,
    RUN_CANCELLED,
    RUN_STATE_COUNT,
};

/* Where a live run stands: what it may owe there says a table in states.c. */
enum run_phase {
    PHASE_NONE, /* It is not live. */
    PHASE_MODEL, /* Agents: a model call, or one that judges a reply. */
    PHASE_TOOLS, /* Agents: the tool calls of a reply. */
    PHASE_BODY, /* Workflows and tools: their code. */
    PHASE_CALLBACK, /* Agents: a callback that the loop as a whole waits for. */
    PHASE_COUNT,
};

/* Where in an agent's run callbacks are asked. Numbers are on disk and never change; new ones go to
 * the end. */
enum callback_phase {
    CALLBACK_NONE = 0,
    CALLBACK_RUN_START = 1, /* Before anything else. */
    CALLBACK_RUN_END = 2, /* When it would complete. */
    CALLBACK_TURN_START = 3, /* Before a model call. */
    CALLBACK_TURN_END = 4, /* When all that a reply asked for has ended. */
    CALLBACK_TOOL_START = 5, /* Before a tool call: it is held until they have passed. */
    CALLBACK_TOOL_END = 6, /* After a tool call. */
    CALLBACK_REPLY = 7, /* Guardrails: before anybody acts on a reply. */
    CALLBACK_PHASE_COUNT,
};

enum {
    CALLBACK_PHASE_ROOM = 16, /* Of what is kept by phase. */
};

/* Numbers are on disk and never change; new ones go to the end. */
enum effect_kind {
    EFFECT_NONE = 0,
    EFFECT_MODEL = 1,
    EFFECT_TOOL = 2, /* A tool call of an agent run: a task. */
    EFFECT_BODY = 3, /* The code of a workflow or tool run: a task. */
    EFFECT_SLEEP = 4, /* The waits of a task's code: for a time, ... */
    EFFECT_SUSPENSION = 5, /* ... an answer from outside, ... */
    EFFECT_EVENT = 6, /* ... an event of a topic, ... */
    EFFECT_CHILDREN = 7, /* ... runs it started. */
    EFFECT_AT_ONCE = 8, /* A step request done at once: publication, resume, children left alone. */
    EFFECT_CALLBACK = 9, /* A function of the agent's user: a task. */
    EFFECT_KIND_COUNT,
};

/* What a task's code may ask the server for. */
static inline bool effect_kind_is_step_request(uint32_t kind)
{
    return kind >= EFFECT_SLEEP && kind <= EFFECT_AT_ONCE;
}

/* Of an open effect; there are no others. */
enum effect_state {
    EFFECT_READY = 1, /* Model: the call is out. Task: no host has it. */
    EFFECT_LEASED, /* Task: a host has it. */
    EFFECT_BACKOFF, /* Model, task: to be asked for again at due_ms. */
    EFFECT_PARKED, /* Task: its host let go of it; it is ready when a wait ends. A tool call that no
                      host has had: it is held by its callbacks. Model: the call waits for the
                      run's admission. */
};

/* What the world owes the run. Where a field has two names, the kind says which of them holds. */
struct effect {
    uint32_t id; /* From 1, never used again in its run. */
    uint32_t attempt; /* Model: calls asked for. Task: leases granted; the epoch. */
    union {
        uint32_t failures; /* Model: attempts that failed. */
        uint32_t leases_lost; /* Task: not excused, since a step or a wait was settled. */
    };
    uint32_t steps; /* Task: steps settled, and what else its host said of its code. */
    uint64_t host; /* Task, leased: hash of the host's id. */
    uint64_t since_ms; /* When it was asked for. */
    uint64_t due_ms; /* Backoff: ask again then. Wait: it ends then; 0: never by itself. */
    uint64_t deadline_ms; /* Task: give up then; 0: with the run. */
    union {
        uint64_t key; /* Wait: hash of its step's key. */
        uint64_t deployment; /* Task: version that had it last; 0: none, or not known. */
    };
    uint64_t pin; /* Task: version of the code it is bound to; 0: the run's. */
    uint32_t
        owner; /* Wait: the task whose code waits. Callback: the tool call it is about; 0: none. */
    union {
        uint32_t children_left; /* Children: how many have not ended. */
        uint32_t waits_settled; /* Task: waits of its code that have ended. */
    };
    uint8_t kind; /* enum effect_kind */
    uint8_t state; /* enum effect_state */
    uint8_t at_most_once; /* Task: a lost lease settles it. */
    uint8_t mismatches; /* Task: times in a row that its code did not fit; at most 255. */
    uint8_t phase; /* Callback: enum callback_phase. Model: REPLY for a guardrail's judgement. */
    uint8_t index; /* Callback, judgement: its place among those of its phase, from 0. */
    uint8_t reserved[2]; /* Zero: the state is compared as bytes. */
};

/* Agents: a queue's leave for the run to work. */
enum admission {
    ADMISSION_NONE, /* It needs none. */
    ADMISSION_AWAITED,
    ADMISSION_HELD,
};

/* Whether a fact of the run holds the state that its code keeps, as JSON. */
enum code_state {
    CODE_STATE_UNKNOWN, /* It was loaded from a snapshot of an older release. */
    CODE_STATE_NONE,
    CODE_STATE_THERE,
};

/* The state of one run. A value: no pointers, no padding left to chance. */
struct run {
    uuid id;
    uint32_t seq; /* Of the last event applied. */
    uint32_t effect_next; /* Ids below it were given out. */
    union {
        uint32_t turns; /* Agents: model calls answered. */
        uint32_t steps; /* Others: steps settled. */
    };
    uint32_t turns_max; /* Agents. */
    uint64_t started_ms;
    uint64_t begun_ms; /* When the first work for it began; 0: it has not, or it is not known. */
    uint64_t ended_ms; /* 0: it has not. */
    uint64_t deadline_ms; /* 0: none. */
    uint64_t tokens_max; /* 0: no limit. */
    uint64_t input_tokens;
    uint64_t output_tokens;
    uint64_t cache_read_tokens;
    uint64_t cache_write_tokens;
    uint64_t reasoning_tokens;
    uint64_t timeout_ms; /* What deadline_ms is set to anew after each wait; 0: none. */
    uint64_t deployment; /* Version of the code the run stays with; 0: none yet. */
    uint64_t kept[ENGINE_KEPT_MAX]; /* Hashes of the keys of resumes that came early. */
    uint32_t kept_count;
    uint32_t retries; /* Of the run, after failures. */
    uint32_t retries_max;
    uint8_t kind; /* enum run_kind */
    uint8_t state; /* enum run_state */
    uint8_t usage_incomplete;
    uint8_t is_cancelling; /* Its code is cleaning up. */
    uint32_t effect_count; /* Entries at the front of `effects`, in the order they were opened. */
    uint8_t admission; /* enum admission */
    uint8_t code_state; /* enum code_state */
    uint8_t phase; /* enum run_phase */
    uint8_t output_tries; /* Agents: answers until one has to fit; 0: none is judged. */
    uint8_t outputs_rejected; /* Agents. */
    uint8_t inputs_open; /* Agents: accepted, and not taken up so far; the last ones. */
    uint8_t last_stop; /* Agents: enum reply_stop of the last reply. */
    uint8_t was_rejected; /* Agents: the last reply was turned down. */
    uint32_t inputs_accepted; /* Agents: numbered from 1. */
    uint8_t callbacks[CALLBACK_PHASE_ROOM]; /* Agents: how many each phase has. */
    uint8_t is_turn_refused; /* Agents: a callback let no other turn begin. */
    uint8_t guardrail_retries; /* Agents: replies that guardrails may turn down in a turn. */
    uint8_t replies_rejected; /* Agents: that they did turn down in this turn. */
    uint8_t spare[5]; /* Zero. */
    struct effect effects[ENGINE_EFFECTS_MAX]; /* Of the current turn, in order. */
};

static inline bool effect_is_task(const struct effect *effect)
{
    return effect->kind == EFFECT_TOOL || effect->kind == EFFECT_BODY ||
           effect->kind == EFFECT_CALLBACK;
}

/* What its task's code waits for. */
static inline bool effect_is_wait(const struct effect *effect)
{
    return effect->kind >= EFFECT_SLEEP && effect->kind < EFFECT_AT_ONCE;
}

/* A tool call whose callbacks have not passed yet; its own time has not begun. */
static inline bool effect_is_held(const struct effect *effect)
{
    return effect->kind == EFFECT_TOOL && effect->state == EFFECT_PARKED && effect->attempt == 0;
}

/* A model call that judges a reply, for a guardrail that is a sentence. */
static inline bool effect_is_judgement(const struct effect *effect)
{
    return effect->kind == EFFECT_MODEL && effect->phase == CALLBACK_REPLY;
}

/* Its code did not fit its history: it is tried again in a while, or when other code comes. */
static inline bool effect_is_stopped(const struct effect *effect)
{
    return effect->state == EFFECT_BACKOFF && effect->mismatches > 0;
}

#endif
