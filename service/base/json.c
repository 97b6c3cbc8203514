#include "service/base/json.h"

#include <stdlib.h>

#include "service/base/utf8.h"

struct checker {
    const char *at;
    const char *end;
    const char *why; /* Set with the first fault; `at` is where it lies. */
    bool any_bytes; /* Strings need not be UTF-8. */
    size_t depth;
    bool in_object[JSON_DEPTH_MAX];
};

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && is_blank(*at)) {
        at++;
    }
    return at;
}

/* 0 to 15, or -1. */
static int hex_value(char byte)
{
    if (is_digit(byte)) {
        return byte - '0';
    }
    if (byte >= 'a' && byte <= 'f') {
        return byte - 'a' + 10;
    }
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* The four digits of a \u escape, or -1. */
static int32_t hex4(const char *at, const char *end)
{
    int32_t value = 0;
    if (end - at < 4) {
        return -1;
    }
    for (size_t i = 0; i < 4; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

static bool fault(struct checker *checker, const char *why)
{
    assert(checker->why == NULL);
    checker->why = why;
    return false;
}

static bool check_escape(struct checker *checker)
{
    assert(*checker->at == '\\');
    char letter = checker->end - checker->at > 1 ? checker->at[1] : '\0';
    if (letter == 'u') {
        if (hex4(checker->at + 2, checker->end) < 0) {
            return fault(checker, "a \\u escape without four hexadecimal digits");
        }
        checker->at += 6;
        return true;
    }
    if (letter == '\0' || strchr("\"\\/bfnrt", letter) == NULL) {
        return fault(checker, "an unknown escape in a string");
    }
    checker->at += 2;
    return true;
}

static bool check_wide(struct checker *checker)
{
    size_t len = utf8_len(str_make(checker->at, (size_t)(checker->end - checker->at)), 0);
    if (len == 0 && !checker->any_bytes) {
        return fault(checker, "bytes that are not UTF-8");
    }
    checker->at += len == 0 ? 1 : len;
    return true;
}

/* Whether one of the eight bytes of a string is no ASCII or means something: a quotation mark, a
 * backslash, a control character. */
static bool is_special(uint64_t eight)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t highs = 0x80 * ones;
    uint64_t quotes = eight ^ '"' * ones;
    uint64_t slashes = eight ^ '\\' * ones;
    uint64_t below = (eight - 0x20 * ones) | (quotes - ones) | (slashes - ones);
    return ((below | eight) & highs) != 0;
}

static void skip_plain(struct checker *checker)
{
    uint64_t eight;
    while ((size_t)(checker->end - checker->at) >= sizeof(eight)) {
        memcpy(&eight, checker->at, sizeof(eight));
        if (is_special(eight)) {
            return;
        }
        checker->at += sizeof(eight);
    }
}

static bool check_string(struct checker *checker)
{
    assert(*checker->at == '"');
    checker->at++;
    skip_plain(checker);
    while (checker->at < checker->end) {
        uint8_t byte = (uint8_t)*checker->at;
        if (byte == '"') {
            checker->at++;
            return true;
        }
        if (byte < 0x20) {
            return fault(checker, "a control character in a string");
        }
        if (byte == '\\') {
            if (!check_escape(checker)) {
                return false;
            }
            skip_plain(checker);
        } else if (byte >= 0x80) {
            if (!check_wide(checker)) {
                return false;
            }
            skip_plain(checker);
        } else {
            checker->at++;
        }
    }
    return fault(checker, "a string without an end");
}

static bool check_digits(struct checker *checker)
{
    const char *start = checker->at;
    while (checker->at < checker->end && is_digit(*checker->at)) {
        checker->at++;
    }
    return checker->at > start || fault(checker, "a number without digits");
}

static bool next_is(const struct checker *checker, char byte)
{
    return checker->at < checker->end && *checker->at == byte;
}

static bool check_number(struct checker *checker)
{
    if (next_is(checker, '-')) {
        checker->at++;
    }
    bool leading_zero = next_is(checker, '0');
    const char *start = checker->at;
    if (!check_digits(checker)) {
        return false;
    }
    if (leading_zero && checker->at - start > 1) {
        return fault(checker, "a number with a leading zero");
    }
    if (next_is(checker, '.')) {
        checker->at++;
        if (!check_digits(checker)) {
            return false;
        }
    }
    if (next_is(checker, 'e') || next_is(checker, 'E')) {
        checker->at++;
        if (next_is(checker, '+') || next_is(checker, '-')) {
            checker->at++;
        }
        return check_digits(checker);
    }
    return true;
}

static bool check_word(struct checker *checker, str word)
{
    str rest = str_make(checker->at, (size_t)(checker->end - checker->at));
    if (!str_starts_with(rest, word)) {
        return fault(checker, "an unknown word");
    }
    checker->at += word.len;
    return true;
}

static bool check_scalar(struct checker *checker)
{
    switch (*checker->at) {
    case '"':
        return check_string(checker);
    case 't':
        return check_word(checker, STR("true"));
    case 'f':
        return check_word(checker, STR("false"));
    case 'n':
        return check_word(checker, STR("null"));
    default:
        if (*checker->at == '-' || is_digit(*checker->at)) {
            return check_number(checker);
        }
        return fault(checker, "an unexpected character");
    }
}

static bool check_key(struct checker *checker)
{
    checker->at = skip_blanks(checker->at, checker->end);
    if (!next_is(checker, '"')) {
        return fault(checker, "a member without a quoted name");
    }
    if (!check_string(checker)) {
        return false;
    }
    checker->at = skip_blanks(checker->at, checker->end);
    if (!next_is(checker, ':')) {
        return fault(checker, "a name without a colon");
    }
    checker->at++;
    return true;
}

/* Enters a container. True in ret_empty when it is left again at once. */
static bool check_open(struct checker *checker, bool *ret_empty)
{
    bool object = *checker->at == '{';
    if (checker->depth == JSON_DEPTH_MAX) {
        return fault(checker, "more than 100 values inside one another");
    }
    checker->at = skip_blanks(checker->at + 1, checker->end);
    *ret_empty = next_is(checker, object ? '}' : ']');
    if (*ret_empty) {
        checker->at++;
        return true;
    }
    checker->in_object[checker->depth++] = object;
    return !object || check_key(checker);
}

/* After a value: leaves every container that ends here. True in ret_done when all ended. */
static bool check_close(struct checker *checker, bool *ret_done)
{
    while (checker->depth > 0) {
        bool object = checker->in_object[checker->depth - 1];
        checker->at = skip_blanks(checker->at, checker->end);
        if (next_is(checker, ',')) {
            checker->at++;
            *ret_done = false;
            return !object || check_key(checker);
        }
        if (!next_is(checker, object ? '}' : ']')) {
            return fault(checker, "a value without a comma or an end after it");
        }
        checker->at++;
        checker->depth--;
    }
    *ret_done = true;
    return true;
}

static bool check_value(struct checker *checker)
{
    bool done = false;
    while (!done) {
        bool empty = true;
        checker->at = skip_blanks(checker->at, checker->end);
        if (checker->at == checker->end) {
            return fault(checker, "nothing where a value should be");
        }
        if (*checker->at == '{' || *checker->at == '[') {
            if (!check_open(checker, &empty)) {
                return false;
            }
            if (!empty) {
                continue;
            }
        } else if (!check_scalar(checker)) {
            return false;
        }
        if (!check_close(checker, &done)) {
            return false;
        }
    }
    return true;
}

static bool check_text(struct checker *checker)
{
    if (!check_value(checker)) {
        return false;
    }
    checker->at = skip_blanks(checker->at, checker->end);
    return checker->at == checker->end || fault(checker, "something after the value");
}

static struct checker checker_of(str text, bool any_bytes)
{
    static const char nothing[1];
    struct checker checker;
    checker.at = text.len == 0 ? nothing : text.ptr;
    checker.end = checker.at + text.len;
    checker.why = NULL;
    checker.any_bytes = any_bytes;
    checker.depth = 0; /* in_object is written before it is read. */
    return checker;
}

status json_validate(str text, struct arena *arena)
{
    struct checker checker = checker_of(text, false);
    const char *start = checker.at;
    if (check_text(&checker)) {
        return STATUS_OK;
    }
    return arena_fail(arena, CODE_INVALID_ARGUMENT, "no valid JSON: %s at byte %zu", checker.why,
                      (size_t)(checker.at - start));
}

bool json_is_valid(str text)
{
    struct checker checker = checker_of(text, false);
    return check_text(&checker);
}

bool json_is_object(str text)
{
    return json_kind_of(text) == JSON_OBJECT && json_is_valid(text);
}

bool json_check(str text)
{
    struct checker checker = checker_of(text, true);
    return check_text(&checker);
}

enum json_kind json_kind_of(str value)
{
    str trimmed = str_trim(value);
    char first = trimmed.len == 0 ? '\0' : trimmed.ptr[0];
    switch (first) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
    case 'f':
        return JSON_BOOL;
    case 'n':
        return JSON_NULL;
    default:
        return first == '-' || is_digit(first) ? JSON_NUMBER : JSON_NONE;
    }
}

/* Just behind the closing quote, or NULL. */
static const char *skip_string(const char *at, const char *end)
{
    assert(at < end && *at == '"');
    for (at++; at < end; at++) {
        if (*at == '"') {
            return at + 1;
        }
        if (*at == '\\' && at + 1 < end) {
            at++;
        }
    }
    return NULL;
}

static const char *skip_container(const char *at, const char *end)
{
    size_t depth = 0;
    while (at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
            if (at == NULL) {
                return NULL;
            }
            continue;
        }
        if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            depth--;
            if (depth == 0) {
                return at + 1;
            }
        }
        at++;
    }
    return NULL;
}

