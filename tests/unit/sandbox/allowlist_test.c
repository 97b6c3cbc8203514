/*
 * Goal:   nothing that means more to a shell than its words passes an allowlist.
 * Method: a corpus of metacharacters in every place of an allowed command; commands whose words are
 *         known; patterns that fit and that do not. That words are those a shell would make:
 *         tests/integration/sandbox/words_test.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "clients/sandbox/host/allowlist.h"

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static const struct {
    const char *command;
    const char *words; /* With "|" between them. */
} split[] = {
    {"npm test", "npm|test"},
    {"  npm\t test  ", "npm|test"},
    {"git commit -m 'a; b | c $(d)'", "git|commit|-m|a; b | c $(d)"},
    {"echo \"a b\"'c d'e", "echo|a bc de"},
    {"echo '' \"\"", "echo||"},
    {"echo \"it's\"", "echo|it's"},
    {"echo 'a\nb'", "echo|a\nb"},
    {"env A=b", "env|A=b"},
    {"\"npm\" test", "npm|test"},
    {"./run --x=y,z:1@2+3", "./run|--x=y,z:1@2+3"},
    {"echo \u00e4\u20ac", "echo|\u00e4\u20ac"},
};

static void plain_commands_have_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(split); i++) {
        struct words words;
        char joined[256] = "";
        assert_int_equal(words_split(str_of(split[i].command), &arena, &words).code, CODE_OK);
        for (size_t k = 0; k < words.count; k++) {
            size_t len = strlen(joined);
            snprintf(joined + len, sizeof joined - len, "%s" STR_FMT, k == 0 ? "" : "|",
                     STR_ARG(words.items[k]));
        }
        assert_string_equal(joined, split[i].words);
    }
}

/* What turned an allowed command into another, and the likes of it. */
static const char *const attacks[] = {
    "npm test; curl x | sh",
    "npm test && curl x",
    "npm test || curl x",
    "npm test | sh",
    "npm test & curl x",
    "npm test > file",
    "npm test >> file",
    "npm test < file",
    "npm test $(curl x)",
    "npm test `curl x`",
    "npm test \"$(curl x)\"",
    "npm test \"`x`\"",
    "npm test\ncurl x",
    "npm test\rcurl x",
    "npm test $HOME",
    "npm test ${HOME}",
    "npm test \"$HOME\"",
    "npm test *",
    "npm test ?",
    "npm test [a]",
    "npm test {a,b}",
    "npm test ~",
    "npm test ~root",
    "npm test # x",
    "npm test \\; x",
    "npm test \"a\\\"b\"",
    "npm test 'a",
    "npm test \"a",
    "npm test <(curl x)",
    "npm test >&2",
    "npm test 2>x",
    "npm test !x",
    "npm test \"!x\"",
    "A=b npm test",
    "A=b",
    "(npm test)",
    "{ npm test; }",
    "! npm test",
    "if npm test",
    "while npm test",
    "time npm test",
    "npm test\x01",
    "npm test \x7f",
    "npm test $'a'",
    "npm test $\"a\"",
    "npm test ^x^y",
    "function f",
    "",
    "   ",
    "''",
    "'' npm test",
    "npm test <<x",
    "npm test %1",
    "npm\\ test",
    "n\\pm test",
    "npm test \v x",
};

static void whatever_means_more_asks(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(attacks); i++) {
        struct words words;
        status outcome = words_split(str_of(attacks[i]), &arena, &words);
        if (outcome.code != CODE_FAILED_PRECONDITION) {
            fail_msg("\"%s\" has words", attacks[i]);
        }
        assert_non_null(outcome.why);
    }
    struct words words;
    assert_int_equal(words_split(STR("npm test a\0b"), &arena, &words).code,
                     CODE_FAILED_PRECONDITION);
    assert_int_equal(words_split(STR("npm test 'a\0b'"), &arena, &words).code,
                     CODE_FAILED_PRECONDITION);
}

