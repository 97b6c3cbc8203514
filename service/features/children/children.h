/*
 * children: runs that a run's code started: they are cancelled with it, and it is told of their
 * end.
 */
#ifndef SERVICE_FEATURES_CHILDREN_CHILDREN_H
#define SERVICE_FEATURES_CHILDREN_CHILDREN_H

#include "service/base/arena.h"
#include "service/base/uuid.h"
#include "service/partition/feature.h"

extern const struct feature children_feature;

/* A growing list in an arena. */
struct run_ids {
    struct arena *arena;
    uuid *ids;
    size_t count;
    size_t capacity;
};

/* A copy of a failed run waits for the children that run had begun, where its wait for them is
 * open; those that have ended are told of. Owed: it is done in this round or in later ones. */
void children_adopt(struct partition *partition, uuid source, struct live_run *successor);

/* Whether children of the tree's failed runs are still handed on to a run that goes on for one. */
bool children_are_adopted(const struct partition *partition, uuid root);

/* The next children of a run by their ids, at most `limit`: those in the store that come after
 * `cursor` (zero: from the first). The list has fewer: there are no more. */
status children_read(struct partition *partition, uuid parent, uuid cursor, size_t limit,
                     struct run_ids *ret);
/* Whether it has started any run. True also when that cannot be read. */
bool children_are_there(struct partition *partition, uuid parent);
/* Into the batch: it is a child of that run no more. */
void children_unlink(struct partition *partition, uuid parent, uuid child);
/* A run that could not be read is deleted: whoever waits for it is told that it failed. */
void children_tell_deleted(struct partition *partition, uuid child, const struct run_spec *spec);

#endif
