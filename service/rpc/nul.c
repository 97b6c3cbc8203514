#include "service/rpc/nul.h"

#include <string.h>

#include "service/rpc/wire_field.h"

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
    struct wire_field entry;
    size_t index = 0;
    while (wire_field_take(&message, &entry) && entry.bytes.ptr != at) {
        index += entry.number == field->id;
    }
    return field->label == PROTOBUF_C_LABEL_REPEATED ? arena_printf(arena, "[%zu]", index)
                                                     : STR_EMPTY;
}

bool nul_find(const ProtobufCMessageDescriptor *descriptor, str bytes, struct arena *arena,
              str *ret_field)
{
    struct wire_field entry;
    str rest = bytes;
    str below;
    assert(descriptor != NULL);
    while (wire_field_take(&rest, &entry)) {
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
