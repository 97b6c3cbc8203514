/*
 * range: where the keys that start with a prefix end.
 */
#ifndef STORAGE_RANGE_H
#define STORAGE_RANGE_H

#include "service/base/buf.h"

/* Appends the smallest key after every key with the prefix. False, and nothing appended, when
 * there is none: the range ends with the table. */
[[nodiscard]] bool range_end(str prefix, struct buf *ret);

#endif
