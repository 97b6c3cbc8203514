/*
 * run_read: what the store tells of one run: its state, its newest facts, and what its open effects
 * are about.
 *
 * Of a run that has ended everything is in the store. One that lives is first found to do so
 * (`needs_live`): whoever posted the read then asks the partition, which knows who is free and
 * whose turn it is, and posts the read again with what it says.
 *
 * The journal is read from its end backwards, as far as something is still looked for: an agent's
 * newest turns, the last state of a workflow.
 */
#ifndef SERVICE_READS_RUN_READ_H
#define SERVICE_READS_RUN_READ_H

#include "service/codec/codec.h"
#include "service/reads/reads.h"

enum {
    RUN_TURNS_BYTES = 2 << 20, /* Of an agent's newest records, and the one that passes it. */
};

enum {
    RUN_AWAITED_MAX = 10, /* Children that are named, of each wait. */
    RUN_TRIED_RECORDS =
        16, /* The newest, among which steps that are tried again are looked for ... */
    RUN_TRIED_BYTES = 256 << 10, /* ... or so many bytes of them, and the one that passes it. */
};

/* A step of a task that a host has, whose last try failed: it is tried again. */
struct tried_step {
    uint32_t effect; /* The task. */
    str key;
    uint32_t try_number; /* From 1: the one that failed. */
    uint64_t failed_ms;
    uint64_t retry_at_ms; /* When the next is due; it may be under way. */
    str failure;
};

/* A run that a wait of this one waits for; it has not ended. */
struct awaited_child {
    uint32_t effect; /* The wait. */
    uuid id;
    str name;
};

struct run_facts {
    struct run_row row;
    struct run state;
    uint64_t history_bytes; /* Of its records. */
    str name;
    /* Agents: the first and the newest. Others: the first and the last. In order. */
    const str *records;
    size_t record_count;
    bool is_structured; /* Agents: the definition has an output schema. */
    str state_json; /* Workflows, tools; empty: none. */
    str cancel_cause; /* Empty: nobody asked for it. */
    str deployment; /* The run stays with; empty: none yet. */
    /* Per effect of `state`: the tool's, workflow's or model's name; of a wait its step's key. */
    str effect_names[ENGINE_EFFECTS_MAX];
    str hosts[ENGINE_EFFECTS_MAX]; /* Who has it; empty: nobody. */
    str failures[ENGINE_EFFECTS_MAX]; /* Why it failed last, where it is tried again. */
    const struct awaited_child *awaited; /* The first of each wait for children. */
    size_t awaited_count;
    const struct tried_step *tried; /* The newest first. */
    size_t tried_count;
    uuid ready_child; /* The first of those that stands ready for a host; zero: none. */
    struct run_row ready_row; /* Its row. */
    uuid unreadable_child; /* Where it waits for children: one that is set apart; zero: none. */
    str unreadable; /* Why it cannot be read; then only the row is known, or nothing. Empty: it can.
                     */
};

enum run_read_phase {
    RUN_READ_ROW, /* How it stands. */
    RUN_READ_STATE, /* Folded from its snapshot on. */
    RUN_READ_FIRST, /* What its first facts say. */
    RUN_READ_BACK, /* From the newest fact backwards. */
};

struct run_read {
    struct read read;
    bool needs_live; /* `done` was called, and only ret.row is known; see run_read_live(). */
    struct run_facts ret; /* What it points to is in the read's arena. */
    /* Its own: */
    enum run_read_phase phase;
    bool has_snapshot; /* It was looked for. */
    uint32_t next; /* Of the journal. */
    str children[ENGINE_EFFECTS_MAX]; /* Of waits for them: whom the code asked for, as JSON. */
    size_t awaited_capacity;
    size_t tail_bytes;
    str *tail; /* Newest first. */
    size_t tail_count;
    size_t tail_capacity;
    size_t back_count; /* Records looked at on the way back, ... */
    size_t back_bytes; /* ... and their bytes. */
    struct step_seen *steps; /* That have a newer fact. */
    size_t step_count;
    size_t step_capacity;
    size_t tried_capacity;
};
extern const struct read_kind run_kind;

/* The partition was asked. state: as it is in memory, all of it durable, with the bytes of its
 * records; NULL: it is not there. Then it is to be posted again. */
void run_read_live(struct run_read *read, const struct run *state, uint64_t history_bytes);

/* Before it is posted for the first time: the partition has told its state already. */
void run_read_with(struct run_read *read, const struct run *state, uint64_t history_bytes);

static inline struct run_read *run_read(struct read *read)
{
    assert(read->kind == &run_kind);
    return container_of(read, struct run_read, read);
}

#endif
