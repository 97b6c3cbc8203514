#include "service/codec/index.h"

#include "service/base/endian.h"

void index_tail_put(struct index_tail *tail, const void *bytes, size_t len)
{
    assert(tail->len + len <= INDEX_TAIL_BYTES_MAX);
    memcpy(tail->bytes + tail->len, bytes, len);
    tail->len += len;
}

void index_tail_put_number(struct index_tail *tail, uint64_t value, size_t len)
{
    assert(tail->len + len <= INDEX_TAIL_BYTES_MAX);
    endian_put_be(tail->bytes + tail->len, value, len);
    tail->len += len;
}
