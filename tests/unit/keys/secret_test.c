/*
 * Goal:   a secret is its id and 256 bits that can be told from any others; what is none is
 * refused. Method: known bytes and their text, and that text with one character changed, lost or
 * added.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "service/keys/secret.h"

static const char known[] = "polos_1f9d02aa_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd_v8";

static void make(char ret[SECRET_BYTES])
{
    uint8_t random[SECRET_RANDOM_BYTES];
    for (size_t i = 0; i < sizeof(random); i++) {
        random[i] = (uint8_t)i;
    }
    random[30] = 0xfe;
    random[31] = 0xff;
    secret_make(ret, 0x1f9d02aa, random);
}

static void it_is_id_and_random_bits(void **state)
{
    char text[SECRET_BYTES];
    char id[SECRET_ID_BYTES];
    uint32_t number = 0;
    (void)state;
    make(text);
    assert_true(str_is(str_make(text, sizeof(text)), known));
    assert_true(secret_read(str_make(text, sizeof(text)), &number));
    assert_int_equal(number, 0x1f9d02aa);
    assert_true(str_is(secret_id(id, number), "polos_1f9d02aa"));
    number = 0;
    assert_true(secret_read_id(STR("polos_1f9d02aa"), &number));
    assert_int_equal(number, 0x1f9d02aa);
    secret_forget(text, sizeof(text));
    for (size_t i = 0; i < sizeof(text); i++) {
        assert_int_equal(text[i], 0);
    }
}

static void what_is_none_is_refused(void **state)
{
    static const char *const none[] = {
        "",
        "polos_1f9d02aa",
        "polos_1F9d02aa_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd_v8",
        "polos-1f9d02aa_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd_v8",
        "polos_1f9d02aa-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd_v8",
        "polos_1f9d02ag_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd_v8",
        "polos_1f9d02aa_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd/v8",
        "polos_1f9d02aa_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd_v",
        "polos_1f9d02aa_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd_v8A",
    };
    uint32_t number;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        assert_false(secret_read(str_of(none[i]), &number));
    }
    assert_false(secret_read_id(STR("polos_1f9d02a"), &number));
    assert_false(secret_read_id(STR("polos_1f9d02aax"), &number));
    assert_false(secret_read_id(STR("Polos_1f9d02aa"), &number));
}

static void a_digest_is_of_every_byte(void **state)
{
    uint8_t digest[SECRET_DIGEST_BYTES];
    uint8_t other[SECRET_DIGEST_BYTES];
    char text[SECRET_BYTES];
    (void)state;
    secret_digest(STR("abc"), digest);
    assert_int_equal(digest[0], 0xba); /* FIPS 180-4. */
    assert_int_equal(digest[31], 0xad);
    make(text);
    secret_digest(str_make(text, sizeof(text)), digest);
    assert_true(secret_digests_equal(digest, digest));
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] ^= 1;
        secret_digest(str_make(text, sizeof(text)), other);
        assert_false(secret_digests_equal(digest, other));
        text[i] ^= 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_id_and_random_bits),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(a_digest_is_of_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
