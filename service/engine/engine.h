/*
 * engine: the life of one run, as a pure function.
 *
 *   command --engine_decide--> events --(the runtime commits)--> engine_apply --> run
 *
 * The engine reads no clock, allocates nothing, logs nothing and calls nobody. An event that
 * orders an effect is the durable intent; the runtime performs it after the commit, and the
 * effects still open in the state are what is owed after a restart, so there is no outbox.
 * Payloads pass through as borrowed bytes; the engine never looks into them.
 *
 *                 MODEL_REQUESTED              TASK_REQUESTED (one per tool call)
 *   NEW --START--> THINKING ----MODEL_REPLIED----> ACTING ----last TASK_SETTLED----+
 *    |              ^   |                                                         |
 *    |              +---|---------------------------------------------------------+
 *    |                  +--> COMPLETED | FAILED | CANCELLED  <-- (from ACTING too)
 *    +--START (workflow, tool): ACTING with one BODY task --TASK_SETTLED--> terminal
 *    +--START (agent in a queue): THINKING with a call that waits --ADMIT--> MODEL_REQUESTED
 *
 *   A task:  READY --grant--> LEASED --settled--> gone       LEASED --lost--> READY
 *            LEASED --park--> PARKED --a wait settled--> READY
 *            LEASED --failed, tried again--> BACKOFF --time--> READY
 *   Its code's waits (a time, an answer, an event, children) are effects of their own.
 *
 *   An agent run in a queue works only while it is admitted. It has given that back once all that
 *   is open are tasks that rest: parked, or tried again later.
 *
 *   Suspended points: THINKING waits for the model or for a retry's time; ACTING waits for
 *   hosts and for what the code waits for, so a run is terminal or owes an effect.
 *
 * Invariant: a non-terminal started run has an open effect; a terminal run has none.
 * Threading: none of its business; every function touches its arguments only.
 */
#ifndef SERVICE_ENGINE_ENGINE_H
#define SERVICE_ENGINE_ENGINE_H

#include "service/base/base.h"
#include "service/base/uuid.h"

enum {
    ENGINE_TOOL_CALLS_MAX = 32, /* Per turn; more are refused to the model, one by one. */
    ENGINE_WAITS_MAX = 32, /* Open waits of a run; more settle at once, as failed. */
    ENGINE_EFFECTS_MAX = ENGINE_TOOL_CALLS_MAX + ENGINE_WAITS_MAX + 1, /* And one at once. */
    ENGINE_KEPT_MAX = 8, /* Resumes kept for suspensions to come. */
    ENGINE_EVENTS_MAX = 2 * ENGINE_EFFECTS_MAX + 4, /* Per decision. */
    ENGINE_MODEL_ATTEMPTS_MAX = 5, /* Failed attempts of one model call before the run fails. */
    ENGINE_TASK_LEASES_MAX = 5, /* Hosts one task may lose before it is given up. */
    ENGINE_RETRY_BASE_MS = 500, /* Doubled by each failed attempt ... */
    ENGINE_RETRY_MAX_MS = 30000, /* ... up to this, unless the server's hint says longer. */
    ENGINE_RUN_RETRY_BASE_MS = 1000, /* A run that failed and is tried again: doubled ... */
    ENGINE_RUN_RETRY_MAX_MS = 60000, /* ... up to this. Code that does not fit waits as long. */
    ENGINE_CLEANUP_MS = 30000, /* What code that was cancelled may take to clean up. */
    ENGINE_PIN_NONE = 0, /* Any deployment: of a run's row from an older release. */
    ENGINE_PIN_NEWEST = 2, /* No deployment's hash: that which dialled in last. */
};

/* The type of a task's error when its code asks for other steps than its history holds. The code
 * is to blame, not the run, which goes on when code comes that fits. */
#define ENGINE_NON_DETERMINISM "NON_DETERMINISM"

enum run_kind {
    RUN_KIND_NONE,
    RUN_KIND_AGENT,
    RUN_KIND_WORKFLOW,
    RUN_KIND_TOOL,
    RUN_KIND_COUNT,
};

