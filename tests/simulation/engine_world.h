/*
 * engine_world: one run of the pure engine, with a journal of real records, in a hostile world.
 *
 * The faults it may draw: death before and after each commit; model calls that fail, answer
 * late, twice, or die with the process; hosts that repeat steps, skip some, answer twice, under
 * an epoch they lost, park with outcomes they have not seen, or vanish; answers from outside that
 * come early, twice or never; children that end in any order; alarms that ring early; a clock that
 * jumps; commands about effects that never were.
 *
 * What it may not: lose a record, or answer in the name of the present attempt what is false.
 */
#ifndef TESTS_SIMULATION_ENGINE_WORLD_H
#define TESTS_SIMULATION_ENGINE_WORLD_H

#include "service/base/arena.h"
#include "service/base/buf.h"
#include "service/codec/callbacks.h"
#include "tests/simulation/draw.h"
#include "tests/simulation/ledger.h"

enum {
    WORLD_PENDING_MAX = 512,
    WORLD_RECORDS_MAX = 4096,
};

enum pending_kind {
    PENDING_MODEL, /* A call at the provider; dies with the process. */
    PENDING_TASK, /* A task waiting for a host; forgotten with the process. */
    PENDING_LEASE, /* A task at a host; hosts outlive the process. */
};

struct pending {
    enum pending_kind kind;
    uint32_t effect;
    uint32_t attempt;
    uint32_t steps_told; /* LEASE: numbers the host has used. */
    uint32_t outcomes_seen; /* LEASE: of waits, those that came with the task included. */
    bool is_old; /* It was answered: whatever it says now must change nothing. */
};

struct engine_counts {
    uint64_t runs, commits, events, crashes, stale, jumps, repeats, reissues, leases_lost, timeouts;
    uint64_t completed, failed, cancelled, snapshots, commands;
    uint64_t waits, parks, kept, retries, cleanups, children, admissions;
};

struct engine_world {
    struct draw draw;
    uint64_t seed;
    uint64_t now_ms;
    bool calm; /* No more faults: everything must end. */
    bool trace;
    bool likes_to_wait; /* Its code waits for more than it may. */
    unsigned model_failure_percent;
    unsigned failure_percent; /* Of what code does. */
    unsigned loss_percent; /* Of the times a host acts, it is lost, while the world is not calm. */
    unsigned misfit_percent; /* Of what it says at its end, while the world is not calm. */
    struct arena arena; /* Of the seed's texts. */
    struct run live;
    struct ledger ledger;
    struct buf journal;
    struct {
        size_t from;
        size_t len;
        uint32_t first_seq;
    } records[WORLD_RECORDS_MAX];
    size_t record_count;
    struct buf snapshot;
    size_t snapshot_records; /* How many records it stands for. */
    struct pending pending[WORLD_PENDING_MAX];
    size_t pending_count;
    struct decision decision;
    struct callback callbacks[ENGINE_CALLBACKS_MAX]; /* Of the run. */
    size_t callback_count;
    struct engine_counts counts;
    const char *broken; /* The law; NULL while all is well. */
};

/* One seed from birth to end; world->broken says how it went. */
void engine_world_run(struct engine_world *world, uint64_t seed);
void engine_world_fini(struct engine_world *world);

/* For engine_commands.c. */
void engine_world_submit(struct engine_world *world, struct command command);
bool engine_world_fault(struct engine_world *world, unsigned percent); /* Never when calm. */
str engine_world_text(struct engine_world *world, const char *what);
void engine_world_unpend(struct engine_world *world, size_t index);

/* engine_commands.c */
void submit_start(struct engine_world *world);
void submit_pending(struct engine_world *world, size_t index);
void submit_awaited(struct engine_world *world); /* What was waited for happens. */
void submit_resume(struct engine_world *world, str key);
str draw_step_key(struct engine_world *world); /* A step's, drawn. */
void submit_noise(struct engine_world *world); /* What nobody awaits. */
void submit_code_came(struct engine_world *world);
void submit_admission(struct engine_world *world);

#endif
