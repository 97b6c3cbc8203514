/*
 * render: members of the JSON object that people are shown of an event.
 *
 * What is empty, zero or false is left out.
 */
#ifndef SERVICE_CODEC_RENDER_H
#define SERVICE_CODEC_RENDER_H

#include "service/base/json_writer.h"
#include "service/base/outcome.h"
#include "service/base/uuid.h"

/* Each a member of the object that is open; one that has no value (empty, zero, false) is left
 * out. */
void render_text(struct json_writer *writer, const char *name, str text);
void render_number(struct json_writer *writer, const char *name, uint64_t number);
void render_true(struct json_writer *writer, const char *name, bool fact);
/* Spliced in when it is JSON, else shown as text. */
void render_json(struct json_writer *writer, const char *name, str value);
void render_id(struct json_writer *writer, const char *name, uuid id);
void render_hex(struct json_writer *writer, const char *name, str bytes);
/* "value" or "error". */
void render_outcome(struct json_writer *writer, const struct outcome *outcome);

#endif
