/*
 * stream: one call whose messages come and go over time.
 *
 * At most one message is on its way out. A message that has another one behind it is marked as
 * such, so that both share a write; the first one never is, it would not be sent.
 */
#ifndef CLIENTS_C_STREAM_H
#define CLIENTS_C_STREAM_H

#include "clients/c/client.h"

struct polos_stream;

struct polos_stream_events {
    /* The message is freed afterwards. */
    void (*received)(void *context, grpc_byte_buffer *message);
    /* The last message went out: the next may be sent. */
    void (*sent)(void *context);
    /* NULL: the server closed it and all is well. The stream is gone when this returns. */
    void (*closed)(void *context, const struct polos_error *error);
};

/* Sends the first message. `only` says that no other will follow. */
struct polos_stream *polos_stream_open(struct polos_client *client, unsigned method,
                                       const ProtobufCMessage *first, bool only,
                                       const struct polos_stream_events *events, void *context);
/* Whether the next message may be sent now. */
bool polos_stream_can_send(const struct polos_stream *stream);
/* Only when it can; `sent` follows. The message is copied. */
void polos_stream_send(struct polos_stream *stream, const ProtobufCMessage *message,
                       bool more_follows);
/* `closed` follows. */
void polos_stream_cancel(struct polos_stream *stream);

#endif
