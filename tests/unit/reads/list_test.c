/*
 * Goal:   a list shows each run that fits once, the newest first, however few or many of the runs
 *         fit; a page looks at no more rows than it may; a hash is no proof. A tree and the roots
 *         are listed alike with their rows and, of a store that has none yet, without.
 * Method: 3,000 runs on a shelf, of which every nth has a name; all pages of a list, by the index
 *         and, while that is not complete, without it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/reads/list.h"
#include "tests/unit/reads/shelf.h"

enum {
    RUNS = 3000,
};

static uuid id_of(size_t number)
{
    uint8_t random[10] = {0};
    random[8] = (uint8_t)(number >> 8);
    random[9] = (uint8_t)number;
    return uuid_v7(1000 + number, random);
}

static bool has_name(size_t number, size_t every)
{
    return number % every == 0;
}

static void fill(struct shelf *shelf, size_t every)
{
    for (size_t i = 0; i < RUNS; i++) {
        struct run state;
        engine_init(&state);
        state.id = id_of(i);
        state.kind = RUN_KIND_WORKFLOW;
        state.started_ms = 1000 + i;
        state.seq = 1;
        shelf_put_row(shelf, &state, has_name(i, every) ? "named" : "other");
        if (has_name(i, every)) {
            shelf_put_index(shelf, RUN_BY_NAME, STR("named"), state.id);
        }
    }
}

struct sums {
    size_t lines;
    size_t pages;
    size_t number; /* Of the last line. */
};

static void list_page(struct shelf *shelf, const struct run_filter *filter, size_t limit,
                      uuid *before, struct sums *sums)
{
    struct read *read = read_new(&list_kind);
    list_read(read)->filter = *filter;
    list_read(read)->limit = limit;
    list_read(read)->before = *before;
    shelf_read(shelf, read);
    assert_int_equal(shelf->failure.code, CODE_OK);
    for (size_t i = 0; i < list_read(read)->ret_count; i++) {
        const struct run_line *line = &list_read(read)->ret_lines[i];
        size_t number = (size_t)(line->row.created_ms - 1000);
        assert_true(uuid_equal(line->id, id_of(number)));
        assert_true(sums->lines == 0 || number < sums->number);
        assert_string_equal(line->row.name, "named");
        sums->number = number;
        sums->lines++;
    }
    sums->pages++;
    *before = list_read(read)->ret_next;
    read_free(read);
}

static struct sums list_all(struct shelf *shelf, const struct run_filter *filter, size_t limit)
{
    struct sums sums = {.lines = 0};
    uuid before = {{0}};
    do {
        list_page(shelf, filter, limit, &before, &sums);
    } while (!uuid_is_zero(before));
    return sums;
}

static void every_run_that_fits_is_listed_once(void **state)
{
    (void)state;
    static const size_t every[] = {1, 2, 50, 700};
    static const size_t limits[] = {1, 50, 128, 500};
    const struct run_filter filter = {.name = STR("named")};
    for (size_t i = 0; i < COUNT_OF(every); i++) {
        struct shelf shelf;
        size_t fitting = (RUNS + every[i] - 1) / every[i];
        shelf_init(&shelf);
        fill(&shelf, every[i]);
        struct sums slow = list_all(&shelf, &filter, 500);
        assert_int_equal(slow.lines, fitting);
        assert_true(slow.pages >= RUNS / READ_PAGE_ROWS); /* All runs were looked at. */
        shelf_put_built(&shelf, RUN_INDEX_FIRST);
        for (size_t j = 0; j < COUNT_OF(limits); j++) {
            struct sums sums = list_all(&shelf, &filter, limits[j]);
            assert_int_equal(sums.lines, fitting);
            assert_int_equal(sums.pages, (fitting + limits[j] - 1) / limits[j]);
        }
        shelf_fini(&shelf);
    }
}

