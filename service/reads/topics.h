/*
 * topics: the topics by their names, with what is kept of each.
 */
#ifndef SERVICE_READS_TOPICS_H
#define SERVICE_READS_TOPICS_H

#include "service/reads/reads.h"

struct topic_line {
    str name;
    uint64_t first; /* Of the oldest event that is kept; 0: none is. */
    uint64_t last; /* Of the newest there ever was. */
    uint64_t last_ms; /* When that was published; 0: it is not kept. */
};

struct topics_read {
    struct read read;
    str prefix; /* Only names that begin so; empty: all. */
    str after; /* Names after this one, which begins with the prefix; empty: from the first. */
    size_t limit; /* At least 1. */
    struct topic_line *ret;
    size_t ret_count;
    bool ret_more;
};
extern const struct read_kind topics_kind;

static inline struct topics_read *topics_read(struct read *read)
{
    assert(read->kind == &topics_kind);
    return container_of(read, struct topics_read, read);
}

#endif