/* Just behind the value that starts at `at`, or NULL when none does. */
static const char *skip_value(const char *at, const char *end)
{
    const char *start = at;
    if (at == end) {
        return NULL;
    }
    if (*at == '"') {
        return skip_string(at, end);
    }
    if (*at == '{' || *at == '[') {
        return skip_container(at, end);
    }
    while (at < end && !is_blank(*at) && *at != ',' && *at != '}' && *at != ']' && *at != ':') {
        at++;
    }
    return at > start ? at : NULL;
}

/* Takes one value from the front of rest, with the blanks before it. */
static bool take_value(str *rest, str *ret)
{
    const char *end = rest->ptr + rest->len;
    const char *start = skip_blanks(rest->ptr, end);
    const char *after = skip_value(start, end);
    if (after == NULL) {
        return false;
    }
    *ret = str_make(start, (size_t)(after - start));
    *rest = str_make(after, (size_t)(end - after));
    return true;
}

/* Takes that byte from the front of rest, with the blanks before it. */
static bool take_byte(str *rest, char byte)
{
    const char *end = rest->ptr + rest->len;
    const char *at = skip_blanks(rest->ptr, end);
    if (at == end || *at != byte) {
        return false;
    }
    *rest = str_make(at + 1, (size_t)(end - at - 1));
    return true;
}

