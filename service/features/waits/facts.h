/*
 * facts: what a task's code has settled, and the children of its waits, a page of the journal at a
 * time.
 */
#ifndef SERVICE_FEATURES_WAITS_FACTS_H
#define SERVICE_FEATURES_WAITS_FACTS_H

#include "service/base/arena.h"
#include "service/engine/engine.h"
#include "service/hosts/facts.h"

struct partition;

enum {
    FACTS_PAGE_BYTES = 1 << 20, /* Of a page's facts; more only when one fact has more. */
    FACTS_READ_BYTES = 4 << 20, /* Of the journal that are read for it; as above. */
};

struct facts_page {
    struct settled_step *facts; /* In order. */
    size_t count;
    size_t capacity;
    size_t bytes;
    uint32_t settled_count; /* Those that hosts told. */
    str cancel_cause; /* Of a cancel that was read; empty: none was. */
    bool is_last; /* Nothing follows it. */
};

/* Goes on from where the cursor is. What is read lives in the arena. A page may be empty though
 * others follow. DATA_LOSS: the journal is damaged. */
status facts_read(struct partition *partition, struct facts_cursor *cursor, struct arena *arena,
                  struct facts_page *ret);
/* The state that the cursor has come to; without JSON: none was read. */
status facts_state(struct partition *partition, const struct facts_cursor *cursor,
                   struct arena *arena, struct kept_state *ret);
/* The children in the page, by their waits and in their order, in the arena. */
const struct settled_step **facts_children(const struct facts_page *page, struct arena *arena,
                                           size_t *ret_count);
/* The value of a wait: those of its children. */
str facts_join(const struct settled_step **children, size_t count, uint32_t wait,
               struct arena *arena);

#endif
