/*
 * pattern: the regular expressions of schemas, matched in one pass over the text.
 *
 * All ways through a pattern are followed side by side, so a match costs at most the length of the
 * text times that of the pattern, whatever both are; steps are counted, and whoever asks says how
 * many there may be. The words are ECMA-262's but for those no such pass can follow: looks ahead
 * and behind, back references and \p, which are refused by name.
 */
#ifndef SERVICE_SCHEMA_PATTERN_H
#define SERVICE_SCHEMA_PATTERN_H

#include "service/base/arena.h"

struct pattern;

enum {
    PATTERN_BYTES_MAX = 2048,
    PATTERN_SIZE_MAX = 4000, /* Of what it is made of when repeats are written out. */
};

/* INVALID_ARGUMENT says what is wrong, and at which byte. The pattern lives as long as the arena.
 */
status pattern_read(str text, struct arena *arena, struct pattern **ret);
/* Whether it matches anywhere in the text, which is UTF-8. Each step takes 1 from steps; false when
 * none is left. Not for two threads at once. */
bool pattern_matches(struct pattern *pattern, str text, uint64_t *steps);

#endif
