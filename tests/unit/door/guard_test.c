/*
 * The guard of the port: what honest clients send passes, however it is cut, and each way of asking
 * for too much is named. docs/decisions/0039.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/buf.h"
#include "service/base/endian.h"
#include "service/door/guard.h"

enum {
    DATA = 0,
    HEADERS = 1,
    RST_STREAM = 3,
    SETTINGS = 4,
    PING = 6,
    WINDOW_UPDATE = 8,
    CONTINUATION = 9,
    UNKNOWN = 99,
    END_STREAM = 1,
    END_HEADERS = 4,
    PADDED = 8,
    NOW_US = 1000000,
    SECOND_US = 1000000,
};

/* A kind of frame that is counted by the second. */
struct rate_row {
    unsigned kind;
    unsigned flags;
    size_t bytes;
    enum guard_verdict verdict;
    uint32_t at_once;
    uint32_t per_s;
};

static void put_frame(struct buf *buf, unsigned kind, unsigned flags, uint32_t call, size_t bytes)
{
    uint8_t head[GUARD_HEAD_BYTES] = {0};
    endian_put_be(head, bytes, 3);
    head[3] = (uint8_t)kind;
    head[4] = (uint8_t)flags;
    endian_put_be(head + 5, call, 4);
    buf_put(buf, str_make(head, sizeof(head)));
    for (size_t i = 0; i < bytes; i++) {
        buf_put_char(buf, 'x');
    }
}

static void begin(struct guard *guard)
{
    guard_init(guard);
    str preface = STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_int_equal(guard_judge(guard, preface, NOW_US), GUARD_FINE);
    assert_true(guard_has_begun(guard));
}

/* Judges one frame. */
static enum guard_verdict send_at(struct guard *guard, uint64_t now_us, unsigned kind,
                                  unsigned flags, uint32_t call, size_t bytes)
{
    struct buf buf = {0};
    put_frame(&buf, kind, flags, call, bytes);
    enum guard_verdict verdict = guard_judge(guard, buf_str(&buf), now_us);
    buf_fini(&buf);
    return verdict;
}

static enum guard_verdict send_frame(struct guard *guard, unsigned kind, unsigned flags,
                                     uint32_t call, size_t bytes)
{
    return send_at(guard, NOW_US, kind, flags, call, bytes);
}

static void server_sends(struct guard *guard, unsigned kind, unsigned flags, uint32_t call,
                         size_t bytes)
{
    struct buf buf = {0};
    put_frame(&buf, kind, flags, call, bytes);
    guard_follow(guard, buf_str(&buf));
    buf_fini(&buf);
}

/* So many of these pass at that moment, and no more. */
static void check_fine(struct guard *guard, uint64_t now_us, const struct rate_row *row,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(send_at(guard, now_us, row->kind, row->flags, 1, row->bytes), GUARD_FINE);
    }
    struct guard copy = *guard; /* Who refused once is not asked again. */
    assert_int_equal(send_at(&copy, now_us, row->kind, row->flags, 1, row->bytes), row->verdict);
}

/* ---- the preface ---- */

static void test_something_else_than_http2_is_told_at_its_first_wrong_byte(void **state)
{
    (void)state;
    struct guard guard;
    guard_init(&guard);
    assert_int_equal(guard_judge(&guard, STR("PRI * HTTP/2.0\r\n\r\nS"), NOW_US), GUARD_FINE);
    assert_false(guard_has_begun(&guard));
    assert_int_equal(guard_judge(&guard, STR("X"), NOW_US), GUARD_NOT_HTTP2);
    guard_fini(&guard);
}

/* ---- honest traffic ---- */

