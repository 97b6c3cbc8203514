#include "service/door/guard.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/endian.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum {
    PREFACE_BYTES = sizeof(preface) - 1,
    /* A message of gRPC has a prefix of five bytes, so no honest frame is shorter, save a last. */
    SMALL_DATA_BYTES = 5,
    SMALL_CONTINUATION_BYTES = 256,
    US_PER_S = 1000000,
};

enum frame_kind {
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_RST_STREAM = 3,
    FRAME_PING = 6,
    FRAME_WINDOW_UPDATE = 8,
    FRAME_CONTINUATION = 9,
};

enum frame_flag {
    FLAG_END_STREAM = 1,
    FLAG_END_HEADERS = 4,
    FLAG_PADDED = 8,
};

enum rate_kind {
    RATE_RESETS,
    RATE_SMALL, /* Of all frames that are not named here, too. */
    RATE_PINGS,
    RATE_CALLS,
    RATE_WINDOWS,
};

/* What the fastest honest clients were seen to need, and room beside it. */
static const struct {
    uint32_t per_s;
    uint32_t at_once;
} rates[GUARD_RATES] = {
    [RATE_RESETS] = {100, 400},
    [RATE_SMALL] = {200, 1000},
    /* A client in Go measures its bandwidth by a ping for each round trip. */
    [RATE_PINGS] = {20000, 40000},
    [RATE_CALLS] = {20000, 40000},
    [RATE_WINDOWS] = {200000, 400000},
};

static const char *const names[GUARD_VERDICTS] = {
    [GUARD_FINE] = "FINE",
    [GUARD_NOT_HTTP2] = "NOT_HTTP2",
    [GUARD_LARGE_FRAME] = "LARGE_FRAME",
    [GUARD_BROKEN_HEADERS] = "BROKEN_HEADERS",
    [GUARD_LARGE_HEADERS] = "LARGE_HEADERS",
    [GUARD_SMALL_FRAMES] = "SMALL_FRAMES",
    [GUARD_PINGS] = "PINGS",
    [GUARD_WINDOWS] = "WINDOWS",
    [GUARD_CALLS] = "CALLS",
    [GUARD_RESETS] = "RESETS",
    [GUARD_OPEN_CALLS] = "OPEN_CALLS",
};

void guard_init(struct guard *guard)
{
    *guard = (struct guard){0};
}

void guard_fini(struct guard *guard)
{
    free(guard->open);
    *guard = (struct guard){0};
}

bool guard_has_begun(const struct guard *guard)
{
    return guard->preface_len == PREFACE_BYTES;
}

const char *guard_verdict_name(enum guard_verdict verdict)
{
    assert(verdict < GUARD_VERDICTS);
    return names[verdict];
}

/* Each frame costs the time in which the rate gives one back; who would owe more than what may come
 * at once has passed it. */
static bool take(struct guard *guard, enum rate_kind kind, uint64_t now_us)
{
    uint64_t cost_us = US_PER_S / rates[kind].per_s;
    uint64_t free_us = guard->free_us[kind] > now_us ? guard->free_us[kind] : now_us;
    if (free_us - now_us + cost_us > cost_us * rates[kind].at_once) {
        return false;
    }
    guard->free_us[kind] = free_us + cost_us;
    return true;
}

/* ---- calls ---- */

static bool begin_call(struct guard *guard, uint32_t number)
{
    assert(number > guard->newest);
    if (guard->open_count == GUARD_OPEN_CALLS_MAX) {
        return false;
    }
    guard->newest = number;
    guard->open = array_reserve(guard->open, &guard->open_capacity, guard->open_count + 1,
                                sizeof(*guard->open));
    guard->open[guard->open_count++] = number;
    return true;
}

/* From the end: most calls are over soon, and those that last have moved to the front. */
static void end_call(struct guard *guard, uint32_t number)
{
    for (size_t i = guard->open_count; i > 0; i--) {
        if (guard->open[i - 1] == number) {
            guard->open_count--;
            memmove(&guard->open[i - 1], &guard->open[i],
                    (guard->open_count - (i - 1)) * sizeof(*guard->open));
            return;
        }
    }
}

/* ---- frames ---- */

static uint32_t frame_payload_bytes(const struct guard_frames *frames)
{
    return (uint32_t)endian_get_be(frames->head, 3);
}

static uint32_t frame_call(const struct guard_frames *frames)
{
    return (uint32_t)endian_get_be(frames->head + 5, 4) & 0x7fffffff;
}

static bool frame_has(const struct guard_frames *frames, enum frame_flag flag)
{
    return (frames->head[4] & flag) != 0;
}

