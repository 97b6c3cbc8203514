/*
 * receive: how much of what peers send is taken in at once.
 *
 * A request is read only while its call has a place, so that requests on their way in take no more
 * than the places times the largest message. Without a place nothing is asked of the core, which
 * then takes no more from the peer than the stream's first window. Calls wait for places in the
 * order in which they came; beyond so many a call is ended with SERVER_BUSY and a hint, and so are
 * those of a connection that takes its time while others wait. Of a host's stream the first message
 * is read so; from then on it is a known host's, and is read one message at a time.
 *
 * Threading: everything on the thread of the loop.
 */
#ifndef SERVICE_RPC_RECEIVE_H
#define SERVICE_RPC_RECEIVE_H

#include "service/base/base.h"

struct loop;
struct rpc_call;

enum {
    /* The first window of a stream: what a peer may send before anything is read. */
    RECEIVE_WINDOW_BYTES = 64 << 10,
};

/* Of one loop. */
struct receive {
    struct rpc_call *first; /* The line of those that wait. */
    struct rpc_call **last; /* The link at its end. */
    uint32_t waiting;
    uint32_t reading; /* Places that are taken. */
    uint32_t places; /* At least 1. */
    uint32_t waiting_max;
};

/* bytes_max: what may be taken in at once, a quarter by those that are read and the rest by those
 * that wait; there is one place at least. */
void receive_init(struct receive *receive, size_t bytes_max, size_t message_bytes_max);
/* A call that is open takes a place; false: it is in the line, or it was ended. */
bool receive_begin(struct rpc_call *call);
/* Its message has come, or never will. The call that is the next to be read, with its place; NULL:
 * none. */
struct rpc_call *receive_end(struct rpc_call *call);
/* It leaves the line, if it is in it. */
void receive_leave(struct rpc_call *call);
/* While calls wait: ends those whose message takes longer than 10 s, and what else waits of their
 * connections. */
void receive_hurry(struct loop *loop);

#endif
