/*
 * owed_row: what is still to be done to other runs because of a decision that was committed.
 *
 *   owed       lane 16 | number 8 -> OwedRow of records.proto
 *   tree       root 16            -> TreeRow of records.proto
 *
 * A lane is a tree, by its root's id. What is owed in it is done in the order of the numbers.
 */
#ifndef SERVICE_CODEC_OWED_ROW_H
#define SERVICE_CODEC_OWED_ROW_H

#include "service/base/buf.h"
#include "service/base/uuid.h"
#include "service/codec/index.h"

enum {
    OWED_ROW_BYTES_MAX = 96,
    TREE_ROW_BYTES_MAX = 32,
};

struct owed_key {
    uuid lane;
    uint64_t number; /* From 1. */
};

/* Zero-initialised it is of no kind. */
struct owed_row {
    uint32_t kind; /* Of the feature that posted it; never another meaning. */
    uuid target; /* The run it is about. */
    uuid source; /* Another one, for kinds that have two; else zero. */
    uuid cursor; /* The last run that was dealt with; zero: none yet. */
};

struct index_tail owed_key_tail(const struct owed_key *key);
struct index_tail owed_keys_of(uuid lane); /* The prefix of all in the lane. */
/* Of a key's tail. DATA_LOSS: it is damaged. */
status owed_key_decode(str tail, struct owed_key *ret);
/* Returns the bytes it wrote. */
str owed_row_encode(const struct owed_row *row, char ret[OWED_ROW_BYTES_MAX]);
/* DATA_LOSS: it is damaged. FAILED_PRECONDITION: of a later release. */
status owed_row_decode(str bytes, struct owed_row *ret);

/* Of a tree with more than its root. */
struct tree_row {
    uint64_t live; /* Runs below the root that have not ended. */
};

struct index_tail tree_row_tail(uuid root);
/* Returns the bytes it wrote. */
str tree_row_encode(const struct tree_row *row, char ret[TREE_ROW_BYTES_MAX]);
/* DATA_LOSS: it is damaged. */
status tree_row_decode(str bytes, struct tree_row *ret);

#endif
