/*
 * rocksdb_options: how the database is tuned; see docs/decisions/0002-which-rocksdb.md.
 *
 * Only for rocksdb_store.c: the two are one module in two files.
 */
#ifndef STORAGE_ROCKSDB_OPTIONS_H
#define STORAGE_ROCKSDB_OPTIONS_H

#include <rocksdb/c.h>

#include "storage/rocksdb_store.h"

enum {
    FAMILY_OWN = STORE_TABLE_COUNT, /* "default": the store's own header. */
    FAMILY_COUNT,
};

struct rocksdb_tuning {
    rocksdb_options_t *database;
    rocksdb_options_t *journal;
    rocksdb_options_t *small; /* Every other table. */
    rocksdb_cache_t *cache;
    rocksdb_ratelimiter_t *ratelimiter;
    rocksdb_writeoptions_t *write;
    rocksdb_readoptions_t *read;
};

extern const char *const family_names[FAMILY_COUNT];

/* False when the library does not know an option we depend on. */
[[nodiscard]] bool rocksdb_tuning_init(struct rocksdb_tuning *ret,
                                       const struct rocksdb_store_options *options);
/* Also of one whose init failed. */
void rocksdb_tuning_fini(struct rocksdb_tuning *tuning);

#endif
