/*
 * options: what every start shares, wherever it is asked for: by a call or by a task's code.
 */
#ifndef SERVICE_API_OPTIONS_H
#define SERVICE_API_OPTIONS_H

#include "polos/v1/start.pb-c.h"
#include "service/api/check.h"
#include "service/base/buf.h"
#include "service/base/start_options.h"
#include "service/engine/engine.h"

/* How long a run or a call may be given. */
#define OPTIONS_TIMEOUT_MS_MAX ((uint64_t)366 * 24 * 3600 * 1000)

enum {
    OPTIONS_STATE_BYTES_MAX = 1 << 20,
    OPTIONS_RETRIES_MAX = 100,
};

/* prefix: the path of the message, with its dot: "options.". proto NULL: all defaults. False: the
 * check holds the fault. The result lives as long as the check's arena. */
bool options_take(struct check *check, const char *prefix, enum run_kind kind,
                  const Polos__V1__StartOptions *proto, struct start_options *ret);
/* Agents: the provider options of this run; empty: none. As options_take(). */
bool options_take_provider(struct check *check, const char *prefix, enum run_kind kind,
                           const Polos__V1__StartOptions *proto, str *ret);
/* Appends what names them, for the digest of a request: what is not asked for is left out where it
 * came later than the first release, so that a key stays good when options are added. */
void options_hash(const struct start_options *options, struct buf *ret);
/* What callers see of them in a run. It lives in the arena. */
void options_show(const struct start_options *options, struct arena *arena, Polos__V1__Run *ret);
/* As they were taken. It lives in the arena. */
Polos__V1__StartOptions *options_view(const struct start_options *options, str provider_options,
                                      struct arena *arena);
/* What the fields of a state are called. */
struct state_fields {
    const char *json;
    const char *type;
};
/* A state's JSON, and what is said beside it; empty: none. It lives in the check's arena. */
bool options_take_state(struct check *check, const struct state_fields *fields, const char *json,
                        const char *type, struct kept_state *ret);

#endif
