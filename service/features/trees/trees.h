/*
 * trees: how deep a tree of runs is and how many of its runs are alive, with a limit for each.
 *
 * A run stands in its tree: below its parent, and all of them below one root. What is counted is
 * the runs below the root that have not ended; the count is a row, changed in the batch of the
 * start or the end that changes it. So is the order of all facts of a tree with more than its root:
 * a row for each record (codec/tree_order.h), by which a whole tree is followed.
 *
 * Threading: owned by the partition thread.
 */
#ifndef SERVICE_FEATURES_TREES_TREES_H
#define SERVICE_FEATURES_TREES_TREES_H

#include "service/base/arena.h"
#include "service/base/failure.h"
#include "service/base/uuid.h"
#include "service/partition/feature.h"

extern const struct feature trees_feature;

/* Where a run stands. */
struct tree_place {
    uuid root; /* The run itself for a root. */
    uuid parent; /* Zero: none. */
    uint32_t parent_effect; /* The parent's wait that counts it; 0: none does. */
    uint32_t parent_index; /* Which of the wait's children it is, from 0. */
    uint32_t depth; /* Runs above it; 0: a root, or started by an older release. */
    bool outlives_parent; /* It goes on when a parent that waits for it fails. */
    /* In the order of its tree, of the last fact that was put into a batch; 0: it was in no batch
     * since it is in memory, or the tree has no order. */
    uint64_t number;
    /* A root's: */
    bool has_order; /* The facts of its tree are kept in one order. */
    bool is_alone; /* It has started no run, as far as is known. */
};

/* Borrowed while the run is in memory. */
const struct tree_place *tree_place(const struct partition *partition, const struct live_run *run);
/* Whether the run may start so many more now. False: *ret says which limit they would pass;
 * TREE_TOO_DEEP or TREE_TOO_LARGE. */
bool tree_may_grow(struct partition *partition, const struct live_run *run, size_t count,
                   struct arena *arena, struct failure *ret);

/* Deletes rows of the order of a tree, which is being deleted: some for each of *budget, which is
 * not 0, and which it lowers. *ret_more: some are left. */
status tree_erase_order(struct partition *partition, uuid root, size_t *budget, bool *ret_more);

/* Runs below the root that have not ended; those of older releases were not counted. */
uint64_t tree_live(struct partition *partition, uuid root);

#endif
