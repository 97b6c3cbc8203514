/*
 * callbacks: what the start of an agent's run pins of its definition's callbacks.
 */
#ifndef SERVICE_CODEC_CALLBACKS_H
#define SERVICE_CODEC_CALLBACKS_H

#include "service/base/arena.h"
#include "service/base/buf.h"
#include "service/engine/event.h"

/* Appends them, in order; nothing when there are none. */
void callbacks_pack(const struct callback *callbacks, size_t count, struct buf *ret);
/* What callbacks_pack() wrote; the names point into it, the array lives in the arena. DATA_LOSS: it
 * is damaged; FAILED_PRECONDITION: of a newer release. */
status callbacks_unpack(str packed, struct arena *arena, const struct callback **ret,
                        size_t *ret_count);
/* How many of them each phase has. */
void callbacks_count(const struct callback *callbacks, size_t count,
                     uint8_t ret[CALLBACK_PHASE_ROOM]);

#endif
