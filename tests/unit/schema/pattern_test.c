/*
 * Goal:   a pattern matches what ECMA-262 says it does, in time that grows with the text alone.
 * Method: patterns beside texts; those that ruin whoever goes back and forth, with their steps
 *         counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/buf.h"
#include "service/schema/pattern.h"

enum {
    STEPS = 1000000,
};

static bool matches(const char *pattern_text, str text)
{
    struct arena arena;
    struct pattern *pattern;
    uint64_t steps = STEPS;
    arena_init(&arena, 0);
    status read = pattern_read(str_of(pattern_text), &arena, &pattern);
    if (!status_is_ok(read)) {
        fail_msg("%s: %s", pattern_text, read.why);
    }
    bool found = pattern_matches(pattern, text, &steps);
    assert_true(steps > 0);
    arena_fini(&arena);
    return found;
}

static const struct {
    const char *pattern;
    const char *yes; /* Texts, a space between two. */
    const char *no;
} pairs[] = {
    {"abc", "abc xabcx", "ab abd"},
    {"^a|b$", "ax xb a b", "xa bx"},
    {"^(a|b|cd|)$", "a b cd", "c d abc"},
    {"^a*$", "a aaaa", "b ab"},
    {"^a+b?$", "a ab aab", "b abb"},
    {"^a{2}$", "aa", "a aaa"},
    {"^a{2,}$", "aa aaa aaaaaa", "a"},
    {"^a{1,3}$", "a aa aaa", "aaaa"},
    {"^a{0}b$", "b", "ab"},
    {"^(ab){2,3}?$", "abab ababab", "ab abababab"},
    {"^(a*)*$", "aaa", "ab"},
    {"^(a?){3}a{3}$", "aaa aaaa aaaaaa", "aa aaaaaaa"},
    {"^[a-c]+$", "abc", "abd -"},
    {"^[^a-c]+$", "xyz", "xaz"},
    {"^[-a\\]]+$", "-a] ]", "b"},
    {"^[\\d.]+$", "1.2 .", "a"},
    {"^[^\\D]+$", "12", "1a"},
    {"^\\w+@\\w+\\.(com|org)$", "me@here.org", "me@here.net me@.com"},
    {"^\\u0041\\x42\\u{43}$", "ABC", "abc"},
    {"^.$", "a \xc3\xa9 \xf0\x9f\x98\x80", "ab"},
    {"^\\uD83D\\uDE00$", "\xf0\x9f\x98\x80", "a"},
    {"\\bcat\\b", "cat a-cat-b", "cats concat"},
    {"^a\\B", "ab", "a a-"},
    {"^(?:x)(?<year>\\d)$", "x1", "x"},
    {"^[\\b]$", "\b", "b"},
    {"^x{,2}$", "x{,2}", "x xx"},
    {"^x{2$", "x{2", "xx"},
    {"^[^a-zc-d]$", "A 1", "a c m z"},
    {"^[^c-da-z]$", "A 1 {", "a c m z"},
    {"^[a-cd-f0]$", "a c d f 0", "g 1"},
    {"^[^b-y]$", "a z", "b y m"},
    {"^\\cA\\cz$", "\x01\x1a", "A"},
    {"^\\f\\v$", "\f\v", "fv"},
    {"^a\\0?b$", "ab", "a0b"},
    {"^\\S\\W\\D$", "a-b", "a-1 aab"},
    {"^\\u{1F600}$", "\xf0\x9f\x98\x80", "a"},
    {"^[\\u0000-\\u{10ffff}]$", "a \xf4\x8f\xbf\xbf", "ab"},
    {"^a{1000}$|^b$", "b", "a"},
    {"^(?<n>a)(?:b)|c$", "ab xc", "b"},
    {"^a+?b*?c??$", "a aab abc", "b"},
    {"\\Bx\\B", "axb", "x ax xb"},
    {"^\\/\\.\\-$", "/.-", "/a-"},
};

static void test_matches(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        for (int wanted = 0; wanted < 2; wanted++) {
            str rest = str_of(wanted ? pairs[i].yes : pairs[i].no);
            while (rest.len > 0) {
                const char *space = memchr(rest.ptr, ' ', rest.len);
                size_t len = space == NULL ? rest.len : (size_t)(space - rest.ptr);
                str text = str_make(rest.ptr, len);
                if (matches(pairs[i].pattern, text) != wanted) {
                    fail_msg("%s and " STR_FMT, pairs[i].pattern, STR_ARG(text));
                }
                rest = str_make(rest.ptr + len, rest.len - len);
                rest = str_trim(rest);
            }
        }
    }
    assert_true(matches("^$", STR("")));
    assert_true(matches("", STR("anything")));
    assert_true(matches("^[^]$", STR("\n")));
    assert_false(matches(".", STR("\n")));
    assert_false(matches("a$", STR("a\n")));
    assert_false(matches("[]", STR("a")));
    assert_true(matches("^a\\u0000b$", STR("a\0b")));
}

