/*
 * feature: what lives beside runs, as a value with one const table.
 *
 * The partition knows runs, their journal, the batch, acts and the time; everything else is a
 * feature: it has a state of its own, a room in each run in memory, and is called at the points of
 * a round that are listed here. A hook that is not needed is NULL. The array that main.c gives to
 * the partition is the order of every hook.
 *
 *   BEGINS -> requests [ before_event* -> after_decision ]* -> HEARD -> ENDS -> SEALS -> seal
 *   -> commit
 *      commit -> acts -> COMMITTED -> OVER
 *             \-> FAILED -> [ reread | unreadable ]* -> doubted -> OVER
 *
 * Invariant: `uses` has no cycle; a feature reaches only its own state and that of those it uses.
 * Threading: every hook is called on the partition thread.
 */
#ifndef SERVICE_PARTITION_FEATURE_H
#define SERVICE_PARTITION_FEATURE_H

#include "service/engine/engine.h"

struct act;
struct failure;
struct live_run;
struct owed_kind;
struct partition;
struct run_row;
struct wait_kind;

/* Points of a round, and of the partition's life. */
enum round_point {
    ROUND_BEGINS, /* Before requests: what is due by the clock. */
    ROUND_HEARD, /* After requests: who fell silent is judged, who got free is given work. */
    ROUND_ENDS, /* After all that others caused: admissions. */
    ROUND_SEALS, /* Last before the commit, in every round: what is kept in rows of one's own. */
    ROUND_COMMITTED, /* Its acts are done too: what goes on by itself goes on. May note acts. */
    ROUND_FAILED, /* It never was: forgets what it changed. Touched runs are read again after it.
                     Reached again where something could not be read anew: round_doubt(). */
    ROUND_OVER, /* At the very end, committed or failed: what was of this round goes. */
    ROUND_DRAINS, /* In a round: no new work is taken from now on. */
    ROUND_POINT_COUNT,
};

struct feature {
    const char *name;
    /* May call these, by their headers. NULL-terminated; NULL: none. */
    const struct feature *const *uses;
    /* What it lets the code of a task ask for; see features/waits. NULL-terminated; NULL: nothing.
     */
    const struct wait_kind *const *wait_kinds;
    /* What it causes in other runs; see features/owed. NULL-terminated; NULL: nothing. */
    const struct owed_kind *const *owed_kinds;
    /* Its room in each run in memory, zeroed; see partition_room(). */
    size_t run_bytes;

    /* Its state; see partition_self(). The store is not read yet. */
    void *(*start)(struct partition *partition);
    /* At start only: from its rows. The reason of a failure lives in the round's arena. */
    status (*load)(void *self);
    void (*at[ROUND_POINT_COUNT])(void *self);
    /* The run's start is known: it is started, read or copied. May be called again for the same. */
    void (*run_begun)(void *self, struct live_run *run, const struct run_spec *spec);
    /* A record of the run's journal goes into the batch, so many events behind state.seq; its bytes
     * are borrowed for the call. */
    void (*record_put)(void *self, struct live_run *run, str record, uint32_t count);
    /* An event of a decision, before it is applied. */
    void (*before_event)(void *self, struct live_run *run, const struct event *event,
                         enum command_kind command);
    /* All events of a decision were applied; what follows from them, also for other runs. The
     * events live until the end of the round. */
    void (*after_decision)(void *self, struct live_run *run, const struct event *events,
                           size_t count);
    /* The run's own deadline has passed: what it waited for, if that is the feature's affair. The
     * first that says true is heard; the message may be empty. It lives until the round's end. */
    bool (*deadline_message)(void *self, struct live_run *run, str *ret);
    /* Its fields of the row of a run that was touched. */
    void (*seal)(void *self, struct live_run *run, struct run_row *row);
    /* The run was read again after a round that failed; it may be further than it was. */
    void (*reread)(void *self, struct live_run *run);
    /* It could not be: whoever waits for it is told the failure. */
    void (*unreadable)(void *self, uuid run, const struct failure *failure);
    /* The commit that failed may have happened all the same: the acts it was to cause, after the
     * runs were read again. Their `run` is not to be looked at, only their `run_id`. */
    void (*doubted)(void *self, const struct act *acts, size_t count);
    /* At the start: a run that need not be in memory, by its row alone. */
    status (*row_read)(void *self, uuid run, const struct run_row *row);
    /* After a restart or a failed commit: what the run's open effects need again. */
    void (*recover)(void *self, struct live_run *run);
    /* Gives the run's ready task to a host, by the one feature that has hosts; see feature_give().
     */
    bool (*give)(void *self, struct live_run *run, uint32_t effect);
    void (*run_loaded)(void *self, struct live_run *run);
    /* Whether the run has to stay in memory, though it only waits or has ended. */
    bool (*keeps)(void *self, const struct live_run *run);
    /* It goes from memory: so does what its room holds. */
    void (*run_leaves)(void *self, struct live_run *run);
    /* Another run's fact becomes one of this run, which is_copying; it is not applied yet. Rows by
     * which the run itself is found go into the batch; none by which it would be woken. */
    void (*event_copied)(void *self, struct live_run *run, const struct event *event);
    /* All of them are there, and the run goes on: so do the rows by which it is woken. */
    void (*run_copied)(void *self, struct live_run *run);
    /* It is cancelled or fails while it is_copying: its history ends where the copy is, and it is a
     * run like others from now on. */
    void (*copy_cut)(void *self, struct live_run *run);
    /* The run is deleted: so are its rows, by the batch. spec, row: as far as they can be read,
     * else NULL. */
    void (*run_deleted)(void *self, uuid run, const struct run_spec *spec,
                        const struct run_row *row);
    /* When it wants the next round, Unix ms; 0: only on a request. */
    uint64_t (*next_due_ms)(void *self);
    /* The partition ends: who follows the run or waits for it is told. */
    void (*run_ends_here)(void *self, uuid run);
    /* In reverse order. Frees the state. */
    void (*stop)(void *self);
};

/* A feature of a partition. */
struct feature_slot {
    const struct feature *feature; /* NULL: after the last. */
    void *self; /* Its state. */
    size_t room; /* Offset in a run's rooms. */
};

/* By the partition's files: one after the other, in the order of their hooks. */
#define features_each(partition, slot)                                                             \
    for (const struct feature_slot *slot = (partition)->features; slot->feature != NULL; slot++)

/* Calls the hook of every feature that has it, in order: features_tell(partition, reread, run). */
#define features_tell(partition, hook, ...)                                                        \
    do {                                                                                           \
        features_each (partition, slot_) {                                                         \
            if (slot_->feature->hook != NULL) {                                                    \
                slot_->feature->hook(slot_->self, __VA_ARGS__);                                    \
            }                                                                                      \
        }                                                                                          \
    } while (false)

/* Calls the features that have something to do there. */
void features_reach(struct partition *partition, enum round_point point);

/* Gives the run's ready task to a host, whether or not it is admitted. False: none is free, and it
 * stands among the ready ones. */
bool feature_give(struct partition *partition, struct live_run *run, uint32_t effect);

/* By partition.c. Checks the uses; gives each its place in the runs. */
void features_start(struct partition *partition);
/* Reads their rows. */
status features_load(struct partition *partition);
/* In reverse order. */
void features_stop(struct partition *partition);

/* The state that `start` gave. The feature is one of the partition's. */
void *partition_self(const struct partition *partition, const struct feature *feature);
/* The feature's room in the run. */
void *partition_room(const struct partition *partition, const struct live_run *run,
                     const struct feature *feature);

#endif
