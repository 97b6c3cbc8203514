/*
 * Goal:   the map finds what is in it and nothing else, whatever was added and removed before,
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

enum {
    NUMBERS = 512,
    STEPS = 20000,
};

static uint64_t key_of(uint32_t number)
{
    return (uint64_t)number * 3 + 1;
}

static uint64_t hash_key(unsigned quality, uint64_t key)
{
    return quality == 0 ? 7 : quality == 1 ? key & 3 : key;
}

static uint64_t test_hash(const void *context, uint32_t number)
{
    return hash_key(*(const unsigned *)context, key_of(number));
}

static bool test_equal(const void *context, uint32_t number, const void *key)
{
    (void)context;
    return key_of(number) == *(const uint64_t *)key;
}

static const struct map_keys test_keys = {test_hash, test_equal};

static bool finds(const struct map *map, unsigned quality, uint64_t key, uint32_t *ret)
{
    return map_find(map, hash_key(quality, key), &key, ret);
}

static void check_all(const struct map *map, unsigned quality, const bool *model)
{
    for (uint32_t number = 0; number < NUMBERS; number++) {
        uint32_t found = UINT32_MAX;
        assert_int_equal(finds(map, quality, key_of(number), &found), model[number]);
        assert_int_equal(found, model[number] ? number : UINT32_MAX);
        assert_false(finds(map, quality, key_of(number) + 1, &found));
    }
}

static void random_walk(void **state)
{
    (void)state;
    for (unsigned quality = 0; quality < 3; quality++) {
        struct map map;
        bool model[NUMBERS] = {false};
        uint32_t count = 0;
        uint64_t seed = 42 + quality;
        map_init(&map, &test_keys, &quality);
        for (uint32_t step = 0; step < (quality == 0 ? STEPS / 10 : STEPS); step++) {
            seed = map_hash_u64(seed + step);
            uint32_t number = (uint32_t)(seed >> 32) % NUMBERS;
            if (model[number]) {
                map_remove(&map, number);
            } else {
                map_add(&map, number);
            }
            count = model[number] ? count - 1 : count + 1;
            model[number] = !model[number];
            assert_int_equal(map.count, count);
            if (step % 500 == 0) {
                check_all(&map, quality, model);
            }
        }
        check_all(&map, quality, model);
        map_fini(&map);
    }
}

static void empty_and_bounded(void **state)
{
    (void)state;
    unsigned quality = 2;
    struct map map;
    uint32_t found;
    map_init(&map, &test_keys, &quality);
    assert_false(finds(&map, quality, 1, &found));
    for (uint32_t number = 0; number < 100000; number++) {
        map_add(&map, number);
    }
    assert_true(map.slot_count * sizeof(uint32_t) <= 100000 * 11);
    for (uint32_t number = 0; number < 100000; number++) {
        map_remove(&map, number);
    }
    assert_int_equal(map.count, 0);
    assert_false(finds(&map, quality, key_of(5), &found));
    map_fini(&map);
    map_fini(&map);
}

static void mixing_spreads(void **state)
{
    (void)state;
    bool seen[256] = {false};
    unsigned count = 0;
    for (uint64_t value = 0; value < 1024; value++) {
        uint8_t low = (uint8_t)map_hash_u64(value << 40);
        count += seen[low] ? 0 : 1;
        seen[low] = true;
    }
    assert_true(count > 240);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_walk),
        cmocka_unit_test(empty_and_bounded),
        cmocka_unit_test(mixing_spreads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
