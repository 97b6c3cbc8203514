/*
 * Goal:   nobody waits without need, servers are served in turn, and one that hangs holds up no
 * other. Method: claims of few servers by hand; then many at random beside what must hold of each
 * moment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/llm/places.h"

enum {
    CLAIMS = 200,
    SERVERS = 5,
    ROUNDS = 20000,
};

static const char *const names[SERVERS] = {"http://a", "http://b", "http://c", "http://d", "e"};

static void test_servers_in_turn(void **state)
{
    struct places places;
    struct claim claims[6] = {0};
    static const size_t order[] = {0, 3, 1, 4};
    (void)state;
    places_init(&places, 4);
    for (size_t i = 0; i < 6; i++) {
        places_ask(&places, &claims[i], str_of(names[i < 3 ? 0 : 1]));
    }
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        assert_ptr_equal(places_next(&places), &claims[order[i]]);
    }
    assert_null(places_next(&places));
    places_leave(&places, &claims[3]);
    assert_ptr_equal(places_next(&places), &claims[2]);
    places_leave(&places, &claims[5]); /* It still waited. */
    assert_null(places_next(&places));
    for (size_t i = 0; i < 6; i++) {
        if (claims[i].server != NULL) {
            places_leave(&places, &claims[i]);
        }
    }
    places_fini(&places);
}

static void test_one_that_hangs(void **state)
{
    struct places places;
    struct claim hanging[40] = {0};
    struct claim other[3] = {0};
    (void)state;
    places_init(&places, 32);
    for (size_t i = 0; i < COUNT_OF(hanging); i++) {
        places_ask(&places, &hanging[i], STR("http://hangs"));
    }
    for (size_t i = 0; i < 32; i++) {
        assert_ptr_equal(places_next(&places), &hanging[i]);
    }
    assert_null(places_next(&places));
    places_ask(&places, &other[0], STR("http://well"));
    places_ask(&places, &other[1], STR("http://well"));
    assert_ptr_equal(places_next(&places), &other[0]);
    assert_null(places_next(&places)); /* It is sure of one. */
    places_leave(&places, &other[0]);
    assert_ptr_equal(places_next(&places), &other[1]);
    places_leave(&places, &other[1]);
    for (size_t i = 0; i < COUNT_OF(hanging); i++) {
        places_leave(&places, &hanging[i]);
    }
    places_fini(&places);
}

static void check(struct places *places, const struct claim *claims)
{
    size_t held = 0;
    for (size_t i = 0; i < CLAIMS; i++) {
        held += claims[i].is_held ? 1 : 0;
    }
    assert_int_equal(places->taken, held);
    assert_true(held <= 2 * places->most);
}

static void test_random(void **state)
{
    struct places places;
    struct claim claims[CLAIMS] = {0};
    size_t held_of[SERVERS] = {0};
    uint64_t seed = 1;
    (void)state;
    places_init(&places, 40);
    for (size_t round = 0; round < ROUNDS; round++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t at = (seed >> 33) % CLAIMS;
        if (claims[at].server == NULL) {
            places_ask(&places, &claims[at], str_of(names[at % SERVERS]));
        } else {
            held_of[at % SERVERS] -= claims[at].is_held ? 1 : 0;
            places_leave(&places, &claims[at]);
        }
        for (struct claim *next = places_next(&places); next != NULL; next = places_next(&places)) {
            held_of[(size_t)(next - claims) % SERVERS]++;
        }
        check(&places, claims);
        for (size_t i = 0; i < CLAIMS; i++) {
            if (claims[i].server != NULL && !claims[i].is_held) {
                assert_true(places.taken >= places.most);
                assert_true(held_of[i % SERVERS] >= places.sure || places.taken >= 2 * places.most);
            }
        }
    }
    for (size_t i = 0; i < CLAIMS; i++) {
        if (claims[i].server != NULL) {
            places_leave(&places, &claims[i]);
        }
    }
    places_fini(&places);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_servers_in_turn),
        cmocka_unit_test(test_one_that_hangs),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
