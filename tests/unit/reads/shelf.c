#include "tests/unit/reads/shelf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/memory_store.h"

static const struct key_space space = {.partition = 1, .project = 2};

void shelf_init(struct shelf *shelf)
{
    *shelf = (struct shelf){.steps = 0};
    arena_init(&shelf->arena, 0);
    memory_store_open(&shelf->store);
    struct reads_options options = {.source = {.store = shelf->store, .space = space}};
    shelf->reads = reads_new(&options);
}

void shelf_fini(struct shelf *shelf)
{
    reads_free(shelf->reads);
    store_close(&shelf->store);
    arena_fini(&shelf->arena);
}

static void put(struct shelf *shelf, enum store_table table, str key, str value)
{
    struct store_batch batch = {0};
    store_batch_put(&batch, table, key, value);
    assert_true(status_is_ok(store_commit(&shelf->store, &batch)));
    store_batch_fini(&batch);
}

void shelf_put(struct shelf *shelf, struct run *state, const struct event *events, size_t count)
{
    struct buf record = {0};
    char key[KEY_BYTES_MAX];
    uint32_t first = state->seq + 1;
    codec_encode(events, count, first, &record);
    for (size_t i = 0; i < count; i++) {
        engine_apply(state, &events[i]);
    }
    put(shelf, STORE_JOURNAL, key_journal(key, space, state->id, first), buf_str(&record));
    buf_fini(&record);
}

void shelf_put_row(struct shelf *shelf, const struct run *state, const char *name)
{
    char key[KEY_BYTES_MAX];
    char bytes[2048];
    struct run_row row = {
        .kind = (enum run_kind)state->kind,
        .status = state->state == RUN_COMPLETED ? 3 : 1,
        .created_ms = state->started_ms,
        .ended_ms = state->ended_ms,
        .last_seq = state->seq,
    };
    memcpy(row.name, name, strlen(name));
    size_t len = codec_encode_row(&row, bytes, sizeof(bytes));
    put(shelf, STORE_RUNS, key_run(key, space, state->id), str_make(bytes, len));
}

void shelf_put_index(struct shelf *shelf, enum run_by by, str value, uuid run)
{
    char key[KEY_BYTES_MAX];
    struct index_tail tail = run_index_tail(by, value, run);
    put(shelf, STORE_INDEX, key_index(key, space, INDEX_RUN, index_tail_str(&tail)), STR_EMPTY);
}

void shelf_put_built(struct shelf *shelf, enum run_index_set set)
{
    char key[KEY_BYTES_MAX];
    char bytes[RUN_INDEX_BUILT_BYTES_MAX];
    struct run_index_built built = {.is_complete = true};
    size_t len = run_index_built_encode(&built, bytes, sizeof(bytes));
    put(shelf, STORE_INDEX, key_index(key, space, run_index_built_kind(set), STR_EMPTY),
        str_make(bytes, len));
}

void shelf_put_tail(struct shelf *shelf, enum index_kind kind, const struct index_tail *tail,
                    str value)
{
    char key[KEY_BYTES_MAX];
    put(shelf, STORE_INDEX, key_index(key, space, kind, index_tail_str(tail)), value);
}

static void take(struct shelf *shelf, enum store_table table, str key)
{
    struct store_batch batch = {0};
    store_batch_delete(&batch, table, key);
    assert_true(status_is_ok(store_commit(&shelf->store, &batch)));
    store_batch_fini(&batch);
}

void shelf_delete_tail(struct shelf *shelf, enum index_kind kind, const struct index_tail *tail)
{
    char key[KEY_BYTES_MAX];
    take(shelf, STORE_INDEX, key_index(key, space, kind, index_tail_str(tail)));
}

void shelf_delete_record(struct shelf *shelf, uuid run, uint32_t seq)
{
    char key[KEY_BYTES_MAX];
    take(shelf, STORE_JOURNAL, key_journal(key, space, run, seq));
}

void shelf_delete_row(struct shelf *shelf, uuid run)
{
    char key[KEY_BYTES_MAX];
    take(shelf, STORE_RUNS, key_run(key, space, run));
}

static void done(struct read *read, const struct failure *failure)
{
    struct shelf *shelf = read->context;
    shelf->is_done = true;
    shelf->failure = failure == NULL ? (struct failure){0} : *failure;
}

void shelf_read(struct shelf *shelf, struct read *read)
{
    read->done = done;
    read->context = shelf;
    shelf->is_done = false;
    shelf->steps = 0;
    reads_post_always(shelf->reads, read);
    while (!shelf->is_done) {
        assert_true(reads_step(shelf->reads, 0));
        shelf->steps++;
    }
}
