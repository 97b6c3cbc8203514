#include "service/llm/diagnosis.h"

#include <stdio.h>
#include <stdlib.h>

#include "service/base/json.h"
#include "service/base/utf8.h"
#include "service/llm/tree.h"
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
    KIND_NOT_A_MODEL,
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
    [KIND_NOT_A_MODEL] = {CODE_FAILED_PRECONDITION, "NOT_A_MODEL", false},
};
static_assert(COUNT_OF(kinds) == KIND_COUNT, "one row per kind");
static_assert(KIND_NONE == 0, "an unknown word is of no kind");

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
    {"api_error", KIND_SERVER_ERROR},
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

/* The parts of an error, wherever the provider put them; NULL where it says nothing. */
struct parts {
    const struct cJSON *message;
    const char *message_name; /* The member it was found in. */
    const struct cJSON *code;
    const struct cJSON *type;
    const struct cJSON *status;
    const struct cJSON *details;
};

void diagnosis_fini(struct diagnosis *diagnosis)
{
    buf_fini(&diagnosis->message);
}

void diagnosis_clear(struct diagnosis *diagnosis)
{
    buf_reset(&diagnosis->message);
    diagnosis->code = CODE_OK;
    diagnosis->reason = NULL;
    diagnosis->http_status = 0;
    diagnosis->retryable = false;
    diagnosis->retry_after_ms = 0;
}

void diagnosis_set(struct diagnosis *diagnosis, enum code code, const char *reason, bool retryable,
                   const char *format, ...)
{
    char text[DIAGNOSIS_MESSAGE_BYTES_MAX];
    va_list args;
    assert(code != CODE_OK && reason != NULL);
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    diagnosis_clear(diagnosis);
    diagnosis->code = code;
    diagnosis->reason = reason;
    diagnosis->retryable = retryable;
    buf_put(&diagnosis->message, str_of(text));
    assert(diagnosis->message.len < DIAGNOSIS_MESSAGE_BYTES_MAX);
}