enum run_state {
    RUN_NEW,
    RUN_THINKING,
    RUN_ACTING,
    RUN_COMPLETED,
    RUN_FAILED,
    RUN_CANCELLED,
    RUN_STATE_COUNT,
};

enum effect_kind {
    EFFECT_NONE,
    EFFECT_MODEL,
    EFFECT_TOOL, /* A tool call of an agent run: a task. */
    EFFECT_BODY, /* The code of a workflow or tool run: a task. */
    EFFECT_SLEEP, /* The waits of a task's code: for a time, ... */
    EFFECT_SUSPENSION, /* ... an answer from outside, ... */
    EFFECT_EVENT, /* ... an event of a topic, ... */
    EFFECT_CHILDREN, /* ... runs it started. */
    EFFECT_AT_ONCE, /* A step request done at once: publication, resume, children left alone. */
    EFFECT_KIND_COUNT,
};

enum effect_state {
    EFFECT_CLOSED,
    EFFECT_READY, /* Model: the call is out. Task: no host has it. */
    EFFECT_LEASED, /* Task: a host has it. */
    EFFECT_BACKOFF, /* Model, task: to be ordered again at due_ms. */
    EFFECT_PARKED, /* Task: its host let go of it; it is ready when a wait ends. Model: the call
                      waits for the run's admission. */
};

struct effect {
    uint32_t id; /* From 1, never used again in its run. */
    uint32_t attempt; /* Model: calls ordered. Task: leases granted; the epoch. */
    uint32_t failures; /* Model: attempts that failed. Task: leases lost, not excused. */
    uint32_t steps; /* Task: steps settled. */
    uint64_t host; /* Task, leased: hash of the host's id. */
    uint64_t since_ms; /* When it was ordered. */
    uint64_t due_ms; /* Backoff: order again then. Wait: it ends then; 0: never by itself. */
    uint64_t deadline_ms; /* Task: give up then; 0: with the run. */
    uint64_t key; /* Wait: hash of its step's key. Task: of the deployment that had it last. */
    uint64_t pin; /* Task: hash of the deployment whose code it is bound to; 0: the run's. */
    uint32_t owner; /* Wait: the task whose code waits. */
    uint32_t remaining; /* Children: how many have not ended. Task: waits that have. */
    uint8_t kind; /* enum effect_kind */
    uint8_t state; /* enum effect_state */
    uint8_t at_most_once; /* Task: a lost lease settles it. */
    uint8_t mismatches; /* Task: times in a row that its code did not fit; at most 255. */
    uint8_t reserved[4]; /* Zero: the state is compared as bytes. */
};

/* Agents: a queue's leave for the run to work. */
enum admission {
    ADMISSION_NONE, /* It needs none. */
    ADMISSION_AWAITED,
    ADMISSION_HELD,
};

/* The state of one run. A value: no pointers, no padding left to chance. */
struct run {
    uuid id;
    uint32_t seq; /* Of the last event applied. */
    uint32_t effect_next; /* Ids below it were given out. */
    uint32_t steps; /* Agents: model calls answered. Others: steps settled. */
    uint32_t steps_max; /* Agents. */
    uint64_t started_ms;
    uint64_t ended_ms; /* 0: it has not. */
    uint64_t deadline_ms; /* 0: none. */
    uint64_t tokens_max; /* 0: no limit. */
    uint64_t input_tokens;
    uint64_t output_tokens;
    uint64_t cache_read_tokens;
    uint64_t cache_write_tokens;
    uint64_t reasoning_tokens;
    uint64_t timeout_ms; /* What deadline_ms is set to anew after each wait; 0: none. */
    uint64_t deployment; /* Hash of the deployment the run stays with; 0: none yet. */
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
    uint8_t reserved[3]; /* Zero. */
    struct effect effects[ENGINE_EFFECTS_MAX]; /* Of the current turn, in order. */
};

