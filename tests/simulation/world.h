/*
 * world: one partition, whole, in an invented world.
 *
 * Real: engine, codec, partition, hosts, timers, recovery, keys, agents, the memory store.
 * Invented: the clock, the provider, the hosts' processes, the callers, the watchers.
 *
 * The faults it may draw:
 *   process   dies before a commit, after it, or after any number of the acts that follow it;
 *             is stopped politely; stays down for a while; its thread sleeps for up to a minute
 *             while work piles up and hosts go on beating
 *   store     a commit is refused, lost, or of unknown outcome; reads fail, once or for a while, at
 *             once or after some rows; space gets low, or is used up for a while
 *   readers   look at runs and histories a few rows a page, while all goes on
 *   provider  fails for ever or for a while, cuts off, calls unknown tools, sends arguments that
 *             are no JSON, answers after it was cancelled, answers twice
 *   hosts     read nothing for a while, vanish, dial again with or without their session, repeat
 *             what they said, say things under old epochs, leave gaps, fall silent on a stream that
 *             looks alive, say they leave, give tasks back; freeze, often with a task on its way
 *             to them, and go on as if nothing had happened
 *   network   goes silent one way or both, and then brings all that was said, or the first of it
 *             and breaks; the server learns of that at once, late or never; answers are lost
 *   sizes     in some worlds values have up to 2 MiB, so that batches pass 8 MiB, histories many
 *             MiB, and what hosts are owed comes in pieces
 *   code      sleeps, suspends, awaits and publishes events, starts runs and waits for them, is
 *             parked, fails and is tried again, cleans up or does not
 *   agents    are deleted, and versions of them, and registered again
 *   callers   go away and ask again, with one idempotency key or none; answer early, twice, late or
 *             never; cancel, fork and retry; watchers and subscribers are slow, go away and come
 *             back where they were
 *   rules     of queues, schedules and triggers change at any time, by calls and by whichever
 *             version of a host dials in last; schedules and idle queues are deleted; a schedule's
 *             run is asked for at once
 *   operators look at everything, set hosts aside, delete what nobody offers
 *   clock     jumps forward, sometimes over many ticks; steps back
 * What it may not: change what was committed, or break a rule of a contract in a header.
 *
 * Everything runs in one thread, and one seed draws everything: a seed is a whole history.
 */
#ifndef TESTS_SIMULATION_WORLD_H
#define TESTS_SIMULATION_WORLD_H

#include "service/base/failure.h"
#include "service/codec/copy_row.h"
#include "service/codec/owed_row.h"
#include "service/codec/schedule_row.h"
#include "service/features/features.h"
#include "service/features/queues/queue_order.h"
#include "service/features/watchers/watchers.h"
#include "service/partition/partition.h"
#include "service/partition/request.h"
#include "service/reads/reads.h"
#include "service/schedule/cron.h"
#include "service/schedule/zone.h"
#include "tests/simulation/draw.h"
#include "tests/simulation/ledger.h"

enum {
    WORLD_HOSTS = 4,
    WORLD_STARTS_MAX = 16,
    WORLD_RUNS_MAX = 1024,
    WORLD_TOPICS = 5,
    WORLD_CODE_TOPICS = 3, /* Those that code awaits; triggers look at the others. */
    WORLD_QUEUES = 3,
    WORLD_KEYS = 3, /* Concurrency keys; the first is the empty one. */
    WORLD_SCHEDULES = 4,
    WORLD_ZONES = 2,
    WORLD_TRIGGERS = 2,
    WORLD_RATE_MAX = 4,
    WORLD_CALLS_MAX = 4096,
    WORLD_STEPS_MAX = 4096,
    WORLD_KEYS_MAX = 16, /* Of which somebody was told. */
    WORLD_KINDS_MAX = 64, /* Of requests. */
};

/* Read by the program, and by the laws for themselves. */
#define WORLD_ZONE_FOLDER "/usr/share/zoneinfo"

struct world;

/* Something that will happen. `number` tells a late happening from a present one. */
typedef void world_act(struct world *world, void *context, uint64_t number);

