/*
 * Goal:   numbers become the bytes that are written down here and come back, big-endian ones sort
 * as their numbers do, and a reader never reads past the end of a record. Method: bytes by hand, a
 * seeded walk over lengths and numbers, and every cut of one record.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/buf.h"
#include "service/base/endian.h"
#include "service/base/map.h"

static void bytes_by_hand(void **state)
{
    (void)state;
    uint8_t little[4] = {0};
    uint8_t big[4] = {0};
    endian_put_le(little, 0x01020304, 4);
    assert_memory_equal(little, "\x04\x03\x02\x01", 4);
    endian_put_be(big, 0x01020304, 4);
    assert_memory_equal(big, "\x01\x02\x03\x04", 4);
    endian_put_le(little, 0xfffe, 2);
    assert_memory_equal(little, "\xfe\xff\x02\x01", 4);
    assert_int_equal(endian_get_le("\xff\x00\x80", 3), 0x8000ff);
    assert_int_equal(endian_get_be("\xff\x00\x80", 3), 0xff0080);
}

static void come_back(void **state)
{
    (void)state;
    uint64_t seed = 42;
    for (uint64_t step = 0; step < 20000; step++) {
        uint8_t bytes[2][8];
        seed = map_hash_u64(seed + step);
        size_t len = 1 + seed % 8;
        uint64_t mask = len == 8 ? UINT64_MAX : ((uint64_t)1 << (8 * len)) - 1;
        uint64_t a = map_hash_u64(seed) & mask;
        uint64_t b = map_hash_u64(seed + 1) & mask;
        endian_put_le(bytes[0], a, len);
        assert_true(endian_get_le(bytes[0], len) == a);
        endian_put_be(bytes[0], a, len);
        endian_put_be(bytes[1], b, len);
        assert_true(endian_get_be(bytes[0], len) == a);
        int order = memcmp(bytes[0], bytes[1], len);
        assert_true(a == b ? order == 0 : (a < b) == (order < 0));
    }
}

static void written_by_buf(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_put_u16_le(&buf, 0x0102);
    buf_put_u32_le(&buf, 0x03040506);
    buf_put_u64_le(&buf, 0x0708090a0b0c0d0e);
    assert_int_equal(buf.len, 14);
    assert_memory_equal(buf.ptr, "\x02\x01\x06\x05\x04\x03\x0e\x0d\x0c\x0b\x0a\x09\x08\x07", 14);
    buf_reset(&buf);
    buf_put_counted(&buf, STR("ab"));
    buf_put_counted(&buf, STR_EMPTY);
    assert_int_equal(buf.len, 18);
    assert_memory_equal(buf.ptr, "\x02\0\0\0\0\0\0\0ab\0\0\0\0\0\0\0\0", 18);
    buf_fini(&buf);
}

static void taken_apart(void **state)
{
    (void)state;
    const str record = STR("\x01\x02\x00tail\xff\xfe");
    for (size_t len = 0; len <= record.len; len++) {
        struct endian_reader reader = {.rest = str_make(record.ptr, len)};
        uint8_t last[2] = {7, 7};
        uint64_t one = endian_take_le(&reader, 1);
        uint64_t two = endian_take_le(&reader, 2);
        str text = endian_take_text(&reader, 4);
        endian_take_bytes(&reader, last, 2);
        assert_int_equal(one, len >= 1 ? 1 : 0);
        assert_int_equal(two, len >= 3 ? 2 : 0);
        assert_true(str_equal(text, len >= 7 ? STR("tail") : STR_EMPTY));
        assert_memory_equal(last, len == 9 ? "\xff\xfe" : "\0\0", 2);
        assert_true(reader.is_short == (len < 9));
        assert_int_equal(reader.rest.len, 0);
    }
}

static void short_once_and_for_all(void **state)
{
    (void)state;
    struct endian_reader reader = {.rest = STR("\x01\x02")};
    assert_int_equal(endian_take_le(&reader, 4), 0);
    assert_int_equal(endian_take_le(&reader, 1), 0);
    assert_int_equal(endian_take_text(&reader, 0).len, 0);
    assert_true(reader.is_short);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_by_hand),          cmocka_unit_test(come_back),
        cmocka_unit_test(written_by_buf),         cmocka_unit_test(taken_apart),
        cmocka_unit_test(short_once_and_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
