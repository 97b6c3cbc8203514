/*
 * partition: the real runtime over the memory store, with a clock that jumps from one time the
 * runtime asks for to the next; no host, no model.
 *
 * So what the runtime forgets to ask for never happens. It can be restarted, as the store stays.
 */
#ifndef TESTS_UNIT_PARTITION_PARTITION_H
#define TESTS_UNIT_PARTITION_PARTITION_H

#include "service/base/buf.h"
#include "service/partition/requests.h"
#include "storage/memory_store.h"

struct partition {
    struct partition *partition;
    struct arena arena;
    struct store store; /* For faults. */
    struct store_vtable vtable; /* As `store`'s, but it survives its partition, and its disk fills. */
    bool is_low_on_space;
    const char *zone_folder;
    uint64_t now_ms;
    uint64_t random;
    /* Of the request that was asked last. */
    struct request *asked;
    bool is_answered;
    struct failure failure;
    /* Runs, as they are found. */
    bool leaves_runs_open; /* Else each is cancelled when it is found. */
    uuid newest;
    struct buf inputs; /* One line each. */
    size_t run_count;
};

void partition_init(struct partition *partition, uint64_t now_ms);
void partition_fini(struct partition *partition);
void partition_stop(struct partition *partition);
void partition_begin(struct partition *partition); /* After a stop. */
/* Takes turns when they are due, up to and at that time, and finds runs. */
void partition_advance(struct partition *partition, uint64_t until_ms);
/* Answered in `failure`; the request is the caller's, to be freed. */
void partition_ask(struct partition *partition, struct request *request);
void partition_cancel_newest(struct partition *partition);

#endif
