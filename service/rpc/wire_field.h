/*
 * wire_field: takes a message apart as it lies on the wire, field by field, without a descriptor.
 */
#ifndef SERVICE_RPC_WIRE_FIELD_H
#define SERVICE_RPC_WIRE_FIELD_H

#include "service/base/base.h"

struct wire_field {
    uint32_t number;
    bool is_bytes; /* A text, a message and the like. */
    str bytes; /* Of those; borrowed from the message. */
};

/* The next one; *rest moves on behind it. False: there is none more, or these bytes are none. */
[[nodiscard]] bool wire_field_take(str *rest, struct wire_field *ret);

#endif
