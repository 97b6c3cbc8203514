/*
 * Goal:   bytes become the texts of RFC 4648 and come back, and what is no such text is refused.
 * Method: the vectors of its section 10, a walk over all lengths, and near misses by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/base64.h"

static void vectors(void **state)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xef\xbe", "/+++"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf text = {0};
        struct buf bytes = {0};
        base64_encode(str_of(rows[i][0]), &text);
        assert_true(str_is(buf_str(&text), rows[i][1]));
        assert_true(base64_decode(buf_str(&text), &bytes));
        assert_true(str_is(buf_str(&bytes), rows[i][0]));
        buf_fini(&bytes);
        buf_fini(&text);
    }
}

static void every_length_comes_back(void **state)
{
    char bytes[256];
    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)(i * 167);
    }
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        struct buf text = {0};
        struct buf back = {0};
        base64_encode(str_make(bytes, len), &text);
        assert_true(base64_decode(buf_str(&text), &back));
        assert_true(str_equal(buf_str(&back), str_make(bytes, len)));
        buf_fini(&back);
        buf_fini(&text);
    }
}

static void near_misses(void **state)
{
    static const char *const texts[] = {
        "Z",    "Zg",       "Zg=",  "Zh==", "Zm9=",   "====", "Z===",
        "=Zg=", "Zg==Zg==", "Zm-v", "Zm 9", "Zm9v\n", "Zg=g",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (base64_decode(str_of(texts[i]), NULL)) {
            fail_msg("%s is taken", texts[i]);
        }
    }
    assert_false(base64_decode(str_make("Zm\0v", 4), NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(near_misses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
