#include "service/codec/body.h"

#include "service/base/endian.h"

enum {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_FIXED32 = 5,
    VARINT_BYTES_MAX = 10,
};

struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

/* One field as it lies on the wire. */
struct wire_field {
    uint32_t tag;
    uint32_t type;
    uint64_t number; /* Varint and fixed. */
    str bytes;
};

void body_pack(const ProtobufCMessage *message, struct buf *ret)
{
    size_t bytes = protobuf_c_message_get_packed_size(message);
    assert(bytes <= UINT32_MAX);
    if (bytes == 0) {
        return;
    }
    buf_reserve(ret, bytes);
    size_t packed = protobuf_c_message_pack(message, (uint8_t *)ret->ptr + ret->len);
    assert(packed == bytes);
    ret->len += bytes;
}

static bool read_varint(struct reader *reader, uint64_t *ret)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < VARINT_BYTES_MAX && reader->at < reader->end; i++) {
        uint8_t byte = *reader->at++;
        number |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            *ret = number;
            return i < VARINT_BYTES_MAX - 1 || byte <= 1;
        }
    }
    return false;
}

/* Little-endian. */
static bool read_fixed(struct reader *reader, size_t bytes, uint64_t *ret)
{
    if ((size_t)(reader->end - reader->at) < bytes) {
        return false;
    }
    *ret = endian_get_le(reader->at, bytes);
    reader->at += bytes;
    return true;
}

static bool read_bytes(struct reader *reader, str *ret)
{
    uint64_t len;
    if (!read_varint(reader, &len) || len > (size_t)(reader->end - reader->at)) {
        return false;
    }
    *ret = str_make(reader->at, (size_t)len);
    reader->at += len;
    return true;
}

static bool read_field(struct reader *reader, struct wire_field *ret)
{
    uint64_t key;
    if (!read_varint(reader, &key) || key > UINT32_MAX || key >> 3 == 0) {
        return false;
    }
    *ret = (struct wire_field){.tag = (uint32_t)(key >> 3), .type = (uint32_t)(key & 7)};
    switch (ret->type) {
    case WIRE_VARINT:
        return read_varint(reader, &ret->number);
    case WIRE_FIXED64:
        return read_fixed(reader, sizeof(uint64_t), &ret->number);
    case WIRE_BYTES:
        return read_bytes(reader, &ret->bytes);
    case WIRE_FIXED32:
        return read_fixed(reader, sizeof(uint32_t), &ret->number);
    default: /* Groups, which we never wrote. */
        return false;
    }
}

static uint32_t wire_type_of(ProtobufCType type)
{
    if (type == PROTOBUF_C_TYPE_BYTES || type == PROTOBUF_C_TYPE_MESSAGE) {
        return WIRE_BYTES;
    }
    return type == PROTOBUF_C_TYPE_DOUBLE ? WIRE_FIXED64 : WIRE_VARINT;
}

/* The types that the journal's messages use. */
static bool set_scalar(ProtobufCType type, const struct wire_field *field, void *member)
{
    if (type == PROTOBUF_C_TYPE_BYTES) {
        *(ProtobufCBinaryData *)member = body_bytes(field->bytes);
        return true;
    }
    if (type == PROTOBUF_C_TYPE_UINT64) {
        *(uint64_t *)member = field->number;
        return true;
    }
    if (type == PROTOBUF_C_TYPE_UINT32) {
        *(uint32_t *)member = (uint32_t)field->number;
        return field->number <= UINT32_MAX;
    }
    if (type == PROTOBUF_C_TYPE_SINT32) { /* Zigzag: 0, -1, 1, -2 ... */
        *(int32_t *)member = (int32_t)(field->number >> 1) ^ -(int32_t)(field->number & 1);
        return field->number <= UINT32_MAX;
    }
    if (type == PROTOBUF_C_TYPE_BOOL) {
        *(protobuf_c_boolean *)member = field->number != 0;
        return true;
    }
    if (type == PROTOBUF_C_TYPE_DOUBLE) {
        memcpy(member, &field->number, sizeof(double));
        return true;
    }
    return false;
}

static bool unpack_into(ProtobufCMessage *message, str bytes, struct arena *arena);

static ProtobufCMessage *message_new(const ProtobufCMessageDescriptor *descriptor,
                                     struct arena *arena)
{
    ProtobufCMessage *message = arena_alloc(arena, descriptor->sizeof_message);
    descriptor->message_init(message);
    assert(message->descriptor == descriptor);
    return message;
}

static size_t count_more(struct reader reader, uint32_t tag)
{
    struct wire_field field;
    size_t count = 0;
    while (reader.at < reader.end && read_field(&reader, &field)) {
        count += field.tag == tag;
    }
    return count;
}

static bool add_message(const ProtobufCFieldDescriptor *field, const struct wire_field *wire,
                        struct reader rest, ProtobufCMessage *message, struct arena *arena)
{
    size_t *count = (size_t *)((char *)message + field->quantifier_offset);
    ProtobufCMessage ***list = (ProtobufCMessage ***)((char *)message + field->offset);
    if (*count == 0) {
        size_t total = 1 + count_more(rest, wire->tag);
        if (total > BODY_REPEATED_MAX) {
            return false;
        }
        *list = arena_alloc(arena, total * sizeof(**list));
    }
    ProtobufCMessage *item =
        message_new((const ProtobufCMessageDescriptor *)field->descriptor, arena);
    (*list)[(*count)++] = item;
    return unpack_into(item, wire->bytes, arena);
}

static bool set_field(const ProtobufCFieldDescriptor *field, const struct wire_field *wire,
                      struct reader rest, ProtobufCMessage *message, struct arena *arena)
{
    void *member = (char *)message + field->offset;
    if (wire->type != wire_type_of(field->type)) {
        return false;
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return field->type == PROTOBUF_C_TYPE_MESSAGE &&
               add_message(field, wire, rest, message, arena);
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        ProtobufCMessage **sub = (ProtobufCMessage **)member;
        if (*sub == NULL) {
            *sub = message_new((const ProtobufCMessageDescriptor *)field->descriptor, arena);
        }
        return unpack_into(*sub, wire->bytes, arena);
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        *(uint32_t *)((char *)message + field->quantifier_offset) = field->id;
    }
    return set_scalar(field->type, wire, member);
}

static bool unpack_into(ProtobufCMessage *message, str bytes, struct arena *arena)
{
    struct wire_field wire;
    if (bytes.len == 0) {
        return true;
    }
    struct reader reader = {.at = (const uint8_t *)bytes.ptr,
                            .end = (const uint8_t *)bytes.ptr + bytes.len};
    while (reader.at < reader.end) {
        if (!read_field(&reader, &wire)) {
            return false;
        }
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(message->descriptor, wire.tag);
        if (field != NULL && !set_field(field, &wire, reader, message, arena)) {
            return false;
        }
    }
    return true;
}

void *body_unpack(const ProtobufCMessageDescriptor *descriptor, str bytes, struct arena *arena)
{
    assert(descriptor != NULL && arena != NULL);
    ProtobufCMessage *message = message_new(descriptor, arena);
    return unpack_into(message, bytes, arena) ? message : NULL;
}
