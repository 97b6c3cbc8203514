/*
 * shelf: a memory store on which runs are put by hand, record by record, and reads of it.
 */
#ifndef TESTS_UNIT_READS_SHELF_H
#define TESTS_UNIT_READS_SHELF_H

#include "service/codec/codec.h"
#include "service/codec/run_index.h"
#include "service/reads/reads.h"

struct shelf {
    struct store store;
    struct reads *reads;
    size_t steps; /* Of the last read. */
    bool is_done;
    struct failure failure; /* Of the last read; code OK: none. */
    struct arena arena;
};

void shelf_init(struct shelf *shelf);
void shelf_fini(struct shelf *shelf);

/* One transition of the run, applied to *state; the first one starts it. */
void shelf_put(struct shelf *shelf, struct run *state, const struct event *events, size_t count);
/* Its row, as it stands. */
void shelf_put_row(struct shelf *shelf, const struct run *state, const char *name);
/* A row of the index, and the one that says that a set of them is complete. */
void shelf_put_index(struct shelf *shelf, enum run_by by, str value, uuid run);
void shelf_put_built(struct shelf *shelf, enum run_index_set set);
/* A row of the index by its key, put or deleted. */
void shelf_put_tail(struct shelf *shelf, enum index_kind kind, const struct index_tail *tail,
                    str value);
void shelf_delete_tail(struct shelf *shelf, enum index_kind kind, const struct index_tail *tail);
/* What a run loses: the record that begins with that fact, or its row. */
void shelf_delete_record(struct shelf *shelf, uuid run, uint32_t seq);
void shelf_delete_row(struct shelf *shelf, uuid run);
/* Posts the read and steps until it is done. The caller frees it. */
void shelf_read(struct shelf *shelf, struct read *read);

#endif
