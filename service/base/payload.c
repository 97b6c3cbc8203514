#include "service/base/payload.h"

#include <stdatomic.h>
#include <stdlib.h>

struct payload {
    atomic_uint references;
    size_t len;
    char bytes[];
};

struct payload *payload_new(size_t len)
{
    struct payload *payload = xmalloc(sizeof(*payload) + len);
    atomic_init(&payload->references, 1);
    payload->len = len;
    return payload;
}

struct payload *payload_copy(str bytes)
{
    struct payload *payload = payload_new(bytes.len);
    if (bytes.len > 0) {
        memcpy(payload->bytes, bytes.ptr, bytes.len);
    }
    return payload;
}

char *payload_data(struct payload *payload)
{
    return payload->bytes;
}

str payload_bytes(const struct payload *payload)
{
    return (str){payload->bytes, payload->len};
}

void payload_ref(struct payload *payload)
{
    unsigned before = atomic_fetch_add_explicit(&payload->references, 1, memory_order_relaxed);
    assert(before > 0);
}

void payload_unref(struct payload *payload)
{
    if (payload == NULL) {
        return;
    }
    unsigned before = atomic_fetch_sub_explicit(&payload->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1) {
        free(payload);
    }
}
