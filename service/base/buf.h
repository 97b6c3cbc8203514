/*
 * buf: a growable writer of bytes.
 *
 * Zero-initialised is empty and valid. buf_fini() may be called on it at any time.
 */
#ifndef SERVICE_BASE_BUF_H
#define SERVICE_BASE_BUF_H

#include "service/base/arena.h"
#include "service/base/base.h"

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
};

void buf_fini(struct buf *buf); /* Frees; it may be used again. */
void buf_reset(struct buf *buf); /* Length 0, memory kept. */
/* What was written, copied into the arena with a NUL behind it; the buf's own memory is freed. */
str buf_finish(struct buf *buf, struct arena *arena);
/* Room for so many bytes more, so that putting them moves nothing. */
void buf_reserve(struct buf *buf, size_t more);
/* Each of these appends. */
void buf_put(struct buf *buf, str bytes);
void buf_put_char(struct buf *buf, char byte); /* Any byte, NUL too. */
/* Appends text; the NUL is not counted. */
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes; invalid UTF-8 becomes U+FFFD, controls are escaped. */
void buf_put_json_string(struct buf *buf, str text);
void buf_put_u16_le(struct buf *buf, uint16_t value); /* 2 bytes, the lowest first. */
void buf_put_u32_le(struct buf *buf, uint32_t value); /* 4 bytes. */
void buf_put_u64_le(struct buf *buf, uint64_t value); /* 8 bytes. */
/* The length as 8 bytes, then the text: different lists of texts give different bytes. */
void buf_put_counted(struct buf *buf, str text);

static inline str buf_str(const struct buf *buf)
{
    return (str){buf->ptr, buf->len};
}

#endif
