/*
 * samples: an event of any kind with every field filled, and comparison field by field.
 *
 * One table of fields drives both, so that a field which the codec forgets is seen.
 */
#ifndef TESTS_UNIT_CODEC_SAMPLES_H
#define TESTS_UNIT_CODEC_SAMPLES_H

#include "service/base/arena.h"
#include "service/engine/engine.h"

/* A deterministic source of numbers. */
uint64_t sample_random(uint64_t *seed);

/* Text fields are random bytes (NUL included), each bytes_max long at most, some empty. */
void sample_fill(enum event_kind kind, uint64_t *seed, size_t bytes_max, struct arena *arena,
                 struct event *ret);
/* Plain, readable values that never change: what the golden bytes were made of. */
void sample_fixed(enum event_kind kind, struct arena *arena, struct event *ret);

/* NULL, or the name of the first field that differs. */
const char *sample_difference(const struct event *a, const struct event *b);

#endif
