/*
 * Goal:   strict mode is asked for where it takes the whole schema, and nowhere else.
 * Method: small schemas, each with one thing that it takes or refuses; and the body beside two.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/json.h"
#include "service/llm/providers.h"
#include "service/llm/strict.h"

#define OBJECT(properties, required)                                                               \
    "{\"type\":\"object\",\"properties\":{" properties "},\"required\":[" required                 \
    "],\"additionalProperties\":false}"

static const struct {
    const char *schema;
    bool is_taken;
} rows[] = {
    {OBJECT("", ""), true},
    {"{\"type\":\"object\",\"additionalProperties\":false}", true},
    {" " OBJECT("\"a\":{\"type\":[\"string\",\"null\"],\"description\":\"d\"}", "\"a\"") " ", true},
    {OBJECT("\"a\":" OBJECT("\"b\":{\"type\":\"array\",\"items\":{\"enum\":[1,2]}}", "\"b\""),
            "\"a\""),
     true},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/$defs/x\"}},\"required\":[\"a\"],"
     "\"additionalProperties\":false,\"$defs\":{\"x\":{\"anyOf\":[{\"type\":\"null\"}]}}}",
     true},
    {"{}", false},
    {"true", false},
    {"{\"type\":\"string\"}", false},
    {"{\"anyOf\":[" OBJECT("", "") "]}", false},
    {"{\"type\":\"object\"}", false},
    {"{\"type\":\"object\",\"additionalProperties\":true}", false},
    {"{\"type\":\"object\",\"additionalProperties\":{}}", false},
    {OBJECT("\"a\":{},\"b\":{}", "\"a\""), false},
    {OBJECT("\"a\":{\"default\":1}", "\"a\""), false},
    {OBJECT("\"a\":{\"oneOf\":[]}", "\"a\""), false},
    {OBJECT("\"a\":true", "\"a\""), false},
    {OBJECT("\"a\":{\"items\":{\"format\":\"x\"}}", "\"a\""), false},
    {OBJECT("\"a\":{\"anyOf\":[{\"type\":\"object\"}]}", "\"a\""), false},
    {"{\"type\":\"object\",\"additionalProperties\":false,\"$defs\":{\"x\":{\"not\":{}}}}", false},
};

static void test_schemas(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (strict_takes(str_of(rows[i].schema)) != rows[i].is_taken) {
            fail_msg("row %zu: %s", i, rows[i].schema);
        }
    }
}

static void test_depth_is_bounded(void **state)
{
    struct buf schema = {0};
    (void)state;
    for (size_t i = 0; i < 100000; i++) {
        buf_put(&schema, STR("{\"type\":\"object\",\"additionalProperties\":false,\"items\":"));
    }
    buf_put(&schema, STR("{}"));
    for (size_t i = 0; i < 100000; i++) {
        buf_put_char(&schema, '}');
    }
    if (json_check(buf_str(&schema))) { /* Or it is refused before it comes here. */
        assert_false(strict_takes(buf_str(&schema)));
    }
    buf_fini(&schema);
}

static bool is_strict(const char *provider, const char *schema)
{
    struct buf body = {0};
    const struct provider_row *row = provider_find(str_of(provider));
    struct model_request request = {
        .model = STR("m"), .temperature = NAN, .output_schema_json = str_of(schema)};
    row->codec->put_body(row, &request, &body);
    bool is_so = memmem(body.ptr, body.len, "\"strict\":true", 13) != NULL;
    buf_fini(&body);
    return is_so;
}

static void test_who_is_asked(void **state)
{
    static const char *const strict[] = {"openai", "openai_chat", "azure"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(strict); i++) {
        assert_true(is_strict(strict[i], OBJECT("", "")));
        assert_false(is_strict(strict[i], "{\"type\":\"object\"}"));
    }
    assert_false(is_strict("vllm", OBJECT("", "")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schemas),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_who_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
