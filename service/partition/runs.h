/*
 * runs: the runs in memory: found by id, read when they are needed, dropped when nobody needs them.
 *
 * A run that only waits is a few rows on disk. The last ones used stay in memory all the same.
 *
 * Invariant: a run that was touched in a round stays until its end.
 * Threading: owned by the partition thread.
 */
#ifndef SERVICE_PARTITION_RUNS_H
#define SERVICE_PARTITION_RUNS_H

#include "service/base/table.h"
#include "service/codec/codec.h"
#include "service/engine/engine.h"

struct partition;
struct unread;

/* A run in memory. What belongs to a feature is in its room behind: partition_room(). */
struct live_run {
    struct table_link by_id;
    struct live_run *older; /* In its list, in the order of last use. */
    struct live_run *newer;
    struct live_run *touched_next; /* Touched in this round. */
    struct run state;
    char name[CODEC_NAME_MAX + 1];
    struct run_row row; /* As last written. */
    uint64_t alarm_ms; /* Of its row among the alarms; 0: it has none. */
    bool row_written;
    bool is_touched;
    bool is_forgotten; /* See runs_forget(). */
    bool is_copying; /* The history it begins with is not all there: nothing is done for it yet. */
    bool needs_recovery;
    bool was_unread; /* It needs recovery because it could not be read before. */
    bool is_resting; /* Which list it is in. */
    uint64_t used_ms;
    uint64_t used_round;
    uint32_t snapshot_seq;
    size_t tail_bytes; /* Of the records after it. */
    size_t history_bytes; /* Of all its records. */
    uint32_t durable_seq; /* Events up to here are on disk, and live watchers have seen them. */
    /* Journal records, copied: all of an agent's, the first of others. */
    str *records;
    size_t record_count;
    size_t record_capacity;
    max_align_t rooms[]; /* The features', one after the other. */
};

struct run_list {
    struct live_run *oldest;
    struct live_run *newest;
    size_t count;
};

/* By the partition's own files: */
struct runs {
    struct table by_id;
    size_t room_bytes; /* Of all features, in each run. */
    struct run_list at_work;
    struct run_list resting; /* Nothing is at work for them: they only save a reading. */
    size_t left_count; /* Runs that left memory since it was returned. */
    struct live_run *touched;
    uuid *recovering; /* Runs that need recovery. */
    size_t recovering_count;
    size_t recovering_capacity;
    uint64_t recover_at_ms; /* Not before. */
    uuid *forgotten; /* In this round. */
    size_t forgotten_count;
    size_t forgotten_capacity;
    struct unread *unread; /* Runs that could not be read, for now. */
    uint64_t doubt_ms; /* When what the failed round changed is read anew; 0: it was. */
    const char *spoilt; /* Why the round cannot be committed; NULL: it can be. */
    bool is_starting; /* Owed effects come before requests: a host may claim its task. */
};

/* NOT_FOUND when there is none; DATA_LOSS when it cannot be read: it is then set apart, and is not
 * tried again before a restart; UNAVAILABLE when the store failed: it is read again in a while, and
 * recovered. Borrowed until the round's end. Resets the scratch arena when it reads. */
status runs_get(struct partition *partition, uuid id, struct live_run **ret);
/* It is not in memory, and why it cannot be: DATA_LOSS or FAILED_PRECONDITION. Nothing is written.
 * The status says so, and lives as long as the partition. */
status runs_set_apart(struct partition *partition, uuid id, status why);
struct live_run *runs_find(const struct partition *partition, uuid id); /* In memory, or NULL. */
/* A new one: it is not in memory yet. */
struct live_run *runs_insert(struct partition *partition, uuid id);
/* Keeps it until the round's end, when its row is sealed. */
void runs_touch(struct partition *partition, struct live_run *run);
/* Copies a record of its journal to its records in memory. */
void runs_keep_record(struct live_run *run, str record);
void runs_keep_first(struct live_run *run); /* And no other record. */
/* What its start says of it: its name; features take what is theirs. */
void runs_begun(struct partition *partition, struct live_run *run, const struct run_spec *spec);
/* The run's first fact. DATA_LOSS when that is not its start. */
status runs_started(const struct live_run *run, struct arena *arena, struct event *ret);
/* From memory, touched ones never. */
void runs_drop(struct partition *partition, struct live_run *run);
/* Whether there is such a run, readable or not. True also when that cannot be read. */
bool runs_exist(struct partition *partition, uuid id);
/* Its deletion is in the batch: from now on there is no such run. One in memory may leave it. */
void runs_forget(struct partition *partition, uuid id);
/* After the round's commit, or when it has failed: those leave memory. is_committed: nor are they
 * set apart any more. */
void runs_drop_forgotten(struct partition *partition, bool is_committed);
/* At the round's end: those that only wait leave. */
void runs_evict(struct partition *partition);
/* In memory. */
size_t runs_count(const struct partition *partition);
/* All in memory, one after the other; NULL: no more. */
struct live_run *runs_first(const struct partition *partition);
/* NULL: it was the last. The list may not change meanwhile. */
struct live_run *runs_next(const struct partition *partition, const struct live_run *run);
uint64_t runs_next_eviction_ms(const struct partition *partition); /* 0: none. */
/* Whether nothing needs it in memory. */
bool runs_may_leave(const struct partition *partition, const struct live_run *run);
/* Its effects are to be put in motion again, in a later round. Keeps it in memory. */
void runs_recover_later(struct partition *partition, struct live_run *run, uint64_t at_ms);
/* By partition.c: before the features start, and after they have stopped. */
void runs_init(struct partition *partition);
/* Drops them all, whatever they are at. */
void runs_fini(struct partition *partition);

#endif
