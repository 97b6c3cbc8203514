/*
 * copy_row: runs whose history is still being copied from another run's.
 *
 *   copy       the new run 16 -> CopyRow of records.proto
 */
#ifndef SERVICE_CODEC_COPY_ROW_H
#define SERVICE_CODEC_COPY_ROW_H

#include "service/base/uuid.h"
#include "service/codec/index.h"

enum {
    COPY_ROW_BYTES_MAX = 64,
};

struct copy_row {
    uuid source; /* The run that is copied. */
    uint32_t after_seq; /* The last event to be copied. */
    uint64_t begun_ms; /* The time of its first event. */
    int64_t shift_ms; /* How much later than in the source its other events are. */
    bool takes_children; /* It goes on for a run that failed, with the children of that one. */
};

struct index_tail copy_row_tail(uuid run);
/* Of a key's tail. DATA_LOSS: it is damaged. */
status copy_key_decode(str tail, uuid *ret);
/* Returns the bytes it wrote. */
str copy_row_encode(const struct copy_row *row, char ret[COPY_ROW_BYTES_MAX]);
/* DATA_LOSS: it is damaged. FAILED_PRECONDITION: of a later release. */
status copy_row_decode(str bytes, struct copy_row *ret);

#endif
