/*
 * wire: between protobuf-c, payloads and the C core's byte buffers and trailers.
 *
 * A payload is wrapped, not copied: a thousand watchers of one run share the same bytes.
 *
 * Threading: any thread; an arena belongs to its caller.
 */
#ifndef SERVICE_RPC_WIRE_H
#define SERVICE_RPC_WIRE_H

#include <grpc/grpc.h>
#include <protobuf-c/protobuf-c.h>

#include "service/api/call.h"
#include "service/base/arena.h"
#include "service/base/payload.h"

/* How a call ends: what goes into its trailers. */
struct wire_status {
    enum code code;
    grpc_slice message;
    grpc_slice details; /* A packed google.rpc.Status; empty when OK. */
};

/* Owns nothing; wire_status_fini() does no harm. */
struct wire_status wire_status_ok(void);
struct wire_status wire_status_of(const struct failure *failure); /* NULL: OK. */
/* It is OK again. */
void wire_status_fini(struct wire_status *end);

/* Takes the caller's reference of the payload. */
grpc_byte_buffer *wire_wrap(struct payload *payload);

/* A request that needs more memory than this once unpacked is refused: a few bytes on the wire
 * may stand for a large struct. */
size_t wire_unpacked_bytes_max(size_t message_bytes_max);

/*
 * Unpacks into the arena. INVALID_ARGUMENT: not such a message, or text that is not UTF-8 or
 * holds U+0000 (then `ret_field` names it); RESOURCE_EXHAUSTED: too large once unpacked.
 */
status wire_unpack(const ProtobufCMessageDescriptor *descriptor, grpc_byte_buffer *bytes,
                   struct arena *arena, const ProtobufCMessage **ret, str *ret_field);

/* INVALID_ARGUMENT where it, or a message in it, has a field or a value of an enum that this server
 * does not know: `ret_field` says where, by the field's number if it has no name here. */
status wire_check_known(const ProtobufCMessage *message, struct arena *arena, str *ret_field);

/* True when a message of this type cannot contain itself: unpacking recurses on the stack. */
bool wire_is_acyclic(const ProtobufCMessageDescriptor *descriptor);

#endif
