/*
 * command: what is asked of a run, or told to it.
 *
 * Payloads are borrowed bytes; they live as long as whoever gives the command says.
 */
#ifndef SERVICE_ENGINE_COMMAND_H
#define SERVICE_ENGINE_COMMAND_H

#include "service/engine/event.h"

enum command_kind {
    COMMAND_START,
    COMMAND_MODEL_REPLIED,
    COMMAND_REPLY_JUDGED, /* A model said what it holds of a reply. */
    COMMAND_MODEL_FAILED,
    COMMAND_MODEL_REISSUE, /* After a restart: the call in flight died with the process. */
    COMMAND_LEASE_GRANT,
    COMMAND_LEASE_LOST,
    COMMAND_STEP_DONE,
    COMMAND_CANCEL_SHOWN, /* A task's code is shown that its run is being cancelled. */
    COMMAND_WITHDRAW, /* A task's code gave up what it asked for. */
    COMMAND_STEP_TRY, /* A try of a step failed, and another is to come. */
    COMMAND_TASK_DONE,
    COMMAND_TIME, /* A deadline of engine_next_deadline() has come. */
    COMMAND_CANCEL,
    COMMAND_STEP_REQUEST, /* A task's code wants a step that the server does. */
    COMMAND_RESUME, /* An answer from outside; without an effect it may come early. */
    COMMAND_WAIT_DONE, /* An event has come. */
    COMMAND_CHILD_DONE,
    COMMAND_PARK, /* A host lets go of a task that only waits. */
    COMMAND_CODE_CAME, /* A host dialled in that offers a task whose code did not fit. */
    COMMAND_ADMIT, /* Its queue lets an agent run work. */
    /* It is a copy, and the admission was not its own: it waits for another. What hosts have in
     * hand may go on. */
    COMMAND_WITHDRAW_ADMISSION,
    COMMAND_INPUT, /* Somebody says something to an agent at work. */
    COMMAND_FAIL, /* It has passed a limit of the server's. */
    COMMAND_COUNT,
};

/* A tool call of a model's reply, judged by the partition. */
struct tool_call {
    str call_id;
    str name;
    str arguments;
    const char *refusal_type; /* Not NULL: not to be run; settled at once with this error. */
    str refusal_message;
    uint64_t timeout_ms; /* 0: none. */
    bool at_most_once;
};

/* What follows from a reply that nobody holds back, judged by the partition. */
struct reply_plan {
    enum reply_stop stop;
    const struct tool_call *calls;
    size_t call_count;
    str misfit; /* Why it is no answer by the output schema; empty: it is, or none is asked for. */
    str feedback; /* What the model is told of that. */
    str objection; /* What it is told if the guardrail that has judged turns the reply down. */
};

struct command {
    enum command_kind kind;
    uint64_t now_ms; /* Stamped by the partition; the engine's only clock. */
    uint32_t effect; /* Which effect it is about; 0: none. */
    uint32_t attempt; /* And which attempt of it. */
    const struct callback *callbacks; /* Agents: those of the run's definition. */
    size_t callback_count;
    struct reply_plan plan; /* MODEL_REPLIED, REPLY_JUDGED; TASK_DONE of a guardrail. */
    union {
        struct {
            uuid id;
            struct run_spec spec;
        } start;
        struct {
            str reply; /* Opaque: the packed reply. */
            struct engine_usage usage;
        } model_replied;
        struct {
            bool passed;
            str reason;
            struct engine_usage usage;
        } reply_judged;
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
            str language;
        } lease;
        struct {
            str cause;
            bool is_excused; /* Does not count among the leases a task may lose. */
        } lease_lost;
        struct {
            uint32_t number;
            str key;
            struct outcome outcome;
            struct kept_state state;
        } step;
        struct {
            uint32_t number; /* As step.number. */
        } cancel_shown;
        struct {
            uint32_t number; /* As step.number. */
            str key;
            uint32_t facts_seen;
        } withdraw;
        struct {
            uint32_t number; /* As step.number. */
            str key;
            uint32_t try_number;
            struct outcome outcome; /* It failed. */
            uint64_t retry_at_ms;
        } step_try;
        struct {
            struct outcome outcome;
            struct kept_state state;
            bool is_retryable;
            bool is_cancelled; /* The code ended because it saw the cancellation. */
        } task;
        struct {
            enum effect_kind kind; /* SLEEP ... AT_ONCE. */
            str key;
            str data; /* Opaque, for the journal: what is shown, the children, the topic. */
            uint64_t due_ms; /* 0: never. */
            uint32_t children; /* CHILDREN: how many, at least 1. */
            str answer_schema; /* SUSPENSION: empty: any JSON answers it. */
            str kept_misfit; /* SUSPENSION: why the answer kept for it is dropped; empty: not. */
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
            str data;
            str key;
        } input;
        struct {
            str reason;
            str message;
        } fail;
        struct {
            str cause;
        } cancel;
    };
};

enum verdict {
    VERDICT_OK,
    VERDICT_STALE, /* The effect or attempt it answers is no longer awaited. */
    VERDICT_DONE_BEFORE, /* A repetition of what is settled: acknowledge it, change nothing. */
    VERDICT_GAP, /* STEP_DONE and its like: numbers before this one are missing. */
    VERDICT_TERMINAL, /* The run has ended. */
    VERDICT_REFUSED, /* Not in this state. */
};

#endif
