/*
 * history_event: a fact of a run as callers see it: a message of its own for each kind of event.
 */
#ifndef SERVICE_API_HISTORY_EVENT_H
#define SERVICE_API_HISTORY_EVENT_H

#include "polos/v1/history.pb-c.h"
#include "service/base/arena.h"
#include "service/codec/codec.h"

enum {
    /* Of an event in an answer; of a larger one the longest texts are left out. A stock client
     * takes 4 MiB. */
    HISTORY_EVENT_BYTES_MAX = (4 << 20) - (64 << 10),
};

/* One event as RunService.History and Watch show it. It lives in the arena; never NULL. */
Polos__V1__HistoryEvent *history_event(const struct codec_entry *entry, const struct event *event,
                                       struct arena *arena);

#endif
