/*
 * rocksdb_store: the default store, one RocksDB with a column family per table.
 *
 * The packaged library aborts when an append meets a full disk, so space is watched and
 * new work refused well before; and bit rot in the live write-ahead log would shorten the
 * history silently, so a watermark file remembers how far it had come.
 */
#ifndef STORAGE_ROCKSDB_STORE_H
#define STORAGE_ROCKSDB_STORE_H

#include "storage/store.h"

struct rocksdb_store_options {
    const char *path; /* A folder; made if it is missing. */
    uint64_t free_bytes_soft; /* Below: stats say is_low_on_space. 0: the default, 1 GiB. */
    uint64_t free_bytes_hard; /* Below: every commit is RESOURCE_EXHAUSTED. 0: 256 MiB. */
    uint64_t cache_bytes; /* 0: 64 MiB. */
    uint64_t memtable_bytes; /* Of the journal; the other tables get a quarter. 0: 32 MiB. */
    uint32_t level_max; /* The highest that the program knows; 0: 1. */
    bool sync_off; /* Only for the control run of the power-loss test. */
};

/*
 * `why` of a failure lives in the arena.
 *   FAILED_PRECONDITION: another process has the folder; or its level is higher than
 *                        we know.
 *   DATA_LOSS:           a log file is missing, or acknowledged commits are not in it.
 *   RESOURCE_EXHAUSTED:  too little space to open.
 *   INVALID_ARGUMENT:    the path is no folder or may not be written.
 */
status rocksdb_store_open(const struct rocksdb_store_options *options, struct arena *arena,
                          struct store *ret);

#endif
