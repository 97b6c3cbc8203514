#include "service/codec/copy_row.h"

#include "polos/journal/v1/records.pb.h"
#include "service/codec/pack.h"

enum {
    ROW_VERSION = 1,
};
static_assert(polos_journal_v1_CopyRow_size <= COPY_ROW_BYTES_MAX, "records.options");

struct index_tail copy_row_tail(uuid run)
{
    struct index_tail tail = {.len = 0};
    index_tail_put(&tail, run.bytes, sizeof(run.bytes));
    return tail;
}

status copy_key_decode(str tail, uuid *ret)
{
    if (tail.len != sizeof(ret->bytes)) {
        return status_make(CODE_DATA_LOSS, "key of a copy: damaged");
    }
    memcpy(ret->bytes, tail.ptr, sizeof(ret->bytes));
    return STATUS_OK;
}

str copy_row_encode(const struct copy_row *row, char ret[COPY_ROW_BYTES_MAX])
{
    polos_journal_v1_CopyRow body = {
        .version = ROW_VERSION,
        .after_seq = row->after_seq,
        .begun_ms = row->begun_ms,
        .shift_ms = row->shift_ms,
        .takes_children = row->takes_children,
    };
    static_assert(sizeof(body.source) == sizeof(row->source.bytes), "records.options");
    memcpy(body.source, row->source.bytes, sizeof(body.source));
    return str_make(ret,
                    pack_message(polos_journal_v1_CopyRow_fields, &body, ret, COPY_ROW_BYTES_MAX));
}

status copy_row_decode(str bytes, struct copy_row *ret)
{
    polos_journal_v1_CopyRow body = polos_journal_v1_CopyRow_init_zero;
    if (!unpack_message(polos_journal_v1_CopyRow_fields, bytes, &body) || body.after_seq == 0) {
        return status_make(CODE_DATA_LOSS, "row of a copy: damaged");
    }
    if (body.version > ROW_VERSION) {
        return status_make(CODE_FAILED_PRECONDITION, "row of a copy: of a later release");
    }
    *ret = (struct copy_row){
        .after_seq = body.after_seq,
        .begun_ms = body.begun_ms,
        .shift_ms = body.shift_ms,
        .takes_children = body.takes_children,
    };
    memcpy(ret->source.bytes, body.source, sizeof(body.source));
    return STATUS_OK;
}
