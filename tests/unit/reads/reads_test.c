/*
 * Goal: a read goes on page by page behind those that wait, a full lane refuses, what cannot be
 * read ends the read and nothing else, and threads do the same as steps by hand.
 * Method: reads that count their pages, stepped by hand or by the pool.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/reads/reads.h"
#include "storage/memory_store.h"

struct counted {
    struct read read;
    unsigned pages; /* Left to read. */
    size_t page_bytes; /* Taken from the arena by each. */
    enum code fails; /* At the last page. */
};

struct fixture {
    struct store store;
    struct reads *reads;
    char order[64]; /* Names of the reads, as their pages were read. */
    size_t len;
    atomic_uint done;
    enum code code;
    enum reason reason;
};

static struct fixture *current;

static status step(struct read *read, const struct reads_source *source, bool *ret_over)
{
    struct counted *counted = (struct counted *)read;
    assert_non_null(source->store.vtable);
    if (counted->page_bytes > 0) {
        (void)arena_alloc(&read->arena, counted->page_bytes);
    }
    if (current->len < sizeof(current->order) - 1) {
        current->order[current->len++] = (char)(uintptr_t)read->context;
    }
    *ret_over = --counted->pages == 0;
    if (*ret_over && counted->fails != CODE_OK) {
        return status_make(counted->fails, "planted");
    }
    return STATUS_OK;
}

static const struct read_kind counted_kind = {
    .name = "counted", .read_bytes = sizeof(struct counted), .step = step};

static const struct read_kind patient_kind = {
    .name = "patient", .read_bytes = sizeof(struct counted), .step = step, .is_patient = true};

static void done(struct read *read, const struct failure *failure)
{
    current->code = failure == NULL ? CODE_OK : failure->code;
    current->reason = failure == NULL ? REASON_NONE : failure->reason;
    atomic_fetch_add(&current->done, 1);
    read_free(read);
}

/* On any thread. */
static void count_done(struct read *read, const struct failure *failure)
{
    (void)failure;
    atomic_fetch_add(&current->done, 1);
    read_free(read);
}

static struct counted *counted_new(char name, unsigned pages)
{
    struct counted *counted = (struct counted *)read_new(&counted_kind);
    counted->read.done = done;
    counted->read.context = (void *)(uintptr_t)name;
    counted->read.run.bytes[0] = 1;
    counted->pages = pages;
    return counted;
}

static void set_up(struct fixture *fixture, size_t lanes, size_t queue_max)
{
    *fixture = (struct fixture){.len = 0};
    current = fixture;
    memory_store_open(&fixture->store);
    struct reads_options options = {
        .source = {.store = fixture->store}, .lanes = lanes, .queue_max = queue_max};
    fixture->reads = reads_new(&options);
}

static void tear_down(struct fixture *fixture)
{
    reads_free(fixture->reads);
    store_close(&fixture->store);
}

static void long_reads_let_short_ones_by(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 1, 0);
    assert_true(reads_post(fixture.reads, &counted_new('a', 4)->read));
    assert_true(reads_post(fixture.reads, &counted_new('b', 1)->read));
    assert_true(reads_step(fixture.reads, 0));
    assert_true(reads_post(fixture.reads, &counted_new('c', 2)->read));
    while (reads_step(fixture.reads, 0)) {
    }
    assert_string_equal(fixture.order, "abacaca");
    assert_int_equal(fixture.done, 3);
    assert_int_equal(reads_waiting(fixture.reads), 0);
    tear_down(&fixture);
}

static void patient_reads_get_every_other_step(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 1, 2);
    for (char name = 'p'; name < 's'; name++) {
        struct counted *counted = (struct counted *)read_new(&patient_kind);
        counted->read.done = done;
        counted->read.context = (void *)(uintptr_t)name;
        counted->pages = 2;
        reads_post_always(fixture.reads, &counted->read); /* They fill no lane. */
    }
    assert_true(reads_step(fixture.reads, 0));
    assert_true(reads_post(fixture.reads, &counted_new('a', 2)->read));
    assert_true(reads_post(fixture.reads, &counted_new('b', 1)->read));
    assert_int_equal(reads_waiting(fixture.reads), 5);
    while (reads_step(fixture.reads, 0)) {
    }
    assert_string_equal(fixture.order, "paqbrapqr");
    assert_int_equal(fixture.done, 5);
    assert_int_equal(reads_waiting(fixture.reads), 0);
    tear_down(&fixture);
}

