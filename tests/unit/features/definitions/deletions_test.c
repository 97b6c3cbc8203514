/*
 * Goal:   a version of an agent that a run or a host uses is never deleted, and of one that is
 *         nothing stays but what runs that have ended with it show; it is so after any restart, of
 *         a store that an older release wrote, and with any number of versions.
 * Method: the real partition over the memory store; its rows are looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/codec/definition_rows.h"
#include "service/features/definitions/definitions.h"
#include "service/features/forks/forks.h"
#include "service/features/reports/reports.h"
#include "service/features/starts/starts.h"
#include "service/reads/agents.h"
#include "service/reads/run_read.h"
#include "tests/unit/partition/lone_partition.h"

enum {
    MANY = 700, /* Versions: three pieces. */
    START_MS = 1000,
};

struct hash {
    uint8_t bytes[DEFINITION_HASH_BYTES];
};

static const struct hash every_version = {0};

static void restart(struct lone_partition *lone)
{
    lone_stop(lone);
    lone_begin(lone);
}

static struct request *new_register(const char *agent, const char *prompt)
{
    struct request *request = request_new(&register_operation);
    struct agent_definition *definition = arena_zalloc(&request->arena, sizeof(*definition));
    *definition = (struct agent_definition){
        .id = arena_copy(&request->arena, str_of(agent)),
        .provider = STR("scripted"),
        .model = STR("m"),
        .system_prompt = arena_copy(&request->arena, str_of(prompt)),
        .output_schema_json = STR("{}"),
    };
    register_request(request)->definition = definition;
    return request;
}

static struct hash take_hash(struct request *request)
{
    struct hash hash;
    memcpy(hash.bytes, register_request(request)->ret_hash, sizeof(hash.bytes));
    request_free(request);
    return hash;
}

static void ignore(struct request *request, const struct failure *failure)
{
    (void)request;
    (void)failure;
}

/* Answered by and by; to be freed by the caller. */
static void post(struct lone_partition *lone, struct request *request)
{
    request->done = ignore;
    assert_true(partition_post(lone->partition, request));
}

static struct hash put(struct lone_partition *lone, const char *agent, const char *prompt)
{
    struct request *request = new_register(agent, prompt);
    lone_ask(lone, request);
    assert_int_equal(lone->failure.code, CODE_OK);
    return take_hash(request);
}

static struct request *new_delete(const char *agent, struct hash hash)
{
    struct request *request = request_new(&delete_definition_operation);
    delete_definition_request(request)->id = arena_copy(&request->arena, str_of(agent));
    if (memcmp(&hash, &every_version, sizeof(hash)) != 0) {
        delete_definition_request(request)->hash =
            arena_copy(&request->arena, str_make(hash.bytes, sizeof(hash.bytes)));
    }
    return request;
}

static void drop(struct lone_partition *lone, const char *agent, struct hash hash,
                 enum reason expected)
{
    struct request *request = new_delete(agent, hash);
    lone_ask(lone, request);
    assert_int_equal(lone->failure.reason, expected);
    request_free(request);
}

static uuid start(struct lone_partition *lone, const char *agent)
{
    struct request *request = request_new(&start_operation);
    start_request(request)->spec = (struct run_spec){
        .kind = RUN_KIND_AGENT,
        .name = arena_copy(&request->arena, str_of(agent)),
        .input = STR("\"hello\""),
    };
    lone_ask(lone, request);
    assert_int_equal(lone->failure.code, CODE_OK);
    uuid run = start_request(request)->ret_run;
    request_free(request);
    return run;
}

static void cancel(struct lone_partition *lone, uuid run)
{
    struct request *request = request_new(&cancel_operation);
    request->run = run;
    cancel_request(request)->cause = STR("test");
    lone_ask(lone, request);
    assert_int_equal(lone->failure.code, CODE_OK);
    request_free(request);
}

/* How many rows of the store are about definitions, but for what is left of deleted ones. */
struct rows {
    size_t count;
    size_t left;
};

static bool count_row(void *context, str key, str value)
{
    (void)value;
    struct rows *rows = context;
    uint8_t kind = 0;
    bool is_index = key_read_index_kind(key, &kind) && kind >= INDEX_VERSION;
    rows->count += kind >= INDEX_VERSION && kind <= INDEX_VERSION_RUNS ? 1 : 0;
    rows->left += is_index && kind == INDEX_VERSION_DELETED ? 1 : 0;
    return true;
}

static bool count_any(void *context, str key, str value)
{
    (void)key;
    (void)value;
    ((struct rows *)context)->count++;
    return true;
}

