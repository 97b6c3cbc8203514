/*
 * render: members of an event's JSON object.
 *
 * Only the codec uses it.
 */
#ifndef SERVICE_CODEC_RENDER_H
#define SERVICE_CODEC_RENDER_H

#include "service/base/json_writer.h"

/* Left out when it is empty. */
void render_text(struct json_writer *writer, const char *name, str text);
/* Spliced in when it is JSON, else shown as text. */
void render_json(struct json_writer *writer, const char *name, str value);

#endif
