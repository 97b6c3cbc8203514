/*
 * Goal:   nobody waits without need, servers are served in turn, and one that hangs holds up no
 *         other; nor does a project whose calls hang, at one server or at all of them.
 * Method: claims of few servers and projects by hand; then many at random beside what must hold of
 *         each moment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/llm/places.h"

enum {
    CLAIMS = 200,
    SERVERS = 5,
    PROJECTS = 3,
    LINES = SERVERS * PROJECTS,
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
        places_ask(&places, &claims[i], 0, str_of(names[i < 3 ? 0 : 1]));
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
        if (claims[i].line != NULL) {
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
        places_ask(&places, &hanging[i], 0, STR("http://hangs"));
    }
    for (size_t i = 0; i < 32; i++) {
        assert_ptr_equal(places_next(&places), &hanging[i]);
    }
    assert_null(places_next(&places));
    places_ask(&places, &other[0], 0, STR("http://well"));
    places_ask(&places, &other[1], 0, STR("http://well"));
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

static void leave_all(struct places *places, struct claim *claims, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        places_leave(places, &claims[i]);
    }
}

/* At the server that both ask. */
static void test_a_project_that_hangs(void **state)
{
    struct places places;
    struct claim hanging[40] = {0};
    struct claim other[2] = {0};
    (void)state;
    places_init(&places, 32);
    for (size_t i = 0; i < COUNT_OF(hanging); i++) {
        places_ask(&places, &hanging[i], 1, STR("http://both"));
    }
    for (size_t i = 0; i < 32; i++) {
        assert_ptr_equal(places_next(&places), &hanging[i]);
    }
    places_ask(&places, &other[0], 2, STR("http://both"));
    places_ask(&places, &other[1], 2, STR("http://both"));
    assert_ptr_equal(places_next(&places), &other[0]);
    assert_null(places_next(&places)); /* It is sure of one. */
    leave_all(&places, hanging, 3);
    assert_ptr_equal(places_next(&places), &hanging[32]); /* In turn from here on. */
    assert_ptr_equal(places_next(&places), &other[1]);
    leave_all(&places, hanging + 3, COUNT_OF(hanging) - 3);
    leave_all(&places, other, COUNT_OF(other));
    places_fini(&places);
}

/* At so many servers that even what lines are sure of is taken. */
static void test_a_project_that_hangs_everywhere(void **state)
{
    struct places places;
    struct claim hanging[64] = {0};
    struct claim other[2] = {0};
    (void)state;
    places_init(&places, 16);
    for (size_t i = 0; i < COUNT_OF(hanging); i++) {
        char name[32];
        snprintf(name, sizeof(name), "http://%zu", i);
        places_ask(&places, &hanging[i], 1, str_of(name));
    }
    for (size_t i = 0; i < 32; i++) {
        assert_non_null(places_next(&places));
    }
    assert_null(places_next(&places));
    places_ask(&places, &other[0], 2, STR("http://0"));
    places_ask(&places, &other[1], 2, STR("http://new"));
    assert_ptr_equal(places_next(&places), &other[0]);
    assert_null(places_next(&places)); /* Sure of one in all. */
    places_leave(&places, &other[0]);
    assert_ptr_equal(places_next(&places), &other[1]);
    places_leave(&places, &other[1]);
    leave_all(&places, hanging, COUNT_OF(hanging));
    places_fini(&places);
}

static void check(struct places *places, const struct claim *claims)
{
    size_t held = 0;
    for (size_t i = 0; i < CLAIMS; i++) {
        held += claims[i].is_held ? 1 : 0;
    }
    assert_int_equal(places->taken, held);
    assert_true(held <= PLACES_WITH_SURE * places->most);
}

/* Claim i is at the line i % LINES, which is of the project i % PROJECTS. */
struct held {
    size_t of_line[LINES];
    size_t of_project[PROJECTS];
};

static void count(struct held *held, size_t at, int more)
{
    held->of_line[at % LINES] += (size_t)more;
    held->of_project[at % PROJECTS] += (size_t)more;
}

static void nobody_waits_without_need(const struct places *places, const struct claim *claims,
                                      const struct held *held)
{
    for (size_t i = 0; i < CLAIMS; i++) {
        if (claims[i].line != NULL && !claims[i].is_held) {
            assert_true(places->taken >= places->most);
            assert_true(held->of_line[i % LINES] >= places->sure ||
                        places->taken >= 2 * places->most);
            assert_true(held->of_project[i % PROJECTS] >= places->sure);
        }
    }
}

static void test_random(void **state)
{
    struct places places;
    struct claim claims[CLAIMS] = {0};
    struct held held = {0};
    uint64_t seed = 1;
    (void)state;
    places_init(&places, 40);
    for (size_t round = 0; round < ROUNDS; round++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t at = (seed >> 33) % CLAIMS;
        if (claims[at].line == NULL) {
            uint32_t project = (uint32_t)(at % PROJECTS);
            places_ask(&places, &claims[at], project, str_of(names[at % LINES / PROJECTS]));
        } else {
            count(&held, at, claims[at].is_held ? -1 : 0);
            places_leave(&places, &claims[at]);
        }
        for (struct claim *next = places_next(&places); next != NULL; next = places_next(&places)) {
            count(&held, (size_t)(next - claims), 1);
        }
        check(&places, claims);
        nobody_waits_without_need(&places, claims, &held);
    }
    for (size_t i = 0; i < CLAIMS; i++) {
        if (claims[i].line != NULL) {
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
        cmocka_unit_test(test_a_project_that_hangs),
        cmocka_unit_test(test_a_project_that_hangs_everywhere),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