static struct rows rows_of(struct lone_partition *lone)
{
    struct rows rows = {0};
    assert_int_equal(store_scan(&lone->store, STORE_INDEX, STR_EMPTY, STR_EMPTY, false, SIZE_MAX,
                                count_row, &rows)
                         .code,
                     CODE_OK);
    static const enum store_table tables[] = {STORE_DEFINITIONS, STORE_DEFINITION_NAMES};
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        assert_int_equal(store_scan(&lone->store, tables[i], STR_EMPTY, STR_EMPTY, false, SIZE_MAX,
                                    count_any, &rows)
                             .code,
                         CODE_OK);
    }
    return rows;
}

static void expect_rows(struct lone_partition *lone, size_t count, size_t left)
{
    struct rows rows = rows_of(lone);
    assert_int_equal(rows.count, count);
    assert_int_equal(rows.left, left);
}

static struct read *list(struct lone_partition *lone, const char *agent, str after, size_t limit)
{
    struct read *read = read_new(&agents_kind);
    agents_read(read)->id = str_of(agent);
    agents_read(read)->wants_versions = true;
    agents_read(read)->after = arena_copy(&read->arena, after);
    agents_read(read)->limit = limit;
    lone_read(lone, read);
    return read;
}

static void expect_line(struct read *read, size_t at, struct hash hash, uint64_t runs,
                        bool is_newest)
{
    assert_in_range(at, 0, agents_read(read)->ret_count - 1);
    const struct agent_line *line = &agents_read(read)->ret_lines[at];
    assert_memory_equal(line->hash, hash.bytes, sizeof(hash.bytes));
    assert_int_equal(line->runs, runs);
    assert_int_equal(line->is_newest, is_newest);
}

/* ---- Tests. ---- */

static void what_is_used_stays(void **state)
{
    (void)state;
    struct lone_partition lone;
    lone_init(&lone, START_MS);
    struct hash old = put(&lone, "helper", "one");
    uuid first = start(&lone, "helper");
    uuid second = start(&lone, "helper");
    struct hash newest = put(&lone, "helper", "two");
    drop(&lone, "helper", old, REASON_DEFINITION_IN_USE);
    drop(&lone, "helper", newest, REASON_DEFINITION_IN_USE);
    drop(&lone, "helper", every_version, REASON_DEFINITION_IN_USE);
    drop(&lone, "help", every_version, REASON_AGENT_NOT_FOUND);
    drop(&lone, "other", old, REASON_AGENT_NOT_FOUND);
    cancel(&lone, first);
    restart(&lone);
    drop(&lone, "helper", old, REASON_DEFINITION_IN_USE);
    cancel(&lone, second);
    drop(&lone, "helper", old, REASON_NONE);
    drop(&lone, "helper", old, REASON_AGENT_NOT_FOUND);
    struct hash other = put(&lone, "other", "one");
    drop(&lone, "helper", other, REASON_AGENT_NOT_FOUND); /* It is another's. */
    expect_rows(&lone, 2 * 4, 1);
    drop(&lone, "helper", every_version, REASON_NONE);
    drop(&lone, "helper", every_version, REASON_AGENT_NOT_FOUND);
    restart(&lone);
    drop(&lone, "helper", every_version, REASON_AGENT_NOT_FOUND);
    drop(&lone, "other", every_version, REASON_NONE);
    expect_rows(&lone, 0, 3);
    struct hash again = put(&lone, "helper", "one");
    assert_memory_equal(again.bytes, old.bytes, sizeof(old.bytes));
    expect_rows(&lone, 4, 2); /* Nothing is left of what is there. */
    lone_fini(&lone);
}

/* One of each, in every order of one round. */
static void in_one_round(void **state)
{
    (void)state;
    struct lone_partition lone;
    lone_init(&lone, START_MS);
    for (int i = 0; i < 4; i++) {
        struct hash old = put(&lone, "helper", "one");
        struct request *first = new_delete("helper", i < 2 ? every_version : old);
        struct request *second = new_register("helper", "two");
        struct request *third = new_delete("helper", every_version);
        post(&lone, i % 2 == 0 ? first : second);
        post(&lone, i % 2 == 0 ? second : first);
        lone_ask(&lone, third);
        /* What was registered is deleted by the last at the latest, or before. */
        assert_true(lone.failure.reason == REASON_NONE ||
                    lone.failure.reason == REASON_AGENT_NOT_FOUND);
        expect_rows(&lone, 0, 2);
        request_free(first);
        request_free(second);
        request_free(third);
    }
    lone_fini(&lone);
}

