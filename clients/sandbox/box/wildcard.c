#include "clients/sandbox/box/wildcard.h"

#include "service/base/buf.h"
#include "service/base/utf8.h"

enum part_kind {
    PART_CHARACTER,
    PART_ANY, /* One, but a slash. */
    PART_CLASS,
    PART_STAR,
    PART_DEEP, /* Any characters, slashes too. */
    PART_FOLDERS, /* Whole folders, each with its slash; PART_INSIDE follows. */
    PART_INSIDE, /* Within the name of such a folder. */
};

/* A range of a class. */
struct range {
    uint32_t first;
    uint32_t last;
};

struct part {
    enum part_kind kind;
    uint32_t character;
    struct range *ranges;
    size_t range_count;
    bool is_negated;
};

struct wildcard {
    struct part *parts;
    size_t count;
    str ending; /* What every path that fits ends with: most that do not are told by it. */
    bool is_literal; /* The ending is all of it. */
};

/* What begins at `at`: a character, or a byte of none, which is a number beyond all characters. */
static uint32_t character_at(str text, size_t at, size_t *ret_len)
{
    static const uint8_t first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    size_t len = utf8_len(text, at);
    uint8_t first = (uint8_t)text.ptr[at];
    *ret_len = len == 0 ? 1 : len;
    if (len == 0) {
        return UINT32_C(0x110000) + first;
    }
    uint32_t character = first & first_bits[len];
    for (size_t i = 1; i < len; i++) {
        character = character << 6 | ((uint8_t)text.ptr[at + i] & 0x3f);
    }
    return character;
}

/* A character of a class, behind a backslash or not. */
static uint32_t class_character(str text, size_t *at)
{
    size_t len;
    if (text.ptr[*at] == '\\' && *at + 1 < text.len) {
        ++*at;
    }
    uint32_t character = character_at(text, *at, &len);
    *at += len;
    return character;
}

/* Reads from behind the bracket; false: nothing closes it. */
static bool read_class(str text, size_t *at, struct part *part, struct arena *arena)
{
    size_t i = *at;
    *part = (struct part){.kind = PART_CLASS};
    part->ranges = arena_alloc(arena, (text.len - i + 1) * sizeof part->ranges[0]);
    if (i < text.len && (text.ptr[i] == '!' || text.ptr[i] == '^')) {
        part->is_negated = true;
        i++;
    }
    for (bool is_first = true; i < text.len; is_first = false) {
        if (text.ptr[i] == ']' && !is_first) {
            *at = i + 1;
            return true;
        }
        struct range range;
        range.first = class_character(text, &i);
        range.last = range.first;
        if (i + 1 < text.len && text.ptr[i] == '-' && text.ptr[i + 1] != ']') {
            i++;
            range.last = class_character(text, &i);
        }
        part->ranges[part->range_count++] = range;
    }
    return false;
}

static void add(struct wildcard *wildcard, enum part_kind kind)
{
    wildcard->parts[wildcard->count++] = (struct part){.kind = kind};
}

/* Reads stars; the text stands at the first of them. */
static void read_stars(struct wildcard *wildcard, str text, size_t *at)
{
    size_t begin = *at;
    while (*at < text.len && text.ptr[*at] == '*') {
        ++*at;
    }
    bool at_begin = begin == 0 || text.ptr[begin - 1] == '/';
    if (*at - begin == 1) {
        add(wildcard, PART_STAR);
    } else if (at_begin && *at < text.len && text.ptr[*at] == '/') {
        add(wildcard, PART_FOLDERS);
        add(wildcard, PART_INSIDE);
        ++*at;
    } else {
        add(wildcard, PART_DEEP);
    }
}

static void read_character(struct wildcard *wildcard, str text, size_t *at)
{
    size_t len;
    if (text.ptr[*at] == '\\' && *at + 1 < text.len) {
        ++*at;
    }
    add(wildcard, PART_CHARACTER);
    wildcard->parts[wildcard->count - 1].character = character_at(text, *at, &len);
    *at += len;
}

/* The characters behind everything that is more than a character. */
static void find_ending(struct wildcard *wildcard, struct arena *arena)
{
    size_t begin = wildcard->count;
    struct buf ending = {0};
    while (begin > 0 && wildcard->parts[begin - 1].kind == PART_CHARACTER) {
        begin--;
    }
    for (size_t i = begin; i < wildcard->count; i++) {
        char bytes[4];
        uint32_t character = wildcard->parts[i].character;
        if (character >= UINT32_C(0x110000)) {
            buf_put_char(&ending, (char)(character & 0xff));
            continue;
        }
        buf_put(&ending, str_make(bytes, utf8_encode(character, bytes)));
    }
    wildcard->is_literal = begin == 0;
    wildcard->ending = buf_finish(&ending, arena);
}

static bool ends_with(str path, str ending)
{
    return path.len >= ending.len &&
           str_equal(str_make(path.ptr + path.len - ending.len, ending.len), ending);
}

status wildcard_read(str text, struct arena *arena, struct wildcard **ret)
{
    if (text.len > WILDCARD_BYTES_MAX) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "A pattern of paths may have %d bytes, this one has %zu.",
                          WILDCARD_BYTES_MAX, text.len);
    }
    struct wildcard *wildcard = arena_zalloc(arena, sizeof *wildcard);
    /* Two of three bytes is the most: for stars and a slash. */
    wildcard->parts = arena_alloc(arena, (text.len + 1) * sizeof wildcard->parts[0]);
    for (size_t at = 0; at < text.len;) {
        size_t behind = at + 1;
        if (text.ptr[at] == '*') {
            read_stars(wildcard, text, &at);
        } else if (text.ptr[at] == '?') {
            add(wildcard, PART_ANY);
            at++;
        } else if (text.ptr[at] == '[' &&
                   read_class(text, &behind, &wildcard->parts[wildcard->count], arena)) {
            wildcard->count++;
            at = behind;
        } else {
            read_character(wildcard, text, &at);
        }
        assert(wildcard->count <= text.len);
    }
    find_ending(wildcard, arena);
    *ret = wildcard;
    return STATUS_OK;
}