/* Takes bytes from the front; true when they have made the head of a frame whole. */
static bool next_head(struct guard_frames *frames, str *bytes)
{
    size_t skipped = frames->payload_left < bytes->len ? frames->payload_left : bytes->len;
    frames->payload_left -= (uint32_t)skipped;
    *bytes = str_make(bytes->ptr + skipped, bytes->len - skipped);
    size_t wanted = (size_t)GUARD_HEAD_BYTES - frames->head_len;
    size_t taken = wanted < bytes->len ? wanted : bytes->len;
    memcpy(frames->head + frames->head_len, bytes->ptr, taken);
    frames->head_len = (uint8_t)(frames->head_len + taken);
    *bytes = str_make(bytes->ptr + taken, bytes->len - taken);
    if (frames->head_len < GUARD_HEAD_BYTES) {
        return false;
    }
    frames->head_len = 0;
    frames->payload_left = frame_payload_bytes(frames);
    return true;
}

static enum guard_verdict judge_headers(struct guard *guard, uint64_t now_us)
{
    uint32_t number = frame_call(&guard->in);
    if (!take(guard, RATE_CALLS, now_us)) {
        return GUARD_CALLS;
    }
    /* Else trailers, or what the core itself will refuse. */
    if (number > guard->newest && !begin_call(guard, number)) {
        return GUARD_OPEN_CALLS;
    }
    guard->headers_bytes = 0;
    return GUARD_FINE;
}

static enum guard_verdict judge_block(struct guard *guard)
{
    guard->headers_bytes += guard->in.payload_left;
    guard->in_headers = !frame_has(&guard->in, FLAG_END_HEADERS);
    return guard->headers_bytes > GUARD_HEADERS_BYTES_MAX ? GUARD_LARGE_HEADERS : GUARD_FINE;
}

static enum guard_verdict judge_small(struct guard *guard, uint64_t now_us)
{
    return take(guard, RATE_SMALL, now_us) ? GUARD_FINE : GUARD_SMALL_FRAMES;
}

/* Nobody pads messages of gRPC, and what is padded may carry nothing at any length. */
static bool carries_little(const struct guard_frames *frames)
{
    return frame_has(frames, FLAG_PADDED) ||
           (frames->payload_left < SMALL_DATA_BYTES && !frame_has(frames, FLAG_END_STREAM));
}

/* By its kind, once its size and its place are fine. */
static enum guard_verdict judge_kind(struct guard *guard, uint64_t now_us)
{
    enum guard_verdict verdict = GUARD_FINE;
    switch (guard->in.head[3]) {
    case FRAME_DATA:
        return carries_little(&guard->in) ? judge_small(guard, now_us) : GUARD_FINE;
    case FRAME_HEADERS:
        verdict = judge_headers(guard, now_us);
        return verdict == GUARD_FINE ? judge_block(guard) : verdict;
    case FRAME_CONTINUATION:
        if (guard->in.payload_left < SMALL_CONTINUATION_BYTES &&
            !frame_has(&guard->in, FLAG_END_HEADERS)) {
            verdict = judge_small(guard, now_us);
        }
        return verdict == GUARD_FINE ? judge_block(guard) : verdict;
    case FRAME_RST_STREAM:
        end_call(guard, frame_call(&guard->in));
        return take(guard, RATE_RESETS, now_us) ? GUARD_FINE : GUARD_RESETS;
    case FRAME_WINDOW_UPDATE:
        return take(guard, RATE_WINDOWS, now_us) ? GUARD_FINE : GUARD_WINDOWS;
    case FRAME_PING:
        return take(guard, RATE_PINGS, now_us) ? GUARD_FINE : GUARD_PINGS;
    default:
        return judge_small(guard, now_us);
    }
}

static enum guard_verdict judge_frame(struct guard *guard, uint64_t now_us)
{
    if (guard->in.payload_left > GUARD_FRAME_BYTES_MAX) {
        return GUARD_LARGE_FRAME;
    }
    if (guard->in_headers != (guard->in.head[3] == FRAME_CONTINUATION)) {
        return GUARD_BROKEN_HEADERS;
    }
    return judge_kind(guard, now_us);
}

enum guard_verdict guard_judge(struct guard *guard, str bytes, uint64_t now_us)
{
    while (bytes.len > 0 && !guard_has_begun(guard)) {
        if (bytes.ptr[0] != preface[guard->preface_len]) {
            return GUARD_NOT_HTTP2;
        }
        guard->preface_len++;
        bytes = str_make(bytes.ptr + 1, bytes.len - 1);
    }
    while (bytes.len > 0) {
        enum guard_verdict verdict =
            next_head(&guard->in, &bytes) ? judge_frame(guard, now_us) : GUARD_FINE;
        if (verdict != GUARD_FINE) {
            return verdict;
        }
    }
    return GUARD_FINE;
}

void guard_follow(struct guard *guard, str bytes)
{
    while (bytes.len > 0) {
        if (!next_head(&guard->out, &bytes)) {
            continue;
        }
        uint8_t kind = guard->out.head[3];
        bool carries = kind == FRAME_DATA || kind == FRAME_HEADERS;
        if (kind == FRAME_RST_STREAM || (carries && frame_has(&guard->out, FLAG_END_STREAM))) {
            end_call(guard, frame_call(&guard->out));
        }
    }
}