static struct json_iterator iterate(str value, char first)
{
    struct json_iterator iterator = {value.len == 0 ? STR("") : value};
    if (!take_byte(&iterator.rest, first)) {
        iterator.rest = STR("");
    }
    return iterator;
}

struct json_iterator json_members(str object)
{
    return iterate(object, '{');
}

struct json_iterator json_elements(str array)
{
    return iterate(array, '[');
}

bool json_next_member(struct json_iterator *iterator, str *ret_key, str *ret_value)
{
    str rest = iterator->rest;
    str key;
    str value;
    if (!take_value(&rest, &key) || key.ptr[0] != '"' || !take_byte(&rest, ':') ||
        !take_value(&rest, &value)) {
        return false;
    }
    (void)take_byte(&rest, ',');
    assert(rest.len < iterator->rest.len);
    iterator->rest = rest;
    *ret_key = key;
    *ret_value = value;
    return true;
}

bool json_next_element(struct json_iterator *iterator, str *ret_value)
{
    str rest = iterator->rest;
    if (!take_value(&rest, ret_value)) {
        return false;
    }
    (void)take_byte(&rest, ',');
    assert(rest.len < iterator->rest.len);
    iterator->rest = rest;
    return true;
}

bool json_string_is(str raw, str text)
{
    if (raw.len < 2 || raw.ptr[0] != '"') {
        return false;
    }
    str inner = str_make(raw.ptr + 1, raw.len - 2);
    if (memchr(inner.ptr, '\\', inner.len) == NULL) {
        return str_equal(inner, text);
    }
    struct buf decoded = {0};
    bool same = json_string_decode(raw, &decoded) && str_equal(buf_str(&decoded), text);
    buf_fini(&decoded);
    return same;
}

