/*
 * kept: what is kept of an output of any length: its first and its last characters.
 *
 * A fifth of what may be kept is the head, the rest is the tail; what lies between is counted and
 * dropped as it comes, so memory has a bound whatever a command prints. Characters are never cut:
 * bytes that are no UTF-8 become U+FFFD, and what colours a terminal's text is taken out.
 *
 * Invariant: the head is full before anything is in the tail.
 */
#ifndef CLIENTS_SANDBOX_BOX_KEPT_H
#define CLIENTS_SANDBOX_BOX_KEPT_H

#include "service/base/buf.h"

enum {
    KEPT_CHARS_DEFAULT = 100000,
    KEPT_CHARS_MAX = 150000, /* Two of them fit a value of 2 MiB, however they are escaped. */
    KEPT_PENDING_BYTES_MAX = 64,
};

struct kept {
    uint64_t head_chars_max;
    uint64_t tail_chars_max;
    uint64_t chars; /* All that came. */
    uint64_t head_chars;
    uint64_t tail_chars; /* In the tail; up to twice what may be kept. */
    struct buf head;
    struct buf tail;
    char pending[KEPT_PENDING_BYTES_MAX]; /* The beginning of a character or of a colour. */
    size_t pending_len;
};

/* chars_max: 1 to KEPT_CHARS_MAX. */
void kept_init(struct kept *kept, uint64_t chars_max);
void kept_fini(struct kept *kept);
/* What is whole of it is also appended to `shown`, as it will be kept; NULL: nobody looks. */
void kept_add(struct kept *kept, str bytes, struct buf *shown);
/* No more comes: what was pending counts as it is. Call once, before kept_text(). */
void kept_end(struct kept *kept);
/* Something lies between head and tail. */
bool kept_is_cut(const struct kept *kept);
/* Head and tail, with a line between them that says how much is missing. */
str kept_text(const struct kept *kept, struct arena *arena);

#endif