/* Appends at most the longest message, in whole characters, without control characters. */
static void put_message(struct buf *ret, str text)
{
    size_t at = 0;
    assert(ret->len < DIAGNOSIS_MESSAGE_BYTES_MAX);
    text = str_trim(text);
    while (at < text.len && ret->len < DIAGNOSIS_MESSAGE_BYTES_MAX - 4) {
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

static void put_part(struct buf *ret, const struct parts *parts, str error)
{
    str raw;
    assert(parts->message == NULL || parts->message_name != NULL ||
           tree_kind(parts->message) == JSON_STRING);
    if (tree_kind(parts->message) == JSON_STRING) {
        put_message(ret, tree_str(parts->message));
    } else if (parts->message != NULL &&
               json_object_get(error, str_of(parts->message_name), &raw)) {
        put_message(ret, raw); /* {"detail":[{...}]}: better shown than lost. */
    }
}

static const struct cJSON *first_of(const struct cJSON *object, const char *const *names,
                                    size_t count, const char **ret_name)
{
    assert(count > 0);
    for (size_t i = 0; i < count; i++) {
        const struct cJSON *value = tree_get(object, names[i]);
        if (value != NULL) {
            *ret_name = names[i];
            return value;
        }
    }
    return NULL;
}

static struct parts find_parts(const struct cJSON *error)
{
    static const char *const messages[] = {"message", "detail", "error", "msg"};
    static const char *const types[] = {"type", "error_type"};
    static const char *const statuses[] = {"status_code", "status", "http_status"};
    struct parts parts = {0};
    const char *name;
    if (tree_kind(error) == JSON_STRING) {
        parts.message = error;
        return parts;
    }
    parts.message = first_of(error, messages, COUNT_OF(messages), &parts.message_name);
    parts.code = tree_get(error, "code");
    parts.type = first_of(error, types, COUNT_OF(types), &name);
    parts.status = first_of(error, statuses, COUNT_OF(statuses), &name);
    parts.details = tree_get(error, "details");
    return parts;
}

static enum kind kind_of_word(const struct cJSON *value)
{
    str word = tree_str(value);
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (str_is(word, words[i].word)) {
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
static uint32_t status_in(const struct cJSON *value)
{
    uint64_t number = 0;
    bool found = tree_u64(value, &number) || json_to_u64(tree_str(value), &number);
    return found && number >= 400 && number <= 599 ? (uint32_t)number : 0;
}

static bool speaks_of_context(const struct buf *message)
{
    char *text = xstrndup(message->ptr == NULL ? "" : message->ptr, message->len);
    bool speaks = strcasestr(text, "context length") != NULL ||
                  strcasestr(text, "context window") != NULL ||
                  strcasestr(text, "prompt too long") != NULL ||
                  strcasestr(text, "prompt is too long") != NULL ||
                  strcasestr(text, "maximum number of tokens") != NULL;
    free(text);
    return speaks;
}

/* Google names the allowance that is used up; one for a day does not come back in a minute,
 * whatever the same error says of waiting. */
static bool is_spent_for_today(const struct cJSON *details)
{
    const struct cJSON *detail = tree_first(details);
    for (; detail != NULL; detail = tree_next(detail)) {
        const struct cJSON *broken = tree_first(tree_get(detail, "violations"));
        for (; broken != NULL; broken = tree_next(broken)) {
            str quota = tree_str(tree_get(broken, "quotaId"));
            if (quota.len > 0 && memmem(quota.ptr, quota.len, "PerDay", 6) != NULL) {
                return true;
            }
        }
    }
    return false;
}

/* Google says of a bad key that the request is. */
static bool names_bad_key(const struct cJSON *details)
{
    const struct cJSON *detail = tree_first(details);
    for (; detail != NULL; detail = tree_next(detail)) {
        if (str_is(tree_str(tree_get(detail, "reason")), "API_KEY_INVALID")) {
            return true;
        }
    }
    return false;
}

static enum kind kind_of_code(const struct parts *parts)
{
    enum kind kind = kind_of_word(parts->code);
    if (kind != KIND_NONE) {
        return kind;
    }
    if (is_spent_for_today(parts->details)) {
        return KIND_QUOTA;
    }
    if (names_bad_key(parts->details)) {
        return KIND_KEY_REFUSED;
    }
    return kind_of_word(tree_get(parts->details, "error_code"));
}

static enum kind decide_kind(const struct parts *parts, uint32_t http_status,
                             const struct buf *message)
{
    enum kind by_code = kind_of_code(parts);
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

static void apply_kind(struct diagnosis *diagnosis, enum kind kind)
{
    assert(kind < KIND_COUNT);
    assert(kinds[kind].code != CODE_OK && kinds[kind].reason != NULL);
    diagnosis->code = kinds[kind].code;
    diagnosis->reason = kinds[kind].reason;
    diagnosis->retryable = kinds[kind].retryable;
}

/* "1.5" or "20" in thousandths; false for anything else. */
static bool parse_decimal(str text, uint64_t *ret_thousandths)
{
    uint64_t value = 0;
    uint64_t unit = 1000;
    bool fraction = false;
    assert(text.len == 0 || text.ptr != NULL);
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
        assert(digits.len + rest.len == text.len - start);
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
    assert(at == text.len);
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
        assert(rows[i].remaining.len == strlen(rows[i].remaining.ptr));
        assert(rows[i].reset.len == strlen(rows[i].reset.ptr));
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
static void put_plain(struct diagnosis *diagnosis, str body)
{
    str text = str_trim(body);
    bool words_only = text.len > 0 && text.ptr[0] != '<';
    put_message(&diagnosis->message, words_only ? text : STR_EMPTY);
}

/* Google's RetryInfo: {"retryDelay": "22s"} among the details. */
static uint64_t delay_in(const struct cJSON *details)
{
    const struct cJSON *detail = tree_first(details);
    uint64_t wait = 0;
    for (; detail != NULL && wait == 0; detail = tree_next(detail)) {
        if (!parse_duration(tree_str(tree_get(detail, "retryDelay")), &wait)) {
            wait = 0;
        }
    }
    return wait;
}

/* What the error itself says; `otherwise` is shown when that is nothing for people. */
static void take_error(struct diagnosis *diagnosis, str error, str otherwise, uint32_t http_status)
{
    struct cJSON *tree = tree_new(error);
    struct parts parts = find_parts(tree);
    diagnosis_clear(diagnosis);
    put_part(&diagnosis->message, &parts, error);
    if (diagnosis->message.len == 0) {
        put_plain(diagnosis, otherwise);
    }
    if (http_status == 0) {
        http_status = status_in(parts.status);
    }
    if (http_status == 0) {
        http_status = status_in(parts.code);
    }
    apply_kind(diagnosis, decide_kind(&parts, http_status, &diagnosis->message));
    diagnosis->retry_after_ms = delay_in(parts.details);
    tree_free(tree);
}

static bool is_web_page(const struct http_answer *answer)
{
    str text = str_trim(answer->body);
    return http_content_type_is(answer->headers, STR("text/html")) ||
           (text.len > 0 && text.ptr[0] == '<');
}

/* Whether a 404 is about the URL: an API that is there says in an object what it misses. */
static bool is_about_url(const struct http_answer *answer, const struct diagnosis *diagnosis)
{
    str message = buf_str(&diagnosis->message);
    bool has_object = json_kind_of(str_trim(answer->body)) == JSON_OBJECT;
    assert(answer->http_status > 0);
    return (answer->http_status == 404 || answer->http_status == 405) &&
           (!has_object || str_is(message, "Not Found") || str_is(message, "File Not Found") ||
            str_is(message, "Method Not Allowed"));
}

static void tell_redirect(struct diagnosis *diagnosis, const struct http_answer *answer)
{
    struct buf place = {0};
    str location = STR_EMPTY;
    assert(answer->http_status >= 300 && answer->http_status < 400);
    (void)http_header_get(answer->headers, STR("location"), &location);
    put_message(&place, str_make(location.ptr, location.len < 200 ? location.len : 200));
    buf_reset(&diagnosis->message);
    buf_printf(&diagnosis->message,
               STR_FMT " answered HTTP %u, which leads to " STR_FMT
                       "; redirects are not followed: set the base URL to where it leads",
               STR_ARG(answer->asked), (unsigned)answer->http_status,
               STR_ARG(place.len > 0 ? buf_str(&place) : STR("nowhere")));
    buf_fini(&place);
}

/* Some answers are about the base URL: they name it. */
static void tell_url(struct diagnosis *diagnosis, const struct http_answer *answer)
{
    static const char check[] = "check the base URL, which often ends in /v1";
    bool page = is_web_page(answer);
    assert(diagnosis->code != CODE_OK);
    if (answer->http_status >= 300 && answer->http_status < 400) {
        tell_redirect(diagnosis, answer);
        return;
    }
    bool about_url = is_about_url(answer, diagnosis);
    if (!page && !about_url) {
        return;
    }
    if (about_url) {
        apply_kind(diagnosis, KIND_NOT_A_MODEL);
    }
    struct buf said = {0};
    buf_put(&said, buf_str(&diagnosis->message));
    buf_reset(&diagnosis->message);
    buf_printf(&diagnosis->message, STR_FMT " answered HTTP %u", STR_ARG(answer->asked),
               (unsigned)answer->http_status);
    if (page) {
        bool broken = answer->http_status >= 500; /* Or the gateway in front of it is. */
        buf_printf(&diagnosis->message, " with a web page%s%s", broken ? "" : "; ",
                   broken ? "" : check);
    } else {
        bool silent = said.len == 0;
        buf_printf(&diagnosis->message, "%s%.*s%s; %s", silent ? "" : " (",
                   said.len < 200 ? (int)said.len : 200, said.ptr, silent ? "" : ")", check);
    }
    if (about_url && answer->instead != NULL) {
        buf_printf(&diagnosis->message, "; %s", answer->instead);
    }
    buf_fini(&said);
}

void diagnosis_from_http(struct diagnosis *diagnosis, const struct http_answer *answer,
                         uint64_t now_ms)
{
    struct json_iterator elements = json_elements(answer->body);
    str error = answer->body;
    str word;
    assert(answer->http_status > 0);
    if (json_check(answer->body)) {
        (void)json_next_element(&elements, &error); /* Google: [{"error": ...}] */
        (void)json_object_get_kind(error, STR("error"), JSON_OBJECT, &error);
    }
    take_error(diagnosis, error, answer->body, answer->http_status);
    assert(diagnosis->code != CODE_OK && diagnosis->reason != NULL);
    tell_url(diagnosis, answer);
    if (diagnosis->message.len == 0) {
        buf_printf(&diagnosis->message, STR_FMT " answered HTTP %u without a reason",
                   STR_ARG(answer->asked), (unsigned)answer->http_status);
    }
    if (http_header_get(answer->headers, STR("x-should-retry"), &word)) {
        diagnosis->retryable =
            str_is(word, "true") || (diagnosis->retryable && !str_is(word, "false"));
    }
    uint64_t wait = wait_ms(answer->headers, now_ms);
    diagnosis->http_status = answer->http_status;
    diagnosis->retry_after_ms = wait > 0 ? wait : diagnosis->retry_after_ms;
}

void diagnosis_from_error(struct diagnosis *diagnosis, str error_json)
{
    take_error(diagnosis, error_json, error_json, 0);
    if (diagnosis->message.len == 0) {
        buf_put(&diagnosis->message, STR("the server gave no reason"));
    }
}

bool diagnosis_set_reason(struct diagnosis *diagnosis, str reason)
{
    assert(reason.len == 0 || reason.ptr != NULL);
    for (enum kind kind = KIND_NONE; kind < KIND_COUNT; kind++) {
        if (str_is(reason, kinds[kind].reason)) {
            diagnosis_clear(diagnosis);
            apply_kind(diagnosis, kind);
            return true;
        }
    }
    return false;
}

void diagnosis_redact(struct diagnosis *diagnosis, str secret)
{
    if (secret.len < 4 || diagnosis->message.len < secret.len) {
        return;
    }
    char *at = diagnosis->message.ptr;
    char *end = at + diagnosis->message.len;
    assert(diagnosis->message.ptr != NULL);
    while ((size_t)(end - at) >= secret.len) {
        char *found = (char *)memmem(at, (size_t)(end - at), secret.ptr, secret.len);
        if (found == NULL) {
            return;
        }
        assert(found >= at && (size_t)(end - found) >= secret.len);
        memset(found, '*', secret.len);
        at = found + secret.len;
    }
}
