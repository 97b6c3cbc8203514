/*
 * providers: one row of data for every server we know how to talk to.
 *
 * A server is not code: it is an address, the way it takes its key, and the bits in which it
 * differs from the dialect its codec speaks.
 */
#ifndef SERVICE_LLM_PROVIDERS_H
#define SERVICE_LLM_PROVIDERS_H

#include "service/base/arena.h"
#include "service/llm/codec.h"

enum provider_auth {
    PROVIDER_AUTH_BEARER, /* Authorization: Bearer KEY */
    PROVIDER_AUTH_API_KEY, /* api-key: KEY */
    PROVIDER_AUTH_X_API_KEY, /* x-api-key: KEY */
    PROVIDER_AUTH_GOOGLE, /* x-goog-api-key: KEY; never in the URL, which is logged. */
};

enum provider_quirk {
    PROVIDER_MAX_COMPLETION_TOKENS = 1 << 0, /* Knows the newer name of max_tokens. */
    PROVIDER_NO_STREAM_OPTIONS = 1 << 1, /* Refuses the field; sends usage anyway. */
    PROVIDER_REASONING_BACK = 1 << 2, /* Wants reasoning_content on its own messages. */
    PROVIDER_CALL_ID_9 = 1 << 3, /* Call ids must be nine letters or digits. */
    PROVIDER_KEY_OPTIONAL = 1 << 4, /* Runs at home, usually without a key. */
    PROVIDER_HTTP_1 = 1 << 5, /* Its HTTP/2 is not to be trusted. */
    PROVIDER_JSON_OBJECT_ONLY = 1 << 6, /* Knows no JSON schema for the answer. */
    PROVIDER_STRICT = 1 << 9, /* Can be held to a schema. */
    PROVIDER_CALL_ID_PLAIN = 1 << 8, /* Call ids: at most 64 letters, digits, _ and -. */
    PROVIDER_REASONING_OBJECT = 1 << 7, /* Takes {"reasoning": {...}}, not reasoning_effort. */
};

struct provider_row {
    const char *name;
    const struct codec *codec; /* NULL: `scripted`, which asks nobody. */
    const char *base_url; /* NULL: must be given. */
    const char *base_url_setting; /* May be NULL, as the next. */
    const char *key_setting;
    enum provider_auth auth;
    const char *path; /* Behind the base URL; {model} stands for the model. May have a query. */
    const char *header; /* One more that it wants; NULL: none. */
    unsigned quirks;
};

/* NULL for a name that is in no row. */
const struct provider_row *provider_find(str name);
/* "openai, azure, ...": for the refusal of an unknown one. */
str provider_names(struct arena *arena);

#endif
