/*
 * Goal:   a set lets in who shows a good key, as who he is, and nobody else; it says why, and
 *         nothing that is secret. Who was let in is kept while his key is good.
 * Method: sets of made-up keys; every header that is nearly right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "service/keys/key_set.h"

#define NOW_MS ((uint64_t)1800000000000)
#define ROOT 0xffff0001u /* Beyond what a signed number holds. */

enum {
    OLD = 7,
    GONE = 8,
    SOON = 9,
    KEYS = 4,
};

static void make_secret(char ret[SECRET_BYTES], uint32_t number)
{
    uint8_t random[SECRET_RANDOM_BYTES];
    memset(random, (int)(number & 0xff), sizeof(random));
    secret_make(ret, number, random);
}

static struct key make_key(uint32_t number, uint32_t rights)
{
    char text[SECRET_BYTES];
    struct key key = {.number = number, .rights = rights, .created_ms = NOW_MS, .name = STR("k")};
    make_secret(text, number);
    secret_digest(str_make(text, sizeof(text)), key.digest);
    return key;
}

static struct key_set *make_set(void)
{
    struct key keys[KEYS] = {
        make_key(ROOT, RIGHT_ADMIN),
        make_key(OLD, RIGHT_CALL),
        make_key(GONE, RIGHT_CALL),
        make_key(SOON, RIGHT_CALL | RIGHT_READ),
    };
    keys[1].expires_ms = NOW_MS;
    keys[2].revoked_ms = NOW_MS - 1;
    keys[3].expires_ms = NOW_MS + 1;
    return key_set_new(keys, KEYS, false);
}

struct bed {
    struct key_set *set;
    struct arena arena;
    struct principal principal;
    struct failure why;
};

static bool admit(struct bed *bed, const char *format, uint32_t number, size_t changed)
{
    char text[SECRET_BYTES];
    char header[200];
    make_secret(text, number);
    if (changed < SECRET_BYTES) {
        text[changed] = text[changed] == 'A' ? 'B' : 'A';
    }
    int len = snprintf(header, sizeof(header), format, SECRET_BYTES, text);
    assert_in_range(len, 1, sizeof(header));
    bed->principal = (struct principal){0};
    return key_set_admit(bed->set, str_of(header), NOW_MS, 3, &bed->arena, &bed->principal,
                         &bed->why);
}

static void assert_refused(struct bed *bed, bool is_in, enum reason reason, uint32_t number)
{
    char text[SECRET_BYTES];
    make_secret(text, number);
    assert_false(is_in);
    assert_int_equal(bed->why.code, CODE_UNAUTHENTICATED);
    assert_int_equal(bed->why.reason, reason);
    assert_int_equal(bed->principal.kind, PRINCIPAL_NONE);
    assert_null(memmem(bed->why.message.ptr, bed->why.message.len, text + SECRET_ID_BYTES, 8));
}

static void open_bed(struct bed *bed)
{
    *bed = (struct bed){.set = make_set()};
    arena_init(&bed->arena, 0);
}

static void close_bed(struct bed *bed)
{
    key_set_unref(bed->set);
    arena_fini(&bed->arena);
}

static void who_shows_a_good_key_is_in(void **state)
{
    struct bed bed;
    (void)state;
    open_bed(&bed);
    assert_true(admit(&bed, "Bearer %.*s", ROOT, SIZE_MAX));
    assert_int_equal(bed.principal.kind, PRINCIPAL_KEY);
    assert_int_equal(bed.principal.key, ROOT);
    assert_int_equal(bed.principal.rights, RIGHT_ADMIN);
    assert_int_equal(bed.principal.project, 3);
    assert_true(admit(&bed, "bEARER  %.*s ", SOON, SIZE_MAX));
    assert_int_equal(bed.principal.rights, RIGHT_CALL | RIGHT_READ);
    close_bed(&bed);
}

static void who_shows_none_or_another_is_not(void **state)
{
    struct bed bed;
    (void)state;
    open_bed(&bed);
    bool is_in = key_set_admit(bed.set, STR_EMPTY, NOW_MS, 0, &bed.arena, &bed.principal, &bed.why);
    assert_refused(&bed, is_in, REASON_KEY_MISSING, ROOT);
    assert_refused(&bed, admit(&bed, "Basic %.*s", ROOT, SIZE_MAX), REASON_KEY_MALFORMED, ROOT);
    assert_refused(&bed, admit(&bed, "Bearer%.*s", ROOT, SIZE_MAX), REASON_KEY_MALFORMED, ROOT);
    assert_refused(&bed, admit(&bed, "Bearer %.*sx", ROOT, SIZE_MAX), REASON_KEY_MALFORMED, ROOT);
    assert_refused(&bed, admit(&bed, "%.*s", ROOT, SIZE_MAX), REASON_KEY_MALFORMED, ROOT);
    assert_refused(&bed, admit(&bed, "Bearer %.*s", 0x1234, SIZE_MAX), REASON_KEY_UNKNOWN, 0x1234);
    assert_refused(&bed, admit(&bed, "Bearer %.*s", OLD, SIZE_MAX), REASON_KEY_EXPIRED, OLD);
    assert_refused(&bed, admit(&bed, "Bearer %.*s", GONE, SIZE_MAX), REASON_KEY_REVOKED, GONE);
    close_bed(&bed);
}

