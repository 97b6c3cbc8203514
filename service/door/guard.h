/*
 * guard: judges what one HTTP/2 client sends, by the heads of its frames alone.
 *
 * The core takes whatever it is sent, and memory with it: headers without end, calls begun and
 * reset by the ten thousand, messages of one byte a frame. A client may do each of these as often
 * as honest ones do, and no more. The server's own frames are read too: only they tell when a call
 * is over. Nothing is changed, and no header is decoded.
 *
 * Threading: none. Pure: no I/O; the time is the caller's.
 */
#ifndef SERVICE_DOOR_GUARD_H
#define SERVICE_DOOR_GUARD_H

#include "service/base/base.h"

enum guard_verdict {
    GUARD_FINE,
    GUARD_NOT_HTTP2, /* Its first bytes are no preface. */
    GUARD_LARGE_FRAME,
    GUARD_BROKEN_HEADERS, /* Something stands between the parts of a header block, or none began. */
    GUARD_LARGE_HEADERS,
    GUARD_SMALL_FRAMES, /* Too many that carry next to nothing. */
    GUARD_PINGS,
    GUARD_WINDOWS, /* Too many WINDOW_UPDATEs. */
    GUARD_CALLS, /* Begun too fast. */
    GUARD_RESETS, /* Given up too fast. */
    GUARD_OPEN_CALLS, /* Too many at once. */
    GUARD_VERDICTS,
};

enum {
    GUARD_HEAD_BYTES = 9, /* Of a frame. */
    GUARD_RATES = 5, /* Kinds of frames that are counted by the second. */
    GUARD_FRAME_BYTES_MAX = 1 << 20,
    GUARD_HEADERS_BYTES_MAX = 64 * 1024, /* Of a block; the core says what is wrong with less. */
    GUARD_OPEN_CALLS_MAX = 4800, /* Some more than the core says it takes. */
};

/* Where one direction stands among its frames. */
struct guard_frames {
    uint8_t head[GUARD_HEAD_BYTES];
    uint8_t head_len; /* What of it has come. */
    uint32_t payload_left; /* Of the frame whose head was the last to be whole. */
};

struct guard {
    struct guard_frames in; /* From the client. */
    struct guard_frames out;
    uint64_t free_us[GUARD_RATES]; /* When all that was taken of a rate is given back. */
    uint32_t *open; /* Calls. */
    size_t open_count;
    size_t open_capacity;
    uint32_t newest; /* The highest number of a call. */
    uint32_t headers_bytes; /* Of the block that is being sent. */
    uint8_t preface_len; /* What of it has come. */
    bool in_headers; /* A block has begun and not ended. */
};

/* At the connection's first byte. */
void guard_init(struct guard *guard);
void guard_fini(struct guard *guard);

/* Bytes of the client, in the order they came, however they are cut. After a verdict other than
 * FINE the connection is to be cut, and the guard not asked again. */
enum guard_verdict guard_judge(struct guard *guard, str bytes, uint64_t now_us);
/* Bytes of the server, likewise. */
void guard_follow(struct guard *guard, str bytes);
/* The preface is whole. */
bool guard_has_begun(const struct guard *guard);
/* "SMALL_FRAMES" and so on. */
const char *guard_verdict_name(enum guard_verdict verdict);

#endif
