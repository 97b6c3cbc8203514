/*
 * format: what watchers are sent, and the positions they come back with.
 *
 * A position is the seq of the last fact shown and, inside a model call that has not ended, the
 * effect, its attempt and the byte up to which its text was shown: "12.3.1.480". Of a tree it is
 * the number of the last fact in its order: "tree.57".
 */
#ifndef SERVICE_API_FORMAT_H
#define SERVICE_API_FORMAT_H

#include "polos/v1/runs.pb-c.h"
#include "service/base/arena.h"
#include "service/base/payload.h"
#include "service/codec/codec.h"

enum {
    POSITION_BYTES = 56, /* With the NUL. */
};

struct position {
    uint32_t seq;
    uint32_t effect; /* 0: no delta was shown after the fact; then attempt and offset are 0. */
    uint32_t attempt;
    uint64_t offset;
};

/* As text for callers: "12", or "12.3.1.480" inside a model call. */
void position_format(struct position position, char ret[POSITION_BYTES]);
/* Only what position_format() writes. */
bool position_parse(str text, struct position *ret);

/* Of a tree: up to which fact of its order it was shown. */
void tree_position_format(uint64_t number, char ret[POSITION_BYTES]);
/* Only what tree_position_format() writes. */
bool tree_position_parse(str text, uint64_t *ret);

/* What the last message of a stream that follows a run or a tree says. */
struct payload *format_ended(bool is_tree, uint64_t number, Polos__V1__Run *run);

#endif
