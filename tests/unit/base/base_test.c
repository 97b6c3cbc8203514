/*
 * Goal:   each small value of base keeps its promise, at its edges too.
 * Method: known answers (published vectors where there are some), then boundaries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/base/arena.h"
#include "service/base/base.h"
#include "service/base/buf.h"
#include "service/base/crc32c.h"
#include "service/base/failure.h"
#include "service/base/sys.h"
#include "service/base/uuid.h"

static void assert_str(str actual, const char *expected)
{
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.ptr, expected, actual.len);
}

static void codes_are_named(void **state)
{
    (void)state;
    assert_string_equal(code_name(CODE_OK), "OK");
    assert_string_equal(code_name(CODE_DATA_LOSS), "DATA_LOSS");
    assert_string_equal(code_name((enum code)99), "UNKNOWN");
}

static status passes_on(enum code code)
{
    TRY(status_make(code, "because"));
    return status_make(CODE_ABORTED, "went on");
}

static void try_returns_failures_only(void **state)
{
    (void)state;
    assert_int_equal(passes_on(CODE_NOT_FOUND).code, CODE_NOT_FOUND);
    assert_int_equal(passes_on(CODE_OK).code, CODE_ABORTED);
}

static void str_helpers(void **state)
{
    (void)state;
    assert_true(str_starts_with(STR("abc"), STR("ab")));
    assert_true(str_starts_with(STR_EMPTY, STR_EMPTY));
    assert_false(str_starts_with(STR("ab"), STR("abc")));
    assert_str(str_trim(STR(" \t a b \r\n")), "a b");
    assert_int_equal(str_trim(STR("  ")).len, 0);
    assert_true(str_is(STR("x"), "x"));
    assert_true(str_equal(STR_EMPTY, str_of("")));
    assert_int_equal(str_hash(STR("")), 0xcbf29ce484222325u);
    assert_int_equal(str_hash(STR("foobar")), 0x85944171f73967e8u);
}

static void arena_gives_aligned_memory(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t bytes = 0; bytes < 40000; bytes += 997) {
        char *memory = arena_alloc(&arena, bytes);
        assert_int_equal((uintptr_t)memory % 16, 0);
        memset(memory, 0xab, bytes);
    }
    char *zeroed = arena_zalloc(&arena, 100);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(zeroed[i], 0);
    }
    arena_fini(&arena);
}

static void arena_reset_keeps_one_small_block(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    (void)arena_alloc(&arena, 100);
    (void)arena_alloc(&arena, 1 << 20);
    arena_reset(&arena);
    assert_true(arena.bytes > 0 && arena.bytes < 1 << 17);
    void *first = arena_alloc(&arena, 8);
    arena_reset(&arena);
    assert_ptr_equal(arena_alloc(&arena, 8), first);
    arena_fini(&arena);
    assert_int_equal(arena.bytes, 0);
}

static void bounded_arenas_say_when_they_are_over(void **state)
{
    (void)state;
    struct arena arena;
    arena_init_bounded(&arena, 1 << 20);
    assert_int_equal(arena_check(&arena).code, CODE_OK);
    memset(arena_alloc(&arena, 1 << 19), 1, 1 << 19);
    assert_int_equal(arena_check(&arena).code, CODE_OK);
    memset(arena_alloc(&arena, 1 << 20), 1, 1 << 20); /* It gives it all the same. */
    assert_int_equal(arena_check(&arena).code, CODE_RESOURCE_EXHAUSTED);
    arena_reset(&arena);
    assert_int_equal(arena_check(&arena).code, CODE_OK);
    memset(arena_alloc(&arena, 2 << 20), 1, 2 << 20); /* It is bounded still. */
    assert_int_equal(arena_check(&arena).code, CODE_RESOURCE_EXHAUSTED);
    arena_fini(&arena);
}