struct agenda_item {
    uint64_t at_ms;
    uint64_t order;
    world_act *act;
    void *context;
    uint64_t number;
};

struct agenda {
    struct agenda_item *items; /* A heap by (at_ms, order). */
    size_t count;
    size_t capacity;
    uint64_t order;
};

/* What the committed records say of one run. */
struct sim_step {
    uint32_t effect; /* The task. */
    uint32_t number; /* 0: a step request. */
    uint64_t key;
    uint64_t value; /* 0: it is put together when it is told. */
    bool is_given_up; /* Of a wait: by its code. */
    uint32_t try_number; /* Of a try that failed; else 0. */
    uint64_t retry_at_ms; /* By the program's clock. */
};

/* What code has waited for, or had done at once. */
struct sim_wait {
    uint32_t effect;
    uint32_t owner;
    enum effect_kind kind;
    str key;
    str data;
    bool has_schema;
    uint64_t since_ms;
    uint64_t due_ms;
    bool is_open;
    bool is_settled; /* Else it was cut off by its task's end. */
    bool is_withdrawn; /* Cut off, and not by a failed attempt. */
    bool is_given_up; /* By its code. */
    bool is_failed_with; /* Its code failed while it was open. */
    bool failed;
    uint64_t settled_ms; /* True time. */
    uint32_t told_epoch; /* Under which its host was sent the outcome last. */
    uint64_t value;
    unsigned topic; /* EVENT */
    str type; /* EVENT: empty: any. */
    uint64_t after; /* EVENT: sequence of the topic's last event when it began. */
    uint64_t fits_ms; /* EVENT: true time since which an event is there; 0: none is. */
    uint32_t children;
};

struct sim_answer {
    str key;
    str by;
    uint32_t effect; /* The suspension it settled; 0: it is kept. */
    bool is_kept; /* For a suspension to come. */
};

/* An answer that somebody gives. */
struct sim_resume {
    uuid run;
    uint32_t effect; /* 0: by key. */
    str key;
    str by; /* Nobody else's name. */
    bool is_misfit; /* It does not fit WORLD_SCHEMA. */
};

/* Some suspensions are asked with it: an answer has to say "yes", and so the text of one does. */
#define WORLD_SCHEMA STR("{\"type\":\"object\",\"required\":[\"yes\"]}")

struct sim_run {
    uuid id;
    struct ledger ledger;
    struct run folded; /* The journal, folded by the engine. */
    size_t history_bytes; /* Of its records. */
    uint64_t full_since_ms; /* True time at which it passed the limit of them; 0: it has not. */
    uint64_t full_life; /* And the process's life then. */
    uint32_t compared_seq; /* At which it was what the partition has in memory. */
    str session; /* Its label. */
    str marker; /* The run's input: names the start it came from. */
    uint64_t definition; /* Hash of its definition's hash; 0: none. */
    uint64_t key; /* Hash of its idempotency key; 0: none. */
    uint64_t *facts; /* Hash of each event, by seq - 1. */
    uint32_t facts_capacity;
    uint64_t *times; /* Of each event. */
    uint8_t *kinds; /* Of each event; with the high bit, the last of its record. */
    struct sim_step *steps;
    size_t step_count;
    size_t step_capacity;
    struct sim_wait *waits;
    size_t wait_count;
    size_t wait_capacity;
    struct sim_answer *answers;
    size_t answer_count;
    size_t answer_capacity;
    uuid parent; /* Zero: none. */
    uuid root;
    uint64_t tree_live; /* By its row; of a root. */
    uint64_t tree_counted; /* By the facts. */
    uint32_t parent_effect;
    uint32_t parent_index;
    bool outlives_parent;
    bool is_cancelled_as_orphan;
    uint64_t started; /* Number of its first event in the world, ... */
    uint64_t cancelled; /* ... of its cancellation; 0: never. */
    str name;
    unsigned queue; /* WORLD_QUEUES: none. */
    unsigned queue_key;
    int32_t priority;
    uint64_t waits_since; /* Number of the event since which it waits for admission; 0: no. */
    uint64_t inputs[64]; /* Hashes of what was said to it, ... */
    uint64_t input_keys[64]; /* ... and of the keys; 0: none. */
    bool answer_fits; /* What its model said last fits WORLD_OUTPUT_SCHEMA. */
    bool is_by_machine; /* A tick or an event started it. */
    bool is_fork;
    bool is_copying; /* The commit at hand may hold another run's facts. */
    bool is_half; /* Its copy's row is there: it has not all facts it begins with. */
    bool is_whole_now; /* With the commit at hand it has, or is to have no more. */
    bool was_cut; /* Its copy ended where it was, since it was cancelled or failed. */
    struct copy_row copy; /* Where it was half. */
    size_t records_put; /* By the commit at hand. */
    uint64_t due_ms; /* What it is due for by its facts, ... */
    uint64_t due_since_ms; /* ... since this true time. */
    bool is_told; /* Its parent was. */
    uuid *heard; /* Children whose end it was told. */
    size_t heard_count;
    size_t heard_capacity;
    bool is_doomed; /* Somebody deletes its tree. */
    bool is_gone; /* It was. */
    bool is_changed; /* By the commit at hand. */
    bool was_unsaid; /* A commit of its facts happened, and nobody said so. */
    bool was_damaged; /* When its rows for lists were to be made, perhaps. */
    bool was_unread; /* A read of it failed once. */
    bool is_damaged; /* In this life of the process it cannot be read. */
    bool has_active_row;
    struct run_row row;
    uint32_t calls_seen[LEDGER_EFFECTS_MAX + 1]; /* Last attempt started at the provider. */
    uint64_t
        replied_life[LEDGER_EFFECTS_MAX + 1]; /* The process that was told the reply; 0: none. */
    uint32_t gives_seen[LEDGER_EFFECTS_MAX + 1]; /* Last epoch sent to a host. */
};

