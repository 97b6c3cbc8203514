#include "clients/c/stream.h"

#include <assert.h>

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

#include "clients/c/memory.h"
#include "clients/c/wire.h"

struct polos_stream {
    struct polos_client *client;
    grpc_call *call;
    const struct polos_stream_events *events;
    void *context;
    struct polos_loop_tag sent;
    struct polos_loop_tag received;
    struct polos_loop_tag ended;
    unsigned pending; /* Batches that are out. */
    bool is_sending;
    bool is_only; /* Only the first message is sent. */
    bool is_over; /* No more can be sent. */
    grpc_byte_buffer *outgoing;
    grpc_byte_buffer *incoming;
    grpc_metadata_array headers;
    grpc_metadata_array trailers;
    grpc_status_code status;
    grpc_slice message;
};

static void start(struct polos_stream *stream, const grpc_op *ops, size_t count,
                  struct polos_loop_tag *tag)
{
    assert(tag->done != NULL);
    stream->pending++;
    grpc_call_error refused = grpc_call_start_batch(stream->call, ops, count, tag, NULL);
    assert(refused == GRPC_CALL_OK);
    (void)refused;
}

static void finish_if_over(struct polos_stream *stream)
{
    struct polos_failure failure;
    if (stream->pending > 0) {
        return;
    }
    assert(stream->outgoing == NULL && stream->incoming == NULL);
    polos_failure_init(&failure, stream->status, stream->message, &stream->trailers);
    stream->events->closed(stream->context, failure.error.code == 0 ? NULL : &failure.error);
    polos_failure_fini(&failure);
    grpc_metadata_array_destroy(&stream->headers);
    grpc_metadata_array_destroy(&stream->trailers);
    grpc_slice_unref(stream->message);
    polos_client_call_over(stream->client, stream->call);
    free(stream);
}

static void receive(struct polos_stream *stream)
{
    grpc_op op;
    memset(&op, 0, sizeof(op));
    op.op = GRPC_OP_RECV_MESSAGE;
    op.data.recv_message.recv_message = &stream->incoming;
    start(stream, &op, 1, &stream->received);
}

static void on_received(struct polos_loop_tag *tag, bool ok)
{
    struct polos_stream *stream = memory_owner(tag, struct polos_stream, received);
    grpc_byte_buffer *message = stream->incoming;
    assert(stream->pending > 0);
    stream->pending--;
    stream->incoming = NULL;
    if (!ok || message == NULL) {
        finish_if_over(stream);
        return;
    }
    receive(stream);
    stream->events->received(stream->context, message);
    grpc_byte_buffer_destroy(message);
}

static void on_sent(struct polos_loop_tag *tag, bool ok)
{
    struct polos_stream *stream = memory_owner(tag, struct polos_stream, sent);
    assert(stream->pending > 0 && stream->is_sending);
    stream->pending--;
    stream->is_sending = false;
    grpc_byte_buffer_destroy(stream->outgoing);
    stream->outgoing = NULL;
    stream->is_over |= !ok;
    if (polos_stream_can_send(stream)) {
        stream->events->sent(stream->context);
        return;
    }
    finish_if_over(stream);
}

static void on_ended(struct polos_loop_tag *tag, bool ok)
{
    struct polos_stream *stream = memory_owner(tag, struct polos_stream, ended);
    (void)ok;
    assert(stream->pending > 0);
    stream->pending--;
    stream->is_over = true;
    finish_if_over(stream);
}

static void start_first(struct polos_stream *stream, const ProtobufCMessage *first)
{
    grpc_op ops[3];
    memset(ops, 0, sizeof(ops));
    stream->outgoing = polos_wire_pack(first);
    stream->is_sending = true;
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = stream->outgoing;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    start(stream, ops, stream->is_only ? 3 : 2, &stream->sent);
}

static void start_end(struct polos_stream *stream)
{
    grpc_op ops[2];
    memset(ops, 0, sizeof(ops));
    ops[0].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[0].data.recv_initial_metadata.recv_initial_metadata = &stream->headers;
    ops[1].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[1].data.recv_status_on_client.trailing_metadata = &stream->trailers;
    ops[1].data.recv_status_on_client.status = &stream->status;
    ops[1].data.recv_status_on_client.status_details = &stream->message;
    start(stream, ops, 2, &stream->ended);
}

struct polos_stream *polos_stream_open(struct polos_client *client, unsigned method,
                                       const ProtobufCMessage *first, bool only,
                                       const struct polos_stream_events *events, void *context)
{
    struct polos_stream *stream = memory_zeroed(1, sizeof(*stream));
    stream->client = client;
    stream->call = polos_client_call(client, method, 0);
    stream->events = events;
    stream->context = context;
    stream->is_only = only;
    stream->sent.done = on_sent;
    stream->received.done = on_received;
    stream->ended.done = on_ended;
    stream->message = grpc_empty_slice();
    grpc_metadata_array_init(&stream->headers);
    grpc_metadata_array_init(&stream->trailers);
    start_first(stream, first);
    start_end(stream);
    receive(stream);
    return stream;
}

bool polos_stream_can_send(const struct polos_stream *stream)
{
    return !stream->is_sending && !stream->is_only && !stream->is_over;
}

void polos_stream_send(struct polos_stream *stream, const ProtobufCMessage *message,
                       bool more_follows)
{
    assert(polos_stream_can_send(stream));
    grpc_op op;
    memset(&op, 0, sizeof(op));
    stream->outgoing = polos_wire_pack(message);
    stream->is_sending = true;
    op.op = GRPC_OP_SEND_MESSAGE;
    op.data.send_message.send_message = stream->outgoing;
    op.flags = more_follows ? GRPC_WRITE_BUFFER_HINT : 0;
    start(stream, &op, 1, &stream->sent);
}

void polos_stream_cancel(struct polos_stream *stream)
{
    stream->is_over = true;
    grpc_call_cancel(stream->call, NULL);
}
