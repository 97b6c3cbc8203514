#include "tests/unit/schedule/zone_file.h"

void zone_file_number(struct buf *bytes, uint64_t value, size_t count)
{
    for (size_t i = count; i > 0; i--) {
        buf_put_char(bytes, (char)(uint8_t)(value >> (8 * (i - 1))));
    }
}

void zone_file_header(struct buf *bytes, char version, uint32_t leaps, uint32_t changes,
                      uint32_t types)
{
    const uint32_t counts[] = {0, 0, leaps, changes, types, 4};
    buf_put(bytes, STR("TZif"));
    buf_put_char(bytes, version);
    for (size_t i = 0; i < 15; i++) {
        buf_put_char(bytes, 0);
    }
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        zone_file_number(bytes, counts[i], 4);
    }
}

void zone_file_type(struct buf *bytes, int32_t offset)
{
    zone_file_number(bytes, (uint32_t)offset, 4);
    zone_file_number(bytes, 0, 2);
}

void zone_file_rule(struct buf *bytes, const char *rule)
{
    for (int block = 0; block < 2; block++) {
        zone_file_header(bytes, '3', 0, 0, 1);
        zone_file_type(bytes, 0);
        zone_file_number(bytes, 0, 4);
    }
    buf_printf(bytes, "\n%s\n", rule);
}