bool json_object_get(str object, str key, str *ret_value)
{
    struct json_iterator iterator = json_members(object);
    str name;
    str value;
    bool found = false;
    while (json_next_member(&iterator, &name, &value)) {
        if (json_string_is(name, key)) {
            *ret_value = value;
            found = true;
        }
    }
    return found;
}

bool json_object_get_kind(str object, str key, enum json_kind kind, str *ret_value)
{
    str value;
    if (!json_object_get(object, key, &value) || json_kind_of(value) != kind) {
        return false;
    }
    *ret_value = value;
    return true;
}

static char unescape(char letter)
{
    switch (letter) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return letter;
    }
}

/* Decodes the \u escape (or pair of them) at `at`; returns what follows it. */
static const char *decode_unicode(const char *at, const char *end, struct buf *ret)
{
    int32_t high = hex4(at + 2, end);
    uint32_t character = high < 0 ? 0xfffd : (uint32_t)high;
    char encoded[4];
    at = end - at < 6 ? end : at + 6;
    if (character >= 0xd800 && character < 0xdc00 && end - at >= 6 && at[0] == '\\' &&
        at[1] == 'u') {
        int32_t low = hex4(at + 2, end);
        if (low >= 0xdc00 && low <= 0xdfff) {
            character = 0x10000 + ((character - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
            at += 6;
        }
    }
    buf_put(ret, str_make(encoded, utf8_encode(character, encoded)));
    return at;
}

bool json_string_decode(str raw, struct buf *ret)
{
    str text = str_trim(raw);
    if (text.len < 2 || text.ptr[0] != '"' || text.ptr[text.len - 1] != '"') {
        return false;
    }
    const char *at = text.ptr + 1;
    const char *end = text.ptr + text.len - 1;
    buf_reserve(ret, text.len);
    while (at < end) {
        const char *escape = (const char *)memchr(at, '\\', (size_t)(end - at));
        const char *stop = escape == NULL ? end : escape;
        buf_put(ret, str_make(at, (size_t)(stop - at)));
        at = stop;
        if (end - at >= 2 && at[1] == 'u') {
            at = decode_unicode(at, end, ret);
        } else if (end - at >= 2) {
            buf_put_char(ret, unescape(at[1]));
            at += 2;
        } else {
            at = end;
        }
    }
    return true;
}

bool json_to_u64(str raw, uint64_t *ret)
{
    str text = str_trim(raw);
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i]) || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.ptr[i] - '0'), &value)) {
            return false;
        }
    }
    if (text.len == 0) {
        return false;
    }
    *ret = value;
    return true;
}

bool json_to_double(str raw, double *ret)
{
    str text = str_trim(raw);
    char digits[64];
    char *end;
    if (json_kind_of(text) != JSON_NUMBER || text.len >= sizeof(digits)) {
        return false;
    }
    memcpy(digits, text.ptr, text.len);
    digits[text.len] = '\0';
    double value = strtod(digits, &end);
    if (end != digits + text.len) {
        return false;
    }
    *ret = value;
    return true;
}

bool json_to_bool(str raw, bool *ret)
{
    str text = str_trim(raw);
    if (!str_is(text, "true") && !str_is(text, "false")) {
        return false;
    }
    *ret = text.ptr[0] == 't';
    return true;
}

static bool is_named_by(str object, str raw_key)
{
    struct buf key = {0};
    str value;
    bool named =
        json_string_decode(raw_key, &key) && json_object_get(object, buf_str(&key), &value);
    buf_fini(&key);
    return named;
}

static void put_member(struct buf *ret, size_t start, str key, str value)
{
    if (ret->len > start) {
        buf_put_char(ret, ',');
    }
    buf_put(ret, key);
    buf_put_char(ret, ':');
    buf_put(ret, value);
}

void json_object_merge(str base, str overlay, struct buf *ret)
{
    struct json_iterator iterator = json_members(base);
    str key;
    str value;
    buf_put_char(ret, '{');
    size_t start = ret->len;
    while (json_next_member(&iterator, &key, &value)) {
        if (!is_named_by(overlay, key)) {
            put_member(ret, start, key, value);
        }
    }
    iterator = json_members(overlay);
    while (json_next_member(&iterator, &key, &value)) {
        put_member(ret, start, key, value);
    }
    buf_put_char(ret, '}');
}
