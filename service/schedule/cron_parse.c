#include "service/schedule/cron.h"

struct field {
    const char *name;
    unsigned min;
    unsigned max;
    const char *words; /* Three letters each; the first is `min`. */
};

enum {
    FIELD_MINUTE,
    FIELD_HOUR,
    FIELD_DAY,
    FIELD_MONTH,
    FIELD_WEEKDAY,
    FIELD_COUNT,
    WORD_LETTERS = 3,
    SUNDAY_AGAIN = 7,
};

static const struct field fields[FIELD_COUNT] = {
    {"minute", 0, 59, NULL},
    {"hour", 0, 23, NULL},
    {"day-of-month", 1, 31, NULL},
    {"month", 1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"},
    {"day-of-week", 0, 7, "SUNMONTUEWEDTHUFRISAT"},
};

static const struct {
    const char *name;
    const char *text;
} nicknames[] = {
    {"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},   {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
};

/* Where the reader is in the whole text, and what it has found in the field so far. */
struct reader {
    str text;
    size_t at;
    const struct field *field;
    struct arena *arena;
    uint64_t values;
    bool open;
};

/* What one item of a list begins or ends with. */
struct number {
    unsigned value;
    size_t at;
    size_t len;
};

static char peek(const struct reader *reader)
{
    assert(reader->at <= reader->text.len);
    return reader->at < reader->text.len ? reader->text.ptr[reader->at] : '\0';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool at_end_of_field(const struct reader *reader)
{
    return reader->at == reader->text.len || is_blank(peek(reader));
}

static void skip_blanks(struct reader *reader)
{
    while (is_blank(peek(reader))) {
        reader->at++;
    }
}

static status unexpected(const struct reader *reader)
{
    const char *name = reader->field->name;
    int place = (int)reader->at + 1;
    if (at_end_of_field(reader)) {
        return arena_fail(reader->arena, CODE_INVALID_ARGUMENT,
                          "%s: a value is missing (character %d)", name, place);
    }
    char found = peek(reader);
    if (found < ' ' || found > '~') {
        return arena_fail(reader->arena, CODE_INVALID_ARGUMENT,
                          "%s: unexpected byte 0x%02x (character %d)", name, (uint8_t)found, place);
    }
    return arena_fail(reader->arena, CODE_INVALID_ARGUMENT, "%s: unexpected \"%c\" (character %d)",
                      name, found, place);
}

static status out_of_range(const struct reader *reader, const struct number *number,
                           const char *what, unsigned min, unsigned max)
{
    return arena_fail(reader->arena, CODE_INVALID_ARGUMENT,
                      "%s: %s%.*s is not in %u-%u (character %d)", reader->field->name, what,
                      (int)number->len, reader->text.ptr + number->at, min, max,
                      (int)number->at + 1);
}

/* Digits, however many; a number too large for the caller stays too large. */
static void take_digits(struct reader *reader, struct number *ret)
{
    *ret = (struct number){.at = reader->at};
    while (is_digit(peek(reader))) {
        unsigned digit = (unsigned)(peek(reader) - '0');
        ret->value = ret->value < 1000 ? ret->value * 10 + digit : ret->value;
        reader->at++;
    }
    ret->len = reader->at - ret->at;
    assert(ret->len > 0);
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool is_word(const char *letters, const char *word)
{
    return upper(letters[0]) == word[0] && upper(letters[1]) == word[1] &&
           upper(letters[2]) == word[2];
}

static status take_word(struct reader *reader, struct number *ret)
{
    const struct field *field = reader->field;
    assert(field->words != NULL);
    const char *letters = reader->text.ptr + reader->at;
    struct number number = {.at = reader->at};
    while (is_letter(peek(reader))) {
        reader->at++;
    }
    number.len = reader->at - number.at;
    for (const char *word = field->words; number.len == WORD_LETTERS && *word != '\0';
         word += WORD_LETTERS) {
        if (is_word(letters, word)) {
            number.value = field->min + (unsigned)(word - field->words) / WORD_LETTERS;
            *ret = number;
            return STATUS_OK;
        }
    }
    return arena_fail(reader->arena, CODE_INVALID_ARGUMENT,
                      "%s: \"%.*s\" is not a name; use %s (character %d)", field->name,
                      (int)number.len, letters, field->min == 1 ? "JAN to DEC" : "SUN to SAT",
                      (int)number.at + 1);
}

static status take_value(struct reader *reader, struct number *ret)
{
    const struct field *field = reader->field;
    struct number number;
    if (is_letter(peek(reader)) && field->words != NULL) {
        return take_word(reader, ret);
    }
    if (!is_digit(peek(reader))) {
        return unexpected(reader);
    }
    take_digits(reader, &number);
    if (number.value < field->min || number.value > field->max) {
        return out_of_range(reader, &number, "", field->min, field->max);
    }
    *ret = number;
    return STATUS_OK;
}

/* "9-17", after the 9. */
static status take_range_end(struct reader *reader, const struct number *first, unsigned *ret)
{
    struct number last;
    reader->at++;
    TRY(take_value(reader, &last));
    /* MON-SUN ends on the other Sunday. */
    if (reader->field == &fields[FIELD_WEEKDAY] && last.value == 0 && first->value > 0) {
        last.value = SUNDAY_AGAIN;
    }
    if (last.value < first->value) {
        return arena_fail(reader->arena, CODE_INVALID_ARGUMENT,
                          "%s: the range %.*s runs backwards; write two ranges with a comma "
                          "(character %d)",
                          reader->field->name, (int)(last.at + last.len - first->at),
                          reader->text.ptr + first->at, (int)first->at + 1);
    }
    assert(last.value <= reader->field->max);
    *ret = last.value;
    return STATUS_OK;
}

static unsigned value_count(const struct field *field)
{
    return field->max == SUNDAY_AGAIN ? 7 : field->max - field->min + 1;
}

/* "/5" */
static status take_step(struct reader *reader, bool is_range, unsigned *ret)
{
    unsigned max = value_count(reader->field);
    struct number step;
    if (!is_range) {
        return arena_fail(reader->arena, CODE_INVALID_ARGUMENT,
                          "%s: a step needs a star or a range before it, such as %u-%u/2 "
                          "(character %d)",
                          reader->field->name, reader->field->min, reader->field->max,
                          (int)reader->at + 1);
    }
    reader->at++;
    if (!is_digit(peek(reader))) {
        return unexpected(reader);
    }
    take_digits(reader, &step);
    if (step.value == 0 || step.value > max) {
        return out_of_range(reader, &step, "step ", 1, max);
    }
    reader->open = true;
    *ret = step.value;
    return STATUS_OK;
}

static status take_item(struct reader *reader)
{
    const struct field *field = reader->field;
    unsigned last = value_count(field) + field->min - 1;
    unsigned step = 1;
    struct number first = {.value = field->min};
    bool is_range = true;
    if (peek(reader) == '*') {
        reader->open = true;
        reader->at++;
    } else {
        TRY(take_value(reader, &first));
        is_range = peek(reader) == '-';
        last = first.value;
        if (is_range) {
            TRY(take_range_end(reader, &first, &last));
        }
    }
    if (peek(reader) == '/') {
        TRY(take_step(reader, is_range, &step));
    }
    assert(step > 0 && first.value <= last && last < 64);
    for (unsigned value = first.value; value <= last; value += step) {
        reader->values |= (uint64_t)1 << value;
    }
    return STATUS_OK;
}

static status take_field(struct reader *reader)
{
    reader->values = 0;
    reader->open = false;
    TRY(take_item(reader));
    while (peek(reader) == ',') {
        reader->at++;
        TRY(take_item(reader));
    }
    if (!at_end_of_field(reader)) {
        return unexpected(reader);
    }
    skip_blanks(reader);
    assert(reader->values != 0);
    return STATUS_OK;
}

static bool is_full(uint64_t values, const struct field *field)
{
    return (unsigned)__builtin_popcountll(values) == value_count(field);
}

static status check_count(str text, struct arena *arena)
{
    int count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += !is_blank(text.ptr[i]) && (i == 0 || is_blank(text.ptr[i - 1]));
    }
    if (count == FIELD_COUNT) {
        return STATUS_OK;
    }
    return arena_fail(arena, CODE_INVALID_ARGUMENT,
                      "cron: %d field%s instead of 5: minute hour day-of-month month day-of-week",
                      count, count == 1 ? "" : "s");
}

/* Blanks around the fields stay in the text, so that places are as the user counts them. */
static status parse_fields(str text, struct arena *arena, struct cron *ret)
{
    str trimmed = str_trim(text);
    size_t first = (size_t)(trimmed.ptr - text.ptr);
    struct reader reader = {.text = {text.ptr, first + trimmed.len}, .at = first, .arena = arena};
    uint64_t values[FIELD_COUNT];
    bool open[FIELD_COUNT];
    bool star[FIELD_COUNT];
    TRY(check_count(trimmed, arena));
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        reader.field = &fields[i];
        star[i] = peek(&reader) == '*';
        TRY(take_field(&reader));
        values[i] = reader.values;
        open[i] = reader.open || is_full(reader.values, reader.field);
    }
    assert(reader.at == reader.text.len); /* There were five fields. */
    uint64_t weekdays = values[FIELD_WEEKDAY];
    *ret = (struct cron){
        .minutes = values[FIELD_MINUTE],
        .hours = (uint32_t)values[FIELD_HOUR],
        .days = (uint32_t)values[FIELD_DAY],
        .months = (uint32_t)values[FIELD_MONTH],
        .weekdays = (uint32_t)((weekdays | weekdays >> SUNDAY_AGAIN) & 0x7f),
        .minutes_open = open[FIELD_MINUTE],
        .hours_open = open[FIELD_HOUR],
        .either_day = !star[FIELD_DAY] && !star[FIELD_WEEKDAY],
    };
    return STATUS_OK;
}

status cron_parse(str text, struct arena *arena, struct cron *ret)
{
    assert(arena != NULL && ret != NULL);
    str trimmed = str_trim(text);
    if (trimmed.len == 0) {
        return status_make(CODE_INVALID_ARGUMENT,
                           "cron: it is empty; use five fields such as \"0 9 * * MON-FRI\"");
    }
    if (text.len > CRON_BYTES_MAX) {
        return status_make(CODE_INVALID_ARGUMENT, "cron: it is longer than 256 characters");
    }
    if (trimmed.ptr[0] != '@') {
        return parse_fields(text, arena, ret);
    }
    for (size_t i = 0; i < COUNT_OF(nicknames); i++) {
        if (str_is(trimmed, nicknames[i].name)) {
            return parse_fields(str_of(nicknames[i].text), arena, ret);
        }
    }
    return status_make(CODE_INVALID_ARGUMENT, "cron: this name is not known; use @hourly, @daily, "
                                              "@weekly, @monthly, @yearly or five fields");
}
