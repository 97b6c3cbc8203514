/*
 * codec: one way of talking to a model, without a socket: a request to bytes, bytes to a reply.
 *
 * A codec is stateless tables and functions; what it must remember of one reply lives in the
 * value that open() returns.
 */
#ifndef SERVICE_LLM_CODEC_H
#define SERVICE_LLM_CODEC_H

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
    bool streams_lines; /* A JSON text a line, whatever the media type is called. */
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

#endif
