/*
 * pack: messages of records.proto to bytes and back, by nanopb: nothing allocates.
 */
#ifndef SERVICE_CODEC_PACK_H
#define SERVICE_CODEC_PACK_H

#include <pb_encode.h>

#include "service/base/base.h"

/* How many bytes it wrote; they must fit. */
size_t pack_message(const pb_msgdesc_t *fields, const void *message, char *ret, size_t bytes_max);
/* False: damaged; what ret holds is of no use. */
bool unpack_message(const pb_msgdesc_t *fields, str bytes, void *ret);

#endif
