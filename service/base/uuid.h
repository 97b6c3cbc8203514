/*
 * uuid: 16-byte ids; version 7 ids sort by the millisecond they were made in.
 */
#ifndef SERVICE_BASE_UUID_H
#define SERVICE_BASE_UUID_H

#include "service/base/base.h"

enum {
    UUID_TEXT_BYTES = 37, /* With the NUL. */
};

typedef struct uuid {
    uint8_t bytes[16];
} uuid;

/* random: 10 bytes of randomness, from the caller, so that a seed gives the same id. */
uuid uuid_v7(uint64_t now_ms, const uint8_t random[10]);
/* 36 characters in lower case, and a NUL. */
void uuid_format(uuid id, char ret[UUID_TEXT_BYTES]);
bool uuid_parse(str text, uuid *ret); /* Only the 36-character form. */
uint64_t uuid_time_ms(uuid id);

static inline bool uuid_equal(uuid a, uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

static inline bool uuid_is_zero(uuid id)
{
    return uuid_equal(id, (uuid){{0}});
}

/* For tables in memory: the half that is random in version 7. */
static inline uint64_t uuid_hash(uuid id)
{
    uint64_t tail;
    memcpy(&tail, id.bytes + 8, sizeof(tail));
    return tail;
}

#endif
