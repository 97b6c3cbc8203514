/*
 * openai_chat: the Chat Completions dialect, as OpenAI and a score of other servers speak it.
 *
 * Servers break its rules in ways that are known and recorded: missing or doubled indexes of
 * tool calls, finish reasons that lie, usage in odd places, errors in mid-stream. What is
 * read here is therefore judged by what came, not by what should have.
 */
#ifndef SERVICE_LLM_OPENAI_CHAT_H
#define SERVICE_LLM_OPENAI_CHAT_H

#include "service/llm/codec.h"

extern const struct codec openai_chat_codec;

/* The body of a request; openai_chat_request.c. */
void openai_chat_put_body(const struct provider_row *row, const struct model_request *request,
                          struct buf *ret);

/* Whether the dialect has words for it. */
bool openai_chat_takes_media(const struct model_block *media);

#endif
