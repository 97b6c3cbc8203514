/*
 * Goal:   every store orders, finds, scans and commits alike.
 * Method: one set of tests, written against store.h only, run on each store.
 */
#include "tests/contract/store_contract.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/keys.h"

static const struct store *store_of(void **state)
{
    return &((struct contract *)*state)->store;
}

static void put(const struct store *store, enum store_table table, str key, str value)
{
    struct store_batch batch = {0};
    store_batch_put(&batch, table, key, value);
    status outcome = store_commit(store, &batch);
    assert_int_equal(outcome.code, CODE_OK);
    store_batch_fini(&batch);
}

static void delete_key(const struct store *store, enum store_table table, str key)
{
    struct store_batch batch = {0};
    store_batch_delete(&batch, table, key);
    status outcome = store_commit(store, &batch);
    assert_int_equal(outcome.code, CODE_OK);
    store_batch_fini(&batch);
}

static void assert_value(const struct store *store, enum store_table table, str key, str expected)
{
    struct arena arena;
    str value;
    arena_init(&arena, 0);
    status outcome = store_get(store, table, key, &arena, &value);
    assert_int_equal(outcome.code, CODE_OK);
    assert_int_equal(value.len, expected.len);
    assert_true(str_equal(value, expected));
    arena_fini(&arena);
}

static void assert_missing(const struct store *store, enum store_table table, str key)
{
    struct arena arena;
    str value = STR("untouched");
    arena_init(&arena, 0);
    status outcome = store_get(store, table, key, &arena, &value);
    assert_int_equal(outcome.code, CODE_NOT_FOUND);
    assert_true(str_is(value, "untouched"));
    arena_fini(&arena);
}

/* ---- Scans, written down as "key=value " ---- */

struct seen {
    struct buf text;
    size_t count;
    size_t stop_after; /* 0: never. */
};

static bool see(void *context, str key, str value)
{
    struct seen *seen = (struct seen *)context;
    buf_printf(&seen->text, STR_FMT "=" STR_FMT " ", STR_ARG(key), STR_ARG(value));
    seen->count++;
    return seen->count != seen->stop_after;
}

struct question {
    const char *prefix;
    const char *from;
    bool reverse;
    size_t limit;
    size_t stop_after;
    const char *answer;
};

static void ask(const struct store *store, enum store_table table, const struct question *question)
{
    struct seen seen = {.stop_after = question->stop_after};
    size_t limit = question->limit == 0 ? SIZE_MAX : question->limit;
    status outcome = store_scan(store, table, str_of(question->prefix), str_of(question->from),
                                question->reverse, limit, see, &seen);
    assert_int_equal(outcome.code, CODE_OK);
    buf_put_char(&seen.text, '\0');
    assert_string_equal(seen.text.ptr, question->answer);
    buf_fini(&seen.text);
}

static void put_and_get(void **state)
{
    const struct store *store = store_of(state);
    assert_missing(store, STORE_META, STR("k"));
    put(store, STORE_META, STR("k"), STR("v"));
    assert_value(store, STORE_META, STR("k"), STR("v"));
    assert_missing(store, STORE_RUNS, STR("k"));
    assert_missing(store, STORE_META, STR("kk"));
    put(store, STORE_META, STR("k"), STR("longer value"));
    assert_value(store, STORE_META, STR("k"), STR("longer value"));
    put(store, STORE_META, STR("k"), STR_EMPTY);
    assert_value(store, STORE_META, STR("k"), STR(""));
    delete_key(store, STORE_META, STR("k"));
    assert_missing(store, STORE_META, STR("k"));
    delete_key(store, STORE_META, STR("never there"));
}

static void tables_are_apart(void **state)
{
    const struct store *store = store_of(state);
    for (int table = 0; table < STORE_TABLE_COUNT; table++) {
        char value = (char)('a' + table);
        put(store, (enum store_table)table, STR("same key"), str_make(&value, 1));
    }
    for (int table = 0; table < STORE_TABLE_COUNT; table++) {
        char value = (char)('a' + table);
        assert_value(store, (enum store_table)table, STR("same key"), str_make(&value, 1));
    }
}

