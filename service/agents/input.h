/*
 * input: what a run of an agent is started with, as messages.
 *
 * Only this folder uses it.
 */
#ifndef SERVICE_AGENTS_INPUT_H
#define SERVICE_AGENTS_INPUT_H

#include "service/base/arena.h"
#include "service/llm/provider.h"

/* A growing list in an arena. */
struct message_list {
    struct model_message *items;
    size_t count;
    size_t cap;
};

/* Appends; what the message points to is borrowed for as long as the list is used. */
void message_list_add(struct message_list *list, struct model_message message, struct arena *arena);
/* The characters of a raw JSON string; other values as they are. */
str input_text(str raw, struct arena *arena);
/* Appends the messages; INVALID_ARGUMENT says what is wrong, and where. */
status input_messages(str input_json, struct arena *arena, struct message_list *ret);

#endif
