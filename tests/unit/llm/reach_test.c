/*
 * Goal:   an address is as far away as it is, however it is written.
 * Method: spellings beside what they are; neighbours on both sides of each network's edge.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/net/reach.h"

static void check(const char *const *hosts, size_t count, enum reach expected)
{
    for (size_t i = 0; i < count; i++) {
        struct sockaddr_storage address;
        if (!reach_parse(str_of(hosts[i]), 80, &address)) {
            fail_msg("%s is read as a name", hosts[i]);
        }
        enum reach reach = reach_of((const struct sockaddr *)&address);
        if (reach != expected) {
            fail_msg("%s: %d, expected %d", hosts[i], (int)reach, (int)expected);
        }
    }
}

static void test_local(void **state)
{
    static const char *const hosts[] = {
        "127.0.0.1",
        "127.255.255.254",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "::1",
        "0.0.0.0",
        "0",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    };
    (void)state;
    check(hosts, COUNT_OF(hosts), REACH_LOCAL);
}

static void test_private(void **state)
{
    static const char *const hosts[] = {
        "10.0.0.0",    "10.255.255.255", "172.16.0.0",        "172.31.255.255",
        "192.168.0.1", "100.64.0.0",     "100.127.255.255",   "198.18.0.1",
        "[fc00::1]",   "[fdff::]",       "[::ffff:10.0.0.1]",
    };
    (void)state;
    check(hosts, COUNT_OF(hosts), REACH_PRIVATE);
}

static void test_special(void **state)
{
    static const char *const hosts[] = {
        "169.254.169.254", "2852039166", "0.0.0.1",   "224.0.0.1",
        "255.255.255.255", "[fe80::1]",  "[ff02::1]", "[::ffff:169.254.169.254]",
        "192.0.0.8",
    };
    (void)state;
    check(hosts, COUNT_OF(hosts), REACH_SPECIAL);
}

static void test_public(void **state)
{
    static const char *const hosts[] = {
        "8.8.8.8",     "9.255.255.255",      "11.0.0.0",          "126.255.255.255",
        "128.0.0.1",   "172.15.255.1",       "172.32.0.0",        "192.167.1.1",
        "192.169.0.1", "100.63.255.255",     "100.128.0.0",       "169.253.0.1",
        "169.255.0.1", "223.255.255.255",    "[2606:4700::1111]", "[::ffff:8.8.8.8]",
        "[fbff::1]",   "[64:ff9b::808:808]",
    };
    (void)state;
    check(hosts, COUNT_OF(hosts), REACH_PUBLIC);
}

static void test_names_and_equals(void **state)
{
    struct sockaddr_storage a;
    struct sockaddr_storage b;
    (void)state;
    assert_false(reach_parse(STR("example.com"), 80, &a));
    assert_false(reach_parse(STR("127.0.0.1.example.com"), 80, &a));
    assert_false(reach_parse(STR(""), 80, &a));
    assert_true(reach_parse(STR("127.0.0.1"), 80, &a));
    assert_true(reach_parse(STR("localhost"), 80, &b));
    assert_true(reach_equal((struct sockaddr *)&a, (struct sockaddr *)&b));
    assert_true(reach_parse(STR("localhost"), 81, &b));
    assert_false(reach_equal((struct sockaddr *)&a, (struct sockaddr *)&b));
    assert_true(reach_parse(STR("[::1]"), 80, &b));
    assert_false(reach_equal((struct sockaddr *)&a, (struct sockaddr *)&b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local),
        cmocka_unit_test(test_private),
        cmocka_unit_test(test_special),
        cmocka_unit_test(test_public),
        cmocka_unit_test(test_names_and_equals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
