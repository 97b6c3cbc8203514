/*
 * body: protobuf messages of the journal, packed and unpacked without a copy.
 *
 * Packing is protobuf-c's. Unpacking is our own walk over the same generated descriptors, since
 * protobuf-c copies every bytes field: here they point into the bytes that were read.
 *
 * Invariant: any bytes at all may be unpacked; at worst the answer is NULL.
 */
#ifndef SERVICE_CODEC_BODY_H
#define SERVICE_CODEC_BODY_H

#include <protobuf-c/protobuf-c.h>

#include "service/base/arena.h"
#include "service/base/buf.h"

enum {
    BODY_REPEATED_MAX = 65536, /* Of one field in one message. */
};

/* ModelBlock.kind on disk: equal to the llm's enum model_block_kind, number by number. */
enum body_block_kind {
    BODY_BLOCK_TEXT = 0,
    BODY_BLOCK_REASONING = 1,
    BODY_BLOCK_REFUSAL = 2,
    BODY_BLOCK_TOOL_CALL = 3,
    BODY_BLOCK_TOOL_RESULT = 4,
    BODY_BLOCK_OPAQUE = 5,
    BODY_BLOCK_KIND_COUNT,
};

/* Appends the message. */
void body_pack(const ProtobufCMessage *message, struct buf *ret);
/* A message of the descriptor's type, or NULL: the bytes are damaged. It lives in the arena, its
 * bytes fields in `bytes`. Fields it does not know are passed over: they are of a newer release. */
void *body_unpack(const ProtobufCMessageDescriptor *descriptor, str bytes, struct arena *arena);

static inline ProtobufCBinaryData body_bytes(str text)
{
    return (ProtobufCBinaryData){.len = text.len, .data = (uint8_t *)text.ptr};
}

static inline str body_str(ProtobufCBinaryData bytes)
{
    return str_make(bytes.data, bytes.len);
}

#endif
