#include "service/codec/owed_row.h"

#include "polos/journal/v1/records.pb.h"
#include "service/base/endian.h"
#include "service/codec/pack.h"

enum {
    ROW_VERSION = 1,
    NUMBER_BYTES = 8,
};
static_assert(polos_journal_v1_OwedRow_size <= OWED_ROW_BYTES_MAX, "records.options");
static_assert(polos_journal_v1_TreeRow_size <= TREE_ROW_BYTES_MAX, "records.options");

struct index_tail owed_key_tail(const struct owed_key *key)
{
    struct index_tail tail = owed_keys_of(key->lane);
    assert(key->number > 0);
    index_tail_put_number(&tail, key->number, NUMBER_BYTES);
    return tail;
}

struct index_tail owed_keys_of(uuid lane)
{
    struct index_tail tail = {.len = 0};
    index_tail_put(&tail, lane.bytes, sizeof(lane.bytes));
    return tail;
}

status owed_key_decode(str tail, struct owed_key *ret)
{
    if (tail.len != sizeof(ret->lane.bytes) + NUMBER_BYTES) {
        return status_make(CODE_DATA_LOSS, "key of what is owed: damaged");
    }
    memcpy(ret->lane.bytes, tail.ptr, sizeof(ret->lane.bytes));
    ret->number = endian_get_be(tail.ptr + sizeof(ret->lane.bytes), NUMBER_BYTES);
    return ret->number > 0 ? STATUS_OK
                           : status_make(CODE_DATA_LOSS, "key of what is owed: its number is 0");
}

str owed_row_encode(const struct owed_row *row, char ret[OWED_ROW_BYTES_MAX])
{
    polos_journal_v1_OwedRow body = {.version = ROW_VERSION, .kind = row->kind};
    assert(row->kind > 0);
    static_assert(sizeof(body.target) == sizeof(row->target.bytes), "records.options");
    memcpy(body.target, row->target.bytes, sizeof(body.target));
    memcpy(body.source, row->source.bytes, sizeof(body.source));
    memcpy(body.cursor, row->cursor.bytes, sizeof(body.cursor));
    return str_make(ret,
                    pack_message(polos_journal_v1_OwedRow_fields, &body, ret, OWED_ROW_BYTES_MAX));
}

status owed_row_decode(str bytes, struct owed_row *ret)
{
    polos_journal_v1_OwedRow body = polos_journal_v1_OwedRow_init_zero;
    if (!unpack_message(polos_journal_v1_OwedRow_fields, bytes, &body) || body.kind == 0) {
        return status_make(CODE_DATA_LOSS, "row of what is owed: damaged");
    }
    if (body.version > ROW_VERSION) {
        return status_make(CODE_FAILED_PRECONDITION, "row of what is owed: of a later release");
    }
    *ret = (struct owed_row){.kind = body.kind};
    memcpy(ret->target.bytes, body.target, sizeof(body.target));
    memcpy(ret->source.bytes, body.source, sizeof(body.source));
    memcpy(ret->cursor.bytes, body.cursor, sizeof(body.cursor));
    return STATUS_OK;
}

struct index_tail tree_row_tail(uuid root)
{
    struct index_tail tail = {.len = 0};
    index_tail_put(&tail, root.bytes, sizeof(root.bytes));
    return tail;
}

str tree_row_encode(const struct tree_row *row, char ret[TREE_ROW_BYTES_MAX])
{
    polos_journal_v1_TreeRow body = {.version = ROW_VERSION, .live = row->live};
    assert(row->live > 0); /* Else there is no row. */
    return str_make(ret,
                    pack_message(polos_journal_v1_TreeRow_fields, &body, ret, TREE_ROW_BYTES_MAX));
}

status tree_row_decode(str bytes, struct tree_row *ret)
{
    polos_journal_v1_TreeRow body = polos_journal_v1_TreeRow_init_zero;
    if (!unpack_message(polos_journal_v1_TreeRow_fields, bytes, &body) ||
        body.version > ROW_VERSION) {
        return status_make(CODE_DATA_LOSS, "row of a tree: damaged");
    }
    ret->live = body.live;
    return STATUS_OK;
}
