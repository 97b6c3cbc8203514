/*
 * Goal:   hash128 is SipHash-2-4 with 128 bits, and never changes: its output is on disk.
 * Method: the vectors published with the algorithm; longer ones computed with OpenSSL's
 *         SIPHASH (openssl mac -macopt hexkey:000102..0f -macopt size:16 SIPHASH); one pinned value
 *         under the project's key.
 */
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#include "service/base/hash.h"

static void to_hex(const uint8_t hash[HASH_BYTES], char ret[2 * HASH_BYTES + 1])
{
    for (size_t i = 0; i < HASH_BYTES; i++) {
        snprintf(ret + 2 * i, 3, "%02x", hash[i]);
    }
}

static void vectors(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        const char *hex;
    } rows[] = {
        {0, "a3817f04ba25a8e66df67214c7550293"},   {1, "da87c1d86b99af44347659119b22fc45"},
        {2, "8177228da4a45dc7fca38bdef60affe4"},   {7, "a1f1ebbed8dbc153c0b84aa61ff08239"},
        {8, "3b62a9ba6258f5610f83e264f31497b4"},   {9, "264499060ad9baabc47f8b02bb6d71ed"},
        {15, "5493e99933b0a8117e08ec0f97cfc3d9"},  {16, "6ee2a4ca67b054bbfd3315bf85230577"},
        {63, "5150d1772f50834a503e069a973fbd7c"},  {64, "1eaf077dc0d4cd3f8cad4d383658a74b"},
        {255, "1c9bb67528165f8e468248e3799b0eab"},
    };
    uint8_t key[16];
    char bytes[256];
    for (size_t i = 0; i < sizeof(key); i++) {
        key[i] = (uint8_t)i;
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)i;
    }
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t hash[HASH_BYTES];
        char hex[2 * HASH_BYTES + 1];
        hash128_keyed(key, str_make(bytes, rows[i].len), hash);
        to_hex(hash, hex);
        assert_string_equal(hex, rows[i].hex);
    }
}

static void pinned(void **state)
{
    (void)state;
    uint8_t hash[HASH_BYTES];
    char hex[2 * HASH_BYTES + 1];
    hash128(STR("What is the weather in Paris?"), hash);
    to_hex(hash, hex);
    assert_string_equal(hex, "d75e26bce603f83b0aa40244694c1ccb");
    hash128(STR_EMPTY, hash);
    to_hex(hash, hex);
    assert_string_equal(hex, "bcb2e9792bf47ec8bd218263f2edd82c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