static void keys_sort_as_bytes(void **state)
{
    const struct store *store = store_of(state);
    struct store_batch batch = {0};
    store_batch_put(&batch, STORE_RUNS, STR("b"), STR("3"));
    store_batch_put(&batch, STORE_RUNS, STR("\xff\xff"), STR("6"));
    store_batch_put(&batch, STORE_RUNS, STR("a"), STR("1"));
    store_batch_put(&batch, STORE_RUNS, STR("aa"), STR("2"));
    store_batch_put(&batch, STORE_RUNS, STR("\x80"), STR("4"));
    store_batch_put(&batch, STORE_RUNS, STR("\xff"), STR("5"));
    assert_int_equal(store_commit(store, &batch).code, CODE_OK);
    store_batch_fini(&batch);
    ask(store, STORE_RUNS,
        &(struct question){
            .prefix = "", .from = "", .answer = "a=1 aa=2 b=3 \x80=4 \xff=5 \xff\xff=6 "});
    ask(store, STORE_RUNS,
        &(struct question){.prefix = "",
                           .from = "",
                           .reverse = true,
                           .answer = "\xff\xff=6 \xff=5 \x80=4 b=3 aa=2 a=1 "});
    ask(store, STORE_RUNS,
        &(struct question){
            .prefix = "\xff", .from = "", .reverse = true, .answer = "\xff\xff=6 \xff=5 "});
}

static const struct question questions[] = {
    {"p/", "", false, 0, 0, "p/a=1 p/b=2 p/c=3 p/d=4 "},
    {"p/", "", true, 0, 0, "p/d=4 p/c=3 p/b=2 p/a=1 "},
    {"p/", "p/b", false, 0, 0, "p/b=2 p/c=3 p/d=4 "},
    {"p/", "p/b", true, 0, 0, "p/b=2 p/a=1 "},
    {"p/", "p/bb", false, 0, 0, "p/c=3 p/d=4 "},
    {"p/", "p/bb", true, 0, 0, "p/b=2 p/a=1 "},
    {"p/", "a", false, 0, 0, "p/a=1 p/b=2 p/c=3 p/d=4 "},
    {"p/", "a", true, 0, 0, ""},
    {"p/", "z", false, 0, 0, ""},
    {"p/", "z", true, 0, 0, "p/d=4 p/c=3 p/b=2 p/a=1 "},
    {"p/", "p/", true, 0, 0, ""},
    {"p/", "p/e", false, 0, 0, ""},
    {"p/", "p/e", true, 0, 0, "p/d=4 p/c=3 p/b=2 p/a=1 "},
    {"p/", "", false, 2, 0, "p/a=1 p/b=2 "},
    {"p/", "", true, 2, 0, "p/d=4 p/c=3 "},
    {"p/", "p/b", false, 1, 0, "p/b=2 "},
    {"p/", "", false, 0, 3, "p/a=1 p/b=2 p/c=3 "},
    {"p/", "", true, 0, 1, "p/d=4 "},
    {"p/b", "", false, 0, 0, "p/b=2 "},
    {"p/x", "", false, 0, 0, ""},
    {"p/x", "", true, 0, 0, ""},
    {"q", "", false, 0, 0, "q/a=6 "},
    {"", "p0", false, 0, 0, "p0=5 q/a=6 "},
    {"", "p0", true, 2, 0, "p0=5 p/d=4 "},
    {"", "", false, 0, 0, "o=0 p/a=1 p/b=2 p/c=3 p/d=4 p0=5 q/a=6 "},
};

