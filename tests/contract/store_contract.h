/*
 * store_contract: what every store must do, as tests to run against one of them.
 *
 * The test's state is a struct contract: it knows how to open a store that is empty, and,
 * where the store outlives its closing, how to open the same one again.
 */
#ifndef TESTS_CONTRACT_STORE_CONTRACT_H
#define TESTS_CONTRACT_STORE_CONTRACT_H

#include "storage/store.h"

struct contract {
    void (*open)(struct contract *contract); /* Makes `store` ready. */
    bool is_durable;
    struct store store;
    char path[256];
};

/* Runs them all; each gets a store of its own. Returns how many failed. */
int store_contract_run(struct contract *contract, const char *name);

#endif
