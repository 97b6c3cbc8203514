/*
 * window: the numbers of the messages that came in, and how far they were handled.
 *
 * Messages are handled in any order, but the acknowledgement is one number: it stands at the
 * last message before the first that is still open.
 *
 * Invariant: handled <= received; at most WINDOW_MAX messages lie between.
 */
#ifndef SERVICE_HOSTS_WINDOW_H
#define SERVICE_HOSTS_WINDOW_H

#include "service/base/base.h"

enum {
    WINDOW_MAX = 65536,
};

enum window_verdict {
    WINDOW_NEW,
    WINDOW_REPEATED,
    WINDOW_GAP,
    WINDOW_FULL, /* Not received: too many are open. */
};

/* Zero-initialised is empty and valid. */
struct window {
    uint64_t received; /* Every number up to here came in. */
    uint64_t handled; /* Every number up to here is handled: the acknowledgement. */
    uint8_t *states; /* A ring over (handled, received]. */
    uint32_t capacity;
};

/* It is empty again. */
void window_fini(struct window *window);
/* Takes the number of a message that came in; only a NEW one is open. */
enum window_verdict window_receive(struct window *window, uint64_t seq);
/* Whether the message was received and is neither handled nor forgotten. */
bool window_is_open(const struct window *window, uint64_t seq);
/* True when `handled` moved. Numbers that are not open are passed over. */
bool window_mark_handled(struct window *window, uint64_t seq);
/* This open message and every later one will be new when they come again. */
void window_forget(struct window *window, uint64_t seq);

#endif
