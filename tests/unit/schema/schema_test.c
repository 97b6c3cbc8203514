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

static const struct misfit misfits[] = {
    {"{\"type\":\"object\",\"properties\":{\"amount\":{\"type\":\"number\"}}}",
     "{\"amount\":\"12\"}", "answer.amount: must be a number, is a string"},
    {"{\"type\":[\"string\",\"null\"]}", "1.5", "answer: must be a string or null, is 1.5"},
    {"{\"type\":\"integer\"}", "1.5", "answer: must be a whole number, is 1.5"},
    {"{\"type\":\"integer\"}", "1.0", NULL},
    {"{\"type\":\"integer\"}",
     "1.234567890123456789012345678901234567890123456789012345678901234567890",
     "answer: must be a whole number, is "
     "1.2345678901234567890123456789012345678901234567890123456789"},
    {"{\"required\":[\"a\",\"b c\"]}", "{}", "answer.a: is missing; answer[\"b c\"]: is missing"},
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
    {"{\"pattern\":\"^\\\\d{4}$\"}", "\"12345\"", "answer: must match the pattern \"^\\\\d{4}$\""},
    {"{\"uniqueItems\":true}", "[1,{\"a\":1,\"b\":2},{\"b\":2.0,\"a\":1}]",
     "answer: [1] and [2] must not be the same"},
    {"{\"anyOf\":[{\"$ref\":\"#/$defs/m\"},{\"type\":\"null\"}],\"$defs\":{\"m\":{\"type\":"
     "\"object\",\"properties\":{\"n\":{\"type\":\"string\"}}}}}",
     "{\"n\":1}", "answer.n: must be a string, is 1"},
    {"{\"anyOf\":[{\"$ref\":\"#/$defs/n\"},{\"type\":\"null\"}],\"$defs\":{\"m\":{\"type\":"
     "\"string\"},\"n\":{\"$ref\":\"#/$defs/m\"}}}",
     "[]", "answer: must be a string or null, is an array"},
    {"{\"anyOf\":[{\"type\":\"string\",\"$ref\":\"#/$defs/m\"},{\"type\":\"null\"}],\"$defs\":{"
     "\"m\":{\"type\":\"number\"}}}",
     "[]", "answer: must be a string or null, is an array"},
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
    {"{\"multipleOf\":123456789012345678}", "123456789012345678", NULL},
    {"{\"uniqueItems\":false}", "[1,1]", NULL},
    {"{\"unevaluatedItems\":false}", "{\"a\":1}", NULL},
    {"{\"prefixItems\":[true],\"unevaluatedItems\":false}", "[1,2]", "answer[1]: is not allowed"},
    {"{\"unevaluatedItems\":{\"type\":\"string\"}}", "[\"a\",2]",
     "answer[1]: must be a string, is 2"},
    {"{\"contains\":{\"const\":1}}", "[2]",
     "answer: must have at least 1 elements that fit `contains`, has 0"},
    {"{\"contains\":{\"const\":1},\"minContains\":2,\"maxContains\":3}", "[1,2]",
     "answer: must have at least 2 elements that fit `contains`, has 1"},
    {"{\"contains\":{\"const\":1},\"minContains\":2,\"maxContains\":3}", "[1,1,2,1]", NULL},
    {"{\"contains\":{\"const\":1},\"minContains\":2,\"maxContains\":3}", "[1,1,1,1]",
     "answer: must have at most 3 elements that fit `contains`, has 4"},
    {"{\"contains\":{\"const\":1},\"minContains\":0}", "[2]", NULL},
    {"{\"contains\":false}", "\"no array\"", NULL},
    {"{\"enum\":[1]}", "2", "answer: must be one of 1"},
    {"{\"maxItems\":4294967295,\"minItems\":2e0}", "[1,2]", NULL},
    {"{\"minItems\":20e-1}", "[1]", "answer: must have at least 2 elements, has 1"},
    {"{\"minItems\":0.2e1}", "[1]", "answer: must have at least 2 elements, has 1"},
    {"{\"minProperties\":1e1}", "{}", "answer: must have at least 10 members, has 0"},
    {"{}", "{\"a\":", "answer: no valid JSON: nothing where a value should be at byte 5"},
};

