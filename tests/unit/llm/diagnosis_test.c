/*
 * Goal:   a provider's refusal is understood: what it is, whether to try again, and when.
 * Method: status, headers and body as providers send them, and the verdict as one line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/llm/diagnosis.h"

#define CHECK "check the base URL, which often ends in /v1"

static const uint64_t now_ms = 784111777000; /* Sun, 06 Nov 1994 08:49:37 GMT */

static const struct {
    uint32_t http_status;
    const char *headers;
    const char *body;
    const char *expected;
} rows[] = {
    {429, "Retry-After: 20\r\n", "{\"error\":{\"message\":\"m\",\"code\":\"rate_limit_exceeded\"}}",
     "RATE_LIMITED again 20000 m"},
    {429, "retry-after-ms: 150\r\nretry-after: 9\r\n", "{\"error\":{\"message\":\"m\"}}",
     "RATE_LIMITED again 150 m"},
    {429, "retry-after: Sun, 06 Nov 1994 08:49:40 GMT\r\n", "{\"message\":\"m\"}",
     "RATE_LIMITED again 3000 m"},
    {429, "retry-after: Sun, 06 Nov 1994 08:00:00 GMT\r\n", "{\"message\":\"m\"}",
     "RATE_LIMITED again 0 m"},
    {429, "retry-after: 1.5\r\n", "{\"message\":\"m\"}", "RATE_LIMITED again 1500 m"},
    {429, "retry-after: soon\r\n", "{\"message\":\"m\"}", "RATE_LIMITED again 0 m"},
    {429,
     "x-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 6m0s\r\n"
     "x-ratelimit-reset-requests: 9h\r\nx-ratelimit-remaining-requests: 5\r\n",
     "{\"message\":\"m\"}", "RATE_LIMITED again 360000 m"},
    {429, "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 17.379s\r\n",
     "{\"message\":\"m\"}", "RATE_LIMITED again 17379 m"},
    {429, "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 120ms\r\n",
     "{\"message\":\"m\"}", "RATE_LIMITED again 120 m"},
    {429, "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 1h2m3s\r\n",
     "{\"message\":\"m\"}", "RATE_LIMITED again 3723000 m"},
    {429,
     "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 9s\r\n"
     "x-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 4s\r\n",
     "{\"message\":\"m\"}", "RATE_LIMITED again 9000 m"},
    {429, "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 9d\r\n",
     "{\"message\":\"m\"}", "RATE_LIMITED again 0 m"},
    {429, "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 5000000000s\r\n",
     "{\"message\":\"m\"}", "RATE_LIMITED again 0 m"},
    {429, "retry-after-ms: 0\r\nretry-after: 2\r\n", "{\"message\":\"m\"}",
     "RATE_LIMITED again 2000 m"},
    {429, "retry-after-ms: .5\r\n", "{\"message\":\"m\"}", "RATE_LIMITED again 0 m"},
    {429, "retry-after: 1.2.3\r\n", "{\"message\":\"m\"}", "RATE_LIMITED again 0 m"},
    {429, "retry-after: 0.0625\r\n", "{\"message\":\"m\"}", "RATE_LIMITED again 62 m"},
    {408, "", "{\"message\":\"m\"}", "MODEL_SERVER_ERROR again 0 m"},
    {409, "", "{\"message\":\"m\"}", "MODEL_SERVER_ERROR again 0 m"},
    {413, "", "{\"message\":\"m\"}", "REQUEST_TOO_LARGE never 0 m"},
    {498, "", "{\"message\":\"m\"}", "MODEL_OVERLOADED again 0 m"},
    {499, "", "{\"message\":\"m\"}", "MODEL_REFUSED_REQUEST never 0 m"},
    {599, "", "{\"message\":\"m\"}", "MODEL_SERVER_ERROR again 0 m"},
    {500, "x-should-retry: maybe\r\n", "{\"message\":\"m\"}", "MODEL_SERVER_ERROR again 0 m"},
    {400, "", "{\"message\":\"exceeds the context window\"}",
     "CONTEXT_TOO_LONG never 0 exceeds the context window"},
    {400, "", "{\"message\":\"Prompt too long\"}", "CONTEXT_TOO_LONG never 0 Prompt too long"},
    {400, "", "{\"message\":\"the maximum number of tokens\"}",
     "CONTEXT_TOO_LONG never 0 the maximum number of tokens"},
    {429, "", "{\"error\":{\"message\":\"m\",\"type\":\"insufficient_quota\",\"code\":null}}",
     "QUOTA never 0 m"},
    {429, "", "{\"error\":{\"message\":\"m\",\"type\":\"tokens\",\"code\":\"insufficient_quota\"}}",
     "QUOTA never 0 m"},
    {402, "", "{\"error\":{\"message\":\"m\",\"type\":\"billing_error\"}}", "QUOTA never 0 m"},
    {500, "x-should-retry: false\r\n", "{\"message\":\"m\"}", "MODEL_SERVER_ERROR never 0 m"},
    {400, "x-should-retry: true\r\n", "{\"message\":\"m\"}", "MODEL_REFUSED_REQUEST again 0 m"},
    {503, "", "<html>Bad gateway</html>",
     "MODEL_OVERLOADED again 0 http://x/y answered HTTP 503 with a web page"},
    {502, "", "", "MODEL_SERVER_ERROR again 0 http://x/y answered HTTP 502 without a reason"},
    {529, "", "{\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}",
     "MODEL_OVERLOADED again 0 m"},
    {422, "", "Unprocessable\nwords", "MODEL_REFUSED_REQUEST never 0 Unprocessable words"},
    {422, "", "{\"detail\":[{\"msg\":\"f\"}]}", "MODEL_REFUSED_REQUEST never 0 [{\"msg\":\"f\"}]"},
    {401, "", "{\"detail\":\"Invalid API Key\"}", "KEY_REFUSED never 0 Invalid API Key"},
    {400, "", "{\"code\":\"Client specified\",\"error\":\"bad key\"}",
     "MODEL_REFUSED_REQUEST never 0 bad key"},
    {400, "", "{\"object\":\"error\",\"message\":\"m\",\"type\":\"BadRequestError\",\"code\":400}",
     "MODEL_REFUSED_REQUEST never 0 m"},
    {400, "",
     "{\"error\":{\"message\":\"This model's maximum context length is 5\",\"code\":null}}",
     "CONTEXT_TOO_LONG never 0 This model's maximum context length is 5"},
    {400, "", "{\"error\":{\"message\":\"m\",\"code\":\"content_filter\"}}",
     "CONTENT_FILTERED never 0 m"},
    {400, "",
     "{\"error\":{\"code\":400,\"message\":\"m\",\"details\":[{\"reason\":\"API_KEY_INVALID\"}]}}",
     "KEY_REFUSED never 0 m"},
    {404, "", "{\"error\":{\"message\":\"m\"}}", "MODEL_NOT_FOUND never 0 m"},
    {429, "",
     "[{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":["
     "{\"violations\":[{\"quotaId\":\"RequestsPerMinute\"}]},{\"retryDelay\":\"22s\"}]}}]",
     "RATE_LIMITED again 22000 m"},
    {429, "retry-after: 1\r\n",
     "{\"error\":{\"message\":\"m\",\"details\":[{\"retryDelay\":\"22.5s\"}]}}",
     "RATE_LIMITED again 1000 m"},
    {429, "",
     "{\"error\":{\"message\":\"m\",\"details\":[{\"retryDelay\":\"soon\"},"
     "{\"violations\":[{},{\"quotaId\":\"RequestsPerDayPerProject\"}]}]}}",
     "QUOTA never 0 m"},
    {429, "",
     "{\"error\":{\"message\":\"m\",\"details\":{\"error_code\":"
     "\"enforced_spend_limit_reached\"}}}",
     "QUOTA never 0 m"},
    {400, "", "{\"error\":{\"message\":\"half \\ud83d, nul \\u0000.\"}} \n",
     "MODEL_REFUSED_REQUEST never 0 half \xef\xbf\xbd, nul ."},
    {400, "", "{\"Error\":{\"message\":\"m\"},\"message\":null,\"detail\":\"d\"}",
     "MODEL_REFUSED_REQUEST never 0 d"},
    {400, "", "{\"detail\":[{\"at\":9007199254740993}]}",
     "MODEL_REFUSED_REQUEST never 0 [{\"at\":9007199254740993}]"},
    {400, "", "\"just \\\"words\\\"\"", "MODEL_REFUSED_REQUEST never 0 just \"words\""},
    {400, "", "[]", "MODEL_REFUSED_REQUEST never 0 []"},
    {307, "", "",
     "REDIRECTED never 0 http://x/y answered HTTP 307, which leads to nowhere; redirects are not "
     "followed: set the base URL to where it leads"},
    {302, "Location: https://x/login\r\n", "<html>",
     "REDIRECTED never 0 http://x/y answered HTTP 302, which leads to https://x/login; redirects "
     "are not followed: set the base URL to where it leads"},
    {404, "content-type: text/html\r\n", "<html>nginx</html>",
     "NOT_A_MODEL never 0 http://x/y answered HTTP 404 with a web page; " CHECK},
    {404, "", "404 page not found",
     "NOT_A_MODEL never 0 http://x/y answered HTTP 404 (404 page not found); " CHECK},
    {404, "", "{\"detail\":\"Not Found\"}",
     "NOT_A_MODEL never 0 http://x/y answered HTTP 404 (Not Found); " CHECK},
    {405, "", "", "NOT_A_MODEL never 0 http://x/y answered HTTP 405; " CHECK},
    {403, "", " <!doctype html>",
     "FORBIDDEN never 0 http://x/y answered HTTP 403 with a web page; " CHECK},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct diagnosis diagnosis = {0};
        struct buf line = {0};
        struct http_answer answer = {
            .asked = STR("http://x/y"),
            .http_status = rows[i].http_status,
            .headers = str_of(rows[i].headers),
            .body = str_of(rows[i].body),
        };
        diagnosis_from_http(&diagnosis, &answer, now_ms);
        buf_printf(
            &line, "%s %s %llu " STR_FMT, diagnosis.reason, diagnosis.retryable ? "again" : "never",
            (unsigned long long)diagnosis.retry_after_ms, STR_ARG(buf_str(&diagnosis.message)));
        if (!str_is(buf_str(&line), rows[i].expected)) {
            fail_msg("row %zu:\n     got " STR_FMT "\nexpected %s", i, STR_ARG(buf_str(&line)),
                     rows[i].expected);
        }
        assert_int_equal(diagnosis.http_status, rows[i].http_status);
        buf_fini(&line);
        diagnosis_fini(&diagnosis);
    }
}