struct world_counts {
    uint64_t seeds, runs, completed, failed, cancelled, commits, rounds, events;
    uint64_t crashes, stops, store_faults, reads_failed, clock_jumps, model_calls, rejections,
        inputs, late_answers, gives;
    uint64_t reconnects, host_deaths, refusals, starts_repeated, watches, facts_shown;
    uint64_t tree_facts_shown, deltas;
    uint64_t snapshots, stalls, snubs, stale, facts_read;
    uint64_t cuts, freezes;
    uint64_t pieces, full_streams, large_batches, waits, parks, children, answers, kept, published,
        dropped, awaited, forks, retries, cleanups, pieces_copied, copies_in_pieces, copies_cut;
    uint64_t owed, damaged, orphans, deletions, given_up, tries;
    uint64_t reads, feeds, suspended, undefined, admissions, beginnings, ticks, ticks_skipped,
        batches, rests, unwanted, releases, ticks_called;
    uint64_t made[WORLD_KINDS_MAX]; /* Requests, by their kind. */
};

/* A row of the index of links, as bytes. */
struct sim_link_row {
    uint8_t kind;
    char tail[48];
    size_t len;
};

/* A row of what is owed. */
struct sim_owed {
    uuid lane;
    uint64_t number;
    struct owed_row row;
};

struct sim_event {
    str type;
    str data;
    uint64_t at_ms; /* True time. */
    uint64_t created_ms; /* What the program calls it. */
    uuid run;
};

struct sim_topic {
    uint8_t hash[16];
    struct sim_event *events; /* By sequence - 1. */
    size_t count;
    size_t capacity;
    uint64_t first; /* Those before it were dropped, ... */
    uint64_t deleted; /* ... and those up to this one deleted. */
    bool is_listed;
};

/* A queue as it is committed. */
struct sim_queue {
    bool is_defined;
    bool is_deleted_now; /* By the commit at hand. */
    uint64_t deletions;
    struct queue_limits limits;
    uint32_t counted_count;
    struct {
        uint64_t at_ms; /* At the latest when the clock stepped back behind it. */
        uint64_t begun_ms;
    } counted[WORLD_RATE_MAX]; /* Beginnings the rate looks back at, the oldest first. */
    uint64_t copied_ms; /* When a copy of a run may have begun last. */
    struct {
        uint64_t number; /* Of the event that gave a run of this key to a host. */
        uint64_t upset; /* world.upsets then. */
    } served[WORLD_KEYS];
};