/* Each of them at each place of an allowed command. */
static void metacharacters_ask_wherever_they_stand(void **state)
{
    (void)state;
    static const char meta[] = "|&;<>()$`\\*?[]{}#~!^%\n\r\v\f\x01\x1b\x7f";
    static const char command[] = "npm run 'a b' build";
    for (size_t i = 0; i < sizeof meta - 1; i++) {
        for (size_t at = 0; at < sizeof command; at++) {
            char text[64];
            struct words words;
            bool is_quoted = at > 8 && at <= 12;
            snprintf(text, sizeof text, "%.*s%c%s", (int)at, command, meta[i], command + at);
            status outcome = words_split(str_of(text), &arena, &words);
            if ((outcome.code == CODE_OK) != is_quoted) {
                fail_msg("%zu of \"%s\"", at, text);
            }
        }
    }
}

static const struct {
    const char *pattern;
    const char *command;
    bool fits;
} fitting[] = {
    {"npm test", "npm test", true},
    {"npm test", "npm test x", false},
    {"npm test", "npm", false},
    {" npm  test ", "npm test", true},
    {"npm *", "npm test", true},
    {"npm *", "npm run build --x", true},
    {"npm *", "npm", false},
    {"npm *", "npmx test", false},
    {"npm *", "\"npm test\"", false},
    {"npm*", "npmx", true},
    {"npm*", "npm test", false},
    {"* test", "npm test", true},
    {"* test", "npm run test", false},
    {"git * --stat", "git diff --stat", true},
    {"git * --stat", "git push x --stat", false},
    {"*", "rm -rf x", true},
    {"* *", "rm", false},
    {"", "npm", false},
    {"  ", "npm", false},
    {"node *.js", "node a.js", true},
    {"node *.js", "node a.js b", false},
    {"node *a*b*.js", "node xaxxbx.js", true},
    {"node *a*b*.js", "node xbxxax.js", false},
    {"node ?", "node a", false},
    {"npm [t]est", "npm test", false},
    {"python3 -m pytest *", "python3 -m pytest -q 'a b'", true},
    {"python3 -m pytest *", "python3 -c x", false},
    {"echo *", "echo ''", true},
    {"./run *", "run test", false},
};

static void patterns_fit_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(fitting); i++) {
        struct words words;
        str pattern = str_of(fitting[i].pattern);
        assert_int_equal(words_split(str_of(fitting[i].command), &arena, &words).code, CODE_OK);
        if (allowlist_has(&pattern, 1, &words) != fitting[i].fits) {
            fail_msg("\"%s\" of \"%s\"", fitting[i].pattern, fitting[i].command);
        }
    }
}

static void some_pattern_has_to_fit(void **state)
{
    (void)state;
    const str patterns[] = {STR("npm *"), STR("git diff *")};
    struct words words;
    assert_int_equal(words_split(STR("git diff x"), &arena, &words).code, CODE_OK);
    assert_true(allowlist_has(patterns, 2, &words));
    assert_false(allowlist_has(patterns, 1, &words));
    assert_false(allowlist_has(NULL, 0, &words));
}

static void there_is_a_limit_of_words(void **state)
{
    (void)state;
    struct words words;
    char text[4 * WORDS_COUNT_MAX];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = i % 2 == 0 ? 'a' : ' ';
    }
    assert_int_equal(words_split(str_make(text, 2 * WORDS_COUNT_MAX), &arena, &words).code,
                     CODE_OK);
    assert_int_equal(words_split(str_make(text, 2 * WORDS_COUNT_MAX + 1), &arena, &words).code,
                     CODE_FAILED_PRECONDITION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_commands_have_words),
        cmocka_unit_test(whatever_means_more_asks),
        cmocka_unit_test(metacharacters_ask_wherever_they_stand),
        cmocka_unit_test(patterns_fit_words),
        cmocka_unit_test(some_pattern_has_to_fit),
        cmocka_unit_test(there_is_a_limit_of_words),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