/* A call with a message, its answer, pings, windows: cut at every byte it is the same. */
static void test_a_cut_changes_nothing(void **state)
{
    (void)state;
    struct buf all = {0};
    buf_put(&all, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    put_frame(&all, SETTINGS, 0, 0, 12);
    put_frame(&all, HEADERS, 0, 1, 300);
    put_frame(&all, CONTINUATION, END_HEADERS, 1, 300);
    put_frame(&all, DATA, 0, 1, 16384);
    put_frame(&all, DATA, END_STREAM, 1, 0);
    put_frame(&all, WINDOW_UPDATE, 0, 0, 4);
    put_frame(&all, PING, 0, 0, 8);
    put_frame(&all, RST_STREAM, 0, 1, 4);
    for (size_t piece = 1; piece < 40; piece++) {
        struct guard guard;
        guard_init(&guard);
        for (size_t at = 0; at < all.len; at += piece) {
            size_t len = all.len - at < piece ? all.len - at : piece;
            assert_int_equal(guard_judge(&guard, str_make(all.ptr + at, len), NOW_US), GUARD_FINE);
        }
        assert_int_equal(guard.open_count, 0);
        assert_int_equal(guard.newest, 1);
        guard_fini(&guard);
    }
    buf_fini(&all);
}

/* The fastest honest client seen: 90,000 messages a second, each its own frame, and windows. */
static void test_a_fast_client_is_never_cut(void **state)
{
    (void)state;
    struct guard guard;
    begin(&guard);
    assert_int_equal(send_frame(&guard, HEADERS, END_HEADERS, 1, 100), GUARD_FINE);
    for (uint32_t i = 0; i < 900000; i++) {
        uint64_t now_us = NOW_US + (uint64_t)i * SECOND_US / 90000;
        assert_int_equal(send_at(&guard, now_us, DATA, 0, 1, 7), GUARD_FINE);
        assert_int_equal(send_at(&guard, now_us, WINDOW_UPDATE, 0, 0, 4), GUARD_FINE);
        if (i % 10 == 0) {
            assert_int_equal(send_at(&guard, now_us, PING, 0, 0, 8), GUARD_FINE);
        }
    }
    guard_fini(&guard);
}

/* Unary calls, one after the other: each is over when the server has said so. */
static void test_calls_that_end_leave_their_places(void **state)
{
    (void)state;
    struct guard guard;
    begin(&guard);
    for (uint32_t i = 0; i < 4 * GUARD_OPEN_CALLS_MAX; i++) {
        uint32_t call = 2 * i + 1;
        uint64_t now_us = NOW_US + (uint64_t)i * 100;
        assert_int_equal(send_at(&guard, now_us, HEADERS, END_HEADERS, call, 50), GUARD_FINE);
        assert_int_equal(send_at(&guard, now_us, DATA, END_STREAM, call, 20), GUARD_FINE);
        assert_int_equal(guard.open_count, 1);
        switch (i % 3) { /* Trailers, a last message, a reset. */
        case 0:
            server_sends(&guard, HEADERS, END_HEADERS, call, 30);
            server_sends(&guard, HEADERS, END_HEADERS | END_STREAM, call, 30);
            break;
        case 1:
            server_sends(&guard, DATA, END_STREAM, call, 30);
            break;
        default:
            server_sends(&guard, RST_STREAM, 0, call, 4);
        }
        assert_int_equal(guard.open_count, 0);
    }
    guard_fini(&guard);
}

static void test_trailers_of_a_client_begin_no_call(void **state)
{
    (void)state;
    struct guard guard;
    begin(&guard);
    assert_int_equal(send_frame(&guard, HEADERS, END_HEADERS, 3, 50), GUARD_FINE);
    assert_int_equal(send_frame(&guard, HEADERS, END_HEADERS | END_STREAM, 3, 50), GUARD_FINE);
    assert_int_equal(guard.open_count, 1);
    guard_fini(&guard);
}

/* ---- what is refused ---- */

static void test_a_frame_may_have_so_many_bytes(void **state)
{
    (void)state;
    struct guard guard;
    begin(&guard);
    assert_int_equal(send_frame(&guard, HEADERS, END_HEADERS, 1, 10), GUARD_FINE);
    assert_int_equal(send_frame(&guard, DATA, 0, 1, GUARD_FRAME_BYTES_MAX), GUARD_FINE);
    assert_int_equal(send_frame(&guard, DATA, 0, 1, GUARD_FRAME_BYTES_MAX + 1), GUARD_LARGE_FRAME);
    guard_fini(&guard);
}

static void test_headers_may_have_so_many_bytes_in_all_their_frames(void **state)
{
    (void)state;
    struct guard guard;
    begin(&guard);
    assert_int_equal(send_frame(&guard, HEADERS, 0, 1, GUARD_HEADERS_BYTES_MAX / 2), GUARD_FINE);
    assert_int_equal(send_frame(&guard, CONTINUATION, 0, 1, GUARD_HEADERS_BYTES_MAX / 2),
                     GUARD_FINE);
    assert_int_equal(send_frame(&guard, CONTINUATION, END_HEADERS, 1, 1), GUARD_LARGE_HEADERS);
    guard_fini(&guard);
    begin(&guard); /* The next block is counted anew. */
    assert_int_equal(send_frame(&guard, HEADERS, END_HEADERS, 1, GUARD_HEADERS_BYTES_MAX),
                     GUARD_FINE);
    assert_int_equal(send_frame(&guard, HEADERS, END_HEADERS, 3, GUARD_HEADERS_BYTES_MAX),
                     GUARD_FINE);
    guard_fini(&guard);
}

static void test_nothing_stands_between_the_parts_of_headers(void **state)
{
    (void)state;
    struct guard guard;
    begin(&guard);
    assert_int_equal(send_frame(&guard, HEADERS, 0, 1, 10), GUARD_FINE);
    assert_int_equal(send_frame(&guard, PING, 0, 0, 8), GUARD_BROKEN_HEADERS);
    guard_fini(&guard);
    begin(&guard);
    assert_int_equal(send_frame(&guard, CONTINUATION, END_HEADERS, 1, 10), GUARD_BROKEN_HEADERS);
    guard_fini(&guard);
}

static void test_calls_may_be_open_so_many(void **state)
{
    (void)state;
    struct guard guard;
    begin(&guard);
    for (uint32_t i = 0; i < GUARD_OPEN_CALLS_MAX; i++) {
        assert_int_equal(send_frame(&guard, HEADERS, END_HEADERS, 2 * i + 1, 10), GUARD_FINE);
    }
    server_sends(&guard, RST_STREAM, 0, 1, 4); /* One is over: one more may begin. */
    uint32_t next = 2 * GUARD_OPEN_CALLS_MAX + 1;
    assert_int_equal(send_frame(&guard, HEADERS, END_HEADERS, next, 10), GUARD_FINE);
    assert_int_equal(send_frame(&guard, HEADERS, END_HEADERS, next + 2, 10), GUARD_OPEN_CALLS);
    guard_fini(&guard);
}

/* Each kind by itself: what may come at once, and what comes back with time. */
static void test_each_rate_has_its_bound(void **state)
{
    (void)state;
    static const struct rate_row rows[] = {
        {RST_STREAM, 0, 4, GUARD_RESETS, 400, 100},
        {SETTINGS, 0, 0, GUARD_SMALL_FRAMES, 1000, 200},
        {UNKNOWN, 0, 0, GUARD_SMALL_FRAMES, 1000, 200},
        {DATA, 0, 4, GUARD_SMALL_FRAMES, 1000, 200},
        {DATA, PADDED, 100, GUARD_SMALL_FRAMES, 1000, 200},
        {PING, 0, 8, GUARD_PINGS, 40000, 20000},
        {WINDOW_UPDATE, 0, 4, GUARD_WINDOWS, 400000, 200000},
        {HEADERS, END_HEADERS, 1, GUARD_CALLS, 40000, 20000},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct guard guard;
        begin(&guard);
        check_fine(&guard, NOW_US, &rows[i], rows[i].at_once);
        /* Half a second later half of a second's are there again. */
        check_fine(&guard, NOW_US + SECOND_US / 2, &rows[i], rows[i].per_s / 2);
        guard_fini(&guard);
    }
}

/* What ends a call may be as short as it likes, and so may the last part of headers. */
static void test_what_is_last_may_be_short(void **state)
{
    (void)state;
    struct guard guard;
    begin(&guard);
    for (uint32_t i = 0; i < 2000; i++) {
        assert_int_equal(send_frame(&guard, DATA, END_STREAM, 1, 0), GUARD_FINE);
        assert_int_equal(send_frame(&guard, DATA, 0, 1, 5), GUARD_FINE);
    }
    for (uint32_t i = 0; i < 2000; i++) {
        assert_int_equal(send_frame(&guard, HEADERS, 0, 1, 10), GUARD_FINE);
        assert_int_equal(send_frame(&guard, CONTINUATION, END_HEADERS, 1, 1), GUARD_FINE);
    }
    guard_fini(&guard);
    begin(&guard);
    assert_int_equal(send_frame(&guard, HEADERS, 0, 1, 10), GUARD_FINE);
    struct rate_row small = {CONTINUATION, 0, 1, GUARD_SMALL_FRAMES, 1000, 200};
    check_fine(&guard, NOW_US, &small, small.at_once);
    guard_fini(&guard);
}

static void test_each_verdict_has_a_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < GUARD_VERDICTS; i++) {
        assert_non_null(guard_verdict_name((enum guard_verdict)i));
    }
    assert_string_equal(guard_verdict_name(GUARD_RESETS), "RESETS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_something_else_than_http2_is_told_at_its_first_wrong_byte),
        cmocka_unit_test(test_a_cut_changes_nothing),
        cmocka_unit_test(test_a_fast_client_is_never_cut),
        cmocka_unit_test(test_calls_that_end_leave_their_places),
        cmocka_unit_test(test_trailers_of_a_client_begin_no_call),
        cmocka_unit_test(test_a_frame_may_have_so_many_bytes),
        cmocka_unit_test(test_headers_may_have_so_many_bytes_in_all_their_frames),
        cmocka_unit_test(test_nothing_stands_between_the_parts_of_headers),
        cmocka_unit_test(test_calls_may_be_open_so_many),
        cmocka_unit_test(test_each_rate_has_its_bound),
        cmocka_unit_test(test_what_is_last_may_be_short),
        cmocka_unit_test(test_each_verdict_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
