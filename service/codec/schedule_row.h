/*
 * schedule_row: a schedule as it is on disk.
 *
 *   u8 format (1) | u64 created_ms | u64 base_ms | u64 last_tick_ms | u64 skipped
 *   | run 16 | u8 has_input | input_hash 16 | u32 cron_bytes | cron | zone
 *
 * Its terms, where they are not a workflow's without options:
 *
 *   u8 format (1) | u8 kind | u32 max_retries | u64 timeout_ms
 *   | the other options, as in the body of RUN_STARTED
 *
 * Little-endian. The input, the terms and what pauses it are rows of their own, so that a tick does
 * not write them again.
 *
 * Invariant: ticks up to base_ms are dealt with: one started a run, or was skipped, or missed.
 */
#ifndef SERVICE_CODEC_SCHEDULE_ROW_H
#define SERVICE_CODEC_SCHEDULE_ROW_H

#include "service/base/buf.h"
#include "service/base/start_options.h"
#include "service/base/uuid.h"
#include "service/engine/engine.h"

enum {
    SCHEDULE_CRON_BYTES_MAX = 256,
    SCHEDULE_ZONE_BYTES_MAX = 64,
};

struct schedule_row {
    str cron;
    str zone;
    uint64_t created_ms;
    uint64_t base_ms; /* The next tick is the first after it. */
    uint64_t last_tick_ms; /* That started a run; 0: none has. */
    uint64_t skipped; /* Ticks that found the run before them not ended. */
    uuid run; /* Of the last tick that started one. */
    bool has_input; /* Else each run is given what its tick says. */
    uint8_t input_hash[16];
};

/* What a schedule starts. */
struct schedule_terms {
    enum run_kind kind; /* A workflow or an agent. */
    struct start_options options; /* Of every run. */
    str provider_options; /* As well; JSON text, or empty. */
};

/* Appends the value. */
void schedule_row_encode(const struct schedule_row *row, struct buf *ret);
/* Texts point into the bytes. DATA_LOSS: they are damaged. */
status schedule_row_decode(str bytes, struct schedule_row *ret);

/* Appends the value. */
void schedule_terms_encode(const struct schedule_terms *terms, struct buf *ret);
/* Texts point into the bytes. DATA_LOSS: they are damaged. */
status schedule_terms_decode(str bytes, struct arena *arena, struct schedule_terms *ret);

#endif
