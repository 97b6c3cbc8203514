/*
 * Goal:   what the JSON check accepts becomes a tree, and none of cJSON's traps shows through.
 * Method: texts with what must be found in them; each trap of cJSON is one row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/llm/tree.h"

#define ZEROS "00000000000000000000000000000000000000000000000000000000000000000000"

static void check_text(const char *json, const char *expected)
{
    struct cJSON *tree = tree_new(str_of(json));
    str found = tree_str(tree_get(tree, "a"));
    if (tree == NULL || !str_is(found, expected)) {
        fail_msg("%s: " STR_FMT, json, STR_ARG(found));
    }
    tree_free(tree);
}

static void test_strings(void **state)
{
    (void)state;
    check_text("{\"a\":\"x\"}", "x");
    check_text(" {\"a\": \"x\" } \r\n ", "x");
    check_text("{\"a\":\"\\ud83d\\ude00 \\u00e9\"}", "😀 é");
    check_text("{\"a\":\"\\ud83d\"}", "\xef\xbf\xbd");
    check_text("{\"a\":\"\\ud83d\\ud83d\\ude00\\ude00\"}", "\xef\xbf\xbd😀\xef\xbf\xbd");
    check_text("{\"a\":\"\\ud7ff\\ue000\"}", "\xed\x9f\xbf\xee\x80\x80"); /* Around the halves. */
    check_text("{\"a\":\"\\ud800x\\udfffy\\udc00\"}", "\xef\xbf\xbdx\xef\xbf\xbdy\xef\xbf\xbd");
    check_text("{\"a\":\"\\ud800\\udc00\\udbff\\udfff\"}", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
    check_text("{\"a\":\"\\ud83d\\udbff\"}", "\xef\xbf\xbd\xef\xbf\xbd");
    check_text("{\"a\":\"\\ud83d\\ue000\"}", "\xef\xbf\xbd\xee\x80\x80");
    check_text("{\"a\":\"\\uD83D\\u0041\"}", "\xef\xbf\xbd"
                                             "A");
    check_text("{\"a\":\"\\ud83d\\\\ude00\"}", "\xef\xbf\xbd\\ude00");
    check_text("{\"a\":\"b\\u0000c\"}", "bc");
    check_text("{\"a\":\"b\\\\u0000c\"}", "b\\u0000c");
    check_text("{\"a\":\"\xff\"}", "\xff");
    check_text("{\"a\":\"\"}", "");
}

static void test_names(void **state)
{
    (void)state;
    check_text("{\"A\":\"upper\",\"a\":\"lower\"}", "lower");
    check_text("{\"A\":\"upper\"}", "");
    check_text("{\"a\":\"first\",\"a\":\"last\"}", "last");
    check_text("{\"a\":\"first\",\"a\":null}", "");
    check_text("{\"\\u0061\":\"x\"}", "x");
    check_text("[\"a\"]", "");
}

static void test_numbers(void **state)
{
    static const struct {
        const char *json;
        uint64_t number; /* UINT64_MAX: none. */
    } rows[] = {
        {"{\"a\":0}", 0},
        {"{\"a\":9007199254740992}", 9007199254740992},
        {"{\"a\":9033012299842426000}", UINT64_MAX},
        {"{\"a\":1.5}", UINT64_MAX},
        {"{\"a\":-1}", UINT64_MAX},
        {"{\"a\":1e400}", UINT64_MAX},
        {"{\"a\":\"1\"}", UINT64_MAX},
        {"{\"a\":null}", UINT64_MAX},
        {"{\"a\":7." ZEROS "}", 7},
        {"{\"b\":[1" ZEROS ",-1" ZEROS "e999],\"a\":7}", 7},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct cJSON *tree = tree_new(str_of(rows[i].json));
        uint64_t number = UINT64_MAX;
        assert_non_null(tree);
        assert_true(tree_u64(tree_get(tree, "a"), &number) == (rows[i].number != UINT64_MAX));
        assert_true(number == rows[i].number);
        tree_free(tree);
    }
}

static void test_walks(void **state)
{
    struct cJSON *tree = tree_new(STR("{\"a\":[1,null,{}],\"b\":true,\"c\":null}"));
    const struct cJSON *member = tree_first(tree);
    const struct cJSON *element = tree_first(member);
    bool truth = false;
    (void)state;
    assert_true(tree_kind(tree) == JSON_OBJECT && str_is(tree_name(member), "a"));
    assert_true(tree_kind(member) == JSON_ARRAY && tree_kind(element) == JSON_NUMBER);
    element = tree_next(element);
    assert_true(element != NULL && tree_kind(element) == JSON_NONE);
    element = tree_next(element);
    assert_true(tree_kind(element) == JSON_OBJECT && tree_first(element) == NULL);
    assert_null(tree_next(element));
    member = tree_next(member);
    assert_true(tree_kind(member) == JSON_BOOL && tree_bool(member, &truth) && truth);
    assert_null(tree_get(tree, "c"));
    tree_free(tree);
}

static void test_absence_is_no_crash(void **state)
{
    uint64_t number;
    bool truth;
    (void)state;
    assert_true(tree_kind(NULL) == JSON_NONE && tree_get(NULL, "a") == NULL);
    assert_true(tree_first(NULL) == NULL && tree_next(NULL) == NULL);
    assert_true(tree_str(NULL).len == 0 && tree_name(NULL).len == 0);
    assert_false(tree_u64(NULL, &number) || tree_bool(NULL, &truth));
    tree_free(NULL);
}

static void test_what_is_no_tree(void **state)
{
    static const char *const rows[] = {
        "", "{", "{\"a\":1}x", "{\"a\":01}", "{'a':1}", "[1,]", "\"\\x\"", "\xef\xbb\xbf{}", "nul",
    };
    struct buf deep = {0};
    struct buf large = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_null(tree_new(str_of(rows[i])));
    }
    for (size_t i = 0; i <= JSON_DEPTH_MAX; i++) {
        buf_put_char(&deep, '[');
    }
    for (size_t i = 0; i <= JSON_DEPTH_MAX; i++) {
        buf_put_char(&deep, ']');
    }
    assert_null(tree_new(buf_str(&deep)));
    struct cJSON *tree = tree_new(str_make(deep.ptr + 1, deep.len - 2));
    assert_non_null(tree);
    tree_free(tree);
    buf_put(&large, STR("{}"));
    while (large.len <= TREE_BYTES_MAX) {
        buf_put_char(&large, ' ');
    }
    assert_null(tree_new(buf_str(&large)));
    buf_fini(&deep);
    buf_fini(&large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_walks),
        cmocka_unit_test(test_absence_is_no_crash),
        cmocka_unit_test(test_what_is_no_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
