#include "service/llm/failure.h"

#include <stdio.h>
#include <stdlib.h>

#include "service/base/json.h"
#include "service/base/utf8.h"
#include "service/net/http_header.h"

enum kind {
    KIND_NONE,
    KIND_QUOTA,
    KIND_RATE_LIMITED,
    KIND_OVERLOADED,
    KIND_SERVER_ERROR,
    KIND_CONTEXT_TOO_LONG,
    KIND_KEY_REFUSED,
    KIND_FORBIDDEN,
    KIND_MODEL_NOT_FOUND,
    KIND_CONTENT_FILTERED,
    KIND_TOOL_USE_FAILED,
    KIND_BAD_REQUEST,
    KIND_TOO_LARGE,
    KIND_REDIRECTED,
    KIND_COUNT,
};

static const struct kind_row {
    enum code code;
    const char *reason;
    bool retryable;
} kinds[] = {
    [KIND_NONE] = {CODE_UNKNOWN, "MODEL_ERROR", false},
    [KIND_QUOTA] = {CODE_RESOURCE_EXHAUSTED, "QUOTA", false},
    [KIND_RATE_LIMITED] = {CODE_RESOURCE_EXHAUSTED, "RATE_LIMITED", true},
    [KIND_OVERLOADED] = {CODE_UNAVAILABLE, "MODEL_OVERLOADED", true},
    [KIND_SERVER_ERROR] = {CODE_UNAVAILABLE, "MODEL_SERVER_ERROR", true},
    [KIND_CONTEXT_TOO_LONG] = {CODE_INVALID_ARGUMENT, "CONTEXT_TOO_LONG", false},
    [KIND_KEY_REFUSED] = {CODE_UNAUTHENTICATED, "KEY_REFUSED", false},
    [KIND_FORBIDDEN] = {CODE_PERMISSION_DENIED, "FORBIDDEN", false},
    [KIND_MODEL_NOT_FOUND] = {CODE_NOT_FOUND, "MODEL_NOT_FOUND", false},
    [KIND_CONTENT_FILTERED] = {CODE_FAILED_PRECONDITION, "CONTENT_FILTERED", false},
    [KIND_TOOL_USE_FAILED] = {CODE_FAILED_PRECONDITION, "TOOL_USE_FAILED", false},
    [KIND_BAD_REQUEST] = {CODE_INVALID_ARGUMENT, "MODEL_REFUSED_REQUEST", false},
    [KIND_TOO_LARGE] = {CODE_INVALID_ARGUMENT, "REQUEST_TOO_LARGE", false},
    [KIND_REDIRECTED] = {CODE_FAILED_PRECONDITION, "REDIRECTED", false},
};
static_assert(COUNT_OF(kinds) == KIND_COUNT, "one row per kind");

/* What providers write in `code` or `type`; `code` is looked up first. */
static const struct {
    const char *word;
    enum kind kind;
} words[] = {
    {"insufficient_quota", KIND_QUOTA},
    {"credit_balance_exhausted", KIND_QUOTA},
    {"billing_hard_limit_reached", KIND_QUOTA},
    {"billing_not_active", KIND_QUOTA},
    {"enforced_spend_limit_reached", KIND_QUOTA},
    {"insufficient_balance", KIND_QUOTA},
    {"billing_error", KIND_QUOTA},
    {"rate_limit_exceeded", KIND_RATE_LIMITED},
    {"rate_limit_error", KIND_RATE_LIMITED},
    {"RateLimitReached", KIND_RATE_LIMITED},
    {"slow_down", KIND_RATE_LIMITED},
    {"server_is_overloaded", KIND_OVERLOADED},
    {"overloaded_error", KIND_OVERLOADED},
    {"engine_overloaded", KIND_OVERLOADED},
    {"server_error", KIND_SERVER_ERROR},
    {"internal_server_error", KIND_SERVER_ERROR},
    {"InternalServerError", KIND_SERVER_ERROR},
    {"timeout_error", KIND_SERVER_ERROR},
    {"context_length_exceeded", KIND_CONTEXT_TOO_LONG},
    {"exceed_context_size_error", KIND_CONTEXT_TOO_LONG},
    {"invalid_api_key", KIND_KEY_REFUSED},
    {"authentication_error", KIND_KEY_REFUSED},
    {"permission_error", KIND_FORBIDDEN},
    {"model_not_found", KIND_MODEL_NOT_FOUND},
    {"DeploymentNotFound", KIND_MODEL_NOT_FOUND},
    {"not_found_error", KIND_MODEL_NOT_FOUND},
    {"content_filter", KIND_CONTENT_FILTERED},
    {"content_policy_violation", KIND_CONTENT_FILTERED},
    {"tool_use_failed", KIND_TOOL_USE_FAILED},
    {"invalid_request_error", KIND_BAD_REQUEST},
};

