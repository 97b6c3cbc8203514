/*
 * call: one gRPC call, and the only place that starts batches.
 *
 *   ARMED --accepted--> OPEN --status known--> ENDING --status in a batch--> ENDED
 *     |                  |                        |                           |  |
 *     |                  +--nobody listens--------+---------------------------+  |
 *     |                  v                                                       v
 *     |                 GONE --batches back, handler done----------------> COMPLETE
 *     \--the server shuts down-------------------------------------------->   |
 *                                                      the last reference --> RELEASED
 *
 *   The handler:  UNAWARE --start--> SERVING --closed--> TOLD --finish--> FINISHED
 *                    |                  \---------------finish-----------/
 *                    \--ended before it began--> SKIPPED
 *
 * `call_flush` looks at the state and starts what is due; everybody else only changes it and
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
#include "service/rpc/send_queue.h"
#include "service/rpc/wire.h"

enum {
    /* A peer that lets more than this wait is given up when more comes; from half of it on, nothing
     * is read from it. */
    CALL_QUEUED_BYTES_MAX = 8 * 1024 * 1024,
    /* What a queued message costs besides its bytes. */
    CALL_MESSAGE_OVERHEAD_BYTES = 64,
    CALL_TEXT_BYTES = 512, /* Of a status that has no details. */
};

enum call_state {
    CALL_ARMED, /* Waits to be accepted; the core may write into it at any time. */
    CALL_OPEN, /* Accepted; messages go both ways. */
    CALL_ENDING, /* Its status is known, nothing more is queued; what is queued goes out first. */
    CALL_ENDED, /* The status was handed to the core. */
    CALL_GONE, /* Nobody listens. */
    CALL_COMPLETE, /* Every batch is back; only references keep it. */
    CALL_RELEASED, /* To be freed by the next flush. */
    CALL_STATE_COUNT,
};

enum call_handler {
    CALL_HANDLER_UNAWARE, /* It has not heard of the call. */
    CALL_HANDLER_SERVING,
    CALL_HANDLER_TOLD, /* It knows that the call is over and has not finished. */
    CALL_HANDLER_FINISHED, /* Or there is nothing left for it to do. */
    CALL_HANDLER_SKIPPED, /* It will never hear of the call. */
    CALL_HANDLER_COUNT,
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

    enum call_state state;
    enum call_handler handler;
    grpc_call *core; /* NULL while armed. */
    grpc_call_details details;
    grpc_metadata_array headers;
    grpc_byte_buffer *incoming; /* Of the receive batch. */
    grpc_byte_buffer *outgoing; /* Of the send batch. */
    size_t outgoing_charge;
    int cancelled; /* Written by RECV_CLOSE. */
    struct wire_status end; /* From ENDING on. */
    grpc_metadata trailer;
    struct loop_post release;

    struct rpc_call *line_next; /* Of those that wait for a place. */
    struct rpc_call **line_link; /* NULL: it does not wait. */
    uint64_t reading_since_us; /* With a place. */

    atomic_uint references; /* One is the transport's own, until the call is complete. */
    atomic_uint posted; /* Sends and finishes on their way through the inbox. */
    atomic_size_t queued_bytes;
    atomic_bool is_awaited; /* A handler stalls until the queue has run low. */
    atomic_bool overflowed;
    atomic_uint holds; /* While any is left, nothing more is read from the peer. */

    struct send_queue queue;

    bool dirty; /* In loop->dirty. */
    bool send_busy; /* The send batch is out. */
    bool receive_busy; /* The receive batch is out. */
    bool has_place; /* Its request may be read. */
    bool close_done; /* RECV_CLOSE is back. */
    bool headers_sent;
    bool half_closed; /* The peer sends no more, or nothing more is read. */
    bool was_heard; /* Its first message has come. */
};

/* Arms one accept: on the loop's thread, or before that runs. */
void call_arm(struct loop *loop);
/* Starts the batches that are due; frees the call when nothing and nobody needs it. */
void call_flush(struct rpc_call *call);
/* Ends the call from the transport's side; what is queued goes out first. The handler hears
 * `closed`. A call that has ended, or is not there yet, stays as it is. */
void call_end(struct rpc_call *call, const struct failure *failure);
/* The same to one whose caller is let in no more, and at once: what is queued does not go out. The
 * call is open. */
void call_expel(struct rpc_call *call, const struct failure *failure);
/* UNAVAILABLE, "server is shutting down; reconnect". */
void call_end_for_shutdown(struct rpc_call *call);

#endif
