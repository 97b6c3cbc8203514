/*
 * scripted: the provider that asks nobody: its answers follow from the request alone.
 *
 * For tests, demonstrations and work offline. The same request always gives the same answer,
 * so a call that is made again after a crash goes on as if nothing had happened.
 *
 * The request's options are an object of these members, all optional:
 *   script    array of entries; the n-th answers when n assistant messages stand behind the last
 *             user message that the run was started with. Past its end the call fails with
 * SCRIPT_EXHAUSTED. delta_ms  pause after each delta; 0: none chunk     characters in a delta; 0:
 * one word and an entry is an object of text, reasoning   what it says tool_calls        array of
 * {"name", "arguments"}: an object, or a string taken as it is error             {"reason",
 * "retryable", "after_chunks", "attempts"}: fails after so many deltas, in the first `attempts`
 * attempts (0: in all) In text and arguments {{input}} is the last user text, {{tool_result}} the
 * last result.
 *
 * Without a script it calls the first tool, with arguments made from its schema, then says
 * what the tools answered. Token counts are an estimate: a quarter of the bytes.
 */
#ifndef SERVICE_LLM_SCRIPTED_H
#define SERVICE_LLM_SCRIPTED_H

#include "service/llm/provider.h"

struct scripted_delta {
    enum model_delta_kind kind;
    str text;
};

struct scripted_plan {
    const struct scripted_delta *deltas;
    size_t delta_count;
    uint32_t delta_ms;
    bool fails;
    struct model_reply reply;
    struct model_failure failure;
};

/* INVALID_ARGUMENT when the options are not as above; `why` is in the arena. */
status scripted_check(const struct model_request *request, struct arena *arena);
/* Of a checked request. What ret holds is in the arena, the request may go. */
void scripted_make(const struct model_request *request, struct arena *arena,
                   struct scripted_plan *ret);

#endif
