/*
 * run_input: what a run is started with, as callers and the code of tasks say it.
 */
#ifndef SERVICE_API_RUN_INPUT_H
#define SERVICE_API_RUN_INPUT_H

#include "polos/v1/start.pb-c.h"
#include "service/api/check.h"
#include "service/engine/engine.h"

enum {
    RUN_INPUT_MESSAGES_MAX = 1000,
    RUN_INPUT_PARTS_MAX = 1000,
};

/* Borrowed for run_input_take(). */
struct run_input {
    str json; /* Workflows and tools. */
    str text; /* Agents: plain text, ... */
    Polos__V1__Message *const *messages; /* ... or these. */
    size_t message_count;
};

/* prefix: the path of the message that holds the fields, with its dot; "" for none. *ret: JSON text
 * as the journal keeps it: an agent's text is a string, its messages are an array of {"role",
 * "content"}. At most check->json_bytes_max. It lives as long as the check's arena. */
bool run_input_take(struct check *check, const char *prefix, enum run_kind kind,
                    const struct run_input *input, str *ret);

#endif
