/*
 * Goal:   the stream parser finds the records a reader of the standard would, however the
 *         bytes are cut, and never holds more than its limit.
 * Method: known texts with the records written beside them; each cut at every pair of places.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/llm/stream.h"

struct log {
    struct buf text; /* "event=data|" for each record. */
    size_t stop_after; /* 0: never. */
    size_t count;
};

static bool note_record(void *context, str event, str data)
{
    struct log *log = (struct log *)context;
    buf_put(&log->text, event);
    buf_put_char(&log->text, '=');
    buf_put(&log->text, data);
    buf_put_char(&log->text, '|');
    log->count++;
    return log->count != log->stop_after;
}

static void check_pieces(const char *text, enum stream_framing framing, const char *expected,
                         size_t first, size_t second)
{
    struct log log = {0};
    struct stream stream;
    size_t len = strlen(text);
    stream_init(&stream, framing, 0, note_record, &log);
    assert_true(status_is_ok(stream_feed(&stream, str_make(text, first))));
    assert_true(status_is_ok(stream_feed(&stream, str_make(text + first, second - first))));
    assert_true(status_is_ok(stream_feed(&stream, str_make(text + second, len - second))));
    assert_true(status_is_ok(stream_finish(&stream)));
    if (!str_is(buf_str(&log.text), expected)) {
        fail_msg("cut at %zu and %zu: got " STR_FMT ", expected %s", first, second,
                 STR_ARG(buf_str(&log.text)), expected);
    }
    stream_fini(&stream);
    buf_fini(&log.text);
}

static void check(const char *text, enum stream_framing framing, const char *expected)
{
    for (size_t first = 0; first <= strlen(text); first++) {
        for (size_t second = first; second <= strlen(text); second++) {
            check_pieces(text, framing, expected, first, second);
        }
    }
}

static void test_events(void **state)
{
    (void)state;
    check("data: a\n\ndata:b\n\n", STREAM_EVENTS, "=a|=b|");
    check("data: a\r\n\r\ndata: b\r\rdata: c\n\r\n", STREAM_EVENTS, "=a|=b|=c|");
    check("event: x\r\ndata: a\r\ndata: b\r\n\r\n", STREAM_EVENTS, "x=a\nb|");
    check("event: x\ndata: a\n\ndata: b\n\n", STREAM_EVENTS, "x=a|=b|");
    check("data: a\ndata\ndata:  b\n\n", STREAM_EVENTS, "=a\n\n b|");
    check(": c\nid: 1\nretry: 2\nwhat: 3\ndata: a\n\n", STREAM_EVENTS, "=a|");
    check("event: lost\n\ndata: a\n\n\n\n", STREAM_EVENTS, "=a|");
    check("\xef\xbb\xbf"
          "data: a\n\n",
          STREAM_EVENTS, "=a|");
    check("data: a\n\xef\xbb\xbf"
          "data: b\n\n",
          STREAM_EVENTS, "=a|");
    check("data: a\n\ndata: {\"b\":1}", STREAM_EVENTS, "=a|={\"b\":1}|");
    check("data:\n\ndata: \n\n", STREAM_EVENTS, "");
    check("", STREAM_EVENTS, "");
}

static void test_lines(void **state)
{
    (void)state;
    check("{\"a\":1}\n\n {\"b\":2} \r\n{\"c\":3}", STREAM_LINES,
          "={\"a\":1}|={\"b\":2}|={\"c\":3}|");
    check("\xef\xbb\xbf{}\n", STREAM_LINES, "={}|");
}

static void test_stops_when_told(void **state)
{
    struct log log = {.stop_after = 2};
    struct stream stream;
    (void)state;
    stream_init(&stream, STREAM_EVENTS, 0, note_record, &log);
    assert_true(status_is_ok(stream_feed(&stream, STR("data: a\n\ndata: b\n\ndata: c\n\n"))));
    assert_true(status_is_ok(stream_feed(&stream, STR("data: d\n\n"))));
    assert_true(status_is_ok(stream_finish(&stream)));
    assert_true(str_is(buf_str(&log.text), "=a|=b|"));
    stream_fini(&stream);
    buf_fini(&log.text);
}

static status feed_repeated(size_t bytes_max, str piece, size_t times)
{
    struct log log = {0};
    struct stream stream;
    status outcome = STATUS_OK;
    stream_init(&stream, STREAM_EVENTS, bytes_max, note_record, &log);
    for (size_t i = 0; i < times && status_is_ok(outcome); i++) {
        outcome = stream_feed(&stream, piece);
        assert_true(stream.line.len <= bytes_max && stream.data.len <= bytes_max);
    }
    stream_fini(&stream);
    buf_fini(&log.text);
    return outcome;
}

static void test_limits(void **state)
{
    (void)state;
    assert_int_equal(feed_repeated(100, STR("x"), 101).code, CODE_RESOURCE_EXHAUSTED);
    assert_int_equal(feed_repeated(100, STR("x"), 100).code, CODE_OK);
    assert_int_equal(feed_repeated(100, STR("data: 0123456789\n"), 10).code,
                     CODE_RESOURCE_EXHAUSTED);
    assert_int_equal(feed_repeated(100, STR("data: 0123456789\n"), 9).code, CODE_OK);
    assert_int_equal(feed_repeated(100, STR("data: 0123456789\n\n"), 1000).code, CODE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_stops_when_told),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
