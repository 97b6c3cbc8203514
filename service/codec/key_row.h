/*
 * key_row: a key of a caller, as it is kept; never what lets its holder in.
 *
 *   key  number be32 -> u8 version | u32 rights | u64 created_ms | u64 expires_ms | u64 revoked_ms
 *                       | digest 32 | u16 len, name | u16 offers, of each: u16 len, text
 *
 * Little-endian in values. The project is in the key, as of every row.
 */
#ifndef SERVICE_CODEC_KEY_ROW_H
#define SERVICE_CODEC_KEY_ROW_H

#include "service/base/buf.h"
#include "service/codec/index.h"

enum {
    KEY_ROW_DIGEST_BYTES = 32,
    KEY_ROW_TAIL_BYTES = 4,
};

struct key_row {
    uint32_t rights;
    uint64_t created_ms; /* Unix time, these. */
    uint64_t expires_ms; /* 0: never. */
    uint64_t revoked_ms; /* 0: it was not. */
    uint8_t digest[KEY_ROW_DIGEST_BYTES];
    str name;
    const str *offers;
    size_t offer_count;
};

/* Its key's tail, in ret. */
str key_row_tail(char ret[KEY_ROW_TAIL_BYTES], uint32_t number);
/* DATA_LOSS: it is damaged. */
status key_row_read_tail(str tail, uint32_t *ret);
/* Appends the value. */
void key_row_encode(const struct key_row *row, struct buf *ret);
/* The texts point into the value, their list lives in the arena. DATA_LOSS: it is damaged. */
status key_row_decode(str value, struct arena *arena, struct key_row *ret);

#endif
