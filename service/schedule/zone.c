#include "service/schedule/zone.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/base/buf.h"
#include "service/base/endian.h"
#include "service/schedule/zone_rule.h"

struct zone {
    size_t change_count;
    const int64_t *changes; /* Ascending; UTC. */
    const int32_t *offsets; /* From that change on. */
    int32_t first_offset; /* Before all changes. */
    bool has_rule; /* After the last change. */
    struct zone_rule rule;
};

enum {
    HEADER_BYTES = 44,
    TYPE_BYTES = 6,
    TYPE_COUNT_MAX = 256,
};

/* The six counts of a header, in its order. */
struct counts {
    uint32_t is_utc;
    uint32_t is_standard;
    uint32_t leaps;
    uint32_t changes;
    uint32_t types;
    uint32_t chars;
};

static int32_t get_i32(const char *at)
{
    return (int32_t)(uint32_t)endian_get_be(at, 4);
}

static str str_skip(str text, size_t count)
{
    assert(count <= text.len);
    return str_make(text.ptr + count, text.len - count);
}

static status damaged(const char *why)
{
    return status_make(CODE_DATA_LOSS, why);
}

static status read_header(str bytes, struct counts *ret)
{
    struct counts counts;
    if (bytes.len < HEADER_BYTES || memcmp(bytes.ptr, "TZif", 4) != 0) {
        return status_make(CODE_INVALID_ARGUMENT, "it is not a time zone file");
    }
    counts.is_utc = (uint32_t)endian_get_be(bytes.ptr + 20, 4);
    counts.is_standard = (uint32_t)endian_get_be(bytes.ptr + 24, 4);
    counts.leaps = (uint32_t)endian_get_be(bytes.ptr + 28, 4);
    counts.changes = (uint32_t)endian_get_be(bytes.ptr + 32, 4);
    counts.types = (uint32_t)endian_get_be(bytes.ptr + 36, 4);
    counts.chars = (uint32_t)endian_get_be(bytes.ptr + 40, 4);
    if (counts.types == 0 || counts.types > TYPE_COUNT_MAX) {
        return damaged("its header counts no type of local time, or too many");
    }
    *ret = counts;
    return STATUS_OK;
}

/* What follows a header. Sums of 32-bit counts, so 64 bits hold them. */
static uint64_t block_bytes(const struct counts *counts, size_t time_bytes)
{
    return (uint64_t)counts->changes * (time_bytes + 1) + (uint64_t)counts->types * TYPE_BYTES +
           counts->chars + (uint64_t)counts->leaps * (time_bytes + 4) + counts->is_standard +
           counts->is_utc;
}

static status read_offset(const char *types, size_t number, int32_t *ret)
{
    int32_t offset = get_i32(types + number * TYPE_BYTES);
    if (offset < -ZONE_OFFSET_S_MAX || offset > ZONE_OFFSET_S_MAX) {
        return damaged("an offset is over 26 hours");
    }
    *ret = offset;
    return STATUS_OK;
}

static status read_changes(str block, const struct counts *counts, size_t time_bytes,
                           struct arena *arena, struct zone *zone)
{
    assert(time_bytes == 4 || time_bytes == 8);
    assert(block_bytes(counts, time_bytes) <= block.len);
    const char *numbers = block.ptr + counts->changes * time_bytes;
    const char *types = numbers + counts->changes;
    int64_t *changes = arena_alloc(arena, (counts->changes + 1) * sizeof(*changes));
    int32_t *offsets = arena_alloc(arena, (counts->changes + 1) * sizeof(*offsets));
    for (size_t i = 0; i < counts->changes; i++) {
        const char *at = block.ptr + i * time_bytes;
        changes[i] = time_bytes == 4 ? get_i32(at) : (int64_t)endian_get_be(at, 8);
        if (i > 0 && changes[i] <= changes[i - 1]) {
            return damaged("its changes are not in order");
        }
        if ((uint8_t)numbers[i] >= counts->types) {
            return damaged("a change names a type that is not there");
        }
        TRY(read_offset(types, (uint8_t)numbers[i], &offsets[i]));
    }
    TRY(read_offset(types, 0, &zone->first_offset));
    zone->change_count = counts->changes;
    zone->changes = changes;
    zone->offsets = offsets;
    return STATUS_OK;
}

