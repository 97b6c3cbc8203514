#include "service/runtime/links.h"

#include "service/base/endian.h"

static void put(struct link_tail *tail, const void *bytes, size_t len)
{
    assert(tail->len + len <= LINK_TAIL_BYTES);
    memcpy(tail->bytes + tail->len, bytes, len);
    tail->len += len;
}

static void put_number(struct link_tail *tail, uint64_t value, size_t len)
{
    uint8_t bytes[8];
    endian_put_be(bytes, value, len);
    put(tail, bytes, len);
}

struct link_tail link_children(uuid parent)
{
    struct link_tail tail = {.len = 0};
    put(&tail, parent.bytes, sizeof(parent.bytes));
    return tail;
}

struct link_tail link_child(uuid parent, uuid child)
{
    struct link_tail tail = link_children(parent);
    put(&tail, child.bytes, sizeof(child.bytes));
    return tail;
}

struct link_tail link_suspension(uint64_t since_ms, uuid run, uint32_t effect)
{
    struct link_tail tail = {.len = 0};
    put_number(&tail, since_ms, 8);
    put(&tail, run.bytes, sizeof(run.bytes));
    put_number(&tail, effect, 4);
    return tail;
}

struct link_tail link_timer(uint64_t due_ms, uuid run)
{
    struct link_tail tail = {.len = 0};
    put_number(&tail, due_ms, 8);
    put(&tail, run.bytes, sizeof(run.bytes));
    return tail;
}

struct link_tail link_awaits(const uint8_t topic[16])
{
    struct link_tail tail = {.len = 0};
    put(&tail, topic, 16);
    return tail;
}

struct link_tail link_await(const uint8_t topic[16], uuid run, uint32_t effect)
{
    struct link_tail tail = link_awaits(topic);
    put(&tail, run.bytes, sizeof(run.bytes));
    put_number(&tail, effect, 4);
    return tail;
}

bool link_read_child(str tail, uuid *ret)
{
    if (tail.len != 32) {
        return false;
    }
    memcpy(ret->bytes, tail.ptr + 16, sizeof(ret->bytes));
    return true;
}

bool link_read_timer(str tail, uint64_t *ret_due_ms, uuid *ret_run)
{
    if (tail.len != 24) {
        return false;
    }
    *ret_due_ms = endian_get_be(tail.ptr, 8);
    memcpy(ret_run->bytes, tail.ptr + 8, sizeof(ret_run->bytes));
    return true;
}

bool link_read_suspension(str tail, uint64_t *ret_since_ms, uuid *ret_run, uint32_t *ret_effect)
{
    if (tail.len != 28) {
        return false;
    }
    *ret_since_ms = endian_get_be(tail.ptr, 8);
    memcpy(ret_run->bytes, tail.ptr + 8, sizeof(ret_run->bytes));
    *ret_effect = (uint32_t)endian_get_be(tail.ptr + 24, 4);
    return true;
}

bool link_read_await(str tail, uuid *ret_run, uint32_t *ret_effect)
{
    if (tail.len != 36) {
        return false;
    }
    memcpy(ret_run->bytes, tail.ptr + 16, sizeof(ret_run->bytes));
    *ret_effect = (uint32_t)endian_get_be(tail.ptr + 32, 4);
    return true;
}
