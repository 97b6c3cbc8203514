/*
 * Goal:   an array that grows keeps what is in it, has the room that was asked for and little more.
 * Method: push numbers and read them all again, with elements of several sizes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/array.h"

enum {
    COUNT = 10000,
};

static void keeps_what_is_in_it(void **state)
{
    (void)state;
    uint32_t *numbers = NULL;
    size_t capacity = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        numbers = array_reserve(numbers, &capacity, i + 1, sizeof(numbers[0]));
        assert_true(capacity > i);
        assert_true(capacity <= i + 4 || capacity <= i + i / 2 + 1);
        numbers[i] = i * 7;
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(numbers[i], i * 7);
    }
    free(numbers);
}

static void has_room_for_many_at_once(void **state)
{
    (void)state;
    struct large {
        char bytes[300];
    } *large = NULL;
    size_t capacity = 0;
    large = array_reserve(large, &capacity, 1000, sizeof(large[0]));
    assert_int_equal(capacity, 1000);
    memset(large, 1, 1000 * sizeof(large[0]));
    assert_ptr_equal(array_reserve(large, &capacity, 1000, sizeof(large[0])), large);
    assert_ptr_equal(array_reserve(large, &capacity, 0, sizeof(large[0])), large);
    assert_int_equal(capacity, 1000);
    free(large);
}

static void grows_in_an_arena(void **state)
{
    (void)state;
    struct arena arena;
    uint16_t *numbers = NULL;
    size_t capacity = 0;
    arena_init(&arena, 0);
    for (uint16_t i = 0; i < COUNT; i++) {
        numbers = array_reserve_in(&arena, numbers, &capacity, (size_t)i + 1, sizeof(numbers[0]));
        assert_true(capacity > i);
        numbers[i] = i;
    }
    for (uint16_t i = 0; i < COUNT; i++) {
        assert_int_equal(numbers[i], i);
    }
    assert_true(arena.bytes < 8 * COUNT * sizeof(numbers[0]));
    arena_fini(&arena);
}

static void nothing_needs_no_room(void **state)
{
    (void)state;
    size_t capacity = 0;
    assert_null(array_reserve(NULL, &capacity, 0, 8));
    assert_int_equal(capacity, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_is_in_it),
        cmocka_unit_test(has_room_for_many_at_once),
        cmocka_unit_test(grows_in_an_arena),
        cmocka_unit_test(nothing_needs_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