static void a_start_comes_first(void **state)
{
    (void)state;
    struct lone_partition lone;
    lone_init(&lone, START_MS);
    put(&lone, "helper", "one");
    for (int i = 0; i < 2; i++) {
        struct request *request = request_new(&start_operation);
        start_request(request)->spec = (struct run_spec){
            .kind = RUN_KIND_AGENT, .name = STR("helper"), .input = STR("\"hello\"")};
        struct request *gone = new_delete("helper", every_version);
        post(&lone, i == 0 ? request : gone);
        post(&lone, i == 0 ? gone : request);
        partition_round(lone.partition);
        cancel(&lone, start_request(request)->ret_run);
        request_free(request);
        request_free(gone);
        expect_rows(&lone, 4, 0);
    }
    drop(&lone, "helper", every_version, REASON_NONE);
    lone_fini(&lone);
}

static void an_old_run_is_shown_but_not_forked(void **state)
{
    (void)state;
    struct lone_partition lone;
    lone_init(&lone, START_MS);
    put(&lone, "helper", "one");
    uuid run = start(&lone, "helper");
    cancel(&lone, run);
    drop(&lone, "helper", every_version, REASON_NONE);
    struct read *read = read_new(&run_kind);
    read->run = run;
    lone_read(&lone, read);
    assert_true(run_read(read)->ret.is_structured);
    read_free(read);
    struct request *fork = request_new(&fork_operation);
    fork->run = run;
    fork_request(fork)->after_seq = 2;
    lone_ask(&lone, fork);
    assert_int_equal(lone.failure.reason, REASON_DEFINITION_DELETED);
    request_free(fork);
    put(&lone, "helper", "one");
    lone_fini(&lone);
}

static void versions_come_in_pages(void **state)
{
    (void)state;
    struct lone_partition lone;
    struct hash hashes[5];
    char prompt[8] = "0";
    lone_init(&lone, START_MS);
    for (int i = 0; i < 5; i++) {
        prompt[0] = (char)('0' + i);
        lone.now_ms++;
        hashes[i] = put(&lone, "helper", prompt);
        put(&lone, "helper2", prompt);
    }
    start(&lone, "helper");
    hashes[0] = put(&lone, "helper", "0"); /* Again; it stays the oldest. */
    for (size_t size = 1; size <= 6; size++) {
        str after = STR_EMPTY;
        struct arena arena = {0};
        size_t seen = 0;
        arena_init(&arena, 0);
        do {
            struct read *read = list(&lone, "helper", after, size);
            for (size_t i = 0; i < agents_read(read)->ret_count; i++, seen++) {
                expect_line(read, i, hashes[4 - seen], seen == 0 ? 1 : 0, seen == 4);
            }
            after = arena_copy(&arena, agents_read(read)->ret_last);
            read_free(read);
        } while (after.len > 0);
        assert_int_equal(seen, 5);
        arena_fini(&arena);
    }
    lone_fini(&lone);
}

/* In pieces; a death between them leaves an agent of fewer versions. */
static void many_versions_go_in_pieces(void **state)
{
    (void)state;
    struct lone_partition lone;
    char prompt[16];
    lone_init(&lone, START_MS);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(prompt, sizeof(prompt), "%d", i);
        lone.now_ms++;
        put(&lone, "helper", prompt);
    }
    put(&lone, "other", "one");
    struct request *gone = new_delete("helper", every_version);
    post(&lone, gone);
    partition_round(lone.partition);
    struct rows rows = rows_of(&lone);
    assert_in_range(rows.left, 1, MANY - 2);
    assert_int_equal(rows.count, 4 + 1 + 3 * (MANY - rows.left));
    lone_stop(&lone);
    request_free(gone);
    lone_begin(&lone);
    struct read *read = list(&lone, "helper", STR_EMPTY, 1);
    assert_true(agents_read(read)->ret_lines[0].is_newest);
    read_free(read);
    drop(&lone, "helper", every_version, REASON_NONE);
    expect_rows(&lone, 4, MANY);
    lone_fini(&lone);
}

static bool delete_row(void *context, str key, str value)
{
    (void)value;
    uint8_t kind;
    if (key_read_index_kind(key, &kind) && kind >= INDEX_VERSION && kind <= INDEX_VERSIONS_BUILT) {
        store_batch_delete(context, STORE_INDEX, key);
    }
    return true;
}

