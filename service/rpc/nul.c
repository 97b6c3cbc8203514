#include "service/rpc/nul.h"

#include <string.h>

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_64 = 1,
    WIRE_BYTES = 2,
    WIRE_32 = 5,
};

/* One field of a message. */
struct entry {
    uint32_t number;
    str bytes; /* Of texts, messages and the like; empty for others. */
};

static bool take_varint(str *rest, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && rest->len > 0; shift += 7) {
        uint8_t byte = (uint8_t)rest->ptr[0];
        *rest = str_make(rest->ptr + 1, rest->len - 1);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool skip(str *rest, uint64_t bytes)
{
    if (bytes > rest->len) {
        return false;
    }
    *rest = str_make(rest->ptr + bytes, rest->len - (size_t)bytes);
    return true;
}

/* False: there is no further one. */
static bool take_entry(str *rest, struct entry *ret)
{
    uint64_t tag;
    uint64_t value;
    *ret = (struct entry){.bytes = STR_EMPTY};
    if (rest->len == 0 || !take_varint(rest, &tag)) {
        return false;
    }
    ret->number = (uint32_t)(tag >> 3);
    switch ((enum wire_type)(tag & 7)) {
    case WIRE_VARINT:
        return take_varint(rest, &value);
    case WIRE_64:
        return skip(rest, 8);
    case WIRE_32:
        return skip(rest, 4);
    case WIRE_BYTES:
        if (!take_varint(rest, &value) || value > rest->len) {
            return false;
        }
        ret->bytes = str_make(rest->ptr, (size_t)value);
        return skip(rest, value);
    }
    return false;
}

static bool holds(const ProtobufCFieldDescriptor *field, str bytes, struct arena *arena,
                  str *ret_below)
{
    *ret_below = STR_EMPTY;
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        return bytes.len > 0 && memchr(bytes.ptr, '\0', bytes.len) != NULL;
    }
    return field->type == PROTOBUF_C_TYPE_MESSAGE &&
           nul_find(field->descriptor, bytes, arena, ret_below);
}

/* Which one of a repeated field's it is, as "[2]"; else nothing. */
static str index_of(const ProtobufCFieldDescriptor *field, str message, const char *at,
                    struct arena *arena)
{
    struct entry entry;
    size_t index = 0;
    while (take_entry(&message, &entry) && entry.bytes.ptr != at) {
        index += entry.number == field->id;
    }
    return field->label == PROTOBUF_C_LABEL_REPEATED ? arena_printf(arena, "[%zu]", index)
                                                     : STR_EMPTY;
}

bool nul_find(const ProtobufCMessageDescriptor *descriptor, str bytes, struct arena *arena,
              str *ret_field)
{
    struct entry entry;
    str rest = bytes;
    str below;
    assert(descriptor != NULL);
    while (take_entry(&rest, &entry)) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(descriptor, entry.number);
        if (field == NULL || !holds(field, entry.bytes, arena, &below)) {
            continue;
        }
        str index = index_of(field, bytes, entry.bytes.ptr, arena);
        *ret_field = arena_printf(arena, "%s" STR_FMT "%s" STR_FMT, field->name, STR_ARG(index),
                                  below.len > 0 ? "." : "", STR_ARG(below));
        return true;
    }
    return false;
}
