/*
 * schedule_row: a schedule as it is on disk.
 *
 *   u8 format (1) | u64 created_ms | u64 base_ms | u64 last_tick_ms | u64 skipped
 *   | run 16 | u8 has_input | input_hash 16 | u32 cron_bytes | cron | zone
 *
 * Little-endian. The input is a row of its own, so that a tick does not write it again.
 *
 * Invariant: ticks up to base_ms are dealt with: one started a run, or was skipped, or missed.
 */
#ifndef SERVICE_RUNTIME_SCHEDULE_ROW_H
#define SERVICE_RUNTIME_SCHEDULE_ROW_H

#include "service/base/buf.h"
#include "service/base/uuid.h"
#include "service/schedule/cron.h"
#include "service/schedule/zone.h"

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

void schedule_row_encode(const struct schedule_row *row, struct buf *ret);
/* Texts point into the bytes. False: damaged. */
[[nodiscard]] bool schedule_row_decode(str bytes, struct schedule_row *ret);

enum {
    SCHEDULE_TIME_BYTES = 32,
};

/* "2026-11-22T09:00:00Z"; with milliseconds where there are any. */
void schedule_time(uint64_t unix_ms, char ret[SCHEDULE_TIME_BYTES]);

#endif