/* The parts of an error, wherever the provider put them. Raw JSON, or empty. */
struct parts {
    str message; /* Raw JSON string; or plain text when `plain`. */
    bool plain;
    str code;
    str type;
    str status;
};

void failure_fini(struct failure *failure)
{
    buf_fini(&failure->message);
}

void failure_clear(struct failure *failure)
{
    buf_reset(&failure->message);
    failure->code = CODE_OK;
    failure->reason = NULL;
    failure->http_status = 0;
    failure->retryable = false;
    failure->retry_after_ms = 0;
}

void failure_set(struct failure *failure, enum code code, const char *reason, bool retryable,
                 const char *format, ...)
{
    char text[FAILURE_MESSAGE_BYTES_MAX];
    va_list args;

    assert(code != CODE_OK && reason != NULL);
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    failure_clear(failure);
    failure->code = code;
    failure->reason = reason;
    failure->retryable = retryable;
    buf_put(&failure->message, str_of(text));
}

/* Appends at most the longest message, in whole characters, without control characters. */
static void put_message(struct buf *ret, str text)
{
    size_t at = 0;

    text = str_trim(text);
    while (at < text.len && ret->len < FAILURE_MESSAGE_BYTES_MAX - 4) {
        size_t len = utf8_len(text, at);

        if (len == 0) {
            buf_put(ret, STR("\xef\xbf\xbd"));
            at++;
            continue;
        }
        if ((uint8_t)text.ptr[at] < 0x20) {
            buf_put_char(ret, ' ');
        } else {
            buf_put(ret, str_make(text.ptr + at, len));
        }
        at += len;
    }
}

static void put_part(struct buf *ret, const struct parts *parts)
{
    struct buf decoded = {0};

    if (parts->plain) {
        put_message(ret, parts->message);
    } else if (json_string_decode(parts->message, &decoded)) {
        put_message(ret, buf_str(&decoded));
    } else {
        put_message(ret, parts->message); /* {"detail":[{...}]}: better shown than lost. */
    }
    buf_fini(&decoded);
}

