/*
 * definition: an agent as registered: a model, a prompt, tools.
 *
 * A run is pinned to the hash of the definition it began with; definitions are kept under their
 * hash, until they are deleted, and under their id as "the newest".
 */
#ifndef SERVICE_AGENTS_DEFINITION_H
#define SERVICE_AGENTS_DEFINITION_H

#include "service/base/arena.h"
#include "service/base/base.h"
#include "service/base/buf.h"
#include "service/base/name.h"
#include "service/engine/engine.h"

struct tool_definition {
    str name;
    str description;
    str parameters_json; /* JSON Schema, raw. */
    uint64_t timeout_ms; /* 0: none. */
    bool at_most_once;
};

struct agent_definition {
    str id;
    str description;
    str provider;
    str model;
    str system_prompt;
    const struct tool_definition *tools;
    size_t tool_count;
    double temperature; /* NAN: the provider's default. */
    uint32_t max_output_tokens; /* 0: the provider's default. */
    str base_url;
    str options_json;
    uint32_t max_steps; /* 0: the server's default. */
    uint64_t max_total_tokens; /* 0: no limit. */
    str output_schema_json;
    uint32_t output_retries; /* Answers that do not fit it are asked for again so often. */
    const struct callback *callbacks; /* Its hooks, then its guardrails, in order. */
    size_t callback_count;
    uint32_t guardrail_retries; /* A turn's reply may be asked for again so often. */
    str queue; /* In which its runs wait for admission; empty: none. */
};

enum {
    AGENT_TOOLS_MAX = 128,
    AGENT_STEPS_DEFAULT = 20,
    AGENT_STEPS_MAX = 1000,
    AGENT_OUTPUT_RETRIES_DEFAULT = 1,
    AGENT_OUTPUT_RETRIES_MAX = 10,
    AGENT_GUARDRAIL_RETRIES_DEFAULT = 2,
    AGENT_PROMPT_BYTES_MAX = 16 * 1024, /* Of a guardrail that is a sentence. */
};

/* INVALID_ARGUMENT: *ret_field is the path of the field, `why` the sentence, both in the arena. */
status agent_definition_check(const struct agent_definition *definition, struct arena *arena,
                              const char **ret_field);
/* The bytes that are stored and hashed (the journal's AgentRecord message). */
void agent_definition_encode(const struct agent_definition *definition, struct buf *ret);
/* Points into `bytes` or the arena. */
status agent_definition_decode(str bytes, struct arena *arena, struct agent_definition *ret);
/* 128 bits of the encoded bytes. */
void agent_definition_hash(str encoded, uint8_t ret[16]);

#endif
