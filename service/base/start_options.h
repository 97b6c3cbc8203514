/*
 * start_options: what every start shares, whoever asks for it: a call, a task's code, the clock.
 *
 * Taken from a request and hashed by api/options.c, packed into the journal and read from it by
 * codec/start_options.c; all others pass it on whole. Its texts are borrowed.
 */
#ifndef SERVICE_BASE_START_OPTIONS_H
#define SERVICE_BASE_START_OPTIONS_H

#include "service/base/base.h"
#include "service/base/kept_state.h"

struct start_options {
    str idempotency_key; /* Empty: none. */
    str session_id;
    str user_id;
    str conversation_id;
    struct kept_state state;
    str input_type; /* What hosts need beside the input's JSON; empty: nothing. */
    str queue; /* Where it waits for its admission; empty: as its definition says, or nowhere. */
    str concurrency_key;
    int32_t priority; /* Within the key; higher ones first. */
    int32_t max_retries; /* 0: the default; negative: none. Not in the journal. */
    uint64_t timeout_ms; /* 0: the default. Not in the journal. */
    bool outlives_parent; /* A parent that waits for it and fails does not cancel it. */
};

#endif
