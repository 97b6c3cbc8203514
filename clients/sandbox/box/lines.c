#include "clients/sandbox/box/lines.h"

#include "clients/sandbox/box/search.h"
#include "service/base/buf.h"
#include "service/base/utf8.h"
#include "service/schema/pattern.h"

/* Some ten seconds. */
static const uint64_t steps_max = 1000000000;

static bool is_plain(str pattern)
{
    for (size_t i = 0; i < pattern.len; i++) {
        if (strchr("\\^$.|?*+()[]{}", pattern.ptr[i]) != NULL) {
            return false;
        }
    }
    return true;
}

status lines_init(struct lines *lines, str pattern, uint64_t around, struct arena *arena)
{
    *lines = (struct lines){.literal = pattern, .steps = steps_max, .around = around};
    if (pattern.len == 0) {
        return status_make(CODE_INVALID_ARGUMENT, "The pattern is empty.");
    }
    if (is_plain(pattern)) {
        return STATUS_OK;
    }
    status outcome = pattern_read(pattern, arena, &lines->pattern);
    if (!status_is_ok(outcome)) {
        lines->pattern = NULL;
        lines->is_literal_only = true;
        lines->why_literal = arena_printf(
            arena, "The pattern is no regular expression (%s), so it was looked for as it stands.",
            outcome.why);
    }
    return STATUS_OK;
}

/* The text with U+FFFD for what is no UTF-8. */
static str well_formed(str text, struct buf *buf)
{
    if (utf8_is_valid(text)) {
        return text;
    }
    buf_reset(buf);
    for (size_t at = 0; at < text.len;) {
        size_t len = utf8_len(text, at);
        buf_put(buf, len > 0 ? str_make(text.ptr + at, len) : STR("\xef\xbf\xbd"));
        at += len > 0 ? len : 1;
    }
    return buf_str(buf);
}

static bool holds(str text, str literal)
{
    return text.len > 0 && memmem(text.ptr, text.len, literal.ptr, literal.len) != NULL;
}

static bool line_matches(struct lines *lines, str line, struct buf *buf)
{
    if (lines->pattern == NULL) {
        return holds(line, lines->literal);
    }
    return pattern_matches(lines->pattern, well_formed(line, buf), &lines->steps);
}

/* The line that begins at `at`, without its end. */
static str line_at(str text, size_t at)
{
    const char *end = at == text.len ? NULL : memchr(text.ptr + at, '\n', text.len - at);
    return str_make(text.ptr + at, end == NULL ? text.len - at : (size_t)(end - text.ptr) - at);
}

/* So many lines back from the beginning of one. */
static size_t lines_back(str text, size_t at, uint64_t count)
{
    while (at > 0 && count > 0) {
        const char *end = at == 1 ? NULL : memrchr(text.ptr, '\n', at - 1);
        at = end == NULL ? 0 : (size_t)(end - text.ptr) + 1;
        count--;
    }
    return at;
}

static void put_cut(struct buf *buf, str line)
{
    if (line.len <= SEARCH_LINE_BYTES_MAX) {
        buf_put(buf, line);
        return;
    }
    str beginning = str_make(line.ptr, SEARCH_LINE_BYTES_MAX);
    beginning.len -= utf8_tail_len(beginning);
    buf_put(buf, beginning);
    buf_put(buf, STR(" [cut]"));
}

/* The line that begins at `at`, and those around it. */
static void put_around(const struct lines *lines, str text, size_t at, struct buf *buf)
{
    size_t next = lines_back(text, at, lines->around);
    uint64_t behind = 0;
    while (next < text.len && behind <= lines->around) {
        str line = line_at(text, next);
        if (buf->len > 0) {
            buf_put_char(buf, '\n');
        }
        put_cut(buf, line);
        behind += next >= at;
        next += line.len + 1;
    }
}

struct finding {
    struct buf text;
    struct buf around;
    struct buf well_formed;
};

static struct lines_match match_at(const struct lines *lines, str text, size_t at,
                                   struct finding *finding)
{
    buf_reset(&finding->text);
    buf_reset(&finding->around);
    put_cut(&finding->text, line_at(text, at));
    if (lines->around > 0) {
        put_around(lines, text, at, &finding->around);
    }
    return (struct lines_match){.text = buf_str(&finding->text),
                                .around = buf_str(&finding->around)};
}

bool lines_search(struct lines *lines, str text, str path,
                  bool (*visit)(void *context, const struct lines_match *match), void *context)
{
    struct finding finding = {0};
    uint64_t number = 0;
    bool goes_on = true;
    if (lines->pattern == NULL && !holds(text, lines->literal)) {
        return true;
    }
    for (size_t at = 0; at < text.len && goes_on && !lines->is_spent;) {
        str line = line_at(text, at);
        number++;
        if (line_matches(lines, line, &finding.well_formed)) {
            struct lines_match match = match_at(lines, text, at, &finding);
            match.path = path;
            match.number = number;
            goes_on = visit(context, &match);
        }
        lines->is_spent = lines->steps == 0;
        at += line.len + 1;
    }
    buf_fini(&finding.text);
    buf_fini(&finding.around);
    buf_fini(&finding.well_formed);
    return goes_on;
}
