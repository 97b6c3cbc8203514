/*
 * ollama: the dialect of Ollama's own /api/chat, of JSON lines.
 *
 * It says more than Ollama's Chat Completions: how large the context is, how long the model stays
 * loaded. Calls come whole and often without an id.
 */
#ifndef SERVICE_LLM_OLLAMA_H
#define SERVICE_LLM_OLLAMA_H

#include "service/llm/codec.h"

extern const struct codec ollama_codec;

/* The body of a request; ollama_request.c. */
void ollama_put_body(const struct provider_row *row, const struct model_request *request,
                     struct buf *ret);

/* Whether the dialect has words for it. */
bool ollama_takes_media(const struct model_block *media);

#endif
