/*
 * caller: whoever started the box, at the other ends of its input and output.
 *
 * When the input ends, nobody wants the answer any more: whatever is at work stops.
 */
#ifndef CLIENTS_SANDBOX_BOX_CALLER_H
#define CLIENTS_SANDBOX_BOX_CALLER_H

#include "service/base/buf.h"

enum {
    CALLER_INPUT_FD = 0,
    CALLER_OUTPUT_FD = 1,
};

/* The request: four bytes for its length, the lowest first, and so many bytes. INVALID_ARGUMENT: it
 * is too long, or the input ended within it. */
status caller_take_request(struct arena *arena, str *ret);
/* The input has ended. What else comes there is thrown away. Does not wait. */
bool caller_is_gone(void);
/* Writes all of it and waits for that. False: there is nobody who reads. */
bool caller_write(str bytes);
/* Writes what goes without waiting, which is returned. */
size_t caller_write_some(str bytes);
uint64_t caller_now_ms(void); /* A clock that only goes forward. */

#endif
