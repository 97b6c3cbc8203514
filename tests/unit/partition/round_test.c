/*
 * Goal:   what a round leaves is the next round's, whether or not anything else happens.
 * Method: the real partition; more large starts at once than a batch may hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/features/starts/starts.h"
#include "service/partition/request.h"
#include "tests/unit/partition/lone_partition.h"

enum {
    STARTS = 20,
    INPUT_BYTES = 1 << 20,
    BATCH_BYTES_MAX_HERE = 8 << 20, /* As in state.h. */
};

static void count_answer(struct request *request, const struct failure *failure)
{
    assert_null(failure);
    ++*(size_t *)request->context;
    request_free(request);
}

static void post_start(struct lone_partition *lone, size_t *answered)
{
    struct request *request = request_new(&start_operation);
    char *input = arena_alloc(&request->arena, INPUT_BYTES);
    memset(input, 'x', INPUT_BYTES);
    input[0] = '"';
    input[INPUT_BYTES - 1] = '"';
    start_request(request)->spec = (struct run_spec){
        .kind = RUN_KIND_WORKFLOW, .name = STR("w"), .input = str_make(input, INPUT_BYTES)};
    request->done = count_answer;
    request->context = answered;
    assert_true(partition_post(lone->partition, request));
}

static void what_no_batch_holds_is_the_next_rounds(void **state)
{
    (void)state;
    size_t answered = 0;
    struct lone_partition *lone = calloc(1, sizeof(*lone));
    assert_non_null(lone);
    lone_init(lone, 1800000000000);
    lone->leaves_runs_open = true;
    while (partition_round(lone->partition) == lone->now_ms) { /* It begins. */
    }
    for (size_t i = 0; i < STARTS; i++) {
        post_start(lone, &answered);
    }
    while (answered < STARTS) {
        size_t before = answered;
        uint64_t due_ms = partition_round(lone->partition);
        assert_in_range((answered - before) * INPUT_BYTES, 1, BATCH_BYTES_MAX_HERE + INPUT_BYTES);
        assert_true(answered == STARTS || due_ms == lone->now_ms);
    }
    lone_fini(lone);
    free(lone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_no_batch_holds_is_the_next_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