static void test_what_is_no_pattern_is_refused(void **state)
{
    static const struct {
        const char *pattern;
        const char *why; /* Behind "is no pattern: ". */
    } rows[] = {
        {"\\u{}", "\\u{ without the number of a character and } at byte 3"},
        {"\\u{110000}", "\\u{ without the number of a character and } at byte 10"},
        {"\\u{0000041}", "\\u{ without the number of a character and } at byte 3"},
        {"\\u{41", "\\u{ without the number of a character and } at byte 5"},
        {"\\u{g}", "\\u{ without the number of a character and } at byte 3"},
        {"\\u004", "\\u without four hexadecimal digits at byte 2"},
        {"\\u00g1", "\\u without four hexadecimal digits at byte 2"},
        {"\\x4", "\\x without two hexadecimal digits at byte 2"},
        {"\\c1", "\\c without a letter at byte 2"},
        {"\\c", "\\c without a letter at byte 2"},
        {"a\\", "nothing after a backslash at byte 2"},
        {"\\p{L}", "\\p (properties of characters) is not supported at byte 2"},
        {"\\P{L}", "\\p (properties of characters) is not supported at byte 2"},
        {"(?<n>a)\\k<n>", "back references are not supported at byte 9"},
        {"(a)\\9", "back references are not supported at byte 5"},
        {"\\q", "an unknown escape at byte 2"},
        {"\\A", "an unknown escape at byte 2"},
        {"\xff", "bytes that are not UTF-8 at byte 0"},
        {"[b-a]", "a range that is none at byte 4"},
        {"[a-\\d]", "a range that is none at byte 5"},
        {"[a", "a [ without its ] at byte 2"},
        {"(?<n", "a group's name without its > at byte 4"},
        {"(?=a)", "looks ahead and behind are not supported at byte 2"},
        {"(?<=a)", "looks ahead and behind are not supported at byte 2"},
        {"(?<!a)", "looks ahead and behind are not supported at byte 2"},
        {"(?", "looks ahead and behind are not supported at byte 2"},
        {"a)", "a ) without its ( at byte 1"},
        {"*a", "nothing to repeat at byte 0"},
        {"a|+", "nothing to repeat at byte 2"},
        {"a**", "nothing to repeat at byte 2"},
        {"^?", "nothing to repeat at byte 1"},
        {"a{1001}", "a repeat beyond 1000, or from more to less, at byte 7"},
        {"a{0,1001}", "a repeat beyond 1000, or from more to less, at byte 9"},
        {"a{3,2}", "a repeat beyond 1000, or from more to less, at byte 6"},
        {"a{99999999999999999999}", "a repeat beyond 1000, or from more to less, at byte 23"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena;
        struct pattern *pattern;
        arena_init(&arena, 0);
        status read = pattern_read(str_of(rows[i].pattern), &arena, &pattern);
        assert_int_equal(read.code, CODE_INVALID_ARGUMENT);
        const char *head = "is no pattern: ";
        if (strncmp(read.why, head, strlen(head)) != 0 ||
            strcmp(read.why + strlen(head), rows[i].why) != 0) {
            fail_msg("%s: %s", rows[i].pattern, read.why);
        }
        arena_fini(&arena);
    }
}

static status read_repeated(const char *left, const char *right, size_t count)
{
    struct arena arena;
    struct pattern *pattern;
    struct buf text = {0};
    for (size_t i = 0; i < 2 * count; i++) {
        buf_put(&text, str_of(i < count ? left : right));
    }
    arena_init(&arena, 0);
    status read = pattern_read(buf_str(&text), &arena, &pattern);
    read.why = NULL;
    arena_fini(&arena);
    buf_fini(&text);
    return read;
}

static void test_patterns_are_bounded(void **state)
{
    (void)state;
    assert_int_equal(read_repeated("(", ")", 50).code, CODE_OK);
    assert_int_equal(read_repeated("(", ")", 51).code, CODE_INVALID_ARGUMENT);
    assert_int_equal(read_repeated("", "a", 1000).code, CODE_OK);
    assert_int_equal(read_repeated("a", "a", 20000).code, CODE_INVALID_ARGUMENT);
}

/* Whoever goes back and forth takes 2^30 steps for the first two, and 10^8 for the third. */
static void test_costs_grow_with_the_text_alone(void **state)
{
    static const char *const hostile[] = {"^(a+)+$", "^(a|a)*$", "a*a*a*a*b", "(x+x+)+y",
                                          "^(([a-z])+.)+[A-Z]([a-z])+$"};
    struct arena arena;
    struct buf text = {0};
    (void)state;
    arena_init(&arena, 0);
    for (int i = 0; i < 10000; i++) {
        buf_put_char(&text, i % 2 == 0 ? 'a' : 'x');
    }
    buf_put_char(&text, '!');
    for (size_t i = 0; i < COUNT_OF(hostile); i++) {
        struct pattern *pattern;
        uint64_t steps = STEPS;
        assert_true(status_is_ok(pattern_read(str_of(hostile[i]), &arena, &pattern)));
        assert_false(pattern_matches(pattern, buf_str(&text), &steps));
        assert_true(steps > STEPS - 30 * text.len);
    }
    buf_fini(&text);
    arena_fini(&arena);
}

static void test_stops_without_steps(void **state)
{
    struct arena arena;
    struct pattern *pattern;
    uint64_t steps = 100;
    (void)state;
    arena_init(&arena, 0);
    assert_true(status_is_ok(pattern_read(STR("(a{500}){2}$"), &arena, &pattern)));
    assert_false(pattern_matches(pattern, STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), &steps));
    assert_int_equal(steps, 0);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_what_is_no_pattern_is_refused),
        cmocka_unit_test(test_patterns_are_bounded),
        cmocka_unit_test(test_costs_grow_with_the_text_alone),
        cmocka_unit_test(test_stops_without_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
