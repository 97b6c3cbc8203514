/*
 * run_replay: the facts of a run, shown to somebody who follows it, a page at a time.
 *
 * It ends when the journal does, or when whoever is shown them can take no more for now. Of a run
 * that has ended by then, all of them were shown.
 */
#ifndef SERVICE_READS_RUN_REPLAY_H
#define SERVICE_READS_RUN_REPLAY_H

#include "service/codec/codec.h"
#include "service/reads/reads.h"

struct run_replay {
    struct read read; /* run: whose. */
    uint32_t seq; /* In: facts after this one; out: up to here they were shown. */
    /* The next fact, which is borrowed for the call. False: no more can be taken for now. */
    bool (*show)(struct run_replay *replay, const struct codec_entry *entry,
                 const struct event *event);
    bool ret_full; /* It was told so; there may be more. */
    bool ret_ended; /* The run has ended, and these are all its facts. */
    /* Its own: */
    uint32_t next; /* Where the next page begins; 0: it has not begun. */
};
/* OUT_OF_RANGE: the run has no fact of that seq. */
extern const struct read_kind run_replay_kind;

static inline struct run_replay *run_replay(struct read *read)
{
    assert(read->kind == &run_replay_kind);
    return container_of(read, struct run_replay, read);
}

#endif
