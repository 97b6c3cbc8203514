/*
 * topic_replay: the events of a topic, shown to somebody who follows it, a page at a time.
 *
 * It ends when there are no more, or when whoever is shown them can take no more for now.
 */
#ifndef SERVICE_READS_TOPIC_REPLAY_H
#define SERVICE_READS_TOPIC_REPLAY_H

#include "service/codec/topic_rows.h"
#include "service/reads/reads.h"

struct topic_replay {
    struct read read;
    uint8_t topic[KEY_HASH_BYTES];
    str type; /* Only of this type; empty: all. Borrowed. */
    uint64_t after_ms; /* Only what was published after it; 0: whenever. */
    /* In: events after this one; out: up to here they were shown, or are not kept. */
    uint64_t sequence;
    /* The next event, which is borrowed for the call. False: no more can be taken for now. */
    bool (*show)(struct topic_replay *replay, const struct topic_event *event);
    bool ret_full; /* It was told so; there may be more. */
};
extern const struct read_kind topic_replay_kind;

static inline struct topic_replay *topic_replay(struct read *read)
{
    assert(read->kind == &topic_replay_kind);
    return container_of(read, struct topic_replay, read);
}

#endif
