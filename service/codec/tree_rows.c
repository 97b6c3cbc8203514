#include "service/codec/tree_rows.h"

static struct index_tail pair_tail(uuid first, uuid second)
{
    struct index_tail tail = {.len = 0};
    index_tail_put(&tail, first.bytes, sizeof(first.bytes));
    index_tail_put(&tail, second.bytes, sizeof(second.bytes));
    return tail;
}

static struct index_tail pair_prefix(uuid first)
{
    struct index_tail tail = {.len = 0};
    index_tail_put(&tail, first.bytes, sizeof(first.bytes));
    return tail;
}

static bool pair_decode(str tail, uuid *ret_first, uuid *ret_second)
{
    if (tail.len != sizeof(ret_first->bytes) + sizeof(ret_second->bytes)) {
        return false;
    }
    memcpy(ret_first->bytes, tail.ptr, sizeof(ret_first->bytes));
    memcpy(ret_second->bytes, tail.ptr + sizeof(ret_first->bytes), sizeof(ret_second->bytes));
    return true;
}

struct index_tail child_row_tail(uuid parent, uuid child)
{
    return pair_tail(parent, child);
}

struct index_tail child_rows_of(uuid parent)
{
    return pair_prefix(parent);
}

status child_row_decode(str tail, struct child_row *ret)
{
    return pair_decode(tail, &ret->parent, &ret->child)
               ? STATUS_OK
               : status_make(CODE_DATA_LOSS, "row of a child: damaged");
}

struct index_tail successor_row_tail(uuid child, uuid successor)
{
    return pair_tail(child, successor);
}

struct index_tail successor_rows_of(uuid child)
{
    return pair_prefix(child);
}

status successor_row_decode(str tail, struct successor_row *ret)
{
    return pair_decode(tail, &ret->child, &ret->successor)
               ? STATUS_OK
               : status_make(CODE_DATA_LOSS, "row of a successor: damaged");
}