static void test_misfits_are_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(misfits); i++) {
        struct arena arena;
        arena_init(&arena, 0);
        status judged = judge(str_of(misfits[i].schema), str_of(misfits[i].value), &arena);
        if (misfits[i].why == NULL) {
            assert_true(status_is_ok(judged));
        } else {
            assert_int_equal(judged.code, CODE_INVALID_ARGUMENT);
            assert_string_equal(judged.why, misfits[i].why);
        }
        arena_fini(&arena);
    }
}

static void test_references_lead_where_they_say(void **state)
{
    static const char *const schemas[] = {
        /* The number 1 fits, and the string "s" does not. */
        "{\"$ref\":\"#/$defs/a~1b~0c\",\"$defs\":{\"a/b~c\":NUMBER}}",
        "{\"$ref\":\"#/$defs/a%20b%C3%a9\",\"$defs\":{\"a b\\u00e9\":NUMBER}}",
        "{\"$ref\":\"#/$defs/a%2\",\"$defs\":{\"a%2\":NUMBER}}",
        "{\"$ref\":\"#/$defs/a%zz\",\"$defs\":{\"a%zz\":NUMBER}}",
        "{\"$ref\":\"#/$defs/a~\",\"$defs\":{\"a~\":NUMBER}}",
        "{\"$ref\":\"#/$defs/\",\"$defs\":{\"\":NUMBER}}",
        "{\"$ref\":\"#/prefixItems/1\",\"prefixItems\":[true,NUMBER]}",
        "{\"$ref\":\"#n\",\"$defs\":{\"a\":{\"$anchor\":\"m\"},\"b\":{\"$anchor\":\"n\",\"type\":"
        "\"number\"}}}",
        "{\"$id\":\"http://x/y\",\"$ref\":\"http://x/y#/$defs/a\",\"$defs\":{\"a\":NUMBER}}",
        "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema#\",\"type\":\"number\"}",
        "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"number\"}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(schemas); i++) {
        struct arena arena;
        struct buf text = {0};
        arena_init(&arena, 0);
        const char *mark = strstr(schemas[i], "NUMBER");
        if (mark == NULL) {
            buf_put(&text, str_of(schemas[i]));
        } else {
            buf_printf(&text, "%.*s{\"type\":\"number\"}%s", (int)(mark - schemas[i]), schemas[i],
                       mark + 6);
        }
        assert_true(status_is_ok(judge(buf_str(&text), STR("1"), &arena)));
        status judged = judge(buf_str(&text), STR("\"s\""), &arena);
        assert_string_equal(judged.why, "answer: must be a number, is a string");
        buf_fini(&text);
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

static const struct {
    const char *schema;
    const char *why;
} no_schemas[] = {
    {"{", "no valid JSON: a member without a quoted name at byte 1"},
    {"1", "#: must be a schema: an object, true or false"},
    {"{\"properties\":{\"a\":1}}", "#/properties/a: must be a schema: an object, true or false"},
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
    {"{\"properties\":[]}", "#/properties: must be an object of schemas"},
    {"{\"$defs\":true}", "#/$defs: must be an object of schemas"},
    {"{\"patternProperties\":7}", "#/patternProperties: must be an object of schemas"},
    {"{\"patternProperties\":{\"a\":7}}",
     "#/patternProperties/a: must be a schema: an object, true or false"},
    {"{\"patternProperties\":{\"(\":true}}",
     "#/patternProperties/(: is no pattern: a ( without its ) at byte 1"},
    {"{\"minimum\":\"3\"}", "#/minimum: must be a number"},
    {"{\"exclusiveMaximum\":true}", "#/exclusiveMaximum: must be a number"},
    {"{\"multipleOf\":-1}", "#/multipleOf: must be a number above 0"},
    {"{\"multipleOf\":\"1\"}", "#/multipleOf: must be a number above 0"},
    {"{\"multipleOf\":1234567890123456789}", "#/multipleOf: has more than 18 digits"},
    {"{\"maxItems\":\"1\"}", "#/maxItems: must be a whole number from 0 to 4294967295"},
    {"{\"maxItems\":1.5}", "#/maxItems: must be a whole number from 0 to 4294967295"},
    {"{\"maxItems\":4294967296}", "#/maxItems: must be a whole number from 0 to 4294967295"},
    {"{\"maxItems\":1e10}", "#/maxItems: must be a whole number from 0 to 4294967295"},
    {"{\"uniqueItems\":1}", "#/uniqueItems: must be true or false"},
    {"{\"enum\":{}}", "#/enum: must be an array"},
    {"{\"required\":\"a\"}", "#/required: must be an array"},
    {"{\"dependentRequired\":[]}", "#/dependentRequired: must be an object of lists of names"},
    {"{\"dependentRequired\":{\"a\":1}}", "#/dependentRequired/a: must be an array"},
    {"{\"dependentRequired\":{\"a\":[\"b\",2]}}",
     "#/dependentRequired/a/1: must be a string: a property's name"},
    {"{\"type\":7}", "#/type: must be null, boolean, integer, number, string, array or object"},
    {"{\"type\":[]}", "#/type: must be null, boolean, integer, number, string, array or object"},
    {"{\"type\":[\"string\",\"String\"]}",
     "#/type/1: must be null, boolean, integer, number, string, array or object"},
    {"{\"oneOf\":true}", "#/oneOf: must be an array of schemas, one at least"},
    {"{\"allOf\":{\"a\":true}}", "#/allOf: must be an array of schemas, one at least"},
    {"{\"prefixItems\":[true,7]}", "#/prefixItems/1: must be a schema: an object, true or false"},
    {"{\"items\":7}", "#/items: must be a schema: an object, true or false"},
    {"{\"pattern\":7}", "#/pattern: must be a string: a pattern"},
    {"{\"$ref\":7}", "#/$ref: must be a string: a reference"},
    {"{\"$anchor\":\"\"}", "#/$anchor: must be a string: a name"},
    {"{\"$anchor\":7}", "#/$anchor: must be a string: a name"},
    {"{\"$anchor\":\"a\",\"items\":{\"$anchor\":\"a\"}}",
     "#/items/$anchor: is the name of another place too"},
    {"{\"$id\":7}", "#/$id: must be a string: a URI"},
    {"{\"$id\":\"http://x#y\"}", "#/$id: must have no fragment"},
    {"{\"items\":{\"$id\":\"http://x\"}}",
     "#/items/$id: is not supported but at the top; name the place by $anchor"},
    {"{\"$schema\":7}",
     "#/$schema: must be https://json-schema.org/draft/2020-12/schema, or not be there"},
    {"{\"$id\":\"http://x\",\"$ref\":\"http://y#\"}",
     "#/$ref: leads out of the schema, which is not supported; references begin with #"},
    {"{\"$ref\":\"#/prefixItems/1\",\"prefixItems\":[true]}",
     "#/$ref: leads nowhere: the schema has no such place"},
    {"{\"$ref\":\"#/prefixItems/x\",\"prefixItems\":[true]}",
     "#/$ref: leads nowhere: the schema has no such place"},
    {"{\"$ref\":\"#/type/0\",\"type\":\"string\"}",
     "#/$ref: leads nowhere: the schema has no such place"},
    {"{\"$ref\":\"#/$defs/a%2\",\"$defs\":{\"a%\":true}}",
     "#/$ref: leads nowhere: the schema has no such place"},
    {"{\"$ref\":\"#/a~2b\",\"$defs\":{}}", "#/$ref: leads nowhere: the schema has no such place"},
    {"{\"properties\":{\"~\\u0001\":{\"minimum\":true}}}",
     "#/properties/~0?/minimum: must be a number"},
    {"{\"allOf\":[{\"$ref\":\"#\"}]}",
     "#/allOf/0: refers to itself for the same value, without an end"},
    {"{\"if\":true,\"else\":{\"$ref\":\"#\"}}",
     "#/else: refers to itself for the same value, without an end"},
    {"{\"pattern\":\"(\"}", "#/pattern: is no pattern: a ( without its ) at byte 1"},
    {"{\"pattern\":\"a(?=b)\"}",
     "#/pattern: is no pattern: looks ahead and behind are not supported at byte 3"},
    {"{\"pattern\":\"(a)\\\\1\"}",
     "#/pattern: is no pattern: back references are not supported at byte 5"},
    {"{\"pattern\":\"((a{1000}){1000}){1000}\"}",
     "#/pattern: is no pattern: too much of it, with its repeats written out, at byte 16"},
};

static void test_what_is_no_schema_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(no_schemas); i++) {
        struct arena arena;
        struct schema *schema;
        arena_init(&arena, 0);
        status read = schema_read(str_of(no_schemas[i].schema), &arena, &schema);
        assert_int_equal(read.code, CODE_INVALID_ARGUMENT);
        assert_string_equal(read.why, no_schemas[i].why);
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
        cmocka_unit_test(test_references_lead_where_they_say),
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