static bool is_in_class(const struct part *part, uint32_t character)
{
    bool is_in = false;
    for (size_t i = 0; i < part->range_count; i++) {
        is_in |= character >= part->ranges[i].first && character <= part->ranges[i].last;
    }
    return is_in != part->is_negated;
}

/* Marks a place and those behind it that need no character. */
static void reach(const struct wildcard *wildcard, bool *places, size_t at)
{
    while (!places[at]) {
        places[at] = true;
        if (at == wildcard->count) {
            return;
        }
        enum part_kind kind = wildcard->parts[at].kind;
        if (kind == PART_STAR || kind == PART_DEEP) {
            at++;
        } else if (kind == PART_FOLDERS) {
            at += 2;
        } else {
            return;
        }
    }
}

/* From one place by one character. */
static void advance(const struct wildcard *wildcard, size_t at, uint32_t character, bool *next)
{
    const struct part *part = &wildcard->parts[at];
    bool is_slash = character == '/';
    switch (part->kind) {
    case PART_CHARACTER:
        if (part->character == character) {
            reach(wildcard, next, at + 1);
        }
        return;
    case PART_ANY:
        if (!is_slash) {
            reach(wildcard, next, at + 1);
        }
        return;
    case PART_CLASS:
        if (!is_slash && is_in_class(part, character)) {
            reach(wildcard, next, at + 1);
        }
        return;
    case PART_STAR:
        if (!is_slash) {
            reach(wildcard, next, at);
        }
        return;
    case PART_DEEP:
        reach(wildcard, next, at);
        return;
    case PART_FOLDERS:
        if (!is_slash) {
            reach(wildcard, next, at + 1);
        }
        return;
    case PART_INSIDE:
        reach(wildcard, next, is_slash ? at - 1 : at);
        return;
    }
}

bool wildcard_matches(const struct wildcard *wildcard, str path)
{
    bool places[2][WILDCARD_BYTES_MAX + 1];
    size_t count = wildcard->count + 1;
    if (wildcard->is_literal || !ends_with(path, wildcard->ending)) {
        return str_equal(path, wildcard->ending) && wildcard->is_literal;
    }
    assert(count <= COUNT_OF(places[0]));
    bool *now = places[0];
    bool *next = places[1];
    memset(now, 0, count * sizeof now[0]);
    reach(wildcard, now, 0);
    for (size_t at = 0; at < path.len;) {
        size_t len;
        uint32_t character = character_at(path, at, &len);
        memset(next, 0, count * sizeof next[0]);
        for (size_t i = 0; i < wildcard->count; i++) {
            if (now[i]) {
                advance(wildcard, i, character, next);
            }
        }
        bool *swapped = now;
        now = next;
        next = swapped;
        at += len;
    }
    return now[wildcard->count];
}

/* The innermost braces that begin last: where they open and close. */
static bool find_braces(str text, size_t *ret_open, size_t *ret_close)
{
    bool is_open = false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\\') {
            i++;
        } else if (text.ptr[i] == '{') {
            *ret_open = i;
            is_open = true;
        } else if (text.ptr[i] == '}' && is_open) {
            *ret_close = i;
            return true;
        }
    }
    return false;
}

/* One way of the braces, put into the text. */
static str with_way(str text, size_t open, size_t close, str way, struct arena *arena)
{
    struct buf buf = {0};
    buf_put(&buf, str_make(text.ptr, open));
    buf_put(&buf, way);
    buf_put(&buf, str_make(text.ptr + close + 1, text.len - close - 1));
    return buf_finish(&buf, arena);
}

/* Appends the text with each way of these braces. False: there is no room. */
static bool add_ways(str text, size_t open, size_t close, struct arena *arena, str *texts,
                     size_t *count)
{
    for (size_t begin = open + 1; begin <= close;) {
        const char *comma = memchr(text.ptr + begin, ',', close - begin);
        size_t end = comma == NULL ? close : (size_t)(comma - text.ptr);
        if (*count == WILDCARD_WAYS_MAX) {
            return false;
        }
        str way = str_make(text.ptr + begin, end - begin);
        texts[(*count)++] = with_way(text, open, close, way, arena);
        begin = end + 1;
    }
    return true;
}

status wildcard_ways(str text, struct arena *arena, str **ret, size_t *ret_count)
{
    str *texts = arena_alloc(arena, WILDCARD_WAYS_MAX * sizeof texts[0]);
    size_t count = 1;
    texts[0] = text;
    if (text.len > WILDCARD_BYTES_MAX) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "A pattern of paths may have %d bytes, this one has %zu.",
                          WILDCARD_BYTES_MAX, text.len);
    }
    for (size_t i = 0; i < count;) {
        size_t open = 0;
        size_t close = 0;
        str whole = texts[i];
        if (!find_braces(whole, &open, &close)) {
            i++;
            continue;
        }
        texts[i] = texts[--count];
        if (!add_ways(whole, open, close, arena, texts, &count)) {
            return arena_fail(arena, CODE_INVALID_ARGUMENT,
                              "The braces of the pattern stand for more than %d patterns.",
                              WILDCARD_WAYS_MAX);
        }
    }
    *ret = texts;
    *ret_count = count;
    return STATUS_OK;
}