static void scan_questions(void **state)
{
    const struct store *store = store_of(state);
    struct store_batch batch = {0};
    store_batch_put(&batch, STORE_DEFINITION_NAMES, STR("p0"), STR("5"));
    store_batch_put(&batch, STORE_DEFINITION_NAMES, STR("p/c"), STR("3"));
    store_batch_put(&batch, STORE_DEFINITION_NAMES, STR("p/a"), STR("1"));
    store_batch_put(&batch, STORE_DEFINITION_NAMES, STR("q/a"), STR("6"));
    store_batch_put(&batch, STORE_DEFINITION_NAMES, STR("p/d"), STR("4"));
    store_batch_put(&batch, STORE_DEFINITION_NAMES, STR("o"), STR("0"));
    store_batch_put(&batch, STORE_DEFINITION_NAMES, STR("p/b"), STR("2"));
    assert_int_equal(store_commit(store, &batch).code, CODE_OK);
    store_batch_fini(&batch);
    for (size_t i = 0; i < COUNT_OF(questions); i++) {
        print_message("prefix '%s' from '%s'%s\n", questions[i].prefix, questions[i].from,
                      questions[i].reverse ? " reverse" : "");
        ask(store, STORE_DEFINITION_NAMES, &questions[i]);
    }
    struct seen seen = {0};
    assert_int_equal(
        store_scan(store, STORE_DEFINITION_NAMES, STR(""), STR(""), false, 0, see, &seen).code,
        CODE_OK);
    assert_int_equal(seen.count, 0);
}

static void scans_skip_what_was_deleted(void **state)
{
    const struct store *store = store_of(state);
    put(store, STORE_ACTIVE, STR("a"), STR("1"));
    put(store, STORE_ACTIVE, STR("b"), STR("2"));
    put(store, STORE_ACTIVE, STR("c"), STR("3"));
    delete_key(store, STORE_ACTIVE, STR("b"));
    put(store, STORE_ACTIVE, STR("c"), STR("4"));
    ask(store, STORE_ACTIVE, &(struct question){.prefix = "", .from = "", .answer = "a=1 c=4 "});
    ask(store, STORE_ACTIVE,
        &(struct question){.prefix = "", .from = "b", .reverse = true, .answer = "a=1 "});
}

static void batch_is_in_order(void **state)
{
    const struct store *store = store_of(state);
    struct store_batch batch = {0};
    store_batch_put(&batch, STORE_META, STR("x"), STR("1"));
    store_batch_delete(&batch, STORE_META, STR("x"));
    store_batch_put(&batch, STORE_META, STR("y"), STR("1"));
    store_batch_put(&batch, STORE_META, STR("y"), STR("2"));
    store_batch_put(&batch, STORE_JOURNAL, STR("z"), STR("3"));
    assert_int_equal(batch.count, 5);
    assert_int_equal(store_commit(store, &batch).code, CODE_OK);
    assert_missing(store, STORE_META, STR("x"));
    assert_value(store, STORE_META, STR("y"), STR("2"));
    assert_value(store, STORE_JOURNAL, STR("z"), STR("3"));
    store_batch_reset(&batch);
    assert_int_equal(batch.count, 0);
    assert_int_equal(store_commit(store, &batch).code, CODE_OK);
    store_batch_put(&batch, STORE_META, STR("again"), STR("1"));
    assert_int_equal(store_commit(store, &batch).code, CODE_OK);
    assert_value(store, STORE_META, STR("again"), STR("1"));
    store_batch_fini(&batch);
}

static void big_values(void **state)
{
    const struct store *store = store_of(state);
    size_t bytes = (1 << 20) + 17;
    char *value = xmalloc(bytes);
    for (size_t i = 0; i < bytes; i++) {
        value[i] = (char)(i * 7 + i / 251);
    }
    put(store, STORE_DEFINITIONS, STR("big"), str_make(value, bytes));
    put(store, STORE_DEFINITIONS, STR("bih"), str_make(value + 1, bytes - 1));
    assert_value(store, STORE_DEFINITIONS, STR("big"), str_make(value, bytes));
    assert_value(store, STORE_DEFINITIONS, STR("bih"), str_make(value + 1, bytes - 1));
    free(value);
}

static void zero_bytes_count(void **state)
{
    const struct store *store = store_of(state);
    put(store, STORE_META, STR("a\0b"), STR("\0\0"));
    put(store, STORE_META, STR("a"), STR("1"));
    put(store, STORE_META, STR("\0"), STR("2"));
    assert_value(store, STORE_META, STR("a\0b"), STR("\0\0"));
    assert_missing(store, STORE_META, STR("a\0"));
    assert_value(store, STORE_META, STR("\0"), STR("2"));
}

/* ---- Many rows, as the runtime keeps them ---- */

enum {
    RUNS = 100,
    SEQS = 120,
};

static uuid run_id(uint32_t number)
{
    uint8_t random[10] = {0};
    random[9] = (uint8_t)number;
    return uuid_v7(1700000000000u + number, random);
}

