/*
 * text: values as the C strings that protobuf-c takes.
 *
 * A string field must hold UTF-8, or the receiver refuses the whole message; what models and tools
 * sent need not. Bytes that are none become U+FFFD, and so does NUL, which would end the string.
 */
#ifndef SERVICE_API_TEXT_H
#define SERVICE_API_TEXT_H

#include "service/base/arena.h"
#include "service/base/uuid.h"

/* Never NULL. */
char *text_of(struct arena *arena, str text);
/* At most about bytes_max of its front; what was cut ends in "...". */
str text_cut(struct arena *arena, str text, size_t bytes_max);
/* 36 characters, in lower case. */
char *text_of_uuid(struct arena *arena, uuid id);
/* Two characters for each byte, in lower case. */
char *text_of_hash(struct arena *arena, str hash);
/* "2026-11-22T09:00:00.000Z" */
char *text_of_time(struct arena *arena, uint64_t unix_ms);

#endif
