#include "service/llm/stream.h"

static const str byte_order_mark = {"\xef\xbb\xbf", 3};

void stream_init(struct stream *stream, enum stream_framing framing, size_t bytes_max,
                 stream_record_fn *record, void *context)
{
    assert(record != NULL);
    *stream = (struct stream){.framing = framing, .record = record, .context = context};
    stream->bytes_max = bytes_max == 0 ? STREAM_RECORD_BYTES_MAX : bytes_max;
}

void stream_fini(struct stream *stream)
{
    buf_fini(&stream->line);
    buf_fini(&stream->event);
    buf_fini(&stream->data);
}

static status too_long(void)
{
    return status_make(CODE_RESOURCE_EXHAUSTED, "a record of the stream is too long");
}

static void dispatch(struct stream *stream)
{
    str data = buf_str(&stream->data);
    assert(data.len == 0 || data.ptr[data.len - 1] == '\n');
    if (data.len > 0) {
        data.len--; /* Each data line left a line feed; the last one is not part of it. */
    }
    if (data.len > 0 && !stream->stopped) {
        stream->stopped = !stream->record(stream->context, buf_str(&stream->event), data);
    }
    buf_reset(&stream->event);
    buf_reset(&stream->data);
}

static status take_field(struct stream *stream, str name, str value)
{
    if (str_is(name, "event")) {
        buf_reset(&stream->event);
        buf_put(&stream->event, value);
    }
    if (str_is(name, "data")) {
        assert(stream->data.len <= stream->bytes_max);
        if (value.len >= stream->bytes_max - stream->data.len) {
            return too_long();
        }
        buf_put(&stream->data, value);
        buf_put_char(&stream->data, '\n');
    }
    return STATUS_OK; /* id, retry and unknown fields mean nothing here. */
}

static status take_event_line(struct stream *stream, str line)
{
    if (line.len == 0) {
        dispatch(stream);
        return STATUS_OK;
    }
    assert(memchr(line.ptr, '\n', line.len) == NULL);
    const char *colon = (const char *)memchr(line.ptr, ':', line.len);
    if (colon == line.ptr) {
        return STATUS_OK; /* A comment, sent to keep the connection alive. */
    }
    if (colon == NULL) {
        return take_field(stream, line, STR_EMPTY);
    }
    size_t name_len = (size_t)(colon - line.ptr);
    str value = str_make(colon + 1, line.len - name_len - 1);
    if (value.len > 0 && value.ptr[0] == ' ') {
        value.ptr++;
        value.len--;
    }
    return take_field(stream, str_make(line.ptr, name_len), value);
}

static status take_line(struct stream *stream, str line)
{
    assert(line.len <= stream->bytes_max);
    if (!stream->started) {
        stream->started = true;
        if (str_starts_with(line, byte_order_mark)) {
            line = str_make(line.ptr + byte_order_mark.len, line.len - byte_order_mark.len);
        }
    }
    if (stream->framing == STREAM_EVENTS) {
        return take_event_line(stream, line);
    }
    line = str_trim(line);
    if (line.len > 0 && !stream->stopped) {
        stream->stopped = !stream->record(stream->context, STR_EMPTY, line);
    }
    return STATUS_OK;
}

static const char *find_line_end(const char *at, const char *end)
{
    while (at < end && *at != '\n' && *at != '\r') {
        at++;
    }
    return at;
}

/* The line is `line` so far and then `rest`. */
static status end_line(struct stream *stream, str rest)
{
    assert(stream->line.len + rest.len <= stream->bytes_max);
    if (stream->line.len == 0) {
        return take_line(stream, rest);
    }
    buf_put(&stream->line, rest);
    status outcome = take_line(stream, buf_str(&stream->line));
    buf_reset(&stream->line);
    return outcome;
}

status stream_feed(struct stream *stream, str bytes)
{
    const char *at = bytes.ptr;
    const char *end = bytes.len == 0 ? at : at + bytes.len;
    assert(stream->record != NULL && stream->line.len <= stream->bytes_max);
    while (at < end && !stream->stopped) {
        if (stream->after_cr && *at == '\n') {
            at++;
            stream->after_cr = false;
            continue;
        }
        stream->after_cr = false;
        const char *stop = find_line_end(at, end);
        str piece = str_make(at, (size_t)(stop - at));
        assert(stop >= at && stop <= end);
        if (piece.len > stream->bytes_max - stream->line.len) {
            return too_long();
        }
        if (stop == end) {
            buf_put(&stream->line, piece);
            return STATUS_OK;
        }
        stream->after_cr = *stop == '\r';
        TRY(end_line(stream, piece));
        at = stop + 1;
    }
    return STATUS_OK;
}

status stream_finish(struct stream *stream)
{
    if (stream->line.len > 0) {
        TRY(end_line(stream, STR_EMPTY));
    }
    if (stream->framing == STREAM_EVENTS) {
        dispatch(stream);
    }
    return STATUS_OK;
}
