/*
 * Goal:   the forms of input that are documented are read; everything else is refused with a
 *         sentence that names the place.
 * Method: tables; every prefix of a rich input.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/agents/transcript.h"

static status check_input(str input, struct arena *arena)
{
    const struct model_message *messages;
    size_t count;
    return transcript_check_input(input, arena, &messages, &count);
}

static void test_accepts(void **state)
{
    static const char *const inputs[] = {
        "\"hi\"",
        "  \"a\\nb \\ud83d\\ude00\" ",
        "[{\"role\":\"user\",\"content\":\"hi\"}]",
        "[{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"text\":\"b\",\"type\":\"text\"}],"
        "\"role\":\"user\",\"name\":\"x\"},{\"role\":\"assistant\",\"content\":\"y\"},"
        "{\"role\":\"system\",\"content\":\"z\"}]",
        "[{\"role\":\"user\",\"content\":[{\"type\":\"media\",\"media_type\":\"image/png\","
        "\"data\":\"Zg==\"},{\"type\":\"media\",\"url\":\"https://x/y.png\"}]}]",
    };
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(inputs); i++) {
        status outcome = check_input(str_of(inputs[i]), &arena);
        if (outcome.code != CODE_OK) {
            fail_msg("%s: %s", inputs[i], outcome.why);
        }
    }
    arena_fini(&arena);
}

static void test_refuses_with_a_sentence(void **state)
{
    static const struct {
        const char *input;
        const char *why; /* Its beginning. */
    } rows[] = {
        {"", "input is not JSON"},
        {"hello", "input is not JSON"},
        {"\"cut", "input is not JSON"},
        {"\"\"", "input must not be empty"},
        {"5", "input must be a JSON string, or a JSON array"},
        {"null", "input must be a JSON string, or a JSON array"},
        {"{\"role\":\"user\",\"content\":\"x\"}", "input must be a JSON string"},
        {"[]", "input must have at least one message"},
        {"[\"hi\"]", "input[0] must be an object"},
        {"[{\"content\":\"hi\"}]", "input[0].role must be"},
        {"[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"tool\",\"content\":\"hi\"}]",
         "input[1].role must be \"system\", \"user\" or \"assistant\""},
        {"[{\"role\":\"User\",\"content\":\"hi\"}]", "input[0].role must be"},
        {"[{\"role\":1,\"content\":\"hi\"}]", "input[0].role must be"},
        {"[{\"role\":\"user\"}]", "input[0].content must be a string or an array"},
        {"[{\"role\":\"user\",\"content\":null}]", "input[0].content must be a string"},
        {"[{\"role\":\"user\",\"content\":\"\"}]", "input[0].content must not be empty"},
        {"[{\"role\":\"user\",\"content\":[]}]", "input[0].content must not be empty"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
         "{\"type\":\"image\",\"url\":\"b\"}]}]",
         "input[0].content[1] must be"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":1}]}]",
         "input[0].content[0] must be"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"media\",\"media_type\":\"image/png\"}]}]",
         "input[0].content[0] must have data or url"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"media\",\"data\":\"Zg==\",\"url\":\"https://"
         "x\"}]}]",
         "input[0].content[0] must have data or url"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"media\",\"data\":\"Zg==\"}]}]",
         "input[0].content[0].media_type must say"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"media\",\"media_type\":\"image/"
         "png\",\"data\":\"Zg=\"}]}]",
         "input[0].content[0].data must be base64"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"media\",\"url\":\"file:///etc/passwd\"}]}]",
         "input[0].content[0].url must begin with"},
        {"[{\"role\":\"assistant\",\"content\":[{\"type\":\"media\",\"url\":\"https://x\"}]}]",
         "input[0].content[0] must be {\"type\":\"text\",\"text\":...}: media is for users"},
        {"[{\"role\":\"user\",\"content\":[\"x\"]}]", "input[0].content[0] must be"},
    };
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        status outcome = check_input(str_of(rows[i].input), &arena);
        assert_int_equal(outcome.code, CODE_INVALID_ARGUMENT);
        if (strncmp(outcome.why, rows[i].why, strlen(rows[i].why)) != 0) {
            fail_msg("%s: %s", rows[i].input, outcome.why);
        }
    }
    arena_fini(&arena);
}

static void test_refuses_every_prefix(void **state)
{
    str whole = STR("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\\u00e9\"}]}]");
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    for (size_t len = 0; len < whole.len; len++) {
        char *exact = xmalloc(len > 0 ? len : 1);
        memcpy(exact, whole.ptr, len);
        assert_int_equal(check_input((str){exact, len}, &arena).code, CODE_INVALID_ARGUMENT);
        free(exact);
    }
    assert_int_equal(check_input(whole, &arena).code, CODE_OK);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_refuses_with_a_sentence),
        cmocka_unit_test(test_refuses_every_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
