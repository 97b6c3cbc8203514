/*
 * zone_file: writes TZif files that no machine has.
 */
#ifndef TESTS_UNIT_SCHEDULE_ZONE_FILE_H
#define TESTS_UNIT_SCHEDULE_ZONE_FILE_H

#include "service/base/buf.h"

void zone_file_number(struct buf *bytes, uint64_t value, size_t count); /* Big-endian. */
/* No indicators; four bytes of names. */
void zone_file_header(struct buf *bytes, char version, uint32_t leaps, uint32_t changes,
                      uint32_t types);
void zone_file_type(struct buf *bytes, int32_t offset);
/* A whole file with this rule and no table. */
void zone_file_rule(struct buf *bytes, const char *rule);

#endif
