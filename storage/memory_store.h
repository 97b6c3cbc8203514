/*
 * memory_store: the store's twin for tests and simulation; forgets at close.
 *
 * Faults are planted by name, and a crash is taken by dropping what was not committed:
 * there is nothing else, since commits are whole.
 */
#ifndef STORAGE_MEMORY_STORE_H
#define STORAGE_MEMORY_STORE_H

#include "storage/store.h"

enum memory_store_fault {
    MEMORY_STORE_FAULT_NONE,
    MEMORY_STORE_FAULT_REFUSE, /* RESOURCE_EXHAUSTED, nothing written. */
    MEMORY_STORE_FAULT_LOST, /* UNAVAILABLE, nothing written. */
    MEMORY_STORE_FAULT_UNKNOWN, /* UNAVAILABLE, but written. */
};

/* An empty store; store_close() frees it. */
void memory_store_open(struct store *ret);
/* The next commit, and only that, meets the fault. */
void memory_store_fault(const struct store *store, enum memory_store_fault fault);

#endif
