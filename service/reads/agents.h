/*
 * agents: agents as they are defined: the newest of each by id, one version of one, or all versions
 * of one, newest first.
 */
#ifndef SERVICE_READS_AGENTS_H
#define SERVICE_READS_AGENTS_H

#include "service/reads/reads.h"

enum {
    AGENTS_PLACE_BYTES = 8 + KEY_HASH_BYTES,
};

struct agent_line {
    const uint8_t *hash; /* KEY_HASH_BYTES. */
    str encoded; /* For agent_definition_decode(). */
    bool is_newest;
    uint64_t registered_ms; /* 0: not known. */
    uint64_t runs; /* That have not ended. */
};

struct agents_read {
    struct read read;
    str id; /* Only this agent; empty: a page of all. */
    str hash; /* Only this version of it, whosever it is; empty: the newest. */
    bool wants_versions; /* A page of all versions of it. */
    /* Of a page: what comes after this id, or this place among versions (AGENTS_PLACE_BYTES);
     * empty: from the first. */
    str after;
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