/* As a release had it that kept no rows of versions. */
static void an_older_store_is_counted(void **state)
{
    (void)state;
    struct lone_partition lone;
    struct store_batch batch = {0};
    lone_init(&lone, START_MS);
    struct hash old = put(&lone, "helper", "one");
    uuid run = start(&lone, "helper");
    cancel(&lone, start(&lone, "helper"));
    struct hash newest = put(&lone, "helper", "two");
    size_t count = rows_of(&lone).count;
    lone_stop(&lone);
    status scanned = store_scan(&lone.store, STORE_INDEX, STR_EMPTY, STR_EMPTY, false, SIZE_MAX,
                                delete_row, &batch);
    assert_int_equal(scanned.code, CODE_OK);
    assert_int_equal(store_commit(&lone.store, &batch).code, CODE_OK);
    store_batch_fini(&batch);
    lone_begin(&lone);
    partition_round(lone.partition); /* The first only recovers. */
    partition_round(lone.partition);
    expect_rows(&lone, count, 0);
    struct read *read = list(&lone, "helper", STR_EMPTY, 10);
    assert_int_equal(agents_read(read)->ret_count, 2);
    assert_int_equal(agents_read(read)->ret_lines[0].registered_ms, 0);
    read_free(read);
    drop(&lone, "helper", old, REASON_DEFINITION_IN_USE);
    cancel(&lone, run);
    drop(&lone, "helper", old, REASON_NONE);
    drop(&lone, "helper", newest, REASON_DEFINITION_IN_USE);
    drop(&lone, "helper", every_version, REASON_NONE);
    expect_rows(&lone, 0, 2);
    lone_fini(&lone);
}

/* Nothing is written down of a count that may lack some; it is done when it can be. */
static void an_older_store_is_counted_when_it_can_be_read(void **state)
{
    (void)state;
    static const enum store_table tables[] = {STORE_ACTIVE, STORE_JOURNAL, STORE_INDEX,
                                              STORE_DEFINITIONS};
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        struct lone_partition lone;
        struct store_batch batch = {0};
        lone_init(&lone, START_MS);
        struct hash old = put(&lone, "helper", "one");
        uuid run = start(&lone, "helper");
        put(&lone, "helper", "two");
        size_t count = rows_of(&lone).count;
        lone_stop(&lone);
        status scanned = store_scan(&lone.store, STORE_INDEX, STR_EMPTY, STR_EMPTY, false, SIZE_MAX,
                                    delete_row, &batch);
        assert_int_equal(scanned.code, CODE_OK);
        assert_int_equal(store_commit(&lone.store, &batch).code, CODE_OK);
        store_batch_fini(&batch);
        lone_begin(&lone);
        lone.unread = tables[i];
        lone.read_failure = CODE_UNAVAILABLE;
        partition_round(lone.partition);
        partition_round(lone.partition);
        lone.read_failure = CODE_OK;
        assert_in_range(rows_of(&lone).count, 0, count - 1);
        lone.leaves_runs_open = true;
        lone_advance(&lone, START_MS + 10000);
        expect_rows(&lone, count, 0);
        drop(&lone, "helper", old, REASON_DEFINITION_IN_USE);
        cancel(&lone, run);
        drop(&lone, "helper", old, REASON_NONE);
        lone_fini(&lone);
    }
}

static void a_commit_that_fails_deletes_nothing(void **state)
{
    (void)state;
    struct lone_partition lone;
    lone_init(&lone, START_MS);
    put(&lone, "helper", "one");
    memory_store_fault(&lone.store, MEMORY_STORE_FAULT_LOST);
    drop(&lone, "helper", every_version, REASON_STORE_REFUSED);
    expect_rows(&lone, 4, 0);
    uuid run = start(&lone, "helper");
    memory_store_fault(&lone.store, MEMORY_STORE_FAULT_LOST);
    struct request *request = request_new(&cancel_operation);
    request->run = run;
    cancel_request(request)->cause = STR("test");
    lone_ask(&lone, request);
    assert_int_not_equal(lone.failure.code, CODE_OK);
    request_free(request);
    drop(&lone, "helper", every_version, REASON_DEFINITION_IN_USE);
    cancel(&lone, run);
    drop(&lone, "helper", every_version, REASON_NONE);
    lone_fini(&lone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_used_stays),
        cmocka_unit_test(in_one_round),
        cmocka_unit_test(a_start_comes_first),
        cmocka_unit_test(an_old_run_is_shown_but_not_forked),
        cmocka_unit_test(versions_come_in_pages),
        cmocka_unit_test(many_versions_go_in_pieces),
        cmocka_unit_test(an_older_store_is_counted),
        cmocka_unit_test(an_older_store_is_counted_when_it_can_be_read),
        cmocka_unit_test(a_commit_that_fails_deletes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
