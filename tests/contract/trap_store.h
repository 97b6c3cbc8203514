/*
 * trap_store: the store that is filled, damaged and read again by the tests of its traps.
 *
 * One run, whose records are numbered from 1 and hold bytes that follow from the number.
 */
#ifndef TESTS_CONTRACT_TRAP_STORE_H
#define TESTS_CONTRACT_TRAP_STORE_H

#include "storage/rocksdb_store.h"

struct reading {
    uint32_t seq; /* The last one seen. */
    bool is_broken; /* A gap, or a value that was never written. */
};

void trap_init(void); /* Before anything else. */

struct rocksdb_store_options trap_options(const char *path);
status trap_try_open(const char *path, struct store *ret); /* Prints why not. */
void trap_must_open(const char *path, struct store *ret);
/* Opening fails with this code and a sentence that has this part. */
void trap_refused(const char *path, enum code code, const char *part);
/* Opening works, and what is read is whole and ends between these. */
void trap_opens_with(const char *path, uint32_t seq_min, uint32_t seq_max);

status trap_put_seq(struct store *store, uint32_t seq);
status trap_read_all(const struct store *store, struct reading *ret);

#endif
