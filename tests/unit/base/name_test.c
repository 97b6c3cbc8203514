/*
 * Goal: exactly the names of the rule are names; tools have a narrower one.
 * Method: each byte by itself, and both sides of each length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/base/name.h"

static void test_names(void **state)
{
    char name[NAME_BYTES_MAX + 1];
    (void)state;
    memset(name, 'x', sizeof(name));
    assert_true(name_is_valid((str){name, NAME_BYTES_MAX}));
    assert_false(name_is_valid((str){name, NAME_BYTES_MAX + 1}));
    assert_false(name_is_valid(STR_EMPTY));
    assert_true(name_is_valid(STR("aZ09_-.")));
    for (int byte = 1; byte < 256; byte++) {
        char one = (char)byte;
        bool good = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.",
                           byte) != NULL;
        assert_int_equal(name_is_valid((str){&one, 1}), good);
    }
}

static void test_names_of_tools(void **state)
{
    char name[TOOL_NAME_BYTES_MAX + 1];
    (void)state;
    memset(name, 'x', sizeof(name));
    assert_true(tool_name_is_valid((str){name, TOOL_NAME_BYTES_MAX}));
    assert_false(tool_name_is_valid((str){name, TOOL_NAME_BYTES_MAX + 1}));
    assert_false(tool_name_is_valid(STR_EMPTY));
    assert_true(tool_name_is_valid(STR("aZ09_-")));
    assert_false(tool_name_is_valid(STR("a.b")));
    assert_false(tool_name_is_valid(STR("a b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_names_of_tools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
