/*
 * Goal:   of an output of any length the first fifth and the last four of what may be kept are
 *         kept, whole characters only, however the bytes were cut on their way.
 * Method: the same text in pieces of each size, compared with what it should be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clients/sandbox/box/kept.h"

struct outcome {
    struct arena arena;
    str text;
    str shown;
    bool is_cut;
};

static struct outcome keep(str text, uint64_t chars_max, size_t piece)
{
    struct outcome outcome;
    struct kept kept;
    struct buf shown = {0};
    arena_init(&outcome.arena, 0);
    kept_init(&kept, chars_max);
    for (size_t at = 0; at < text.len; at += piece) {
        size_t len = text.len - at < piece ? text.len - at : piece;
        kept_add(&kept, str_make(text.ptr + at, len), &shown);
    }
    kept_end(&kept);
    outcome.text = kept_text(&kept, &outcome.arena);
    outcome.is_cut = kept_is_cut(&kept);
    outcome.shown = buf_finish(&shown, &outcome.arena);
    kept_fini(&kept);
    return outcome;
}

static void assert_str(str got, const char *wanted)
{
    assert_int_equal(got.len, strlen(wanted));
    assert_memory_equal(got.ptr, wanted, got.len);
}

static void assert_kept(str text, uint64_t chars_max, const char *wanted, bool is_cut)
{
    for (size_t piece = 1; piece <= text.len; piece++) {
        struct outcome outcome = keep(text, chars_max, piece);
        assert_str(outcome.text, wanted);
        assert_int_equal(outcome.is_cut, is_cut);
        arena_fini(&outcome.arena);
    }
}

static void what_fits_is_kept_whole(void **state)
{
    (void)state;
    assert_kept(STR("0123456789"), 10, "0123456789", false);
    assert_kept(STR("a"), 1, "a", false);
}

static void of_more_the_middle_goes(void **state)
{
    (void)state;
    assert_kept(STR("0123456789a"), 10, "01\n\n--- truncated 1 characters ---\n\n3456789a", true);
    assert_kept(STR("ab"), 1, "\n\n--- truncated 1 characters ---\n\nb", true);
    assert_kept(STR("0123456789abcdefghijklmnopqrstuvwxyz"), 5,
                "0\n\n--- truncated 31 characters ---\n\nwxyz", true);
}

static void characters_count_not_bytes(void **state)
{
    (void)state;
    assert_kept(STR("\u00e4\u20ac\U0001f600\u00e4\u00f6"), 5, "\u00e4\u20ac\U0001f600\u00e4\u00f6",
                false);
    assert_kept(STR("\u00e4\u20ac\U0001f600\u00e4\u00f6\u00fc"), 5,
                "\u00e4\n\n--- truncated 1 characters ---\n\n\U0001f600\u00e4\u00f6\u00fc", true);
}

static void what_is_no_character_is_replaced(void **state)
{
    (void)state;
    assert_kept(STR("a\xff"
                    "b"),
                10, "a\ufffdb", false);
    assert_kept(STR("a\xe2\x82"), 10, "a\ufffd\ufffd", false);
    assert_kept(STR("\xe2"
                    "a"),
                10, "\ufffda", false);
}

static void colours_go(void **state)
{
    (void)state;
    assert_kept(STR("\x1b[1;31mred\x1b[0m \x1b[?25lx"), 10, "red x", false);
    assert_kept(STR("\x1b"), 10, "\x1b", false);
    assert_kept(STR("\x1b[12"), 10, "\x1b[12", false);
    assert_kept(STR("\x1bXa"), 10, "\x1bXa", false);
}

static void endless_colours_are_text(void **state)
{
    (void)state;
    char text[1000];
    memset(text, '1', sizeof text);
    text[0] = '\x1b';
    text[1] = '[';
    for (size_t piece = 1; piece < 200; piece += 7) {
        struct outcome outcome = keep(str_make(text, sizeof text), 2000, piece);
        assert_int_equal(outcome.text.len, sizeof text);
        arena_fini(&outcome.arena);
    }
}

static void what_is_shown_is_what_is_kept(void **state)
{
    (void)state;
    struct outcome outcome = keep(STR("\x1b[1mab\xffxyz\u00e4"), 10, 1);
    assert_str(outcome.shown, "ab\ufffdxyz\u00e4");
    arena_fini(&outcome.arena);
}

static void memory_has_a_bound(void **state)
{
    (void)state;
    struct kept kept;
    char text[1000];
    memset(text, 'x', sizeof text);
    kept_init(&kept, 100);
    for (int i = 0; i < 10000; i++) {
        kept_add(&kept, str_make(text, sizeof text), NULL);
    }
    assert_int_equal(kept.chars, 10000000);
    assert_true(kept.tail.cap < 1000);
    kept_fini(&kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_kept_whole),
        cmocka_unit_test(of_more_the_middle_goes),
        cmocka_unit_test(characters_count_not_bytes),
        cmocka_unit_test(what_is_no_character_is_replaced),
        cmocka_unit_test(colours_go),
        cmocka_unit_test(endless_colours_are_text),
        cmocka_unit_test(what_is_shown_is_what_is_kept),
        cmocka_unit_test(memory_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
