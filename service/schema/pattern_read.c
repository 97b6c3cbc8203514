/*
 * Reads a pattern by ECMA-262, in one pass, into parts that lead to each other.
 *
 * What was read last can be repeated by moving or copying its parts, as they say how far they lead
 * and not where to.
 */
#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/utf8.h"
#include "service/schema/program.h"

enum {
    NESTED_MAX = 50, /* Groups inside one another. */
    REPEATS_MAX = 1000,
    CHARACTER_MAX = 0x10ffff,
    NO_END = -1, /* Of a repeat. */
};

struct reader {
    struct pattern *pattern;
    struct arena *arena;
    str text;
    size_t at;
    size_t depth;
};

static status fault(const struct reader *reader, const char *why)
{
    return arena_fail(reader->arena, CODE_INVALID_ARGUMENT, "is no pattern: %s at byte %zu", why,
                      reader->at);
}

static char peek(const struct reader *reader)
{
    return reader->at < reader->text.len ? reader->text.ptr[reader->at] : '\0';
}

static bool is_over(const struct reader *reader)
{
    return reader->at == reader->text.len;
}

static bool take(struct reader *reader, const char *word)
{
    str rest = str_make(reader->text.ptr + reader->at, reader->text.len - reader->at);
    if (!str_starts_with(rest, str_of(word))) {
        return false;
    }
    reader->at += strlen(word);
    return true;
}

/* ---- Sets of characters. ---- */

static void put_range(struct reader *reader, struct ranges *ranges, uint32_t first, uint32_t last)
{
    assert(first <= last);
    ranges->at = array_reserve_in(reader->arena, ranges->at, &ranges->capacity, ranges->count + 1,
                                  sizeof(*ranges->at));
    ranges->at[ranges->count++] = (struct range){first, last};
}

static int by_first(const void *a, const void *b)
{
    uint32_t left = ((const struct range *)a)->first;
    uint32_t right = ((const struct range *)b)->first;
    return left < right ? -1 : left > right;
}

/* In order, those that touch made one. */
static void settle(struct ranges *ranges)
{
    size_t kept = 0;
    if (ranges->count > 0) {
        qsort(ranges->at, ranges->count, sizeof(*ranges->at), by_first);
    }
    for (size_t i = 0; i < ranges->count; i++) {
        struct range *last = kept == 0 ? NULL : &ranges->at[kept - 1];
        if (last != NULL && ranges->at[i].first <= last->last + 1) {
            last->last = ranges->at[i].last > last->last ? ranges->at[i].last : last->last;
        } else {
            ranges->at[kept++] = ranges->at[i];
        }
    }
    ranges->count = kept;
}

/* All others. From settled ranges. */
static void put_others(struct reader *reader, struct ranges *ranges, const struct range *from,
                       size_t count)
{
    uint32_t next = 0;
    for (size_t i = 0; i < count; i++) {
        if (from[i].first > next) {
            put_range(reader, ranges, next, from[i].first - 1);
        }
        next = from[i].last + 1;
    }
    if (next <= CHARACTER_MAX) {
        put_range(reader, ranges, next, CHARACTER_MAX);
    }
}