static void commit_run(const struct store *store, struct key_space space, uint32_t run)
{
    struct store_batch batch = {0};
    char key[KEY_BYTES_MAX];
    for (uint32_t seq = 1; seq <= SEQS; seq++) {
        store_batch_put(&batch, STORE_JOURNAL, key_journal(key, space, run_id(run), seq),
                        str_make(&seq, sizeof(seq)));
    }
    store_batch_put(&batch, STORE_RUNS, key_run(key, space, run_id(run)), STR("row"));
    assert_int_equal(store_commit(store, &batch).code, CODE_OK);
    store_batch_fini(&batch);
}

struct walk {
    uint32_t next; /* The seq expected. */
    int step;
    size_t count;
    size_t runs; /* How many times a run began. */
    uuid run;
};

static bool walk_journal(void *context, str key, str value)
{
    struct walk *walk = (struct walk *)context;
    uint32_t seq = 0;
    uuid run = {{0}};
    assert_true(key_read_journal_seq(key, &seq));
    assert_true(key_read_run(key, &run));
    if (!uuid_equal(run, walk->run)) {
        walk->run = run;
        walk->runs++;
        walk->next = walk->step > 0 ? 1 : SEQS;
    }
    assert_int_equal(seq, walk->next);
    assert_memory_equal(value.ptr, &seq, sizeof(seq));
    walk->next += (uint32_t)walk->step;
    walk->count++;
    return true;
}

static struct walk walk_over(const struct store *store, str prefix, str from, bool reverse)
{
    struct walk walk = {.step = reverse ? -1 : 1};
    assert_int_equal(
        store_scan(store, STORE_JOURNAL, prefix, from, reverse, SIZE_MAX, walk_journal, &walk).code,
        CODE_OK);
    return walk;
}

static bool count_rows(void *context, str key, str value)
{
    (void)key;
    assert_true(str_is(value, "row"));
    ++*(size_t *)context;
    return true;
}

