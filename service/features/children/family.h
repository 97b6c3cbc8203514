/*
 * family: what the files of this feature share: the rows that lead from a run to those it started.
 */
#ifndef SERVICE_FEATURES_CHILDREN_FAMILY_H
#define SERVICE_FEATURES_CHILDREN_FAMILY_H

#include "service/codec/tree_rows.h"
#include "service/features/children/children.h"
#include "service/features/owed/owed.h"
#include "service/partition/state.h"

/* The feature's state: the rows of this round, which are not in the store yet. */
struct children {
    struct partition *partition;
    struct child_row *fresh;
    size_t count;
    size_t capacity;
};

/* Of the partition, whose features include this one. */
struct children *children_of(const struct partition *partition);

void run_ids_add(struct run_ids *list, uuid id); /* Whether or not it is in it. */

/* Into the batch: the parent's cancellation is the child's. */
void family_note(struct partition *partition, uuid parent, uuid child);
/* Adds those of this round, which are no rows of the store yet. */
void family_read_fresh(struct partition *partition, uuid parent, struct run_ids *ret);
/* The row of a run that was committed. */
status family_run_row(struct partition *partition, uuid id, struct run_row *ret);

/* A successor waits for the child in place of the run that started it. */
void family_note_successor(struct partition *partition, uuid child, uuid successor);
/* Takes those who wait for the child in place of its parent: their rows go. */
status family_take_successors(struct partition *partition, uuid child, uuid parent,
                              struct run_ids *ret);

/* The child is deleted: nobody waits for it. */
void family_delete_successors(struct partition *partition, uuid child);

/* The successor waits for another child in its place. */
void family_forget_successor(struct partition *partition, uuid child, uuid successor);

/* What is owed of families; see owed.h. */
extern const struct owed_kind tell_parent_owed; /* target: a run that has ended. */
extern const struct owed_kind cancel_below_owed; /* target: the run above. */
extern const struct owed_kind adopt_owed; /* target: the successor, source: whom it follows. */
extern const struct owed_kind handing_on_owed; /* target: a successor of a run of this tree. */
extern const struct owed_kind cancel_orphans_owed; /* target: whom they were awaited by; source: one
                                                      of them only; zero: all. */

/* What a decision is about, at hand in its own round. */
struct ending {
    const struct event *events;
    size_t count;
};

/* How the run ended, as its parent is told. NULL at hand: read from its journal. UNAVAILABLE: its
 * end is not on disk yet. */
status ending_read(struct partition *partition, struct live_run *run, const struct ending *at_hand,
                   struct outcome *ret);
/* Tells a run that a child of its wait has ended so. */
void ending_tell(struct partition *partition, uuid parent, struct live_run *child,
                 const struct outcome *outcome);

/* Tells a run that a child of its wait was deleted. */
void ending_tell_deleted(struct partition *partition, struct live_run *run, uint32_t effect,
                         uint32_t index, uuid child);

/* Before an event is applied to a run: where it ends a wait for children in failure, their
 * cancellation is owed. */
void orphans_note(struct partition *partition, struct live_run *run, const struct event *event);

/* Starts a child anew for a successor that waits for it. True: it did, if the child was cancelled:
 * the failed run had not been told. False: the successor is to be told *outcome, which says why
 * where another could not be started. */
bool renewal_begin(struct partition *partition, struct live_run *successor, struct live_run *child,
                   struct outcome *outcome);

#endif
