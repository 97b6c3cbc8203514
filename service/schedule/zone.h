/*
 * zone: what the clocks on the wall show somewhere: offsets from UTC, read from zone files.
 *
 * The C library's own time zones are one per process and not for threads; these are plain values.
 * A zone is a row of spans, each with one offset. Where a span begins later on the wall than the
 * one before it ended, times are missing; where it begins earlier, times come twice.
 *
 * Invariant: spans follow each other without holes, and none is empty.
 * Threading: never changes once opened. No clock, no environment.
 */
#ifndef SERVICE_SCHEDULE_ZONE_H
#define SERVICE_SCHEDULE_ZONE_H

#include "service/base/arena.h"
#include "service/base/base.h"

struct zone; /* Opaque; lives in the arena it was opened with, there is nothing to close. */

struct zone_span {
    int64_t start_s; /* INT64_MIN: it has always been so. */
    int64_t end_s; /* Not in the span any more. INT64_MAX: for ever. */
    int32_t offset_s; /* East of UTC is positive. */
};

enum {
    ZONE_NAME_BYTES_MAX = 64,
    ZONE_FILE_BYTES_MAX = 64 << 10,
    ZONE_OFFSET_S_MAX = 26 * 3600,
    ZONE_INSTANTS_MAX = 2,
};
/* Times given to a zone lie within +-34,000 years. */
#define ZONE_TIME_S_MAX ((int64_t)1 << 40)

/* "Europe/Berlin" of a folder such as /usr/share/zoneinfo. "UTC" needs no file.
 * INVALID_ARGUMENT: a bad or unknown name. FAILED_PRECONDITION: the folder is not there.
 * DATA_LOSS: a damaged file. */
status zone_open(const char *folder, str name, struct arena *arena, struct zone **ret);
/* The bytes of a TZif file (RFC 8536, version 1 and later). Leap seconds are refused. */
status zone_parse(str bytes, struct arena *arena, struct zone **ret);

/* The span that the instant is in. */
struct zone_span zone_span_at(const struct zone *zone, int64_t utc_s);
/* Seconds east of UTC at the instant. */
int32_t zone_offset_at(const struct zone *zone, int64_t utc_s);
/* When the wall shows local_s (seconds since 1970-01-01 00:00 on the wall): how many instants,
 * earliest first. 0: a missing time. Of more than two, which no real zone has, the first two. */
size_t zone_instants(const struct zone *zone, int64_t local_s, int64_t ret[ZONE_INSTANTS_MAX]);

#endif
