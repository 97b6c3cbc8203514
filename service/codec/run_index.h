/*
 * run_index: by what runs are listed.
 *
 *   run        by 1 | hash of the value 16 | run 16 -> nothing
 *   built      -> how far the rows of older runs were made; one for each set of them
 *
 * The rows of a run are written when it is started; that of its end when it ends. They are never
 * changed. A value's hash is no proof of it: whoever lists looks at the run itself.
 */
#ifndef SERVICE_CODEC_RUN_INDEX_H
#define SERVICE_CODEC_RUN_INDEX_H

#include "service/base/uuid.h"
#include "service/codec/index.h"

/* On disk: never renumbered. */
enum run_by {
    RUN_BY_KIND = 1, /* One byte: enum run_kind. */
    RUN_BY_NAME = 2,
    RUN_BY_SESSION = 3,
    RUN_BY_USER = 4,
    RUN_BY_CONVERSATION = 5,
    RUN_BY_END = 6, /* One byte: the status of a run that has ended, as in its row. */
    RUN_BY_ROOTS = 7, /* One byte, 1: the roots. */
    RUN_BY_TREE = 8, /* 16 bytes: the root; of the runs below it, and of itself once it has one. */
    RUN_BY_SCHEDULE = 9, /* That started it. */
};

/* Rows that came with one release. */
enum run_index_set {
    RUN_INDEX_FIRST, /* Up to RUN_BY_END. */
    RUN_INDEX_TREES, /* Those after it. */
    RUN_INDEX_SETS,
};

/* The key's tail. */
struct index_tail run_index_tail(enum run_by by, str value, uuid run);
/* The prefix of all runs of this value. */
struct index_tail run_index_prefix(enum run_by by, str value);
/* DATA_LOSS: it is damaged. */
status run_index_decode(str tail, uuid *ret);

/* Of the one row that says it of a set. */
struct run_index_built {
    bool is_complete; /* Every run has its rows of the set. */
    uuid last; /* Else: up to this run, those there are; zero: none yet. */
};

enum {
    RUN_INDEX_BUILT_BYTES_MAX = 64,
};

/* The row's kind; its tail is empty. */
enum index_kind run_index_built_kind(enum run_index_set set);
/* How many bytes it wrote; they must fit. */
size_t run_index_built_encode(const struct run_index_built *built, char *ret, size_t bytes_max);
/* DATA_LOSS: it is damaged. */
status run_index_built_decode(str bytes, struct run_index_built *ret);

#endif