static const struct range digits[] = {{'0', '9'}};
static const struct range words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const struct range blanks[] = {
    {'\t', '\r'},     {' ', ' '},       {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200a},
    {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff},
};
static const struct range line_ends[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

/* \d and its like, as many as there are. False: that letter is none of them. */
static bool put_named(struct reader *reader, struct ranges *ranges, char letter)
{
    static const struct {
        char letter;
        const struct range *ranges;
        size_t count;
    } named[] = {
        {'d', digits, COUNT_OF(digits)},
        {'w', words, COUNT_OF(words)},
        {'s', blanks, COUNT_OF(blanks)},
    };
    for (size_t i = 0; i < COUNT_OF(named); i++) {
        if (letter == named[i].letter) {
            for (size_t j = 0; j < named[i].count; j++) {
                put_range(reader, ranges, named[i].ranges[j].first, named[i].ranges[j].last);
            }
            return true;
        }
        if (letter == named[i].letter - 'a' + 'A') {
            put_others(reader, ranges, named[i].ranges, named[i].count);
            return true;
        }
    }
    return false;
}

/* ---- Characters. ---- */

static bool take_hex(struct reader *reader, size_t count, uint32_t *ret)
{
    uint32_t value = 0;
    for (size_t i = 0; i < count; i++) {
        char digit = reader->at + i < reader->text.len ? reader->text.ptr[reader->at + i] : '\0';
        bool is_decimal = digit >= '0' && digit <= '9';
        char lower = (char)(digit | 0x20);
        if (!is_decimal && (lower < 'a' || lower > 'f')) {
            return false;
        }
        value = value * 16 + (uint32_t)(is_decimal ? digit - '0' : lower - 'a' + 10);
    }
    reader->at += count;
    *ret = value;
    return true;
}

/* Behind "\u": four digits, two such that are one character, or any number in braces. */
static status take_unicode(struct reader *reader, uint32_t *ret)
{
    uint32_t low;
    if (take(reader, "{")) {
        size_t count = 0;
        while (reader->at + count < reader->text.len &&
               reader->text.ptr[reader->at + count] != '}') {
            count++;
        }
        if (count == 0 || count > 6 || !take_hex(reader, count, ret) || !take(reader, "}") ||
            *ret > CHARACTER_MAX) {
            return fault(reader, "\\u{ without the number of a character and }");
        }
        return STATUS_OK;
    }
    if (!take_hex(reader, 4, ret)) {
        return fault(reader, "\\u without four hexadecimal digits");
    }
    size_t at = reader->at;
    if (*ret >= 0xd800 && *ret < 0xdc00 && take(reader, "\\u") && take_hex(reader, 4, &low) &&
        low >= 0xdc00 && low <= 0xdfff) {
        *ret = 0x10000 + ((*ret - 0xd800) << 10) + (low - 0xdc00);
        return STATUS_OK;
    }
    reader->at = at;
    return STATUS_OK;
}

static status take_control(struct reader *reader, uint32_t *ret)
{
    char letter = (char)(peek(reader) | 0x20);
    if (is_over(reader) || letter < 'a' || letter > 'z') {
        return fault(reader, "\\c without a letter");
    }
    reader->at++;
    *ret = (uint32_t)(letter - 'a' + 1);
    return STATUS_OK;
}

static status refuse_letter(struct reader *reader, char letter)
{
    if (letter == 'p' || letter == 'P') {
        return fault(reader, "\\p (properties of characters) is not supported");
    }
    if (letter == 'k' || (letter >= '1' && letter <= '9')) {
        return fault(reader, "back references are not supported");
    }
    return fault(reader, "an unknown escape");
}

/* Behind a backslash: one character. */
static status take_escaped(struct reader *reader, uint32_t *ret)
{
    static const char letters[] = "tnvfr";
    static const char characters[] = "\t\n\v\f\r";
    char letter = peek(reader);
    if (is_over(reader)) {
        return fault(reader, "nothing after a backslash");
    }
    reader->at++;
    const char *found = letter == '\0' ? NULL : strchr(letters, letter);
    if (found != NULL) {
        *ret = (uint8_t)characters[found - letters];
        return STATUS_OK;
    }
    if (letter == '0') {
        *ret = 0;
        return STATUS_OK;
    }
    if (letter == 'c') {
        return take_control(reader, ret);
    }
    if (letter == 'u') {
        return take_unicode(reader, ret);
    }
    if (letter == 'x') {
        return take_hex(reader, 2, ret) ? STATUS_OK
                                        : fault(reader, "\\x without two hexadecimal digits");
    }
    char lower = (char)(letter | 0x20);
    if ((lower >= 'a' && lower <= 'z') || (letter >= '1' && letter <= '9')) {
        return refuse_letter(reader, letter);
    }
    reader->at--;
    return STATUS_OK; /* A character that stands for itself: the caller takes it. */
}

/* One character as it stands, or escaped. */
static status take_character(struct reader *reader, uint32_t *ret)
{
    static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    if (take(reader, "\\")) {
        size_t at = reader->at;
        TRY(take_escaped(reader, ret));
        if (reader->at > at) {
            return STATUS_OK;
        }
    }
    size_t len = utf8_len(reader->text, reader->at);
    if (len == 0) {
        return fault(reader, "bytes that are not UTF-8");
    }
    uint32_t character = (uint8_t)reader->text.ptr[reader->at] & masks[len];
    for (size_t i = 1; i < len; i++) {
        character = character << 6 | ((uint8_t)reader->text.ptr[reader->at + i] & 0x3fu);
    }
    reader->at += len;
    *ret = character;
    return STATUS_OK;
}

/* ---- Parts. ---- */

static status put_part(struct reader *reader, enum part_kind kind, int32_t jump)
{
    struct pattern *pattern = reader->pattern;
    if (pattern->part_count == PATTERN_SIZE_MAX) {
        return fault(reader, "too much of it, with its repeats written out,");
    }
    pattern->parts = array_reserve_in(reader->arena, pattern->parts, &pattern->part_capacity,
                                      pattern->part_count + 1, sizeof(*pattern->parts));
    pattern->parts[pattern->part_count++] = (struct part){.kind = kind, .jump = jump};
    return STATUS_OK;
}

/* A part before those from `start` on. */
static status insert_part(struct reader *reader, size_t start, enum part_kind kind, int32_t jump)
{
    struct pattern *pattern = reader->pattern;
    TRY(put_part(reader, kind, jump));
    memmove(&pattern->parts[start + 1], &pattern->parts[start],
            (pattern->part_count - 1 - start) * sizeof(*pattern->parts));
    pattern->parts[start] = (struct part){.kind = kind, .jump = jump};
    return STATUS_OK;
}

static status put_ranges(struct reader *reader, const struct ranges *ranges)
{
    struct pattern *pattern = reader->pattern;
    TRY(put_part(reader, PART_RANGES, 0));
    pattern->parts[pattern->part_count - 1].ranges = (uint32_t)pattern->ranges_count;
    pattern->ranges = array_reserve_in(reader->arena, pattern->ranges, &pattern->ranges_capacity,
                                       pattern->ranges_count + 1, sizeof(*pattern->ranges));
    pattern->ranges[pattern->ranges_count++] = *ranges;
    return STATUS_OK;
}

/* One bound of a class, or a named set in it: then `ret_is_set`. */
static status take_class_atom(struct reader *reader, struct ranges *ranges, uint32_t *ret,
                              bool *ret_is_set)
{
    *ret_is_set = false;
    if (take(reader, "\\b")) {
        *ret = '\b';
        return STATUS_OK;
    }
    if (peek(reader) == '\\' && reader->at + 1 < reader->text.len &&
        put_named(reader, ranges, reader->text.ptr[reader->at + 1])) {
        reader->at += 2;
        *ret_is_set = true;
        return STATUS_OK;
    }
    return take_character(reader, ret);
}

static status take_class_range(struct reader *reader, struct ranges *ranges)
{
    uint32_t first;
    uint32_t last;
    bool is_set;
    TRY(take_class_atom(reader, ranges, &first, &is_set));
    if (is_set) {
        return STATUS_OK;
    }
    last = first;
    bool is_range = peek(reader) == '-' && reader->at + 1 < reader->text.len &&
                    reader->text.ptr[reader->at + 1] != ']';
    if (is_range) {
        reader->at++;
        TRY(take_class_atom(reader, ranges, &last, &is_set));
    }
    if (is_set || last < first) {
        return fault(reader, "a range that is none");
    }
    put_range(reader, ranges, first, last);
    return STATUS_OK;
}

/* Behind "[". */
static status take_class(struct reader *reader)
{
    struct ranges ranges = {0};
    bool is_negated = take(reader, "^");
    while (!take(reader, "]")) {
        if (is_over(reader)) {
            return fault(reader, "a [ without its ]");
        }
        TRY(take_class_range(reader, &ranges));
    }
    settle(&ranges);
    if (is_negated) {
        struct ranges others = {0};
        put_others(reader, &others, ranges.at, ranges.count);
        ranges = others;
    }
    return put_ranges(reader, &ranges);
}

static status take_ways(struct reader *reader);

/* Behind "(". */
static status take_group(struct reader *reader)
{
    if (take(reader, "?") && !take(reader, ":")) {
        if (peek(reader) != '<' || reader->at + 1 == reader->text.len ||
            strchr("=!", reader->text.ptr[reader->at + 1]) != NULL) {
            return fault(reader, "looks ahead and behind are not supported");
        }
        while (!take(reader, ">")) { /* A group's name says nothing here. */
            if (is_over(reader)) {
                return fault(reader, "a group's name without its >");
            }
            reader->at++;
        }
    }
    if (reader->depth == NESTED_MAX) {
        return fault(reader, "more than 50 groups inside one another");
    }
    reader->depth++;
    TRY(take_ways(reader));
    reader->depth--;
    return take(reader, ")") ? STATUS_OK : fault(reader, "a ( without its )");
}

static status put_named_or_character(struct reader *reader)
{
    struct ranges ranges = {0};
    uint32_t character;
    if (take(reader, ".")) {
        put_others(reader, &ranges, line_ends, COUNT_OF(line_ends));
        return put_ranges(reader, &ranges);
    }
    if (peek(reader) == '\\' && reader->at + 1 < reader->text.len &&
        put_named(reader, &ranges, reader->text.ptr[reader->at + 1])) {
        reader->at += 2;
        return put_ranges(reader, &ranges);
    }
    TRY(take_character(reader, &character));
    put_range(reader, &ranges, character, character);
    return put_ranges(reader, &ranges);
}

/* One thing that may be repeated, but for ret_is_edge. */
static status take_atom(struct reader *reader, bool *ret_is_edge)
{
    static const struct {
        const char *word;
        enum part_kind kind;
    } edges[] = {
        {"^", PART_START},
        {"$", PART_END},
        {"\\b", PART_WORD_EDGE},
        {"\\B", PART_NO_WORD_EDGE},
    };
    *ret_is_edge = false;
    for (size_t i = 0; i < COUNT_OF(edges); i++) {
        if (take(reader, edges[i].word)) {
            *ret_is_edge = true;
            return put_part(reader, edges[i].kind, 0);
        }
    }
    if (take(reader, "[")) {
        return take_class(reader);
    }
    if (take(reader, "(")) {
        return take_group(reader);
    }
    if (strchr("*+?", peek(reader)) != NULL && !is_over(reader)) {
        return fault(reader, "nothing to repeat");
    }
    return put_named_or_character(reader);
}

/* ---- Repeats. ---- */

static bool take_number(struct reader *reader, int32_t *ret)
{
    size_t at = reader->at;
    int32_t value = 0;
    while (peek(reader) >= '0' && peek(reader) <= '9') {
        value = value > REPEATS_MAX ? value : value * 10 + (peek(reader) - '0');
        reader->at++;
    }
    *ret = value;
    return reader->at > at;
}

/* "{2}", "{2,}", "{2,5}". False, and nothing taken: it is none. */
static bool take_counts(struct reader *reader, int32_t *ret_least, int32_t *ret_most)
{
    size_t at = reader->at;
    if (take(reader, "{") && take_number(reader, ret_least)) {
        *ret_most = *ret_least;
        if (take(reader, ",") && !take_number(reader, ret_most)) {
            *ret_most = NO_END;
        }
        if (take(reader, "}")) {
            return true;
        }
    }
    reader->at = at;
    return false;
}

/* False: nothing is repeated. */
static bool take_repeat(struct reader *reader, int32_t *ret_least, int32_t *ret_most)
{
    bool is_repeat = true;
    *ret_least = take(reader, "+") ? 1 : 0;
    *ret_most = NO_END;
    if (*ret_least == 0 && take(reader, "?")) {
        *ret_most = 1;
    } else if (*ret_least == 0 && !take(reader, "*")) {
        is_repeat = take_counts(reader, ret_least, ret_most);
    }
    if (is_repeat) {
        (void)take(reader, "?"); /* How much it takes makes no difference to whether it can. */
    }
    return is_repeat;
}

/* The parts of one thing, once more at the end. */
static status copy_parts(struct reader *reader, size_t start, size_t count)
{
    struct pattern *pattern = reader->pattern;
    for (size_t i = 0; i < count; i++) {
        TRY(put_part(reader, PART_JUMP, 0));
        pattern->parts[pattern->part_count - 1] = pattern->parts[start + i];
    }
    return STATUS_OK;
}

/* The last thing, as often as one likes, or not at all. */
static status repeat_freely(struct reader *reader, size_t start)
{
    int32_t count = (int32_t)(reader->pattern->part_count - start);
    TRY(insert_part(reader, start, PART_SPLIT, count + 2));
    return put_part(reader, PART_JUMP, -(count + 1));
}

static status make_optional(struct reader *reader, size_t start)
{
    int32_t count = (int32_t)(reader->pattern->part_count - start);
    return insert_part(reader, start, PART_SPLIT, count + 1);
}

static status repeat(struct reader *reader, size_t start, int32_t least, int32_t most)
{
    struct pattern *pattern = reader->pattern;
    size_t count = pattern->part_count - start;
    if (least > REPEATS_MAX || most > REPEATS_MAX || (most != NO_END && most < least)) {
        return fault(reader, "a repeat beyond 1000, or from more to less,");
    }
    /* The first stays as it was read, to be copied; it goes when none is wanted. */
    for (int32_t i = 0; i < least; i++) {
        TRY(copy_parts(reader, start, count));
    }
    if (most == NO_END) {
        size_t last = pattern->part_count;
        TRY(copy_parts(reader, start, count));
        TRY(repeat_freely(reader, last));
    }
    for (int32_t i = least; most != NO_END && i < most; i++) {
        size_t last = pattern->part_count;
        TRY(copy_parts(reader, start, count));
        TRY(make_optional(reader, last));
    }
    memmove(&pattern->parts[start], &pattern->parts[start + count],
            (pattern->part_count - start - count) * sizeof(*pattern->parts));
    pattern->part_count -= count;
    return STATUS_OK;
}

/* What follows each other, up to a | or ). */
static status take_way(struct reader *reader)
{
    while (!is_over(reader) && peek(reader) != '|' && peek(reader) != ')') {
        size_t start = reader->pattern->part_count;
        int32_t least;
        int32_t most;
        bool is_edge;
        TRY(take_atom(reader, &is_edge));
        if (!is_edge && take_repeat(reader, &least, &most)) {
            TRY(repeat(reader, start, least, most));
        }
    }
    return STATUS_OK;
}

static status take_ways(struct reader *reader)
{
    struct pattern *pattern = reader->pattern;
    int32_t last = -1; /* Of the jumps to the end; each holds the number of the one before it. */
    for (;;) {
        size_t start = pattern->part_count;
        TRY(take_way(reader));
        if (!take(reader, "|")) {
            break;
        }
        TRY(insert_part(reader, start, PART_SPLIT, (int32_t)(pattern->part_count - start) + 2));
        TRY(put_part(reader, PART_JUMP, last));
        last = (int32_t)pattern->part_count - 1;
    }
    while (last >= 0) {
        int32_t before = pattern->parts[last].jump;
        pattern->parts[last].jump = (int32_t)pattern->part_count - last;
        last = before;
    }
    return STATUS_OK;
}

static void make_room(struct pattern *pattern, struct arena *arena)
{
    size_t count = pattern->part_count;
    pattern->now = arena_alloc(arena, count * sizeof(*pattern->now));
    pattern->then = arena_alloc(arena, count * sizeof(*pattern->then));
    pattern->pending = arena_alloc(arena, (2 * count + 2) * sizeof(*pattern->pending));
    pattern->added_at = arena_zalloc(arena, count * sizeof(*pattern->added_at));
}

status pattern_read(str text, struct arena *arena, struct pattern **ret)
{
    struct pattern *pattern = arena_zalloc(arena, sizeof(*pattern));
    struct reader reader = {.pattern = pattern, .arena = arena, .text = text};
    if (text.len > PATTERN_BYTES_MAX) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "is a pattern of more than %d bytes",
                          PATTERN_BYTES_MAX);
    }
    TRY(take_ways(&reader));
    if (!is_over(&reader)) {
        return fault(&reader, "a ) without its (");
    }
    TRY(put_part(&reader, PART_MATCH, 0));
    make_room(pattern, arena);
    *ret = pattern;
    return STATUS_OK;
}
