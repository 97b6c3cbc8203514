/*
 * nul: U+0000 in the texts of a message, as they stand on the wire.
 *
 * protobuf-c makes C strings of them, which end there: what follows would be lost without a word.
 */
#ifndef SERVICE_RPC_NUL_H
#define SERVICE_RPC_NUL_H

#include <protobuf-c/protobuf-c.h>

#include "service/base/arena.h"

/* True when a text holds one: *ret_field says which, as a path in the arena. The bytes are such a
 * message; what is none is passed over. */
bool nul_find(const ProtobufCMessageDescriptor *descriptor, str bytes, struct arena *arena,
              str *ret_field);

#endif