enum command_kind {
    COMMAND_START,
    COMMAND_MODEL_REPLIED,
    COMMAND_MODEL_FAILED,
    COMMAND_MODEL_REISSUE, /* After a restart: the call in flight died with the process. */
    COMMAND_LEASE_GRANT,
    COMMAND_LEASE_LOST,
    COMMAND_STEP_DONE,
    COMMAND_TASK_DONE,
    COMMAND_TIME, /* A deadline of engine_next_deadline() has come. */
    COMMAND_CANCEL,
    COMMAND_STEP_REQUEST, /* A task's code wants a step that the server does. */
    COMMAND_RESUME, /* An answer from outside. */
    COMMAND_WAIT_DONE, /* An event has come. */
    COMMAND_CHILD_DONE,
    COMMAND_PARK, /* A host lets go of a task that only waits. */
    COMMAND_CODE_CAME, /* A host dialled in that offers a task whose code did not fit. */
    COMMAND_ADMIT, /* Its queue lets an agent run work. */
    /* It is a copy, and the admission was not its own: it waits for another. What hosts have in
     * hand may go on. */
    COMMAND_WITHDRAW_ADMISSION,
    COMMAND_COUNT,
};

enum event_kind {
    EVENT_NONE,
    EVENT_RUN_STARTED,
    EVENT_RUN_COMPLETED,
    EVENT_RUN_FAILED,
    EVENT_RUN_CANCELLED,
    EVENT_MODEL_REQUESTED,
    EVENT_MODEL_REPLIED,
    EVENT_MODEL_FAILED,
    EVENT_TASK_REQUESTED,
    EVENT_TASK_SETTLED,
    EVENT_STEP_SETTLED,
    EVENT_LEASE_GRANTED,
    EVENT_LEASE_LOST,
    EVENT_WAIT_SET,
    EVENT_WAIT_SETTLED,
    EVENT_CHILD_SETTLED,
    EVENT_RESUME_KEPT,
    EVENT_TASK_PARKED,
    EVENT_TASK_FAILED, /* The run will be tried again. */
    EVENT_TASK_REQUEUED,
    EVENT_CANCEL_REQUESTED,
    EVENT_ADMISSION_ASKED, /* Its effect is the model call that waits for it; 0: only tools do. */
    EVENT_ADMISSION_GIVEN,
    EVENT_COUNT,
};

/* What a run is started with. */
struct run_spec {
    enum run_kind kind;
    str name; /* Of the agent, workflow or tool. */
    str input; /* JSON text. */
    str options; /* JSON object merged into the model calls; empty: none. */
    str definition_hash; /* Agents: 16 bytes, of the definition the run is pinned to. */
    str session_id;
    str user_id;
    str conversation_id;
    str idempotency_key;
    uuid parent; /* Zero: none. */
    uuid root; /* The run itself for a root. */
    uint64_t deadline_ms; /* 0: none. */
    uint64_t tokens_max; /* 0: no limit. */
    uint32_t steps_max; /* Agents: at least 1. */
    uint32_t retries_max; /* Workflows. */
    uint32_t parent_effect; /* The parent's effect that counts this run; 0: none waits. */
    uint32_t parent_index; /* Which of its children this is, from 0. */
    str state; /* JSON text; empty: none. */
    str queue; /* Where it waits for its turn; empty: nowhere. */
    str concurrency_key;
    int32_t priority; /* Within the key; higher ones first. */
};

struct engine_usage {
    uint64_t input;
    uint64_t output;
    uint64_t cache_read;
    uint64_t cache_write;
    uint64_t reasoning;
    bool known;
};

/* How a step or a task ended. */
struct outcome {
    bool failed;
    str value; /* JSON text; not when failed. */
    str error_type;
    str error_message;
    str error_stack;
};

/* A tool call of a model's reply, judged by the runtime. */
struct tool_call {
    str call_id;
    str name;
    str arguments;
    const char *refusal_type; /* Not NULL: not to be run; settled at once with this error. */
    str refusal_message;
    uint64_t timeout_ms; /* 0: none. */
    bool at_most_once;
};

