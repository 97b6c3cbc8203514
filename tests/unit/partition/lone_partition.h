/*
 * partition: the real partition over the memory store, with a clock that jumps from one time the
 * partition asks for to the next; no host, no model.
 *
 * So what the partition forgets to ask for never happens. It can be restarted, as the store stays.
 */
#ifndef TESTS_UNIT_PARTITION_LONE_PARTITION_H
#define TESTS_UNIT_PARTITION_LONE_PARTITION_H

#include "service/base/buf.h"
#include "service/base/failure.h"
#include "service/partition/partition.h"
#include "service/partition/request.h"
#include "service/reads/list.h"
#include "storage/memory_store.h"

struct lone_partition {
    struct partition *partition;
    struct arena arena;
    struct store store; /* For faults. */
    struct store_vtable
        vtable; /* As `store`'s, but it survives its partition, and its disk fills. */
    bool is_low_on_space;
    const struct topic_format *topic_format;
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

void lone_init(struct lone_partition *lone, uint64_t now_ms);
void lone_fini(struct lone_partition *lone);
void lone_stop(struct lone_partition *lone);
void lone_begin(struct lone_partition *lone); /* After a stop. */
/* Takes rounds when they are due, up to and at that time, and finds runs. */
void lone_advance(struct lone_partition *lone, uint64_t until_ms);
/* Answered in `failure`; the request is the caller's, to be freed. */
void lone_ask(struct lone_partition *lone, struct request *request);
/* Reads its store, at once. The caller frees the read. */
void lone_read(struct lone_partition *lone, struct read *read);
void lone_cancel_newest(struct lone_partition *lone);

#endif
