/*
 * call: one API call as a handler sees it, whatever carries it.
 *
 * A transport embeds struct api_call, unpacks the request and calls the handler of the
 * method's row; the handler answers now or later, from any thread. gRPC is the first
 * transport, HTTP for browsers the second; neither knows a handler, no handler knows them.
 *
 * Invariant: finish is called exactly once per call, closed or not; a second one is dropped.
 * Order:     start; message*; writable and closed as they happen; released last.
 * Threading: the transport calls a call's handlers one at a time. send, finish, ref, unref,
 *            queued_bytes, stalls, let_on may be called from any thread and never block.
 */
#ifndef SERVICE_API_CALL_H
#define SERVICE_API_CALL_H

#include <protobuf-c/protobuf-c.h>

#include "service/base/arena.h"
#include "service/base/base.h"
#include "service/base/failure.h"
#include "service/base/payload.h"
#include "service/base/principal.h"

struct api_call;
struct api_method;

struct api_call_vtable {
    /* Sends one packed message; takes one reference of the payload. After finish, or when the
     * peer is gone, it is dropped. */
    void (*send)(struct api_call *call, struct payload *payload);
    /* failure NULL: OK. Copies what it needs. Messages sent before it go out first. */
    void (*finish)(struct api_call *call, const struct failure *failure);
    void (*ref)(struct api_call *call);
    void (*unref)(struct api_call *call);
    /* Bytes sent by the handler and not yet taken by the peer's flow control: to be shown. Who has
     * to wait for them asks `stalls`. */
    size_t (*queued_bytes)(const struct api_call *call);
    /* Whether the handler stalls: API_CALL_FULL_BYTES or more were sent and not yet taken by the
     * peer's flow control; of a server's stream also, where anything was, when all of those
     * together have too much. Once it has answered true, `writable` is called when less than a
     * quarter of them is left; that may also come when nobody stalls. */
    bool (*stalls)(struct api_call *call);
    /* Bidi: the peer's next message is not read until let_on() was called as often as this. From
     * the handlers alone. */
    void (*hold)(struct api_call *call);
    void (*let_on)(struct api_call *call);
    /* A request header, lower-case name; empty when absent. Valid while the call lives. */
    str (*header)(const struct api_call *call, const char *name);
};

enum {
    API_CALL_FULL_BYTES = 256 * 1024,
};

struct api_call {
    const struct api_call_vtable *vtable;
    const struct api_method *method;
    void *service; /* What the methods were registered with: struct api *. */
    void *user; /* The handler's own. */
    struct principal principal; /* Who calls; set by access_admit(). */
    bool may_finish; /* What it does may let its caller's key end, and its answer goes out. */
    bool is_expelled; /* Before `closed`: the caller's key is good no more. */
};

enum api_method_kind {
    API_UNARY,
    API_SERVER_STREAM,
    API_BIDI,
};

struct api_method {
    const char *path; /* "/polos.v1.RunService/Get" */
    enum api_method_kind kind;
    /* It changes nothing, and passes over what it does not know of a request. What changes
     * something refuses that: a newer client means it. */
    bool is_read;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
    /* Unary and server streams: the request, borrowed for the call. Bidi: request is NULL. */
    void (*start)(struct api_call *call, const ProtobufCMessage *request);
    /* Bidi: a message, borrowed; NULL: the peer sends no more. */
    void (*message)(struct api_call *call, const ProtobufCMessage *message);
    void (*writable)(struct api_call *call); /* May be NULL. */
    /* The peer cancelled, its deadline passed, or the connection broke. May be NULL: then the
     * transport finishes the call for the handler. */
    void (*closed)(struct api_call *call);
    /* Nothing follows: finished, sent or lost, and no reference is left. Free `user`; a reference
     * kept until here would keep the call for ever. May be NULL. */
    void (*released)(struct api_call *call);
};

/* Packs and sends one message. */
void api_call_send(struct api_call *call, const ProtobufCMessage *message);
/* Packs, sends, finishes with OK. */
void api_call_reply(struct api_call *call, const ProtobufCMessage *message);
/* Finishes with a failure that happened; copies what it needs. */
void api_call_fail(struct api_call *call, const struct failure *failure);
/* One field is wrong: INVALID_ARGUMENT, reason INVALID_FIELD. */
void api_call_reject(struct api_call *call, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The message as bytes, with one reference, which is the caller's. */
struct payload *api_pack(const ProtobufCMessage *message);

#endif