/* A schedule as it is committed, and what follows from that. */
struct sim_schedule {
    bool is_paused;
    bool was_unpaused; /* By the row of this commit that comes next. */
    uint64_t pauses; /* How often it was paused, and went on. */
    bool is_there;
    struct schedule_row row;
    struct cron cron;
    unsigned zone;
    uint64_t next_ms;
    uuid started; /* By the commit at hand, whose row is still to come. */
    uint64_t started_tick_ms;
    uint64_t callers; /* Who ask for a run at once, and were not answered. */
    bool is_called; /* The commit at hand may start one for them. */
    uint64_t deletions;
};

struct sim_trigger {
    bool is_there;
    bool is_dropped; /* Its row went last. */
    unsigned topic;
    uint32_t batch_size;
    uint64_t batch_timeout_ms;
    uint64_t position; /* By the runs it started. */
    uint64_t written; /* By its row. */
};

/* A version of the world's agent, as it is committed. */
struct sim_version {
    uint8_t hash[16];
    bool is_there;
    bool is_deleted_now; /* By the commit at hand. */
    uint64_t runs; /* That work with it, by its row. */
    uint64_t deletions;
    uint64_t answered; /* Of them, seen by who asked for it. */
};

/* What becomes of reads, and of space. */
struct sim_disk {
    uint64_t low_until_ms; /* True time: little space is left. */
    uint64_t low_wall_ms; /* By the program's clock: when it was told so last. */
    uint64_t full_until_ms; /* True time: none is, and every commit is refused. */
    uint64_t fails_until_ms; /* True time: a spell in which reads fail, ... */
    unsigned percent; /* ... so many of them. */
    uint64_t reads_left; /* The one after them fails, once; UINT64_MAX: none does. */
    uint64_t failed_wall_ms; /* By the program's clock: when one failed last. */
    bool is_failing_next; /* The next commit fails, and all that is read for a while. */
};

/* What the last round said, and what came of the next. */
struct sim_quiet {
    uint64_t
        deeds; /* Of the process, as far as they are seen: commits, answers, messages, calls. */
    uint64_t deeds_before; /* Before the round at hand. */
    uint64_t due_ms; /* By the program's clock: when it wants the next; 0: not by itself. */
    int64_t skew_ms; /* Of that clock then. */
    uint64_t life; /* Of the process then. */
    bool is_asked; /* Requests wait for the round at hand. */
    bool is_unwanted; /* Nobody has asked for it. */
    bool is_wanted; /* By nobody but the process. */
    uint64_t second_ms; /* True time: since when idle_count rounds that it wanted did nothing. */
    uint64_t idle_count;
};

struct sim_host;
struct sim_start;

struct sim_call {
    bool in_use;
    bool is_over; /* Answered or cancelled. */
    uint64_t call;
    uint64_t life; /* Of the process that asked. */
    struct sim_run *run;
    uint32_t effect;
    uint64_t number;
    uint64_t text_seed;
    size_t shown;
    size_t text_len;
    uint32_t turn;
    bool is_beside_failure; /* It is answered while the store fails. */
    bool is_judgement; /* Of a reply, for a guardrail. */
    bool is_structured; /* An answer that fits a schema is asked for. */
};

/* A key of which somebody was told. */
struct sim_key {
    uint32_t number;
    bool is_revoked;
};

struct world {
    struct sim_key keys[WORLD_KEYS_MAX];
    size_t key_count;
    uint64_t seed;
    struct draw draw;
    struct draw noise; /* What only the program draws, so that worlds stay comparable. */
    struct draw
        pages; /* What only reads draw: how large their pages are, and when they are read. */
    struct draw peers; /* What only those who read slowly draw. */
    struct draw disk; /* What only the disk draws: which reads fail, when it is full. */
    bool trace;
    bool calm;
    bool is_deleting; /* All is over, and commits fail all the same. */
    const struct store_batch *batch; /* While the laws take it. */
    const char *broken;
    char detail[256];
    uint64_t digest; /* Of all that was committed and sent. */
    struct arena arena; /* Lives as long as the seed. */
    uint64_t time_ms; /* True time; the program sees it skewed. */
    int64_t skew_ms;
    uint64_t ticks;
    struct agenda agenda;
    struct world_counts counts;

