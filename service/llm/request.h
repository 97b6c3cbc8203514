/*
 * request: what the bodies of all dialects have in common.
 */
#ifndef SERVICE_LLM_REQUEST_H
#define SERVICE_LLM_REQUEST_H

#include "service/base/json_writer.h"
#include "service/llm/provider.h"

struct provider_row;

enum {
    REQUEST_CALL_ID_BYTES = 9, /* Of a stand-in. */
};

/* Whether the provider of the row wrote a message: only it may get its opaque data back. */
bool request_is_from(const struct provider_row *row, str origin);

/* The call id as the provider takes it: itself, or a stand-in, always the same for the same id. */
str request_call_id(const struct provider_row *row, str call_id,
                    char stand_in[REQUEST_CALL_ID_BYTES]);

/* The arguments of a call as a JSON object; what is none is wrapped in one, since some servers
 * would refuse the whole conversation. */
void request_put_arguments(const struct model_block *call, struct buf *ret);
/* A tool's schema; of one without arguments the schema that says so. */
str request_parameters(const struct model_tool *tool);

/* Appends the texts of the blocks of a kind, one below the other; returns how many. */
size_t request_join_texts(const struct model_message *message, enum model_block_kind kind,
                          struct buf *ret);
bool request_has_call(const struct model_message *message);

/* Whether there is more to show than text. */
bool request_has_media(const struct model_message *message);
/* Where the media is: its URL, or one that holds its bytes. */
void request_put_media_url(struct json_writer *writer, const char *name,
                           const struct model_block *media);
/* What it is called; providers want PDFs to have a name. */
str request_media_filename(const struct model_block *media);
/* Its kind is of a family: "image/", "audio/". Without a kind a URL counts as an image's, since
 * that is what all providers take. */
bool request_is_media(const struct model_block *media, const char *family);
/* UNIMPLEMENTED: media that the row's dialect has no words for; `why` names the part and is in the
 * arena.
 */
status request_check_media(const struct provider_row *row, const struct model_request *request,
                           struct arena *arena);

/* The member "tools" in the form {"type": "function", "function": {...}}, if there are any. */
void request_put_function_tools(struct json_writer *writer, const struct model_request *request);

/* The body with the options over it. The object `name`, if both have it, is not replaced but gets
 * the options' members one by one. */
void request_merge_options(str body, str options, const char *name, struct buf *ret);

/* The member "temperature", if there is one. */
void request_put_temperature(struct json_writer *writer, double temperature);

/* What the effort of {"reasoning": {"effort": E}} or {"reasoning_effort": E} is, the later one
 * winning; `ret_rest` gets all other members. False: nothing is said, ret_rest stays empty. */
bool request_take_effort(str options, str *ret_effort, struct buf *ret_rest);

#endif
