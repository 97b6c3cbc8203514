/*
 * event: what has happened to a run, durably: the records of its journal.
 *
 * A meaning once given is kept for ever. What is true of all events of a kind is a row of one
 * table, so that those who walk a journal ask it and need not know every kind.
 *
 * Invariant: numbers of kinds are on disk and never change; new ones go to the end.
 */
#ifndef SERVICE_ENGINE_EVENT_H
#define SERVICE_ENGINE_EVENT_H

#include "service/base/outcome.h"
#include "service/base/start_options.h"
#include "service/engine/run.h"

enum event_kind {
    EVENT_NONE = 0,
    EVENT_RUN_STARTED = 1,
    EVENT_RUN_COMPLETED = 2,
    EVENT_RUN_FAILED = 3,
    EVENT_RUN_CANCELLED = 4,
    EVENT_MODEL_REQUESTED = 5,
    EVENT_MODEL_REPLIED = 6,
    EVENT_MODEL_FAILED = 7,
    EVENT_TASK_REQUESTED = 8,
    EVENT_TASK_SETTLED = 9,
    EVENT_STEP_SETTLED = 10,
    EVENT_LEASE_GRANTED = 11,
    EVENT_LEASE_LOST = 12,
    EVENT_WAIT_SET = 13,
    EVENT_WAIT_SETTLED = 14,
    EVENT_CHILD_SETTLED = 15,
    EVENT_RESUME_KEPT = 16,
    EVENT_TASK_PARKED = 17,
    EVENT_TASK_FAILED = 18, /* The run will be tried again. */
    EVENT_TASK_REQUEUED = 19,
    EVENT_CANCEL_REQUESTED = 20,
    EVENT_ADMISSION_ASKED =
        21, /* Its effect is the model call that waits for it; 0: only tools do. */
    EVENT_ADMISSION_GIVEN = 22,
    EVENT_CANCEL_SHOWN = 23, /* Code was shown the cancellation. */
    EVENT_WITHDRAWN = 24, /* Code gave up a key. */
    EVENT_STEP_TRIED = 25, /* A try of a step failed, and another is to come. */
    EVENT_REPLY_REJECTED = 26, /* A reply that was to be the answer is none. */
    EVENT_INPUT_ACCEPTED = 27, /* Somebody said something to an agent at work. */
    EVENT_INPUT_TAKEN = 28, /* Its model is told in the call that is asked for next. */
    EVENT_INPUT_RETURNED = 29, /* The run ends without having told it. */
    /* What a callback made of something: the model and the tools are told this instead. */
    EVENT_INPUT_AMENDED = 30, /* Of the run's input. */
    EVENT_CALL_AMENDED = 31, /* Of a tool call's arguments. */
    EVENT_RESULT_AMENDED = 32, /* Of a tool call's result, or the run's. */
    EVENT_REPLY_AMENDED = 33, /* A guardrail changed the reply: everybody acts on this one. */
    EVENT_REPLY_JUDGED = 34, /* What a model said of it, for a guardrail that is a sentence. */
    EVENT_REPLY_PASSED = 35, /* All guardrails let it pass. */
    EVENT_COUNT,
};

/* Who or what started a run. Numbers are on disk and never change. */
enum start_cause {
    START_CAUSE_UNKNOWN = 0, /* Of an older release. */
    START_CAUSE_CALLER = 1,
    START_CAUSE_PARENT = 2,
    START_CAUSE_SCHEDULE = 3,
    START_CAUSE_TRIGGER = 4,
    START_CAUSE_FORK = 5,
    START_CAUSE_RETRY = 6,
    START_CAUSE_COUNT,
};

/* A callback of an agent's definition. */
struct callback {
    enum callback_phase phase;
    str name; /* Empty: a guardrail that is a sentence; the agent's model judges by it. */
    uint64_t timeout_ms; /* 0: none. */
    str prompt; /* The sentence; the run's start does not hold it. */
};

/* What a run is started with. */
struct run_spec {
    enum run_kind kind;
    str name; /* Of the agent, workflow or tool. */
    str input; /* JSON text. */
    str provider_options; /* JSON object merged into the model calls; empty: none. */
    struct start_options options;
    str definition_hash; /* Agents: 16 bytes, of the definition the run is pinned to. */
    uuid parent; /* Zero: none. */
    uuid root; /* The run itself for a root. */
    enum start_cause cause;
    str started_by; /* The schedule's id, the trigger's topic; empty: nobody to name. */
    uuid origin; /* The run it was copied from; zero: none. */
    uint64_t deadline_ms; /* 0: none. */
    uint64_t tokens_max; /* 0: no limit. */
    uint32_t turns_max; /* Agents: at least 1. */
    uint32_t retries_max; /* Workflows. */
    uint32_t output_tries; /* Agents: answers that may be asked for until one fits the output
                              schema; 0: none is judged. */
    uint32_t parent_effect; /* The parent's effect that counts this run; 0: none waits. */
    uint32_t parent_index; /* Which of its children this is, from 0. */
    uint32_t depth; /* How many runs are above it; 0: a root, or of an older release. */
    str callbacks; /* Agents: packed struct callback, in order; empty: none. */
    uint8_t callback_counts[CALLBACK_PHASE_ROOM]; /* Of them, by phase. */
    uint32_t guardrail_retries; /* Agents: how often a turn's reply may be asked for again. */
    bool has_order; /* A root whose tree's facts are kept in one order. */
};

