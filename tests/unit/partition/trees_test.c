/*
 * Goal:   a tree of runs is cancelled whole, however deep or wide it is.
 * Method: the real partition; runs nobody hosts, each the child of the one before, or all of one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/partition/partition.h"

enum {
    RUNS = 1000,
    STATUS_CANCELLED = 5, /* Of the API. */
};

static uuid start(struct partition *partition, uuid parent)
{
    struct request *request = request_new(REQUEST_START);
    request->start.spec = (struct run_spec){
        .kind = RUN_KIND_WORKFLOW, .name = STR("nobody"), .input = STR("null"), .parent = parent};
    partition_ask(partition, request);
    assert_int_equal(partition->failure.code, CODE_OK);
    uuid run = request->start.ret_run;
    request_free(request);
    return run;
}

static size_t count_cancelled(struct partition *partition)
{
    struct request *request = request_new(REQUEST_LIST);
    request->list.limit = RUNS + 1;
    request->list.status = STATUS_CANCELLED;
    partition_ask(partition, request);
    size_t count = request->list.ret_count;
    request_free(request);
    return count;
}

static void cancel_all_of(bool is_deep)
{
    struct partition *partition = calloc(1, sizeof(*partition));
    assert_non_null(partition);
    partition_init(partition, 1800000000000);
    partition->leaves_runs_open = true;
    uuid root = start(partition, (uuid){{0}});
    uuid parent = root;
    for (size_t i = 1; i < RUNS; i++) {
        uuid run = start(partition, parent);
        parent = is_deep ? run : root;
    }
    assert_int_equal(count_cancelled(partition), 0);
    struct request *request = request_new(REQUEST_CANCEL);
    request->run = root;
    request->text = STR("the test is over");
    partition_ask(partition, request);
    assert_int_equal(partition->failure.code, CODE_OK);
    request_free(request);
    assert_int_equal(count_cancelled(partition), RUNS);
    partition_fini(partition);
    free(partition);
}

static void a_deep_tree_is_cancelled_whole(void **state)
{
    (void)state;
    cancel_all_of(true);
}

static void a_wide_tree_is_cancelled_whole(void **state)
{
    (void)state;
    cancel_all_of(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deep_tree_is_cancelled_whole),
        cmocka_unit_test(a_wide_tree_is_cancelled_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
