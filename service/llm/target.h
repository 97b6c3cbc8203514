/*
 * target: where a call goes, and with which key.
 *
 * An address comes from the agent, from a setting of the server or from the provider's row, in
 * that order; a key always from a setting, and only address.h decides whether it goes along.
 *
 * An agent's address is a stranger's unless the people who run the server have named its host. It
 * may lead to public addresses, and to what they allow besides; that is judged by the address a
 * connection is made to, not by its name.
 *
 * Threading: reads settings, which nobody changes while the server runs; else it has no state.
 */
#ifndef SERVICE_LLM_TARGET_H
#define SERVICE_LLM_TARGET_H

#include "service/base/arena.h"
#include "service/llm/providers.h"

struct sockaddr;

/* Where settings such as OPENAI_API_KEY are looked up. */
struct settings {
    const char *(*get)(void *context, const char *name); /* NULL: the environment. */
    void *context;
};

/* What the people who run the server have said. */
struct target_rules {
    struct settings settings;
    str model_hosts; /* As --model-hosts takes it; empty: nothing but public addresses. */
    str listen; /* polosd's own address, as --listen takes it; empty: it has none. */
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
    str shown; /* The URL, for sentences. */
    str server; /* Its begin, which names the server. */
    bool is_strangers;
};

/* How an address that a target leads to is judged. */
enum target_verdict {
    TARGET_MAY,
    TARGET_MAY_INNER, /* But what it says in an error is not for strangers. */
    TARGET_REFUSED, /* Strangers may not reach it. */
    TARGET_OWN, /* It is polosd itself. */
};

/* Refuses what could never work: no address, none that HTTP can ask (INVALID_ARGUMENT), a key
 * that is missing or may not go there (FAILED_PRECONDITION, names the variable to set). `why`
 * is in the arena. */
status target_check(const struct target_rules *rules, const struct provider_row *row,
                    const struct model_request *request, struct arena *arena);

/* For a request that passed target_check(). All of ret is in the arena or static. */
void target_make(const struct target_rules *rules, const struct provider_row *row,
                 const struct model_request *request, struct arena *arena, struct target *ret);

/* Whether a connection may be made to the address. */
enum target_verdict target_judge(const struct target_rules *rules, bool is_strangers,
                                 const struct sockaddr *address);
/* Of TARGET_REFUSED and TARGET_OWN, for people. */
str target_refusal(const struct provider_row *row, str shown, enum target_verdict verdict,
                   struct arena *arena);

#endif
