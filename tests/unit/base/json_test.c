/*
 * Goal:   the JSON scanner accepts what RFC 8259 accepts and nothing else, and hands out
 *         slices that are byte for byte what came.
 * Method: tables of good and bad texts; every prefix of a rich text through every function,
 *         each in a heap copy of its exact size, for the sanitizers to watch.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/json.h"
#include "service/base/utf8.h"

static void assert_str(str actual, const char *expected)
{
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.ptr, expected, actual.len);
}

static void test_accepts_every_valid_shape(void **state)
{
    static const char *const texts[] = {
        "0",
        "-0",
        "1.5e+10",
        "-12.25E-3",
        "1e400",
        "\"\"",
        "\"\\u0000\\ud83d\\ude00\\ud83d\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\xf0\x9f\x98\x80 \xc3\xa9 \x7f\"",
        "true",
        "false",
        "null",
        "[]",
        "{}",
        " [ ] ",
        "[1,[2,{\"a\":[]}],{}]",
        "{\"a\":1,\"a\":{\"b\":null}}   \r\n\t ",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (!json_is_valid(str_of(texts[i]))) {
            fail_msg("refused: %s", texts[i]);
        }
    }
}

static void test_refuses_every_fault(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{1:1}",
        "[1 2]",
        "[1}",
        "{\"a\":1]",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "NaN",
        "Infinity",
        "tru",
        "nulll",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u123",
        "\"\n\"",
        "\"\\",
        "1 1",
        "{} {}",
        "'a'",
        "\"\x80\"",
        "\"\xc3\"",
        "\"\xc0\xaf\"",
        "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "//a\n1",
        "\xef\xbb\xbf{}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (json_is_valid(str_of(texts[i]))) {
            fail_msg("accepted: %s", texts[i]);
        }
    }
}

/* Eight bytes are looked at together: what means something is found at each place among others. */
static void test_finds_what_means_something_anywhere(void **state)
{
    static const struct {
        const char *bytes;
        bool is_valid; /* In a string. */
        bool is_text; /* UTF-8. */
    } cases[] = {
        {"\"", false, true},    {"\\", false, true},      {"\n", false, true},
        {"\x1f", false, true},  {"\x01", false, true},    {"\\\"", true, true},
        {"\x7f", true, true},   {" ", true, true},        {"!", true, true},
        {"#", true, true},      {"\xc3\xa9", true, true}, {"\xc3", false, false},
        {"\x80", false, false}, {"\xff", false, false},   {"\xf0\x9f\x98\x80", true, true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t before = 0; before < 20; before++) {
            for (size_t after = 0; after < 20; after++) {
                char text[64] = "";
                snprintf(text, sizeof(text), "\"%.*s%s%.*s\"", (int)before, "abcdefgh01234567 ~[]",
                         cases[i].bytes, (int)after, "zyxwvuts98765432 ~{}");
                char *exact = malloc(strlen(text));
                assert_non_null(exact);
                memcpy(exact, text, strlen(text));
                str whole = str_make(exact, strlen(text));
                assert_int_equal(json_is_valid(whole), cases[i].is_valid);
                assert_int_equal(utf8_is_valid(whole), cases[i].is_text);
                free(exact);
            }
        }
    }
}

static void test_names_fault_and_place(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    status refused = json_validate(STR("{\"a\": [1, 2,]}"), &arena);
    assert_int_equal(refused.code, CODE_INVALID_ARGUMENT);
    assert_string_equal(refused.why, "no valid JSON: an unexpected character at byte 12");
    refused = json_validate(STR_EMPTY, &arena);
    assert_string_equal(refused.why, "no valid JSON: nothing where a value should be at byte 0");
    assert_true(status_is_ok(json_validate(STR("[1]"), &arena)));
    arena_fini(&arena);
}

static void test_limits_depth(void **state)
{
    char text[2 * (JSON_DEPTH_MAX + 1)];
    (void)state;
    for (size_t depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(json_is_valid(str_make(text, 2 * depth)), depth == JSON_DEPTH_MAX);
    }
}

static void test_check_lets_cut_characters_pass(void **state)
{
    (void)state;
    assert_true(json_check(STR("{\"text\":\"\xf0\x9f\"}")));
    assert_false(json_is_valid(STR("{\"text\":\"\xf0\x9f\"}")));
    assert_false(json_check(STR("{\"text\":\xf0\x9f}")));
}

static void test_object_check(void **state)
{
    (void)state;
    assert_true(json_is_object(STR(" {\"a\":1} ")));
    assert_false(json_is_object(STR("[1]")));
    assert_false(json_is_object(STR("{\"a\":1}{\"b\":2}")));
    assert_false(json_is_object(STR_EMPTY));
}

