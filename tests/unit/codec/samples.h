/*
 * samples: an event of any kind with every field filled, and comparison field by field.
 *
 * One table of fields drives both, so that a field which the codec forgets is seen.
 */
#ifndef TESTS_UNIT_CODEC_SAMPLES_H
#define TESTS_UNIT_CODEC_SAMPLES_H

#include "service/base/arena.h"
#include "service/engine/engine.h"

enum {
    SAMPLE_RELEASE = 6, /* The newest; raised when events that were released get more fields. */
};

/* A deterministic source of numbers. */
uint64_t sample_random(uint64_t *seed);

/* Text fields are random bytes (NUL included), each bytes_max long at most, some empty. */
void sample_fill(enum event_kind kind, uint64_t *seed, size_t bytes_max, struct arena *arena,
                 struct event *ret);
/* Plain, readable values that never change: what the golden bytes were made of. Fields that are
 * younger than the release are left empty. */
void sample_fixed(enum event_kind kind, uint32_t release, struct arena *arena, struct event *ret);
/* The release that gave the kind its youngest field. */
uint32_t sample_release(enum event_kind kind);

/* NULL, or the name of the first field that differs. */
const char *sample_difference(const struct event *a, const struct event *b);

#endif
