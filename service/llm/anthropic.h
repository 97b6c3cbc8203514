/*
 * anthropic: the Messages dialect of Anthropic.
 *
 * A reply is a row of blocks. What the provider wants back unchanged (signed and redacted thinking,
 * what its own tools did) stays in the block's raw bytes, in its place among the others.
 */
#ifndef SERVICE_LLM_ANTHROPIC_H
#define SERVICE_LLM_ANTHROPIC_H

#include "service/llm/codec.h"

extern const struct codec anthropic_codec;

/* The body of a request; anthropic_request.c. */
void anthropic_put_body(const struct provider_row *row, const struct model_request *request,
                        struct buf *ret);

/* Whether the dialect has words for it. */
bool anthropic_takes_media(const struct model_block *media);

#endif
