/*
 * Goal:   agents may have any number of versions: the least used are on disk only, and the one that
 *         came last is the newest whether it is in memory or not.
 * Method: the real partition over the memory store; many more versions than have room in memory,
 *         of one agent and of many, and what memory holds between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "service/features/definitions/definitions.h"
#include "tests/unit/partition/lone_partition.h"

enum {
    VERSIONS = 12000,
    AGENTS = 9000,
    IN_MEMORY_MAX = 8192, /* Each takes 8 KiB or more, of 64 MiB. */
};

struct hash {
    uint8_t bytes[DEFINITION_HASH_BYTES];
};

static struct hash put(struct lone_partition *lone, int agent, int version)
{
    struct request *request = request_new(&register_operation);
    struct agent_definition definition = {
        .id = arena_printf(&request->arena, "agent-%d", agent),
        .provider = STR("scripted"),
        .model = STR("m"),
        .system_prompt = arena_printf(&request->arena, "Today is day %d.", version),
    };
    register_request(request)->definition = &definition;
    lone_ask(lone, request);
    assert_int_equal(lone->failure.code, CODE_OK);
    struct hash hash;
    memcpy(hash.bytes, register_request(request)->ret_hash, sizeof(hash.bytes));
    request_free(request);
    return hash;
}

/* As a start would find it, in a round of its own. */
static void expect_newest(struct lone_partition *lone, int agent, int version, struct hash hash)
{
    char id[32];
    char prompt[64];
    (void)snprintf(id, sizeof(id), "agent-%d", agent);
    (void)snprintf(prompt, sizeof(prompt), "Today is day %d.", version);
    struct definition *definition;
    status found = definition_newest(lone->partition, str_of(id), &definition);
    assert_int_equal(found.code, CODE_OK);
    assert_true(str_equal(definition->agent.system_prompt, str_of(prompt)));
    assert_memory_equal(definition->hash, hash.bytes, sizeof(hash.bytes));
    partition_round(lone->partition);
    assert_in_range(definitions_count(lone->partition), 1, IN_MEMORY_MAX);
}

static void versions_leave_memory(void **state)
{
    (void)state;
    struct lone_partition lone;
    struct hash first = {0};
    struct hash last = {0};
    lone_init(&lone, 1000);
    for (int version = 0; version < VERSIONS; version++) {
        last = put(&lone, 0, version);
        first = version == 0 ? last : first;
        assert_in_range(definitions_count(lone.partition), 1, IN_MEMORY_MAX);
    }
    expect_newest(&lone, 0, VERSIONS - 1, last);
    struct hash again = put(&lone, 0, 0); /* Back to one that is on disk only. */
    assert_memory_equal(again.bytes, first.bytes, sizeof(first.bytes));
    expect_newest(&lone, 0, 0, first);
    again = put(&lone, 0, VERSIONS - 1); /* And to one in memory. */
    expect_newest(&lone, 0, VERSIONS - 1, again);
    lone_stop(&lone);
    lone_begin(&lone);
    expect_newest(&lone, 0, VERSIONS - 1, last);
    lone_fini(&lone);
}

static void agents_are_found_on_disk(void **state)
{
    (void)state;
    struct lone_partition lone;
    struct hash first = {0};
    lone_init(&lone, 1000);
    for (int agent = 0; agent < AGENTS; agent++) {
        struct hash hash = put(&lone, agent, 1);
        first = agent == 0 ? hash : first;
    }
    expect_newest(&lone, 0, 1, first); /* It had left. */
    first = put(&lone, 0, 2);
    expect_newest(&lone, 0, 2, first);
    lone_fini(&lone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_leave_memory),
        cmocka_unit_test(agents_are_found_on_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