static bool first_of(str object, const char *const *names, size_t count, str *ret)
{
    str value;

    for (size_t i = 0; i < count; i++) {
        if (json_object_get(object, str_of(names[i]), &value) && json_kind_of(value) != JSON_NULL) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static void find_parts(str error, struct parts *ret)
{
    static const char *const messages[] = {"message", "detail", "error", "msg"};
    static const char *const codes[] = {"code"};
    static const char *const types[] = {"type", "error_type"};
    static const char *const statuses[] = {"status_code", "status", "http_status"};

    if (json_kind_of(error) != JSON_OBJECT) {
        ret->message = error;
        return;
    }
    (void)first_of(error, messages, COUNT_OF(messages), &ret->message);
    (void)first_of(error, codes, COUNT_OF(codes), &ret->code);
    (void)first_of(error, types, COUNT_OF(types), &ret->type);
    (void)first_of(error, statuses, COUNT_OF(statuses), &ret->status);
}

static enum kind kind_of_word(str raw)
{
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (json_string_is(raw, str_of(words[i].word))) {
            return words[i].kind;
        }
    }
    return KIND_NONE;
}

static enum kind kind_of_status(uint32_t http_status)
{
    switch (http_status) {
    case 401:
        return KIND_KEY_REFUSED;
    case 402:
        return KIND_QUOTA;
    case 403:
        return KIND_FORBIDDEN;
    case 404:
        return KIND_MODEL_NOT_FOUND;
    case 413:
        return KIND_TOO_LARGE;
    case 408:
    case 409:
        return KIND_SERVER_ERROR;
    case 429:
        return KIND_RATE_LIMITED;
    case 498: /* Groq: no capacity in the flexible tier. */
    case 503:
    case 529:
        return KIND_OVERLOADED;
    default:
        break;
    }
    if (http_status >= 500) {
        return KIND_SERVER_ERROR;
    }
    if (http_status >= 400) {
        return KIND_BAD_REQUEST;
    }
    return http_status >= 300 ? KIND_REDIRECTED : KIND_NONE;
}

/* A number that is an HTTP status, bare or quoted; else 0. */
static uint32_t status_in(str raw)
{
    uint64_t value = 0;

    if (raw.len > 2 && raw.ptr[0] == '"') {
        raw = str_make(raw.ptr + 1, raw.len - 2);
    }
    if (!json_to_u64(raw, &value) || value < 400 || value > 599) {
        return 0;
    }
    return (uint32_t)value;
}

static bool speaks_of_context(const struct buf *message)
{
    char *text = xstrndup(message->ptr == NULL ? "" : message->ptr, message->len);
    bool speaks = strcasestr(text, "context length") != NULL ||
                  strcasestr(text, "context window") != NULL ||
                  strcasestr(text, "prompt too long") != NULL ||
                  strcasestr(text, "prompt is too long") != NULL;

    free(text);
    return speaks;
}

static enum kind decide_kind(const struct parts *parts, uint32_t http_status,
                             const struct buf *message)
{
    enum kind by_code = kind_of_word(parts->code);
    enum kind by_type = kind_of_word(parts->type);
    enum kind by_status = kind_of_status(http_status);

    if (by_code != KIND_NONE && by_code != KIND_BAD_REQUEST) {
        return by_code;
    }
    if (by_type == KIND_QUOTA || (by_status == KIND_NONE && by_type != KIND_NONE)) {
        return by_type;
    }
    if ((by_status == KIND_BAD_REQUEST || by_status == KIND_NONE) && speaks_of_context(message)) {
        return KIND_CONTEXT_TOO_LONG;
    }
    return by_status != KIND_NONE ? by_status : by_code;
}

static void apply_kind(struct failure *failure, enum kind kind)
{
    assert(kind < KIND_COUNT);
    failure->code = kinds[kind].code;
    failure->reason = kinds[kind].reason;
    failure->retryable = kinds[kind].retryable;
}

void failure_from_error(struct failure *failure, str error_json)
{
    struct parts parts = {0};

    failure_clear(failure);
    find_parts(error_json, &parts);
    put_part(&failure->message, &parts);
    uint32_t http_status = status_in(parts.status);

    if (http_status == 0) {
        http_status = status_in(parts.code);
    }
    apply_kind(failure, decide_kind(&parts, http_status, &failure->message));
}

/* "1.5" or "20" in thousandths; false for anything else. */
static bool parse_decimal(str text, uint64_t *ret_thousandths)
{
    uint64_t value = 0;
    uint64_t unit = 1000;
    bool fraction = false;

    for (size_t i = 0; i < text.len; i++) {
        char byte = text.ptr[i];

        if (byte == '.' && !fraction && i > 0) {
            fraction = true;
            continue;
        }
        if (byte < '0' || byte > '9' || value > UINT64_MAX / 20000) {
            return false;
        }
        if (!fraction) {
            value = value * 10 + (uint64_t)(byte - '0') * 1000;
        } else {
            unit /= 10;
            value += (uint64_t)(byte - '0') * unit;
        }
    }
    *ret_thousandths = value;
    return text.len > 0;
}

/* "120ms", "6m0s", "17.379s", "1h2m": how x-ratelimit-reset-* speaks. */
static bool parse_duration(str text, uint64_t *ret_ms)
{
    uint64_t total = 0;
    size_t at = 0;

    while (at < text.len) {
        size_t start = at;
        uint64_t amount;

        while (at < text.len && (text.ptr[at] == '.' || (uint8_t)(text.ptr[at] - '0') < 10)) {
            at++;
        }
        str digits = str_make(text.ptr + start, at - start);
        str rest = str_make(text.ptr + at, text.len - at);

        if (!parse_decimal(digits, &amount) || amount > UINT32_MAX * 1000ull) {
            return false;
        }
        if (str_starts_with(rest, STR("ms"))) {
            total += amount / 1000;
            at += 2;
        } else if (str_starts_with(rest, STR("s"))) {
            total += amount;
            at += 1;
        } else if (str_starts_with(rest, STR("m"))) {
            total += amount * 60;
            at += 1;
        } else if (str_starts_with(rest, STR("h"))) {
            total += amount * 3600;
            at += 1;
        } else {
            return false;
        }
    }
    *ret_ms = total;
    return text.len > 0;
}

/* The reset of whichever allowance is used up. */
static uint64_t reset_ms(str headers)
{
    static const struct {
        str remaining;
        str reset;
    } rows[] = {
        {{"x-ratelimit-remaining-requests", 30}, {"x-ratelimit-reset-requests", 26}},
        {{"x-ratelimit-remaining-tokens", 28}, {"x-ratelimit-reset-tokens", 24}},
    };
    uint64_t longest = 0;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        str remaining;
        str reset;
        uint64_t wait;

        if (http_header_get(headers, rows[i].remaining, &remaining) && str_is(remaining, "0") &&
            http_header_get(headers, rows[i].reset, &reset) && parse_duration(reset, &wait) &&
            wait > longest) {
            longest = wait;
        }
    }
    return longest;
}