    struct partition *partition; /* NULL: the process is down. */
    struct reads *reads; /* NULL with it. */
    bool reads_go_on; /* Their next step is on the agenda. */
    uint64_t life; /* Goes up with each start of the process. */
    uint64_t asleep_until_ms; /* True time: its thread does not get to run before. */
    uint64_t due_ms; /* True time of the partition's next round; 0: none. */
    bool is_dead; /* From here on the process does nothing that is seen. */
    uint64_t acts_until_death; /* UINT64_MAX: it lives. */
    struct store store; /* The real one. */
    struct sim_run *damaged; /* NULL: none. */
    bool is_row_damaged; /* Else its journal is. */
    bool is_unsaid; /* What is committed now happens, and nobody says so. */
    struct sim_disk disk_now;
    struct partition_options options;
    uint64_t lease_ms;
    uint64_t longest_sleep_ms; /* Of its thread. */
    uint64_t slow_rounds; /* So many more come late. */
    struct sim_quiet quiet;

    struct sim_run *runs[WORLD_RUNS_MAX];
    size_t run_count;
    struct sim_run *live[WORLD_RUNS_MAX]; /* Those that have not ended, in no order. */
    size_t live_count;
    struct sim_run *by_id[2 * WORLD_RUNS_MAX]; /* By hash, from there on. */

    struct sim_call *calls; /* Ring of the provider's calls. */
    size_t call_count;
    uint64_t call_number;
    unsigned provider_failure_percent;

    struct sim_host *hosts[WORLD_HOSTS];
    struct sim_start *starts[WORLD_STARTS_MAX];
    size_t start_count;
    uint64_t definitions[8]; /* Hash of definition hash, by version. */
    size_t definition_count;
    uint64_t registered; /* Versions whose registration was answered. */
    struct sim_version versions[8];
    bool are_versions_built; /* Else an older release has written the store. */
    bool is_agent_there;
    uint64_t agent_deletions;
    uint64_t input_number; /* Of the last thing said to an agent. */
    uint64_t agent_deletions_answered;
    size_t open_requests; /* Posted and not answered. */

    uint64_t child_number; /* Tells apart what code and callers make up. */
    uint64_t event_number; /* Of the event at hand. */
    uint64_t events_before; /* The last one before the commit at hand. */
    uint64_t trouble_ms; /* True time of the last accident that delays what is due. */
    uint64_t calm_ms; /* True time at which the world calmed down. */
    struct sim_link_row *links;
    size_t link_count;
    size_t link_capacity;
    bool is_branching; /* Its code starts many runs. */
    bool is_heavy; /* Its values are large. */
    struct sim_owed *owed;
    size_t owed_count;
    size_t owed_capacity;
    struct sim_topic topics[WORLD_TOPICS];
    struct sim_queue queues[WORLD_QUEUES];
    unsigned default_queue; /* Of "sleepy"; WORLD_QUEUES: none. */
    uint64_t upsets; /* How often the process may have forgotten who was served last. */
    const struct zone *zones[WORLD_ZONES];
    struct sim_schedule schedules[WORLD_SCHEDULES];
    struct sim_trigger triggers[WORLD_TRIGGERS];
};

/* world.c */
/* A JSON value, in heavy worlds often a large one. Lives as long as the seed. */
str world_draw_value(struct world *world);
/* The same for an event, each another. is_large: a large one for sure. */
str world_draw_event(struct world *world, bool is_large);
void world_expect(struct world *world, bool holds, const char *law);
bool world_is_well(const struct world *world);
bool world_fault(struct world *world, unsigned percent); /* Never when calm. */
uint64_t world_below(struct world *world, uint64_t bound);
void world_at(struct world *world, uint64_t delay_ms, world_act *act, void *context,
              uint64_t number);
