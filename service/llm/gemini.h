/*
 * gemini: the dialect of Google's Gemini.
 *
 * A reply is a row of parts. A signed part goes back as it came and in its place, and is never
 * joined with another; texts that are not signed are.
 */
#ifndef SERVICE_LLM_GEMINI_H
#define SERVICE_LLM_GEMINI_H

#include "service/llm/codec.h"

extern const struct codec gemini_codec;

/* The body of a request; gemini_request.c. */
void gemini_put_body(const struct provider_row *row, const struct model_request *request,
                     struct buf *ret);

/* Whether the dialect has words for it. */
bool gemini_takes_media(const struct model_block *media);

#endif
