/*
 * Goal: connections are counted by who they are from, as far as somebody can have many addresses.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/door/addresses.h"

enum {
    ROOM = 2,
};

static struct sockaddr_storage from(const char *text)
{
    struct sockaddr_storage ret = {0};
    struct sockaddr_in *v4 = (void *)&ret;
    struct sockaddr_in6 *v6 = (void *)&ret;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        ret.ss_family = AF_INET;
    } else {
        memset(&ret, 0, sizeof(ret));
        assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
        ret.ss_family = AF_INET6;
    }
    return ret;
}

static struct address *enter(struct addresses *addresses, const char *text)
{
    struct sockaddr_storage at = from(text);
    return addresses_enter(addresses, &at, ROOM);
}

/* Whether the second is counted with the first. */
static void check(const char *first, const char *second, bool are_one)
{
    struct addresses addresses;
    addresses_init(&addresses);
    struct address *a = enter(&addresses, first);
    struct address *b = enter(&addresses, first);
    assert_non_null(a);
    assert_ptr_equal(a, b);
    struct address *c = enter(&addresses, second);
    assert_int_equal(c == NULL, are_one);
    if (c != NULL) {
        addresses_leave(&addresses, c);
    }
    addresses_leave(&addresses, a);
    assert_non_null(enter(&addresses, first)); /* One has left: there is room. */
    addresses_leave(&addresses, a);
    addresses_leave(&addresses, a);
    addresses_fini(&addresses);
}

static void test_who_is_who(void **state)
{
    (void)state;
    check("10.0.0.1", "10.0.0.1", true);
    check("10.0.0.1", "10.0.0.2", false);
    check("10.0.0.1", "11.0.0.1", false);
    check("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true);
    check("2001:db8:1:2::1", "2001:db8:1:3::1", false);
    check("::ffff:10.0.0.1", "10.0.0.1", true);
    check("::ffff:10.0.0.1", "::ffff:10.0.0.2", false);
    check("::1", "10.0.0.1", false);
    check("0.0.0.0", "::", false);
}

/* Many at once, and all leave. */
static void test_nothing_is_left(void **state)
{
    (void)state;
    enum {
        MANY = 5000
    };
    static struct address *all[MANY];
    struct addresses addresses;
    addresses_init(&addresses);
    for (unsigned i = 0; i < MANY; i++) {
        struct sockaddr_storage at = {0};
        struct sockaddr_in *v4 = (void *)&at;
        at.ss_family = AF_INET;
        v4->sin_addr.s_addr = htonl(i / 2);
        all[i] = addresses_enter(&addresses, &at, ROOM);
        assert_non_null(all[i]);
    }
    for (unsigned i = 0; i < MANY; i++) {
        addresses_leave(&addresses, all[i]);
    }
    addresses_fini(&addresses); /* Asserts that there is none. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_who),
        cmocka_unit_test(test_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
