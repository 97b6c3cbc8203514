/*
 * target: where a call goes, and with which key.
 *
 * An address comes from the agent, from a setting of the server or from the provider's row, in
 * that order; a key always from a setting, and only address.h decides whether it goes along.
 *
 * Threading: reads settings, which nobody changes while the server runs; else it has no state.
 */
#ifndef SERVICE_LLM_TARGET_H
#define SERVICE_LLM_TARGET_H

#include "service/base/arena.h"
#include "service/llm/providers.h"

/* Where settings such as OPENAI_API_KEY are looked up. */
struct settings {
    const char *(*get)(void *context, const char *name); /* NULL: the environment. */
    void *context;
};

enum {
    TARGET_HEADERS_MAX = 4,
};

struct target {
    const char *url;
    const char *headers[TARGET_HEADERS_MAX]; /* "Name: value" */
    size_t header_count;
    str key; /* As it stands in the headers; empty: the call goes out without one. */
    bool key_kept; /* There is a key, but it may not go there. */
};

/* Refuses what could never work: no address, none that HTTP can ask (INVALID_ARGUMENT), a key
 * that is missing or may not go there (FAILED_PRECONDITION, names the variable to set). `why`
 * is in the arena. */
status target_check(const struct settings *settings, const struct provider_row *row,
                    const struct model_request *request, struct arena *arena);

/* For a request that passed target_check(). All of ret is in the arena or static. */
void target_make(const struct settings *settings, const struct provider_row *row,
                 const struct model_request *request, struct arena *arena, struct target *ret);

#endif
