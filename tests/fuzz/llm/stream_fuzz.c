/*
 * Goal:   no bytes crash the stream parser, and the records do not depend on how they are cut.
 * Method: the first byte picks the framing and the cuts; the rest is fed whole and in pieces.
 */
#include <stdint.h>
#include <stdlib.h>

#include "service/llm/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool note_record(void *context, str event, str data)
{
    struct buf *log = (struct buf *)context;
    buf_put(log, event);
    buf_put_char(log, '\0');
    buf_put(log, data);
    buf_put_char(log, '\n');
    return true;
}

static void run(enum stream_framing framing, str text, size_t piece, struct buf *ret)
{
    struct stream stream;
    status outcome = STATUS_OK;
    stream_init(&stream, framing, 4096, note_record, ret);
    for (size_t at = 0; at < text.len && status_is_ok(outcome); at += piece) {
        size_t left = text.len - at;
        outcome = stream_feed(&stream, str_make(text.ptr + at, left < piece ? left : piece));
    }
    if (status_is_ok(outcome)) {
        outcome = stream_finish(&stream);
    }
    buf_put_char(ret, status_is_ok(outcome) ? '+' : '-');
    stream_fini(&stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = {0};
    struct buf cut = {0};
    if (size < 1) {
        return 0;
    }
    enum stream_framing framing = (data[0] & 1) != 0 ? STREAM_LINES : STREAM_EVENTS;
    str text = str_make(data + 1, size - 1);
    run(framing, text, text.len + 1, &whole);
    run(framing, text, 1 + (size_t)(data[0] >> 1), &cut);
    assert(str_equal(buf_str(&whole), buf_str(&cut)));
    buf_fini(&whole);
    buf_fini(&cut);
    return 0;
}
