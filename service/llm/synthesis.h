/*
 * synthesis: a JSON value that fits a JSON Schema, with words taken from what a user said.
 *
 * For the scripted provider. It knows what schemas of tools and answers use: types, enum,
 * const, default, properties, required, items, anyOf, oneOf, allOf, $ref within the schema.
 */
#ifndef SERVICE_LLM_SYNTHESIS_H
#define SERVICE_LLM_SYNTHESIS_H

#include "service/base/buf.h"

/* Appends the value. said: where strings and numbers come from where possible. */
void synthesis_put(str schema, str said, struct buf *ret);
/* The last run of capitalised words, "New York", the first word of all being the last choice;
 * else the last word; else empty. */
str synthesis_last_name(str said);

#endif
