/*
 * Goal:   the RocksDB store keeps the contract.
 * Method: the contract, in a fresh folder for each test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/rocksdb_store.h"
#include "tests/contract/store_contract.h"

static void open_rocksdb(struct contract *contract)
{
    struct rocksdb_store_options options = {
        .path = contract->path, .free_bytes_soft = 1, .free_bytes_hard = 1, .level_max = 3};
    struct arena arena;
    arena_init(&arena, 0);
    status opened = rocksdb_store_open(&options, &arena, &contract->store);
    if (opened.code != CODE_OK) {
        fail_msg("%s: %s", code_name(opened.code), opened.why);
    }
    arena_fini(&arena);
}

int main(void)
{
    const char *base = getenv("TEST_TMPDIR");
    struct contract contract = {.open = open_rocksdb, .is_durable = true};
    snprintf(contract.path, sizeof(contract.path), "%s/contract.%d", base == NULL ? "/tmp" : base,
             (int)getpid());
    return store_contract_run(&contract, "rocksdb_store");
}