uint64_t world_wall_ms(const struct world *world);
void world_say(const struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void world_detail(struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void world_mix(struct world *world, str bytes); /* Into the digest. */
/* An act of the program that the world would see. False: the process has died before it. */
bool world_sees(struct world *world);
/* False: the process is down, or its inbox is full; the request is freed. */
bool world_post(struct world *world, struct request *request);

/* world_asks.c */
/* What somebody keeps of a request of his, in the world's arena: the first member of it. */
struct sim_ask {
    struct world *world;
    bool is_answered;
    bool is_cut; /* Its connection breaks before the answer has come through. */
};
typedef void request_done(struct request *request, const struct failure *failure);
/* As world_post(). */
bool world_ask(struct sim_ask *ask, struct request *request, request_done *done);
/* The ask, once; NULL: nobody heard the answer. */
void *world_answered(struct request *request);
/* A run that cannot be read in this life was asked for. */
bool world_is_damage(const struct world *world, const struct failure *failure);
/* It may fail for this reason, or for one that passes. */
void world_fail_law(struct world *world, const struct failure *failure, bool may, const char *law);

/* world.c */
void world_run(struct world *world, uint64_t seed);
void world_fini(struct world *world);

/* laws.c */
void laws_take(struct world *world, const struct store_batch *batch);
/* After a round that wants the next one by due_ms of the program's clock; 0: not by itself. */
void laws_check(struct world *world, uint64_t due_ms);
struct sim_run *world_find_run(struct world *world, uuid id); /* Or NULL. */
struct sim_run *world_find_marked(struct world *world, str marker);
void laws_free(struct world *world);
/* The last wait or step request under this key, or NULL. */
struct sim_wait *sim_run_wait(const struct sim_run *run, uint32_t owner, str key);
struct sim_wait *sim_run_wait_of(const struct sim_run *run, uint32_t effect);

/* laws_waits.c: waits, families, links, topics */
void laws_begin(struct world *world);
void laws_note_wait(struct world *world, struct sim_run *run, const struct event *event);
void laws_note_family(struct world *world, struct sim_run *run, const struct event *event);
void laws_take_link(struct world *world, const struct store_entry *entry);
void laws_take_topic(struct world *world, const struct store_entry *entry);
void laws_check_topics(struct world *world);
void laws_check_commit(struct world *world); /* What must be true of each commit as a whole. */
void laws_check_due(struct world *world); /* What should have happened by now. */
/* Sequence of the first published event that an open wait for one is waiting for; 0: none. A run
 * that was set apart meanwhile may have missed what was dropped. */
uint64_t laws_first_that_fits(const struct world *world, const struct sim_run *run,
                              const struct sim_wait *wait);
uint64_t world_json_number(str object, str name); /* A member of a JSON object; 0: it has none. */
str world_json_text(struct world *world, str object, str name);
str world_topic_name(unsigned topic);

/* laws_suspensions.c: answers */
void laws_note_kept(struct world *world, const struct sim_run *run, str key);
void laws_note_answered(struct world *world, const struct sim_run *run, const struct sim_wait *wait,
                        str by);
void laws_judge_resume(struct world *world, const struct sim_resume *resume, bool is_accepted,
                       bool is_kept);
void laws_judge_refusal(struct world *world, const struct sim_resume *resume,
                        const struct failure *failure);

/* laws_owed.c: trees, and what is owed in them */
/* laws_copies.c: a copy is its source's, and does nothing before it is whole */
bool laws_copies_foresees(const struct world *world, uuid id);
void laws_copies_take(struct world *world, uint8_t kind, str tail, const struct store_entry *entry);
void laws_copies_check(struct world *world, struct sim_run *run);

void laws_owed_take(struct world *world, uint8_t kind, str tail, const struct store_entry *entry);
bool sim_run_owes_end(const struct world *world, const struct sim_run *child); /* To its parent. */
/* Of a run above it. */
bool sim_run_owes_cancel(struct world *world, const struct sim_run *child);
/* Whether its parent waited for it and failed, or its task did; its cancellation as such is owed.
 */
bool sim_run_is_orphan(struct world *world, const struct sim_run *child);
bool sim_run_may_be_orphan(struct world *world, const struct sim_run *child); /* Nobody waits. */
bool sim_run_owes_orphan(const struct world *world, const struct sim_run *child);
bool sim_run_is_below_cancelled(struct world *world, const struct sim_run *run);
/* What is owed below such a run rests until the next start. */
bool sim_run_is_below_damaged(struct world *world, const struct sim_run *run);
void laws_owed_hear(struct sim_run *run, uuid child); /* It is told of the child's end. */
void laws_owed_check(struct world *world);

/* laws_queues.c: admission, limits and rates */
void laws_queues_begin(struct world *world);
void laws_queues_open(struct world *world, struct sim_run *run, const struct run_spec *spec);
/* When the ledger knows of the event and the fold does not yet. */
void laws_queues_note(struct world *world, struct sim_run *run, const struct event *event);
void laws_queues_copied(const struct world *world, struct sim_run *run);
void laws_queues_take(struct world *world, uint8_t kind, str name, const struct store_entry *entry);
void laws_queues_check_commit(struct world *world);
void laws_queues_clock_stepped_back(struct world *world);
/* Its task waits for admission in a queue. */
bool sim_run_awaits_admission(const struct sim_run *run);
uint32_t laws_admitted(const struct world *world, unsigned queue,
                       unsigned key); /* WORLD_KEYS: all. */
uint32_t laws_awaiting(const struct world *world, unsigned queue);
void laws_queues_check_memory(struct world *world);
str world_queue_name(unsigned queue);
str world_queue_key(unsigned key);

/* laws_versions.c: the agent's versions, and how many runs work with each */
void laws_versions_take(struct world *world, const struct store_entry *entry);
void laws_versions_check_commit(struct world *world);

/* laws_clockwork.c: schedules and triggers */
void laws_clockwork_begin(struct world *world);
void laws_clockwork_open(struct world *world, struct sim_run *run, const struct run_spec *spec);
void laws_clockwork_take(struct world *world, uint8_t kind, str name,
                         const struct store_entry *entry);
void laws_clockwork_check_commit(struct world *world);
str world_zone_name(unsigned zone);
str world_schedule_id(unsigned schedule);
str world_schedule_workflow(unsigned schedule);
str world_schedule_key(unsigned schedule);
str world_trigger_workflow(unsigned trigger);

/* laws_quiet.c: rounds that nobody asked for */
void laws_quiet_begin(struct world *world); /* A life of the process. */
void laws_quiet_before(struct world *world); /* A round. */
void laws_quiet_after(struct world *world, uint64_t due_ms);

/* laws_rest.c: what must be true of a process that sees nothing to do */
void laws_check_rest(struct world *world, uint64_t due_ms);

/* world_store.c */
/* At a start of the process: one run may not be readable until its end. */
void world_store_damage(struct world *world);
void world_store_begin(struct world *world);
/* Little space is left. */
bool world_store_is_low(const struct world *world);
/* Space was low so lately that what was not begun then may not have been tried again. */
bool world_store_was_low(const struct world *world);
/* A read failed so lately that what it was for may not have been tried again. */
bool world_store_is_doubtful(const struct world *world);
/* The next commit fails, and what is read then. */
void world_store_fail_next(struct world *world);
struct store world_store(struct world *world);

/* world_models.c */
struct model_client world_models(struct world *world);
#define WORLD_OUTPUT "{\"is_done\":true}"
#define WORLD_OUTPUT_SCHEMA                                                                        \
    "{\"type\":\"object\",\"required\":[\"is_done\"],\"properties\":{\"is_done\":{\"const\":true}" \
    "}}"
/* Whether that text of an answer is one by WORLD_OUTPUT_SCHEMA. */
bool world_output_fits(str text);
/* laws_answers.c */
void laws_note_answer(struct world *world, struct sim_run *run, const struct event *event);
/* world_inputs.c: those who say something to agents at work, and its laws */
void world_send_some(struct world *world);
void laws_note_input(struct world *world, struct sim_run *run, const struct event *event);
void laws_judge_inputs(struct world *world, const struct sim_run *run,
                       const struct model_request *request);
/* The text a call shows from `from` on. */
void world_model_text(uint64_t text_seed, size_t from, size_t len, char *ret);
uint64_t world_text_seed(const struct world *world, str marker, uint32_t turn, uint32_t attempt);
void world_models_check(struct world *world); /* After a round. */
void world_models_end_life(struct world *world);

/* world_host_life.c */
void world_hosts_begin(struct world *world);
void world_hosts_end_life(struct world *world); /* The process is gone: their streams break. */
void world_hosts_calm(struct world *world);
/* A host lost a task because nothing was heard of it. */
void world_hosts_judge_loss(struct world *world, uuid run, const struct effect *effect);
void world_hosts_free(struct world *world);
const struct agent_definition *world_definition(struct world *world, unsigned version);

/* world_work.c */
/* The holder of a cancelled run's task had every chance to be told, and was not. */
bool world_work_is_untold(const struct world *world, uuid run);
/* Whoever holds a task was told of the outcomes it waits for. */
void world_work_check_told(struct world *world);

/* world_commands.c: those who answer, cancel, fork, retry and publish */
void world_commands_begin(struct world *world);
void world_cancel(struct world *world, uuid run);
/* An answer to no question of the run. */
void world_answer_early(struct world *world, uuid run);

/* world_definitions.c: those who delete the agent and its versions */
void world_definitions_begin(struct world *world);
void world_definitions_age(struct world *world); /* The store may be one of an older release. */

/* world_keys.c: those who make, list and revoke keys */
void world_keys_do_something(struct world *world);

/* world_queues.c: those who define queues, crowd them and look at them */
void world_queues_begin(struct world *world);
struct queue_limits world_draw_limits(struct world *world);

/* world_operators.c: those who look at hosts and offers, set hosts aside, and delete offers */
void world_operators_begin(struct world *world);
void world_note_request(struct world *world, const struct request *request);
/* A kind of request that nobody made so far; NULL: none is left. */
const char *world_kind_never_made(const struct world *world);

/* world_reads.c: what is read beside the partition */
void world_reads_age(struct world *world); /* The store may be one of an older release. */
void world_reads_start(struct world *world); /* The process is up. */
void world_reads_stop(struct world *world); /* It ends: what was not read is refused. */
/* As world_ask(): one answer, heard or not. The read has its `done`. */
bool world_ask_read(struct sim_ask *ask, struct read *read);
/* A patient one, whose `done` is the caller's. */
void world_read_always(struct world *world, struct read *read);
/* The ask, once; NULL: nobody heard the answer. */
void *world_heard(struct read *read);
void world_read_run(struct world *world, uuid run);
void world_read_history(struct world *world, uuid run);
void world_read_list(struct world *world);

/* world_schedules.c: those who put, delete and list schedules; what hosts offer of clockwork */
void world_schedules_begin(struct world *world);
void world_offer_clockwork(struct world *world, unsigned host, const char *deployment,
                           struct request *hello);
bool world_schedules_are_done(const struct world *world);

/* world_deletions.c: the end, where trees are deleted */
void world_deletions_begin(struct world *world);
bool world_deletions_are_done(const struct world *world);
void world_deletions_check(struct world *world);

/* world_subscribers.c */
extern const struct topic_format world_topic_format;
void world_subscribers_begin(struct world *world);
bool world_subscribers_are_done(const struct world *world);

/* world_callers.c */
void world_callers_begin(struct world *world);
bool world_callers_are_done(const struct world *world);
/* That version of the agent is registered by and by. */
void world_register(struct world *world, unsigned version);
const struct sim_start *world_start_of(const struct world *world, str marker);
const char *world_callers_wait_for(const struct world *world);

/* world_watchers.c: a caller that follows a run, or its tree, to its end, whatever happens. */
struct sim_follow;
struct sim_follow *world_follow(struct world *world, uuid run, bool deltas, bool is_tree);
bool world_follow_is_done(const struct sim_follow *follow);
extern const struct watch_format world_format;

#endif
