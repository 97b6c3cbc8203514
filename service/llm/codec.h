/*
 * codec: one way of talking to a model, without a socket: a request to bytes, bytes to a reply.
 *
 * A codec is stateless tables and functions; what it must remember of one reply lives in the
 * value that open() returns.
 */
#ifndef SERVICE_LLM_CODEC_H
#define SERVICE_LLM_CODEC_H

#include "service/base/json.h"
#include "service/llm/diagnosis.h"
#include "service/llm/provider.h"
#include "service/llm/reply.h"

struct provider_row;

enum codec_result {
    CODEC_MORE,
    CODEC_ENDED, /* The reply is whole; nothing that may follow matters. */
    CODEC_FAILED, /* The diagnosis says why. */
};

struct codec {
    const char *name;
    const char *instead; /* What to try where nobody speaks it; NULL: nothing. */
    bool streams_lines; /* A JSON text a line, whatever the media type is called. */
    const char *media; /* What models may be shown besides text, in words. */
    bool (*takes_media)(const struct model_block *media); /* NULL: nothing. */
    void (*put_body)(const struct provider_row *row, const struct model_request *request,
                     struct buf *ret);
    void *(*open)(const struct provider_row *row, struct reply *reply);
    void (*close)(void *self);
    enum codec_result (*record)(void *self, str event, str data, struct diagnosis *diagnosis);
    /* A whole reply in one JSON text, whether or not a stream was asked for. */
    enum codec_result (*body)(void *self, str json, struct diagnosis *diagnosis);
    /* The stream is over: CODEC_ENDED when what came makes a whole reply. */
    enum codec_result (*finish)(void *self, struct diagnosis *diagnosis);
};

/* ---- What codecs read of a JSON object of a reply. ---- */

/* A member that is a string, raw. False: there is none. */
static inline bool codec_string(str object, const char *name, str *ret_raw)
{
    return json_object_get_kind(object, str_of(name), JSON_STRING, ret_raw);
}

/* Whether its member `type` is that word. */
static inline bool codec_is_type(str object, const char *type)
{
    str value;
    return codec_string(object, "type", &value) && json_string_is(value, str_of(type));
}

/* The characters of a member that is a string, where the buffer is empty still: the first that
 * names it counts. */
static inline void codec_take_name(struct buf *ret, str object, const char *name)
{
    str raw;
    assert(name != NULL);
    if (ret->len == 0 && codec_string(object, name, &raw)) {
        (void)json_string_decode(raw, ret); /* It is a string. */
    }
}

/* The first fault counts. */
static inline void codec_note(status *fault, status outcome)
{
    if (status_is_ok(*fault)) {
        *fault = outcome;
    }
}

#endif