enum reply_stop {
    REPLY_STOP_END, /* Nothing is left to do. */
    REPLY_STOP_TOOLS, /* Tool calls are to be run. */
    REPLY_STOP_LENGTH,
    REPLY_STOP_CONTENT_FILTER,
    REPLY_STOP_REFUSAL,
    REPLY_STOP_PAUSE, /* The provider broke the turn off: the model is called again to go on. */
    REPLY_STOP_COUNT,
};

struct command {
    enum command_kind kind;
    uint64_t now_ms; /* Stamped by the runtime; the engine's only clock. */
    uint32_t effect; /* Which effect it is about; 0: none. */
    uint32_t attempt; /* And which attempt of it. */
    union {
        struct {
            uuid id;
            struct run_spec spec;
        } start;
        struct {
            str reply; /* Opaque: the packed reply. */
            enum reply_stop stop;
            struct engine_usage usage;
            const struct tool_call *calls;
            size_t call_count;
        } model_replied;
        struct {
            str reason;
            str message;
            bool retryable;
            uint64_t retry_after_ms;
            uint32_t jitter; /* Random, any value. */
        } model_failed;
        struct {
            str host_id;
            str deployment;
        } lease;
        struct {
            str cause;
            bool is_excused; /* Does not count among the leases a task may lose. */
        } lease_lost;
        struct {
            uint32_t number;
            str key;
            struct outcome outcome;
            str state; /* JSON text; empty: as it was. */
        } step;
        struct {
            struct outcome outcome;
            str state;
            bool is_retryable;
            bool is_cancelled; /* The code ended because it saw the cancellation. */
        } task;
        struct {
            enum effect_kind kind; /* SLEEP ... AT_ONCE. */
            str key;
            str data; /* Opaque, for the journal: what is shown, the children, the topic. */
            uint64_t due_ms; /* 0: never. */
            uint32_t children; /* CHILDREN: how many, at least 1. */
            bool is_settled; /* AT_ONCE always; SUSPENSION: a resume was kept for it. */
            struct outcome outcome; /* When it is settled. */
            str by;
        } step_request;
        struct {
            str key;
            str data;
            str by;
        } resume;
        struct {
            struct outcome outcome;
        } wait_done;
        struct {
            uint32_t index;
            uuid child;
            struct outcome outcome;
            str account; /* JSON object of an agent run, beside its answer; empty: none. */
        } child_done;
        struct {
            uint32_t outcomes_seen;
        } park;
        struct {
            str message; /* What to say if the run's own deadline has passed. */
        } time;
        struct {
            str cause;
        } cancel;
    };
};

struct event {
    enum event_kind kind;
    uint64_t time_ms;
    uint32_t effect;
    uint32_t attempt;
    union {
        struct {
            uuid id;
            struct run_spec spec;
        } run_started;
        struct {
            str stop_reason; /* "end", "max_steps", "max_tokens", "length", "content_filter",
                                "refusal"; for workflows and tools "end". */
        } run_completed;
        struct {
            str reason;
            str message;
        } run_failed;
        struct {
            str cause;
        } run_cancelled;
        struct {
            str reply;
            enum reply_stop stop;
            struct engine_usage usage;
        } model_replied;
        struct {
            str reason;
            str message;
            uint64_t retry_at_ms; /* 0: not again. */
        } model_failed;
        struct {
            enum effect_kind kind; /* EFFECT_TOOL or EFFECT_BODY. */
            str name;
            str call_id;
            str input;
            uint64_t deadline_ms;
            bool at_most_once;
        } task_requested;
        struct {
            struct outcome outcome;
            str state;
        } task_settled;
        struct {
            uint32_t number;
            str key;
            struct outcome outcome;
            str state;
        } step_settled;
        struct {
            enum effect_kind kind;
            uint32_t owner;
            str key;
            str data;
            uint64_t due_ms;
            uint32_t children;
        } wait_set;
        struct {
            enum effect_kind kind;
            uint32_t owner;
            str key; /* Empty where it is in WAIT_SET only. */
            struct outcome outcome; /* CHILDREN: no value; it is in their CHILD_SETTLED. */
            str by;
        } wait_settled;
        struct {
            uint32_t index;
            uuid child;
            struct outcome outcome;
            str account; /* JSON object of an agent run, beside its answer; empty: none. */
        } child_settled;
        struct {
            str key;
            str data;
            str by;
        } resume_kept;
        struct {
            bool is_ready; /* A wait had ended before the host knew: it is given again at once. */
        } task_parked;
        struct {
            struct outcome outcome;
            str state;
            uint64_t retry_at_ms;
            bool is_mismatch; /* ENGINE_NON_DETERMINISM: counts for no retry, ends no wait. */
            bool keeps_children; /* Its waits end, but for those for children. */
        } task_failed;
        struct {
            str cause;
            uint64_t deadline_ms;
        } cancel_requested;
        struct {
            str host_id;
            str deployment; /* Empty: of an older release. */
        } lease_granted;
        struct {
            str cause;
            bool is_excused; /* Does not count among the leases a task may lose. */
        } lease_lost;
    };
};

