/*
 * program: what a pattern is read into, and what a match follows: between pattern_read.c and
 * pattern.c alone.
 */
#ifndef SERVICE_SCHEMA_PROGRAM_H
#define SERVICE_SCHEMA_PROGRAM_H

#include "service/schema/pattern.h"

/* Characters from first to last. */
struct range {
    uint32_t first;
    uint32_t last;
};

/* Ranges in order, none touching another. */
struct ranges {
    struct range *at;
    size_t count;
    size_t capacity;
};

enum part_kind {
    PART_RANGES, /* One character of `ranges`. */
    PART_SPLIT, /* Both: what follows, and what lies `jump` on. */
    PART_JUMP, /* What lies `jump` on. */
    PART_START, /* The text begins here. */
    PART_END, /* It ends here. */
    PART_WORD_EDGE, /* A word begins or ends here. */
    PART_NO_WORD_EDGE,
    PART_MATCH,
};

struct part {
    enum part_kind kind;
    int32_t jump; /* From this part. */
    uint32_t ranges; /* Its number. */
};

struct pattern {
    struct part *parts;
    size_t part_count;
    size_t part_capacity;
    struct ranges *ranges;
    size_t ranges_count;
    size_t ranges_capacity;
    /* For a match: the parts that wait for the next character, now and then; what is to be looked
     * at; all positions so far are numbered, and each part knows the last it was added at. */
    uint32_t *now;
    uint32_t *then;
    uint32_t *pending;
    uint64_t *added_at;
    uint64_t position;
};

#endif