/* "\n<rule>\n"; an empty rule says that the last offset stays. */
static status read_footer(str footer, struct zone *zone)
{
    if (footer.len < 2 || footer.ptr[0] != '\n') {
        return damaged("its footer is missing");
    }
    footer = str_skip(footer, 1);
    const char *end = memchr(footer.ptr, '\n', footer.len);
    if (end == NULL) {
        return damaged("its footer does not end");
    }
    str text = str_make(footer.ptr, (size_t)(end - footer.ptr));
    zone->has_rule = text.len > 0;
    if (zone->has_rule && !zone_rule_parse(text, &zone->rule)) {
        return damaged("its footer is not a rule");
    }
    return STATUS_OK;
}

static status read_block(str bytes, const struct counts *counts, size_t time_bytes,
                         struct arena *arena, struct zone *zone)
{
    if (block_bytes(counts, time_bytes) > bytes.len) {
        return damaged("it is cut short");
    }
    if (counts->leaps > 0) {
        return status_make(CODE_INVALID_ARGUMENT, "it counts leap seconds, as names of right/ do: "
                                                  "use the name without right/");
    }
    return read_changes(bytes, counts, time_bytes, arena, zone);
}

status zone_parse(str bytes, struct arena *arena, struct zone **ret)
{
    struct zone *zone = arena_zalloc(arena, sizeof(*zone));
    struct counts counts;
    TRY(read_header(bytes, &counts));
    char version = bytes.ptr[4];
    bytes = str_skip(bytes, HEADER_BYTES);
    if (version < '2') {
        TRY(read_block(bytes, &counts, 4, arena, zone));
    } else {
        /* Everything once more with 64 bits; the first block is for old readers. */
        if (block_bytes(&counts, 4) > bytes.len) {
            return damaged("it is cut short");
        }
        bytes = str_skip(bytes, block_bytes(&counts, 4));
        TRY(read_header(bytes, &counts));
        bytes = str_skip(bytes, HEADER_BYTES);
        TRY(read_block(bytes, &counts, 8, arena, zone));
        TRY(read_footer(str_skip(bytes, block_bytes(&counts, 8)), zone));
    }
    *ret = zone;
    return STATUS_OK;
}

static bool is_name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '+' || c == '-';
}

/* Parts of letters, digits, '_', '+' and '-', with single slashes between: no dots, so that no
 * name leaves the folder. "localtime" would be another zone on each machine. */
static bool is_name(str name)
{
    bool in_part = false;
    if (name.len > ZONE_NAME_BYTES_MAX || str_is(name, "localtime")) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '/' ? !in_part : !is_name_char(name.ptr[i])) {
            return false;
        }
        in_part = name.ptr[i] != '/';
    }
    return in_part;
}

static bool read_all(int fd, struct buf *bytes)
{
    buf_reserve(bytes, ZONE_FILE_BYTES_MAX + 1);
    while (bytes->len <= ZONE_FILE_BYTES_MAX) {
        ssize_t got = read(fd, bytes->ptr + bytes->len, ZONE_FILE_BYTES_MAX + 1 - bytes->len);
        if (got == 0) {
            return true;
        }
        if (got < 0 && errno != EINTR) {
            return false;
        }
        bytes->len += got > 0 ? (size_t)got : 0;
    }
    return false;
}

/* False with errno 0: it is not a small file. */
static bool read_file(const char *path, struct buf *bytes)
{
    struct stat facts;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return false;
    }
    errno = 0;
    bool done = fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode) && read_all(fd, bytes);
    int why = errno;
    close(fd);
    errno = why;
    return done;
}

static status unreadable(const char *folder, str name, int why, struct arena *arena)
{
    struct stat facts;
    if (stat(folder, &facts) != 0 || !S_ISDIR(facts.st_mode)) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION,
                          "time zone: there are no zones in %s; install the package tzdata, or use "
                          "\"UTC\"",
                          folder);
    }
    if (why == 0 || why == ENOENT || why == ENOTDIR || why == EISDIR) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "time zone: there is no \"" STR_FMT
                          "\"; use a name such as \"Europe/Berlin\" or \"UTC\"",
                          STR_ARG(name));
    }
    return arena_fail(arena, CODE_UNAVAILABLE,
                      "time zone: \"" STR_FMT "\" cannot be read: error %d", STR_ARG(name), why);
}

