/*
 * options: what every start shares, wherever it is asked for: by a call or by a task's code.
 */
#ifndef SERVICE_API_OPTIONS_H
#define SERVICE_API_OPTIONS_H

#include "polos/v1/common.pb-c.h"
#include "service/api/check.h"
#include "service/engine/engine.h"

enum {
    OPTIONS_STATE_BYTES_MAX = 1 << 20,
    OPTIONS_RETRIES_MAX = 100,
};

struct start_options {
    str idempotency_key;
    str session_id;
    str user_id;
    str conversation_id;
    str state; /* JSON text; empty: none. */
    uint64_t timeout_ms; /* 0: the default. */
    int32_t max_retries; /* 0: the default; -1: none. */
    str queue; /* Empty: the workflow's own. */
    str concurrency_key;
    int32_t priority;
};

/* prefix: the path of the message, with its dot: "options.". proto NULL: all defaults. False: the
 * check holds the fault. The result lives as long as the check's arena. */
bool options_take(struct check *check, const char *prefix, enum run_kind kind,
                  const Polos__V1__StartOptions *proto, struct start_options *ret);
/* A state as JSON; empty: none. */
bool options_check_state(struct check *check, const char *field, str state);

#endif
