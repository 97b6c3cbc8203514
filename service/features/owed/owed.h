/*
 * owed: what a decision causes in other runs, and sweeps over many of them.
 *
 * A decision posts what it owes; the rest of the round does it, within a budget. What is left when
 * the round commits becomes rows in that very batch, and goes on in the next round; a row goes, or
 * its cursor moves, in the batch of the decisions it led to. So each is done once, with no numbers
 * to compare, whatever happens between two rounds.
 *
 * Order:     a lane is a tree of runs, named by its root: first in, first out within it. Lanes take
 *            turns, so a tree of a million runs delays nobody else.
 * Bounds:    a round does at most options.owed_max runs, of a lane at most 256 or 1 MiB; memory
 *            holds the heads of at most 1,000 lanes.
 * Threading: owned by the partition thread.
 */
#ifndef SERVICE_FEATURES_OWED_OWED_H
#define SERVICE_FEATURES_OWED_OWED_H

#include "service/base/uuid.h"
#include "service/partition/feature.h"

extern const struct feature owed_feature;

/* References only: what is needed beyond them is read when it is done. */
struct owed {
    uuid target; /* The run it is about. */
    uuid source; /* Another one, for kinds that have two. */
    uuid cursor; /* The last run that was dealt with; the kind's own. */
    const void *at_hand; /* In the round that posted it what is known already; later NULL. */
};

enum owed_result {
    OWED_DONE,
    OWED_GOES_ON, /* Its cursor has moved: it is to be worked on again in a later round. */
    OWED_LATER, /* The store cannot be read now: again in half a second. */
    OWED_PUT_ASIDE, /* A run it needs is damaged; its row waits for the next start. */
};

/* When a run that is needed could not be read for that reason: nothing is owed to one that was
 * deleted. */
enum owed_result owed_unread(status why);

/* One const row for each kind, named by the feature that posts it. */
struct owed_kind {
    const char *name;
    uint32_t number; /* On disk; from 1, below OWED_KINDS_MAX, never another meaning. */
    /* Does some of it: takes 1 from *budget, which is not 0, for each run it looks at. */
    enum owed_result (*work)(struct partition *partition, struct owed *owed, size_t *budget);
};

enum {
    OWED_KINDS_MAX = 16,
};

/* Done later in this round, or in later ones. Copies it, but for what is at hand. */
void owed_post(struct partition *partition, uuid lane, const struct owed_kind *kind,
               const struct owed *owed);
/* Whether one of that kind stands in the lane, or may. */
bool owed_stands(const struct partition *partition, uuid lane, const struct owed_kind *kind);

#endif
