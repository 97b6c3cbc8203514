/*
 * tree_replay: the facts of a root and of all runs below it, in the order in which they were
 * committed, shown to somebody who follows the tree, a page at a time.
 *
 * It goes along the rows of codec/tree_order.h, and reads each record that they name. It ends when
 * there are no more, or when whoever is shown them can take no more for now.
 */
#ifndef SERVICE_READS_TREE_REPLAY_H
#define SERVICE_READS_TREE_REPLAY_H

#include "service/codec/codec.h"
#include "service/codec/tree_order.h"
#include "service/reads/reads.h"

struct tree_replay {
    struct read read; /* run: the root. */
    uint64_t number; /* In: facts after this one; out: up to here they were shown. */
    /* The next fact, which is borrowed for the call. False: no more can be taken for now. */
    bool (*show)(struct tree_replay *replay, uuid run, uint64_t number,
                 const struct codec_entry *entry, const struct event *event);
    bool ret_full; /* It was told so; there may be more. */
    bool ret_ended; /* The root has ended, none below is left that has not, and this is all. */
    /* It cannot be followed: RUN_NOT_ROOT, TREE_NOT_ORDERED, or RUN_UNREADABLE of one below. Lives
     * as long as the read. */
    struct failure ret_failure;
    /* Its own: */
    bool has_begun;
};
/* OUT_OF_RANGE: the tree has no fact of that number. */
extern const struct read_kind tree_replay_kind;

static inline struct tree_replay *tree_replay(struct read *read)
{
    assert(read->kind == &tree_replay_kind);
    return container_of(read, struct tree_replay, read);
}

#endif
