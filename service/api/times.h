/*
 * times: instants and lengths of the protos, and their milliseconds within.
 */
#ifndef SERVICE_API_TIMES_H
#define SERVICE_API_TIMES_H

#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "service/api/check.h"

/* A thousand years: further than that nobody waits. */
#define TIMES_LENGTH_MS_MAX ((uint64_t)365250 * 24 * 3600 * 1000)

/* Of Unix milliseconds; NULL for 0, which is none. It lives in the arena. */
Google__Protobuf__Timestamp *times_instant(struct arena *arena, uint64_t unix_ms);
/* Of milliseconds; NULL for 0, which is none. It lives in the arena. */
Google__Protobuf__Duration *times_length(struct arena *arena, uint64_t ms);

/* A length that is there, of min_ms to max_ms, both allowed; what is left of a millisecond counts
 * as one. */
bool check_length(struct check *check, const char *field, const Google__Protobuf__Duration *length,
                  uint64_t min_ms, uint64_t max_ms, uint64_t *ret_ms);
/* An instant that is there, as Unix milliseconds; what is left of one is cut. None before 1970. */
bool check_instant(struct check *check, const char *field,
                   const Google__Protobuf__Timestamp *instant, uint64_t *ret_ms);

#endif
