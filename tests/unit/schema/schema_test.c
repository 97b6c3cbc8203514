/*
 * Goal:   what does not fit is told with its place and what to change; what is no schema, or holds
 *         what is not supported, is refused with its place; nothing hostile takes long.
 * Method: pairs of schemas, values and the sentences wanted; schemas and values made to be costly,
 * of which only the bound on steps, depth or memory can be what ends them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/buf.h"
#include "service/schema/schema.h"

static status judge(str schema_text, str value, struct arena *arena)
{
    struct schema *schema;
    status read = schema_read(schema_text, arena, &schema);
    if (!status_is_ok(read)) {
        fail_msg("the schema is refused: %s", read.why);
    }
    return schema_judge(schema, value, "answer", arena);
}

struct misfit {
    const char *schema;
    const char *value;
    const char *why; /* NULL: it fits. */
};

static void test_misfits_are_told(void **state)
{
    static const struct misfit rows[] = {
        {"{\"type\":\"object\",\"properties\":{\"amount\":{\"type\":\"number\"}}}",
         "{\"amount\":\"12\"}", "answer.amount: must be a number, is a string"},
        {"{\"type\":[\"string\",\"null\"]}", "1.5", "answer: must be a string or null, is 1.5"},
        {"{\"type\":\"integer\"}", "1.5", "answer: must be a whole number, is 1.5"},
        {"{\"type\":\"integer\"}", "1.0", NULL},
        {"{\"required\":[\"a\",\"b c\"]}", "{}",
         "answer.a: is missing; answer[\"b c\"]: is missing"},
        {"{\"properties\":{\"a\":true},\"additionalProperties\":false}", "{\"a\":1,\"b\":2}",
         "answer.b: is not a member it may have"},
        {"{\"items\":{\"items\":{\"minimum\":3}}}", "[[3],[4,2]]",
         "answer[1][1]: must be at least 3, is 2"},
        {"{\"enum\":[\"yes\",\"no\",null]}", "\"maybe\"",
         "answer: must be one of \"yes\", \"no\", null"},
        {"{\"const\":9007199254740993}", "9007199254740992", "answer: must be 9007199254740993"},
        {"{\"multipleOf\":0.01}", "0.07", NULL},
        {"{\"multipleOf\":0.01}", "0.075", "answer: must be a multiple of 0.01"},
        {"{\"maxLength\":2}", "\"\\ud83d\\ude00\\u00e9\"", NULL},
        {"{\"maxLength\":2}", "\"abc\"", "answer: must have at most 2 characters, has 3"},
        {"{\"pattern\":\"^\\\\d{4}$\"}", "\"12345\"",
         "answer: must match the pattern \"^\\\\d{4}$\""},
        {"{\"uniqueItems\":true}", "[1,{\"a\":1,\"b\":2},{\"b\":2.0,\"a\":1}]",
         "answer: [1] and [2] must not be the same"},
        {"{\"anyOf\":[{\"$ref\":\"#/$defs/m\"},{\"type\":\"null\"}],\"$defs\":{\"m\":{\"type\":"
         "\"object\",\"properties\":{\"n\":{\"type\":\"string\"}}}}}",
         "{\"n\":1}", "answer.n: must be a string, is 1"},
        {"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "[]",
         "answer: must be a string or null, is an array"},
        {"{\"anyOf\":[{\"minimum\":3},{\"maximum\":1}]}", "2",
         "answer: fits none of the 2 schemas it may fit"},
        {"{\"oneOf\":[{\"minimum\":1},{\"minimum\":2}]}", "2",
         "answer: fits more than one of the schemas of which it must fit one"},
        {"{\"not\":{\"type\":\"null\"}}", "null", "answer: fits a schema it must not fit"},
        {"{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1}",
         "answer.b: is missing, as \"a\" is there"},
        {"{\"propertyNames\":{\"maxLength\":1}}", "{\"ab\":1}",
         "answer.ab: has a name it must not have"},
        {"{\"properties\":{\"a\":{\"type\":\"string\"}},\"unevaluatedProperties\":false}",
         "{\"a\":1,\"z\":1}", "answer.a: must be a string, is 1"},
        {"false", "1", "answer: is not allowed"},
        {"true", "1", NULL},
        {"{\"properties\":{\"a\":{\"const\":1}}}", "{\"a\":2,\"a\":1}", NULL},
        {"{}", "{\"a\":", "answer: no valid JSON: nothing where a value should be at byte 5"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena;
        arena_init(&arena, 0);
        status judged = judge(str_of(rows[i].schema), str_of(rows[i].value), &arena);
        if (rows[i].why == NULL) {
            assert_true(status_is_ok(judged));
        } else {
            assert_int_equal(judged.code, CODE_INVALID_ARGUMENT);
            assert_string_equal(judged.why, rows[i].why);
        }
        arena_fini(&arena);
    }
}

static void test_no_more_than_ten_are_told(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    status judged = judge(STR("{\"items\":false}"), STR("[1,2,3,4,5,6,7,8,9,10,11,12]"), &arena);
    assert_int_equal(judged.code, CODE_INVALID_ARGUMENT);
    assert_non_null(strstr(judged.why, "answer[9]: is not allowed; and 2 more"));
    assert_null(strstr(judged.why, "answer[10]"));
    arena_fini(&arena);
}

static void test_what_is_no_schema_is_refused(void **state)
{
    static const struct {
        const char *schema;
        const char *why;
    } rows[] = {
        {"{", "no valid JSON: a member without a quoted name at byte 1"},
        {"1", "#: must be a schema: an object, true or false"},
        {"{\"properties\":{\"a\":1}}",
         "#/properties/a: must be a schema: an object, true or false"},
        {"{\"type\":\"int\"}",
         "#/type: must be null, boolean, integer, number, string, array or object"},
        {"{\"minLength\":-1}", "#/minLength: must be a whole number from 0 to 4294967295"},
        {"{\"multipleOf\":0}", "#/multipleOf: must be a number above 0"},
        {"{\"items\":[{}]}",
         "#/items: must be a schema; for a list of them this draft has prefixItems"},
        {"{\"anyOf\":[]}", "#/anyOf: must be an array of schemas, one at least"},
        {"{\"required\":[1]}", "#/required/0: must be a string: a property's name"},
        {"{\"properties\":{\"a/b\":{\"$ref\":\"http://x/y\"}}}",
         "#/properties/a~1b/$ref: leads out of the schema, which is not supported; references "
         "begin with #"},
        {"{\"$ref\":\"#/$defs/a\"}", "#/$ref: leads nowhere: the schema has no such place"},
        {"{\"$ref\":\"#a\"}", "#/$ref: leads nowhere: the schema has no such place"},
        {"{\"$ref\":\"#\"}", "#: refers to itself for the same value, without an end"},
        {"{\"$dynamicRef\":\"#a\"}", "#/$dynamicRef: is not supported"},
        {"{\"$schema\":\"http://json-schema.org/draft-07/schema#\"}",
         "#/$schema: must be https://json-schema.org/draft/2020-12/schema, or not be there"},
        {"{\"pattern\":\"(\"}", "#/pattern: is no pattern: a ( without its ) at byte 1"},
        {"{\"pattern\":\"a(?=b)\"}",
         "#/pattern: is no pattern: looks ahead and behind are not supported at byte 3"},
        {"{\"pattern\":\"(a)\\\\1\"}",
         "#/pattern: is no pattern: back references are not supported at byte 5"},
        {"{\"pattern\":\"((a{1000}){1000}){1000}\"}",
         "#/pattern: is no pattern: too much of it, with its repeats written out, at byte 16"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena;
        struct schema *schema;
        arena_init(&arena, 0);
        status read = schema_read(str_of(rows[i].schema), &arena, &schema);
        assert_int_equal(read.code, CODE_INVALID_ARGUMENT);
        assert_string_equal(read.why, rows[i].why);
        arena_fini(&arena);
    }
}

static void put_times(struct buf *ret, const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_put(ret, str_of(text));
    }
}

/* Each way is tried for each way of the next: 2^40 of them. */
static void test_ways_that_double_end(void **state)
{
    struct arena arena;
    struct buf text = {0};
    (void)state;
    arena_init(&arena, 0);
    buf_put(&text, STR("{\"$ref\":\"#/$defs/s0\",\"$defs\":{"));
    for (int i = 0; i < 20; i++) {
        buf_printf(&text,
                   "\"s%d\":{\"oneOf\":[{\"$ref\":\"#/$defs/s%d\"},{\"$ref\":\"#/$defs/s%d\"}]},",
                   i, i + 1, i + 1);
    }
    buf_put(&text, STR("\"s20\":{\"minimum\":5}}}"));
    status judged = judge(buf_str(&text), STR("1"), &arena);
    assert_int_equal(judged.code, CODE_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(judged.why, "answer: takes more steps to judge"));
    buf_fini(&text);
    arena_fini(&arena);
}

static void test_references_have_a_depth(void **state)
{
    struct arena arena;
    struct schema *schema;
    struct buf text = {0};
    (void)state;
    arena_init(&arena, 0);
    buf_put(&text, STR("{\"$ref\":\"#/$defs/s0\",\"$defs\":{"));
    for (int i = 0; i < 1000; i++) {
        buf_printf(&text, "\"s%d\":{\"$ref\":\"#/$defs/s%d\"},", i, i + 1);
    }
    buf_put(&text, STR("\"s1000\":{}}}"));
    status read = schema_read(buf_str(&text), &arena, &schema);
    assert_int_equal(read.code, CODE_INVALID_ARGUMENT);
    assert_non_null(strstr(read.why, "is more than 50 references deep"));
    buf_fini(&text);
    arena_fini(&arena);
}

static void test_deep_values_of_schemas_that_refer_to_themselves_are_judged(void **state)
{
    struct arena arena;
    struct buf text = {0};
    (void)state;
    arena_init(&arena, 0);
    put_times(&text, "[", 100);
    put_times(&text, "]", 100);
    status judged =
        judge(STR("{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}"), buf_str(&text), &arena);
    assert_true(status_is_ok(judged));
    buf_fini(&text);
    arena_fini(&arena);
}

static void test_values_of_too_many_values_are_refused(void **state)
{
    struct arena arena;
    struct buf text = {0};
    (void)state;
    arena_init(&arena, 0);
    buf_put(&text, STR("[0"));
    put_times(&text, ",0", 100000);
    buf_put_char(&text, ']');
    status judged = judge(STR("{}"), buf_str(&text), &arena);
    assert_int_equal(judged.code, CODE_INVALID_ARGUMENT);
    assert_non_null(strstr(judged.why, "answer: more than 100000 values"));
    buf_fini(&text);
    arena_fini(&arena);
}

static void test_many_values_are_judged(void **state)
{
    struct arena arena;
    struct buf text = {0};
    (void)state;
    arena_init(&arena, 0);
    buf_put(&text, STR("[0"));
    for (int i = 1; i < 20000; i++) {
        buf_printf(&text, ",%d", i);
    }
    buf_put_char(&text, ']');
    status judged = judge(STR("{\"uniqueItems\":true,\"items\":{\"type\":\"integer\"}}"),
                          buf_str(&text), &arena);
    assert_true(status_is_ok(judged));
    buf_fini(&text);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_misfits_are_told),
        cmocka_unit_test(test_no_more_than_ten_are_told),
        cmocka_unit_test(test_what_is_no_schema_is_refused),
        cmocka_unit_test(test_ways_that_double_end),
        cmocka_unit_test(test_references_have_a_depth),
        cmocka_unit_test(test_deep_values_of_schemas_that_refer_to_themselves_are_judged),
        cmocka_unit_test(test_values_of_too_many_values_are_refused),
        cmocka_unit_test(test_many_values_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
