/*
 * tree_rows: which runs a run has started, and which run took the place of one that failed.
 *
 *   child      parent 16 | child 16     -> nothing
 *   successor  child 16 | successor 16  -> nothing
 *
 * A child tells its parent how it ended. Where the parent has failed and was started again, the
 * child tells the run that a retry made of it: its successor.
 */
#ifndef SERVICE_CODEC_TREE_ROWS_H
#define SERVICE_CODEC_TREE_ROWS_H

#include "service/base/uuid.h"
#include "service/codec/index.h"

struct child_row {
    uuid parent;
    uuid child;
};

/* Its key's tail. */
struct index_tail child_row_tail(uuid parent, uuid child);
struct index_tail child_rows_of(uuid parent); /* The prefix of all its children. */
/* Of a key's tail. DATA_LOSS: it is damaged. */
status child_row_decode(str tail, struct child_row *ret);

struct successor_row {
    uuid child;
    uuid successor; /* Waits for the child instead of the run that started it. */
};

/* Its key's tail. */
struct index_tail successor_row_tail(uuid child, uuid successor);
struct index_tail successor_rows_of(uuid child); /* The prefix of all who wait for it. */
/* Of a key's tail. DATA_LOSS: it is damaged. */
status successor_row_decode(str tail, struct successor_row *ret);

#endif
