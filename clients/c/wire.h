/*
 * wire: between protobuf-c, the C core's byte buffers, and errors.
 */
#ifndef CLIENTS_C_WIRE_H
#define CLIENTS_C_WIRE_H

#include <grpc/grpc.h>

#include "clients/c/polos.h"

/* A buffer of the caller's. */
grpc_byte_buffer *polos_wire_pack(const ProtobufCMessage *message);
/* NULL: not such a message. Freed with protobuf_c_message_free_unpacked(). */
ProtobufCMessage *polos_wire_unpack(const ProtobufCMessageDescriptor *descriptor,
                                    grpc_byte_buffer *bytes);
/* A deep copy, freed with protobuf_c_message_free_unpacked(). */
ProtobufCMessage *polos_wire_copy(const ProtobufCMessage *message);

/* An error together with its text. */
struct polos_failure {
    struct polos_error error;
    char *memory;
};

/* What a call's status and trailers say; code 0 when it went well. */
void polos_failure_init(struct polos_failure *ret, grpc_status_code code, grpc_slice message,
                        const grpc_metadata_array *trailers);
/* Frees its text. */
void polos_failure_fini(struct polos_failure *failure);

#endif
