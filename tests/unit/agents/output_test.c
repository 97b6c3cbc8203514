/*
 * Goal:   a reply is the answer its schema asks for, or the model is told why it is none.
 * Method: texts as models write them, and replies in several blocks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/agents/output.h"

#define SCHEMA                                                                                     \
    "{\"type\":\"object\",\"required\":[\"n\"],\"properties\":{\"n\":{\"type\":\"integer\"}}}"

static void the_json_of_an_answer(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *json; /* Empty: none. */
    } rows[] = {
        {"{\"n\":1}", "{\"n\":1}"},
        {" \n[1, 2]\t", "[1, 2]"},
        {"7", "7"},
        {"\"it is ``` quoted\"", "\"it is ``` quoted\""},
        {"```json\n{\"n\":1}\n```", "{\"n\":1}"},
        {"Here it is:\n```\n[1]\n```\nAnything else?", "[1]"},
        {"```{\"n\":1}```", "{\"n\":1}"},
        {"```python\nprint(1)\n```\nso\n```json\n{}\n```", "{}"},
        {"```json\n{\"n\":1}\n```\nor\n```json\n{\"n\":2}\n```", ""},
        {"```json\n{\"n\":1}", ""},
        {"```json\n{\"n\":\n```", ""},
        {"```", ""},
        {"``````", ""},
        {"{\"n\":1} {\"n\":2}", ""},
        {"n is 1", ""},
        {"  ", ""},
        {"", ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        str found = output_json(str_of(rows[i].text));
        if (!str_is(found, rows[i].json)) {
            fail_msg("%s: %.*s", rows[i].text, STR_ARG(found));
        }
    }
}

static str misfit_of(const char *schema, const char *first, const char *second, struct arena *arena,
                     str *ret_feedback)
{
    struct agent_definition definition = {.output_schema_json = str_of(schema)};
    struct model_block blocks[] = {
        {.kind = MODEL_BLOCK_TEXT, .text = str_of(first)},
        {.kind = MODEL_BLOCK_REASONING, .text = STR("hm")},
        {.kind = MODEL_BLOCK_TEXT, .text = str_of(second)},
    };
    struct model_reply reply = {.blocks = blocks, .block_count = COUNT_OF(blocks)};
    return output_misfit(&definition, &reply, arena, ret_feedback);
}

static void what_the_model_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *schema;
        const char *first;
        const char *second;
        const char *told; /* A part of it; empty: nothing. */
    } rows[] = {
        {SCHEMA, "{\"n\":", "1}", ""},
        {SCHEMA, "```json\n{\"n\":1}\n", "```", ""},
        {SCHEMA, "{\"n\":\"1\"}", "", "answer.n: must be a whole number, is a string"},
        {SCHEMA, "{}", "", "answer"},
        {SCHEMA, "n is 1", "", "answer: is no JSON"},
        {SCHEMA, "", "", "answer: is no JSON"},
        {"", "n is 1", "", ""},
        {"{\"$dynamicRef\":\"#a\"}", "n is 1", "", ""}, /* Of a release that judged nothing. */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena;
        arena_init(&arena, 0);
        str told;
        str why = misfit_of(rows[i].schema, rows[i].first, rows[i].second, &arena, &told);
        const char *part = rows[i].told;
        bool is_told = why.len == 0 && told.len == 0;
        if (part[0] != '\0') {
            is_told = strstr(why.ptr, part) != NULL && strstr(told.ptr, part) != NULL &&
                      strstr(why.ptr, "again") == NULL && strstr(told.ptr, "Answer again") != NULL;
        }
        if (!is_told) {
            fail_msg("row %zu: %.*s", i, STR_ARG(told));
        }
        arena_fini(&arena);
    }
}

static void a_reply_without_blocks(void **state)
{
    (void)state;
    struct agent_definition definition = {.output_schema_json = STR(SCHEMA)};
    struct model_reply reply = {0};
    struct arena arena;
    arena_init(&arena, 0);
    str told;
    assert_true(output_misfit(&definition, &reply, &arena, &told).len > 0);
    assert_true(told.len > 0);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_json_of_an_answer),
        cmocka_unit_test(what_the_model_is_told),
        cmocka_unit_test(a_reply_without_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
