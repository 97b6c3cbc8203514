/*
 * base64: bytes as text, by RFC 4648 section 4: with + and /, and padded.
 */
#ifndef SERVICE_BASE_BASE64_H
#define SERVICE_BASE_BASE64_H

#include "service/base/buf.h"

/* Appends the text of the bytes: four characters for each three. */
void base64_encode(str bytes, struct buf *ret);
/* Appends the bytes of a text. False: it is none, as when its padding is missing or bits stand
 * where none may; `ret` may then have some of it. NULL: only asked. */
bool base64_decode(str text, struct buf *ret);

#endif
