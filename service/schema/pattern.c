#include "service/schema/pattern.h"

#include <stdlib.h>

#include "service/base/utf8.h"
#include "service/schema/program.h"

/* A match under way. */
struct match {
    struct pattern *pattern;
    str text;
    size_t at; /* The position all ways have come to. */
    uint32_t before; /* The character before it; 0: none, or a NUL: both are no word's. */
    uint32_t after; /* The one that follows. */
    size_t after_len; /* 0: the text ends. */
    uint32_t *next; /* Where parts are added. */
    size_t next_count;
    uint64_t *steps;
    bool is_match;
};

static uint32_t decode(str text, size_t at, size_t *ret_len)
{
    static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    if (at == text.len) {
        *ret_len = 0;
        return 0;
    }
    size_t len = utf8_len(text, at);
    if (len == 0) {
        *ret_len = 1;
        return 0xfffd;
    }
    uint32_t character = (uint8_t)text.ptr[at] & masks[len];
    for (size_t i = 1; i < len; i++) {
        character = character << 6 | ((uint8_t)text.ptr[at + i] & 0x3fu);
    }
    *ret_len = len;
    return character;
}

static bool is_word(uint32_t character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           (character >= '0' && character <= '9') || character == '_';
}

static bool has(const struct ranges *ranges, uint32_t character)
{
    for (size_t low = 0, high = ranges->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (character < ranges->at[middle].first) {
            high = middle;
        } else if (character > ranges->at[middle].last) {
            low = middle + 1;
        } else {
            return true;
        }
    }
    return false;
}

/* Whether a part that takes no character lets pass here. */
static bool holds(const struct match *match, const struct part *part)
{
    bool is_edge = is_word(match->before) != (match->after_len > 0 && is_word(match->after));
    switch (part->kind) {
    case PART_START:
        return match->at == 0;
    case PART_END:
        return match->after_len == 0;
    case PART_WORD_EDGE:
        return is_edge;
    case PART_NO_WORD_EDGE:
        return !is_edge;
    case PART_RANGES:
    case PART_SPLIT:
    case PART_JUMP:
    case PART_MATCH:
        return true;
    }
    return true;
}

/* Adds a part, and all that is reached from it without a character. */
static void add(struct match *match, uint32_t first)
{
    struct pattern *pattern = match->pattern;
    size_t count = 0;
    pattern->pending[count++] = first;
    while (count > 0 && *match->steps > 0) {
        uint32_t number = pattern->pending[--count];
        const struct part *part = &pattern->parts[number];
        if (pattern->added_at[number] == pattern->position) {
            continue;
        }
        pattern->added_at[number] = pattern->position;
        --*match->steps;
        if (part->kind == PART_RANGES) {
            match->next[match->next_count++] = number;
            continue;
        }
        if (part->kind == PART_MATCH) {
            match->is_match = true;
            return;
        }
        if (part->kind == PART_SPLIT || part->kind == PART_JUMP) {
            pattern->pending[count++] = (uint32_t)((int64_t)number + part->jump);
        }
        if (part->kind != PART_JUMP && holds(match, part)) {
            pattern->pending[count++] = number + 1;
        }
        assert(count <= 2 * pattern->part_count);
    }
}

/* From one character to the next: what each part that waits leads to. */
static void advance(struct match *match, const uint32_t *now, size_t count)
{
    uint32_t taken = match->after;
    struct pattern *pattern = match->pattern;
    assert(match->after_len > 0);
    pattern->position++;
    match->at += match->after_len;
    match->before = taken;
    match->after = decode(match->text, match->at, &match->after_len);
    match->next_count = 0;
    for (size_t i = 0; i < count && !match->is_match; i++) {
        const struct part *part = &pattern->parts[now[i]];
        assert(part->kind == PART_RANGES);
        if (has(&pattern->ranges[part->ranges], taken)) {
            add(match, now[i] + 1);
        }
    }
}

bool pattern_matches(struct pattern *pattern, str text, uint64_t *steps)
{
    struct match match = {.pattern = pattern, .text = text, .steps = steps};
    match.next = pattern->now;
    pattern->position++;
    match.after = decode(text, 0, &match.after_len);
    add(&match, 0);
    while (!match.is_match && match.after_len > 0 && *steps > 0) {
        const uint32_t *now = match.next;
        match.next = now == pattern->now ? pattern->then : pattern->now;
        --*steps;
        advance(&match, now, match.next_count);
        if (!match.is_match) {
            add(&match, 0); /* It may begin here too. */
        }
    }
    return match.is_match;
}
