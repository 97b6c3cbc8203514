#include "storage/range.h"

bool range_end(str prefix, struct buf *ret)
{
    while (prefix.len > 0 && (uint8_t)prefix.ptr[prefix.len - 1] == 0xff) {
        prefix.len--;
    }
    if (prefix.len == 0) {
        return false;
    }
    buf_put(ret, prefix);
    ret->ptr[ret->len - 1]++;
    return true;
}
