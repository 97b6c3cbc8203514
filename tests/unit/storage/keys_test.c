/*
 * Goal:   keys have the bytes that are on disk, sort as numbers do, and come apart again.
 * Method: one literal per kind; then pairs around every carry, compared as numbers and bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/keys.h"

static const struct key_space space = {0x0102, 0x03040506};
static const uuid run = {{0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab,
                          0xac, 0xad, 0xae, 0xaf}};

#define SPACE "\x01\x02\x03\x04\x05\x06"
#define RUN "\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xab\xac\xad\xae\xaf"

static void assert_bytes(str key, str expected)
{
    assert_int_equal(key.len, expected.len);
    assert_memory_equal(key.ptr, expected.ptr, expected.len);
}

static void layouts(void **state)
{
    (void)state;
    char key[KEY_BYTES_MAX];
    assert_bytes(key_journal(key, space, run, 0x0708090a), STR(SPACE RUN "\x07\x08\x09\x0a"));
    assert_bytes(key_run(key, space, run), STR(SPACE RUN));
    assert_bytes(key_definition_name(key, space, 3, STR("agent")), STR(SPACE "\x03"
                                                                             "agent"));
    assert_bytes(key_hash(key, space, run.bytes), STR(SPACE RUN));
    assert_bytes(key_meta(key, space, STR("next")), STR(SPACE "next"));
    assert_bytes(key_prefix_partition(key, 0x0102), STR("\x01\x02"));
    assert_bytes(key_prefix_space(key, space), STR(SPACE));
    assert_bytes(key_prefix_definition_names(key, space, 3), STR(SPACE "\x03"));
}

static void longest_name_fits(void **state)
{
    (void)state;
    char key[KEY_BYTES_MAX];
    char name[KEY_NAME_BYTES_MAX];
    memset(name, 'n', sizeof(name));
    assert_int_equal(key_definition_name(key, space, 1, str_make(name, sizeof(name))).len,
                     KEY_BYTES_MAX);
}

static void come_apart(void **state)
{
    (void)state;
    char key[KEY_BYTES_MAX];
    struct key_space got_space;
    uuid got_run;
    uint32_t seq = 0;
    uint8_t kind = 0;
    str name;
    str journal = key_journal(key, space, run, UINT32_MAX);
    assert_true(key_read_space(journal, &got_space));
    assert_int_equal(got_space.partition, space.partition);
    assert_int_equal(got_space.project, space.project);
    assert_true(key_read_run(journal, &got_run));
    assert_true(uuid_equal(got_run, run));
    assert_true(key_read_journal_seq(journal, &seq));
    assert_int_equal(seq, UINT32_MAX);
    assert_true(key_read_run(key_run(key, space, run), &got_run));
    assert_true(
        key_read_definition_name(key_definition_name(key, space, 9, STR("x")), &kind, &name));
    assert_int_equal(kind, 9);
    assert_true(str_is(name, "x"));
}

static void short_keys_are_refused(void **state)
{
    (void)state;
    struct key_space got_space;
    uuid got_run;
    uint32_t seq = 0;
    uint8_t kind = 0;
    str name;
    assert_false(key_read_space(STR("12345"), &got_space));
    assert_false(key_read_run(STR(SPACE), &got_run));
    assert_false(key_read_run(STR(SPACE RUN "1"), &got_run));
    assert_false(key_read_journal_seq(STR(SPACE RUN), &seq));
    assert_false(key_read_definition_name(STR(SPACE "\x01"), &kind, &name));
    assert_true(key_read_definition_name(STR(SPACE "\x01n"), &kind, &name));
    assert_int_equal(kind, 1);
    assert_true(str_is(name, "n"));
    assert_false(key_read_index_kind(STR(SPACE), &kind));
    assert_true(key_read_index_kind(STR(SPACE "\x02"), &kind));
    assert_int_equal(kind, 2);
    assert_false(key_read_index(STR(SPACE), &name));
    assert_true(key_read_index(STR(SPACE "\x02"), &name));
    assert_int_equal(name.len, 0);
    assert_true(key_read_index(STR(SPACE "\x02tail"), &name));
    assert_true(str_is(name, "tail"));
}

/* A topic's own row and its events begin with the same bytes. */
static void topics_come_apart(void **state)
{
    (void)state;
    char key[KEY_BYTES_MAX];
    uint8_t hash[KEY_HASH_BYTES];
    uint8_t got[KEY_HASH_BYTES];
    uint64_t sequence = 0;
    for (size_t i = 0; i < sizeof(hash); i++) {
        hash[i] = (uint8_t)(i * 17 + 1);
    }
    str event = key_topic(key, space, hash, 0x0102030405060708);
    assert_true(key_read_hash(event, got));
    assert_memory_equal(got, hash, sizeof(hash));
    assert_true(key_read_topic_sequence(event, &sequence));
    assert_true(sequence == 0x0102030405060708);
    assert_false(key_read_topic_sequence(str_make(event.ptr, event.len - 1), &sequence));
    str row = key_hash(key, space, hash);
    assert_true(key_read_hash(row, got));
    assert_memory_equal(got, hash, sizeof(hash));
    assert_false(key_read_hash(str_make(row.ptr, row.len - 1), got));
    assert_false(key_read_topic_sequence(row, &sequence));
}

static int sign(int order)
{
    return (order > 0) - (order < 0);
}

static void sequence_order_is_byte_order(void **state)
{
    (void)state;
    static const uint32_t seqs[] = {0,   1,     2,     127,        128,        255,
                                    256, 65535, 65536, 0x7fffffff, 0x80000000, UINT32_MAX};
    char a[KEY_BYTES_MAX];
    char b[KEY_BYTES_MAX];
    for (size_t i = 0; i < COUNT_OF(seqs); i++) {
        for (size_t j = 0; j < COUNT_OF(seqs); j++) {
            str first = key_journal(a, space, run, seqs[i]);
            str second = key_journal(b, space, run, seqs[j]);
            assert_int_equal(sign(memcmp(first.ptr, second.ptr, first.len)), (i > j) - (i < j));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts),           cmocka_unit_test(longest_name_fits),
        cmocka_unit_test(come_apart),        cmocka_unit_test(short_keys_are_refused),
        cmocka_unit_test(topics_come_apart), cmocka_unit_test(sequence_order_is_byte_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
