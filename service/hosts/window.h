/*
 * window: the numbers of the messages that came in, and how far they were dealt with.
 *
 * Messages are dealt with in any order, but the acknowledgement is one number: it stands at the
 * last message before the first that is still open.
 *
 * Invariant: dealt <= received; at most WINDOW_MAX messages lie between.
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
    uint64_t dealt; /* Every number up to here is dealt with. */
    uint8_t *states; /* A ring over (dealt, received]. */
    uint32_t capacity;
};

void window_fini(struct window *window);
enum window_verdict window_receive(struct window *window, uint64_t seq);
/* Whether the message was received and is not dealt with. */
bool window_is_open(const struct window *window, uint64_t seq);
/* True when `dealt` moved. Numbers that are not open are passed over. */
bool window_deal(struct window *window, uint64_t seq);
/* This open message and every later one will be new when they come again. */
void window_forget(struct window *window, uint64_t seq);

#endif
