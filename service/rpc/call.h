/*
 * call: one gRPC call, and the only place that starts batches.
 *
 *   armed --> (reading the request) --> handled --> ended --> complete --> released
 *     \__________ bidi ___________________/
 *
 * `call_flush` looks at the flags and starts what is due; everybody else only sets flags and
 * touches the call, so that whatever a handler does in one go becomes one batch.
 *
 * Invariant: at most one send batch and one receive batch are out; RECV_CLOSE is started at
 *            accept and completes exactly once.
 * Order:     `released` comes after every batch has completed and every reference was dropped.
 * Threading: owned by the loop's thread, except for the functions of api_call's vtable.
 */
#ifndef SERVICE_RPC_CALL_H
#define SERVICE_RPC_CALL_H

#include "service/api/call.h"
#include "service/rpc/loop.h"
#include "service/rpc/wire.h"

enum {
    /* A peer that lets more than this wait is given up. */
    CALL_QUEUED_BYTES_MAX = 8 * 1024 * 1024,
    /* What a queued message costs besides its bytes. */
    CALL_MESSAGE_OVERHEAD_BYTES = 64,
};

struct rpc_call {
    struct api_call api;
    struct loop *loop;
    struct rpc_call *next; /* In loop->calls. */
    struct rpc_call **link;
    struct rpc_call *dirty_next;
    struct loop_op accepted;
    struct loop_op received;
    struct loop_op sent;
    struct loop_op closed;

    grpc_call *core; /* NULL while armed. */
    grpc_call_details details;
    grpc_metadata_array headers;
    grpc_byte_buffer *incoming; /* Of the receive batch. */
    grpc_byte_buffer *outgoing; /* Of the send batch. */
    size_t outgoing_charge;
    int cancelled; /* Written by RECV_CLOSE. */
    struct wire_status end; /* Once `ended`. */
    grpc_metadata trailer;
    struct loop_post release;

    atomic_uint references; /* One is the transport's own, until the call is complete. */
    atomic_uint posted; /* Sends and finishes on their way through the inbox. */
    atomic_size_t queued_bytes;
    atomic_bool was_high;
    atomic_bool overflowed;

    struct payload **queue; /* A ring; its capacity is a power of two. */
    uint32_t queue_cap;
    uint32_t queue_first;
    uint32_t queue_len;

    bool dirty;
    bool send_busy;
    bool receive_busy;
    bool started; /* The handler knows the call. */
    bool closed_told;
    bool handler_done; /* The handler has finished, or will not be asked to. */
    bool half_closed; /* The peer sends no more. */
    bool headers_sent;
    bool ended; /* Its status is known; nothing more is queued. */
    bool end_sent;
    bool gone; /* Nobody listens. */
    bool close_done;
    bool complete;
    bool release_due;
};

/* Arms one accept: on the loop's thread, or before that runs. */
void call_arm(struct loop *loop);
/* Starts the batches that are due; frees the call when nothing and nobody needs it. */
void call_flush(struct rpc_call *call);
/* Ends the call from the transport's side; what is queued goes out first. The handler hears
 * `closed`. A call that has ended, or is not there yet, stays as it is. */
void call_end(struct rpc_call *call, const struct api_error *error);
/* UNAVAILABLE, "server is shutting down; reconnect". */
void call_end_for_shutdown(struct rpc_call *call);

#endif
