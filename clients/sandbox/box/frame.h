/*
 * frame: what the box answers, in pieces that tell their kind and length.
 *
 * A frame is a byte for its kind, four for its length, the lowest first, and so many bytes. The
 * last one is an end: 'r' with the result or 'f' with a failure, each one JSON object. Before it
 * come 'o' and 'e', what a command printed to its output and its errors.
 */
#ifndef CLIENTS_SANDBOX_BOX_FRAME_H
#define CLIENTS_SANDBOX_BOX_FRAME_H

#include "service/base/buf.h"

enum frame_kind {
    FRAME_OUTPUT = 'o',
    FRAME_ERRORS = 'e',
    FRAME_RESULT = 'r',
    FRAME_FAILURE = 'f',
};

enum {
    FRAME_HEAD_BYTES = 5,
    FRAME_BYTES_MAX = 4 << 20,
};

/* Appends one. */
void frame_put(struct buf *buf, enum frame_kind kind, str body);
/* {"reason": "NOT_FOUND", "message": "..."} */
void frame_put_failure(struct buf *buf, status failure);
/* Takes a whole frame from the beginning of *bytes; false: there is none yet. *ret_is_broken: no
 * frame can begin so. */
bool frame_take(str *bytes, enum frame_kind *ret_kind, str *ret_body, bool *ret_is_broken);

#endif
