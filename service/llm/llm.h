/*
 * llm: the real model client: provider rows, codecs, one curl_multi thread.
 *
 * A call is one request: whether another is made is the caller's to decide, who counts them and
 * passes the count as the request's attempt. What a failure tells is whether it makes sense.
 *
 * Threading: the sink is called on the model thread, so it must only enqueue.
 */
#ifndef SERVICE_LLM_LLM_H
#define SERVICE_LLM_LLM_H

#include "service/llm/provider.h"
#include "service/llm/target.h"

struct llm;

struct llm_options {
    struct model_sink sink;
    struct target_rules rules; /* What it points to must live as long as the client. */
    uint64_t first_byte_ms; /* 0: 300,000. */
    uint64_t idle_ms; /* Between bytes; 0: 90,000. */
    uint64_t quiet_ms; /* Of nothing but signs of life in an answer; 0: 600,000. */
    uint64_t retry_after_max_ms; /* A server that wants a longer wait is given up; 0: 600,000. */
    uint32_t attempts_max; /* From this attempt on no failure is worth another; 0: 4. */
    size_t calls_max; /* In flight; more wait, see places.h. 0: 256. */
};

/* Never fails; options is copied. Ended by llm_stop(). */
struct llm *llm_start(const struct llm_options *options);
void llm_stop(struct llm *llm); /* Ends the thread; calls in flight are dropped without a word. */
struct model_client llm_client(struct llm *llm); /* Lives as long as the llm. */

#endif