/* Nor is anybody told of a key whose secret he has not. */
static void a_secret_that_is_nearly_right_is_unknown(void **state)
{
    struct bed bed;
    (void)state;
    open_bed(&bed);
    for (size_t i = SECRET_ID_BYTES + 1; i < SECRET_BYTES; i++) {
        static const uint32_t numbers[KEYS] = {ROOT, OLD, GONE, SOON};
        for (size_t j = 0; j < KEYS; j++) {
            bool is_in = admit(&bed, "Bearer %.*s", numbers[j], i);
            assert_refused(&bed, is_in, REASON_KEY_UNKNOWN, numbers[j]);
        }
    }
    close_bed(&bed);
}

static void who_was_let_in_is_kept_while_the_key_is_good(void **state)
{
    struct bed bed;
    (void)state;
    open_bed(&bed);
    struct principal root = {.kind = PRINCIPAL_KEY, .key = ROOT};
    struct principal soon = {.kind = PRINCIPAL_KEY, .key = SOON};
    struct principal gone = {.kind = PRINCIPAL_KEY, .key = GONE};
    struct principal other = {.kind = PRINCIPAL_KEY, .key = 0x1234};
    struct principal anyone = principal_anyone(0);
    assert_true(key_set_keeps(bed.set, &root, NOW_MS, &bed.arena, &bed.why));
    assert_true(key_set_keeps(bed.set, &soon, NOW_MS, &bed.arena, &bed.why));
    assert_refused(&bed, key_set_keeps(bed.set, &soon, NOW_MS + 1, &bed.arena, &bed.why),
                   REASON_KEY_EXPIRED, SOON);
    assert_refused(&bed, key_set_keeps(bed.set, &gone, NOW_MS, &bed.arena, &bed.why),
                   REASON_KEY_REVOKED, GONE);
    assert_refused(&bed, key_set_keeps(bed.set, &other, NOW_MS, &bed.arena, &bed.why),
                   REASON_KEY_UNKNOWN, 0x1234);
    assert_refused(&bed, key_set_keeps(bed.set, &anyone, NOW_MS, &bed.arena, &bed.why),
                   REASON_KEY_MISSING, ROOT);
    close_bed(&bed);
}

static void an_open_set_lets_in_anybody_and_one_without_keys_nobody(void **state)
{
    struct bed bed;
    (void)state;
    open_bed(&bed);
    key_set_unref(bed.set);
    bed.set = key_set_new(NULL, 0, true);
    struct principal anyone = principal_anyone(0);
    assert_true(key_set_is_open(bed.set));
    assert_true(admit(&bed, "Basic %.*s", ROOT, SIZE_MAX));
    assert_int_equal(bed.principal.kind, PRINCIPAL_ANYONE);
    assert_int_equal(bed.principal.rights, RIGHT_ALL);
    assert_true(key_set_keeps(bed.set, &anyone, NOW_MS, &bed.arena, &bed.why));
    key_set_unref(bed.set);
    bed.set = key_set_new(NULL, 0, false); /* None of its keys can be read. */
    assert_false(key_set_is_open(bed.set));
    assert_refused(&bed, admit(&bed, "Bearer %.*s", ROOT, SIZE_MAX), REASON_KEY_UNKNOWN, ROOT);
    close_bed(&bed);
}

static void offers_are_patterns(void **state)
{
    static const struct {
        const char *pattern;
        const char *name;
        bool fits;
    } rows[] = {
        {"bill", "bill", true},     {"bill", "billing", false},
        {"bill", "bil", false},     {"*", "", true},
        {"*", "a", true},           {"bill*", "bill", true},
        {"bill*", "billing", true}, {"bill*", "abilling", false},
        {"*ing", "billing", true},  {"*ing", "billings", false},
        {"a*c*e", "abcde", true},   {"a*c*e", "abcd", false},
        {"a*c*e", "ace", true},     {"a*a", "a", false},
        {"a**b", "ab", true},       {"*ab", "aab", true},
        {"?", "a", false},          {"a.c", "abc", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        str offers[] = {STR("none-of-it"), str_of(rows[i].pattern)};
        struct key key = {.number = 1, .offers = offers, .offer_count = COUNT_OF(offers)};
        assert_int_equal(key_may_offer(&key, str_of(rows[i].name)), rows[i].fits);
    }
    struct key all = {.number = 1};
    assert_true(key_may_offer(&all, STR("anything")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_shows_a_good_key_is_in),
        cmocka_unit_test(who_shows_none_or_another_is_not),
        cmocka_unit_test(a_secret_that_is_nearly_right_is_unknown),
        cmocka_unit_test(who_was_let_in_is_kept_while_the_key_is_good),
        cmocka_unit_test(an_open_set_lets_in_anybody_and_one_without_keys_nobody),
        cmocka_unit_test(offers_are_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