/* The events of one transition. */
struct decision {
    struct event events[ENGINE_EVENTS_MAX];
    size_t count;
};

enum verdict {
    VERDICT_OK,
    VERDICT_STALE, /* The effect or attempt it answers is no longer awaited. */
    VERDICT_DONE_BEFORE, /* A repetition of what is settled: acknowledge it, change nothing. */
    VERDICT_GAP, /* STEP_DONE: numbers before this one are missing. */
    VERDICT_TERMINAL, /* The run has ended. */
    VERDICT_REFUSED, /* Not in this state. */
};

void engine_init(struct run *run);
enum verdict engine_decide(const struct run *run, const struct command *command,
                           struct decision *ret);
void engine_apply(struct run *run, const struct event *event);

bool engine_is_terminal(const struct run *run);
/* Nothing is at work for it: every open effect waits for a host or for a retry's time. */
bool engine_is_waiting(const struct run *run);
/* When COMMAND_TIME is to be given; 0: never. */
uint64_t engine_next_deadline(const struct run *run);
/* The open effect with this id, or NULL. */
const struct effect *engine_effect(const struct run *run, uint32_t id);
/* NULL, or which law the state breaks. For simulation and tests. */
const char *engine_broken_invariant(const struct run *run);

const char *engine_event_name(enum event_kind kind); /* "RUN_STARTED" */
const char *engine_state_name(enum run_state state); /* "thinking" */
static inline bool effect_is_task(const struct effect *effect)
{
    return effect->kind == EFFECT_TOOL || effect->kind == EFFECT_BODY;
}

static inline bool effect_is_wait(const struct effect *effect)
{
    return effect->kind >= EFFECT_SLEEP && effect->kind < EFFECT_AT_ONCE;
}

/* What is kept of a step's key, and of a deployment's name. */
static inline uint64_t engine_key(str key)
{
    return str_hash(key) | 1;
}
/* Its code did not fit its history: it is tried again in a while, or when other code comes. */
static inline bool effect_is_stopped(const struct effect *effect)
{
    return effect->state == EFFECT_BACKOFF && effect->mismatches > 0;
}

/* The deployment that is to work on a task while one of its hosts is there: ENGINE_PIN_NEWEST or a
 * hash. What nobody has had goes to the newest one; code that did not fit is tried in turn with it.
 */
uint64_t engine_pin(const struct run *run, const struct effect *task);
/* The open wait with this key of this task's code, or NULL. */
const struct effect *engine_wait(const struct run *run, uint32_t owner, uint64_t key);
/* The oldest open suspension with this key of any task's code, or NULL. */
const struct effect *engine_suspension(const struct run *run, uint64_t key);
/* Whether one more wait would not be refused at once. */
bool engine_may_wait(const struct run *run);
bool engine_has_kept(const struct run *run, uint64_t key);
/* Only waits are open, or tasks whose code waits or did not fit: the run's clock stands still. */
bool engine_is_clock_stopped(const struct run *run);

#endif