struct engine_usage {
    uint64_t input;
    uint64_t output;
    uint64_t cache_read;
    uint64_t cache_write;
    uint64_t reasoning;
    bool known;
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

/* Numbers are on disk and never change. */
enum rejected_by {
    REJECTED_BY_SCHEMA = 0, /* It does not fit the output schema. */
    REJECTED_BY_GUARDRAIL = 1, /* It is asked for again in the same turn. */
    REJECTED_BY_COUNT,
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
                                "refusal", "hook"; for workflows and tools "end". */
        } run_completed;
        struct {
            str reason;
            str message;
        } run_failed;
        struct {
            str cause;
        } run_cancelled;
        struct {
            uint32_t guardrail; /* Whose judgement it is, from 1; 0: a turn. */
        } model_requested; /* ADMISSION_ASKED, too. */
        struct {
            str reply;
            enum reply_stop stop;
            struct engine_usage usage;
            bool is_judged; /* Guardrails judge it before anybody acts on it. */
        } model_replied;
        struct {
            str reply; /* As above. */
            enum reply_stop stop;
        } reply_amended; /* The effect is the guardrail's task. */
        struct {
            bool passed;
            str reason; /* The model's, for people. */
            struct engine_usage usage;
        } reply_judged;
        struct {
            str reason;
            str message;
            uint64_t retry_at_ms; /* 0: not again. */
        } model_failed;
        struct {
            enum rejected_by by;
            str feedback; /* What the model is told. */
            str guardrail; /* Its name; "prompt" for a sentence. */
        } reply_rejected;
        struct {
            uint32_t number; /* From 1. */
            str data; /* JSON text, as run_spec.input. */
            str key; /* Idempotency key; empty: none. */
        } input_accepted;
        struct {
            uint32_t number;
            uint32_t turn; /* Whose call has it, from 1. */
        } input_taken;
        struct {
            uint32_t number;
        } input_returned;
        struct {
            enum effect_kind kind; /* EFFECT_TOOL, EFFECT_BODY or EFFECT_CALLBACK. */
            str name;
            str call_id;
            str input;
            uint64_t deadline_ms;
            bool at_most_once;
            enum callback_phase phase; /* Callbacks. */
            uint32_t index; /* Callbacks: among those of the phase, from 0. */
            uint32_t about; /* Callbacks: the tool call's effect; 0: none. */
        } task_requested;
        struct {
            uint32_t about; /* The tool call's effect; 0: the run. */
            str value; /* JSON text. */
        } amended; /* INPUT_AMENDED, CALL_AMENDED, RESULT_AMENDED; the effect is the callback. */
        struct {
            struct outcome outcome;
            struct kept_state state;
        } task_settled;
        struct {
            uint32_t number;
            str key;
            struct outcome outcome;
            struct kept_state state;
        } step_settled;
        struct {
            uint32_t number; /* Counted with the steps of its task. */
        } cancel_shown;
        struct {
            uint32_t number; /* As above. */
            str key;
            uint32_t facts_seen; /* By the code, of its task. */
            uint32_t retries; /* Of the run, until then. */
        } withdrawn;
        struct {
            uint32_t number; /* As above. */
            str key; /* The step's. */
            uint32_t try_number; /* From 1: the one that failed. */
            struct outcome outcome; /* Why; failed. */
            uint64_t retry_at_ms; /* When the next is due. */
        } step_tried;
        struct {
            enum effect_kind kind;
            uint32_t owner;
            str key;
            str data;
            uint64_t due_ms;
            uint32_t children;
            str answer_schema; /* SUSPENSION; empty: any JSON answers it. */
            str kept_misfit; /* SUSPENSION: why the answer kept for it was dropped; empty: not. */
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
            struct kept_state state;
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
            str language; /* Its code is written in; empty: not known. */
        } lease_granted;
        struct {
            str cause;
            bool is_excused; /* Does not count among the leases a task may lose. */
        } lease_lost;
    };
};

/* What is true of all events of a kind. */
struct event_traits {
    const char *name; /* "RUN_STARTED" */
    uint32_t level; /* enum level of the codec; 0: the first. */
    bool ends_run;
    bool ends_lease; /* No host has the task any more. */
    bool readies_task; /* A task may be ready now that a host is to be found for. */
    size_t time_at; /* Where it holds a time to come (uint64_t, Unix ms); 0: nowhere. */
    size_t state_at; /* Where it holds the run's state (struct kept_state); 0: nowhere. */
};

/* Never NULL; EVENT_NONE has none. */
const struct event_traits *event_traits(enum event_kind kind);

/* The time to come that it holds, such as a deadline or a retry's; NULL: none. */
uint64_t *event_time(struct event *event);
/* The run's state that the code left with it; without JSON: it says nothing of it. */
struct kept_state event_state(const struct event *event);
/* Whether waits of code are over with it, whose, and which of them are not.
 *   *ret_owner: the task; 0: all tasks of the run. *ret_kept: the kind that stays; EFFECT_NONE:
 * none. A wait's own end is not meant. */
bool event_ends_waits(const struct event *event, uint32_t *ret_owner, enum effect_kind *ret_kept);

/* The events of one transition. */
struct decision {
    struct event events[ENGINE_EVENTS_MAX];
    size_t count;
};

#endif