static void many_runs(void **state)
{
    const struct store *store = store_of(state);
    struct key_space space = {0, 7};
    char key[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    size_t rows = 0;
    for (uint32_t i = 0; i < RUNS; i++) {
        commit_run(store, space, i * 37 % RUNS);
    }
    commit_run(store, (struct key_space){0, 8}, 1);
    commit_run(store, (struct key_space){1, 7}, 1);
    struct walk walk = walk_over(store, key_prefix_space(key, space), STR_EMPTY, false);
    assert_int_equal(walk.count, RUNS * SEQS);
    assert_int_equal(walk.runs, RUNS);
    walk = walk_over(store, key_prefix_space(key, space), STR_EMPTY, true);
    assert_int_equal(walk.count, RUNS * SEQS);
    assert_int_equal(walk_over(store, key_prefix_partition(key, 0), STR_EMPTY, false).count,
                     (RUNS + 1) * SEQS);
    for (uint32_t run = 0; run < RUNS; run++) {
        str prefix = key_run(key, space, run_id(run));
        assert_int_equal(walk_over(store, prefix, STR_EMPTY, false).count, SEQS);
        assert_int_equal(walk_over(store, prefix, STR_EMPTY, true).count, SEQS);
    }
    str prefix = key_run(key, space, run_id(5));
    struct walk tail = {.step = 1, .next = 100, .run = run_id(5)};
    assert_int_equal(store_scan(store, STORE_JOURNAL, prefix,
                                key_journal(from, space, run_id(5), 100), false, SIZE_MAX,
                                walk_journal, &tail)
                         .code,
                     CODE_OK);
    assert_int_equal(tail.count, SEQS - 99);
    assert_int_equal(store_scan(store, STORE_RUNS, key_prefix_space(key, space), STR_EMPTY, false,
                                SIZE_MAX, count_rows, &rows)
                         .code,
                     CODE_OK);
    assert_int_equal(rows, RUNS);
}

struct nested {
    const struct store *store;
    size_t count;
};

static bool get_inside(void *context, str key, str value)
{
    struct nested *nested = (struct nested *)context;
    assert_value(nested->store, STORE_META, key, value);
    nested->count++;
    return true;
}

static void visits_may_read(void **state)
{
    struct nested nested = {.store = store_of(state)};
    put(nested.store, STORE_META, STR("a"), STR("1"));
    put(nested.store, STORE_META, STR("b"), STR("2"));
    assert_int_equal(store_scan(nested.store, STORE_META, STR_EMPTY, STR_EMPTY, false, SIZE_MAX,
                                get_inside, &nested)
                         .code,
                     CODE_OK);
    assert_int_equal(nested.count, 2);
}

/* ---- Readers beside the writer ---- */

enum {
    ROUNDS = 200,
};

struct reader {
    pthread_t thread;
    const struct store *store;
    atomic_bool *is_done;
    size_t scans;
    bool failed;
};

/* Both rows are written in every batch with the same value. */
struct pair {
    int values[2];
    size_t count;
};

static bool read_pair(void *context, str key, str value)
{
    struct pair *pair = (struct pair *)context;
    (void)key;
    if (pair->count < 2 && value.len == sizeof(int)) {
        memcpy(&pair->values[pair->count], value.ptr, sizeof(int));
    }
    pair->count++;
    return true;
}

static bool count_row(void *context, str key, str value)
{
    (void)key, (void)value;
    ++*(size_t *)context;
    return true;
}

/* Each batch deletes the passing row of the one before, so that there is always one. */
static bool sees_one_passing(const struct store *store)
{
    size_t count = 0;
    status outcome = store_scan(store, STORE_META, STR("passing/"), STR_EMPTY, true, SIZE_MAX,
                                count_row, &count);
    return outcome.code == CODE_OK && count == 1;
}

static bool gets_pair(const struct store *store, int least)
{
    struct arena arena;
    str value = STR_EMPTY;
    int found = -1;
    arena_init(&arena, 0);
    status outcome = store_get(store, STORE_META, STR("pair/b"), &arena, &value);
    if (value.len == sizeof(found)) {
        memcpy(&found, value.ptr, sizeof(found));
    }
    arena_fini(&arena);
    return outcome.code == CODE_OK && found >= least;
}

static void *read_pairs(void *context)
{
    struct reader *reader = (struct reader *)context;
    int last = -1;
    do {
        struct pair pair = {.count = 0};
        status outcome = store_scan(reader->store, STORE_META, STR("pair/"), STR_EMPTY, false,
                                    SIZE_MAX, read_pair, &pair);
        if (outcome.code != CODE_OK || pair.count != 2 || pair.values[0] != pair.values[1] ||
            pair.values[0] < last) {
            reader->failed = true;
        }
        last = pair.values[0];
        if (!gets_pair(reader->store, last) || !sees_one_passing(reader->store)) {
            reader->failed = true;
        }
        reader->scans++;
    } while (!atomic_load(reader->is_done));
    return NULL;
}

static str passing_key(char ret[32], int round)
{
    int len = snprintf(ret, 32, "passing/%d", round);
    return str_make(ret, (size_t)len);
}

static void put_passing(struct store_batch *batch, int round)
{
    char key[32];
    store_batch_put(batch, STORE_META, passing_key(key, round), STR("here"));
}

static void delete_passing(struct store_batch *batch, int round)
{
    char key[32];
    store_batch_delete(batch, STORE_META, passing_key(key, round));
}

static void commit_pair(const struct store *store, int round)
{
    struct store_batch batch = {0};
    store_batch_put(&batch, STORE_META, STR("pair/a"), str_make(&round, sizeof(round)));
    store_batch_put(&batch, STORE_META, STR("pair/b"), str_make(&round, sizeof(round)));
    put_passing(&batch, round);
    if (round > 0) {
        delete_passing(&batch, round - 1);
    }
    assert_int_equal(store_commit(store, &batch).code, CODE_OK);
    store_batch_fini(&batch);
}

static void readers_see_whole_batches(void **state)
{
    atomic_bool is_done = false;
    struct reader readers[2] = {0};
    commit_pair(store_of(state), 0);
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        readers[i].store = store_of(state);
        readers[i].is_done = &is_done;
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_pairs, &readers[i]), 0);
    }
    for (int round = 1; round < ROUNDS; round++) {
        commit_pair(store_of(state), round);
    }
    atomic_store(&is_done, true);
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        pthread_join(readers[i].thread, NULL);
        assert_false(readers[i].failed);
        assert_true(readers[i].scans > 0);
    }
}