static void test_finds_raw_slices(void **state)
{
    str object = STR(" { \"n\" : 9033012299842426000 , \"o\":{ \"x\" : [1, \"]}\" ] },"
                     "\"n\\u0061me\":\"v\",\"last\":1,\"last\":2}");
    str value;
    (void)state;
    assert_true(json_object_get(object, STR("n"), &value));
    assert_str(value, "9033012299842426000");
    assert_true(json_object_get(object, STR("o"), &value));
    assert_str(value, "{ \"x\" : [1, \"]}\" ] }");
    assert_true(json_object_get(object, STR("name"), &value));
    assert_str(value, "\"v\"");
    assert_true(json_object_get(object, STR("last"), &value));
    assert_str(value, "2");
    assert_false(json_object_get(object, STR("x"), &value));
    assert_false(json_object_get(STR("[\"n\",1]"), STR("n"), &value));
    assert_false(json_object_get_kind(object, STR("n"), JSON_STRING, &value));
    assert_true(json_object_get_kind(object, STR("n"), JSON_NUMBER, &value));
}

static void test_walks_arrays(void **state)
{
    struct json_iterator elements = json_elements(STR("[1, \"a,b\" ,[2,3],{},null ]"));
    static const char *const expected[] = {"1", "\"a,b\"", "[2,3]", "{}", "null"};
    str value;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        assert_true(json_next_element(&elements, &value));
        assert_str(value, expected[i]);
    }
    assert_false(json_next_element(&elements, &value));
    elements = json_elements(STR("[]"));
    assert_false(json_next_element(&elements, &value));
    elements = json_elements(STR("{\"a\":1}"));
    assert_false(json_next_element(&elements, &value));
}

static void test_decodes_strings(void **state)
{
    static const struct {
        const char *raw;
        const char *text;
    } rows[] = {
        {"\"\"", ""},
        {"\"a\\n\\\"\\/\\\\\\u00e9\"", "a\n\"/\\\xc3\xa9"},
        {"\"\\b\\f\\n\\r\\t\"", "\b\f\n\r\t"},
        {"\"\\uABCD\\uabcd\"", "\xea\xaf\x8d\xea\xaf\x8d"},
        {"\"\\ud800\\udc00\\udbff\\udfff\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
        {"\"\\ud7ff\\ue000\"", "\xed\x9f\xbf\xee\x80\x80"},
        {"\"\\ud83d\\ue000\"", "\xef\xbf\xbd\xee\x80\x80"},
        {"\"\\ud83d\\n\"", "\xef\xbf\xbd\n"},
        {" \"a\" ", "a"},
        {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"},
        {"\"x\\ud83dy\"", "x\xef\xbf\xbdy"},
        {"\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
                               "A"},
        {"\"\xf0\x9f\"", "\xf0\x9f"},
    };
    struct buf decoded = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        buf_reset(&decoded);
        assert_true(json_string_decode(str_of(rows[i].raw), &decoded));
        buf_put_char(&decoded, '\0');
        assert_string_equal(decoded.ptr, rows[i].text);
    }
    buf_reset(&decoded);
    assert_true(json_string_decode(STR("\"a\\u0000b\""), &decoded));
    assert_int_equal(decoded.len, 3);
    assert_memory_equal(decoded.ptr, "a\0b", 3);
    assert_false(json_string_decode(STR("12"), &decoded));
    assert_false(json_string_decode(STR("\""), &decoded));
    assert_false(json_string_decode(STR("\"a"), &decoded));
    assert_false(json_string_decode(STR("a\""), &decoded));
    assert_int_equal(decoded.len, 3);
    buf_fini(&decoded);
}

static void test_compares_strings(void **state)
{
    (void)state;
    assert_true(json_string_is(STR("\"a\""), STR("a")));
    assert_true(json_string_is(STR("\"\""), STR("")));
    assert_true(json_string_is(STR("\"\\u0061\""), STR("a")));
    assert_false(json_string_is(STR("\"\\u0061\""), STR("b")));
    assert_false(json_string_is(STR("\"a\""), STR("b")));
    assert_false(json_string_is(STR("\"a\""), STR("")));
    assert_false(json_string_is(STR("a"), STR("a")));
    assert_false(json_string_is(STR("\""), STR("")));
    assert_false(json_string_is(STR("[a]"), STR("a")));
}

static void test_reads_scalars(void **state)
{
    uint64_t whole = 7;
    double number;
    bool truth = false;
    (void)state;
    assert_true(json_to_u64(STR("18446744073709551615"), &whole));
    assert_true(whole == UINT64_MAX);
    assert_false(json_to_u64(STR("18446744073709551616"), &whole));
    assert_false(json_to_u64(STR("-1"), &whole));
    assert_false(json_to_u64(STR("1.0"), &whole));
    assert_false(json_to_u64(STR_EMPTY, &whole));
    assert_false(json_to_u64(STR("99999999999999999999"), &whole));
    assert_true(whole == UINT64_MAX);
    assert_true(json_to_u64(STR(" 0 "), &whole) && whole == 0);
    assert_true(json_to_u64(STR("109"), &whole) && whole == 109);
    assert_false(json_to_u64(STR("1:"), &whole) || json_to_u64(STR("1/"), &whole));
    char long_number[65] = "1";
    memset(long_number + 1, '0', 63);
    assert_false(json_to_double(str_of(long_number), &number)); /* Of 64 digits. */
    long_number[63] = '\0';
    assert_true(json_to_double(str_of(long_number), &number));
    assert_true(json_to_double(STR("-2.5e1"), &number));
    assert_true(number < -24.9 && number > -25.1);
    assert_false(json_to_double(STR("\"1\""), &number));
    assert_true(json_to_bool(STR("true"), &truth) && truth);
    assert_true(json_to_bool(STR(" false "), &truth) && !truth);
    assert_false(json_to_bool(STR("1"), &truth) || json_to_bool(STR("true1"), &truth));
}

static void test_merges_without_reprinting(void **state)
{
    static const struct {
        const char *base;
        const char *overlay;
        const char *merged;
    } rows[] = {
        {"{\"a\":1e400,\"b\":{ \"x\":9007199254740993 }}", "{\"c\": [1, 2]}",
         "{\"a\":1e400,\"b\":{ \"x\":9007199254740993 },\"c\":[1, 2]}"},
        {"{\"a\":1,\"b\":2}", "{\"\\u0061\":3}", "{\"b\":2,\"\\u0061\":3}"},
        {"", "{\"a\":1}", "{\"a\":1}"},
        {"{\"a\":1}", "", "{\"a\":1}"},
        {"{}", "{}", "{}"},
    };
    struct buf merged = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        buf_reset(&merged);
        buf_put(&merged, STR("body="));
        json_object_merge(str_of(rows[i].base), str_of(rows[i].overlay), &merged);
        assert_str(str_make(merged.ptr + 5, merged.len - 5), rows[i].merged);
    }
    buf_fini(&merged);
}

