#include "service/api/times.h"

#include <inttypes.h>

enum {
    MS_NANOS = 1000000,
    SECOND_NANOS = 1000 * MS_NANOS,
};

/* 9999-12-31T23:59:59Z: the last that a Timestamp may say. */
#define LAST_SECOND INT64_C(253402300799)

Google__Protobuf__Timestamp *times_instant(struct arena *arena, uint64_t unix_ms)
{
    if (unix_ms == 0) {
        return NULL;
    }
    Google__Protobuf__Timestamp *ret = arena_alloc(arena, sizeof(*ret));
    google__protobuf__timestamp__init(ret);
    ret->seconds = (int64_t)(unix_ms / 1000);
    ret->nanos = (int32_t)(unix_ms % 1000 * MS_NANOS);
    assert(ret->seconds >= 0 && ret->nanos < SECOND_NANOS);
    return ret;
}

Google__Protobuf__Duration *times_length(struct arena *arena, uint64_t ms)
{
    if (ms == 0) {
        return NULL;
    }
    Google__Protobuf__Duration *ret = arena_alloc(arena, sizeof(*ret));
    google__protobuf__duration__init(ret);
    ret->seconds = (int64_t)(ms / 1000);
    ret->nanos = (int32_t)(ms % 1000 * MS_NANOS);
    assert(ret->seconds >= 0 && ret->nanos < SECOND_NANOS);
    return ret;
}

bool check_length(struct check *check, const char *field, const Google__Protobuf__Duration *length,
                  uint64_t min_ms, uint64_t max_ms, uint64_t *ret_ms)
{
    assert(length != NULL && min_ms <= max_ms && max_ms < (uint64_t)LAST_SECOND * 1000);
    bool is_sound = length->seconds >= 0 && length->seconds <= LAST_SECOND && length->nanos >= 0 &&
                    length->nanos < SECOND_NANOS;
    uint64_t ms = !is_sound ? 0
                            : (uint64_t)length->seconds * 1000 +
                                  ((uint64_t)length->nanos + MS_NANOS - 1) / MS_NANOS;
    if (!is_sound || ms < min_ms || ms > max_ms) {
        return check_fault(check, field,
                           "it is a length of %" PRIu64 ".%03" PRIu64 " to %" PRIu64 ".%03" PRIu64
                           " seconds",
                           min_ms / 1000, min_ms % 1000, max_ms / 1000, max_ms % 1000);
    }
    *ret_ms = ms;
    return true;
}

bool check_instant(struct check *check, const char *field,
                   const Google__Protobuf__Timestamp *instant, uint64_t *ret_ms)
{
    assert(instant != NULL);
    bool is_sound = instant->seconds >= 0 && instant->seconds <= LAST_SECOND &&
                    instant->nanos >= 0 && instant->nanos < SECOND_NANOS;
    if (!is_sound) {
        return check_fault(check, field, "it is an instant from 1970 to 9999");
    }
    *ret_ms = (uint64_t)instant->seconds * 1000 + (uint64_t)instant->nanos / MS_NANOS;
    return true;
}