static uint64_t wait_ms(str headers, uint64_t now_ms)
{
    uint64_t wait;
    str value;

    if (http_header_get(headers, STR("retry-after-ms"), &value) && parse_decimal(value, &wait) &&
        wait > 0) {
        return wait / 1000;
    }
    if (!http_header_get(headers, STR("retry-after"), &value)) {
        return reset_ms(headers);
    }
    if (parse_decimal(value, &wait)) {
        return wait;
    }
    if (http_date_parse(value, &wait)) {
        return wait > now_ms ? wait - now_ms : 0;
    }
    return 0;
}

/* An answer of words: HTML is not shown, since its first lines say nothing. */
static void put_plain(struct failure *failure, str body, uint32_t http_status)
{
    str text = str_trim(body);
    bool words_only = text.len > 0 && text.ptr[0] != '<';

    put_message(&failure->message, words_only ? text : STR_EMPTY);
    if (failure->message.len == 0) {
        buf_printf(&failure->message, "the server answered HTTP %u without a reason",
                   (unsigned)http_status);
    }
}

void failure_from_http(struct failure *failure, uint32_t http_status, str headers, str body,
                       uint64_t now_ms)
{
    struct parts parts = {0};
    str error = STR_EMPTY;
    str word;

    failure_clear(failure);
    if (json_kind_of(body) == JSON_OBJECT && json_check(body)) {
        bool nested = json_object_get_kind(body, STR("error"), JSON_OBJECT, &error);

        find_parts(nested ? error : body, &parts);
        put_part(&failure->message, &parts);
    }
    if (failure->message.len == 0) {
        put_plain(failure, body, http_status);
    }
    apply_kind(failure, decide_kind(&parts, http_status, &failure->message));
    if (http_header_get(headers, STR("x-should-retry"), &word)) {
        failure->retryable = str_is(word, "true") || (failure->retryable && !str_is(word, "false"));
    }
    failure->http_status = http_status;
    failure->retry_after_ms = wait_ms(headers, now_ms);
}

bool failure_set_reason(struct failure *failure, str reason)
{
    for (enum kind kind = KIND_NONE; kind < KIND_COUNT; kind++) {
        if (str_is(reason, kinds[kind].reason)) {
            failure_clear(failure);
            apply_kind(failure, kind);
            return true;
        }
    }
    return false;
}

void failure_redact(struct failure *failure, str secret)
{
    if (secret.len < 4 || failure->message.len < secret.len) {
        return;
    }
    char *at = failure->message.ptr;
    char *end = at + failure->message.len;

    while ((size_t)(end - at) >= secret.len) {
        char *found = (char *)memmem(at, (size_t)(end - at), secret.ptr, secret.len);

        if (found == NULL) {
            return;
        }
        memset(found, '*', secret.len);
        at = found + secret.len;
    }
}