static status open_named(const char *folder, str name, struct buf *bytes, struct arena *arena,
                         struct zone **ret)
{
    str path = arena_printf(arena, "%s/" STR_FMT, folder, STR_ARG(name));
    if (!read_file(path.ptr, bytes)) {
        return unreadable(folder, name, errno, arena);
    }
    status outcome = zone_parse(buf_str(bytes), arena, ret);
    if (!status_is_ok(outcome)) {
        return arena_fail(arena, outcome.code, "time zone: \"" STR_FMT "\" cannot be used: %s",
                          STR_ARG(name), outcome.why);
    }
    return STATUS_OK;
}

status zone_open(const char *folder, str name, struct arena *arena, struct zone **ret)
{
    struct buf bytes = {0};
    assert(folder != NULL && arena != NULL);
    if (!is_name(name)) {
        return status_make(CODE_INVALID_ARGUMENT, "time zone: this is not the name of one; use a "
                                                  "name such as \"Europe/Berlin\" or \"UTC\"");
    }
    if (str_is(name, "UTC")) {
        *ret = arena_zalloc(arena, sizeof(**ret));
        return STATUS_OK;
    }
    status outcome = open_named(folder, name, &bytes, arena, ret);
    buf_fini(&bytes);
    return outcome;
}

/* How many changes were at utc_s or before it. */
static size_t changes_until(const struct zone *zone, int64_t utc_s)
{
    size_t low = 0;
    size_t high = zone->change_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->changes[middle] <= utc_s) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    assert(low == 0 || zone->changes[low - 1] <= utc_s);
    assert(low == zone->change_count || zone->changes[low] > utc_s);
    return low;
}

/* So that whoever adds an offset to a bound that is one cannot overflow. */
static struct zone_span without_far_bounds(struct zone_span span)
{
    if (span.start_s <= -ZONE_TIME_S_MAX) {
        span.start_s = INT64_MIN;
    }
    if (span.end_s > ZONE_TIME_S_MAX) {
        span.end_s = INT64_MAX;
    }
    return span;
}

struct zone_span zone_span_at(const struct zone *zone, int64_t utc_s)
{
    size_t past = changes_until(zone, utc_s);
    struct zone_span span = {INT64_MIN, INT64_MAX, zone->first_offset};
    assert(utc_s >= -ZONE_TIME_S_MAX && utc_s <= ZONE_TIME_S_MAX);
    if (past == zone->change_count && zone->has_rule) {
        span = zone_rule_span(&zone->rule, utc_s);
    } else if (past > 0) {
        span.offset_s = zone->offsets[past - 1];
    }
    if (past > 0 && span.start_s < zone->changes[past - 1]) {
        span.start_s = zone->changes[past - 1];
    }
    if (past < zone->change_count) {
        span.end_s = zone->changes[past];
    }
    assert(span.start_s <= utc_s && utc_s < span.end_s);
    return without_far_bounds(span);
}

int32_t zone_offset_at(const struct zone *zone, int64_t utc_s)
{
    return zone_span_at(zone, utc_s).offset_s;
}

size_t zone_instants(const struct zone *zone, int64_t local_s, int64_t ret[ZONE_INSTANTS_MAX])
{
    size_t count = 0;
    int64_t at = local_s - ZONE_OFFSET_S_MAX;
    assert(local_s > -ZONE_TIME_S_MAX / 2 && local_s < ZONE_TIME_S_MAX / 2);
    while (at <= local_s + ZONE_OFFSET_S_MAX && count < ZONE_INSTANTS_MAX) {
        struct zone_span span = zone_span_at(zone, at);
        int64_t utc_s = local_s - span.offset_s;
        if (span.start_s <= utc_s && utc_s < span.end_s) {
            ret[count++] = utc_s;
        }
        assert(span.end_s > at);
        at = span.end_s;
    }
    return count;
}
