/*
 * Goal:   whoever follows a keyring is given each set once, with those who wait for it; they are
 *         told once it is in force; where nobody follows, it is at once.
 * Method: one thread; a follower that notes what it is given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/keys/keyring.h"

struct waiting {
    struct keyring_wait wait;
    int told;
};

struct follower {
    int sets;
    struct key_set *set;
    struct keyring_wait *waits;
};

static uint64_t now_ms(void *context)
{
    return *(uint64_t *)context;
}

static void told(struct keyring_wait *wait)
{
    container_of(wait, struct waiting, wait)->told++;
}

static void changed(void *context, struct key_set *set, struct keyring_wait *waits)
{
    struct follower *follower = context;
    key_set_unref(follower->set);
    follower->sets++;
    follower->set = set;
    follower->waits = waits;
}

static struct {
    struct keyring *ring;
    struct waiting first;
    struct waiting second;
    struct follower follower;
    uint64_t time_ms;
} bed;

static void begin(void)
{
    memset(&bed, 0, sizeof(bed));
    bed.time_ms = 17;
    bed.first.wait.done = told;
    bed.second.wait.done = told;
    bed.ring = keyring_new(now_ms, &bed.time_ms);
}

static bool is_open(void)
{
    struct key_set *set = keyring_get(bed.ring);
    bool ret = key_set_is_open(set);
    key_set_unref(set);
    return ret;
}

static void where_nobody_follows_a_set_is_in_force_at_once(void **state)
{
    (void)state;
    begin();
    assert_int_equal(keyring_now_ms(bed.ring), 17);
    assert_true(is_open());
    keyring_await(bed.ring, &bed.first.wait);
    assert_int_equal(bed.first.told, 0);
    keyring_put(bed.ring, key_set_new(NULL, 0, false));
    assert_int_equal(bed.first.told, 1);
    assert_false(is_open());
    keyring_put(bed.ring, key_set_new(NULL, 0, true));
    assert_int_equal(bed.first.told, 1);
    keyring_free(bed.ring);
    keyring_free(NULL);
}

static void who_follows_is_given_each_set_with_those_who_wait(void **state)
{
    (void)state;
    begin();
    keyring_follow(bed.ring, changed, &bed.follower);
    keyring_await(bed.ring, &bed.first.wait);
    keyring_await(bed.ring, &bed.second.wait);
    keyring_put(bed.ring, key_set_new(NULL, 0, false));
    assert_int_equal(bed.follower.sets, 1);
    assert_false(key_set_is_open(bed.follower.set));
    assert_int_equal(bed.first.told + bed.second.told, 0);
    keyring_told(bed.follower.waits);
    assert_int_equal(bed.first.told, 1);
    assert_int_equal(bed.second.told, 1);
    keyring_put(bed.ring, key_set_new(NULL, 0, true));
    assert_int_equal(bed.follower.sets, 2);
    assert_null(bed.follower.waits);
    assert_true(is_open());
    keyring_follow(bed.ring, NULL, NULL);
    keyring_put(bed.ring, key_set_new(NULL, 0, false));
    assert_int_equal(bed.follower.sets, 2);
    key_set_unref(bed.follower.set);
    keyring_free(bed.ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_nobody_follows_a_set_is_in_force_at_once),
        cmocka_unit_test(who_follows_is_given_each_set_with_those_who_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
