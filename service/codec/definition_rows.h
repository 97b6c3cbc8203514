/*
 * definition_rows: what is kept of the definitions of agents beside their bytes.
 *
 *   version          agent's id | '/' | u64 registered_ms | hash 16 -> nothing
 *   version time     hash 16 -> u64 registered_ms
 *   version runs     agent's id | '/' | hash 16 -> u64 runs
 *   version deleted  hash 16 -> u8 is_structured | name of the model
 *   versions built   -> nothing
 *
 * Big-endian in keys, little-endian in values. A '/' ends an id, which has none. Runs are those
 * that have not ended; there is no row where there are none. What is left of a deleted version is
 * what the runs that have ended with it show of it.
 */
#ifndef SERVICE_CODEC_DEFINITION_ROWS_H
#define SERVICE_CODEC_DEFINITION_ROWS_H

#include "service/base/buf.h"
#include "service/codec/index.h"

enum {
    VERSION_HASH_BYTES = 16,
    VERSION_ID_BYTES_MAX = 128,
    VERSION_TAIL_BYTES_MAX = VERSION_ID_BYTES_MAX + 1 + 8 + VERSION_HASH_BYTES,
    VERSION_NUMBER_BYTES = 8, /* Of a value that is a time or a count. */
};

struct version_row {
    str id; /* The agent's. */
    uint64_t registered_ms; /* Unix time, the first time; 0: by a release that kept none. */
    uint8_t hash[VERSION_HASH_BYTES];
};

/* Its key's tail, in ret. */
str version_row_tail(char ret[VERSION_TAIL_BYTES_MAX], const struct version_row *row);
/* The prefix of all versions of the agent, in ret; and of their runs. */
str version_rows_of(char ret[VERSION_TAIL_BYTES_MAX], str id);
/* Of a key's tail; the id points into it. DATA_LOSS: it is damaged. */
status version_row_decode(str tail, struct version_row *ret);

/* The key's tail of how many runs have not ended, in ret. */
str version_runs_row_tail(char ret[VERSION_TAIL_BYTES_MAX], str id,
                          const uint8_t hash[VERSION_HASH_BYTES]);

/* The value of a time or a count. */
str version_number_encode(char ret[VERSION_NUMBER_BYTES], uint64_t number);
/* DATA_LOSS: it is damaged. */
status version_number_decode(str value, uint64_t *ret);

struct version_deleted_row {
    bool is_structured; /* It had an output schema. */
    str model;
};

/* Appends the value. */
void version_deleted_row_encode(const struct version_deleted_row *row, struct buf *ret);
/* The text points into the value. DATA_LOSS: it is damaged. */
status version_deleted_row_decode(str value, struct version_deleted_row *ret);

#endif