/* Only where the URL is not known: a refusal by somebody who speaks the dialect says enough. */
static void test_another_dialect_is_named(void **state)
{
    static const char *const bodies[] = {"", "{\"error\":{\"message\":\"no such model\"}}"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        struct diagnosis diagnosis = {0};
        struct http_answer answer = {.asked = STR("http://x/y"),
                                     .http_status = 404,
                                     .body = str_of(bodies[i]),
                                     .instead = "try z"};
        diagnosis_from_http(&diagnosis, &answer, now_ms);
        assert_int_equal(memmem(diagnosis.message.ptr, diagnosis.message.len, "; try z", 7) != NULL,
                         i == 0);
        diagnosis_fini(&diagnosis);
    }
}

static void test_errors_without_a_response(void **state)
{
    static const struct {
        const char *error;
        const char *expected;
    } errors[] = {
        {"{\"message\":\"m\",\"code\":503}", "MODEL_OVERLOADED m"},
        {"{\"message\":\"m\",\"code\":\"429\"}", "RATE_LIMITED m"},
        {"{\"message\":\"m\",\"status_code\":401,\"code\":500}", "KEY_REFUSED m"},
        {"{\"message\":\"m\",\"type\":\"overloaded_error\"}", "MODEL_OVERLOADED m"},
        {"\"the prompt is too long\"", "CONTEXT_TOO_LONG the prompt is too long"},
        {"{\"code\":500}", "MODEL_SERVER_ERROR {\"code\":500}"},
        {"7", "MODEL_ERROR 7"},
        {"{\"message\":\"m\",\"code\":399}", "MODEL_ERROR m"},
        {"{\"message\":\"m\",\"code\":400}", "MODEL_REFUSED_REQUEST m"},
        {"{\"message\":\"m\",\"code\":599}", "MODEL_SERVER_ERROR m"},
        {"{\"message\":\"m\",\"code\":600}", "MODEL_ERROR m"},
        {"{}", "MODEL_ERROR {}"},
        {"[]", "MODEL_ERROR []"},
        {"\"\"", "MODEL_ERROR \"\""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        struct diagnosis diagnosis = {0};
        struct buf line = {0};
        diagnosis_from_error(&diagnosis, str_of(errors[i].error));
        buf_printf(&line, "%s " STR_FMT, diagnosis.reason, STR_ARG(buf_str(&diagnosis.message)));
        if (!str_is(buf_str(&line), errors[i].expected)) {
            fail_msg("%s: " STR_FMT, errors[i].error, STR_ARG(buf_str(&line)));
        }
        buf_fini(&line);
        diagnosis_fini(&diagnosis);
    }
}

static void test_messages_are_bounded_text(void **state)
{
    struct diagnosis diagnosis = {0};
    struct buf body = {0};
    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        buf_put(&body, STR("\xf0\x9f\x98\x80\x01\xff"));
    }
    struct http_answer answer = {
        .asked = STR("http://x/y"), .http_status = 400, .body = buf_str(&body)};
    diagnosis_from_http(&diagnosis, &answer, now_ms);
    assert_true(diagnosis.message.len <= DIAGNOSIS_MESSAGE_BYTES_MAX);
    assert_true(str_starts_with(buf_str(&diagnosis.message),
                                STR("\xf0\x9f\x98\x80 \xef\xbf\xbd\xf0\x9f\x98\x80")));
    buf_reset(&body);
    while (body.len < 2 * DIAGNOSIS_MESSAGE_BYTES_MAX) {
        buf_put_char(&body, 'a');
    }
    answer.body = buf_str(&body);
    diagnosis_from_http(&diagnosis, &answer, now_ms);
    assert_int_equal(diagnosis.message.len, DIAGNOSIS_MESSAGE_BYTES_MAX - 4);
    buf_fini(&body);
    diagnosis_fini(&diagnosis);
}

static void test_secrets_are_blotted_out(void **state)
{
    struct diagnosis diagnosis = {0};
    (void)state;
    diagnosis_set(&diagnosis, CODE_UNAUTHENTICATED, "X", false, "%s", "sk-123 and sk-123sk-12");
    diagnosis_redact(&diagnosis, STR("sk-123"));
    assert_true(str_is(buf_str(&diagnosis.message), "****** and ******sk-12"));
    diagnosis_redact(&diagnosis, STR(""));
    diagnosis_fini(&diagnosis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_another_dialect_is_named),
        cmocka_unit_test(test_errors_without_a_response),
        cmocka_unit_test(test_messages_are_bounded_text),
        cmocka_unit_test(test_secrets_are_blotted_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
