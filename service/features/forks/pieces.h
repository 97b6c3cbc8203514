/*
 * pieces: some records of a run in order, taken for its copy, or only looked at.
 */
#ifndef SERVICE_FEATURES_FORKS_PIECES_H
#define SERVICE_FEATURES_FORKS_PIECES_H

#include "service/codec/copy_row.h"
#include "service/engine/engine.h"

struct live_run;
struct partition;

struct piece {
    struct partition *partition;
    const struct copy_row *row; /* How events are changed; NULL: they are only looked at. */
    struct live_run *run; /* The copy. */
    struct run *state; /* Of the copy, or what is folded where they are looked at. */
    uint32_t after_seq; /* The last event of all pieces. */
    size_t records_max;
    size_t bytes_max;
    size_t records; /* That were taken ... */
    size_t bytes;
    status status; /* ... until this. */
};

/* On from where its state is, which is not at the end yet. When it fails, some may have been taken.
 * DATA_LOSS: the source's journal is not what it was. Resets the scratch arena. */
status piece_take(struct piece *piece, uuid source);

#endif
