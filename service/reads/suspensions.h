/*
 * suspensions: what waits for an answer from outside, the longest first.
 *
 * The rows of the index are walked a page at a time until there are enough; what each is about is
 * read from its run's journal, at the place the row names. Rows of earlier releases name none: the
 * journal is then looked through from its end.
 */
#ifndef SERVICE_READS_SUSPENSIONS_H
#define SERVICE_READS_SUSPENSIONS_H

#include "service/reads/reads.h"

struct open_suspension {
    uuid run;
    uuid root;
    str name; /* The run's. */
    str step_key;
    str data; /* JSON text. */
    str answer_schema; /* Empty: any JSON answers it. */
    uint64_t since_ms;
    uint64_t deadline_ms; /* 0: none. */
    uint32_t effect; /* With since_ms and run its place in the list. */
};

struct suspensions_read {
    struct read read; /* run: only those of this run; zero: of all. */
    size_t limit; /* At least 1. */
    uint64_t after_ms; /* After this since_ms, run and effect; 0: from the first. */
    uuid after_run;
    uint32_t after_effect;
    struct open_suspension *ret;
    size_t ret_count;
    bool ret_more;
    size_t bytes; /* Its own: of what was found. */
};
extern const struct read_kind suspensions_kind;

static inline struct suspensions_read *suspensions_read(struct read *read)
{
    assert(read->kind == &suspensions_kind);
    return container_of(read, struct suspensions_read, read);
}

#endif
