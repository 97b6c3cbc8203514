#include "service/codec/pack.h"

#include <pb_decode.h>

size_t pack_message(const pb_msgdesc_t *fields, const void *message, char *ret, size_t bytes_max)
{
    pb_ostream_t stream = pb_ostream_from_buffer((pb_byte_t *)ret, bytes_max);
    bool encoded = pb_encode(&stream, fields, message);
    assert(encoded && "the caller's buffer is too small");
    return stream.bytes_written;
}

bool unpack_message(const pb_msgdesc_t *fields, str bytes, void *ret)
{
    pb_istream_t stream = pb_istream_from_buffer((const pb_byte_t *)bytes.ptr, bytes.len);
    return pb_decode(&stream, fields, ret);
}