static void stats_count(void **state)
{
    struct store_stats stats;
    struct contract *contract = (struct contract *)*state;
    put(&contract->store, STORE_META, STR("a"), STR("1"));
    put(&contract->store, STORE_META, STR("b"), STR("1"));
    store_stats(&contract->store, &stats);
    assert_int_equal(stats.commits, 2);
    assert_false(stats.is_low_on_space);
    assert_true(stats.bytes_free > 0);
    assert_true(!contract->is_durable || stats.bytes_on_disk > 0);
}

static uint32_t level_after(const struct store *store, uint32_t level)
{
    struct store_batch batch = {0};
    struct store_stats stats;
    store_batch_put(&batch, STORE_META, STR("a"), STR("1"));
    if (level > 0) {
        store_batch_raise(&batch, level);
        store_batch_raise(&batch, 1); /* The highest counts. */
    }
    assert_int_equal(store_commit(store, &batch).code, CODE_OK);
    store_batch_reset(&batch);
    assert_int_equal(batch.level, 0);
    store_batch_fini(&batch);
    store_stats(store, &stats);
    return stats.level;
}

static void a_level_is_raised_and_stays(void **state)
{
    struct store_stats stats;
    struct contract *contract = (struct contract *)*state;
    assert_int_equal(level_after(&contract->store, 0), 1);
    assert_int_equal(level_after(&contract->store, 1), 1);
    assert_int_equal(level_after(&contract->store, 2), 2);
    assert_int_equal(level_after(&contract->store, 0), 2);
    if (contract->is_durable) {
        store_close(&contract->store);
        contract->open(contract);
        store_stats(&contract->store, &stats);
        assert_int_equal(stats.level, 2);
    }
    assert_int_equal(level_after(&contract->store, 3), 3);
}

static void reopening_keeps_everything(void **state)
{
    struct contract *contract = (struct contract *)*state;
    struct key_space space = {0, 7};
    char key[KEY_BYTES_MAX];
    if (!contract->is_durable) {
        skip();
    }
    for (int round = 0; round < 3; round++) {
        commit_run(&contract->store, space, (uint32_t)round);
        put(&contract->store, STORE_META, STR("round"), str_make(&round, sizeof(round)));
        store_close(&contract->store);
        assert_null(contract->store.vtable);
        contract->open(contract);
        assert_value(&contract->store, STORE_META, STR("round"), str_make(&round, sizeof(round)));
        struct walk walk =
            walk_over(&contract->store, key_prefix_space(key, space), STR_EMPTY, false);
        assert_int_equal(walk.count, (round + 1) * SEQS);
    }
}

static int set_up(void **state)
{
    struct contract *contract = (struct contract *)*state;
    contract->open(contract);
    return 0;
}

static int tear_down(void **state)
{
    struct contract *contract = (struct contract *)*state;
    store_close(&contract->store);
    if (contract->is_durable) {
        char command[300];
        snprintf(command, sizeof(command), "rm -rf '%s'", contract->path);
        return system(command);
    }
    return 0;
}

#define CONTRACT_TEST(function)                                                                    \
    cmocka_unit_test_prestate_setup_teardown(function, set_up, tear_down, contract)

int store_contract_run(struct contract *contract, const char *name)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_TEST(put_and_get),
        CONTRACT_TEST(tables_are_apart),
        CONTRACT_TEST(keys_sort_as_bytes),
        CONTRACT_TEST(scan_questions),
        CONTRACT_TEST(scans_skip_what_was_deleted),
        CONTRACT_TEST(batch_is_in_order),
        CONTRACT_TEST(big_values),
        CONTRACT_TEST(zero_bytes_count),
        CONTRACT_TEST(many_runs),
        CONTRACT_TEST(visits_may_read),
        CONTRACT_TEST(readers_see_whole_batches),
        CONTRACT_TEST(stats_count),
        CONTRACT_TEST(a_level_is_raised_and_stays),
        CONTRACT_TEST(reopening_keeps_everything),
    };
    (void)name;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
