/*
 * Goal:   what is written is the JSON that was meant, byte for byte, and always valid.
 * Method: texts by hand, and seeded random trees that are written, checked and read again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/json.h"
#include "service/base/json_writer.h"
#include "service/base/map.h"

enum {
    TREES = 500,
};

static void assert_text(struct buf *buf, const char *expected)
{
    assert_int_equal(buf->len, strlen(expected));
    assert_memory_equal(buf->ptr, expected, buf->len);
    assert_true(json_is_valid(buf_str(buf)));
    buf_reset(buf);
}

static void members_and_elements(void **state)
{
    (void)state;
    struct buf buf = {0};
    struct json_writer writer = json_writer_of(&buf);
    uuid id;
    assert_true(uuid_parse(STR("01234567-89ab-7def-8123-456789abcdef"), &id));
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "text", STR("a \"b\"\n\xff"));
    json_begin_array(&writer, "list");
    json_put_u64(&writer, NULL, UINT64_MAX);
    json_put_i64(&writer, NULL, INT64_MIN);
    json_begin_object(&writer, NULL);
    json_end_object(&writer);
    json_put_null(&writer, NULL);
    json_end_array(&writer);
    json_begin_array(&writer, "none");
    json_end_array(&writer);
    json_put_bool(&writer, "yes", true);
    json_put_bool(&writer, "no", false);
    json_put_uuid(&writer, "id", id);
    json_put_raw(&writer, "raw", STR("{ \"b\": 1e400, \"a\" : 9007199254740993 }"));
    json_put_raw(&writer, "nothing", STR_EMPTY);
    json_end_object(&writer);
    assert_text(&buf, "{\"text\":\"a \\\"b\\\"\\n\xef\xbf\xbd\","
                      "\"list\":[18446744073709551615,-9223372036854775808,{},null],\"none\":[],"
                      "\"yes\":true,\"no\":false,\"id\":\"01234567-89ab-7def-8123-456789abcdef\","
                      "\"raw\":{ \"b\": 1e400, \"a\" : 9007199254740993 },\"nothing\":null}");
    buf_fini(&buf);
}

static void one_value_alone(void **state)
{
    (void)state;
    struct buf buf = {0};
    struct json_writer writer = json_writer_of(&buf);
    json_put_u64(&writer, NULL, 7);
    assert_text(&buf, "7");
    buf_put(&buf, STR("before "));
    writer = json_writer_of(&buf);
    json_put_string(&writer, NULL, STR_EMPTY);
    assert_memory_equal(buf.ptr, "before \"\"", buf.len);
    buf_fini(&buf);
}

static void members_of_another(void **state)
{
    (void)state;
    struct buf buf = {0};
    struct json_writer writer = json_writer_of(&buf);
    json_begin_object(&writer, NULL);
    json_put_members(&writer, STR("{}"));
    json_put_members(&writer, STR(" {\"a\" : 1, \"b\":{}} "));
    json_put_members(&writer, STR("{ }"));
    json_put_bool(&writer, "c", true);
    json_put_members(&writer, STR("{\"d\":[]}"));
    json_end_object(&writer);
    assert_text(&buf, "{\"a\" : 1, \"b\":{},\"c\":true,\"d\":[]}");
    buf_fini(&buf);
}

static void deepest(void **state)
{
    (void)state;
    struct buf buf = {0};
    struct json_writer writer = json_writer_of(&buf);
    for (unsigned i = 0; i < JSON_WRITER_DEPTH_MAX; i++) {
        if (i % 2 == 0) {
            json_begin_object(&writer, NULL);
        } else {
            json_begin_array(&writer, "a");
        }
    }
    for (unsigned i = JSON_WRITER_DEPTH_MAX; i-- > 0;) {
        if (i % 2 == 0) {
            json_end_object(&writer);
        } else {
            json_end_array(&writer);
        }
    }
    assert_true(json_is_valid(buf_str(&buf)));
    buf_fini(&buf);
}

static uint64_t draw(uint64_t *seed)
{
    *seed = map_hash_u64(*seed + 0x9e3779b97f4a7c15u);
    return *seed;
}

static void write_tree(struct json_writer *writer, const char *name, uint64_t *seed, unsigned depth)
{
    uint64_t drawn = draw(seed);
    char text[8];
    unsigned count = (unsigned)(drawn >> 32) % 4;
    if (drawn % 4 < 2 && depth < 8) {
        bool is_object = drawn % 4 == 0;
        if (is_object) {
            json_begin_object(writer, name);
        } else {
            json_begin_array(writer, name);
        }
        for (unsigned i = 0; i < count; i++) {
            write_tree(writer, is_object ? (const char *[]){"a", "b", "c\"", ""}[i] : NULL, seed,
                       depth + 1);
        }
        if (is_object) {
            json_end_object(writer);
        } else {
            json_end_array(writer);
        }
        return;
    }
    if (drawn % 4 == 2) {
        json_put_u64(writer, name, draw(seed));
        return;
    }
    uint64_t bytes = draw(seed);
    memcpy(text, &bytes, sizeof(text));
    json_put_string(writer, name, str_make(text, sizeof(text)));
}

/* Draws the same again and compares. */
static void check_tree(str value, uint64_t *seed, unsigned depth)
{
    uint64_t drawn = draw(seed);
    unsigned count = (unsigned)(drawn >> 32) % 4;
    uint64_t number;
    str key;
    str element;
    if (drawn % 4 < 2 && depth < 8) {
        bool is_object = drawn % 4 == 0;
        struct json_iterator iterator = is_object ? json_members(value) : json_elements(value);
        assert_int_equal(json_kind_of(value), is_object ? JSON_OBJECT : JSON_ARRAY);
        for (unsigned i = 0; i < count; i++) {
            assert_true(is_object ? json_next_member(&iterator, &key, &element)
                                  : json_next_element(&iterator, &element));
            check_tree(element, seed, depth + 1);
        }
        assert_false(is_object ? json_next_member(&iterator, &key, &element)
                               : json_next_element(&iterator, &element));
        return;
    }
    if (drawn % 4 == 2) {
        assert_true(json_to_u64(value, &number));
        assert_true(number == draw(seed));
        return;
    }
    (void)draw(seed);
    assert_int_equal(json_kind_of(value), JSON_STRING);
}

static void random_trees(void **state)
{
    (void)state;
    struct buf buf = {0};
    for (uint64_t tree = 0; tree < TREES; tree++) {
        struct json_writer writer = json_writer_of(&buf);
        uint64_t seed = tree;
        write_tree(&writer, NULL, &seed, 0);
        assert_true(json_is_valid(buf_str(&buf)));
        seed = tree;
        check_tree(buf_str(&buf), &seed, 0);
        buf_reset(&buf);
    }
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_and_elements), cmocka_unit_test(one_value_alone),
        cmocka_unit_test(members_of_another),   cmocka_unit_test(deepest),
        cmocka_unit_test(random_trees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
