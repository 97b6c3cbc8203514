/*
 * Goal:   patterns of paths mean what they mean in shells and ignore files.
 * Method: a table of patterns, paths and whether they fit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "clients/sandbox/box/ignore.h"
#include "clients/sandbox/box/wildcard.h"

static const struct {
    const char *pattern;
    const char *path;
    bool fits;
} wildcards[] = {
    {"", "", true},
    {"a", "a", true},
    {"a", "b", false},
    {"a", "aa", false},
    {"*", "abc", true},
    {"*", "", true},
    {"*", "a/b", false},
    {"*.c", "a.c", true},
    {"*.c", ".c", true},
    {"*.c", "a.cc", false},
    {"*a*b*", "xaxbx", true},
    {"*a*b*", "xbxax", false},
    {"?", "\u20ac", true},
    {"?", "/", false},
    {"??", "\u20ac", false},
    {"[a-c]x", "bx", true},
    {"[a-c]x", "dx", false},
    {"[!a-c]x", "dx", true},
    {"[^a]x", "ax", false},
    {"[]]", "]", true},
    {"[!]]", "]", false},
    {"[a-]", "-", true},
    {"[a/b]", "/", false},
    {"[!a]", "/", false},
    {"[\\]]", "]", true},
    {"[ab", "[ab", true},
    {"[", "[", true},
    {"\\*", "*", true},
    {"\\*", "a", false},
    {"a\\", "a\\", true},
    {"**", "a/b/c", true},
    {"**", "", true},
    {"**/x", "x", true},
    {"**/x", "a/x", true},
    {"**/x", "a/b/x", true},
    {"**/x", "ax", false},
    {"**/x", "a/bx", false},
    {"a/**/x", "a/x", true},
    {"a/**/x", "a/b/c/x", true},
    {"a/**/x", "ab/x", false},
    {"a/**/x", "a/bx", false},
    {"a/**", "a/b/c", true},
    {"a/**", "a", false},
    {"a**b", "axxb", true},
    {"**/*.c", "a/b.c", true},
    {"**/a/**/b", "x/a/y/z/b", true},
    {"a/*/b", "a/x/b", true},
    {"a/*/b", "a/x/y/b", false},
    {"\xff", "\xff", true},
    {"?", "\xff", true},
    {"*\xff", "ab\xff", true},
};

static void wildcards_fit(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wildcards); i++) {
        struct arena arena;
        struct wildcard *wildcard;
        arena_init(&arena, 0);
        assert_int_equal(wildcard_read(str_of(wildcards[i].pattern), &arena, &wildcard).code,
                         CODE_OK);
        if (wildcard_matches(wildcard, str_of(wildcards[i].path)) != wildcards[i].fits) {
            fail_msg("\"%s\" of \"%s\"", wildcards[i].pattern, wildcards[i].path);
        }
        arena_fini(&arena);
    }
}

static void a_pattern_has_a_length(void **state)
{
    (void)state;
    struct arena arena;
    struct wildcard *wildcard;
    char text[WILDCARD_BYTES_MAX + 1];
    memset(text, '*', sizeof text);
    arena_init(&arena, 0);
    assert_int_equal(wildcard_read(str_make(text, sizeof text), &arena, &wildcard).code,
                     CODE_INVALID_ARGUMENT);
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = i % 2 == 0 ? '*' : 'a';
    }
    assert_int_equal(wildcard_read(str_make(text, sizeof text - 1), &arena, &wildcard).code,
                     CODE_OK);
    char path[4096];
    memset(path, 'a', sizeof path);
    path[sizeof path - 1] = 'b';
    assert_false(wildcard_matches(wildcard, str_make(path, sizeof path)));
    arena_fini(&arena);
}

static void assert_ways(const char *text, size_t count, const char *wanted)
{
    struct arena arena;
    str *ways;
    size_t found;
    char joined[256] = "";
    arena_init(&arena, 0);
    assert_int_equal(wildcard_ways(str_of(text), &arena, &ways, &found).code, CODE_OK);
    assert_int_equal(found, count);
    for (size_t i = 0; i < found; i++) {
        size_t len = strlen(joined);
        snprintf(joined + len, sizeof joined - len, "%s" STR_FMT, i == 0 ? "" : " ",
                 STR_ARG(ways[i]));
    }
    assert_string_equal(joined, wanted);
    arena_fini(&arena);
}

static void braces_are_ways(void **state)
{
    (void)state;
    assert_ways("a", 1, "a");
    assert_ways("a.{c,h}", 2, "a.c a.h");
    assert_ways("{a,b{c,d}}", 4, "bc a a bd");
    assert_ways("a{", 1, "a{");
    assert_ways("\\{a,b}", 1, "\\{a,b}");
    assert_ways("a{,x}", 2, "a ax");
    assert_ways("", 1, "");
}

static void braces_have_a_limit(void **state)
{
    (void)state;
    struct arena arena;
    str *ways;
    size_t count;
    arena_init(&arena, 0);
    status outcome =
        wildcard_ways(STR("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}"), &arena, &ways, &count);
    assert_int_equal(outcome.code, CODE_INVALID_ARGUMENT);
    arena_fini(&arena);
}

static const char outer_rules[] = "# a comment\n"
                                  "*.log\n"
                                  "!keep.log\r\n"
                                  "build/\n"
                                  "/top\n"
                                  "docs/*.md\n"
                                  "\\#odd  \n"
                                  "\n"
                                  "deep/**/x";

static const struct {
    const char *path;
    bool is_folder;
    bool is_ignored;
} ignored[] = {
    {"a.log", false, true},        {"x/a.log", false, true},      {"keep.log", false, false},
    {"x/keep.log", false, false},  {"build", true, true},         {"x/build", true, true},
    {"build", false, false},       {"top", false, true},          {"x/top", false, false},
    {"docs/a.md", false, true},    {"docs/b/a.md", false, false}, {"x/docs/a.md", false, false},
    {"#odd", false, true},         {"# a comment", false, false}, {"deep/x", false, true},
    {"deep/a/b/x", false, true},   {"inner/top", false, true},    {"inner/b.log", false, false},
    {"inner/x/top", false, false},
};

static void ignore_files_decide(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct ignore *outer = ignore_read(str_of(outer_rules), STR_EMPTY, NULL, &arena);
    struct ignore *inner = ignore_read(STR("/top\n!b.log"), STR("inner"), outer, &arena);
    for (size_t i = 0; i < COUNT_OF(ignored); i++) {
        str path = str_of(ignored[i].path);
        const struct ignore *rules = str_starts_with(path, STR("inner/")) ? inner : outer;
        if (ignore_has(rules, path, ignored[i].is_folder) != ignored[i].is_ignored) {
            fail_msg("\"%s\"", ignored[i].path);
        }
    }
    assert_false(ignore_has(NULL, STR("a.log"), false));
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wildcards_fit),       cmocka_unit_test(a_pattern_has_a_length),
        cmocka_unit_test(braces_are_ways),     cmocka_unit_test(braces_have_a_limit),
        cmocka_unit_test(ignore_files_decide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
