#include "tests/contract/trap_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/keys.h"

enum {
    VALUE_BYTES = 300,
};

static const struct key_space space = {0, 1};
static const uuid run = {{1, 2, 3}};
struct rocksdb_store_options trap_options(const char *path)
{
    return (struct rocksdb_store_options){
        .path = path,
        .free_bytes_soft = 1,
        .free_bytes_hard = 1,
        .memtable_bytes = 256 << 10,
    };
}

static struct arena last_arena; /* Of the last opening: its `why`. */

void trap_init(void)
{
    arena_init(&last_arena, 0);
}

status trap_try_open(const char *path, struct store *ret)
{
    struct rocksdb_store_options options = trap_options(path);
    arena_reset(&last_arena);
    status opened = rocksdb_store_open(&options, &last_arena, ret);
    if (opened.code != CODE_OK) {
        print_message("%s: %s\n", code_name(opened.code), opened.why);
    }
    return opened;
}

void trap_must_open(const char *path, struct store *ret)
{
    status opened = trap_try_open(path, ret);
    assert_int_equal(opened.code, CODE_OK);
}

void trap_refused(const char *path, enum code code, const char *part)
{
    struct store store;
    status opened = trap_try_open(path, &store);
    assert_int_equal(opened.code, code);
    assert_non_null(strstr(opened.why, part));
}

static void fill_value(uint32_t seq, char ret[VALUE_BYTES])
{
    uint32_t state = seq * 2654435761u + 1;
    for (size_t i = 0; i < VALUE_BYTES; i++) {
        state = state * 1664525u + 1013904223u;
        ret[i] = (char)(state >> 24);
    }
}

status trap_put_seq(struct store *store, uint32_t seq)
{
    struct store_batch batch = {0};
    char key[KEY_BYTES_MAX];
    char value[VALUE_BYTES];
    fill_value(seq, value);
    store_batch_put(&batch, STORE_JOURNAL, key_journal(key, space, run, seq),
                    str_make(value, sizeof(value)));
    store_batch_put(&batch, STORE_RUNS, key_run(key, space, run), str_make(&seq, sizeof(seq)));
    status outcome = store_commit(store, &batch);
    store_batch_fini(&batch);
    return outcome;
}

static bool read_one(void *context, str key, str value)
{
    struct reading *reading = (struct reading *)context;
    char expected[VALUE_BYTES];
    uint32_t seq = 0;
    if (!key_read_journal_seq(key, &seq) || seq != reading->seq + 1) {
        reading->is_broken = true;
    }
    fill_value(seq, expected);
    if (!str_equal(value, str_make(expected, sizeof(expected)))) {
        reading->is_broken = true;
    }
    reading->seq = seq;
    return true;
}

status trap_read_all(const struct store *store, struct reading *ret)
{
    char key[KEY_BYTES_MAX];
    *ret = (struct reading){0, false};
    return store_scan(store, STORE_JOURNAL, key_run(key, space, run), STR_EMPTY, false, SIZE_MAX,
                      read_one, ret);
}

void trap_opens_with(const char *path, uint32_t seq_min, uint32_t seq_max)
{
    struct reading reading;
    struct store store;
    trap_must_open(path, &store);
    assert_int_equal(trap_read_all(&store, &reading).code, CODE_OK);
    store_close(&store);
    assert_false(reading.is_broken);
    assert_in_range(reading.seq, seq_min, seq_max);
}
