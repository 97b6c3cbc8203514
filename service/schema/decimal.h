/*
 * decimal: the number a JSON text spells, exactly, however long it is.
 *
 * No double is in between: 9007199254740993 is not 9007199254740992, 1.0 is 1, and 0.3 is a
 * multiple of 0.1.
 *
 * Invariant: digits neither begin nor end with 0; zero has none.
 */
#ifndef SERVICE_SCHEMA_DECIMAL_H
#define SERVICE_SCHEMA_DECIMAL_H

#include "service/base/arena.h"

/* digits * 10^exponent, with its sign. */
struct decimal {
    bool is_negative;
    int64_t exponent; /* Held within a thousand million millions; none is written out so far. */
    str digits;
};

/* Of a number json_validate() passed. What it gives lives as long as the arena, or the text. */
struct decimal decimal_of(str raw, struct arena *arena);
/* Below 0: a is less; 0: they are the same number. */
int decimal_compare(const struct decimal *a, const struct decimal *b);
bool decimal_is_whole(const struct decimal *number); /* 1.0 and 1e2 are. */
/* False: negative, no whole number, or beyond 2^32 - 1. */
bool decimal_to_u32(const struct decimal *number, uint32_t *ret);

enum {
    DECIMAL_STEP_DIGITS_MAX = 18, /* Of the number that others are to be multiples of. */
};

/* step: above 0, of DECIMAL_STEP_DIGITS_MAX digits at most. Zero is a multiple of all. */
bool decimal_is_multiple(const struct decimal *number, const struct decimal *step);

#endif
