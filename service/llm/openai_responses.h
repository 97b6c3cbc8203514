/*
 * openai_responses: the Responses dialect of OpenAI, which other servers speak too.
 *
 * A reply is a row of items. Each stays as it came in the raw bytes of its block and goes back so,
 * since a reasoning item is refused without the item that followed it. Nothing is left with the
 * provider (store: false): the journal has the conversation.
 */
#ifndef SERVICE_LLM_OPENAI_RESPONSES_H
#define SERVICE_LLM_OPENAI_RESPONSES_H

#include "service/llm/codec.h"

extern const struct codec openai_responses_codec;

/* The body of a request; openai_responses_request.c. */
void openai_responses_put_body(const struct provider_row *row, const struct model_request *request,
                               struct buf *ret);

/* Whether the dialect has words for it. */
bool openai_responses_takes_media(const struct model_block *media);

#endif
