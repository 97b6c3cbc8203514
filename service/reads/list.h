/*
 * list: runs, newest first, by what is asked of them.
 *
 * A page looks at READ_PAGE_ROWS rows of the narrowest index there is for the filter, and holds
 * those of them that fit all of it; so it may be short, even empty, and have a next one.
 */
#ifndef SERVICE_READS_LIST_H
#define SERVICE_READS_LIST_H

#include "service/codec/codec.h"
#include "service/reads/reads.h"

/* What is empty, zero or none does not filter. */
struct run_filter {
    uuid parent;
    uuid root; /* Of their tree, itself too. */
    bool only_roots;
    enum run_kind kind;
    uint32_t statuses; /* Any of these, as in a run's row: a bit for each, 1 << status. */
    str name;
    str deployment;
    str session_id;
    str user_id;
    str conversation_id;
    str schedule_id; /* That started them. */
    uint64_t created_after_ms; /* At or after it. */
    uint64_t created_before_ms;
};

struct run_line {
    uuid id;
    struct run_row_line row;
    str unreadable; /* Why it cannot be read: its status is UNREADABLE. Empty: it can. */
};

struct list_read {
    struct read read;
    struct run_filter filter;
    uuid before; /* Zero: from the newest. */
    size_t limit; /* At least 1. */
    struct run_line *ret_lines;
    size_t ret_count;
    uuid ret_next; /* The `before` of the next page; zero: there is none. */
};
extern const struct read_kind list_kind;

static inline struct list_read *list_read(struct read *read)
{
    assert(read->kind == &list_kind);
    return container_of(read, struct list_read, read);
}

#endif
