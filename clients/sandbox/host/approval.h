/*
 * approval: what a person is asked before a call, and what they answered.
 */
#ifndef CLIENTS_SANDBOX_HOST_APPROVAL_H
#define CLIENTS_SANDBOX_HOST_APPROVAL_H

#include "service/base/buf.h"

/* The answers that are taken, as JSON Schema. */
extern const char approval_schema[];

/* The form of a command, exactly as it would run, as JSON. */
void approval_ask_command(str command, str folder, const char *why, struct buf *ret);
/* The form of a file that `tool` would change, with its arguments as they are. */
void approval_ask_file(const char *tool, str arguments_json, struct buf *ret);

struct approval {
    bool is_approved;
    bool is_for_always;
    str feedback; /* Empty: none. */
};

/* Of what fits no schema: not approved. Texts live in the arena. */
struct approval approval_read(str answer_json, struct arena *arena);
/* What exec gives the model when a person said no. */
void approval_put_rejected_command(str command, const struct approval *approval, struct buf *ret);

#endif
