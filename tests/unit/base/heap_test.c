/*
 * Goal:   the first item is always the least one, every item knows its place, and equal histories
 *         give equal orders, whatever is added, removed and changed in between.
 * Method: a seeded random walk over items with many equal keys, as numbers and as pointers, beside
 * a model that looks at all of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/heap.h"
#include "service/base/map.h"

enum {
    ITEMS = 200,
    STEPS = 20000,
    KEYS = 60,
};

struct item {
    uint32_t key;
    uint32_t place;
};

struct model {
    struct item items[ITEMS];
    struct heap heap;
    uint32_t count;
};

static bool is_before(const struct item *a, const struct item *b)
{
    return a->key < b->key;
}

static bool number_is_before(const void *context, const void *a, const void *b)
{
    const struct model *model = context;
    return is_before(&model->items[*(const uint32_t *)a], &model->items[*(const uint32_t *)b]);
}

static void number_moved(void *context, const void *item, uint32_t place)
{
    struct model *model = context;
    model->items[*(const uint32_t *)item].place = place;
}

static bool pointer_is_before(const void *context, const void *a, const void *b)
{
    (void)context;
    return is_before(*(struct item *const *)a, *(struct item *const *)b);
}

static void pointer_moved(void *context, const void *item, uint32_t place)
{
    (void)context;
    (*(struct item *const *)item)->place = place;
}

static const struct heap_order numbers = {sizeof(uint32_t), number_is_before, number_moved};
static const struct heap_order pointers = {sizeof(struct item *), pointer_is_before, pointer_moved};

static struct item *item_at(const struct model *model, const void *item)
{
    return model->heap.order == &numbers ? (struct item *)&model->items[*(const uint32_t *)item]
                                         : *(struct item *const *)item;
}

static void start(struct model *model, const struct heap_order *order)
{
    *model = (struct model){.count = 0};
    heap_init(&model->heap, order, model);
    for (uint32_t i = 0; i < ITEMS; i++) {
        model->items[i].place = HEAP_NONE;
    }
}

static void add(struct model *model, uint32_t number)
{
    struct item *item = &model->items[number];
    heap_add(&model->heap, model->heap.order == &numbers ? (const void *)&number : &item);
    model->count++;
}

static void check(const struct model *model)
{
    uint32_t least = UINT32_MAX;
    uint32_t count = 0;
    for (uint32_t i = 0; i < ITEMS; i++) {
        const struct item *item = &model->items[i];
        if (item->place == HEAP_NONE) {
            continue;
        }
        assert_ptr_equal(item_at(model, heap_at(&model->heap, item->place)), item);
        least = item->key < least ? item->key : least;
        count++;
    }
    assert_int_equal(model->heap.count, count);
    assert_int_equal(model->count, count);
    const void *first = heap_first(&model->heap);
    assert_true((first == NULL) == (count == 0));
    if (first != NULL) {
        assert_int_equal(item_at(model, first)->key, least);
    }
}

static void take_step(struct model *model, uint64_t drawn)
{
    uint32_t number = (uint32_t)(drawn >> 8) % ITEMS;
    struct item *item = &model->items[number];
    uint32_t key = (uint32_t)(drawn >> 40) % KEYS;
    if (item->place == HEAP_NONE) {
        item->key = key;
        add(model, number);
    } else if (drawn % 3 == 0) {
        item->key = key;
        heap_update(&model->heap, item->place);
    } else {
        heap_remove(&model->heap, item->place);
        assert_int_equal(item->place, HEAP_NONE);
        model->count--;
    }
}

static void random_walk(void **state)
{
    (void)state;
    static struct model model;
    static struct model again;
    uint64_t seed = 42;
    start(&model, &numbers);
    start(&again, &pointers);
    for (uint32_t step = 0; step < STEPS; step++) {
        seed = map_hash_u64(seed + step);
        take_step(&model, seed);
        take_step(&again, seed);
        check(&model);
        for (uint32_t i = 0; i < ITEMS; i++) {
            assert_int_equal(model.items[i].place, again.items[i].place);
        }
    }
    heap_fini(&model.heap);
    heap_fini(&again.heap);
    assert_null(heap_first(&model.heap));
}

static void comes_out_sorted(void **state)
{
    (void)state;
    static struct model model;
    uint32_t before = 0;
    start(&model, &numbers);
    for (uint32_t i = 0; i < ITEMS; i++) {
        model.items[i].key = (uint32_t)map_hash_u64(i) % KEYS;
        add(&model, i);
    }
    for (uint32_t i = 0; i < ITEMS; i++) {
        const struct item *first = item_at(&model, heap_first(&model.heap));
        assert_true(first->key >= before);
        before = first->key;
        heap_remove(&model.heap, 0);
    }
    assert_null(heap_first(&model.heap));
    heap_fini(&model.heap);
    heap_fini(&model.heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_walk),
        cmocka_unit_test(comes_out_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
