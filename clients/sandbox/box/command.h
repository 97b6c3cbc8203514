/*
 * command: what exec does: runs a command, shows and keeps what it prints, and ends it.
 *
 * Whatever the command started ends with it: when it ends, when its time is over, and when the
 * caller is gone.
 */
#ifndef CLIENTS_SANDBOX_BOX_COMMAND_H
#define CLIENTS_SANDBOX_BOX_COMMAND_H

#include "clients/sandbox/box/request.h"
#include "service/base/buf.h"

enum {
    COMMAND_TIMEOUT_CODE = 137, /* The exit code of what was killed. */
};

/* Appends the result, a JSON object. Progress goes to the caller at once; what of it was not
 * written yet is in *ret_unwritten. CANCELLED: the caller is gone; NOT_FOUND, FAILED_PRECONDITION:
 * the command could not be started. */
status command_run(const struct request *request, struct arena *arena, struct buf *ret,
                   struct buf *ret_unwritten);

#endif