static void arena_texts(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    str copy = arena_copy(&arena, (str){"abcd", 2});
    assert_str(copy, "ab");
    assert_int_equal(copy.ptr[2], '\0');
    assert_string_equal(arena_cstr(&arena, STR_EMPTY), "");
    assert_str(arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
    status failure = arena_fail(&arena, CODE_NOT_FOUND, "no run %d", 3);
    assert_int_equal(failure.code, CODE_NOT_FOUND);
    assert_string_equal(failure.why, "no run 3");
    arena_fini(&arena);
}

static void json(const char *expected, str text)
{
    struct buf buf = {0};
    buf_put_json_string(&buf, text);
    assert_str(buf_str(&buf), expected);
    buf_fini(&buf);
}

static void buf_escapes_json(void **state)
{
    (void)state;
    json("\"\"", STR_EMPTY);
    json("\"a\\\"b\\\\c/\"", STR("a\"b\\c/"));
    json("\"\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\"", STR("\b\f\n\r\t\0\x1f\x7f"));
    json("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
}

#define REPLACED "\xef\xbf\xbd"

static void buf_replaces_bad_utf8(void **state)
{
    (void)state;
    json("\"" REPLACED "\"", STR("\x80"));
    json("\"a" REPLACED "\"", STR("a\xc3"));
    json("\"" REPLACED REPLACED "\"", STR("\xc0\xaf"));
    json("\"" REPLACED REPLACED REPLACED "\"", STR("\xed\xa0\x80"));
    json("\"" REPLACED REPLACED REPLACED "x\"", STR("\xf0\x9f\x98x"));
    json("\"" REPLACED REPLACED REPLACED REPLACED "\"", STR("\xf4\x90\x80\x80"));
}

static void buf_grows_and_resets(void **state)
{
    (void)state;
    struct buf buf = {0};
    for (int i = 0; i < 1000; i++) {
        buf_printf(&buf, "%03d", i);
    }
    assert_int_equal(buf.len, 3000);
    assert_memory_equal(buf.ptr + 2997, "999", 3);
    buf_reset(&buf);
    buf_put_u32_le(&buf, 0x01020304);
    buf_put_u64_le(&buf, 0x05060708090a0b0c);
    assert_memory_equal(buf.ptr, "\x04\x03\x02\x01\x0c\x0b\x0a\x09\x08\x07\x06\x05", 12);
    buf_put(&buf, STR_EMPTY);
    assert_int_equal(buf.len, 12);
    buf_fini(&buf);
    assert_null(buf.ptr);
}

static void crc32c_known_answers(void **state)
{
    (void)state;
    char zeros[32] = {0};
    char text[1000];
    assert_int_equal(crc32c(0, STR("123456789")), 0xe3069283);
    assert_int_equal(crc32c(0, str_make(zeros, sizeof(zeros))), 0x8a9136aa);
    assert_int_equal(crc32c(0, STR_EMPTY), 0);
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)(i * 31 + i / 7);
    }
    for (size_t len = 0; len < sizeof(text); len += 13) {
        uint32_t whole = crc32c(0, str_make(text, len));
        assert_int_equal(whole, crc32c_portable(0, str_make(text, len)));
        uint32_t half = crc32c(0, str_make(text, len / 2));
        assert_int_equal(whole, crc32c(half, str_make(text + len / 2, len - len / 2)));
    }
}

static void uuid_round_trip(void **state)
{
    (void)state;
    const uint8_t ones[10] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    char text[UUID_TEXT_BYTES];
    uuid id = uuid_v7(0x0123456789ab, ones);
    uuid back;
    uuid_format(id, text);
    assert_string_equal(text, "01234567-89ab-7fff-bfff-ffffffffffff");
    assert_true(uuid_parse(str_of(text), &back));
    assert_true(uuid_equal(id, back));
    assert_int_equal(uuid_time_ms(back), 0x0123456789ab);
    assert_true(uuid_parse(STR("01234567-89AB-7FFF-BFFF-FFFFFFFFFFFF"), &back));
    assert_true(uuid_equal(id, back));
    assert_true(memcmp(&id, &(uuid){0}, sizeof(id)) > 0);
    uuid later = uuid_v7(0x0123456789ac, (const uint8_t[10]){0});
    assert_true(memcmp(&id, &later, sizeof(id)) < 0);
}

static void uuid_refuses_other_forms(void **state)
{
    (void)state;
    uuid id = {{1}};
    assert_false(uuid_parse(STR(""), &id));
    assert_false(uuid_parse(STR("0123456789ab7fffbfffffffffffffffffff"), &id));
    assert_false(uuid_parse(STR("01234567-89ab-7fff-bfff-fffffffffff"), &id));
    assert_false(uuid_parse(STR("01234567-89ab-7fff-bfff-fffffffffffg"), &id));
    static const size_t dashes[] = {8, 13, 18, 23};
    for (size_t i = 0; i < COUNT_OF(dashes); i++) {
        char text[] = "01234567-89ab-7fff-bfff-ffffffffffff";
        text[dashes[i]] = '0';
        assert_false(uuid_parse(str_of(text), &id));
    }
    static const char others[] = {'/', ':', '@', 'G', '`', 'g', ' '};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        char text[] = "01234567-89ab-7fff-bfff-ffffffffffff";
        text[i] = others[i];
        assert_false(uuid_parse(str_of(text), &id));
    }
    assert_false(uuid_parse(STR("{1234567-89ab-7fff-bfff-fffffffffff}"), &id));
    assert_int_equal(id.bytes[0], 1);
    assert_true(uuid_is_zero((uuid){{0}}));
}

