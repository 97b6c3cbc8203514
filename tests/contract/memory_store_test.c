/*
 * Goal:   the memory store keeps the contract, and its planted faults do what they say.
 * Method: the contract; then one commit per fault.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/memory_store.h"
#include "tests/contract/store_contract.h"

static void open_memory(struct contract *contract)
{
    memory_store_open(&contract->store);
}

static enum code commit_with(struct store *store, enum memory_store_fault fault)
{
    struct store_batch batch = {0};
    memory_store_fault(store, fault);
    store_batch_put(&batch, STORE_META, STR("key"), STR("value"));
    status outcome = store_commit(store, &batch);
    store_batch_fini(&batch);
    assert_true(outcome.code == CODE_OK || outcome.why != NULL);
    return outcome.code;
}

static bool is_there(struct store *store)
{
    struct arena arena;
    str value;
    arena_init(&arena, 0);
    status outcome = store_get(store, STORE_META, STR("key"), &arena, &value);
    arena_fini(&arena);
    return outcome.code == CODE_OK;
}

static void planted_faults(void **state)
{
    (void)state;
    struct store store;
    memory_store_open(&store);
    assert_int_equal(commit_with(&store, MEMORY_STORE_FAULT_REFUSE), CODE_RESOURCE_EXHAUSTED);
    assert_false(is_there(&store));
    assert_int_equal(commit_with(&store, MEMORY_STORE_FAULT_LOST), CODE_UNAVAILABLE);
    assert_false(is_there(&store));
    assert_int_equal(commit_with(&store, MEMORY_STORE_FAULT_UNKNOWN), CODE_UNAVAILABLE);
    assert_true(is_there(&store));
    assert_int_equal(commit_with(&store, MEMORY_STORE_FAULT_NONE), CODE_OK);
    assert_int_equal(store_checkpoint(&store, "anywhere").code, CODE_UNIMPLEMENTED);
    store_close(&store);
    store_close(&store);
}

int main(void)
{
    struct contract contract = {.open = open_memory};
    const struct CMUnitTest tests[] = {cmocka_unit_test(planted_faults)};
    return store_contract_run(&contract, "memory_store") +
           cmocka_run_group_tests(tests, NULL, NULL);
}