static void full_lanes_refuse(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 1, 2);
    assert_true(reads_post(fixture.reads, &counted_new('a', 2)->read));
    assert_true(reads_post(fixture.reads, &counted_new('b', 1)->read));
    assert_true(reads_step(fixture.reads, 0)); /* It waits for its second page. */
    struct counted *late = counted_new('c', 1);
    assert_false(reads_post(fixture.reads, &late->read));
    reads_post_always(fixture.reads, &counted_new('d', 1)->read);
    assert_true(reads_step(fixture.reads, 0));
    assert_true(reads_step(fixture.reads, 0));
    assert_true(reads_post(fixture.reads, &late->read));
    while (reads_step(fixture.reads, 0)) {
    }
    assert_int_equal(fixture.done, 4);
    tear_down(&fixture);
}

static void put_run(struct fixture *fixture, uuid run)
{
    char key[KEY_BYTES_MAX];
    struct store_batch batch = {.count = 0};
    store_batch_put(&batch, STORE_RUNS, key_run(key, (struct key_space){0}, run), STR("row"));
    assert_true(status_is_ok(store_commit(&fixture->store, &batch)));
    store_batch_fini(&batch);
}

static void failures_have_reasons(void **state)
{
    (void)state;
    static const struct {
        enum code code;
        bool is_there; /* The run's row. */
        size_t page_bytes;
        enum code expected;
        enum reason reason;
    } cases[] = {
        {CODE_OK, true, 0, CODE_OK, REASON_NONE},
        {CODE_NOT_FOUND, true, 0, CODE_NOT_FOUND, REASON_RUN_NOT_FOUND},
        {CODE_DATA_LOSS, true, 0, CODE_DATA_LOSS, REASON_RUN_UNREADABLE},
        {CODE_DATA_LOSS, false, 0, CODE_NOT_FOUND, REASON_RUN_NOT_FOUND}, /* It was deleted. */
        {CODE_OK, true, READ_ARENA_BYTES_MAX, CODE_RESOURCE_EXHAUSTED, REASON_READ_TOO_LARGE},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fixture fixture;
        set_up(&fixture, 1, 0);
        struct counted *counted = counted_new('a', 3);
        if (cases[i].is_there) {
            put_run(&fixture, counted->read.run);
        }
        counted->fails = cases[i].code;
        counted->page_bytes = cases[i].page_bytes;
        assert_true(reads_post(fixture.reads, &counted->read));
        while (reads_step(fixture.reads, 0)) {
        }
        assert_int_equal(fixture.done, 1);
        assert_int_equal(fixture.code, cases[i].expected);
        assert_int_equal(fixture.reason, cases[i].reason);
        tear_down(&fixture);
    }
}

static void what_was_not_done_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, 1, 0);
    assert_true(reads_post(fixture.reads, &counted_new('a', 3)->read));
    assert_true(reads_step(fixture.reads, 0));
    assert_true(reads_post(fixture.reads, &counted_new('b', 1)->read));
    tear_down(&fixture);
    assert_int_equal(fixture.done, 2);
    assert_int_equal(fixture.code, CODE_UNAVAILABLE);
}

static void threads_do_the_same(void **state)
{
    (void)state;
    struct fixture fixture;
    enum {
        READS = 2000
    };
    set_up(&fixture, 3, READS);
    fixture.len = sizeof(fixture.order); /* Order is nobody's here. */
    reads_start(fixture.reads);
    for (unsigned i = 0; i < READS; i++) {
        struct counted *counted = counted_new('a', 1 + i % 3);
        counted->read.done = count_done;
        counted->read.run.bytes[8] = (uint8_t)i; /* What names its lane; zero: any. */
        counted->read.run.bytes[0] = (uint8_t)(i % 2);
        assert_true(reads_post(fixture.reads, &counted->read));
    }
    reads_stop(fixture.reads);
    tear_down(&fixture);
    assert_int_equal(fixture.done, READS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_reads_let_short_ones_by),
        cmocka_unit_test(patient_reads_get_every_other_step),
        cmocka_unit_test(full_lanes_refuse),
        cmocka_unit_test(failures_have_reasons),
        cmocka_unit_test(what_was_not_done_is_refused),
        cmocka_unit_test(threads_do_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
