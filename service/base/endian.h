/*
 * endian: whole numbers as bytes, in either order.
 *
 * Little-endian inside values; big-endian inside keys, so that rows sort as their numbers do.
 */
#ifndef SERVICE_BASE_ENDIAN_H
#define SERVICE_BASE_ENDIAN_H

#include <endian.h>
#include <string.h>

#include "service/base/base.h"

/* Whether a number fits in so many bytes. */
static inline bool endian_fits(uint64_t value, size_t len)
{
    return len >= sizeof(value) || value >> (8 * len) == 0;
}

/* Of at most 8 bytes; a number that is put must fit in them. Little-endian ones are here since
 * records are taken apart by the million: with a length that is known they are one move. */
static inline uint64_t endian_get_le(const void *bytes, size_t len)
{
    uint64_t value = 0;
    assert(len <= sizeof(value));
    if (len > 0) { /* Of no bytes there may be no address. */
        memcpy(&value, bytes, len);
    }
    return le64toh(value);
}

/* The lowest byte first. */
static inline void endian_put_le(void *ret, uint64_t value, size_t len)
{
    assert(len <= sizeof(value) && endian_fits(value, len));
    uint64_t bytes = htole64(value);
    memcpy(ret, &bytes, len);
}

uint64_t endian_get_be(const void *bytes, size_t len); /* The highest byte first. */
void endian_put_be(void *ret, uint64_t value, size_t len); /* The highest byte first. */

/* Takes a record apart from its front. Past the end it gives zeros and says so once and for all,
 * so that a decoder asks at its end only. Texts point into the record. */
struct endian_reader {
    str rest;
    bool is_short;
};

/* len: 1 to 8. 0 when it is short. */
uint64_t endian_take_le(struct endian_reader *reader, size_t len);
str endian_take_text(struct endian_reader *reader, size_t len); /* Empty when it is short. */
/* Copied; zeros when it is short. */
void endian_take_bytes(struct endian_reader *reader, void *ret, size_t len);

#endif
