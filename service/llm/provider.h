/*
 * provider: what the server asks of a language model, whoever serves it.
 *
 * A request holds the whole conversation in neutral form; a provider's codec turns it into
 * bytes, and the stream that comes back into deltas and one reply. What a provider gave us
 * opaquely (signatures, encrypted reasoning) rides along as raw bytes and goes back as it
 * came; it is never parsed and printed again.
 *
 * Order:     for one call: perhaps that it waits and that it waits no more, any number of deltas,
 *            then exactly one of done and failed.
 * Threading: start and cancel from the partition thread; the sink is called on the model
 *            thread (or, for the simulated twin, from its tick).
 */
#ifndef SERVICE_LLM_PROVIDER_H
#define SERVICE_LLM_PROVIDER_H

#include "service/base/arena.h"
#include "service/base/base.h"

enum model_role {
    MODEL_ROLE_SYSTEM,
    MODEL_ROLE_USER,
    MODEL_ROLE_ASSISTANT,
    MODEL_ROLE_TOOL, /* Its blocks are tool results. */
};

enum model_block_kind {
    MODEL_BLOCK_TEXT,
    MODEL_BLOCK_REASONING,
    MODEL_BLOCK_REFUSAL,
    MODEL_BLOCK_TOOL_CALL,
    MODEL_BLOCK_TOOL_RESULT,
    MODEL_BLOCK_OPAQUE, /* Only `raw`: to be sent back as it came, to its origin. */
    MODEL_BLOCK_MEDIA, /* An image, a document, a sound; of a user's message only. */
};

struct model_block {
    enum model_block_kind kind;
    str text; /* TEXT, REASONING, REFUSAL; TOOL_RESULT: what the model is shown. */
    str call_id; /* TOOL_CALL, TOOL_RESULT. Never empty; unique in a reply. */
    str name; /* TOOL_CALL, TOOL_RESULT. */
    str arguments; /* TOOL_CALL: raw bytes; "{}" when the model sent nothing. */
    bool arguments_invalid; /* TOOL_CALL: no JSON object; must not be run. */
    bool is_error; /* TOOL_RESULT. */
    str raw; /* Provider JSON, verbatim; empty when there is nothing opaque. */
    str media_type; /* MEDIA: "image/png"; may be empty beside a URL. */
    str data; /* MEDIA: its bytes in base64; empty: it is at `url`. */
    str url; /* MEDIA: for the provider to read; http or https. */
    str filename; /* MEDIA; empty: none. */
};

struct model_message {
    enum model_role role;
    const struct model_block *blocks;
    size_t block_count;
    str origin; /* ASSISTANT: "provider/model" it came from; `raw` goes back only there. */
    bool is_amid; /* USER: it was said while the run was at work. */
};

struct model_tool {
    str name;
    str description;
    str parameters_json; /* JSON Schema, spliced as it is; empty: no arguments. */
};

struct model_request {
    str provider; /* A row of the provider table. */
    str model;
    str base_url; /* Empty: the row's environment variable, else the row's URL. */
    str system; /* Empty: none. */
    const struct model_message *messages;
    size_t message_count;
    const struct model_tool *tools;
    size_t tool_count;
    double temperature; /* NAN: the provider's default. */
    uint32_t max_output_tokens; /* 0: the provider's default. */
    str output_schema_json; /* Empty: free text. */
    str options_json; /* An object merged into the body; empty: nothing. */
    uint32_t judgement; /* Which judgement of its run this is, from 1; 0: it is none. */
    uint32_t attempt; /* From 1: how often the same call has been made, this time included. */
    uint32_t project; /* Whose call it is: each has places of its own. */
    str log_name; /* Of whoever asks, in log lines: "run=... agent=..."; empty: nobody's. */
};

enum model_stop {
    MODEL_STOP_END,
    MODEL_STOP_TOOL_USE,
    MODEL_STOP_MAX_TOKENS, /* The last tool call may be cut: it must not be run. */
    MODEL_STOP_SEQUENCE,
    MODEL_STOP_CONTENT_FILTER,
    MODEL_STOP_REFUSAL,
    MODEL_STOP_PAUSE,
    MODEL_STOP_OTHER,
};

struct model_usage {
    uint64_t input; /* Cached tokens included. */
    uint64_t output; /* Reasoning included. */
    uint64_t cache_read;
    uint64_t cache_write;
    uint64_t reasoning;
    bool known; /* False: the provider did not say. */
};

struct model_reply {
    const struct model_block *blocks;
    size_t block_count;
    struct model_usage usage;
    enum model_stop stop;
    str stop_raw; /* The provider's word. */
    str response_id;
    str model; /* As the provider names what answered. */
};

struct model_failure {
    enum code code; /* UNAVAILABLE, RESOURCE_EXHAUSTED, INVALID_ARGUMENT, ... */
    const char *reason; /* Static, stable: "RATE_LIMITED", "MODEL_INCOMPLETE", "QUOTA", ... */
    str message; /* For people: what the provider said; no secrets. */
    uint32_t http_status; /* 0: none came. */
    bool retryable; /* Another attempt makes sense, and the client's limits leave room for it. */
    bool partial; /* Text was shown before it failed. */
    uint64_t retry_after_ms; /* The server's hint; 0: none. */
};

enum model_delta_kind {
    MODEL_DELTA_TEXT,
    MODEL_DELTA_REASONING,
    MODEL_DELTA_TOOL_ARGUMENTS,
};

/* All arguments are borrowed for the call. Delta text is whole UTF-8 characters. */
struct model_sink {
    void *context;
    /* The call waits for a place at that server, as it is shown; empty: it has got one. NULL:
     * nobody wants to know. */
    void (*waits)(void *context, uint64_t call, str server);
    void (*delta)(void *context, uint64_t call, enum model_delta_kind kind, str text);
    void (*done)(void *context, uint64_t call, const struct model_reply *reply);
    void (*failed)(void *context, uint64_t call, const struct model_failure *failure);
};

struct model_client_vtable {
    /* Refuses what could never work, before anything is written: an unknown provider
     * (INVALID_ARGUMENT, names the known ones), a missing key (FAILED_PRECONDITION, names the
     * environment variable), options that are no JSON object, media that its models can't be shown
     * (UNIMPLEMENTED). `why` is in the arena. */
    status (*check)(void *self, const struct model_request *request, struct arena *arena);
    /* Copies what it needs of the request. `call` is the caller's number, unique for ever. One
     * request goes out for it; a second only where a kept connection was dead. */
    void (*start)(void *self, uint64_t call, const struct model_request *request);
    /* Asks the model thread to drop the call: what it has already said may still reach the
     * sink, which knows it by its number. Unknown calls are passed over. */
    void (*cancel)(void *self, uint64_t call);
};

struct model_client {
    const struct model_client_vtable *vtable;
    void *self;
};

static inline status model_client_check(const struct model_client *client,
                                        const struct model_request *request, struct arena *arena)
{
    return client->vtable->check(client->self, request, arena);
}

static inline void model_client_start(const struct model_client *client, uint64_t call,
                                      const struct model_request *request)
{
    client->vtable->start(client->self, call, request);
}

static inline void model_client_cancel(const struct model_client *client, uint64_t call)
{
    client->vtable->cancel(client->self, call);
}

#endif
