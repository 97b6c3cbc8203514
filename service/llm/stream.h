/*
 * stream: bytes of a streamed reply in, whole records out: server-sent events or JSON lines.
 *
 * It works on bytes and may be fed any pieces, one byte at a time included; a record that
 * lies within one piece is not copied twice. What the last bytes leave unended is a record
 * too: one provider does not send the final blank line.
 *
 * Invariant: what is recorded depends on the bytes, never on how they were cut.
 */
#ifndef SERVICE_LLM_STREAM_H
#define SERVICE_LLM_STREAM_H

#include "service/base/buf.h"

enum stream_framing {
    STREAM_EVENTS, /* text/event-stream */
    STREAM_LINES, /* One JSON text a line. */
};

enum {
    STREAM_RECORD_BYTES_MAX = 16 << 20,
};

/* event is empty for a nameless one; both are borrowed for the call. False: take no more. */
typedef bool stream_record_fn(void *context, str event, str data);

struct stream {
    enum stream_framing framing;
    stream_record_fn *record;
    void *context;
    size_t bytes_max;
    struct buf line; /* The part of a line that came so far. */
    struct buf event;
    struct buf data;
    bool after_cr; /* A line feed that follows belongs to it. */
    bool started; /* The byte order mark, if any, is behind us. */
    bool stopped; /* record() wants no more. */
};

/* bytes_max 0: STREAM_RECORD_BYTES_MAX. */
void stream_init(struct stream *stream, enum stream_framing framing, size_t bytes_max,
                 stream_record_fn *record, void *context);
void stream_fini(struct stream *stream); /* What is still open is not recorded. */

/* RESOURCE_EXHAUSTED when a line or a record grows over the limit. */
status stream_feed(struct stream *stream, str bytes);
/* The end of the bytes: records what is still open. */
status stream_finish(struct stream *stream);

#endif
