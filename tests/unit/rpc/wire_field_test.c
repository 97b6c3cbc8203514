/*
 * Goal:   a message is taken apart as it lies on the wire, and what is cut or no field ends it.
 * Method: fields put together byte by byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/rpc/wire_field.h"

static void each_kind_is_passed_over(void **state)
{
    (void)state;
    static const struct {
        str bytes;
        uint32_t number;
        const char *text; /* NULL: it holds none. */
    } rows[] = {
        {{"\x08\x01", 2}, 1, NULL},
        {{"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, 1, NULL},
        {{"\x09"
          "12345678",
          9},
         1,
         NULL},
        {{"\x15"
          "1234",
          5},
         2,
         NULL},
        {{"\x12\x02hi", 4}, 2, "hi"},
        {{"\x12\x00", 2}, 2, ""},
        {{"\xfa\x01\x01x", 4}, 31, "x"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct wire_field field;
        str rest = rows[i].bytes;
        assert_true(wire_field_take(&rest, &field));
        assert_int_equal(field.number, rows[i].number);
        assert_int_equal(field.is_bytes, rows[i].text != NULL);
        assert_true(rows[i].text == NULL || str_is(field.bytes, rows[i].text));
        assert_int_equal(rest.len, 0);
        assert_false(wire_field_take(&rest, &field)); /* There is none more. */
        for (size_t len = 0; len < rows[i].bytes.len; len++) {
            rest = str_make(rows[i].bytes.ptr, len);
            assert_false(wire_field_take(&rest, &field)); /* It is cut. */
        }
    }
}

static void what_follows_is_taken_next(void **state)
{
    (void)state;
    struct wire_field field;
    str rest = STR("\x0a\x01"
                   "a\x10\x05\x1a\x01"
                   "b");
    assert_true(wire_field_take(&rest, &field) && field.number == 1 && str_is(field.bytes, "a"));
    assert_true(wire_field_take(&rest, &field) && field.number == 2 && !field.is_bytes);
    assert_true(wire_field_take(&rest, &field) && field.number == 3 && str_is(field.bytes, "b"));
    assert_int_equal(rest.len, 0);
}

static void what_is_no_field_ends_it(void **state)
{
    (void)state;
    static const str rows[] = {
        {"\x0b", 1}, /* A group, which nobody has any more. */
        {"\x0c", 1},
        {"\x0e\x01", 2},
        {"\x0f\x01", 2},
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, /* More than 64 bits. */
        {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 12},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct wire_field field;
        str rest = rows[i];
        assert_false(wire_field_take(&rest, &field));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_passed_over),
        cmocka_unit_test(what_follows_is_taken_next),
        cmocka_unit_test(what_is_no_field_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