/* What the index says of a run does not make it one that fits. */
static void the_row_decides(void **state)
{
    (void)state;
    struct shelf shelf;
    const struct run_filter filter = {.name = STR("named")};
    shelf_init(&shelf);
    fill(&shelf, 2);
    shelf_put_built(&shelf, RUN_INDEX_FIRST);
    for (size_t i = 0; i < RUNS; i++) {
        shelf_put_index(&shelf, RUN_BY_NAME, STR("named"), id_of(i)); /* As if hashes were alike. */
    }
    struct sums sums = list_all(&shelf, &filter, 500);
    assert_int_equal(sums.lines, RUNS / 2);
    assert_true(sums.pages >= RUNS / READ_PAGE_ROWS);
    shelf_fini(&shelf);
}

static void times_bound_a_list(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    fill(&shelf, 1);
    const struct run_filter filters[] = {
        {.created_after_ms = 1000 + 100, .created_before_ms = 1000 + 300},
        {.name = STR("named"), .created_after_ms = 1000 + 100, .created_before_ms = 1000 + 300},
    };
    for (size_t built = 0; built < 2; built++) {
        for (size_t i = 0; i < COUNT_OF(filters); i++) {
            struct sums sums = list_all(&shelf, &filters[i], 77);
            assert_int_equal(sums.lines, 200);
            assert_int_equal(sums.number, 100); /* The oldest comes last. */
        }
        shelf_put_built(&shelf, RUN_INDEX_FIRST);
    }
    shelf_fini(&shelf);
}

/* By its first fact; its row says no more than its name. */
static void put_in_tree(struct shelf *shelf, size_t number, size_t parent, size_t root)
{
    struct run state;
    uuid id = id_of(number);
    bool is_root = number == root;
    const struct event started = {
        .kind = EVENT_RUN_STARTED,
        .time_ms = 1000 + number,
        .run_started = {.id = id,
                        .spec = {.kind = RUN_KIND_WORKFLOW,
                                 .name = STR("named"),
                                 .root = id_of(root),
                                 .cause = START_CAUSE_SCHEDULE,
                                 .started_by = is_root ? STR("named/key") : STR("other"),
                                 .parent = is_root ? (uuid){{0}} : id_of(parent)}}};
    uuid top = id_of(root);
    engine_init(&state);
    state.id = id;
    shelf_put(shelf, &state, &started, 1);
    shelf_put_row(shelf, &state, "named");
    if (is_root) {
        shelf_put_index(shelf, RUN_BY_ROOTS, STR("\x01"), id);
        shelf_put_index(shelf, RUN_BY_SCHEDULE, STR("named/key"), id);
    } else {
        shelf_put_index(shelf, RUN_BY_TREE, str_make((const char *)top.bytes, sizeof(top)), id);
        shelf_put_index(shelf, RUN_BY_TREE, str_make((const char *)top.bytes, sizeof(top)), top);
    }
}

static void trees_and_roots_are_listed(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    put_in_tree(&shelf, 1, 1, 1);
    for (size_t i = 2; i < 7; i++) {
        put_in_tree(&shelf, i, i - 1, 1);
    }
    put_in_tree(&shelf, 7, 7, 7);
    const struct {
        struct run_filter filter;
        size_t lines;
    } cases[] = {
        {{.root = id_of(1)}, 6},
        {{.root = id_of(7)}, 1},
        {{.root = id_of(2)}, 0},
        {{.root = id_of(1), .name = STR("named")}, 6},
        {{.root = id_of(1), .only_roots = true}, 1},
        {{.root = id_of(1), .created_before_ms = 1000 + 3}, 2},
        {{.root = id_of(7), .created_before_ms = 1000 + 3}, 0},
        {{.only_roots = true}, 2},
        {{.only_roots = true, .kind = RUN_KIND_WORKFLOW}, 2},
        {{.schedule_id = STR("named/key")}, 2},
        {{.schedule_id = STR("named/key"), .root = id_of(1)}, 1},
    };
    for (size_t built = 0; built < 2; built++) { /* Without the rows, then with them. */
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            for (size_t limit = 1; limit < 4; limit++) {
                struct sums sums = list_all(&shelf, &cases[i].filter, limit);
                assert_int_equal(sums.lines, cases[i].lines);
            }
        }
        shelf_put_built(&shelf, RUN_INDEX_TREES);
    }
    shelf_fini(&shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_run_that_fits_is_listed_once),
        cmocka_unit_test(the_row_decides),
        cmocka_unit_test(times_bound_a_list),
        cmocka_unit_test(trees_and_roots_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