static void clocks_and_randomness(void **state)
{
    (void)state;
    uint64_t before_us = sys_monotonic_us();
    uint8_t a[16] = {0};
    uint8_t b[16] = {0};
    sys_random(a, sizeof(a));
    sys_random(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    assert_true((uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000 >= before_us);
    assert_true(sys_monotonic_us() >=
                (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    clock_gettime(CLOCK_REALTIME, &now);
    assert_true(sys_now_ms() >= (uint64_t)now.tv_sec * 1000);
    assert_true(sys_now_ms() < (uint64_t)now.tv_sec * 1000 + 3600000);
    assert_true(sys_now_ms() > 1700000000000u);
}

/* Runs with stderr going into a pipe; ret gets what was written. */
static size_t captured_log(const char *value, char *ret, size_t bytes_max)
{
    int ends[2];
    int old = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    log_line(LOG_WARN, "thing_happened", "run=%s", value);
    log_line(LOG_DEBUG, "too_quiet", "run=%s", value);
    dup2(old, STDERR_FILENO);
    close(old);
    close(ends[1]);
    ssize_t len = read(ends[0], ret, bytes_max);
    close(ends[0]);
    assert_true(len > 0);
    return (size_t)len;
}

static void log_line_is_one_line(void **state)
{
    (void)state;
    char line[4096];
    char value[3000];
    size_t len = captured_log("a\nb", line, sizeof(line) - 1);
    line[len] = '\0';
    assert_string_equal(line + 24, " warn  thing_happened run=a b\n");
    memset(value, 'v', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    len = captured_log(value, line, sizeof(line));
    assert_true(len <= 2048);
    assert_memory_equal(line + len - 5, "v...\n", 5);
}

/* Lines below the level are left out; the ones at it are not. */
static void log_lines_have_a_level(void **state)
{
    (void)state;
    static const char *const words[] = {" debug ", " info  ", " warn  ", " error "};
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        int ends[2];
        char text[4096];
        int old = dup(STDERR_FILENO);
        assert_int_equal(pipe(ends), 0);
        dup2(ends[1], STDERR_FILENO);
        log_level_set((enum log_level)level);
        for (int said = LOG_DEBUG; said <= LOG_ERROR; said++) {
            log_line((enum log_level)said, "said", "level=%d", said);
        }
        dup2(old, STDERR_FILENO);
        close(old);
        close(ends[1]);
        ssize_t len = read(ends[0], text, sizeof(text) - 1);
        close(ends[0]);
        assert_true(len > 0);
        text[len] = '\0';
        for (int said = LOG_DEBUG; said <= LOG_ERROR; said++) {
            assert_int_equal(strstr(text, words[said]) != NULL, said >= level);
        }
    }
    log_level_set(LOG_INFO);
}

/* What cannot be read of a run is another thing than a run that is not there, or a bad disk. */
static void failures_of_runs_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        enum code code;
        enum code told;
        enum reason reason;
        const char *field;
        const char *message;
    } rows[] = {
        {CODE_NOT_FOUND, CODE_NOT_FOUND, REASON_RUN_NOT_FOUND, "run_id", "there is no run"},
        {CODE_DATA_LOSS, CODE_DATA_LOSS, REASON_RUN_UNREADABLE, "", "is set apart: because"},
        {CODE_FAILED_PRECONDITION, CODE_DATA_LOSS, REASON_RUN_UNREADABLE, "",
         "is set apart: because"},
        {CODE_UNAVAILABLE, CODE_UNAVAILABLE, REASON_STORE_DAMAGED, "", "because"},
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct failure failure = failure_of_run(status_make(rows[i].code, "because"), &arena);
        assert_true(failure_happened(&failure));
        assert_int_equal(failure.code, rows[i].told);
        assert_int_equal(failure.reason, rows[i].reason);
        assert_true(str_is(failure.field, rows[i].field));
        assert_non_null(strstr(arena_cstr(&arena, failure.message), rows[i].message));
    }
    assert_false(failure_happened(NULL));
    assert_false(failure_happened(&(struct failure){0}));
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_named),
        cmocka_unit_test(try_returns_failures_only),
        cmocka_unit_test(str_helpers),
        cmocka_unit_test(arena_gives_aligned_memory),
        cmocka_unit_test(arena_reset_keeps_one_small_block),
        cmocka_unit_test(bounded_arenas_say_when_they_are_over),
        cmocka_unit_test(arena_texts),
        cmocka_unit_test(buf_escapes_json),
        cmocka_unit_test(buf_replaces_bad_utf8),
        cmocka_unit_test(buf_grows_and_resets),
        cmocka_unit_test(crc32c_known_answers),
        cmocka_unit_test(uuid_round_trip),
        cmocka_unit_test(uuid_refuses_other_forms),
        cmocka_unit_test(clocks_and_randomness),
        cmocka_unit_test(log_line_is_one_line),
        cmocka_unit_test(log_lines_have_a_level),
        cmocka_unit_test(failures_of_runs_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
