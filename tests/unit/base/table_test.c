/*
 * Goal:   the table finds what is in it and nothing else, whatever was added and removed before,
 *         also when every hash is equal.
 * Method: a model (an array of flags) and a seeded random walk over it, with a good hash, a poor
 *         one and a constant one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/map.h"
#include "service/base/table.h"

enum {
    THINGS = 512,
    STEPS = 20000,
};

struct thing {
    uint64_t key;
    struct table_link link;
    bool is_there;
};

static uint64_t hash_key(unsigned quality, uint64_t key)
{
    return quality == 0 ? 7 : quality == 1 ? key & 3 : key;
}

static bool has_key(const struct table_link *link, const void *key)
{
    return container_of(link, const struct thing, link)->key == *(const uint64_t *)key;
}

static void check_all(const struct table *table, unsigned quality, const struct thing *things)
{
    for (size_t i = 0; i < THINGS; i++) {
        uint64_t key = things[i].key;
        uint64_t other = key + 1;
        const struct table_link *found = table_find(table, hash_key(quality, key), &key);
        assert_ptr_equal(found, things[i].is_there ? &things[i].link : NULL);
        assert_null(table_find(table, hash_key(quality, other), &other));
    }
}

static void random_walk(void **state)
{
    (void)state;
    for (unsigned quality = 0; quality < 3; quality++) {
        static struct thing things[THINGS];
        struct table table;
        size_t count = 0;
        uint64_t seed = 42 + quality;
        table_init(&table, has_key);
        for (size_t i = 0; i < THINGS; i++) {
            things[i] = (struct thing){.key = i * 3 + 1};
        }
        for (uint32_t step = 0; step < STEPS; step++) {
            seed = map_hash_u64(seed + step);
            struct thing *thing = &things[(seed >> 32) % THINGS];
            if (thing->is_there) {
                table_remove(&table, &thing->link);
            } else {
                table_add(&table, &thing->link, hash_key(quality, thing->key));
            }
            count = thing->is_there ? count - 1 : count + 1;
            thing->is_there = !thing->is_there;
            assert_int_equal(table.count, count);
            if (step % 500 == 0) {
                check_all(&table, quality, things);
            }
        }
        check_all(&table, quality, things);
        table_fini(&table);
    }
}

static void room_is_kept(void **state)
{
    (void)state;
    static struct thing things[1000];
    struct table table;
    uint64_t key = 1;
    table_init(&table, has_key);
    assert_null(table_find(&table, key, &key));
    table_reserve(&table, 1000);
    struct table_link **chains = table.chains;
    for (size_t i = 0; i < 1000; i++) {
        things[i].key = i;
        table_add(&table, &things[i].link, i);
    }
    assert_ptr_equal(table.chains, chains);
    assert_ptr_equal(table_find(&table, key, &key), &things[1].link);
    table_fini(&table);
    assert_null(table_find(&table, key, &key));
    table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_walk),
        cmocka_unit_test(room_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
