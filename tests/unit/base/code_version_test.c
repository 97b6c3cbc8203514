/*
 * Goal: a version of code fits the same deployment, and its language or any, as it says.
 * Method: each question about versions with and without a language, and with neither.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "service/base/code_version.h"

static const str python = {"python", 6};
static const str c = {"c", 1};

static void test_languages(void **state)
{
    (void)state;
    uint64_t some = code_version_make(STR("v1"), python);
    uint64_t other = code_version_make(STR("v1"), c);
    uint64_t silent = code_version_make(STR("v1"), STR_EMPTY);
    assert_true(some != other && some != silent && other != silent);
    assert_true(code_version_speaks(some, some));
    assert_false(code_version_speaks(some, other));
    assert_false(code_version_speaks(some, silent)); /* It does not say that it can. */
    assert_true(code_version_speaks(silent, some));
    assert_true(code_version_speaks(CODE_VERSION_ANY, some));
    assert_true(code_version_speaks(CODE_VERSION_NEWEST, some));
    uint64_t newest = code_version_newest_alike(some);
    assert_true(code_version_speaks(newest, some) && !code_version_speaks(newest, other));
    assert_int_equal(code_version_newest_alike(silent), CODE_VERSION_NEWEST);
}

static void test_deployments(void **state)
{
    (void)state;
    uint64_t some = code_version_make(STR("v1"), python);
    uint64_t silent = code_version_make(STR("v1"), STR_EMPTY);
    assert_true(code_version_shares_deployment(some, code_version_make(STR("v1"), c)));
    assert_true(code_version_shares_deployment(some, silent));
    assert_false(code_version_shares_deployment(some, code_version_make(STR("v2"), python)));
    uint64_t open = code_version_in_any_language(some);
    assert_true(code_version_shares_deployment(open, some));
    assert_true(code_version_speaks(open, code_version_make(STR("v2"), c)));
    assert_int_equal(code_version_in_any_language(silent), silent);
    assert_true(code_version_is_newest(CODE_VERSION_NEWEST));
    assert_true(code_version_is_newest(code_version_newest_alike(some)));
    assert_false(code_version_is_newest(CODE_VERSION_ANY));
    assert_false(code_version_is_newest(some) || code_version_is_newest(silent));
}

static void test_many_names(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        char name[16];
        int len = snprintf(name, sizeof(name), "lang-%d", i);
        uint64_t version = code_version_make(STR("v1"), str_make(name, (size_t)len));
        assert_true(version % 2 == 0 && !code_version_is_newest(version));
        assert_true(code_version_newest_alike(version) > CODE_VERSION_NEWEST);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_languages),
        cmocka_unit_test(test_deployments),
        cmocka_unit_test(test_many_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