static void walk_everything(str text)
{
    struct json_iterator members = json_members(text);
    struct json_iterator elements = json_elements(text);
    struct buf decoded = {0};
    str key;
    str value;
    (void)json_check(text);
    while (json_next_member(&members, &key, &value)) {
        (void)json_string_decode(key, &decoded);
        (void)json_string_decode(value, &decoded);
        (void)json_object_get(value, STR("a"), &key);
    }
    while (json_next_element(&elements, &value)) {
        (void)json_string_decode(value, &decoded);
    }
    json_object_merge(text, text, &decoded);
    buf_fini(&decoded);
}

static void test_stays_inside_damaged_text(void **state)
{
    static const char rich[] = "{\"a\\\"\\u00e9\":[1,{\"b\":\"\\ud83d\\ude00\\\\\"},true],"
                               "\"\\ud83d\":-1.5e7,\"c\":{\"d\":[[]]}}";
    const size_t len = sizeof(rich) - 1;
    (void)state;
    for (size_t cut = 0; cut <= len; cut++) {
        char *prefix = xstrndup(rich, cut);
        char *exact = xmalloc(cut == 0 ? 1 : cut);
        memcpy(exact, prefix, cut);
        assert_int_equal(json_is_valid(str_make(exact, cut)), cut == len);
        walk_everything(str_make(exact, cut));
        for (size_t at = 0; at < cut; at += 3) {
            exact[at] = '\\';
            walk_everything(str_make(exact, cut));
        }
        free(prefix);
        free(exact);
    }
}

static void test_utf8_tail(void **state)
{
    (void)state;
    assert_int_equal(utf8_tail_len(STR("abc")), 0);
    assert_int_equal(utf8_tail_len(STR("a\xc3")), 1);
    assert_int_equal(utf8_tail_len(STR("a\xe2\x82")), 2);
    assert_int_equal(utf8_tail_len(STR("a\xf0\x9f\x98")), 3);
    assert_int_equal(utf8_tail_len(STR("a\xf0\x9f\x98\x80")), 0);
    assert_int_equal(utf8_tail_len(STR("a\xff")), 0);
    assert_int_equal(utf8_tail_len(STR("\xe0\x80")), 0);
    assert_int_equal(utf8_tail_len(STR_EMPTY), 0);
    assert_true(utf8_is_valid(STR("a\xf0\x9f\x98\x80")));
    assert_false(utf8_is_valid(STR("a\xf0\x9f\x98")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts_every_valid_shape),
        cmocka_unit_test(test_refuses_every_fault),
        cmocka_unit_test(test_finds_what_means_something_anywhere),
        cmocka_unit_test(test_names_fault_and_place),
        cmocka_unit_test(test_limits_depth),
        cmocka_unit_test(test_check_lets_cut_characters_pass),
        cmocka_unit_test(test_object_check),
        cmocka_unit_test(test_finds_raw_slices),
        cmocka_unit_test(test_walks_arrays),
        cmocka_unit_test(test_decodes_strings),
        cmocka_unit_test(test_compares_strings),
        cmocka_unit_test(test_reads_scalars),
        cmocka_unit_test(test_merges_without_reprinting),
        cmocka_unit_test(test_stays_inside_damaged_text),
        cmocka_unit_test(test_utf8_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
