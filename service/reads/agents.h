/*
 * agents: agents as they are defined: the newest of each by id, or one version of one.
 */
#ifndef SERVICE_READS_AGENTS_H
#define SERVICE_READS_AGENTS_H

#include "service/reads/reads.h"

struct agent_line {
    const uint8_t *hash; /* KEY_HASH_BYTES. */
    str encoded; /* For agent_definition_decode(). */
};

struct agents_read {
    struct read read;
    str id; /* Only this agent; empty: a page of all. */
    str hash; /* Only this version of it, whosever it is; empty: the newest. */
    str after; /* Of a page: the ids after this one; empty: from the first. */
    size_t limit; /* At least 1. */
    /* All that is in it lives as long as the read. One agent that is not there is none. */
    struct agent_line *ret_lines;
    size_t ret_count;
    str ret_last; /* Where the next page begins; empty: there is none. */
};
extern const struct read_kind agents_kind;

static inline struct agents_read *agents_read(struct read *read)
{
    assert(read->kind == &agents_kind);
    return container_of(read, struct agents_read, read);
}

#endif
